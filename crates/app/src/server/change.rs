//! Changing a server: cores, memory, disk, tags, description by a task; the end of its time and its project at once.

use super::delete::{existing, target};
use super::draft::{ExpiryDraft, described, labels};
use super::reserve::{Crossings, Refusal};
use crate::{App, AppError, Ctx, Result};
use serde::{Deserialize, Serialize};
use tpm_domain::{
    ChangePayload, Conflict, Error, Event, EventKind, Expiry, FieldErrors, Permission, Reason,
    Server, ServerId, ServerName, ServerState, Shortage, TaskKind, TaskToken, Usage, room_to_grow,
};
use tpm_store::{NewTask, UnitOfWork};

/// What is to be changed; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerChange {
    /// CPU cores.
    pub cpu: Option<i64>,
    /// Memory in MiB.
    pub memory: Option<i64>,
    /// Disk in GiB; disks only grow.
    pub disk_size: Option<i64>,
    /// All of its tags.
    pub tags: Option<Vec<String>>,
    /// What people say about it.
    pub description: Option<String>,
    /// The end of its time; `Some` without a moment is no end.
    pub expiry: Option<ExpiryDraft>,
    /// Name of the project it belongs to.
    pub project: Option<String>,
    /// The server's name, as consent to a change that loses what it holds.
    pub confirm: Option<String>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeOutcome {
    /// It is stored; nothing has to be done on the guest.
    Saved,
    /// A task does it.
    Started(TaskToken),
}

impl App {
    /// Changes a server.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, not found, conflict (a task is at work, no room, beyond
    /// the quota), or the store does not answer. Nothing is changed then.
    pub async fn change_server(
        &self,
        ctx: &Ctx,
        id: ServerId,
        change: &ServerChange,
        errors: FieldErrors,
    ) -> Result<ChangeOutcome> {
        ctx.reach(Permission::WriteServers)?;
        if !errors.is_empty() {
            errors.into_result(())?;
        }
        let mut crossings = Crossings::default();
        let done = loop {
            match self.try_change(ctx, id, change).await {
                Err(refusal) if crossings.again(&refusal) => {}
                done => break done?,
            }
        };
        if matches!(done, ChangeOutcome::Started(_)) {
            self.store().queue().wake().await;
        }
        Ok(done)
    }

    async fn try_change(
        &self,
        ctx: &Ctx,
        id: ServerId,
        change: &ServerChange,
    ) -> std::result::Result<ChangeOutcome, Refusal> {
        let (_turn, tx) = self.begin_in_turn().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        tx.lock_reservations().await?;
        let before = existing(ctx, &*tx, id).await?;
        let mut server = before.clone();
        let mut errors = FieldErrors::default();
        self.apply(change, &mut server, &mut errors);
        if let Some(name) = &change.project {
            let found = match ServerName::new(name) {
                Some(name) => tx.project_named(&name).await?,
                None => None,
            };
            // A project where the person may not make servers is none to move one to.
            let may = ctx.actor.reach(Permission::WriteServers);
            match found.filter(|project| may.covers(project.id)) {
                Some(project) => server.project = project.id,
                None => errors.add("project", Reason::NoSuch),
            }
        }
        errors.into_result(())?;
        let grows = server.spec != before.spec;
        if grows || server.project != before.project {
            self.gate(&*tx, &before, &server).await?;
        }
        let outcome = if grows {
            ChangeOutcome::Started(
                self.enqueue_change(ctx, &*tx, &before, change.confirm.is_some())
                    .await?,
            )
        } else {
            ChangeOutcome::Saved
        };
        if server != before {
            tx.save_server(&server).await?;
        }
        ctx.remember(&*tx, &outcome).await?;
        self.commit(ctx, tx, target(&server)).await?;
        Ok(outcome)
    }

