//! A task: what the API shows of a piece of durable work, and the steps it consists of.

use crate::{Failure, PowerTarget, ServerId, TaskId, TaskToken, Timestamp, UserId};
use serde::{Deserialize, Serialize};

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Makes one server.
    CreateServer,
    /// Removes one server.
    DeleteServer,
    /// Switches one server on.
    StartServer,
    /// Shuts one server down.
    StopServer,
    /// Restarts one server.
    RestartServer,
    /// Changes one server's cores, memory or disk.
    ChangeServer,
    /// Takes over a guest that others made, as it is.
    ImportServer,
    /// Removes a guest of ours that was left over by a create that is over.
    RemoveOrphan,
    /// Backs one server up.
    CreateBackup,
    /// Restores a backup over a server.
    RestoreBackup,
    /// Makes a new server of a backup.
    RestoreNew,
    /// Tries a backup in a guest of its own, which is destroyed after it.
    DrillBackup,
    /// Deletes one backup.
    DeleteBackup,
    /// Summarizes the creation of several servers.
    BulkCreate,
    /// Summarizes the removal of several servers.
    BulkDelete,
    /// Summarizes the switching of several servers.
    BulkPower,
}

impl TaskKind {
    /// Every kind, in the order above.
    pub const ALL: [Self; 16] = [
        Self::CreateServer,
        Self::DeleteServer,
        Self::StartServer,
        Self::StopServer,
        Self::RestartServer,
        Self::ChangeServer,
        Self::ImportServer,
        Self::RemoveOrphan,
        Self::CreateBackup,
        Self::RestoreBackup,
        Self::RestoreNew,
        Self::DrillBackup,
        Self::DeleteBackup,
        Self::BulkCreate,
        Self::BulkDelete,
        Self::BulkPower,
    ];

    /// The kind on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateServer => "create_server",
            Self::DeleteServer => "delete_server",
            Self::StartServer => "start_server",
            Self::StopServer => "stop_server",
            Self::RestartServer => "restart_server",
            Self::ChangeServer => "change_server",
            Self::ImportServer => "import_server",
            Self::RemoveOrphan => "remove_orphan",
            Self::CreateBackup => "create_backup",
            Self::RestoreBackup => "restore_backup",
            Self::RestoreNew => "restore_new",
            Self::DrillBackup => "drill_backup",
            Self::DeleteBackup => "delete_backup",
            Self::BulkCreate => "bulk_create",
            Self::BulkDelete => "bulk_delete",
            Self::BulkPower => "bulk_power",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether it only summarizes its children and does nothing itself.
    #[must_use]
    pub fn is_bulk(self) -> bool {
        matches!(self, Self::BulkCreate | Self::BulkDelete | Self::BulkPower)
    }

    /// The power it aims at, for the tasks that change power.
    #[must_use]
    pub fn power_target(self) -> Option<PowerTarget> {
        match self {
            Self::StartServer => Some(PowerTarget::Running),
            Self::StopServer => Some(PowerTarget::Stopped),
            Self::RestartServer => Some(PowerTarget::Restarted),
            Self::CreateServer
            | Self::DeleteServer
            | Self::ChangeServer
            | Self::ImportServer
            | Self::RemoveOrphan
            | Self::CreateBackup
            | Self::RestoreBackup
            | Self::RestoreNew
            | Self::DrillBackup
            | Self::DeleteBackup
            | Self::BulkCreate
            | Self::BulkDelete
            | Self::BulkPower => None,
        }
    }

    /// Whether it makes a server that is not there before, and is undone when it fails.
    #[must_use]
    pub fn makes(self) -> bool {
        matches!(
            self,
            Self::CreateServer | Self::RestoreNew | Self::DrillBackup
        )
    }

    /// Whether it is about a backup, which its payload names.
    #[must_use]
    pub fn is_of_backups(self) -> bool {
        matches!(
            self,
            Self::CreateBackup
                | Self::RestoreBackup
                | Self::RestoreNew
                | Self::DrillBackup
                | Self::DeleteBackup
        )
    }

    /// The task that brings the power to `target`.
    #[must_use]
    pub fn of_power(target: PowerTarget) -> Self {
        match target {
            PowerTarget::Running => Self::StartServer,
            PowerTarget::Stopped => Self::StopServer,
            PowerTarget::Restarted => Self::RestartServer,
        }
    }
}

/// What becomes of a bulk when one of its servers fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkPolicy {
    /// The others are made.
    #[default]
    Keep,
    /// The others are undone: all of them are there in the end, or none.
    AllOrNothing,
}

impl BulkPolicy {
    /// Both, in the order above.
    pub const ALL: [Self; 2] = [Self::Keep, Self::AllOrNothing];

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::AllOrNothing => "all_or_nothing",
        }
    }

    /// The policy of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Accepted, not begun.
    Pending,
    /// Begun.
    Running,
    /// Done as asked.
    Completed,
    /// A bulk of which some failed.
    Partial,
    /// Not done, and nothing is left of it unless the error says so.
    Failed,
    /// Stopped on request.
    Cancelled,
}

