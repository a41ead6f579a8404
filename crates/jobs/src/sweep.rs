//! Every server beside its guest: expected, moved, switched or changed by hand, missing, replaced by a
//! stranger; and every guest in our range beside its server: left over, or somebody else's.
//!
//! The list only makes suspects: before anything is written the guest itself is read. Nothing is made
//! again by itself, and only what carries our signature, belongs to a create that is over and was seen
//! long enough is removed, by a task of its own.

use crate::orphan::Orphan;
use crate::worker::Worker;
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{
    Event, EventKind, Failure, FailureCode, GuestEntry, GuestView, Mark, PowerState, Server,
    ServerState, Survey, TaskKind, TaskState, TaskToken, Timestamp, UserId, Vmid,
};
use tpm_provisioner::Provisioner;
use tpm_store::{NewTask, StoreError, TaskQuery};

/// So many guests are read in one sweep; the rest are looked at in the next ones.
const READ_AT_ONCE: usize = 64;
/// Of these so many although nothing is suspicious, a different part each time: a stranger of the same
/// name and size shows in the list no otherwise than our own guest.
const READ_ANYWAY: usize = 16;
/// After a removal that did not work out it is tried again after this time, in milliseconds.
const TRY_AGAIN_MS: i64 = 600_000;

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Servers whose guest is as the list should show it.
    pub expected: usize,
    /// Guests that were read.
    pub read: usize,
    /// Servers whose guest is on another node than before.
    pub moved: usize,
    /// Servers whose guest was switched by somebody else.
    pub switched: usize,
    /// Servers whose guest was changed by somebody else.
    pub drifted: usize,
    /// Servers whose guest is gone.
    pub missing: usize,
    /// Servers whose guest is another one.
    pub conflicts: usize,
    /// Guests left over by a create that is over, newly to be removed.
    pub orphans: usize,
    /// Guests of ours that this database did not know.
    pub adopted: usize,
    /// Guests of others in our range, newly seen.
    pub foreign: usize,
}

/// Whether the list gives reason to read the guest.
fn is_suspect(server: &Server, entry: Option<&GuestEntry>) -> bool {
    let Some(entry) = entry else { return true };
    let running = match server.state {
        ServerState::Running => Some(true),
        ServerState::Stopped => Some(false),
        _ => return true,
    };
    let named = entry
        .name
        .as_deref()
        .is_some_and(|name| name != server.name.as_str());
    server.node.as_ref() != Some(&entry.node)
        || (entry.running.is_some() && entry.running != running)
        || named
        || entry.template
        || entry.cpus != u64::from(server.spec.cpu)
        || entry.memory_mb != u64::from(server.spec.memory_mb)
}

/// Whether a sweep has anything to say about a server in this state: what a task is bringing about is the
/// task's business, and what could not be undone is no server, whether or not its guest runs.
fn is_settled(server: &Server) -> bool {
    let left = |problem: &Failure| problem.code == FailureCode::UndoFailed;
    server.identity.is_some()
        && !server.problem.as_ref().is_some_and(left)
        && matches!(
            server.state,
            ServerState::Running
                | ServerState::Stopped
                | ServerState::Missing
                | ServerState::Unknown
                | ServerState::IdentityConflict
        )
}

impl Worker {
    /// Compares every server with its cluster now.
    ///
    /// # Errors
    /// When a cluster or the store does not answer.
    pub async fn sweep(&self) -> Result<Swept, crate::LookError> {
        let mut all = Swept::default();
        for (engine, survey) in self.look().await? {
            all = self.sweep_engine(&engine, &survey).await?;
        }
        Ok(all)
    }

