//! How two versions of a state differ, value by value.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tpm_provisioner::StateChange;

/// A value of a resource, by the resource's address and the value's path.
type Values = BTreeMap<(String, String), Leaf>;

#[derive(PartialEq, Eq)]
struct Leaf {
    text: String,
    secret: bool,
}

/// Words in the name of a value that is secret whether or not the state says so: Terraform marks there what came
/// from a sensitive value, and not always what the provider's schema calls sensitive.
const SECRET: [&str; 4] = ["password", "secret", "token", "private_key"];

/// What became of each value from one version to another. What is sensitive is told to have changed, and not what
/// it was or is.
pub(crate) fn diff(before: &[u8], after: &[u8]) -> Result<Vec<StateChange>, String> {
    let (before, after) = (values(before)?, values(after)?);
    let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let change = |key: &(String, String)| {
        let (old, new) = (before.get(key), after.get(key));
        let is_same = old.map(|leaf| &leaf.text) == new.map(|leaf| &leaf.text);
        let secret = [old, new].into_iter().flatten().any(|leaf| leaf.secret);
        let shown = |leaf: Option<&Leaf>| leaf.filter(|_| !secret).map(|leaf| leaf.text.clone());
        (!is_same).then(|| StateChange {
            address: key.0.clone(),
            field: key.1.clone(),
            before: shown(old),
            after: shown(new),
            secret,
        })
    };
    Ok(all.into_iter().filter_map(change).collect())
}

fn values(state: &[u8]) -> Result<Values, String> {
    let state: Value = serde_json::from_slice(state).map_err(|error| error.to_string())?;
    let mut values = Values::new();
    for resource in state["resources"].as_array().into_iter().flatten() {
        let part = |name: &str| resource[name].as_str().filter(|part| !part.is_empty());
        let parts: Vec<&str> = ["module", "type", "name"]
            .into_iter()
            .filter_map(part)
            .collect();
        let address = parts.join(".");
        for instance in resource["instances"].as_array().into_iter().flatten() {
            let secret: Vec<String> = instance["sensitive_attributes"]
                .as_array()
                .into_iter()
                .flatten()
                .map(path)
                .collect();
            let mut leaves = BTreeMap::new();
            flatten("", &instance["attributes"], &mut leaves);
            for (field, text) in leaves {
                let within = |path: &String| {
                    field
                        .strip_prefix(path.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                let name = field
                    .rsplit('.')
                    .find(|part| part.parse::<usize>().is_err());
                let named = name.is_some_and(|name| SECRET.iter().any(|word| name.contains(word)));
                let secret = named || secret.iter().any(within);
                values.insert((address.clone(), field), Leaf { text, secret });
            }
        }
    }
    Ok(values)
}

/// A path as states write it, with dots.
fn path(steps: &Value) -> String {
    let step = |step: &Value| match &step["value"] {
        Value::String(name) => name.clone(),
        index => index["value"].to_string(),
    };
    let steps: Vec<String> = steps.as_array().into_iter().flatten().map(step).collect();
    steps.join(".")
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (name, value) in map {
                flatten(&below(name), value, into);
            }
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                flatten(&below(&n.to_string()), value, into);
            }
        }
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
        }
        other => {
            into.insert(path.to_owned(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(attributes: &Value) -> Vec<u8> {
        let step = |name: &str| json!({ "type": "get_attr", "value": name });
        let first = json!({ "type": "index", "value": { "value": 0, "type": "number" } });
        json!({
            "version": 4,
            "resources": [{
                "module": "module.server", "mode": "managed", "type": "vm", "name": "this",
                "instances": [{
                    "attributes": attributes,
                    "sensitive_attributes": [[step("pin"), first]],
                }]
            }]
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn what_changed_is_told_and_no_secret() -> Result<(), String> {
        let before = state(&json!({
            "memory": [{ "dedicated": 2048 }], "name": "a", "tags": ["x"],
            "user": [{ "password": "old", "name": "u" }], "gone": true, "key": [{ "api_token": ["a"] }],
            "pin": [{ "code": "1" }],
        }));
        let after = state(&json!({
            "memory": [{ "dedicated": 4096 }], "name": "a", "tags": ["x", "y"],
            "user": [{ "password": "new", "name": "u" }], "nothing": null, "key": [{ "api_token": ["b"] }],
            "pin": [{ "code": "2" }],
        }));
        assert_eq!(diff(&before, &before)?, []);
        let found = diff(&before, &after)?;
        let told: Vec<_> = found
            .iter()
            .map(|it| {
                (
                    &*it.field,
                    it.before.as_deref(),
                    it.after.as_deref(),
                    it.secret,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("gone", Some("true"), None, false),
                ("key.0.api_token.0", None, None, true),
                ("memory.0.dedicated", Some("2048"), Some("4096"), false),
                ("pin.0.code", None, None, true),
                ("tags.1", None, Some("y"), false),
                ("user.0.password", None, None, true),
            ]
        );
        assert_eq!(found[0].address, "module.server.vm.this");
        assert!(diff(b"", &after).is_err());
        Ok(())
    }
}
