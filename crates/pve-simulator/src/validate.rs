//! Parameter verification in PVE's order and with PVE's texts.
//!
//! Type, format, pattern, length, range, enumeration; the first failure of a parameter counts.
//! Whether a guest or a storage exists is none of its business.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex::Regex;
use serde_json::Value;

use crate::answer::Failure;
use crate::params::{Params, Raw, split_list};
use crate::property;
use crate::schema::Endpoint;

const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";
const MISSING: &str = "property is missing and it is not optional";

/// Checks every parameter of a request and brings lists into one shape.
pub(crate) fn verify(endpoint: &Endpoint, params: Params) -> Result<Params, Failure> {
    let mut errors = BTreeMap::new();
    let mut verified = Params::default();
    for (name, raw) in params.0 {
        let Some(spec) = endpoint.param(&name) else {
            if endpoint.refuses_unknown() {
                errors.insert(name, UNKNOWN.to_owned());
            } else {
                verified.0.insert(name, raw);
            }
            continue;
        };
        match parameter(&name, spec, raw) {
            Ok(raw) => {
                verified.0.insert(name, raw);
            }
            Err(text) => {
                errors.insert(name, text);
            }
        }
    }
    for (name, spec) in &endpoint.params {
        let is_required = spec["optional"].as_u64() != Some(1) && !name.ends_with("[n]");
        if is_required && !verified.0.contains_key(name) && !errors.contains_key(name) {
            errors.insert(name.clone(), MISSING.to_owned());
        }
        if let Some(other) = spec["requires"].as_str()
            && verified.0.contains_key(name)
            && !verified.0.contains_key(other)
        {
            errors.insert(
                other.to_owned(),
                format!("missing property - '{name}' requires this property"),
            );
        }
    }
    if errors.is_empty() {
        Ok(verified)
    } else {
        Err(Failure::params(errors))
    }
}

fn parameter(name: &str, spec: &Value, raw: Raw) -> Result<Raw, String> {
    let kind = spec["type"].as_str().unwrap_or("string");
    let format = spec["format"].as_str().unwrap_or_default();
    let raw = match raw {
        Raw::Many(items) if kind == "array" => {
            for item in &items {
                if let Some(text) = scalar(&spec["items"], item) {
                    return Err(text);
                }
            }
            return Ok(Raw::Many(items));
        }
        Raw::One(text) if kind == "array" => return Ok(Raw::Many(vec![text])),
        Raw::Many(items) if format.ends_with("-list") => Raw::One(items.join(",")),
        Raw::Many(_) => return Err(format!("type check ('{kind}') failed - got ARRAY")),
        other => other,
    };
    let Raw::One(mut text) = raw else {
        return Ok(Raw::Undefined);
    };
    if kind == "boolean" {
        match text.as_str() {
            "true" => "1".clone_into(&mut text),
            "false" => "0".clone_into(&mut text),
            _ => {}
        }
    }
    if let Value::Object(keys) = &spec["format"]
        && let Err(errors) = property::parse(keys, &text)
    {
        let lines: Vec<String> = errors
            .iter()
            .map(|(key, text)| format!("{name}.{key}: {text}\n"))
            .collect();
        return Err(format!("invalid format - format error\n{}", lines.concat()));
    }
    scalar(spec, &text).map_or(Ok(Raw::One(text)), Err)
}

