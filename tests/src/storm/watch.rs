//! Looks on while the storm rages: strangers' machines, addresses, processes that end by themselves, and
//! whether anything goes forward at all.

use super::args::Mode;
use super::installation::MARK;
use super::judge;
use super::rows::Rows;
use super::storm::Storm;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often.
const EVERY: Duration = Duration::from_millis(100);
/// Longest time in which nothing happens although something is to be done.
const STANDSTILL: Duration = Duration::from_secs(10);
/// The same while processes are killed all the time: what is killed before it has started does nothing.
const STANDSTILL_IN_STORM: Duration = Duration::from_secs(30);
/// Longest time that a task may take while processes are killed: what its steps may take, there and back.
/// Once nothing goes wrong any more, all of them must end much sooner.
const DEADLINE: Duration = Duration::from_secs(600);

/// Looks on until told to stop.
pub(crate) async fn watch(storm: Arc<Storm>, stop: CancellationToken) {
    let rows = Rows::of(&storm.installation.database);
    let mut moved = (0, 0);
    let mut moved_at = Instant::now();
    let mut round = 0_u64;
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        round += 1;
        storm.supervise();
        storm.nothing_twice();
        // Every look costs a connection; the figures say how exact they are.
        storm.takeovers.look(&rows).await.ok();
        if round.is_multiple_of(5) {
            for (vmid, text) in storm.strangers.touched(&storm.installation.simulator) {
                storm.violate("I7", &format!("stranger {vmid} {text}"), &[vmid]);
            }
        }
        if round.is_multiple_of(10) {
            let now = storm.movement();
            let (open, oldest) = storm.waiting();
            if now != moved || open == 0 {
                (moved, moved_at) = (now, Instant::now());
            } else if moved_at.elapsed() > patience(&storm) {
                let idle = moved_at.elapsed();
                let text = format!("nothing has moved for {idle:?}, {open} tasks are open");
                storm.violate("I12", &text, &[]);
                moved_at = Instant::now();
            }
            if let Some((token, age)) = oldest
                && age > DEADLINE
                && !has_ended(&storm, &token).await
            {
                storm.violate("I2", &format!("task {token} has no end after {age:?}"), &[]);
                return;
            }
        }
    }
}

/// Whether a task ended that nobody waits for.
async fn has_ended(storm: &Storm, token: &str) -> bool {
    match storm.look(token).await {
        Ok(ended) => ended,
        Err(error) => {
            storm.note(&format!("{error:#}"));
            false
        }
    }
}

fn patience(storm: &Storm) -> Duration {
    if storm.args.mode == Mode::Database {
        // For half a minute its tables are locked on purpose.
        STANDSTILL + STANDSTILL_IN_STORM
    } else if storm.over.is_cancelled() {
        STANDSTILL
    } else {
        STANDSTILL_IN_STORM
    }
}

impl Storm {
    /// What goes up when anything happens: changes of the cluster, ends of tasks.
    fn movement(&self) -> (usize, u64) {
        let changes = self.installation.simulator.effect_count();
        (changes, self.book.open().ended)
    }

    /// How many tasks are open, and the oldest of them.
    fn waiting(&self) -> (usize, Option<(String, Duration)>) {
        let book = self.book.open();
        let ages = book.open.iter().filter_map(|token| {
            let work = book.tasks.get(token)?;
            Some((token.clone(), work.accepted.elapsed()))
        });
        (book.open.len(), ages.max_by_key(|(_, age)| *age))
    }

    /// At no moment do two of our guests have one address or one name.
    fn nothing_twice(&self) {
        let guests = self.installation.simulator.guests();
        let mut seen: BTreeMap<String, (u32, Option<i64>)> = BTreeMap::new();
        for guest in &guests {
            if !guest.description.contains(MARK) || guest.config.contains_key("lock") {
                continue;
            }
            let who = (guest.vmid, judge::marked_for(guest));
            let address = judge::address(guest).map(|address| format!("address {address}"));
            for what in [Some(format!("name {}", guest.name)), address]
                .into_iter()
                .flatten()
            {
                // A clone that was given up with its node may come back with it; the sweep removes it.
                if let Some(other) = seen.insert(what.clone(), who)
                    && other.1 != who.1
                {
                    let text = format!("{} and {} have {what}", other.0, guest.vmid);
                    self.violate("I6", &text, &[other.0, guest.vmid]);
                }
            }
        }
    }

    /// Starts again what ended by itself. Nothing may, but for a start without a database.
    fn supervise(&self) {
        for process in self.installation.processes() {
            match tokio::task::block_in_place(|| process.supervise()) {
                Ok(None) => {}
                Ok(Some((ready, said))) => {
                    self.note(&format!("{} ended by itself: {said}", process.name));
                    self.count(|counts| counts.restarts += 1);
                    // What cannot begin without its database may end, and is started again.
                    if ready {
                        let text = format!("{} ended by itself: {said}", process.name);
                        self.violate("exit", &text, &[]);
                    }
                }
                Err(error) => self.violate("exit", &format!("{}: {error:#}", process.name), &[]),
            }
        }
    }
}
