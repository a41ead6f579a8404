//! The workspace as cargo sees it: where it lies, what it is made of, how to call cargo on it.

use anyhow::{Context as _, bail};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The processes of the product, as package and binary.
pub(crate) const PROGRAMS: [(&str, &str); 3] = [
    ("tpm-bin-pve-simulator", "pve-simulator"),
    ("tpm-bin-api", "tpm-api"),
    ("tpm-bin-worker", "tpm-worker"),
];

/// The folder of the root manifest.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// The cargo that started this, in the root folder.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// Runs to the end with this terminal.
///
/// # Errors
/// When it cannot be started or does not exit with 0.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs to the end and returns what it wrote.
///
/// # Errors
/// When it cannot be started or does not exit with 0; with what it wrote to standard error.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed: {}: {}",
            shown(command),
            output.status,
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The members' manifests, without their dependencies' own.
///
/// # Errors
/// When cargo cannot read a manifest.
pub(crate) fn metadata() -> anyhow::Result<Value> {
    let text = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&text).context("cannot read cargo's metadata")
}

/// The folder that cargo builds into.
///
/// # Errors
/// When cargo cannot read a manifest.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let metadata = metadata()?;
    let target = metadata["target_directory"].as_str();
    target.map(PathBuf::from).context("no target_directory")
}

/// Builds [`PROGRAMS`] for development and tells where each lies, by the binary's name.
///
/// # Errors
/// When something does not compile.
pub(crate) fn build_programs() -> anyhow::Result<HashMap<&'static str, PathBuf>> {
    let mut cargo = cargo();
    cargo.args(["build", "--message-format", "json-render-diagnostics"]);
    for (package, binary) in PROGRAMS {
        cargo.args(["--package", package, "--bin", binary]);
    }
    cargo.stderr(Stdio::inherit());
    let text = output(&mut cargo)?;
    let mut programs = HashMap::new();
    for message in text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        let name = message["target"]["name"].as_str().unwrap_or_default();
        let known = PROGRAMS.iter().find(|(_, binary)| *binary == name);
        if let (Some((_, binary)), Some(path)) = (known, message["executable"].as_str()) {
            programs.insert(*binary, PathBuf::from(path));
        }
    }
    match PROGRAMS
        .iter()
        .find(|(_, binary)| !programs.contains_key(binary))
    {
        Some((_, missing)) => bail!("cargo built no `{missing}`"),
        None => Ok(programs),
    }
}

/// Builds [`PROGRAMS`] as the whole workspace builds them (by their packages alone, cargo would build half of them anew
/// where everything was built before) and tells where each lies.
///
/// # Errors
/// When something does not compile.
pub(crate) fn built_with_all() -> anyhow::Result<HashMap<&'static str, PathBuf>> {
    run(cargo().args(["build", "--workspace", "--bins", "--tests", "--examples"]))?;
    let folder = target()?.join("debug");
    Ok(HashMap::from(
        PROGRAMS.map(|(_, binary)| (binary, folder.join(binary))),
    ))
}

/// The folder of PostgreSQL's programs.
pub(crate) fn postgres() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|program| folder.join(program).is_file())
    };
    folders.into_iter().find(complete)
}

/// A program of this name in `PATH`.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The folder where things are kept that are made once.
///
/// # Errors
/// When the environment names none.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    match (given("XDG_CACHE_HOME"), given("HOME")) {
        (Some(cache), _) => Ok(cache.into()),
        (None, Some(home)) => Ok(Path::new(&home).join(".cache")),
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME is set"),
    }
}
