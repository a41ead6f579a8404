//! The endpoints this simulator knows: paths, parameters, permissions, taken from PVE's own schema.
//!
//! An endpoint that is not listed in `data/endpoints.json` is answered as not implemented.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::params::{Params, Raw};

/// One method on one path template.
#[derive(Debug, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) path: String,
    pub(crate) method: String,
    pub(crate) params: BTreeMap<String, Value>,
    #[serde(default, rename = "additionalProperties")]
    pub(crate) additional: Value,
    #[serde(default)]
    pub(crate) permissions: Permissions,
    #[serde(default)]
    protected: u8,
    /// The parameter that names the node which executes the call.
    pub(crate) proxyto: Option<String>,
    #[serde(default)]
    allowtoken: u8,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Permissions {
    pub(crate) check: Option<Value>,
    pub(crate) user: Option<String>,
}

impl Endpoint {
    /// Runs in the daemon with the three workers.
    pub(crate) fn is_protected(&self) -> bool {
        self.protected == 1
    }

    pub(crate) fn allows_tokens(&self) -> bool {
        self.allowtoken == 1
    }

    pub(crate) fn is_public(&self) -> bool {
        self.permissions.user.as_deref() == Some("world")
    }

    pub(crate) fn refuses_unknown(&self) -> bool {
        self.additional == 0
    }

    /// The description of a parameter; `net3` finds `net[n]` when the index is in range.
    pub(crate) fn param(&self, name: &str) -> Option<&Value> {
        self.params.get(name).or_else(|| {
            let (base, index) = split_index(name)?;
            let spec = self.params.get(&format!("{base}[n]"))?;
            (index <= highest_index(base)).then_some(spec)
        })
    }
}

/// `scsi12` → (`scsi`, 12); `None` without digits at the end or with leading zeros.
pub(crate) fn split_index(name: &str) -> Option<(&str, u32)> {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &name[base.len()..];
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((base, digits.parse().ok()?))
}

fn highest_index(base: &str) -> u32 {
    match base {
        "net" | "ipconfig" => 31,
        "scsi" => 30,
        "virtio" | "hostpci" => 15,
        "sata" => 5,
        "ide" | "serial" => 3,
        "unused" => 255,
        "usb" => 13,
        "parallel" => 2,
        "numa" => 7,
        "virtiofs" => 9,
        _ => 0,
    }
}

static ENDPOINTS: LazyLock<Vec<Endpoint>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/endpoints.json")).unwrap_or_default()
});

/// The endpoint that describes a guest's options.
pub(crate) fn guest_options() -> Option<&'static Endpoint> {
    static FOUND: LazyLock<Option<&'static Endpoint>> = LazyLock::new(|| {
        let is_it = |endpoint: &&Endpoint| {
            endpoint.method == "PUT" && endpoint.path == "/nodes/{node}/qemu/{vmid}/config"
        };
        ENDPOINTS.iter().find(is_it)
    });
    *FOUND
}

/// Finds the endpoint for a decoded path and returns the values of its placeholders.
pub(crate) fn find(method: &str, segments: &[String]) -> Option<(&'static Endpoint, Params)> {
    ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.method == method)
        .filter_map(|endpoint| {
            let (literals, params) = match_path(&endpoint.path, segments)?;
            Some((literals, endpoint, params))
        })
        .max_by_key(|(literals, ..)| *literals)
        .map(|(_, endpoint, params)| (endpoint, params))
}

/// The names below a path, for the index calls.
pub(crate) fn children(segments: &[String]) -> Option<Vec<&'static str>> {
    let mut names: Vec<&'static str> = ENDPOINTS
        .iter()
        .filter_map(|endpoint| {
            let mut template = endpoint.path.split('/').filter(|part| !part.is_empty());
            for segment in segments {
                let part = template.next()?;
                if part != segment && !part.starts_with('{') {
                    return None;
                }
            }
            template.next()
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    let is_index = !names.is_empty() && names.iter().all(|name| !name.starts_with('{'));
    is_index.then_some(names)
}

fn match_path(template: &str, segments: &[String]) -> Option<(usize, Params)> {
    let parts: Vec<&str> = template
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let mut params = Params::default();
    let mut literals = 0;
    for (at, part) in parts.iter().enumerate() {
        let segment = segments.get(at)?;
        match part
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some("volume") => {
                params
                    .0
                    .insert("volume".into(), Raw::One(segments[at..].join("/")));
                return Some((literals, params));
            }
            Some(name) => params.insert(name, segment),
            None if part == segment => literals += 1,
            None => return None,
        }
    }
    (parts.len() == segments.len()).then_some((literals, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('/')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn volume_ids_may_contain_slashes() {
        let (endpoint, params) = find(
            "DELETE",
            &path("/nodes/pve/storage/local/content/local:iso/x.iso"),
        )
        .expect("known");
        assert!(endpoint.is_protected());
        assert_eq!(params.get("volume"), Some("local:iso/x.iso"));
    }

    #[test]
    fn indexed_options_have_limits() {
        let (endpoint, _) = find("PUT", &path("/nodes/pve/qemu/100/config")).expect("known");
        assert!(endpoint.param("net31").is_some());
        assert!(endpoint.param("net32").is_none());
        assert!(endpoint.param("net01").is_none());
    }
}
