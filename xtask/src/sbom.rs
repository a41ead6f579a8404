//! `sbom`: what the two processes of the product are built from, as one CycloneDX document. What cargo-cyclonedx
//! writes beside each manifest is taken away again.

use crate::tools::Tool;
use crate::workspace;
use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reads the graph of dependencies.
const CYCLONEDX: Tool = Tool {
    name: "cargo-cyclonedx",
    version: "0.5.9",
};
/// The processes that are installed.
const PACKAGES: [&str; 2] = ["tpm-bin-api", "tpm-bin-worker"];
/// Of the document.
const SPECIFICATION: &str = "1.5";

/// Writes the document; to `target/sbom.cdx.json` when nothing else is said.
///
/// # Errors
/// When the tool cannot be built or run, or left out a package that is linked.
pub(crate) fn run(to: Option<PathBuf>) -> anyhow::Result<()> {
    let to = match to {
        Some(to) => to,
        None => workspace::target()?.join("sbom.cdx.json"),
    };
    let tool = CYCLONEDX.program()?;
    let metadata = workspace::metadata()?;
    let name = format!("sbom-{}.cdx", std::process::id());
    let result = read(&tool, &metadata, &name);
    for folder in folders(&metadata) {
        let left = folder.join(format!("{name}.json"));
        if left.exists() {
            fs::remove_file(left)?;
        }
    }
    let document = merged(result?)?;
    let mut cargo = workspace::cargo();
    cargo.args(["tree", "--edges", "normal", "--prefix", "none", "--locked"]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    let missing = left_out(&workspace::output(&mut cargo)?, &document);
    if !missing.is_empty() {
        bail!("not in the document: {}", missing.join(", "));
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(&document)?;
    // The machine's own folders say nothing to who reads it.
    let ours = format!("file://{}/", workspace::root().display());
    fs::write(&to, text.replace(&ours, "file:///") + "\n")
        .with_context(|| format!("cannot write {}", to.display()))?;
    let components = document["components"].as_array().map_or(0, Vec::len);
    println!("{}: {components} components", to.display());
    Ok(())
}

/// The folders of the members: the tool writes into each.
fn folders(metadata: &Value) -> Vec<PathBuf> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter_map(|package| package["manifest_path"].as_str())
        .filter_map(|manifest| Path::new(manifest).parent())
        .map(Path::to_path_buf)
        .collect()
}

/// One document for each process.
fn read(tool: &Path, metadata: &Value, name: &str) -> anyhow::Result<Vec<Value>> {
    let mut command = Command::new(tool);
    command.current_dir(workspace::root()).args([
        "cyclonedx",
        "--quiet",
        "--format",
        "json",
        "--spec-version",
        SPECIFICATION,
        "--override-filename",
        name,
    ]);
    workspace::run(&mut command)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| PACKAGES.iter().any(|name| package["name"] == *name))
        .filter_map(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .map(|folder| {
            let file = folder.join(format!("{name}.json"));
            let text = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            serde_json::from_str(&text).with_context(|| format!("cannot read {}", file.display()))
        })
        .collect()
}

/// One document of all: the product, which has the processes, which have the rest.
fn merged(documents: Vec<Value>) -> anyhow::Result<Value> {
    let mut whole = documents.first().context("no document")?.clone();
    let (mut roots, mut components, mut dependencies) = (Map::new(), Map::new(), Map::new());
    for document in &documents {
        let root = &document["metadata"]["component"];
        let reference = root["bom-ref"].as_str().unwrap_or_default();
        roots.insert(reference.to_owned(), root.clone());
        keep(&mut components, &document["components"], "bom-ref");
        keep(&mut dependencies, &document["dependencies"], "ref");
    }
    let product = "terraform-proxmox-manager";
    let on: Vec<&String> = roots.keys().collect();
    dependencies.insert(product.into(), json!({ "ref": product, "dependsOn": on }));
    components.extend(roots);
    let version = whole["metadata"]["component"]["version"].clone();
    whole["metadata"]["component"] = json!({
        "type": "application",
        "bom-ref": product,
        "name": product,
        "version": version,
        "licenses": [{ "expression": "Apache-2.0" }],
    });
    whole["components"] = components.into_iter().map(|(_, one)| one).collect();
    whole["dependencies"] = dependencies.into_iter().map(|(_, one)| one).collect();
    Ok(whole)
}

/// Adds the entries of a list, each once.
fn keep(all: &mut Map<String, Value>, entries: &Value, name: &str) {
    for entry in entries.as_array().into_iter().flatten() {
        let reference = entry[name].as_str().unwrap_or_default();
        all.entry(reference).or_insert_with(|| entry.clone());
    }
}

/// What the lines of `cargo tree` (`name v1.2.3 …`) have and the document has not.
fn left_out(tree: &str, document: &Value) -> Vec<String> {
    let components = document["components"].as_array().into_iter().flatten();
    let there: BTreeSet<(&str, &str)> = components
        .filter_map(|one| Some((one["name"].as_str()?, one["version"].as_str()?)))
        .collect();
    let mut missing = BTreeSet::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            let version = version.trim_start_matches('v');
            if !there.contains(&(name, version)) {
                missing.insert(format!("{name} {version}"));
            }
        }
    }
    missing.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(package: &str, on: &[&str]) -> Value {
        let components: Vec<Value> = on
            .iter()
            .map(|name| json!({ "bom-ref": name, "name": name, "version": "1.0.0" }))
            .collect();
        json!({
            "metadata": {
                "component": { "bom-ref": package, "name": package, "version": "0.1.0" },
            },
            "components": components,
            "dependencies": [{ "ref": package, "dependsOn": on }],
        })
    }

    #[test]
    fn two_become_one_and_what_is_left_out_is_told() {
        let both = [document("a", &["x", "y"]), document("b", &["y", "z"])];
        let whole = merged(both.into()).expect("two documents");
        let names = |list: &str, name: &str| -> Vec<String> {
            let all = whole[list].as_array().into_iter().flatten();
            all.filter_map(|one| one[name].as_str().map(str::to_owned))
                .collect()
        };
        assert_eq!(names("components", "name"), ["a", "b", "x", "y", "z"]);
        let product = "terraform-proxmox-manager";
        assert_eq!(names("dependencies", "ref"), ["a", "b", product]);
        let tree = "a v0.1.0 (/somewhere)\nx v1.0.0\ny v1.0.0 (*)\nz v2.0.0\n\nq v1.0.0\n";
        assert_eq!(left_out(tree, &whole), ["q 1.0.0", "z 2.0.0"]);
    }
}