/// Checks one scalar; `None` is success.
pub(crate) fn scalar(spec: &Value, text: &str) -> Option<String> {
    let kind = spec["type"].as_str().unwrap_or("string");
    let is_typed = match kind {
        "integer" => {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        }
        "number" => text.parse::<f64>().is_ok(),
        "boolean" => matches!(text, "0" | "1"),
        _ => true,
    };
    if !is_typed {
        return Some(format!("type check ('{kind}') failed - got '{text}'"));
    }
    if let Some(name) = spec["format"].as_str()
        && let Err(problem) = format(name, text)
    {
        return Some(format!("invalid format - {problem}\n"));
    }
    if let Some(pattern) = spec["pattern"].as_str()
        && let Ok(regex) = Regex::new(&format!("^(?:{})$", pattern.replace("(?^:", "(?:")))
        && !regex.is_match(text)
    {
        return Some("value does not match the regex pattern".into());
    }
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    if let Some(longest) = spec["maxLength"].as_u64().filter(|n| length > *n) {
        return Some(format!("value may only be {longest} characters long"));
    }
    if let Some(shortest) = spec["minLength"].as_u64().filter(|n| length < *n) {
        return Some(format!("value must be at least {shortest} characters long"));
    }
    if matches!(kind, "integer" | "number") {
        let value: f64 = text.parse().unwrap_or_default();
        if spec["maximum"].as_f64().is_some_and(|most| value > most) {
            return Some(format!(
                "value must have a maximum value of {}",
                spec["maximum"]
            ));
        }
        if spec["minimum"].as_f64().is_some_and(|least| value < least) {
            return Some(format!(
                "value must have a minimum value of {}",
                spec["minimum"]
            ));
        }
    }
    if let Value::Array(choices) = &spec["enum"] {
        let names: Vec<String> = choices
            .iter()
            .map(|choice| {
                choice
                    .as_str()
                    .map_or_else(|| choice.to_string(), str::to_owned)
            })
            .collect();
        if !names.iter().any(|choice| choice == text) {
            return Some(format!(
                "value '{text}' does not have a value in the enumeration '{}'",
                names.join(", ")
            ));
        }
    }
    None
}

/// The named formats; unknown names accept everything.
fn format(name: &str, text: &str) -> Result<(), String> {
    if let Some(item_format) = name.strip_suffix("-list")
        && name != "pve-tag-list"
    {
        return split_list(text)
            .iter()
            .try_for_each(|item| format(item_format, item));
    }
    let (valid, problem) = match name {
        "pve-vmid" => (
            text.parse::<u32>()
                .is_ok_and(|id| (100..=999_999_999).contains(&id)),
            "value does not look like a valid VM ID".to_owned(),
        ),
        "pve-node" => (
            is_label(text),
            "value does not look like a valid node name".to_owned(),
        ),
        "pve-storage-id" => (
            is_word(text, "-_.")
                && text.len() > 1
                && text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.ends_with(|c: char| c.is_ascii_alphanumeric()),
            format!("storage ID '{text}' contains illegal characters"),
        ),
        "pve-configid" => (
            is_word(text, "-_")
                && text.len() > 1
                && text.starts_with(|c: char| c.is_ascii_alphabetic()),
            format!("invalid configuration ID '{text}'"),
        ),
        "dns-name" => (
            !text.is_empty() && text.split('.').all(is_label),
            "value does not look like a valid DNS name".to_owned(),
        ),
        "pve-tag-list" => (
            split_list(text).iter().all(|tag| {
                is_word(tag, "-_+.")
                    && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            }),
            "invalid characters in tag".to_owned(),
        ),
        "mac-addr" => (
            is_mac(text),
            "value does not look like a valid unicast MAC address".to_owned(),
        ),
        "disk-size" => (
            parse_size(text).is_some(),
            "value does not look like a valid disk size".to_owned(),
        ),
        "urlencoded" => (
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-%_.!~*'()".contains(&b)),
            "invalid urlencoded string".to_owned(),
        ),
        "pve-qm-ipconfig" => return ipconfig(text),
        "ip" | "address" => (
            text.parse::<IpAddr>().is_ok(),
            "value does not look like a valid IP address".to_owned(),
        ),
        "pve-userid" => (
            text.rsplit_once('@')
                .is_some_and(|(user, realm)| !user.is_empty() && !realm.is_empty()),
            format!("value '{text}' does not look like a valid user name"),
        ),
        "pve-poolid" => (
            !text.is_empty()
                && text.split('/').all(|part| is_word(part, "-_."))
                && text.split('/').count() <= 3,
            format!("value '{text}' does not look like a valid pool name"),
        ),
        "pve-bridge-id" => (is_word(text, "-_.:"), format!("invalid bridge ID '{text}'")),
        "pve-volume-id" => (
            text.contains(':'),
            format!("unable to parse volume ID '{text}'"),
        ),
        _ => (true, String::new()),
    };
    if valid { Ok(()) } else { Err(problem) }
}

