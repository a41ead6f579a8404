//! `postman`: a Postman collection, version 2.1, made of the OpenAPI document.
//!
//! A pure function of `crates/api/openapi.json`: every operation is a request with its example as body, in
//! the order in which they can be sent one after the other. Each checks that its answer has a documented
//! status, and keeps the numbers of what was made for the requests after it.

use crate::workspace;
use anyhow::Context as _;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::PathBuf;

/// Where the service listens unless told otherwise.
const BASE: &str = "http://127.0.0.1:5000";
const SCHEMA: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";
/// Sent first: everything else needs its session.
const FIRST: &str = "login";
/// Sent last: everything after it would be refused.
const LAST: &str = "logout";

/// After every answer: what was made is what the next requests are about.
const KEEP_NUMBERS: &[&str] = &[
    "let body = {};",
    "try { body = pm.response.json(); } catch (error) { /* no JSON */ }",
    "for (const name of ['server_id', 'task_id', 'project_id', 'network_id', 'user_id', 'key_id']) {",
    "  if (body && body[name]) pm.collectionVariables.set(name, String(body[name]));",
    "}",
];

fn document() -> PathBuf {
    workspace::root().join("crates/api/openapi.json")
}

fn collection() -> PathBuf {
    workspace::root().join("crates/api/docs/postman_collection.json")
}

/// Writes the collection.
///
/// # Errors
/// When the document cannot be read, or the collection not be written.
pub(crate) fn run() -> anyhow::Result<()> {
    let path = collection();
    let text = made_of_the_document()?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

fn made_of_the_document() -> anyhow::Result<String> {
    let path = document();
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let mut text = serde_json::to_string_pretty(&made_of(&serde_json::from_str(&text)?))?;
    text.push('\n');
    Ok(text)
}

/// A method on a path.
struct Operation<'d> {
    document: &'d Value,
    method: &'d str,
    path: &'d str,
    value: &'d Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, value) in item.as_object().into_iter().flatten() {
            // An answer that goes on for as long as it is read is nothing to send and check.
            if !value["responses"]["200"]["content"]["text/event-stream"].is_null() {
                continue;
            }
            all.push(Operation {
                document,
                method,
                path,
                value,
            });
        }
    }
    // What makes comes before what reads, and what removes comes last.
    all.sort_by_key(|one| {
        let later = one.id() != FIRST;
        (
            later,
            one.turn(),
            one.path.to_owned(),
            one.method.to_owned(),
        )
    });
    all
}

fn made_of(document: &Value) -> Value {
    let all = operations(document);
    let is_last = |one: &&Operation<'_>| one.id() == LAST;
    let mut folders: Vec<Value> = Vec::new();
    for tag in document["tags"].as_array().into_iter().flatten() {
        let requests: Vec<Value> = all
            .iter()
            .filter(|one| one.value["tags"][0] == tag["name"] && !is_last(one))
            .map(Operation::request)
            .collect();
        folders.push(json!({
            "name": tag["name"],
            "description": tag["description"],
            "item": requests,
        }));
    }
    folders.extend(all.iter().filter(is_last).map(Operation::request));
    json!({
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "schema": SCHEMA,
        },
        "variable": variables(&all),
        "event": [script(KEEP_NUMBERS.iter().map(|line| (*line).to_owned()).collect())],
        "item": folders,
    })
}

