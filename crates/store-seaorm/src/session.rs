//! What the repositories work on: a pool outside of a transaction, or one transaction.

use crate::connect::now_sql;
use crate::error::{broken, store_error};
use crate::timed::{Timed, bounded};
use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, ExecResult, QueryResult,
    Statement, Value,
};
use tpm_domain::Timestamp;
use tpm_store::{Result, UnitOfWork};

/// A connection with the moment its writes are dated.
pub(crate) struct Session<C> {
    pub(crate) db: Timed<C>,
    pub(crate) backend: DbBackend,
    pub(crate) now_ms: i64,
}

impl Session<DatabaseConnection> {
    /// For reads. Nothing is dated with it.
    pub(crate) fn outside(db: DatabaseConnection) -> Self {
        let backend = db.get_database_backend();
        Self {
            db: Timed::new(db),
            backend,
            now_ms: 0,
        }
    }
}

impl Session<DatabaseTransaction> {
    /// Asks the database for the time once; everything the transaction writes carries it.
    pub(crate) async fn in_transaction(
        db: DatabaseTransaction,
        backend: DbBackend,
    ) -> Result<Self> {
        let db = Timed::new(db);
        let sql = format!("SELECT {} AS now_ms", now_sql(backend));
        let row = db
            .query_one_raw(Statement::from_string(backend, sql))
            .await
            .map_err(store_error)?
            .ok_or_else(|| broken("the database has no time"))?;
        let now_ms = row.try_get("", "now_ms").map_err(store_error)?;
        Ok(Self {
            db,
            backend,
            now_ms,
        })
    }
}

impl<C: ConnectionTrait> Session<C> {
    /// Runs a statement with `$1`, `$2`, … parameters.
    pub(crate) async fn run<const N: usize>(
        &self,
        sql: &str,
        values: [Value; N],
    ) -> Result<ExecResult> {
        self.db
            .execute_raw(Statement::from_sql_and_values(self.backend, sql, values))
            .await
            .map_err(store_error)
    }

    /// The first row of a query, if there is one.
    pub(crate) async fn first<const N: usize>(
        &self,
        sql: &str,
        values: [Value; N],
    ) -> Result<Option<QueryResult>> {
        self.db
            .query_one_raw(Statement::from_sql_and_values(self.backend, sql, values))
            .await
            .map_err(store_error)
    }
}

#[async_trait]
impl UnitOfWork for Session<DatabaseTransaction> {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        let backend = self.backend;
        bounded(backend, self.db.into_inner().commit())
            .await
            .map_err(store_error)
    }
}
