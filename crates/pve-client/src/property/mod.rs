//! PVE's property strings: `key=value,key=value` inside one option.
//!
//! They have no escape, so a comma in a value would become another key. The builders refuse that. Parsing
//! keeps every key, known or not, so that reading, changing one thing and writing back loses nothing.

mod agent;
mod disk;
mod ip_config;
mod net;

use std::fmt;

pub use agent::{AgentKind, AgentOption};
pub use disk::Disk;
pub(crate) use disk::format_size;
pub use ip_config::{IpConfig, Ipv4Setting, Ipv6Setting};
pub use net::{MacAddr, Net};

/// A value that would not survive, or a property string that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not valid for {property}")]
pub struct PropertyError {
    property: String,
    value: String,
}

impl PropertyError {
    pub(crate) fn new(property: &str, value: &str) -> Self {
        Self {
            property: property.to_owned(),
            value: value.chars().take(200).collect(),
        }
    }
}

/// The value of one key in a property string; with `default`, a part without a key counts as well.
pub(crate) fn sub_value<'a>(text: &'a str, key: &str, default: bool) -> Option<&'a str> {
    text.split(',').find_map(|part| match part.split_once('=') {
        Some((found, value)) => (found.trim() == key).then_some(value.trim()),
        None => (default && !part.trim().is_empty()).then_some(part.trim()),
    })
}

/// The parts of a property string in order. The part without a key comes under `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts(Vec<(String, String)>);

impl Parts {
    pub(crate) fn parse(
        property: &str,
        default: Option<&str>,
        text: &str,
    ) -> Result<Self, PropertyError> {
        let bad = |part: &str| PropertyError::new(property, part);
        if text.chars().any(char::is_control) {
            return Err(bad(text));
        }
        let mut parts = Self::default();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (key, value) = match (part.split_once('='), default) {
                (Some((key, value)), _) => (key.trim(), value.trim()),
                (None, Some(key)) => (key, part),
                (None, None) => return Err(bad(part)),
            };
            if key.is_empty() || parts.get(key).is_some() {
                return Err(bad(part));
            }
            parts.0.push((key.to_owned(), value.to_owned()));
        }
        Ok(parts)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.remove(index).1)
    }

    pub(crate) fn take_flag(
        &mut self,
        property: &str,
        key: &str,
    ) -> Result<Option<bool>, PropertyError> {
        self.take_as(property, key, parse_flag)
    }

    pub(crate) fn take_as<T>(
        &mut self,
        property: &str,
        key: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, PropertyError> {
        let Some(text) = self.take(key) else {
            return Ok(None);
        };
        read(&text)
            .map(Some)
            .ok_or_else(|| PropertyError::new(property, &format!("{key}={text}")))
    }

    /// Sets a key to a value that holds nothing the syntax is made of.
    pub(crate) fn set(
        &mut self,
        property: &str,
        key: &str,
        value: &str,
    ) -> Result<(), PropertyError> {
        check_value(property, value)?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if key.is_empty() || !key.bytes().all(plain) {
            return Err(PropertyError::new(property, key));
        }
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some(entry) => entry.1 = value.to_owned(),
            None => self.0.push((key.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    pub(crate) fn write(&self, out: &mut Writer<'_, '_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(key, value)| out.pair(key, value))
    }
}

/// Refuses an empty value, and one with `,`, `=` or a control character.
pub(crate) fn check_value(property: &str, value: &str) -> Result<(), PropertyError> {
    let bad = |c: char| matches!(c, ',' | '=') || c.is_control();
    if value.is_empty() || value.trim() != value || value.contains(bad) {
        return Err(PropertyError::new(property, value));
    }
    Ok(())
}

pub(crate) fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// Prints parts with commas between them.
pub(crate) struct Writer<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    first: bool,
}

impl<'a, 'b> Writer<'a, 'b> {
    pub(crate) fn new(out: &'a mut fmt::Formatter<'b>) -> Self {
        Self { out, first: true }
    }

    pub(crate) fn bare(&mut self, value: impl fmt::Display) -> fmt::Result {
        let lead = if std::mem::take(&mut self.first) {
            ""
        } else {
            ","
        };
        write!(self.out, "{lead}{value}")
    }

    pub(crate) fn pair(&mut self, key: &str, value: impl fmt::Display) -> fmt::Result {
        self.bare(format_args!("{key}={value}"))
    }

    pub(crate) fn maybe(&mut self, key: &str, value: Option<impl fmt::Display>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.pair(key, value))
    }

    pub(crate) fn flag(&mut self, key: &str, value: Option<bool>) -> fmt::Result {
        self.maybe(key, value.map(u8::from))
    }
}