/// Where the service is, who logs in, and an example of everything that stands in a path.
fn variables(all: &[Operation<'_>]) -> Vec<Value> {
    let mut known = Map::new();
    for one in all {
        for parameter in one.parameters("path") {
            let name = parameter["name"].as_str().unwrap_or_default();
            known.insert(name.to_owned(), shown(&parameter["example"]).into());
        }
    }
    let given = [
        ("baseUrl", BASE),
        ("username", "admin"),
        ("password", "password"),
    ];
    let given = given.map(|(key, value)| json!({ "key": key, "value": value }));
    let known = known
        .into_iter()
        .map(|(key, value)| json!({ "key": key, "value": value }));
    given.into_iter().chain(known).collect()
}

fn script(lines: Vec<String>) -> Value {
    json!({ "listen": "test", "script": { "type": "text/javascript", "exec": lines } })
}

/// A value as it stands in a URL or header.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Operation<'_> {
    fn id(&self) -> &str {
        self.value["operationId"].as_str().unwrap_or_default()
    }

    fn turn(&self) -> u8 {
        match (self.method, self.path) {
            ("post", path) if path.ends_with("/create") => 0,
            ("post", path) if !path.contains('{') && !path.contains("delete") => 1,
            ("get", _) => 2,
            ("delete", _) => 4,
            (_, path) if path.contains("delete") || path.ends_with("/forget") => 4,
            _ => 3,
        }
    }

    /// Its parameters of one place, those that stand with the components included.
    fn parameters(&self, place: &str) -> Vec<&Value> {
        let list = self.value["parameters"].as_array().into_iter().flatten();
        let resolved = list.map(|parameter| {
            let name = parameter["$ref"]
                .as_str()
                .and_then(|to| to.rsplit('/').next());
            name.map_or(parameter, |name| {
                &self.document["components"]["parameters"][name]
            })
        });
        resolved
            .filter(|parameter| parameter["in"] == place)
            .collect()
    }

    /// Its example; who logs in is a matter of the variables.
    fn body(&self) -> Option<String> {
        let content = &self.value["requestBody"]["content"]["application/json"];
        if !content.is_object() {
            return None;
        }
        let example = match self.id() {
            "login" => json!({ "username": "{{username}}", "password": "{{password}}" }),
            _ => content.get("example").cloned().unwrap_or_else(|| json!({})),
        };
        serde_json::to_string_pretty(&example).ok()
    }

    fn url(&self) -> Value {
        let path: Vec<String> = self
            .path
            .split('/')
            .skip(1)
            .map(|part| match part.strip_prefix('{') {
                Some(name) => format!(":{}", name.trim_end_matches('}')),
                None => part.to_owned(),
            })
            .collect();
        let variables: Vec<Value> = self
            .parameters("path")
            .iter()
            .map(|parameter| {
                let name = parameter["name"].as_str().unwrap_or_default();
                json!({
                    "key": name,
                    "value": format!("{{{{{name}}}}}"),
                    "description": parameter["description"],
                })
            })
            .collect();
        let query: Vec<Value> = self
            .parameters("query")
            .iter()
            .map(|parameter| {
                json!({
                    "key": parameter["name"],
                    "value": shown(&parameter["example"]),
                    "description": parameter["description"],
                    "disabled": true,
                })
            })
            .collect();
        let mut url = json!({
            "raw": format!("{{{{baseUrl}}}}/{}", path.join("/")),
            "host": ["{{baseUrl}}"],
            "path": path,
        });
        if !variables.is_empty() {
            url["variable"] = variables.into();
        }
        if !query.is_empty() {
            url["query"] = query.into();
        }
        url
    }

    fn headers(&self, has_body: bool) -> Vec<Value> {
        let mut headers = Vec::new();
        if has_body {
            headers.push(json!({ "key": "Content-Type", "value": "application/json" }));
        }
        for parameter in self.parameters("header") {
            let is_key = parameter["name"] == "Idempotency-Key";
            headers.push(json!({
                "key": parameter["name"],
                "value": if is_key { "{{$guid}}".to_owned() } else { shown(&parameter["example"]) },
                "description": parameter["description"],
                "disabled": is_key,
            }));
        }
        headers
    }

    /// The answer has a documented status, and an error the documented shape.
    fn checks(&self) -> Value {
        let responses = self.value["responses"].as_object().into_iter().flatten();
        let statuses: Vec<&str> = responses.map(|(status, _)| status.as_str()).collect();
        let plain = self.id() == "getReadiness";
        let mut lines = vec![format!(
            "pm.test('the status is a documented one', () => pm.expect(pm.response.code).to.be.oneOf([{}]));",
            statuses.join(", ")
        )];
        if self.id() == "login" {
            lines.push(
                "pm.test('logged in', () => pm.expect(pm.response.code).to.equal(200));".into(),
            );
        }
        if !plain {
            lines.push(
                "if (pm.response.code >= 400) pm.test('an error has a code', () => pm.expect(pm.response.json()\
                 .error.code).to.be.a('string'));"
                    .into(),
            );
        }
        script(lines)
    }

    fn request(&self) -> Value {
        let body = self.body();
        let mut request = json!({
            "method": self.method.to_uppercase(),
            "header": self.headers(body.is_some()),
            "url": self.url(),
        });
        if let Some(about) = self.value["description"].as_str() {
            request["description"] = about.into();
        }
        if let Some(raw) = body {
            let language = json!({ "raw": { "language": "json" } });
            request["body"] = json!({ "mode": "raw", "raw": raw, "options": language });
        }
        json!({
            "name": self.value["summary"],
            "request": request,
            "event": [self.checks()],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_collection_is_made_of_the_document() {
        let written = fs::read_to_string(collection()).unwrap_or_default();
        let now = made_of_the_document().expect("a document");
        assert!(
            written == now,
            "{} is not what the document says: run `cargo xtask postman`",
            collection().display()
        );
    }

    #[test]
    fn logging_in_is_first_and_logging_out_is_last() {
        let text = fs::read_to_string(document()).expect("a document");
        let made = made_of(&serde_json::from_str(&text).expect("JSON"));
        let folders = made["item"].as_array().expect("folders");
        assert_eq!(folders[0]["item"][0]["name"], "Log in");
        assert_eq!(folders[folders.len() - 1]["name"], "Log out");
    }
}
