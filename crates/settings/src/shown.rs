//! The settings as they are shown: what holds, and where it came from. A secret is `set` or `unset`.

use config::{Config, ConfigError, Source, Value, ValueKind};
use std::collections::BTreeSet;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The file.
    File,
    /// The environment.
    Environment,
}

impl Origin {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
        }
    }
}

/// A setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Its path: `api.listen`.
    pub key: String,
    /// What holds; of a secret nothing but whether there is one.
    pub value: ShownValue,
    /// Where it came from.
    pub origin: Origin,
}

/// What of a value may be shown.
#[derive(Clone, Debug, PartialEq)]
pub enum ShownValue {
    /// All of it, as it was written.
    Text(String),
    /// A list.
    List(Vec<String>),
    /// That there is a secret, or none.
    Secret(bool),
}

/// Keys whose values are secret. Each is a `SecretString` in the sections.
pub(crate) const SECRETS: [&str; 12] = [
    "auth.admin_password",
    "database.url",
    "worker.metrics_token",
    "security.mark_key",
    "security.state_key",
    "secrets.master_key",
    "vault.secret_id",
    "vault.password",
    "proxmox.token_secret",
    "proxmox.password",
    "monitoring.prometheus_token",
    "monitoring.grafana_token",
];

fn flat(prefix: &str, value: &Value, all: &mut Vec<(String, Value)>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (name, value) in table {
                let path = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                flat(&path, value, all);
            }
        }
        _ => all.push((prefix.to_owned(), value.clone())),
    }
}

fn keys(config: &Config) -> Result<Vec<(String, Value)>, ConfigError> {
    let mut all = Vec::new();
    for (name, value) in config.collect()? {
        flat(&name, &value, &mut all);
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn text(value: &Value) -> ShownValue {
    match &value.kind {
        ValueKind::Array(items) => ShownValue::List(items.iter().map(Value::to_string).collect()),
        _ => ShownValue::Text(value.to_string()),
    }
}

/// All settings, by key. The layers are told apart by which of them has a key.
pub(crate) fn shown(
    whole: &Config,
    file: &Config,
    environment: &Config,
) -> Result<Vec<Shown>, ConfigError> {
    let names = |layer: &Config| -> Result<BTreeSet<String>, ConfigError> {
        Ok(keys(layer)?.into_iter().map(|(key, _)| key).collect())
    };
    let (file, environment) = (names(file)?, names(environment)?);
    Ok(keys(whole)?
        .into_iter()
        .map(|(key, value)| {
            let origin = if environment.contains(&key) {
                Origin::Environment
            } else if file.contains(&key) {
                Origin::File
            } else {
                Origin::Default
            };
            let value = if SECRETS.contains(&key.as_str()) {
                ShownValue::Secret(!value.to_string().is_empty())
            } else {
                text(&value)
            };
            Shown { key, value, origin }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that is secret in the sections and not in the list would be shown.
    #[test]
    fn every_secret_of_the_sections_is_one_here() {
        let sources = [
            include_str!("sections.rs"),
            include_str!("sections/outward.rs"),
        ];
        let mut found: Vec<&str> = sources
            .into_iter()
            .flat_map(str::lines)
            .filter_map(|line| {
                line.trim()
                    .strip_prefix("pub ")?
                    .strip_suffix(": SecretString,")
            })
            .collect();
        let mut listed: Vec<&str> = SECRETS
            .iter()
            .filter_map(|key| key.rsplit('.').next())
            .collect();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    /// Another file of sections would have to be looked at above.
    #[test]
    fn every_file_of_the_sections_is_looked_at() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sections");
        let files = std::fs::read_dir(folder).expect("the folder");
        let names = files.map(|file| file.expect("an entry").file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["outward.rs"]);
    }
}
