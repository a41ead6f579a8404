//! The parts of an operation.

use serde_json::Value;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use tpm_domain::{
    Archive, Backup, BackupBounds, DrillSpec, Identity, NodeName, PowerState, Rung, Server,
    StepRecord, StepState, TaskToken,
};

/// What is to be done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Make it, configure it, start it, wait until it is ready.
    Create,
    /// Remove it and everything that belongs to it. Also how a create is undone.
    Destroy,
    /// Switch it on.
    Start,
    /// Shut it down, and switch it off when it does not.
    Stop,
    /// Restart it.
    Restart,
    /// Give it the cores, memory and disk that its row says.
    Change,
    /// Back it up.
    Backup,
    /// Make it what it was when a backup was made.
    Restore,
    /// Make it of a backup of another server.
    RestoreNew,
    /// Make a guest of a backup that nobody else can reach, and see whether it comes up. It is destroyed after that.
    Drill,
    /// Delete the archive of a backup.
    EraseBackup,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 11] = [
        Self::Create,
        Self::Destroy,
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Change,
        Self::Backup,
        Self::Restore,
        Self::RestoreNew,
        Self::Drill,
        Self::EraseBackup,
    ];

    /// Whether it makes a guest that is not there before, and is undone when it fails.
    #[must_use]
    pub fn makes(self) -> bool {
        matches!(self, Self::Create | Self::RestoreNew | Self::Drill)
    }
}

/// What happens when a step is not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLate {
    /// The task fails.
    Fail,
    /// The step is skipped and the task ends with a warning.
    Warn,
}

/// What becomes of a create whose step is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Everything is undone: nothing is left.
    Undo,
    /// The guest stays as it is, for a person to look at: it is whole, but does not run.
    Keep,
}

/// One step of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSpec {
    /// Its name, unique within the operation.
    pub name: &'static str,
    /// The rung of the readiness ladder that is reached with it.
    pub rung: Option<Rung>,
    /// Its share of the task's progress, relative to the other steps.
    pub weight: u32,
    /// How long it may take in all, attempts and waits included.
    pub deadline: Duration,
    /// What happens then.
    pub when_late: WhenLate,
    /// What becomes of a create when it is given up; other operations are never undone.
    pub on_failure: OnFailure,
}

/// The steps of every operation, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Of [`Operation::Create`].
    pub create: Vec<StepSpec>,
    /// Of [`Operation::Destroy`].
    pub destroy: Vec<StepSpec>,
    /// Of [`Operation::Start`].
    pub start: Vec<StepSpec>,
    /// Of [`Operation::Stop`].
    pub stop: Vec<StepSpec>,
    /// Of [`Operation::Restart`].
    pub restart: Vec<StepSpec>,
    /// Of [`Operation::Change`].
    pub change: Vec<StepSpec>,
    /// Of [`Operation::Backup`].
    pub backup: Vec<StepSpec>,
    /// Of [`Operation::Restore`].
    pub restore: Vec<StepSpec>,
    /// Of [`Operation::RestoreNew`].
    pub restore_new: Vec<StepSpec>,
    /// Of [`Operation::Drill`].
    pub drill: Vec<StepSpec>,
    /// Of [`Operation::EraseBackup`].
    pub erase: Vec<StepSpec>,
}

impl Steps {
    /// Those of one operation.
    #[must_use]
    pub fn of(&self, operation: Operation) -> &[StepSpec] {
        match operation {
            Operation::Create => &self.create,
            Operation::Destroy => &self.destroy,
            Operation::Start => &self.start,
            Operation::Stop => &self.stop,
            Operation::Restart => &self.restart,
            Operation::Change => &self.change,
            Operation::Backup => &self.backup,
            Operation::Restore => &self.restore,
            Operation::RestoreNew => &self.restore_new,
            Operation::Drill => &self.drill,
            Operation::EraseBackup => &self.erase,
        }
    }
}

/// How many places of a kind there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotWidth {
    /// So many.
    Fixed(u32),
    /// As many as turn out to be best, by measuring.
    Learned {
        /// To begin with.
        start: u32,
        /// Never more.
        most: u32,
    },
}

/// One of a limited number of places that a step needs before it acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What there are only a few places of: `clone/9000`, `storage/pve1/local-lvm`.
    pub name: String,
    /// How many there are.
    pub width: SlotWidth,
}

/// Who is told how far an act is while it is under way.
pub trait Report: fmt::Debug + Send + Sync {
    /// So much of the step is done, 0 to 100. Less than was told before says nothing.
    fn reached(&self, percent: u8);
}

/// One look or act.
#[derive(Clone, Debug)]
pub struct StepCall<'a> {
    /// The operation.
    pub operation: Operation,
    /// The step's name.
    pub step: &'a str,
    /// The server as the store has it now.
    pub server: &'a Server,
    /// The task on whose behalf.
    pub task: &'a TaskToken,
    /// Counts the claims of the task: what this call writes is void once somebody else claimed it.
    pub epoch: i64,
    /// Whether a person agreed to the loss of what the server holds.
    pub consent: bool,
    /// Whether this is the undoing of a create: what is not ours is then none of our business.
    pub undoing: bool,
    /// What the last act was going to do; `None` before the first one.
    pub intent: Option<&'a Value>,
    /// What the last act began in the outside (a UPID); `None` when it began nothing or died before it
    /// could say.
    pub handle: Option<&'a str>,
    /// Acts so far.
    pub attempt: u32,
    /// Time since the step began.
    pub elapsed: Duration,
    /// Who wants to know how far an act is.
    pub report: Option<&'a dyn Report>,
    /// The backup that is made, restored or deleted.
    pub backup: Option<&'a Backup>,
    /// The backup that is made of the server before another one is restored over it.
    pub safety: Option<&'a Backup>,
    /// What its schedule says of the backup that is made.
    pub bounds: Option<BackupBounds>,
    /// What a drill is to prove.
    pub drill: Option<&'a DrillSpec>,
    /// The records of the task's steps so far.
    pub earlier: &'a [StepRecord],
}

impl StepCall<'_> {
    /// What an earlier step found out.
    #[must_use]
    pub fn evidence_of(&self, step: &str) -> Option<Value> {
        let mut all = self.earlier.iter();
        let found = all.find(|record| {
            !record.undo && record.name == step && record.state == StepState::Done
        })?;
        serde_json::from_str(found.evidence.as_deref()?).ok()
    }
}

/// Things an engine found out that belong on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// The node the guest is on.
    pub node: Option<NodeName>,
    /// The guest's identity.
    pub identity: Option<Identity>,
    /// The address the guest has.
    pub ip_address: Option<IpAddr>,
    /// The guest's power.
    pub power: Option<PowerState>,
    /// How large its first disk is, in GiB, when that is not as the row says and stays so.
    pub disk_gb: Option<u32>,
    /// The archive that was made.
    pub archive: Option<Box<Archive>>,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// The step's effect is there.
    Done {
        /// What was seen, kept with the step.
        evidence: Value,
        /// What is kept with the server.
        learned: Learned,
    },
    /// The effect is not there and nothing is under way: act. The value is written down before.
    Needed(Value),
    /// Something is under way: look again later.
    Wait {
        /// After how long.
        after: Duration,
        /// How far it is, 0 to 100, when the outside says so.
        percent: Option<u8>,
    },
}

/// What an act began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acted {
    /// The outside's name for it, to ask by later.
    pub handle: Option<String>,
    /// When to look for the first time.
    pub look_after: Duration,
}
