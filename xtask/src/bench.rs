//! `bench`: hands over to the measuring program of the tests package, built as people would run it, beside
//! the peers that it measures, which are built by themselves.

use crate::{browser, provider, web, workspace};
use anyhow::{Context as _, bail};
use std::path::PathBuf;

/// Where the measuring program finds the peer of its table `jobs`.
const VARIABLE: &str = "TPM_PEER_APALIS";
/// The peer's manifest; what it is built on is pinned in the lock file beside it.
pub(crate) const PEER: &str = "tests/peers/apalis/Cargo.toml";
/// Where it is built: outside the workspace, whose builds would throw it away.
const FOLDER: &str = "terraform-proxmox-manager/apalis-1.0.0";
/// The table that needs the built page and a browser.
const PAGE: &str = "page";
/// The tables that have no peer of their own.
const OTHERS: [&str; 7] = [
    "reads",
    "latency",
    "fleet",
    "engines",
    "events",
    "page",
    "footprint",
];
const PROGRAM: &str = "tpm-peer-apalis";

/// Builds everything and measures. `--dev` builds for development: for looking at a table, not at its
/// figures.
///
/// # Errors
/// When something does not compile, or cannot be measured.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let dev = arguments.iter().any(|argument| argument == "--dev");
    let rest: Vec<&String> = arguments
        .iter()
        .filter(|argument| *argument != "--dev")
        .collect();
    let named = |table: &&str| rest.iter().any(|argument| argument == table);
    if named(&PAGE) {
        if let Some(missing) = browser::missing() {
            bail!(missing);
        }
        if let Some(missing) = web::build_with_tools()? {
            bail!(missing);
        }
    }
    let profile: &[&str] = if dev { &[] } else { &["--release"] };
    let mut cargo = workspace::cargo();
    cargo.arg("build").args(profile);
    for (package, _) in workspace::PROGRAMS {
        cargo.args(["--package", package]);
    }
    workspace::run(&mut cargo)?;
    let mut bench = workspace::cargo();
    bench
        .arg("run")
        .args(profile)
        .args(["--package", "tpm-tests", "--bin", "bench", "--"])
        .args(&rest);
    if named(&PAGE) {
        bench.env("CHROMIUM", browser::chromium().context("no Chromium")?);
    }
    if named(&"jobs") || !OTHERS.iter().any(named) {
        bench.env(VARIABLE, peer(dev)?);
    }
    if named(&"engines") || !OTHERS.iter().any(named) {
        match provider::peers()? {
            Ok(peers) => drop(bench.envs(peers.variables())),
            Err(provider::Missing(what)) => println!("engines: without Terraform: {what}"),
        }
    }
    workspace::run(&mut bench)
}

/// Builds the peer; where it lies.
fn peer(dev: bool) -> anyhow::Result<PathBuf> {
    let folder = workspace::cache()?.join(FOLDER);
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--locked", "--manifest-path", PEER, "--target-dir"]);
    cargo.arg(&folder);
    if !dev {
        cargo.arg("--release");
    }
    workspace::run(&mut cargo)?;
    let built = if dev { "debug" } else { "release" };
    Ok(folder.join(built).join(PROGRAM))
}
