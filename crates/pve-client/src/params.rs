//! Paths and parameters as they go on the wire.
//!
//! PVE splits a form at `&` and `;` and each pair at *every* `=`, and decodes a path before it splits it.
//! So everything but letters, digits and `-._~` is percent-encoded here, and a path segment that could
//! turn into another path is refused.

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use crate::{classify::Access, error::Error};

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Percent-encodes everything but unreserved characters.
pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The four methods PVE knows. Any other is answered with 501.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, and starts tasks.
    Post,
    /// Changes.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// Whether a call with this method can change anything.
    #[must_use]
    pub fn access(self) -> Access {
        if self == Self::Get {
            Access::Read
        } else {
            Access::Write
        }
    }

    /// `GET` and `DELETE` carry their parameters in the query; PVE refuses a body there.
    pub(crate) fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put)
    }

    pub(crate) fn http(self) -> reqwest::Method {
        match self {
            Self::Get => reqwest::Method::GET,
            Self::Post => reqwest::Method::POST,
            Self::Put => reqwest::Method::PUT,
            Self::Delete => reqwest::Method::DELETE,
        }
    }
}

/// A path below `/api2/json`, every segment encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiPath(String);

impl ApiPath {
    /// Builds a path from its segments, for example `["nodes", "pve", "qemu"]`.
    ///
    /// # Errors
    /// Refuses an empty segment, `.`, `..`, and any segment with `/`, `\` or a control character: PVE
    /// decodes before it splits, so an encoded slash would still separate.
    pub fn new<I, S>(segments: I) -> Result<Self, Error>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut path = Self::default();
        for segment in segments {
            path.push(segment.as_ref())?;
        }
        Ok(path)
    }

    fn push(&mut self, segment: &str) -> Result<(), Error> {
        let bad = segment.is_empty()
            || matches!(segment, "." | "..")
            || segment.contains(|c: char| matches!(c, '/' | '\\') || c.is_control());
        if bad {
            return Err(Error::refused(format!(
                "{segment:?} cannot be a part of a path"
            )));
        }
        self.0.push('/');
        self.0.push_str(&percent_encode(segment));
        Ok(())
    }

    /// Appends a volume id, the one place where PVE takes slashes.
    pub(crate) fn volume(mut self, volid: &str) -> Result<Self, Error> {
        let bad = volid.is_empty()
            || volid.contains(|c: char| c == '\\' || c.is_control())
            || volid.split('/').any(str::is_empty)
            || volid
                .split(['/', ':'])
                .any(|part| matches!(part, "." | ".."));
        if bad {
            return Err(Error::refused(format!("{volid:?} is not a volume id")));
        }
        self.0.push('/');
        self.0.push_str(&percent_encode(volid));
        Ok(self)
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a node name (letters, digits, inner hyphens) before it becomes part of a path.
pub(crate) fn node_path(node: &str, rest: &[&str]) -> Result<ApiPath, Error> {
    let ok = !node.is_empty()
        && node.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !node.starts_with('-')
        && !node.ends_with('-');
    if !ok {
        return Err(Error::refused(format!("{node:?} is not a node name")));
    }
    ApiPath::new(["nodes", node].into_iter().chain(rest.iter().copied()))
}

pub(crate) fn guest_path(node: &str, vmid: u32, rest: &[&str]) -> Result<ApiPath, Error> {
    let vmid = vmid.to_string();
    let mut parts = vec!["qemu", vmid.as_str()];
    parts.extend_from_slice(rest);
    node_path(node, &parts)
}

#[derive(Clone)]
enum Value {
    Plain(String),
    Secret(SecretString),
}

/// The parameters of a call, in the order they were set. `Debug` shows no secret.
#[derive(Clone, Default)]
pub struct Params(Vec<(Cow<'static, str>, Value)>);

impl Params {
    /// No parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a parameter, replacing an earlier value: PVE would read a repeated key as an array.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        self.set(key, value);
        self
    }

    /// Sets a parameter if there is a value for it.
    #[must_use]
    pub fn maybe(self, key: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Sets a flag to `1` or `0`.
    #[must_use]
    pub fn flag(self, key: &'static str, value: bool) -> Self {
        self.with(key, u8::from(value))
    }

    /// As [`Params::with`], in place.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) {
        self.put(key.into(), Value::Plain(value.to_string()));
    }

    /// Sets a parameter that must never be printed.
    pub fn set_secret(&mut self, key: impl Into<Cow<'static, str>>, value: SecretString) {
        self.put(key.into(), Value::Secret(value));
    }

    /// Adds a value under a key that may have some already: PVE reads a repeated key as an array.
    #[must_use]
    pub fn and(mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        self.0.push((key.into(), Value::Plain(value.to_string())));
        self
    }

    fn put(&mut self, key: Cow<'static, str>, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => self.0.push((key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.0.retain(|(known, _)| known != key);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of all parameters.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_ref())
    }

    /// The value of a parameter that is not secret.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|(known, value)| match value {
            Value::Plain(value) if known == key => Some(value.as_str()),
            _ => None,
        })
    }

    /// The form, `key=value` joined by `&`, everything but unreserved characters encoded.
    pub(crate) fn encode(&self) -> String {
        let mut form = String::new();
        for (key, value) in &self.0 {
            if !form.is_empty() {
                form.push('&');
            }
            let value = match value {
                Value::Plain(value) => value.as_str(),
                Value::Secret(value) => value.expose_secret(),
            };
            form.extend(utf8_percent_encode(key, ENCODED));
            form.push('=');
            form.extend(utf8_percent_encode(value, ENCODED));
        }
        form
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (key, value) in &self.0 {
            match value {
                Value::Plain(value) => map.entry(key, value),
                Value::Secret(_) => map.entry(key, &"[redacted]"),
            };
        }
        map.finish()
    }
}
