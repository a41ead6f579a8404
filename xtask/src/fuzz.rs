//! `fuzz`: what reads texts from outside, in `tests/fuzz`, fed with inputs that are bent towards branches not come
//! to so far. A stable compiler is enough: it counts branches, and looks for no errors of memory, which safe code
//! has none of.

use crate::tools::Tool;
use crate::workspace::{self, in_path};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds with counters in every branch.
const CARGO_FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
};
/// Where the targets and their kept inputs are.
const FOLDER: &str = "tests/fuzz";
/// Its manifest.
pub(crate) const MANIFEST: &str = "tests/fuzz/Cargo.toml";
/// How long each target runs, when set.
const VARIABLE: &str = "TPM_FUZZ_SECONDS";
/// What is run.
pub(crate) const TARGETS: [&str; 5] = ["addresses", "names", "properties", "replies", "requests"];
/// Longest input in bytes: longer ones come to no other branches, only later.
const LONGEST: u32 = 4096;
/// An input that takes so many seconds is a find.
const SLOW: u32 = 10;
/// So does one that takes so much memory, in MiB.
const LARGE: u32 = 2048;
/// Targets that run at once: one for each core of a small machine.
const AT_ONCE: usize = 2;
/// What a run that fails says of the find begins with.
const FIND: [&str; 2] = [" panicked at ", "ERROR: libFuzzer"];

/// Seconds for each target: as set in the environment, or as given.
fn seconds(usual: u32) -> anyhow::Result<u32> {
    match std::env::var(VARIABLE) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{VARIABLE} is no number of seconds: {text}")),
        Err(_) => Ok(usual),
    }
}

/// What is missing for it, if anything.
///
/// # Errors
/// When the environment names no cache folder.
pub(crate) fn missing() -> anyhow::Result<Option<String>> {
    Ok(if in_path("c++").is_none() {
        Some("no C++ compiler".into())
    } else if CARGO_FUZZ.find()?.is_none() {
        Some("cargo-fuzz is not installed".into())
    } else {
        None
    })
}

/// Runs these targets, or all, each for so long unless the environment says otherwise.
///
/// # Errors
/// When something does not compile, or an input was found that breaks a target: with the input.
pub(crate) fn run(targets: &[String], usual: u32) -> anyhow::Result<()> {
    let seconds = seconds(usual)?;
    if in_path("c++").is_none() {
        bail!("no C++ compiler: libFuzzer cannot be built");
    }
    let tool = CARGO_FUZZ.program()?;
    let folder = workspace::target()?.join("fuzz");
    workspace::run(command(&tool, "build", &folder).stdin(Stdio::null()))?;
    let wanted = |name: &&&str| targets.is_empty() || targets.iter().any(|one| one == **name);
    let wanted: Vec<&str> = TARGETS.iter().filter(wanted).copied().collect();
    for pair in wanted.chunks(AT_ONCE) {
        let run = |target: &&str| one(&tool, &folder, target, seconds);
        together(pair, &run)?;
    }
    Ok(())
}

/// Each in a thread of its own; the first failure, when all have ended.
fn together(
    targets: &[&str],
    run: &(impl Fn(&&str) -> anyhow::Result<()> + Sync),
) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let begun = targets
            .iter()
            .map(|target| scope.spawn(move || run(target)));
        let begun: Vec<_> = begun.collect();
        let ended = begun.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let ended: Vec<anyhow::Result<()>> = ended.collect();
        ended.into_iter().collect()
    })
}

/// `cargo fuzz` on our targets, not optimized: that builds in a third of the time.
fn command(tool: &Path, what: &str, folder: &Path) -> Command {
    let mut command = Command::new(tool);
    command
        .current_dir(workspace::root())
        .args([what, "--fuzz-dir", FOLDER, "--sanitizer", "none", "--dev"])
        .arg("--target-dir")
        .arg(folder);
    command
}

fn one(tool: &Path, folder: &Path, target: &str, seconds: u32) -> anyhow::Result<()> {
    // What is new goes here, and away; what is kept stays as it is.
    let new = tempfile::tempdir()?;
    let kept: PathBuf = workspace::root().join(FOLDER).join("corpus").join(target);
    let mut command = command(tool, "run", folder);
    command.arg(target).arg(new.path()).arg(&kept).args([
        "--",
        "-print_final_stats=1",
        // The same inputs in the same order, as far as the time goes.
        "-seed=1",
        &format!("-max_total_time={seconds}"),
        &format!("-max_len={LONGEST}"),
        &format!("-timeout={SLOW}"),
        &format!("-rss_limit_mb={LARGE}"),
    ]);
    let output = command
        .stdin(Stdio::null())
        // The panic's own line tells where.
        .env("RUST_BACKTRACE", "0")
        .output()
        .with_context(|| format!("cannot start {}", workspace::shown(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let (runs, branches) = (number(&said, RUNS), number(&said, BRANCHES));
    if !output.status.success() {
        bail!("{target} is broken by an input:\n{}", find(&said));
    }
    match (runs, branches) {
        (Some(runs @ 1..), Some(branches @ 1..)) => {
            println!("{target}: {runs} inputs, {branches} branches in {seconds} s");
            Ok(())
        }
        // Without counters it would only throw dice.
        _ => bail!("{target} did not run, or counted no branches:\n{said}"),
    }
}

/// What is said from the find on: the panic, the input, and how it is tried again; all when there is none.
fn find(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let is_find = |line: &&str| FIND.iter().any(|words| line.contains(words));
    let from = lines.iter().position(is_find).unwrap_or(0);
    lines[from..].join("\n")
}

/// Before the number of inputs, at the end.
const RUNS: &str = "stat::number_of_executed_units:";
/// Before the number of branches come to; the last one counts.
const BRANCHES: &str = " cov: ";

/// The number after the last `name`.
fn number(said: &str, name: &str) -> Option<u64> {
    let (_, rest) = said.rsplit_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn figures_are_found_in_what_libfuzzer_says() {
        let said = "#8192\tpulse  cov: 120 ft: 300 corp: 3/9b\n#9000\tDONE   cov: 121 ft: 302\n\
                    stat::number_of_executed_units: 9000\nstat::average_exec_per_sec:     4500\n";
        assert_eq!(number(said, RUNS), Some(9000));
        assert_eq!(number(said, BRANCHES), Some(121));
        assert_eq!(number("", BRANCHES), None);
        let broken =
            "#2\tINITED cov: 1\nthread 'x' panicked at y.rs:1:\nno\n==1== ERROR: libFuzzer: z\n";
        let told = "thread 'x' panicked at y.rs:1:\nno\n==1== ERROR: libFuzzer: z";
        assert_eq!(find(broken), told);
        assert_eq!(find("error: no such target"), "error: no such target");
    }

    #[test]
    fn every_target_is_run_and_has_inputs() {
        let folder = workspace::root().join(FOLDER);
        let named: BTreeSet<String> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
        let names = |folder: &Path| -> BTreeSet<String> {
            let entries = fs::read_dir(folder).expect("the folder");
            let paths = entries.map(|entry| entry.expect("an entry").path());
            paths
                .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
                .collect()
        };
        assert_eq!(names(&folder.join("targets")), named);
        assert_eq!(names(&folder.join("corpus")), named);
        let manifest = fs::read_to_string(workspace::root().join(MANIFEST)).expect("the manifest");
        for name in &named {
            assert!(manifest.contains(&format!("targets/{name}.rs")), "{name}");
            assert!(!names(&folder.join("corpus").join(name)).is_empty());
        }
    }
}
