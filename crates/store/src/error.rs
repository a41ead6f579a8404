//! How a store fails.

use thiserror::Error;

/// What a store answers.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a store did not do it. The cause is for the log, never for a caller's answer.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database does not answer, or stayed locked for too long; try again.
    #[error("database unavailable")]
    Unavailable(#[source] anyhow::Error),
    /// The disk under the database is full; reads may still work.
    #[error("database out of disk space")]
    Full(#[source] anyhow::Error),
    /// A unique index or a check refused the change: somebody else was first.
    #[error("refused by a constraint")]
    Constraint(#[source] anyhow::Error),
    /// Two transactions crossed; the same again will work.
    #[error("serialization conflict")]
    Crossed(#[source] anyhow::Error),
    /// A row does not say what this version of the program understands, or the query is wrong.
    #[error("unexpected database answer")]
    Broken(#[source] anyhow::Error),
}
