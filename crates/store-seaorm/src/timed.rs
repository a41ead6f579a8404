//! A connection on which no statement is waited for without end: a server that is frozen, or gone without
//! a word, would hold its callers for as long as TCP has hope.

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for one statement on PostgreSQL. SQLite has its own, for the lock, and no network.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long after a statement that was given up connections are looked at with more care.
const DOUBT: Duration = Duration::from_secs(30);

/// When a statement was last given up, on any connection of this process.
static GIVEN_UP: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether a statement was given up a short while ago.
pub(crate) fn in_doubt() -> bool {
    let at = *GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner);
    at.is_some_and(|at| at.elapsed() < DOUBT)
}

/// A pool or a transaction, its statements bounded in time.
#[derive(Clone, Debug)]
pub(crate) struct Timed<C>(C);

impl<C> Timed<C> {
    pub(crate) fn new(inner: C) -> Self {
        Self(inner)
    }

    pub(crate) fn into_inner(self) -> C {
        self.0
    }
}

/// What `work` answers, or an error that tells the connection has failed. What was sent may take effect
/// all the same.
pub(crate) async fn bounded<T>(
    backend: DbBackend,
    work: impl Future<Output = Result<T, DbErr>> + Send,
) -> Result<T, DbErr> {
    if backend != DbBackend::Postgres {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(PATIENCE, &mut work).await {
        Ok(answer) => answer,
        Err(_) => {
            // before the connection goes back, so that whoever takes it back knows
            *GIVEN_UP.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            let late = format!("no answer within {} s", PATIENCE.as_secs());
            let late = sea_orm::sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, late));
            Err(DbErr::Conn(RuntimeErr::SqlxError(late.into())))
        }
    }
}

#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Timed<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        bounded(self.get_database_backend(), self.0.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        bounded(self.get_database_backend(), self.0.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        bounded(self.get_database_backend(), self.0.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        bounded(self.get_database_backend(), self.0.query_all_raw(statement)).await
    }

    fn support_returning(&self) -> bool {
        self.0.support_returning()
    }
}
