//! A short crash storm over many seeds, on each database.

use super::outside::Outside;
use crate::storm::{self, Build};
use crate::workspace;
use std::process::Command;

/// Fewer clients than a storm by hand, so that two seeds at once find room on two cores.
const SHORT: [&str; 12] = [
    "--seeds",
    "20",
    "--kills",
    "25",
    "--at-once",
    "2",
    "--clients",
    "10",
    "--interval-ms",
    "160",
    "--think-ms",
    "100",
];

/// # Errors
/// When a storm finds something.
pub(super) fn run(outside: &Outside) -> anyhow::Result<Option<String>> {
    let program = storm::build(Build::Workspace)?;
    workspace::run(
        Command::new(&program)
            .args(["--database", "sqlite"])
            .args(SHORT),
    )?;
    if !outside.has_postgres() {
        return Ok(Some("no PostgreSQL: no storm over it".into()));
    }
    workspace::run(
        Command::new(&program)
            .args(["--database", "postgres", "--apis", "2", "--workers", "2"])
            .args(SHORT),
    )?;
    Ok(None)
}
