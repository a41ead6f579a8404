//! The schema, step by step. A migration that has been released is never edited.

mod m0001_begin;
mod m0002_fleet;
mod m0003_terraform;
mod m0004_kept;
mod m0005_access;
mod m0006_live;
mod m0007_monitoring;
mod m0008_secrets;
mod m0009_backups;
mod m0010_channels;
mod m0011_exporters;
mod m0012_schedules;
mod m0013_drills;
mod m0014_factors;

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager, async_trait};

/// Runs statements. In them `@PK@` stands for the backend's self-numbering key, `@BYTES@` for its bytes.
async fn execute(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let (key, bytes) = match manager.get_database_backend() {
        DbBackend::Postgres => ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "BYTEA"),
        _ => ("INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB"),
    };
    let db = manager.get_connection();
    for sql in statements {
        let sql = sql.replace("@PK@", key).replace("@BYTES@", bytes);
        db.execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Any number; all our processes use the same.
const MIGRATION_LOCK: i64 = 0x7470_6d01;

struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_begin::Migration),
            Box::new(m0002_fleet::Migration),
            Box::new(m0003_terraform::Migration),
            Box::new(m0004_kept::Migration),
            Box::new(m0005_access::Migration),
            Box::new(m0006_live::Migration),
            Box::new(m0007_monitoring::Migration),
            Box::new(m0008_secrets::Migration),
            Box::new(m0009_backups::Migration),
            Box::new(m0010_channels::Migration),
            Box::new(m0011_exporters::Migration),
            Box::new(m0012_schedules::Migration),
            Box::new(m0013_drills::Migration),
            Box::new(m0014_factors::Migration),
        ]
    }
}

/// Brings the schema up to date. Several processes may start at once: each does it in one transaction,
/// under SQLite's write lock or an advisory lock of PostgreSQL, and the later ones find it done.
pub(crate) async fn run(db: &DatabaseConnection) -> Result<(), DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let backend = db.get_database_backend();
    let transaction = db.begin_with_options(options).await?;
    if backend == DbBackend::Postgres {
        let sql = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        transaction
            .execute_raw(Statement::from_string(backend, sql))
            .await?;
    }
    Migrator::up(&transaction, None).await?;
    transaction.commit().await
}

/// Takes so many of the schema's steps, or all that are left.
pub(crate) async fn up(tx: &DatabaseTransaction, steps: Option<u32>) -> Result<(), DbErr> {
    Migrator::up(tx, steps).await
}

/// The names of the schema's steps, in order.
pub(crate) fn names() -> Vec<String> {
    let all = Migrator::migrations();
    all.iter().map(|step| step.name().to_owned()).collect()
}