fn ipconfig(text: &str) -> Result<(), String> {
    let properties = property::read(text, "ip");
    let mut problems = String::new();
    for (key, value) in &properties {
        let valid = match key.as_str() {
            "ip" => value == "dhcp" || is_cidr::<Ipv4Addr>(value, 32),
            "ip6" => value == "dhcp" || value == "auto" || is_cidr::<Ipv6Addr>(value, 128),
            "gw" => value.parse::<Ipv4Addr>().is_ok(),
            "gw6" => value.parse::<Ipv6Addr>().is_ok(),
            _ => {
                problems.push_str(&format!("{key}: {UNKNOWN}\n"));
                continue;
            }
        };
        if !valid {
            let kind = if key.ends_with('6') { "IPv6" } else { "IPv4" };
            let what = if key.starts_with("gw") {
                "address"
            } else {
                "network configuration"
            };
            problems.push_str(&format!(
                "{key}: invalid format - value does not look like a valid {kind} {what}\n\n"
            ));
        }
    }
    for (gateway, address) in [("gw", "ip"), ("gw6", "ip6")] {
        if properties.contains_key(gateway) && !properties.contains_key(address) {
            problems.push_str(&format!(
                "{address}: missing property required by '{gateway}'\n"
            ));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("format error\n{}", problems.trim_end()))
    }
}

fn is_cidr<A: std::str::FromStr>(text: &str, longest: u8) -> bool {
    text.split_once('/').is_some_and(|(address, prefix)| {
        address.parse::<A>().is_ok() && prefix.parse::<u8>().is_ok_and(|n| n <= longest)
    })
}

fn is_label(text: &str) -> bool {
    is_word(text, "-") && !text.starts_with('-') && !text.ends_with('-')
}

fn is_word(text: &str, extra: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
}

fn is_mac(text: &str) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    bytes.len() == 6
        && bytes
            .iter()
            .all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok())
        && u8::from_str_radix(bytes[0], 16).is_ok_and(|first| first & 1 == 0)
}

/// `10G`, `512M`, `1.5T`, plain bytes; a leading `+` is the caller's business.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, factor) = match text.chars().last()? {
        'K' => (&text[..text.len() - 1], 1_u64 << 10),
        'M' => (&text[..text.len() - 1], 1 << 20),
        'G' => (&text[..text.len() - 1], 1 << 30),
        'T' => (&text[..text.len() - 1], 1 << 40),
        _ => (text, 1),
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let value: f64 = number.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "sizes are far below 2^53"
    )]
    Some((value * factor as f64) as u64)
}

/// The largest unit that divides exactly, as PVE prints sizes.
pub(crate) fn print_size(bytes: u64) -> String {
    for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
        let factor = 1_u64 << shift;
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_in_the_largest_exact_unit() {
        assert_eq!(print_size(10_752 << 20), "10752M");
        assert_eq!(print_size(11 << 30), "11G");
        assert_eq!(parse_size("1.5G"), Some(1536 << 20));
        assert_eq!(parse_size("x"), None);
    }

    #[test]
    fn a_gateway_needs_an_address() {
        assert!(format("pve-qm-ipconfig", "gw=10.0.0.1").is_err());
        assert!(format("pve-qm-ipconfig", "ip=10.0.0.5/24,gw=10.0.0.1").is_ok());
        assert!(format("pve-qm-ipconfig", "ip=dhcp,gw=10.0.0.1").is_ok());
    }
}
