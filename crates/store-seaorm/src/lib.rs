//! The store on SeaORM: SQLite in a file, or PostgreSQL, from the same code, chosen by the URL.
//!
//! All SQL of the service is in this crate. It decides nothing: what may be written, and when, is
//! decided by who calls. Invariants that must hold whatever the code above does (unique names,
//! addresses and VMIDs, one active task per server, progress within bounds) stand in the schema.

mod connect;
mod entity;
mod error;
mod migration;
mod portable;
mod queue;
mod repository;
mod rows;
mod session;
mod timed;
mod wake;

pub use connect::{SeaStore, is_verified};
pub use portable::Copied;