    pub(crate) async fn sweep_engine(
        &self,
        name: &str,
        survey: &Survey,
    ) -> Result<Swept, StoreError> {
        let Some(engine) = self.engine(name) else {
            return Ok(Swept::default());
        };
        let entries: BTreeMap<Vmid, &GuestEntry> =
            survey.guests.iter().map(|g| (g.vmid, g)).collect();
        let servers = self.store().reads().servers_with_guests().await?;
        let mut swept = Swept::default();
        let mut due = Vec::new();
        let mut calm = Vec::new();
        let shown_here = |server: &&Server| self.is_shown_by(server, name);
        for server in servers.iter().filter(shown_here).filter(|s| is_settled(s)) {
            let entry = entries.get(&server.vmid).copied();
            if is_suspect(server, entry) {
                due.push(server);
            } else {
                swept.expected += 1;
                calm.push(server);
            }
        }
        due.truncate(READ_AT_ONCE);
        if !calm.is_empty() {
            let from = self.next_part(calm.len());
            due.extend(
                calm.iter()
                    .cycle()
                    .skip(from)
                    .take(READ_ANYWAY.min(calm.len())),
            );
        }
        for server in due {
            swept.read += 1;
            match engine.look(server).await {
                Ok(view) => self.compare(server, view.as_ref(), &mut swept).await?,
                Err(error) => {
                    tracing::debug!(server = %server.id, %error, "cannot see a guest");
                }
            }
        }
        let ours: BTreeSet<Vmid> = servers.iter().map(|s| s.vmid).collect();
        for guest in self.strangers(survey, &ours).take(READ_AT_ONCE) {
            self.judge(&*engine, guest, &mut swept).await?;
        }
        Ok(swept)
    }

    /// Writes down what a look at a server's guest showed, unless a task has begun meanwhile.
    async fn compare(
        &self,
        seen: &Server,
        view: Option<&GuestView>,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let mut server = seen.clone();
        let mut events = Vec::new();
        match view {
            None => {
                swept.missing += 1;
                let text = format!("VM {} does not exist", server.vmid);
                server.state = ServerState::Missing;
                server.problem = Some(Failure::new(FailureCode::GuestMissing, text));
                if seen.state != ServerState::Missing {
                    events.push(EventKind::GuestMissing);
                }
            }
            Some(GuestView {
                conflict: Some(both),
                ..
            }) => {
                swept.conflicts += 1;
                let failure = Failure::new(FailureCode::IdentityConflict, both.clone());
                server.state = ServerState::IdentityConflict;
                server.problem = Some(failure.clone());
                if seen.state != ServerState::IdentityConflict {
                    events.push(EventKind::IdentityConflict { failure });
                }
            }
            Some(view) => as_found(&mut server, view, &mut events, swept),
        }
        if server == *seen {
            return Ok(());
        }
        let tx = self.store().begin().await?;
        tx.lock_reservations().await?;
        let Some(now) = tx.idle_server(seen.id).await? else {
            return Ok(());
        };
        if now != *seen {
            return Ok(());
        }
        tx.save_server(&server).await?;
        for kind in events {
            tracing::warn!(server = %server.id, vmid = %server.vmid, ?kind, "seen by the sweep");
            let event = Event {
                kind,
                server: Some(server.id),
                server_name: server.name.to_string(),
                task: None,
            };
            tx.add_event(&event).await?;
        }
        tx.commit().await
    }

