//! `test`: everything that CI runs, each step named and timed, stopping at the first that fails.

mod asvs;
mod conformance;
mod dependencies;
mod examples;
mod newman;
mod outside;
mod page;
mod shipped;
mod storms;
mod venv;

use crate::{bench, browser, fuzz, layers, storm, table, web, workspace};
use anyhow::{Context as _, bail};
use outside::Outside;
use std::process::Command;
use std::time::{Duration, Instant};

/// What the steps share.
#[derive(Default)]
struct Shared {
    outside: Option<Outside>,
}

impl Shared {
    fn outside(&mut self) -> anyhow::Result<&Outside> {
        if self.outside.is_none() {
            self.outside = Some(Outside::prepare()?);
        }
        self.outside.as_ref().context("prepared above")
    }
}

/// Seconds for each target of the fuzzing.
const SHORT: u32 = 10;
/// The same in CI.
const LONG: u32 = 60;

/// A step fails with an error, or says in a few words what it left out.
type Step = fn(&mut Shared) -> anyhow::Result<Option<String>>;

const STEPS: &[(&str, Step)] = &[
    ("format", |_| {
        cargo(&["fmt", "--all", "--check"])?;
        cargo(&["fmt", "--manifest-path", bench::PEER, "--check"])?;
        cargo(&["fmt", "--manifest-path", fuzz::MANIFEST, "--check"])
    }),
    ("check-layers", |_| layers::run().map(|()| None)),
    ("asvs", |_| asvs::check()),
    ("outside", |shared| shared.outside()?.left_out()),
    ("dependencies", |_| dependencies::check()),
    ("clippy", |_| {
        cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("docs", |_| {
        let mut cargo = workspace::cargo();
        cargo
            .args(["doc", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-Dwarnings");
        workspace::run(&mut cargo).map(|()| None)
    }),
    ("web", |_| match web::check()? {
        Some(missing) if in_ci() => bail!(missing),
        said => Ok(said),
    }),
    // With the tests' own features, so that building the tests compiles nothing twice.
    ("build", |_| {
        cargo(&["build", "--workspace", "--bins", "--tests", "--examples"])
    }),
    ("tests", |shared| {
        let mut cargo = workspace::cargo();
        cargo.args(["test", "--workspace", "--no-fail-fast"]);
        run_with(shared.outside()?, &mut cargo)
    }),
    ("examples", |_| examples::run()),
    ("conformance", |shared| conformance::run(shared.outside()?)),
    ("e2e", |_| match browser::missing() {
        Some(missing) if in_ci() => bail!(missing),
        Some(missing) => Ok(Some(missing)),
        None => {
            browser::run(browser::Script::Tests, &[], &[], workspace::built_with_all).map(|()| None)
        }
    }),
    ("fuzz", |_| match fuzz::missing()? {
        Some(missing) if !in_ci() => Ok(Some(format!("{missing}: nothing is fuzzed"))),
        _ => fuzz::run(&[], if in_ci() { LONG } else { SHORT }).map(|()| None),
    }),
    ("mutants", |_| storm::check_mutants().map(|()| None)),
    ("storm", |shared| storms::run(shared.outside()?)),
];

/// The steps' names, in order.
pub(crate) fn names() -> Vec<&'static str> {
    STEPS.iter().map(|(name, _)| *name).collect()
}

/// Runs all steps, or those named.
///
/// # Errors
/// With the name of the step that failed.
pub(crate) fn run(only: &[String]) -> anyhow::Result<()> {
    let mut shared = Shared::default();
    let mut rows = Vec::new();
    let begun = Instant::now();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    for (name, step) in STEPS.iter().filter(|(name, _)| wanted(name)) {
        println!("\n==> {name}");
        let step_begun = Instant::now();
        let result = step(&mut shared);
        let took = seconds(step_begun.elapsed());
        let (said, failed) = match result {
            Ok(None) => ("ok".to_owned(), false),
            Ok(Some(left_out)) => (format!("ok; {left_out}"), false),
            Err(error) => (format!("FAILED: {error:#}"), true),
        };
        println!("==> {name}: {said} ({took})");
        if failed {
            bail!("step `{name}` failed after {took}");
        }
        rows.push([(*name).to_owned(), took, said]);
    }
    println!();
    for line in table::lines(["step", "time", "result"], &rows) {
        println!("{line}");
    }
    let (ran, all) = (rows.len(), STEPS.len());
    println!(
        "\n{ran} of {all} steps run, all passed, in {}",
        seconds(begun.elapsed())
    );
    Ok(())
}

fn cargo(arguments: &[&str]) -> anyhow::Result<Option<String>> {
    workspace::run(workspace::cargo().args(arguments)).map(|()| None)
}

fn run_with(outside: &Outside, command: &mut Command) -> anyhow::Result<Option<String>> {
    command.envs(outside.variables());
    workspace::run(command).map(|()| None)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Whether everything that can be looked for must be there.
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
