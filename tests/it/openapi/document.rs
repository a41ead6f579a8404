//! The document as it is served, read for holding answers against it.

use anyhow::{Context, bail, ensure};
use jsonschema::Draft;
use reqwest::Method;
use serde_json::{Value, json};
use tpm_test_support::Client;

/// The document.
pub(super) struct Document {
    root: Value,
}

/// An operation of it.
pub(super) struct Operation<'d> {
    document: &'d Document,
    value: &'d Value,
}

impl Document {
    pub(super) async fn fetch(client: &Client) -> anyhow::Result<Self> {
        let reply = client.get("/api/openapi.json").await?;
        ensure!(reply.status == 200, "{}", reply.status);
        ensure!(
            reply.body["openapi"] == "3.1.0",
            "{}",
            reply.body["openapi"]
        );
        Ok(Self { root: reply.body })
    }

    /// Every operation, with its method and path.
    pub(super) fn operations(&self) -> Vec<(String, &Value)> {
        let mut all = Vec::new();
        for (path, item) in self.root["paths"].as_object().into_iter().flatten() {
            for (method, value) in item.as_object().into_iter().flatten() {
                all.push((format!("{method} {path}"), value));
            }
        }
        all
    }

    /// The operation that such a request is for: a path in full comes before one with parameters.
    pub(super) fn operation(&self, method: &Method, path: &str) -> Option<Operation<'_>> {
        let path = path.split('?').next().unwrap_or_default();
        let asked: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let mut parts: Vec<&str> = template.split('/').collect();
            // The rest of a path, slashes and all.
            let rest = template == "/api/vault/secrets/{path}";
            parts.extend(asked.iter().skip(parts.len()).filter(|_| rest));
            parts.len() == asked.len()
                && parts
                    .iter()
                    .zip(&asked)
                    .all(|(part, asked)| part == asked || part.starts_with('{'))
        };
        let paths = self.root["paths"].as_object()?;
        let item = match paths.get(path) {
            Some(item) => item,
            None => paths.iter().find(|(template, _)| fits(template))?.1,
        };
        let value = item.get(method.as_str().to_lowercase())?;
        Some(Operation {
            document: self,
            value,
        })
    }

    /// What a schema of the document finds wrong with a value.
    pub(super) fn check(&self, schema: &Value, value: &Value) -> anyhow::Result<()> {
        let whole = json!({ "allOf": [schema], "components": self.root["components"] });
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .build(&whole)
            .map_err(|error| anyhow::anyhow!("the schema itself: {error}"))?;
        let wrong: Vec<String> = validator
            .iter_errors(value)
            .map(|error| format!("{} at {:?}", error, error.instance_path().to_string()))
            .collect();
        ensure!(wrong.is_empty(), "not as documented: {}", wrong.join("; "));
        Ok(())
    }

    /// Holds every example of the document against its schema; how many there are.
    pub(super) fn check_examples(&self) -> anyhow::Result<usize> {
        let mut checked = 0;
        self.examples_below("", &self.root, &mut checked)?;
        Ok(checked)
    }

    /// What a reference refers to, or the value itself.
    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        let place = value["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
        place.map_or(value, |place| {
            self.root.pointer(place).unwrap_or(&Value::Null)
        })
    }

    fn examples_below(&self, at: &str, value: &Value, checked: &mut usize) -> anyhow::Result<()> {
        match value {
            Value::Object(map) => {
                // Media types, parameters: the schema stands beside the example. In a schema: it is it.
                let is_schema = at.contains("/properties/") || at.contains("/schema");
                let schema = map.get("schema").or(is_schema.then_some(value));
                // Those of the components have their schema where they are referred to.
                let several = map.get("examples").filter(|_| at != "/components");
                let several = several.and_then(Value::as_object);
                let several = several
                    .into_iter()
                    .flatten()
                    .map(|(_, it)| &self.resolved(it)["value"]);
                for example in map.get("example").into_iter().chain(several) {
                    let schema = schema.with_context(|| format!("{at}: no schema"))?;
                    self.check(schema, example)
                        .with_context(|| format!("{at}: {example}"))?;
                    *checked += 1;
                }
                for (name, value) in map {
                    if !matches!(name.as_str(), "example" | "examples") {
                        self.examples_below(&format!("{at}/{name}"), value, checked)?;
                    }
                }
                Ok(())
            }
            Value::Array(items) => items.iter().enumerate().try_for_each(|(n, value)| {
                self.examples_below(&format!("{at}/{n}"), value, checked)
            }),
            _ => Ok(()),
        }
    }
}

impl Operation<'_> {
    pub(super) fn id(&self) -> &str {
        self.value["operationId"].as_str().unwrap_or_default()
    }

    /// The example of its body.
    pub(super) fn example(&self) -> Option<Value> {
        let content = &self.value["requestBody"]["content"]["application/json"];
        content.get("example").cloned()
    }

    /// Whether such a body may be sent.
    pub(super) fn check_body(&self, body: &Value) -> anyhow::Result<()> {
        let content = &self.value["requestBody"]["content"]["application/json"];
        let schema = content.get("schema").context("it takes no body")?;
        self.document.check(schema, body)
    }

    /// Whether such an answer may be given; its body as JSON, `null` when it is none.
    pub(super) fn check_answer(
        &self,
        status: u16,
        media: &str,
        bytes: &[u8],
    ) -> anyhow::Result<Value> {
        let response = self.value["responses"]
            .get(status.to_string())
            .context("the status is not documented")?;
        let media = media.split(';').next().unwrap_or_default().trim();
        let content = response["content"]
            .get(media)
            .with_context(|| format!("{media} is not documented"))?;
        if media != "application/json" {
            return Ok(Value::Null);
        }
        let body: Value = serde_json::from_slice(bytes)?;
        self.document.check(&content["schema"], &body)?;
        if let Some(code) = body["error"]["code"].as_str().filter(|_| status >= 400) {
            let codes = response["x-error-codes"].as_array().context("codes")?;
            if !codes.iter().any(|known| known == code) {
                bail!("{code} is not among {codes:?}");
            }
        }
        Ok(body)
    }
}