impl TaskState {
    /// Every state, in the order above.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Completed,
        Self::Partial,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The state on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// What a task is doing at the moment, for its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum TaskNote {
    /// Waiting for a worker.
    Queued,
    /// In this step.
    Step {
        /// The step's name.
        step: String,
    },
    /// Waiting for one of a limited number of places.
    WaitingForSlot {
        /// The step that needs it.
        step: String,
    },
    /// A step did not work out and will be tried again.
    Retrying {
        /// What happened.
        failure: Failure,
    },
    /// Undoing what was done.
    Undoing,
    /// Finished; the task's state says how.
    Ended,
}

/// How the children of a bulk stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildSummary {
    /// All of them.
    pub total: u32,
    /// Ended well.
    pub completed: u32,
    /// Ended badly.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
    /// Made, and taken back because another one failed; not counted as completed.
    pub undone: u32,
    /// Taking back is under way, or waits for another task on the server.
    pub undoing: u32,
    /// Taking back did not work out.
    pub undo_failed: u32,
    /// Sum of their progress, each 0 to 100.
    pub progress_sum: u32,
}

/// A piece of durable work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The database's number.
    pub id: TaskId,
    /// Its public name.
    pub token: TaskToken,
    /// What it does.
    pub kind: TaskKind,
    /// The server it works on; a bulk has none of its own.
    pub server: Option<ServerId>,
    /// That server's name when the task was made.
    pub server_name: Option<String>,
    /// The bulk it belongs to.
    pub parent: Option<TaskId>,
    /// For a bulk: what becomes of the others when one fails.
    pub policy: BulkPolicy,
    /// What only this task knows, as JSON text: what a change was before, which guest is left over.
    pub payload: Option<String>,
    /// Who asked for it.
    pub requested_by: UserId,
    /// How far it is.
    pub state: TaskState,
    /// 0 to 100; never goes back.
    pub progress: u8,
    /// What it is doing.
    pub note: TaskNote,
    /// Why it failed, or why it is being undone.
    pub failure: Option<Failure>,
    /// Whether somebody asked it to stop.
    pub cancel_requested: bool,
    /// How its children stand, for a bulk.
    pub children: Option<ChildSummary>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When anything above changed last.
    pub updated_at: Timestamp,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Its intent is written; whether it took effect has to be asked.
    Unknown,
    /// Its effect was seen.
    Done,
    /// Given up.
    Failed,
    /// Given up without harm: the task goes on with a warning.
    Skipped,
}

impl StepState {
    /// The state in the database and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Unknown => "unknown",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Pending,
            Self::Unknown,
            Self::Done,
            Self::Failed,
            Self::Skipped,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
    }
}

/// The record of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// Its place in the task, counted over forward and undo steps.
    pub seq: u32,
    /// Whether it undoes.
    pub undo: bool,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: StepState,
    /// How often it was acted on.
    pub attempt: u32,
    /// What was about to be done, as JSON text, written before it was done.
    pub intent: Option<String>,
    /// The outside's name of what was begun (a UPID).
    pub handle: Option<String>,
    /// What was seen when it was done, as JSON text.
    pub evidence: Option<String>,
    /// When it was begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// The state of a bulk, from how its children stand.
#[must_use]
pub fn parent_state(children: &ChildSummary) -> TaskState {
    let ChildSummary {
        total,
        completed,
        failed,
        cancelled,
        undone,
        undoing,
        undo_failed,
        progress_sum,
    } = *children;
    let ended = completed + failed + cancelled + undone + undo_failed;
    if ended < total || undoing > 0 {
        return if progress_sum > 0 || ended > 0 {
            TaskState::Running
        } else {
            TaskState::Pending
        };
    }
    if completed == total {
        TaskState::Completed
    } else if completed > 0 || undo_failed > 0 {
        TaskState::Partial
    } else if failed > 0 {
        TaskState::Failed
    } else {
        TaskState::Cancelled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_is_what_its_children_are() {
        let check = |completed, failed, cancelled, expected| {
            let children = ChildSummary {
                total: 3,
                completed,
                failed,
                cancelled,
                ..ChildSummary::default()
            };
            assert_eq!(parent_state(&children), expected, "{children:?}");
        };
        check(0, 0, 0, TaskState::Pending);
        check(1, 0, 0, TaskState::Running);
        check(1, 1, 0, TaskState::Running);
        check(3, 0, 0, TaskState::Completed);
        check(2, 1, 0, TaskState::Partial);
        check(1, 0, 2, TaskState::Partial);
        check(0, 3, 0, TaskState::Failed);
        check(0, 1, 2, TaskState::Failed);
        check(0, 0, 3, TaskState::Cancelled);
    }

    #[test]
    fn names_parse_back() {
        for kind in TaskKind::ALL {
            assert_eq!(TaskKind::parse(kind.as_str()), Some(kind));
        }
        for state in TaskState::ALL {
            assert_eq!(TaskState::parse(state.as_str()), Some(state));
        }
    }
}
