//! What must be true when everything has come to rest.

use crate::engine::{is_ours, mark};
use crate::pve::{Guest, Pve};
use crate::watch::Watch;
use std::collections::BTreeSet;
use tpm_domain::{
    BulkPolicy, FailureCode, ServerState, Task, TaskKind, TaskState, TaskToken, Vmid,
};
use tpm_store_memory::{Inside, MemoryStore, ServerInside, TaskInside};

/// Everything that is not as it must be.
pub(crate) fn faults(
    store: &MemoryStore,
    pve: &Pve,
    watch: &Watch,
    accepted: &[TaskToken],
) -> Vec<String> {
    let inside = store.look_inside();
    let guests = pve.guests();
    let mut faults = Vec::new();
    for token in accepted {
        if !inside.tasks.iter().any(|row| row.task.token == *token) {
            faults.push(format!("{token} was accepted and is not there"));
        }
    }
    for row in &inside.tasks {
        task(row, watch, &inside, &mut faults);
    }
    for row in &inside.servers {
        server(row, &inside, &guests, &mut faults);
    }
    for (vmid, guest) in &guests {
        let owned = |row: &ServerInside| {
            row.holds && row.server.vmid == *vmid && is_ours(&row.server, guest)
        };
        // A killed clone leaves a lock that only root can remove.
        let broken = guest.locked;
        // A clone that was asked for twice and arrives once more when its server is gone looks like a guest
        // that somebody brought back from a backup: it is left alone, and people are told.
        let conflict = |row: &ServerInside| {
            row.server.vmid == *vmid && row.server.state == ServerState::IdentityConflict
        };
        let told = broken || watch.is_foreign(*vmid) || inside.servers.iter().any(conflict);
        if !told && !inside.servers.iter().any(owned) {
            faults.push(format!("guest {vmid} is nobody's: {}", guest.mark));
        }
    }
    if !inside.places.is_empty() {
        faults.push(format!("places still taken: {:?}", inside.places));
    }
    twice(&inside, &mut faults);
    faults
}

/// Whether a task has not come to its end.
pub(crate) fn unended(store: &MemoryStore) -> Vec<TaskToken> {
    let inside = store.look_inside();
    inside
        .tasks
        .into_iter()
        .filter(|row| !row.task.state.is_final())
        .map(|row| row.task.token)
        .collect()
}

fn task(row: &TaskInside, watch: &Watch, inside: &Inside, faults: &mut Vec<String>) {
    let task = &row.task;
    let token = &task.token;
    if !task.state.is_final() {
        faults.push(format!("{token} has not ended: {:?}", row.brief));
        return;
    }
    if task.progress != 100 {
        faults.push(format!("{token} ended at {} %", task.progress));
    }
    if task.kind.is_bulk() {
        bulk(task, inside, faults);
        return;
    }
    if row.undoes.is_some() && task.state == TaskState::Cancelled {
        faults.push(format!("{token} takes something back and was cancelled"));
    }
    let ends = watch.ends_of(token);
    if ends != 1 {
        faults.push(format!("{ends} events say how {token} ended"));
    }
    if task.kind == TaskKind::CreateServer {
        create(task, inside, faults);
    }
}

/// What a create leaves: a server, or nothing held.
fn create(task: &Task, inside: &Inside, faults: &mut Vec<String>) {
    let token = &task.token;
    let row = inside
        .servers
        .iter()
        .find(|row| Some(row.server.id) == task.server);
    let Some(row) = row else {
        faults.push(format!("{token} has no server"));
        return;
    };
    // A later create made the server again.
    if row.server.created_by != *token {
        return;
    }
    match task.state {
        TaskState::Cancelled if !row.deleted || row.held > 0 => {
            faults.push(format!("{token} was cancelled and something is held"));
        }
        TaskState::Failed => {
            let undo_failed = task
                .failure
                .as_ref()
                .is_some_and(|failure| failure.code == FailureCode::UndoFailed);
            let kept = row.server.identity.is_some();
            if row.held > 0 && !undo_failed && !kept {
                faults.push(format!("{token} failed and something is held"));
            }
        }
        _ => {}
    }
}

