//! The worker: takes due tasks and carries them out, step by step, so that it may be killed anywhere.
//!
//! Every step goes the same way (`run.rs`): look at the world; when the effect is there, write down the
//! evidence; otherwise write down the intent, act, write down what was begun, and look again. Before
//! every write the lease is checked inside the transaction, so a worker that lost it writes nothing.
//! What a step does to the outside is the engine's business; what a task means to people is in
//! `finish.rs`. No HTTP and no SQL here.

mod finish;
mod heartbeat;
mod point;
mod progress;
mod run;
mod trouble;
mod worker;

pub use heartbeat::Heartbeat;
pub use point::{NoFaults, Point, PointHook, PointKind, Verdict};
pub use worker::{Engines, Worker, WorkerParts, WorkerSettings};
