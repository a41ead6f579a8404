//! Reads request parameters the way PVE does, including where that loses data.
//!
//! Pairs are split on `&` and `;`, each pair on **every** `=`, and only the first two pieces
//! survive. Values are not interpreted here.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A parameter as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Raw {
    One(String),
    Many(Vec<String>),
    /// A key without a value.
    Undefined,
}

/// Parameters of one request, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(pub(crate) BTreeMap<String, Raw>);

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Raw::One(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// A boolean option; absent is `false`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    pub(crate) fn vmid(&self) -> u32 {
        self.get("vmid")
            .and_then(|id| id.parse().ok())
            .unwrap_or_default()
    }

    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Raw::One(text)) => split_list(text),
            Some(Raw::Many(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), Raw::One(value.to_owned()));
    }

    fn add(&mut self, name: String, value: Raw) {
        match (self.0.get_mut(&name), value) {
            (Some(Raw::Many(items)), Raw::One(text)) => items.push(text),
            (Some(slot), Raw::One(text)) => {
                let mut items = match slot {
                    Raw::One(first) => vec![std::mem::take(first)],
                    _ => Vec::new(),
                };
                items.push(text);
                *slot = Raw::Many(items);
            }
            (_, value) => {
                self.0.insert(name, value);
            }
        }
    }

    /// Query strings and form bodies.
    pub(crate) fn read_form(&mut self, text: &str) {
        for pair in text.split(['&', ';']).filter(|pair| !pair.is_empty()) {
            let mut pieces = pair.split('=');
            let name = decode(pieces.next().unwrap_or_default());
            if name.is_empty() || name == "_dc" {
                continue;
            }
            let value = pieces
                .next()
                .map_or(Raw::Undefined, |text| Raw::One(decode(text)));
            self.add(name, value);
        }
    }

    /// JSON bodies; the error is the text PVE's parser would die with.
    pub(crate) fn read_json(&mut self, body: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(body).map_err(|_| broken_json(body))?;
        let Value::Object(object) = value else {
            return Err(broken_json(body));
        };
        for (name, value) in object {
            let raw = match value {
                Value::Array(items) => Raw::Many(items.iter().map(scalar).collect()),
                Value::Null => Raw::Undefined,
                other => Raw::One(scalar(&other)),
            };
            self.0.insert(name, raw);
        }
        Ok(())
    }
}

/// PVE lists are separated by comma, semicolon, white space or NUL.
pub(crate) fn split_list(text: &str) -> Vec<String> {
    text.split(|c: char| matches!(c, ',' | ';' | '\0') || c.is_whitespace())
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

fn broken_json(body: &[u8]) -> String {
    format!(
        "malformed JSON string, neither tag, array, object, number, string or atom, at character \
         offset {} (before \"(end of string)\") at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 934.",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unescaped_equals_sign_truncates_the_value() {
        let mut params = Params::default();
        params.read_form("net0=virtio=AA:BB,bridge=vmbr0&x=1;x=2&flag");
        assert_eq!(params.get("net0"), Some("virtio"));
        assert_eq!(params.list("x"), ["1", "2"]);
        assert_eq!(params.0.get("flag"), Some(&Raw::Undefined));
    }

    #[test]
    fn json_numbers_and_arrays_arrive_as_text() {
        let mut params = Params::default();
        params
            .read_json(br#"{"memory": 384, "delete": ["tags"], "onboot": true}"#)
            .expect("json");
        assert_eq!(params.get("memory"), Some("384"));
        assert_eq!(params.list("delete"), ["tags"]);
        assert!(params.flag("onboot"));
    }
}
