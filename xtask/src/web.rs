//! The web page: built and checked by npm, in `crates/web`.

use crate::workspace::{self, in_path};
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// Where its sources are.
const FOLDER: &str = "crates/web";
/// What the built page is made of, below the workspace.
const SOURCES: [&str; 7] = [
    "crates/web/src",
    "crates/web/public",
    "crates/web/index.html",
    "crates/web/package-lock.json",
    "crates/web/vite.config.ts",
    "crates/web/postcss.config.cjs",
    "crates/api/openapi.json",
];
/// Said where there is no Node.
const MISSING: &str = "no npm (Node 20 or newer): the web page is not built";

/// npm with these words, where the page's sources are; none where there is no Node.
pub(crate) fn npm(words: &[&str]) -> Option<Command> {
    let mut command = Command::new(in_path("npm")?);
    command
        .current_dir(workspace::root().join(FOLDER))
        .stdin(Stdio::null())
        .args(words);
    Some(command)
}

/// The time of the newest file below a path.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        let entries = fs::read_dir(path).ok()?;
        return entries
            .filter_map(|entry| newest(&entry.ok()?.path()))
            .max();
    }
    fs::metadata(path).ok()?.modified().ok()
}

/// Whether what is built is newer than all that it is made of.
fn is_built(root: &Path) -> bool {
    let built = newest(&root.join(FOLDER).join("dist/index.html"));
    let sources = SOURCES
        .iter()
        .filter_map(|source| newest(&root.join(source)));
    built.is_some_and(|built| sources.max().is_some_and(|source| source <= built))
}

/// Builds the page where Node is found and it was not built before; what was left out otherwise.
///
/// # Errors
/// When it does not build.
pub(crate) fn build() -> anyhow::Result<Option<String>> {
    let root: PathBuf = workspace::root();
    if is_built(&root) {
        return Ok(None);
    }
    for words in [
        &["ci", "--no-audit", "--no-fund"][..],
        &["run", "build"][..],
    ] {
        let Some(mut command) = npm(words) else {
            return Ok(Some(MISSING.into()));
        };
        workspace::run(&mut command).context("the web page")?;
    }
    Ok(None)
}

/// Builds it, and runs its linters, types and tests.
///
/// # Errors
/// When one of them fails.
pub(crate) fn check() -> anyhow::Result<Option<String>> {
    if let Some(missing) = build_with_tools()? {
        return Ok(Some(missing));
    }
    let Some(mut command) = npm(&["run", "check"]) else {
        return Ok(Some(MISSING.into()));
    };
    workspace::run(&mut command).context("the web page")?;
    Ok(None)
}

/// Builds it, and has its tools installed, which a page that was built before may lack; what was left out otherwise.
///
/// # Errors
/// When it does not build.
pub(crate) fn build_with_tools() -> anyhow::Result<Option<String>> {
    if let Some(missing) = build()? {
        return Ok(Some(missing));
    }
    if workspace::root().join(FOLDER).join("node_modules").is_dir() {
        return Ok(None);
    }
    let Some(mut command) = npm(&["ci", "--no-audit", "--no-fund"]) else {
        return Ok(Some(MISSING.into()));
    };
    workspace::run(&mut command).context("the web page")?;
    Ok(None)
}
