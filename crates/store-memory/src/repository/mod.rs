//! The repository traits, one file per resource, on what is committed or on a transaction.

mod account;
mod audit;
mod backup;
mod channel;
mod cluster;
mod drill;
mod event;
mod feed;
mod figure;
mod idempotency;
mod lease;
mod monitoring;
mod network;
mod process;
mod project;
mod reservation;
mod schedule;
mod secret;
mod server;
mod task;
mod terraform;

use tpm_store::Page;

/// The rows asked for, and how many there are.
fn page<T>(all: Vec<T>, limit: Option<u64>, offset: u64) -> Page<T> {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Page {
        total: all.len() as u64,
        items: all
            .into_iter()
            .skip(number(offset))
            .take(limit.map_or(usize::MAX, number))
            .collect(),
    }
}
