//! Products that are broken on purpose, one way each: a patch in `tests/storm/mutants` on a copy of the
//! sources under `target/mutants`. The storm itself is built from the sources as they are, so that its
//! judgement is never the broken one.
//!
//! A patch begins with lines `key: value`: `breaks` (what it does), `run` (the storm's arguments).

use super::{Build, build};
use crate::{table, workspace};
use anyhow::{Context as _, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What is built of a mutant.
const VICTIMS: [&str; 2] = ["killable-api", "killable-worker"];

/// A patch and what it says of itself.
struct Mutant {
    name: String,
    patch: PathBuf,
    breaks: String,
    run: Vec<String>,
}

/// Runs a storm over one mutant, or over all, and shows what caught each.
///
/// # Errors
/// When one does not apply or compile, or survives.
pub(super) fn run(name: &str, arguments: &[String]) -> anyhow::Result<()> {
    let all = mutants()?;
    let chosen: Vec<&Mutant> = all
        .iter()
        .filter(|mutant| name == "all" || mutant.name == name)
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = all.iter().map(|mutant| mutant.name.as_str()).collect();
        bail!("no mutant {name}; there are: {}", names.join(", "));
    }
    let storm = build(Build::Dev)?;
    let mut rows = Vec::new();
    let mut survivors = Vec::new();
    for mutant in chosen {
        println!("\n==> {}: {}", mutant.name, mutant.breaks);
        let begun = Instant::now();
        let folder = make(mutant).with_context(|| mutant.name.clone())?;
        let caught = rage(&storm, &folder, mutant, arguments)?;
        let (by, after) = match &caught {
            Some(Caught { by, kills }) => (by.clone(), kills.to_string()),
            None => ("SURVIVED".into(), "-".into()),
        };
        println!(
            "==> {}: {by} after {after} kills ({:.0?})",
            mutant.name,
            begun.elapsed()
        );
        if caught.is_none() {
            survivors.push(mutant.name.clone());
        }
        rows.push([mutant.name.clone(), mutant.breaks.clone(), by, after]);
    }
    println!();
    for line in table::lines(["mutant", "breaks", "caught by", "kills"], &rows) {
        println!("{line}");
    }
    ensure!(survivors.is_empty(), "survived: {}", survivors.join(", "));
    Ok(())
}

/// Whether every patch still fits the sources.
///
/// # Errors
/// With those that do not.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut misfits = Vec::new();
    for mutant in mutants()? {
        let mut git = Command::new("git");
        git.current_dir(workspace::root());
        let fits = workspace::output(git.args(["apply", "--check"]).arg(&mutant.patch));
        if let Err(error) = fits {
            misfits.push(format!("{}: {error}", mutant.name));
        }
    }
    ensure!(misfits.is_empty(), "{}", misfits.join("; "));
    Ok(())
}

fn mutants() -> anyhow::Result<Vec<Mutant>> {
    let folder = workspace::root().join("tests/storm/mutants");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut mutants = Vec::new();
    for entry in entries {
        let patch = entry?.path();
        if patch
            .extension()
            .is_none_or(|extension| extension != "patch")
        {
            continue;
        }
        let text = fs::read_to_string(&patch)?;
        let said = |key: &str| {
            let mut head = text.lines().take_while(|line| !line.starts_with("--- "));
            head.find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
        };
        let name = patch.file_stem().unwrap_or_default().to_string_lossy();
        let breaks =
            said("breaks").with_context(|| format!("{name} does not say what it breaks"))?;
        mutants.push(Mutant {
            name: name.clone().into_owned(),
            breaks: breaks.to_owned(),
            run: said("run")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            patch,
        });
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

/// Copies the sources, breaks them and builds; where the programs lie.
fn make(mutant: &Mutant) -> anyhow::Result<PathBuf> {
    let base = workspace::target()?.join("mutants");
    let tree = base.join("tree");
    copy_sources(&tree)?;
    let mut git = Command::new("git");
    // Not the repository around it, whose paths would be other ones.
    git.current_dir(&tree).env("GIT_CEILING_DIRECTORIES", &base);
    workspace::output(git.arg("apply").arg(&mutant.patch))?;
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(&tree)
        .env("CARGO_TARGET_DIR", base.join("target"))
        .args(["build", "--quiet", "--package", "tpm-tests"]);
    for program in VICTIMS {
        cargo.args(["--bin", program]);
    }
    workspace::run(&mut cargo)?;
    Ok(base.join("target/debug"))
}

/// Makes the tree what the sources are, writing only what differs, so that only that is built again.
fn copy_sources(tree: &Path) -> anyhow::Result<()> {
    let root = workspace::root();
    let mut git = Command::new("git");
    git.current_dir(&root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]);
    let listed = workspace::output(&mut git)?;
    let mut wanted = BTreeSet::new();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), tree.join(name));
        let Ok(text) = fs::read(&from) else { continue };
        wanted.insert(to.clone());
        if fs::read(&to).is_ok_and(|old| old == text) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    remove_others(tree, &wanted)
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// What found a mutant out.
struct Caught {
    by: String,
    kills: u64,
}

/// Storms over it, seed after seed, until one finds something.
fn rage(
    storm: &Path,
    folder: &Path,
    mutant: &Mutant,
    arguments: &[String],
) -> anyhow::Result<Option<Caught>> {
    let mut command = Command::new(storm);
    command
        .arg("--programs")
        .arg(folder)
        .args(&mutant.run)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start the storm")?;
    let out = child.stdout.take().context("no output")?;
    let mut caught = None;
    for line in BufReader::new(out).lines() {
        let line = line?;
        println!("{line}");
        if caught.is_none() {
            caught = line.strip_prefix("caught: ").and_then(|said| {
                let (by, kills) = said.split_once(' ')?;
                Some(Caught {
                    by: by.to_owned(),
                    kills: kills.parse().ok()?,
                })
            });
        }
    }
    let status = child.wait()?;
    ensure!(
        status.success() == caught.is_none(),
        "the storm ended with {status}"
    );
    Ok(caught)
}
