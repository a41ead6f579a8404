//! Property strings: `key=value,key=value` with one default key, aliases and model=MAC forms.
//!
//! Parsing reports errors per sub-key in the words PVE uses; printing puts the default key first.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::validate;

/// A parsed property string.
pub(crate) type Properties = BTreeMap<String, String>;

const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";

/// Parses `text` after `format` (sub-key → description). Errors are (sub-key, text).
pub(crate) fn parse(
    format: &Map<String, Value>,
    text: &str,
) -> Result<Properties, Vec<(String, String)>> {
    let default_key = format
        .iter()
        .find(|(_, spec)| spec["default_key"].as_u64() == Some(1))
        .map(|(key, _)| key.as_str());
    let mut parsed = Properties::new();
    let mut errors = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (key, value) = match (part.split_once('='), default_key) {
            (Some((key, value)), _) => (key, value),
            (None, Some(key)) => (key, part),
            (None, None) => {
                errors.push((
                    String::new(),
                    "value without key, but schema does not define a default key".into(),
                ));
                continue;
            }
        };
        let Some(spec) = format.get(key) else {
            errors.push((key.to_owned(), UNKNOWN.into()));
            continue;
        };
        let mut target = key;
        if let Some(alias) = spec["alias"].as_str() {
            if let Some(model) = spec["keyAlias"].as_str() {
                parsed.insert(model.to_owned(), key.to_owned());
            }
            target = alias;
        }
        if parsed.insert(target.to_owned(), value.to_owned()).is_some() {
            errors.push((
                target.to_owned(),
                "duplicate key in comma-separated list property".into(),
            ));
        }
    }
    for (key, value) in &mut parsed {
        let Some(spec) = format.get(key) else {
            continue;
        };
        if spec["type"] == "boolean" {
            match value.as_str() {
                "1" | "on" | "yes" | "true" => "1".clone_into(value),
                "0" | "off" | "no" | "false" => "0".clone_into(value),
                _ => {}
            }
        }
        if let Some(text) = validate::scalar(spec, value) {
            errors.push((key.clone(), text));
        }
    }
    for (key, spec) in format {
        if spec["alias"].is_null()
            && spec["optional"].as_u64() != Some(1)
            && !parsed.contains_key(key)
            && spec["default"].is_null()
        {
            let has_default = key == "current" || key == "enabled";
            if !has_default {
                errors.push((
                    key.clone(),
                    "property is missing and it is not optional".into(),
                ));
            }
        }
    }
    if errors.is_empty() {
        Ok(parsed)
    } else {
        Err(errors)
    }
}

/// Loose reading of a stored value: the first part without `=` goes under `default_key`.
pub(crate) fn read(text: &str, default_key: &str) -> Properties {
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (default_key.to_owned(), part.to_owned()),
        })
        .collect()
}

/// Prints with the value of `first` in front, the other keys in alphabetical order.
pub(crate) fn print(properties: &Properties, first: &str) -> String {
    let mut parts: Vec<String> = properties.get(first).cloned().into_iter().collect();
    parts.extend(
        properties
            .iter()
            .filter(|(key, _)| key.as_str() != first)
            .map(|(key, value)| format!("{key}={value}")),
    );
    parts.join(",")
}

/// Network devices are printed as `model=MAC,...`.
pub(crate) fn print_net(properties: &Properties) -> String {
    let mut rest = properties.clone();
    let model = rest.remove("model").unwrap_or_else(|| "virtio".into());
    let mac = rest.remove("macaddr").unwrap_or_default();
    let mut parts = vec![format!("{model}={mac}")];
    parts.extend(rest.iter().map(|(key, value)| format!("{key}={value}")));
    parts.join(",")
}

/// Reads a stored network device.
pub(crate) fn read_net(text: &str) -> Properties {
    const MODELS: [&str; 6] = [
        "virtio", "e1000", "e1000e", "rtl8139", "vmxnet3", "ne2k_pci",
    ];
    let mut properties = read(text, "model");
    for model in MODELS {
        if let Some(mac) = properties.remove(model) {
            properties.insert("model".into(), model.into());
            properties.insert("macaddr".into(), mac);
        }
    }
    properties
}
