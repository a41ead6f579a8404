//! Opening the database and what is set on every connection.

use crate::error::{store_error, was_full};
use crate::queue::SeaQueue;
use crate::session::Session;
use crate::timed::{bounded, in_doubt};
use crate::wake::Wake;
use crate::{migration, repository};
use async_trait::async_trait;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{Connection, PgConnection, SqliteConnection};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tpm_store::{JobQueue, Reads, Result, Store, StoreError, UnitOfWork};

/// How long a caller waits for SQLite's one writer, and the end of a process for what is still under way.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections of one process to PostgreSQL, at most, beside the one of the heartbeat.
const POSTGRES_CONNECTIONS: u32 = 16;
/// How long an idle connection may take to show that it is alive, so that several dead ones can be passed
/// over within [`CONNECT_PATIENCE`].
const PING_PATIENCE: Duration = Duration::from_millis(500);
/// How long a caller waits for a connection to PostgreSQL: a server that is up answers in less.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// The store. Cheap to share behind an `Arc`.
#[derive(Debug)]
pub struct SeaStore {
    write: DatabaseConnection,
    read: DatabaseConnection,
    queue: SeaQueue,
    instance_id: String,
}

impl SeaStore {
    /// Opens the database at `url` (`sqlite:///path/file.db` or `postgres://…`), makes the file if need
    /// be and brings the schema up to date, under a lock so that several processes may do so at once.
    ///
    /// # Errors
    /// When the database cannot be reached or its schema is not one this version can bring up to date.
    pub async fn open(url: &str) -> Result<Self> {
        Self::connect(url, true).await
    }

    /// Opens a database that another handle of this process has brought up to date already: writes
    /// nothing, so it works on a full disk too.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn open_again(url: &str) -> Result<Self> {
        Self::connect(url, false).await
    }

    async fn connect(url: &str, migrate: bool) -> Result<Self> {
        let sqlite = url.starts_with("sqlite:");
        let (write, read) = if sqlite {
            (
                connect_sqlite(url, Use::Write).await?,
                connect_sqlite(url, Use::Read).await?,
            )
        } else {
            let pool = Database::connect(postgres_options(url)).await;
            let pool = pool.map_err(store_error)?;
            (pool.clone(), pool)
        };
        if migrate {
            migration::run(&write).await.map_err(store_error)?;
            if sqlite {
                checkpoint(&write, "TRUNCATE").await;
            }
            repository::make_instance_id(&write).await?;
        }
        let instance_id = repository::instance_id(&read).await?;
        let wake = if sqlite {
            Wake::beside(sqlite_path(url))
        } else {
            Wake::listen(write.get_postgres_connection_pool().connect_options())
        };
        let queue = SeaQueue::new(write.clone(), wake);
        Ok(Self {
            write,
            read,
            queue,
            instance_id,
        })
    }

    /// Questions outside of a transaction.
    pub(crate) fn outside(&self) -> Session<DatabaseConnection> {
        Session::outside(self.read.clone())
    }

    /// The pool that reads.
    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// A connection to a database that may have no schema.
    pub(crate) async fn bare(url: &str) -> Result<DatabaseConnection> {
        if url.starts_with("sqlite:") {
            return connect_sqlite(url, Use::Write).await;
        }
        let pool = Database::connect(postgres_options(url)).await;
        pool.map_err(store_error)
    }

    /// The pool that writes.
    pub(crate) fn writer(&self) -> &DatabaseConnection {
        &self.write
    }

    /// The connections of this handle: how many are open, and how many of them nobody uses.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        let of = |pool: &DatabaseConnection| match pool.get_database_backend() {
            DbBackend::Postgres => {
                let pool = pool.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
            _ => {
                let pool = pool.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        let (size, idle) = of(&self.read);
        let (mut open, mut free) = (size, idle);
        // On PostgreSQL both are the same pool.
        if self.write.get_database_backend() != DbBackend::Postgres {
            let (size, idle) = of(&self.write);
            (open, free) = (open + size, free + idle);
        }
        (open, u32::try_from(free).unwrap_or(u32::MAX))
    }

    /// Closes every connection once what is under way has ended; after 5 s it does not wait any longer.
    pub async fn close(self) {
        let Self { write, read, .. } = self;
        let closing = async { read.close().await.and(write.close().await) };
        match tokio::time::timeout(PATIENCE, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "closing the database"),
            Err(_) => tracing::warn!("the database is left without waiting any longer"),
        }
    }
}

/// Whether a database is on this machine, or shows a certificate that is verified, whatever the URL leaves to the
/// environment.
///
/// # Errors
/// When it is no URL of a database.
pub fn is_verified(url: &str) -> std::result::Result<bool, sea_orm::sqlx::Error> {
    if url.starts_with("sqlite:") {
        return Ok(true);
    }
    let options: PgConnectOptions = url.parse()?;
    let host = options.get_host();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let here = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || ip.is_ok_and(|ip| ip.is_loopback());
    let verified = matches!(
        options.get_ssl_mode(),
        PgSslMode::VerifyCa | PgSslMode::VerifyFull
    );
    Ok(here || verified)
}

