//! `sbom`: what each program is built of on a machine like this one, as CycloneDX.

use crate::{tool, workspace};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the tool writes beside each manifest.
const LEFT: &str = "sbom-of-the-chore";
/// What people run.
const SHIPPED: [&str; 2] = ["tpm-bin-api", "tpm-bin-worker"];

/// Writes `PROGRAM.cdx.json` for each program into a folder.
///
/// # Errors
/// When the tool cannot be had, or what it writes lacks a package.
pub(crate) fn run(to: &Path) -> anyhow::Result<()> {
    let folders = folders()?;
    let written = written(&folders, to);
    for (_, folder) in &folders {
        fs::remove_file(folder.join(format!("{LEFT}.json"))).ok();
    }
    for path in written? {
        println!("{}", path.display());
    }
    Ok(())
}

/// The members and where each is.
fn folders() -> anyhow::Result<Vec<(String, PathBuf)>> {
    let metadata = workspace::metadata()?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let member = |package: &Value| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        let name = package["name"].as_str()?.to_owned();
        Some((name, manifest.parent()?.to_owned()))
    };
    Ok(packages.iter().filter_map(member).collect())
}

fn written(folders: &[(String, PathBuf)], to: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut cargo = workspace::cargo();
    let program = tool::CYCLONEDX.program()?;
    // As cargo runs it.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = program.parent().map(Path::to_owned).into_iter();
    let path = std::env::join_paths(own.chain(std::env::split_paths(&path)))?;
    cargo.env("PATH", path).args([
        "cyclonedx",
        "--format",
        "json",
        "--spec-version",
        "1.5",
        "--override-filename",
        LEFT,
    ]);
    workspace::output(&mut cargo)?;
    fs::create_dir_all(to)?;
    let mut all = Vec::new();
    for package in SHIPPED {
        let folder = folders.iter().find(|(name, _)| name == package);
        let (_, folder) = folder.with_context(|| format!("there is no {package}"))?;
        let text = fs::read_to_string(folder.join(format!("{LEFT}.json")))
            .with_context(|| format!("nothing was written of {package}"))?;
        let lacking = lacking(&text, &linked(package)?)?;
        ensure!(
            lacking.is_empty(),
            "{package}: without {}",
            lacking.join(", ")
        );
        let path = to.join(format!("{package}.cdx.json"));
        fs::write(&path, text)?;
        all.push(path);
    }
    Ok(all)
}

/// What a program is linked from, by cargo's own account: `name version`.
fn linked(package: &str) -> anyhow::Result<BTreeSet<(String, String)>> {
    let mut tree = workspace::cargo();
    tree.args(["tree", "--package", package, "--edges", "normal"]);
    tree.args(["--prefix", "none"]);
    let text = workspace::output(&mut tree)?;
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some((name.to_owned(), version.to_owned()))
    };
    let own = |(name, _): &(String, String)| name != package;
    Ok(text.lines().filter_map(line).filter(own).collect())
}

/// Those that a bill of materials does not name.
fn lacking(bill: &str, wanted: &BTreeSet<(String, String)>) -> anyhow::Result<Vec<String>> {
    let bill: Value = serde_json::from_str(bill).context("not JSON")?;
    let components = bill["components"].as_array().context("no components")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let named: BTreeSet<_> = components
        .iter()
        .map(|one| (text(&one["name"]), text(&one["version"])))
        .collect();
    let lacking = wanted.difference(&named);
    Ok(lacking
        .map(|(name, version)| format!("{name} {version}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_lacking() -> anyhow::Result<()> {
        let bill = r#"{"components":[{"name":"serde","version":"1.0.1"}]}"#;
        let one = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let wanted = BTreeSet::from([one("serde", "1.0.1"), one("serde", "1.0.2")]);
        assert_eq!(lacking(bill, &wanted)?, ["serde 1.0.2"]);
        assert!(lacking("{}", &wanted).is_err());
        Ok(())
    }
}
