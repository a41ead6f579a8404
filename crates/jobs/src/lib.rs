//! The worker: takes due tasks and carries them out, step by step, so that it may be killed anywhere.
//!
//! Every step goes the same way (`run.rs`): look at the world; when the effect is there, write down the
//! evidence; otherwise write down the intent, act, write down what was begun, and look again. Before
//! every write the lease is checked inside the transaction, so a worker that lost it writes nothing.
//! Beside the tasks, one worker at a time makes the rounds (`rounds.rs`): looks at the cluster, compares it
//! with what should be there, and ends what has run out.
//!
//! What a step does to the outside is the engine's business; what a task means to people is in
//! `finish.rs`. No HTTP and no SQL here.

mod adopt;
mod aging;
mod alerts;
mod allowed;
mod archives;
mod backup;
mod bulk;
mod certificates;
mod deliver;
mod drill;
mod expiry;
mod exporters;
mod finish;
mod heartbeat;
mod import;
mod measure;
mod orphan;
mod picture;
mod point;
mod progress;
mod report;
mod rounds;
mod run;
mod scheduled_drills;
mod schedules;
mod slots;
mod sweep;
mod trouble;
mod worker;

pub use alerts::Alerted;
pub use archives::Archived;
pub use deliver::Courier;
pub use exporters::{ExporterSettings, Tended};
pub use heartbeat::Heartbeat;
pub use point::{NoFaults, Point, PointHook, PointKind, Verdict};
pub use rounds::{LookError, Rounds};
pub use schedules::{ScheduleSettings, Scheduled};
pub use sweep::Swept;
pub use worker::{Claimed, Engines, Worker, WorkerParts, WorkerSettings};
