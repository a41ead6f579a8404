//! Reading what PVE prints, whichever JSON type it chose today.
//!
//! PVE does not enforce its declared types: `memory` is a string, `cores` a number, a flag is `1`, `"1"`
//! or `true`, and an absent value is usually an absent key. These functions accept all of it. What is
//! missing, empty or not readable becomes `None`, never a number that PVE did not send.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub(crate) fn as_u64(value: &Value) -> Option<u64> {
    match value {
        Value::Number(n) => n.as_u64().or_else(|| n.as_f64().and_then(whole)),
        Value::String(s) => {
            let s = s.trim();
            s.parse().ok().or_else(|| s.parse().ok().and_then(whole))
        }
        _ => None,
    }
}

fn whole(n: f64) -> Option<u64> {
    // beyond 2^53 a float no longer holds whole numbers exactly
    (n >= 0.0 && n.fract() == 0.0 && n <= 9_007_199_254_740_992.0).then_some(n as u64)
}

pub(crate) fn as_f64(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    }
}

pub(crate) fn as_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(b) => Some(*b),
        Value::Number(n) => n.as_f64().map(|n| n != 0.0),
        Value::String(s) => match s.trim() {
            "1" | "true" | "yes" | "on" => Some(true),
            "0" | "false" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(u8::from(*b).to_string()),
        _ => None,
    }
}

pub(crate) fn u64<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    Ok(as_u64(&Value::deserialize(d)?))
}

pub(crate) fn u32<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    Ok(as_u64(&Value::deserialize(d)?).and_then(|n| u32::try_from(n).ok()))
}

pub(crate) fn f64<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    Ok(as_f64(&Value::deserialize(d)?))
}

pub(crate) fn bool<'de, D: Deserializer<'de>>(d: D) -> Result<Option<bool>, D::Error> {
    Ok(as_bool(&Value::deserialize(d)?))
}

pub(crate) fn text<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(as_text(&Value::deserialize(d)?))
}

/// A list PVE writes as one string, split at `;`, `,` and blanks (tags, storage content).
pub(crate) fn words<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    Ok(as_text(&Value::deserialize(d)?)
        .map(|s| split_words(&s))
        .unwrap_or_default())
}

pub(crate) fn split_words(text: &str) -> Vec<String> {
    text.split([';', ',', ' ', '\t', '\n', '\0'])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
