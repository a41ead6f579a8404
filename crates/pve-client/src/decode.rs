//! From the bytes of an answer to data or to an error.
//!
//! The text of an error stands in up to two places: the `message` of the JSON body (PVE 8.3 and later)
//! and the reason phrase of the status line (always, first line only). Answers made before a handler ran
//! have no JSON, and 401, 595 and 596 have no body at all.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    classify::Access,
    error::{Error, one_line},
    lenient,
};

/// The payload of a successful answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// `data`; `null` for calls that return nothing.
    pub data: Value,
    /// `total` beside it: the number of all entries of a paged list. Left out by PVE when zero.
    pub total: Option<u64>,
}

impl Reply {
    /// Reads the payload as `T`.
    ///
    /// # Errors
    /// When the shape is another one. For a write this means that the change was made and its result is
    /// not known, hence [`crate::ErrorClass::Ambiguous`].
    pub fn read<T: DeserializeOwned>(self, access: Access) -> Result<T, Error> {
        T::deserialize(self.data)
            .map_err(|error| Error::reply(access, format!("unexpected answer: {error}")))
    }
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    data: Value,
    #[serde(default, deserialize_with = "lenient::u64")]
    total: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default, deserialize_with = "lenient::text")]
    message: Option<String>,
    #[serde(default)]
    errors: Value,
}

/// Decodes one answer. `reason` is the reason phrase when it is not the usual one of the status.
pub(crate) fn decode(
    access: Access,
    status: u16,
    reason: Option<&str>,
    body: &[u8],
) -> Result<Reply, Error> {
    if (200..300).contains(&status) {
        let envelope: Envelope = serde_json::from_slice(body)
            .map_err(|error| Error::reply(access, format!("the answer is not JSON: {error}")))?;
        return Ok(Reply {
            data: envelope.data,
            total: envelope.total,
        });
    }
    Err(refusal(access, status, reason, body))
}

fn refusal(access: Access, status: u16, reason: Option<&str>, body: &[u8]) -> Error {
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let text = [refusal.message.as_deref(), reason, name_of(status)]
        .into_iter()
        .flatten()
        .map(one_line)
        .find(|text| !text.is_empty())
        .unwrap_or_else(|| "no reason given".to_owned());
    let fields: BTreeMap<_, _> = match refusal.errors {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let text = lenient::as_text(&value).unwrap_or_else(|| value.to_string());
                (key, text.trim().to_owned())
            })
            .collect(),
        _ => BTreeMap::new(),
    };
    Error::http(access, status, text, fields)
}

fn name_of(status: u16) -> Option<&'static str> {
    match status {
        595 => Some("the node could not be reached"),
        596 => Some("the node did not answer in time"),
        597..=599 => Some("the connection to the node broke"),
        _ => reqwest::StatusCode::from_u16(status)
            .ok()?
            .canonical_reason(),
    }
}