/// Switching a new file to WAL answers "locked" at once when another process is doing the same, without
/// the wait that is set for everything else.
async fn connect_sqlite(url: &str, for_what: Use) -> Result<DatabaseConnection> {
    let began = std::time::Instant::now();
    loop {
        match Database::connect(sqlite_options(url, for_what))
            .await
            .map_err(store_error)
        {
            Err(StoreError::Unavailable(_)) if began.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
}

/// What the server does for us when this process is frozen or gone without a word: it ends a transaction
/// that nobody goes on with, and with it the locks, so that another worker can have the rows; and it notices
/// a peer that no longer answers.
const SERVER_SIDE: [(&str, &str); 4] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

fn postgres_options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(CONNECT_PATIENCE)
        .connect_timeout(CONNECT_PATIENCE)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(|options| options.options(SERVER_SIDE))
        .map_sqlx_postgres_before_acquire(|connection, known| {
            Box::pin(async move {
                // One that was used a moment ago works; asking it would cost every statement a round trip.
                Ok(known.idle_for < Duration::from_millis(100)
                    || answers(connection, PING_PATIENCE).await?)
            })
        })
        // The pool itself waits without end for what is still under way on a connection that comes back,
        // and its place is lost for as long. It asks every one of them, so this need not, as a rule.
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.after_release(|connection, _| {
                Box::pin(
                    async move { Ok(!in_doubt() || answers(connection, CONNECT_PATIENCE).await?) },
                )
            })
        });
    options
}

/// Whether a connection is alive; one that is not is closed and replaced.
async fn answers(
    connection: &mut PgConnection,
    patience: Duration,
) -> std::result::Result<bool, sea_orm::sqlx::Error> {
    let pong = tokio::time::timeout(patience, connection.ping()).await;
    pong.map_err(|late| sea_orm::sqlx::Error::Io(late.into()))??;
    Ok(true)
}

fn sqlite_path(url: &str) -> PathBuf {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    PathBuf::from(path.split('?').next().unwrap_or(path))
}

/// SQLite has one writer and any number of readers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
}

fn sqlite_options(url: &str, for_what: Use) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(if for_what == Use::Write { 1 } else { 4 })
        .min_connections(1)
        .acquire_timeout(PATIENCE)
        // A file does not hang up.
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|options| {
            options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // The log is taken in after a megabyte, not after four: what is left of a small disk may be less.
                .pragma("wal_autocheckpoint", "250")
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(PATIENCE)
        });
    if for_what == Use::Write {
        options.map_sqlx_sqlite_before_acquire(|connection, _| {
            Box::pin(is_outside_a_transaction(connection))
        });
    }
    options
}

/// SQLite ends a transaction by itself when the disk is full. The driver then still counts it as open,
/// and would nest all later ones in a savepoint that nobody ever releases: acknowledged, and never
/// written. Such a connection is closed instead of being used again.
async fn is_outside_a_transaction(
    connection: &mut SqliteConnection,
) -> std::result::Result<bool, sea_orm::sqlx::Error> {
    // Waits until a rollback that was queued when a transaction was dropped is through.
    connection.ping().await?;
    let open = connection.is_in_transaction();
    if open {
        tracing::warn!("closing a connection that is left in a transaction");
    }
    Ok(!open)
}

/// Takes what the write-ahead log holds into the database's file, so that the log begins anew instead of growing. SQLite
/// does so by itself when the log has grown to some megabytes, and a disk that is nearly full does not have them.
async fn checkpoint(db: &DatabaseConnection, how: &str) {
    let done = db
        .execute_unprepared(&format!("PRAGMA wal_checkpoint({how})"))
        .await;
    if let Err(error) = done {
        tracing::debug!(%error, "no checkpoint");
    }
}

/// Begins a transaction that may write: on SQLite it takes the write lock at once, so that reading
/// first and writing later cannot fail half way.
pub(crate) async fn begin(
    db: &DatabaseConnection,
) -> Result<Session<sea_orm::DatabaseTransaction>> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let backend = db.get_database_backend();
    if backend == DbBackend::Sqlite && was_full() {
        checkpoint(db, "PASSIVE").await;
    }
    let transaction = bounded(backend, db.begin_with_options(options)).await;
    Session::in_transaction(transaction.map_err(store_error)?, backend).await
}

/// The database's clock as an SQL expression: milliseconds since the epoch.
pub(crate) fn now_sql(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "(extract(epoch from clock_timestamp()) * 1000)::bigint",
        _ => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    }
}

#[async_trait]
impl Store for SeaStore {
    fn reads(&self) -> Box<dyn Reads + Send + Sync + '_> {
        Box::new(self.outside())
    }

    async fn begin(&self) -> Result<Box<dyn UnitOfWork + Send + Sync>> {
        Ok(Box::new(begin(&self.write).await?))
    }

    fn queue(&self) -> &dyn JobQueue {
        &self.queue
    }

    async fn ping(&self) -> Result<()> {
        let session = Session::outside(self.read.clone());
        session.first("SELECT 1", []).await.map(drop)
    }

    async fn instance_id(&self) -> Result<String> {
        Ok(self.instance_id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_on_another_machine_is_verified_or_not() {
        for (url, verified) in [
            ("sqlite:///a.db", true),
            ("postgres://u:p@127.0.0.1:5432/n", true),
            ("postgres://u@[::1]/n", true),
            ("postgres://u@localhost/n?sslmode=disable", true),
            ("postgres://u@%2Fvar%2Frun%2Fpostgresql/n", true),
            ("postgres:///n?host=/var/run/postgresql", true),
            ("postgres://u@db.example/n", false),
            ("postgres://u@db.example/n?sslmode=prefer", false),
            ("postgres://u@db.example/n?sslmode=require", false),
            ("postgres://u@localhost/n?host=db.example", false),
            ("postgres://u@localhost/n?hostaddr=192.0.2.1", false),
            ("postgres://u@127.0.0.1.example/n", false),
            ("postgres://u@db.example/n?sslmode=verify-ca", true),
            ("postgres://u@db.example/n?sslmode=verify-full", true),
        ] {
            assert_eq!(is_verified(url).ok(), Some(verified), "{url}");
        }
        assert!(is_verified("postgres://u@h/n?sslmode=sometimes").is_err());
    }
}
