//! A worker is stopped while its act is on the wire, for two leases: somebody else takes over, and what the
//! first one writes when it wakes must be refused.

use crate::storm::nemesis::{HOLD, NEXT_ACT, one_of};
use crate::storm::plan::WRITES;
use crate::storm::process::Process;
use crate::storm::random::Random;
use crate::storm::rows::Rows;
use crate::storm::storm::Storm;
use anyhow::Context;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tpm_pve_simulator::{Fault, FaultKind, HoldAt};

/// How long an act of a kind is waited for.
const COMES_UP: Duration = Duration::from_secs(20);
/// How long somebody who wakes may take to find out.
const FINDS_OUT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Default)]
struct Tally {
    stopped: u64,
    refused: u64,
}

pub(super) async fn rage(storm: &Storm) -> anyhow::Result<()> {
    anyhow::ensure!(storm.installation.workers.len() > 1, "needs two workers");
    let rows = Rows::of(&storm.installation.database);
    let mut random = Random::new(storm.seed, 6, 0);
    let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
    let mut done = 0;
    for place in (0..WRITES.len()).cycle() {
        if done >= storm.args.kills || storm.over.is_cancelled() {
            break;
        }
        let began = Instant::now();
        while began.elapsed() < COMES_UP && !storm.over.is_cancelled() {
            if let Some(refused) = stop_once(storm, &rows, place, random.next()).await? {
                let tally = tallies.entry(place).or_default();
                tally.stopped += 1;
                tally.refused += u64::from(refused);
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        done += 1;
        storm.kill.store(done, Ordering::SeqCst);
    }
    for (place, (method, path)) in WRITES.iter().enumerate() {
        let tally = tallies.get(&place).copied().unwrap_or_default();
        storm.find(format!(
            "{method} {path}: stopped {} times, refused on waking {} times",
            tally.stopped, tally.refused
        ));
        if tally.refused == 0 && !storm.is_violated() {
            let text = format!("nobody was refused after {method} {path}");
            storm.violate("I8", &text, &[]);
        }
    }
    Ok(())
}

/// Whether the worker was refused when it woke; `None` when there was no such act to stop at.
async fn stop_once(
    storm: &Storm,
    rows: &Rows,
    place: usize,
    which: u64,
) -> anyhow::Result<Option<bool>> {
    let open = rows.numbers(NEXT_ACT, &["vmid", "place"]).await?;
    let wanted = i64::try_from(place)?;
    let open: Vec<i64> = open
        .iter()
        .filter(|row| row[1] == wanted)
        .map(|row| row[0])
        .collect();
    if open.is_empty() {
        return Ok(None);
    }
    let vmid = u32::try_from(*one_of(&open, which))?;
    let (method, path) = WRITES[place];
    let faults = storm.installation.simulator.faults();
    let hold = FaultKind::Hold {
        at: HoldAt::Request,
    };
    let held = faults.inject(Fault::once(method, path, hold).on_vm(vmid));
    let met = tokio::time::timeout(HOLD, faults.wait_until_held(held)).await;
    let stopped = match met {
        Ok(_) => stop_owner(storm, rows, vmid).await?,
        Err(_) => None,
    };
    faults.remove(held);
    let Some((worker, starts, token)) = stopped else {
        return Ok(None);
    };
    storm.note(&format!("{} is stopped at {method} {path}", worker.name));
    storm.count(|counts| counts.pauses += 1);
    tokio::time::sleep(storm.args.lease() * 2).await;
    tokio::task::block_in_place(|| worker.resume(starts))?;
    let woke = Instant::now();
    while woke.elapsed() < FINDS_OUT {
        if was_refused(worker, &token)? {
            return Ok(Some(true));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    storm.note(&format!("{} was not refused for {token}", worker.name));
    Ok(Some(false))
}

/// Stops whoever is at work on a guest: the worker, which of its starts, and the task.
async fn stop_owner<'a>(
    storm: &'a Storm,
    rows: &Rows,
    vmid: u32,
) -> anyhow::Result<Option<(&'a Process, u32, String)>> {
    let sql = format!(
        "SELECT t.owner || ' ' || t.token AS found FROM tasks t JOIN servers s ON s.id = t.server_id
         WHERE s.vmid = {vmid} AND t.owner IS NOT NULL AND t.state = 'running'"
    );
    let found = rows.texts(&sql).await?;
    let Some(found) = found.first() else {
        return Ok(None);
    };
    let (owner, token) = found.rsplit_once(' ').context("an owner and a token")?;
    let mut workers = storm.installation.workers.iter();
    let Some(worker) = workers.find(|worker| worker.ready()["owner"] == owner) else {
        return Ok(None);
    };
    let starts = tokio::task::block_in_place(|| worker.pause())?;
    Ok(Some((worker, starts, token.to_owned())))
}

/// Whether a worker's log says that a task was not its own any more.
fn was_refused(worker: &Process, token: &str) -> anyhow::Result<bool> {
    let log = std::fs::read(worker.log()).context("a worker's log")?;
    let log = String::from_utf8_lossy(&log);
    let mut lines = log.lines().rev();
    Ok(lines.any(|line| line.contains("lease has passed") && line.contains(token)))
}
