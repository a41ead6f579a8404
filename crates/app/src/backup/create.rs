//! Backing a server up.

use super::about;
use crate::server::{busy, incomplete};
use crate::{App, AppError, Ctx, Result};
use serde::{Deserialize, Serialize};
use tpm_domain::{
    BackupMode, BackupNote, BackupOrigin, BackupPayload, BackupToken, Compression, Conflict, Error,
    Event, EventKind, FieldErrors, Permission, Reason, Server, ServerId, TaskKind, TaskToken,
};
use tpm_store::{NewBackup, NewTask, UnitOfWork};

/// A request for a backup before it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupDraft {
    /// Of which server.
    pub server: Option<ServerId>,
    /// `full`, the only one there is.
    pub backup_type: Option<String>,
    /// How a running guest is treated.
    pub mode: Option<String>,
    /// How it is packed.
    pub compress: Option<String>,
    /// Where it goes.
    pub storage: Option<String>,
    /// What people say about it.
    pub notes: Option<String>,
    /// Whether it is kept from deletion.
    pub protected: Option<bool>,
}

/// A backup that was accepted, or a restore of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupAccepted {
    /// The task to watch.
    pub task: TaskToken,
    /// The backup that is made, restored or deleted.
    pub backup: BackupToken,
    /// The server it is of, or that it is restored to.
    pub server: ServerId,
    /// The backup of what is there before a restore.
    #[serde(default)]
    pub safety: Option<BackupToken>,
}

/// A draft that makes sense.
struct Understood {
    mode: BackupMode,
    compression: Compression,
    storage: String,
    notes: String,
    protected: bool,
}

/// The name of a storage, as Proxmox VE has them.
pub(super) fn is_storage(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && text.len() <= 100
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// One of several words; the default when nothing was said.
pub(super) fn word<T: Copy>(
    text: Option<&String>,
    field: &str,
    default: T,
    all: &[T],
    name: fn(T) -> &'static str,
    errors: &mut FieldErrors,
) -> T {
    let Some(text) = text else {
        return default;
    };
    match all.iter().find(|one| name(**one) == text) {
        Some(one) => *one,
        None => {
            let allowed = all.iter().map(|one| name(*one).to_owned()).collect();
            errors.add(field, Reason::OneOf { allowed });
            default
        }
    }
}

/// What people say about a backup: one line.
pub(super) fn said(notes: &str, errors: &mut FieldErrors) -> String {
    let notes = notes.trim().to_owned();
    if notes.chars().count() > BackupNote::MAX {
        let max = BackupNote::MAX;
        errors.add("notes", Reason::TooLong { max });
    } else if !BackupNote::may_say(&notes) {
        errors.add("notes", Reason::OneLine);
    }
    notes
}

impl App {
    /// Backs a server up.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, not found, conflict when a task is at work on the server or
    /// it has no guest, or the store does not answer.
    pub async fn create_backup(
        &self,
        ctx: &Ctx,
        draft: &BackupDraft,
        mut errors: FieldErrors,
    ) -> Result<BackupAccepted> {
        ctx.reach(Permission::WriteBackups)?;
        let understood = self.understand_backup(draft, &mut errors);
        let server = errors.into_result(draft.server)?.ok_or_else(incomplete)?;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let found = tx.server(server).await?;
        let server = ctx.may(Permission::WriteBackups, server, found)?;
        if let Some(task) = tx.active_task(server.id).await? {
            return Err(busy(task.token));
        }
        has_guest(&server)?;
        let new = NewBackup {
            mode: Some(understood.mode),
            compression: Some(understood.compression),
            storage: understood.storage,
            notes: understood.notes,
            protected: understood.protected,
            ..self.new_backup(&server, BackupOrigin::Asked)
        };
        let backup = tx.insert_backup(&new).await?;
        let payload = BackupPayload::of(backup);
        let event = EventKind::BackupRequested;
        let task = self
            .enqueue_backup(ctx, &*tx, &server, TaskKind::CreateBackup, payload, event)
            .await?;
        let done = BackupAccepted {
            task,
            backup: new.token,
            server: server.id,
            safety: None,
        };
        ctx.remember(&*tx, &done).await?;
        self.commit(ctx, tx, about(&done.backup, &server)).await?;
        self.store().queue().wake().await;
        Ok(done)
    }

    fn understand_backup(&self, draft: &BackupDraft, errors: &mut FieldErrors) -> Understood {
        let policy = &self.policy().backup;
        if draft.server.is_none() && errors.is_empty() {
            errors.add("server_id", Reason::Required);
        }
        let kind = draft.backup_type.as_ref();
        word(kind, "backup_type", "full", &["full"], |it| it, errors);
        let mode = draft.mode.as_ref();
        let (all, name) = (BackupMode::ALL, BackupMode::as_str);
        let mode = word(mode, "mode", policy.mode, all, name, errors);
        let packed = draft.compress.as_ref();
        let (all, name) = (Compression::ALL, Compression::as_str);
        let compression = word(packed, "compress", policy.compression, all, name, errors);
        let storage = draft.storage.clone();
        let storage = storage.unwrap_or_else(|| policy.storage.clone());
        if !is_storage(&storage) {
            errors.add("storage", Reason::NoSuch);
        }
        let notes = said(draft.notes.as_deref().unwrap_or_default(), errors);
        Understood {
            mode,
            compression,
            storage,
            notes,
            protected: draft.protected.unwrap_or_default(),
        }
    }

    /// A backup as the settings say, of a server's guest.
    pub(crate) fn new_backup(&self, server: &Server, origin: BackupOrigin) -> NewBackup {
        let policy = &self.policy().backup;
        NewBackup {
            token: self.new_backup_token(),
            server: server.id,
            server_name: server.name.to_string(),
            vmid: server.vmid,
            storage: policy.storage.clone(),
            origin,
            schedule: None,
            mode: Some(policy.mode),
            compression: Some(policy.compression),
            notes: String::new(),
            protected: false,
        }
    }

    /// Writes a task about a backup, and the event that goes with it.
    pub(crate) async fn enqueue_backup(
        &self,
        ctx: &Ctx,
        tx: &(dyn UnitOfWork + Send + Sync),
        server: &Server,
        kind: TaskKind,
        payload: BackupPayload,
        event: EventKind,
    ) -> Result<TaskToken> {
        let token = self.new_task_token();
        let on = (server.id, server.name.to_string());
        let payload = serde_json::to_string(&payload).map_err(|e| AppError::Fault(e.into()))?;
        let task = NewTask {
            payload: Some(payload),
            ..NewTask::on(kind, token.clone(), on, ctx.actor.id)
        };
        tx.insert_task(&task).await?;
        let event = Event {
            kind: event,
            server: Some(server.id),
            server_name: server.name.to_string(),
            task: Some(token.clone()),
        };
        tx.add_event(&event).await?;
        Ok(token)
    }
}

/// A server without a guest of its own cannot be backed up.
fn has_guest(server: &Server) -> Result<()> {
    if server.can_be_backed_up() {
        return Ok(());
    }
    let state = server.state.as_str();
    Err(AppError::Refused(Error::Conflict(Conflict::WrongState {
        state,
    })))
}