    /// A guest in our range that is no server's: left over by a create that is over, or somebody else's.
    async fn judge(
        &self,
        engine: &dyn Provisioner,
        guest: &GuestEntry,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let found = match engine.inspect(guest).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::debug!(vmid = %guest.vmid, %error, "cannot read a guest in our range");
                return Ok(());
            }
        };
        // Being made at this moment, by us or by somebody else.
        if found.lock.as_deref() == Some("clone") || found.lock.as_deref() == Some("create") {
            return Ok(());
        }
        match &found.mark {
            Some(mark) if mark.vmid == guest.vmid => {
                if self.adopt(engine, guest, mark, &found).await? {
                    swept.adopted += 1;
                    return Ok(());
                }
                self.judge_ours(guest, mark, swept).await
            }
            _ => self.judge_foreign(guest, swept).await,
        }
    }

    async fn judge_foreign(&self, guest: &GuestEntry, swept: &mut Swept) -> Result<(), StoreError> {
        let tx = self.store().begin().await?;
        if !tx.burn_vmid(guest.vmid).await? {
            return Ok(());
        }
        swept.foreign += 1;
        let event = Event {
            kind: EventKind::ForeignInRange { vmid: guest.vmid },
            server: None,
            server_name: guest.name.clone().unwrap_or_default(),
            task: None,
        };
        tx.add_event(&event).await?;
        tx.commit().await
    }

    /// A guest with our signature that is no server's. It is removed when its create is over and it is
    /// still there a while after it was seen first.
    async fn judge_ours(
        &self,
        guest: &GuestEntry,
        mark: &Mark,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        // An older copy does not know what became of it.
        if self.is_a_copy().await? {
            return Ok(());
        }
        let operation = TaskToken(mark.operation.clone());
        let tx = self.store().begin().await?;
        let Some(server) = tx.server_ever(mark.server).await? else {
            drop(tx);
            return self.judge_foreign(guest, swept).await;
        };
        if tx.active_task(server.id).await?.is_some() {
            return Ok(());
        }
        let over = match tx.task(&operation).await?.map(|task| task.state) {
            Some(TaskState::Failed | TaskState::Cancelled) => true,
            // The create gave this number up for another one.
            Some(TaskState::Completed) => {
                server.created_by == operation
                    && server.vmid != guest.vmid
                    && tx.is_quarantined(guest.vmid).await?
            }
            _ => false,
        };
        if !over {
            // Made by us once and brought back by somebody: not ours to remove.
            drop(tx);
            return self.judge_foreign(guest, swept).await;
        }
        let first = tx.sight(guest.vmid, &mark.to_string()).await?;
        let now = tx.now();
        if now.since(first) < self.settings().rounds.orphan_after
            || self.was_tried(&*tx, &server, now).await?
        {
            return tx.commit().await;
        }
        let requested_by = tx.requester(&operation).await?.unwrap_or(UserId(0));
        let payload = Orphan {
            vmid: guest.vmid,
            node: guest.node.clone(),
            operation,
        };
        let token = TaskToken(format!("task_orphan_{}_{}", guest.vmid, now.0));
        let task = NewTask {
            payload: serde_json::to_string(&payload).ok(),
            ..NewTask::on(
                TaskKind::RemoveOrphan,
                token.clone(),
                (server.id, server.name.to_string()),
                requested_by,
            )
        };
        tx.insert_task(&task).await?;
        let event = Event {
            kind: EventKind::OrphanFound { vmid: guest.vmid },
            server: Some(server.id),
            server_name: server.name.to_string(),
            task: Some(token),
        };
        tx.add_event(&event).await?;
        tx.commit().await?;
        swept.orphans += 1;
        self.store().queue().wake().await;
        Ok(())
    }

    /// Whether a removal was tried lately and did not work out.
    async fn was_tried(
        &self,
        tx: &(dyn tpm_store::UnitOfWork + Send + Sync),
        server: &Server,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let query = TaskQuery {
            kind: Some(TaskKind::RemoveOrphan),
            state: Some(TaskState::Failed),
            server: Some(server.id),
            limit: Some(1),
            ..TaskQuery::default()
        };
        let last = tx.tasks(&query).await?.items.into_iter().next();
        Ok(last.is_some_and(|task| now.0 - task.updated_at.0 < TRY_AGAIN_MS))
    }
}

/// The guest is ours: what is new about it is followed.
fn as_found(server: &mut Server, view: &GuestView, events: &mut Vec<EventKind>, swept: &mut Swept) {
    let before = server.state;
    if let Some(old) = server.node.replace(view.node.clone())
        && old != view.node
    {
        swept.moved += 1;
        events.push(EventKind::Moved {
            from: old,
            to: view.node.clone(),
        });
    }
    let running = view.power == PowerState::Running;
    server.state = if running {
        ServerState::Running
    } else {
        ServerState::Stopped
    };
    server.problem = None;
    if server.state != before {
        if matches!(before, ServerState::Running | ServerState::Stopped) {
            swept.switched += 1;
            events.push(EventKind::PowerSeen { running });
        } else {
            events.push(EventKind::GuestFound);
        }
    }
    if !view.drift.is_empty() {
        swept.drifted += 1;
    }
    if server.drift != view.drift {
        server.drift.clone_from(&view.drift);
        if !view.drift.is_empty() {
            events.push(EventKind::Drifted {
                fields: view.drift.iter().map(ToString::to_string).collect(),
            });
        }
    }
}
