//! Reading the state without the API.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::model::Guest;
use crate::sim::Sim;

/// A guest as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuestView {
    /// VM id.
    pub vmid: u32,
    /// Node that owns it.
    pub node: String,
    /// Name, or `VM <id>` without one.
    pub name: String,
    /// Description without the trailing newline.
    pub description: String,
    /// `running`, `paused` or `stopped`.
    pub status: String,
    /// Every option in force.
    pub config: BTreeMap<String, String>,
    /// Options that wait for a power cycle; `None` is a pending removal.
    pub pending: BTreeMap<String, Option<String>>,
}

/// A task that is at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunningTask {
    /// Its UPID.
    pub upid: String,
    /// Its type: `qmclone`, `qmstart`, ...
    pub kind: String,
    /// What it says it is about: of a clone, the source.
    pub id: String,
    /// Its log so far: of a clone, where the target stands.
    pub log: Vec<String>,
}

fn guest_view(guest: &Guest) -> GuestView {
    GuestView {
        vmid: guest.vmid,
        node: guest.node.clone(),
        name: guest.name(),
        description: guest.option("description").to_owned(),
        status: crate::api::qmp_status(guest).to_owned(),
        config: guest.config.clone(),
        pending: guest.pending.clone(),
    }
}

pub(crate) fn guests(sim: &Sim) -> Vec<GuestView> {
    sim.world().guests.values().map(guest_view).collect()
}

pub(crate) fn guest(sim: &Sim, vmid: u32) -> Option<GuestView> {
    sim.world().guests.get(&vmid).map(guest_view)
}

pub(crate) fn archives(sim: &Sim, vmid: u32) -> Vec<String> {
    let world = sim.world();
    let of =
        |volume: &&crate::model::Volume| volume.content == "backup" && volume.vmid == Some(vmid);
    let mut all: Vec<String> = world
        .volumes
        .iter()
        .filter(of)
        .map(|v| v.volid.clone())
        .collect();
    all.sort_unstable();
    all
}

pub(crate) fn running_tasks(sim: &Sim) -> Vec<RunningTask> {
    sim.tasks.with(|records| {
        records
            .iter()
            .filter(|record| record.exit.is_none())
            .map(|record| RunningTask {
                upid: record.upid.clone(),
                kind: record.kind.clone(),
                id: record.id.clone(),
                log: record.log.clone(),
            })
            .collect()
    })
}

/// Hash over every guest that bears no mark: no line of its description starts with `mark`.
pub(crate) fn foreign_hash(sim: &Sim, mark: &str) -> String {
    let foreign: Vec<GuestView> = guests(sim)
        .into_iter()
        .filter(|guest| !guest.description.lines().any(|line| line.starts_with(mark)))
        .collect();
    hex::encode(Sha256::digest(
        serde_json::to_vec(&foreign).unwrap_or_default(),
    ))
}
