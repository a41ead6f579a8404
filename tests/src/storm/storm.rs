//! What everybody in a storm shares, and where violations are noted.

use super::args::Args;
use super::book::Book;
use super::caller::Caller;
use super::installation::Installation;
use super::strangers::Strangers;
use super::takeover::Takeovers;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// So many are told; the rest would only follow from them.
const MOST: usize = 20;

/// Something that must never be.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) text: String,
    /// How many kills there had been.
    pub(crate) kill: u64,
    /// What happened to the guests it is about.
    pub(crate) effects: Vec<String>,
}

/// Numbers of a storm.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) apis: u64,
    pub(crate) workers: u64,
    pub(crate) postgres: u64,
    pub(crate) pauses: u64,
    pub(crate) faults: u64,
    pub(crate) tasks_killed: u64,
    pub(crate) squatted: u64,
    pub(crate) by_hand: u64,
    pub(crate) offline: u64,
    pub(crate) cuts: u64,
    pub(crate) restarts: u64,
    /// Guests that arrived when their create was over.
    pub(crate) late: u64,
    /// Requests that were held, and their intents looked for.
    pub(crate) intents: u64,
}

/// A storm over one installation.
pub(crate) struct Storm {
    pub(crate) args: Args,
    pub(crate) seed: u64,
    pub(crate) installation: Installation,
    pub(crate) caller: Caller,
    pub(crate) book: Book,
    pub(crate) strangers: Strangers,
    pub(crate) takeovers: Takeovers,
    /// Keys of requests are understood.
    pub(crate) keys_work: bool,
    /// Clients are to stop.
    pub(crate) over: CancellationToken,
    /// Kills so far.
    pub(crate) kill: AtomicU64,
    pub(crate) counts: Mutex<Counts>,
    violations: Mutex<Vec<Violation>>,
    findings: Mutex<Vec<String>>,
    log: Mutex<File>,
    pub(crate) began: Instant,
}

impl Storm {
    pub(crate) fn new(
        args: Args,
        seed: u64,
        installation: Installation,
        caller: Caller,
        keys_work: bool,
    ) -> anyhow::Result<Self> {
        let log = File::create(installation.path().join("storm.log"))?;
        let strangers = Strangers::of(&installation.simulator);
        let takeovers = Takeovers::new(args.lease());
        Ok(Self {
            args,
            seed,
            installation,
            caller,
            book: Book::default(),
            strangers,
            takeovers,
            keys_work,
            over: CancellationToken::new(),
            kill: AtomicU64::new(0),
            counts: Mutex::default(),
            violations: Mutex::default(),
            findings: Mutex::default(),
            log: Mutex::new(log),
            began: Instant::now(),
        })
    }

    pub(crate) fn kills(&self) -> u64 {
        self.kill.load(Ordering::SeqCst)
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds to what is told at the end.
    pub(crate) fn find(&self, text: String) {
        self.note(&text);
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.push(text);
    }

    pub(crate) fn findings(&self) -> Vec<String> {
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.clone()
    }

    /// Writes a line into the storm's own log.
    pub(crate) fn note(&self, text: &str) {
        let at = self.began.elapsed().as_secs_f64();
        let line = format!("{at:9.3} kill {:>5}  {text}\n", self.kills());
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written to is no reason to stop.
        log.write_all(line.as_bytes()).ok();
    }

    /// Notes a violation, with what happened to these guests, and ends the storm.
    pub(crate) fn violate(&self, invariant: &'static str, text: &str, vmids: &[u32]) {
        self.note(&format!("VIOLATION {invariant}: {text}"));
        if self.violations().len() >= MOST {
            return;
        }
        let effects = if vmids.is_empty() {
            Vec::new()
        } else {
            let all = self.installation.simulator.effects();
            let about = all
                .into_iter()
                .filter(|effect| vmids.contains(&effect.vmid));
            about.map(|effect| format!("{effect:?}")).collect()
        };
        let violation = Violation {
            invariant,
            text: text.to_owned(),
            kill: self.kills(),
            effects,
        };
        let mut found = self
            .violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        found.push(violation);
        self.over.cancel();
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        let found = self
            .violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }

    pub(crate) fn is_violated(&self) -> bool {
        !self.violations().is_empty()
    }
}
