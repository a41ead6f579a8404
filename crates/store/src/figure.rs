//! Figures about the installation as a whole, for who watches over it.

use crate::{Result, VmidRange};
use async_trait::async_trait;
use std::time::Duration;
use tpm_domain::{TaskKind, TaskState};

/// Tasks of one kind in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskFigure {
    /// Their kind.
    pub kind: TaskKind,
    /// Their state.
    pub state: TaskState,
    /// How many there are.
    pub count: u64,
    /// How long ago the oldest of them was asked for, by the database's clock.
    pub oldest: Duration,
}

/// What is left, and how old the picture of the cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supplies {
    /// Numbers of the range that could be given now.
    pub vmids_free: u64,
    /// How long ago the cluster was seen, by the database's clock; `None` when never.
    pub picture_age: Option<Duration>,
}

/// Counting, one question each.
#[async_trait]
pub trait FigureReads: Send + Sync {
    /// Every kind and state of which there are tasks, parts of bulks included.
    async fn task_figures(&self) -> Result<Vec<TaskFigure>>;
    /// What is left of a range of numbers: not held, not resting, nobody else's.
    async fn supplies(&self, range: VmidRange) -> Result<Supplies>;
}
