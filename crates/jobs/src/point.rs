//! Named moments between the parts of a step, at which a test may stop a worker.
//!
//! The shipped binaries pass [`NoFaults`]; nothing in settings or environment can change that.

use async_trait::async_trait;

/// Which moment of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PointKind {
    /// The step is about to be looked at; those before it are done and written.
    BeforeLook,
    /// The intent is written, the act not begun.
    BeforeAct,
    /// The act was done, nothing is written of it.
    AfterAct,
    /// What the act began is written.
    AfterRecord,
    /// The end of the task is about to be written.
    BeforeFinish,
}

impl PointKind {
    /// Every moment.
    pub const ALL: [Self; 5] = [
        Self::BeforeLook,
        Self::BeforeAct,
        Self::AfterAct,
        Self::AfterRecord,
        Self::BeforeFinish,
    ];

    /// The moment's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeLook => "before-look",
            Self::BeforeAct => "before-act",
            Self::AfterAct => "after-act",
            Self::AfterRecord => "after-record",
            Self::BeforeFinish => "before-finish",
        }
    }
}

/// A moment of a step of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point<'a> {
    /// The moment.
    pub kind: PointKind,
    /// The task's kind, as on the wire.
    pub task_kind: &'a str,
    /// The server's name.
    pub server: &'a str,
    /// The step's name; `finish` at the end of a task.
    pub step: &'a str,
    /// Whether the step undoes.
    pub undo: bool,
    /// Acts of this step so far, this one included.
    pub attempt: u32,
}

/// What happens at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Behave as if the process died here: write nothing more and hold no lease.
    Die,
}

/// Asked at every moment.
#[async_trait]
pub trait PointHook: Send + Sync {
    /// Decides; may also wait.
    async fn at(&self, point: &Point<'_>) -> Verdict;
}

/// Never stops anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

#[async_trait]
impl PointHook for NoFaults {
    async fn at(&self, _point: &Point<'_>) -> Verdict {
        Verdict::Continue
    }
}
