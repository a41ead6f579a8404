//! What the database says, sorted into what a caller can do about it.

use sea_orm::{DbErr, RuntimeErr};
use std::sync::atomic::{AtomicBool, Ordering};
use tpm_store::StoreError;

/// Whether the disk was full the last time that SQLite wrote.
static WAS_FULL: AtomicBool = AtomicBool::new(false);

/// Whether the disk was full since this was asked last.
pub(crate) fn was_full() -> bool {
    WAS_FULL.swap(false, Ordering::Relaxed)
}

/// `sqlx` error codes: SQLite's extended result codes are decimal, PostgreSQL's SQLSTATE five letters.
fn code_of(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(inner))
    | DbErr::Query(RuntimeErr::SqlxError(inner))
    | DbErr::Conn(RuntimeErr::SqlxError(inner))) = error
    else {
        return None;
    };
    match &**inner {
        sea_orm::sqlx::Error::Database(database) => database.code().map(|code| code.into_owned()),
        _ => None,
    }
}

/// Whether the connection itself is the trouble.
fn is_connection(error: &DbErr) -> bool {
    use sea_orm::sqlx::Error as Sqlx;
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner)) => {
            matches!(
                **inner,
                Sqlx::Io(_)
                    | Sqlx::PoolTimedOut
                    | Sqlx::PoolClosed
                    | Sqlx::WorkerCrashed
                    | Sqlx::Tls(_)
                    | Sqlx::Protocol(_)
            )
        }
        _ => false,
    }
}

/// The store's word for a database error.
pub(crate) fn store_error(error: DbErr) -> StoreError {
    let code = code_of(&error);
    let primary = code
        .as_deref()
        .and_then(|c| c.parse::<u32>().ok())
        .map(|c| c & 0xff);
    let connection = is_connection(&error);
    let cause = anyhow::Error::new(error);
    match (code.as_deref(), primary) {
        // PostgreSQL: https://www.postgresql.org/docs/15/errcodes-appendix.html
        (Some(c), _) if c.len() == 5 && c.starts_with("23") => StoreError::Constraint(cause),
        (Some("40001" | "40P01"), _) => StoreError::Crossed(cause),
        (Some("53100"), _) => StoreError::Full(cause),
        (Some(c), _)
            if c.len() == 5
                && (c.starts_with("57") || c.starts_with("53") || c.starts_with("08")) =>
        {
            StoreError::Unavailable(cause)
        }
        // SQLite: https://www.sqlite.org/rescode.html (19 constraint, 13 full, 5 busy, 6 locked,
        // 10 I/O error, 14 cannot open)
        (Some(c), Some(19)) if c.len() != 5 => StoreError::Constraint(cause),
        (Some(c), Some(13)) if c.len() != 5 => {
            WAS_FULL.store(true, Ordering::Relaxed);
            StoreError::Full(cause)
        }
        (Some(c), Some(5 | 6 | 10 | 14)) if c.len() != 5 => StoreError::Unavailable(cause),
        _ if connection => StoreError::Unavailable(cause),
        _ => StoreError::Broken(cause),
    }
}

/// A row that does not say what it should.
pub(crate) fn broken(what: impl std::fmt::Display) -> StoreError {
    StoreError::Broken(anyhow::anyhow!("{what}"))
}
