//! The manifests against the table: normal and build dependencies; what tests use is their own affair.

use super::{KEPT, Knows, Layer, ROOMS, find};
use anyhow::Context as _;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A workspace crate as its manifest has it.
#[derive(Clone, Debug)]
pub(super) struct Crate {
    /// Without `tpm-`.
    pub(super) name: String,
    pub(super) folder: PathBuf,
    /// The crates of ours that it depends on.
    pub(super) ours: Vec<String>,
    /// The crates of others that it depends on.
    pub(super) outside: Vec<String>,
}

/// Reads what `cargo metadata --no-deps` wrote.
///
/// # Errors
/// When its shape is not the known one.
pub(super) fn read(metadata: &Value) -> anyhow::Result<Vec<Crate>> {
    let packages = metadata["packages"]
        .as_array()
        .context("metadata without packages")?;
    packages.iter().map(read_one).collect()
}

fn read_one(package: &Value) -> anyhow::Result<Crate> {
    let name = package["name"]
        .as_str()
        .context("a package without a name")?;
    let manifest = package["manifest_path"]
        .as_str()
        .context("a package without a manifest")?;
    let folder = Path::new(manifest)
        .parent()
        .unwrap_or(Path::new("."))
        .to_path_buf();
    let mut one = Crate {
        name: short(name).to_owned(),
        folder,
        ours: Vec::new(),
        outside: Vec::new(),
    };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        if dependency["kind"] == "dev" {
            continue;
        }
        let name = dependency["name"]
            .as_str()
            .context("a dependency without a name")?;
        match dependency["path"] {
            Value::Null => one.outside.push(name.to_owned()),
            _ => one.ours.push(short(name).to_owned()),
        }
    }
    Ok(one)
}

fn short(package: &str) -> &str {
    package.strip_prefix("tpm-").unwrap_or(package)
}

/// Everything that the table does not allow.
pub(super) fn check(crates: &[Crate]) -> Vec<String> {
    let gone = ROOMS
        .iter()
        .filter(|room| crates.iter().all(|one| one.name != room.name));
    let mut wrong: Vec<String> = gone
        .map(|room| format!("{}: in the table, but there is no such crate", room.name))
        .collect();
    for one in crates {
        wrong.extend(check_one(one));
    }
    wrong
}

fn check_one(one: &Crate) -> Vec<String> {
    let name = &one.name;
    let Some(room) = find(name) else {
        return vec![format!("{name}: no row in the table (xtask/src/layers.rs)")];
    };
    let mut wrong = Vec::new();
    if let Knows::Only(known) = room.knows {
        let strangers = one
            .ours
            .iter()
            .filter(|other| !known.contains(&other.as_str()));
        wrong.extend(strangers.map(|other| format!("{name}: may not know {other}")));
    }
    for outside in &one.outside {
        if room
            .outside
            .is_some_and(|known| !known.contains(&outside.as_str()))
        {
            wrong.push(format!("{name}: may not know the outside crate {outside}"));
            continue;
        }
        let kept = KEPT
            .iter()
            .find(|kept| kept.outside.contains(&outside.as_str()));
        let test = room.layer == Layer::Beside && matches!(room.knows, Knows::Everything);
        if let Some(kept) = kept
            && !kept.rooms.contains(&name.as_str())
            && !test
        {
            let allowed = kept.rooms.join(", ");
            wrong.push(format!("{name}: {outside} is known only to [{allowed}]"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn as_the_table_says() -> Vec<Crate> {
        let one = |name: &str| Crate {
            name: name.to_owned(),
            folder: PathBuf::new(),
            ours: Vec::new(),
            outside: Vec::new(),
        };
        ROOMS.iter().map(|room| one(room.name)).collect()
    }

    fn with(name: &str, ours: &[&str], outside: &[&str]) -> Vec<String> {
        let mut crates = as_the_table_says();
        let one = crates.iter_mut().find(|one| one.name == name).unwrap();
        one.ours = ours.iter().map(ToString::to_string).collect();
        one.outside = outside.iter().map(ToString::to_string).collect();
        check(&crates)
    }

    #[test]
    fn what_the_table_says_is_fine() {
        assert!(check(&as_the_table_says()).is_empty());
        assert!(with("api", &["domain", "app"], &["axum"]).is_empty());
        assert!(with("test-support", &["bootstrap", "jobs"], &["axum", "reqwest"]).is_empty());
    }

    #[test]
    fn a_wrong_edge_is_found() {
        assert_eq!(
            with("app", &["store-seaorm"], &[]),
            ["app: may not know store-seaorm"]
        );
        assert_eq!(
            with("jobs", &["domain", "api"], &[]),
            ["jobs: may not know api"]
        );
    }

    #[test]
    fn a_wrong_outside_crate_is_found() {
        assert_eq!(
            with("domain", &[], &["serde", "tokio"]),
            ["domain: may not know the outside crate tokio"]
        );
        assert_eq!(
            with("jobs", &[], &["sea-orm"]),
            ["jobs: sea-orm is known only to [store-seaorm]"]
        );
        assert_eq!(
            with("xtask", &[], &["reqwest"]),
            ["xtask: reqwest is known only to [pve-client, monitoring, notify, secrets]"]
        );
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_found() {
        let mut crates = as_the_table_says();
        crates[0].name = "utils".to_owned();
        assert_eq!(
            check(&crates),
            [
                "domain: in the table, but there is no such crate",
                "utils: no row in the table (xtask/src/layers.rs)"
            ]
        );
    }

    #[test]
    fn dev_dependencies_are_not_edges() {
        let metadata = json!({ "packages": [{
            "name": "tpm-app",
            "manifest_path": "/w/crates/app/Cargo.toml",
            "dependencies": [
                { "name": "tpm-domain", "kind": null, "path": "/w/crates/domain" },
                { "name": "tpm-store-seaorm", "kind": "dev", "path": "/w/crates/store-seaorm" },
                { "name": "tracing", "kind": null, "path": null },
            ],
        }] });
        let crates = read(&metadata).unwrap();
        assert_eq!(crates[0].ours, ["domain"]);
        assert_eq!(crates[0].outside, ["tracing"]);
        assert_eq!(crates[0].folder, Path::new("/w/crates/app"));
    }
}
