//! Throw-away databases and whole stacks for tests: a simulator, an api and workers in one process, on
//! free ports, in a directory of their own.
//!
//! For tests only. Nothing here waits a fixed time: it waits until something is so, or fails.

mod bao;
mod client;
mod postgres;
mod program;
mod prometheus;
mod stack;
mod terraform;

pub use bao::{Bao, BaoMissing, bao};
pub use client::{Client, Reply};
pub use postgres::{Postgres, PostgresMissing};
pub use program::{Program, free_port, signal};
pub use prometheus::{Monitors, MonitorsMissing, Promtool, PromtoolMissing, monitors, promtool};
pub use stack::{Database, PASSWORD, Stack, StackBuilder};
pub use terraform::{Terraform, TerraformMissing};

/// Tells the person who watches, also when the test passes: the harness only keeps back what is printed.
pub fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}
