//! `storm`: builds the crash storm of the tests package and hands over to it; with `--mutant`, rages over a
//! product that is broken on purpose, to see that the storm finds it.

mod mutants;

use crate::workspace;
use std::path::PathBuf;
use std::process::Command;

pub(crate) use mutants::check as check_mutants;

/// What the storm is made of.
const PROGRAMS: [&str; 3] = ["storm", "killable-api", "killable-worker"];

/// The storm tells its own options; this is what is read here.
const HELP: &str = "\
Kills the product at random instants under clients and checks what is left

Usage: cargo xtask storm [--dev] [--mutant NAME|all] [OPTIONS OF THE STORM]

  --dev          Build for development, as CI does, not for release
  --mutant NAME  Rage over a product that is broken on purpose (tests/storm/mutants), until it is caught

The storm's options tells `cargo run --package tpm-tests --bin storm -- --help`; the usual ones:

  --mode kills|faults|pause|takeover|database|squat|rush|restore
  --kills N  --seed S  --seeds K  --at-once L  --database sqlite|postgres
  --apis A  --workers W  --clients C  --interval-ms MS  --keep";

/// Runs a storm, or those over mutants. `--mutant NAME` (or `all`) and `--dev` may stand anywhere; the
/// rest is the storm's own.
///
/// # Errors
/// When something does not compile, or the storm found something.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        println!("{HELP}");
        return Ok(());
    }
    let mut rest = Vec::new();
    let (mut mutant, mut dev) = (None, false);
    let mut given = arguments.iter();
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--dev" => dev = true,
            "--mutant" => mutant = given.next().cloned().or(Some("all".into())),
            _ => rest.push(argument.clone()),
        }
    }
    match mutant {
        Some(name) => mutants::run(&name, &rest),
        None => {
            let how = if dev { Build::Dev } else { Build::Release };
            workspace::run(Command::new(build(how)?).args(&rest))
        }
    }
}

/// How the storm is built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// As it is shipped: for many kills.
    Release,
    /// For development, and nothing else.
    Dev,
    /// For development, with everything else: where everything is built already, nothing is built twice.
    Workspace,
}

/// Builds the storm as it is; where it lies.
///
/// # Errors
/// When it does not compile.
pub(crate) fn build(how: Build) -> anyhow::Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.arg("build");
    match how {
        Build::Workspace => {
            cargo.args(["--workspace", "--bins", "--tests", "--examples"]);
        }
        Build::Release | Build::Dev => {
            cargo.args(["--package", "tpm-tests"]);
            for program in PROGRAMS {
                cargo.args(["--bin", program]);
            }
        }
    }
    let folder = if how == Build::Release {
        cargo.arg("--release");
        "release"
    } else {
        "debug"
    };
    workspace::run(&mut cargo)?;
    Ok(workspace::target()?.join(folder).join("storm"))
}
