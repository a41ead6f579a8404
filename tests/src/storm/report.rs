//! What a storm is told by: one line when all held, the whole story when something did not.

use super::args::Args;
use super::storm::{Counts, Storm, Violation};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How many violations are told, how much of each, and how much of what happened.
const TOLD: usize = 3;
const LONGEST: usize = 2000;
const EFFECTS: usize = 30;

/// What came of one seed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<Violation>,
    pub(crate) line: String,
    /// Where the logs are; only when they were kept.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) kills: u64,
}

impl Outcome {
    /// Takes the storm apart.
    ///
    /// # Errors
    /// When the workers' logs cannot be read.
    pub(crate) fn of(mut storm: Storm) -> anyhow::Result<Self> {
        let violations = storm.violations();
        let mut line = line(&storm)?;
        for finding in storm.findings() {
            line.push_str(&format!("\n    {finding}"));
        }
        let keep = storm.args.keep || !violations.is_empty();
        let folder = keep.then(|| {
            storm.installation.keep_folder();
            let effects: String = storm
                .installation
                .simulator
                .effects()
                .iter()
                .map(|effect| format!("{effect:?}\n"))
                .collect();
            let path = storm.installation.path().to_owned();
            std::fs::write(path.join("effects.log"), effects).ok();
            path
        });
        Ok(Self {
            seed: storm.seed,
            violations,
            line,
            folder,
            kills: storm.kills(),
        })
    }

    /// The whole story of what was found.
    pub(crate) fn story(&self, args: &Args) -> String {
        let mut story = String::new();
        for violation in self.violations.iter().take(TOLD) {
            let text: String = violation.text.chars().take(LONGEST).collect();
            story.push_str(&format!(
                "violated: {} after kill {} of seed {}: {text}\n",
                violation.invariant, violation.kill, self.seed,
            ));
            for effect in violation.effects.iter().take(EFFECTS) {
                story.push_str(&format!("    {effect}\n"));
            }
        }
        if let Some(more @ 1..) = self.violations.len().checked_sub(TOLD) {
            story.push_str(&format!("and {more} more, in storm.log\n"));
        }
        if let Some(folder) = &self.folder {
            story.push_str(&format!("logs: {}\n", folder.display()));
        }
        story.push_str(&format!(
            "again: cargo xtask storm --mode {} --database {} --seed {} --kills {}\n",
            args.mode.as_str(),
            args.database.as_str(),
            self.seed,
            args.kills
        ));
        story
    }
}

fn ends(storm: &Storm) -> BTreeMap<&'static str, BTreeMap<String, u64>> {
    let book = storm.book.open();
    let mut ends: BTreeMap<&'static str, BTreeMap<String, u64>> = BTreeMap::new();
    for work in book.tasks.values() {
        let end = work.end.as_ref().map_or("open", |end| end.status.as_str());
        *ends
            .entry(work.kind)
            .or_default()
            .entry(end.to_owned())
            .or_default() += 1;
    }
    ends
}

/// Why creates failed, as codes and steps.
fn why(storm: &Storm) -> String {
    let book = storm.book.open();
    let mut why: BTreeMap<String, u64> = BTreeMap::new();
    let failed = book.tasks.values().filter_map(|work| {
        let end = work.end.as_ref()?;
        (work.kind == "create_server" && end.status == "failed").then_some(end)
    });
    for end in failed {
        *why.entry(format!("{} at {}", end.code, end.step))
            .or_default() += 1;
    }
    if why.is_empty() {
        return String::new();
    }
    let all: Vec<String> = why.iter().map(|(what, n)| format!("{n} {what}")).collect();
    format!(" ({})", all.join(", "))
}

fn line(storm: &Storm) -> anyhow::Result<String> {
    let Counts {
        apis,
        workers,
        postgres,
        pauses,
        faults,
        tasks_killed,
        squatted,
        by_hand,
        offline,
        cuts,
        restarts,
        intents,
        late,
    } = *storm.counts.lock().unwrap_or_else(PoisonError::into_inner);
    let ends = ends(storm);
    let none = BTreeMap::new();
    let creates = ends.get("create_server").unwrap_or(&none);
    let accepted: u64 = creates.values().sum();
    let of = |word: &str| creates.get(word).copied().unwrap_or_default();
    let all: u64 = ends.values().flat_map(BTreeMap::values).sum();
    let took = match storm.takeovers.summary() {
        None => "none seen".to_owned(),
        Some((seen, p50, p99, most)) => {
            format!("{seen} seen, p50 {p50} ms, p99 {p99} ms, max {most} ms")
        }
    };
    let tally = &storm.caller.tally;
    let read = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
    let held = if storm.is_violated() {
        "VIOLATED"
    } else {
        "all held"
    };
    Ok(format!(
        "seed {} {} {} {} kills (api {apis}, worker {workers}, postgres {postgres}); \
         creates {accepted} accepted, {} completed, {} failed{}, {} cancelled; {all} tasks; \
         {} tasks held at a kill; takeover {took}; {} stale workers refused; \
         pauses {pauses}, faults {faults}, tasks killed {tasks_killed}, squatters {squatted} of {}, \
         by hand {by_hand}, offline {offline}, cuts {cuts}, restarts {restarts}, intents read {intents}, late {late}; \
         requests {} ({} lost, {} told to come back, {} 5xx, {} looked up); {:.1} s; {held}",
        storm.seed,
        storm.args.database.as_str(),
        storm.args.mode.as_str(),
        storm.kills(),
        of("completed"),
        of("failed"),
        why(storm),
        of("cancelled"),
        storm.takeovers.held(),
        storm.installation.fenced_writes()?,
        storm.strangers.made(),
        read(&tally.sent),
        read(&tally.lost),
        read(&tally.unavailable),
        read(&tally.broken),
        storm.book.open().looked_up,
        Duration::from_secs_f64(storm.began.elapsed().as_secs_f64()).as_secs_f64(),
    ))
}