fn bulk(task: &Task, inside: &Inside, faults: &mut Vec<String>) {
    let token = &task.token;
    let sum = task.children.unwrap_or_default();
    let ended = sum.completed + sum.failed + sum.cancelled + sum.undone + sum.undo_failed;
    if sum.undoing > 0 || ended != sum.total {
        faults.push(format!("{token} ended before its tasks: {sum:?}"));
    }
    let count = inside
        .tasks
        .iter()
        .filter(|row| row.task.parent == Some(task.id) && row.undoes.is_none())
        .count();
    if usize::try_from(sum.total).ok() != Some(count) {
        faults.push(format!("{token} has {count} tasks and says {sum:?}"));
    }
    if task.kind != TaskKind::BulkCreate
        || task.policy != BulkPolicy::AllOrNothing
        || sum.completed == sum.total
    {
        return;
    }
    // Not all: then nothing, but for what could not be taken back, or was made again since.
    for made in inside.tasks.iter().filter(|row| {
        row.task.parent == Some(task.id)
            && row.undoes.is_none()
            && row.task.state == TaskState::Completed
    }) {
        let tried = |row: &TaskInside| row.undoes == Some(made.task.id);
        let stays = |row: &ServerInside| {
            row.holds
                && Some(row.server.id) == made.task.server
                && row.server.created_by == made.task.token
        };
        if !inside.tasks.iter().any(tried) && inside.servers.iter().any(stays) {
            faults.push(format!("{token} is neither all nor nothing: {sum:?}"));
        }
    }
}

fn server(row: &ServerInside, inside: &Inside, guests: &[(Vmid, Guest)], faults: &mut Vec<String>) {
    let server = &row.server;
    let id = server.id;
    if row.holds != (row.held > 0) || row.held > 3 {
        faults.push(format!("server {id} holds: {} {}", row.holds, row.held));
    }
    if row.deleted && row.holds {
        faults.push(format!("server {id} is deleted and holds something"));
    }
    let its_mark = mark(server).to_string();
    let same_mark = guests.iter().filter(|(_, guest)| guest.mark == its_mark);
    let its: Vec<_> = same_mark.collect();
    if its.len() > 1 {
        faults.push(format!("server {id} has {} guests", its.len()));
    }
    if !row.holds {
        return;
    }
    let guest = its.first().map(|(_, guest)| guest);
    if let Some(guest) = guest
        && matches!(server.state, ServerState::Running | ServerState::Stopped)
        && guest.cpu != server.spec.cpu
        && server.drift.is_empty()
    {
        let (wanted, found) = (server.spec.cpu, guest.cpu);
        faults.push(format!("server {id} has {found} cores, not {wanted}"));
    }
    match (server.state, guest) {
        (ServerState::Creating | ServerState::Deleting | ServerState::Restarting, _) => {
            faults.push(format!("server {id} stays {:?}", server.state));
        }
        (ServerState::Running, Some(guest)) if !guest.running => {
            faults.push(format!("server {id} does not run"));
        }
        (ServerState::Stopped, Some(guest)) if guest.running => {
            faults.push(format!("server {id} runs"));
        }
        (ServerState::Running | ServerState::Stopped | ServerState::Unknown, None) => {
            faults.push(format!("server {id} has no guest: {:?}", server.state));
        }
        (ServerState::Missing, Some(_)) => {
            faults.push(format!("server {id} is said to be missing"));
        }
        (ServerState::Missing, None) => {
            // A removal that was cancelled may still have been under way.
            let asked = inside
                .tasks
                .iter()
                .any(|row| row.task.server == Some(id) && row.task.kind == TaskKind::DeleteServer);
            if !asked {
                faults.push(format!("server {id} lost its guest"));
            }
        }
        _ => {}
    }
}

fn twice(inside: &Inside, faults: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    let mut vmids = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for row in inside.servers.iter().filter(|row| row.holds) {
        let server = &row.server;
        if !names.insert(&server.name) {
            faults.push(format!("name {} twice", server.name));
        }
        if !vmids.insert(server.vmid) {
            faults.push(format!("vmid {} twice", server.vmid));
        }
        for nic in &server.spec.nics {
            if let Some(address) = nic.address
                && !addresses.insert(address.ip)
            {
                faults.push(format!("address {} twice", address.ip));
            }
        }
    }
}