    /// Puts what is wanted onto the row, or says what is wrong with it.
    fn apply(&self, change: &ServerChange, server: &mut Server, errors: &mut FieldErrors) {
        let limits = &self.policy().limits;
        let spec = &mut server.spec;
        let mut set = |value: Option<i64>, to: &mut u32, min: u32, max: u32, field: &str| {
            let Some(value) = value else { return };
            match u32::try_from(value) {
                Ok(number) if (min..=max).contains(&number) => *to = number,
                _ => errors.add(
                    field,
                    Reason::Range {
                        min: min.into(),
                        max: max.into(),
                    },
                ),
            }
        };
        set(change.cpu, &mut spec.cpu, 1, limits.max_cpu, "cpu");
        let (least, most) = (limits.min_memory_mb, limits.max_memory_mb);
        set(change.memory, &mut spec.memory_mb, least, most, "memory");
        let has = spec.disk_gb;
        if change
            .disk_size
            .is_some_and(|gb| (1..i64::from(has)).contains(&gb))
        {
            let from = has.into();
            errors.add("disk_size", Reason::Shrinks { from });
        } else {
            let max = limits.max_disk_gb;
            set(change.disk_size, &mut spec.disk_gb, has, max, "disk_size");
        }
        if let Some(tags) = labels(change.tags.as_deref(), "", errors) {
            spec.tags = Some(tags);
        }
        if let Some(text) = described(change.description.as_deref(), "", errors) {
            spec.description = Some(text);
        }
        if let Some(name) = &change.confirm
            && name != server.name.as_str()
        {
            errors.add("confirm", Reason::NotItsName);
        }
        if let Some(draft) = &change.expiry {
            server.expiry = match draft.at {
                None => Expiry::default(),
                Some(_) => draft
                    .understand("", self.now(), errors)
                    .unwrap_or(server.expiry),
            };
        }
    }

    /// The same gate as for a new server, for what is asked for on top.
    pub(super) async fn gate(
        &self,
        tx: &(dyn UnitOfWork + Send + Sync),
        before: &Server,
        after: &Server,
    ) -> std::result::Result<(), Refusal> {
        let more = |has: u32, wants: u32| u64::from(wants.saturating_sub(has));
        let (old, new) = (&before.spec, &after.spec);
        let grown = Usage {
            servers: 0,
            cpu: more(old.cpu, new.cpu),
            memory_mb: more(old.memory_mb, new.memory_mb),
            disk_gb: more(old.disk_gb, new.disk_gb),
        };
        let mut wanted = grown;
        if before.project != after.project {
            wanted = Usage::default();
            wanted.add(new.cpu, new.memory_mb, new.disk_gb);
        }
        if let Some(project) = tx.project(after.project).await? {
            let bounds = project.quota.shortages(&project.usage, &wanted);
            if !bounds.is_empty() {
                let project = project.name.to_string();
                let shortage = Shortage::Quota { project, bounds };
                return Err(Error::Conflict(Conflict::Shortage(shortage)).into());
            }
        }
        let (Some(policy), Some(node)) =
            (self.policy().placement.get(&before.engine), before.place())
        else {
            return Ok(());
        };
        let picture = tx.picture().await?;
        let promised = tx.promised(&picture).await?;
        let storage = before.placement.as_ref().map(|p| p.storage.as_str());
        let asked = (grown.cpu, grown.memory_mb, grown.disk_gb);
        room_to_grow(&picture, &policy.rules, &promised, (node, storage), asked).map_err(|why| {
            let shortage = Shortage::Capacity {
                missing: 1,
                nodes: vec![(node.clone(), why)],
            };
            Error::Conflict(Conflict::Shortage(shortage)).into()
        })
    }

    pub(super) async fn refuse_busy(
        &self,
        tx: &(dyn UnitOfWork + Send + Sync),
        id: ServerId,
    ) -> std::result::Result<(), Refusal> {
        match tx.active_task(id).await? {
            Some(task) => {
                let task = task.token;
                Err(Error::Conflict(Conflict::ServerBusy { task }).into())
            }
            None => Ok(()),
        }
    }

    /// A task that makes the guest what the row says; `before` is what the row says again when it fails.
    pub(super) async fn enqueue_change(
        &self,
        ctx: &Ctx,
        tx: &(dyn UnitOfWork + Send + Sync),
        before: &Server,
        consent: bool,
    ) -> std::result::Result<TaskToken, Refusal> {
        self.refuse_busy(tx, before.id).await?;
        if !matches!(before.state, ServerState::Running | ServerState::Stopped) {
            let state = before.state.as_str();
            return Err(Error::Conflict(Conflict::WrongState { state }).into());
        }
        let token = self.new_task_token();
        let on = (before.id, before.name.to_string());
        let task = NewTask {
            payload: Some(as_json(before, consent)?),
            ..NewTask::on(TaskKind::ChangeServer, token.clone(), on, ctx.actor.id)
        };
        tx.insert_task(&task).await?;
        let event = Event {
            kind: EventKind::ChangeRequested,
            server: Some(before.id),
            server_name: before.name.to_string(),
            task: Some(token.clone()),
        };
        tx.add_event(&event).await?;
        Ok(token)
    }
}

fn as_json(before: &Server, consent: bool) -> std::result::Result<String, Refusal> {
    let before = before.spec.clone();
    serde_json::to_string(&ChangePayload { before, consent })
        .map_err(|error| Refusal::App(AppError::Fault(error.into())))
}
