//! Telling sleeping workers that there is work, across processes: a datagram socket beside the SQLite
//! file, LISTEN/NOTIFY on PostgreSQL. Only a hint: a lost one costs a scan's interval, never a task.

use crate::timed::bounded;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::sqlx::{self, Executor};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixDatagram;
use tokio::sync::{Mutex, Notify};

const CHANNEL: &str = "tpm_wake";
/// An ear that heard nothing for so long is asked whether it is still connected.
const QUIET: Duration = Duration::from_secs(10);
/// How long it may take to answer. Less than a scan's interval, so that the question is not cut off by it.
const PATIENCE: Duration = Duration::from_millis(250);

/// The bell. Ringing works from any process; hearing it needs the first call of [`Wake::woken`].
#[derive(Debug)]
pub(crate) struct Wake {
    /// Rings within the process at once.
    here: Arc<Notify>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File {
        socket: PathBuf,
        ear: Mutex<Option<UnixDatagram>>,
    },
    Postgres {
        options: Arc<PgConnectOptions>,
        ear: Mutex<Option<Ear>>,
    },
}

/// A connection that listens, and when it was last known to be one.
#[derive(Debug)]
struct Ear {
    listener: PgListener,
    alive: Instant,
}

impl Ear {
    /// On a connection of its own: it would hold a place of the pool for ever, also when it is dead.
    async fn connect(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(2))
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self {
            listener,
            alive: Instant::now(),
        })
    }

    async fn is_alive(&mut self) -> bool {
        if self.alive.elapsed() < QUIET {
            return true;
        }
        let answer = tokio::time::timeout(PATIENCE, self.listener.execute("SELECT 1")).await;
        let alive = matches!(answer, Ok(Ok(_)));
        if alive {
            self.alive = Instant::now();
        }
        alive
    }

    /// Whether something was heard; `false` when the connection was lost.
    async fn heard(&mut self) -> bool {
        let heard = self.listener.recv().await.is_ok();
        self.alive = Instant::now();
        heard
    }
}

impl Wake {
    pub(crate) fn beside(database: PathBuf) -> Self {
        let mut socket = database.into_os_string();
        socket.push(".wake");
        let kind = Kind::File {
            socket: socket.into(),
            ear: Mutex::new(None),
        };
        Self {
            here: Arc::new(Notify::new()),
            kind,
        }
    }

    pub(crate) fn listen(options: Arc<PgConnectOptions>) -> Self {
        let kind = Kind::Postgres {
            options,
            ear: Mutex::new(None),
        };
        Self {
            here: Arc::new(Notify::new()),
            kind,
        }
    }

    pub(crate) async fn wake(&self, db: &DatabaseConnection) {
        self.here.notify_one();
        match &self.kind {
            Kind::File { socket, .. } => {
                // No worker listening is no fault: it will look when it starts.
                if let Ok(bell) = std::os::unix::net::UnixDatagram::unbound()
                    && bell.set_nonblocking(true).is_ok()
                {
                    let _ = bell.send_to(&[1], socket);
                }
            }
            Kind::Postgres { .. } => {
                let notify = sea_orm::Statement::from_string(
                    DbBackend::Postgres,
                    format!("NOTIFY {CHANNEL}"),
                );
                if let Err(error) = bounded(DbBackend::Postgres, db.execute_raw(notify)).await {
                    tracing::debug!(%error, "waking the workers");
                }
            }
        }
    }

    pub(crate) async fn woken(&self) {
        tokio::select! {
            () = self.here.notified() => {}
            () = self.heard() => {}
        }
    }

    /// Comes back when another process rang; never when it cannot listen, so that the caller's own
    /// timer decides.
    async fn heard(&self) {
        match &self.kind {
            Kind::File { socket, ear } => {
                let mut ear = ear.lock().await;
                if ear.is_none() {
                    // A socket left by a killed worker is in the way. Two workers on one file share the
                    // bell badly: the later one hears it, the earlier one falls back to its timer.
                    let _ = std::fs::remove_file(socket);
                    match UnixDatagram::bind(socket) {
                        Ok(bound) => *ear = Some(bound),
                        Err(error) => {
                            tracing::debug!(%error, "cannot listen for work, scanning instead");
                            return std::future::pending().await;
                        }
                    }
                }
                if let Some(bound) = ear.as_ref() {
                    let mut byte = [0_u8; 1];
                    if bound.recv(&mut byte).await.is_err() {
                        *ear = None;
                    }
                    // One wake is enough for a burst of rings.
                    while ear
                        .as_ref()
                        .is_some_and(|bound| bound.try_recv(&mut byte).is_ok())
                    {
                    }
                }
            }
            Kind::Postgres { options, ear } => {
                let mut ear = ear.lock().await;
                if let Some(quiet) = ear.as_mut()
                    && !quiet.is_alive().await
                {
                    *ear = None;
                }
                if ear.is_none() {
                    match Ear::connect(options).await {
                        Ok(fresh) => *ear = Some(fresh),
                        Err(error) => {
                            tracing::debug!(%error, "cannot listen for work, scanning instead");
                            return std::future::pending().await;
                        }
                    }
                }
                if let Some(listening) = ear.as_mut()
                    && !listening.heard().await
                {
                    *ear = None;
                }
            }
        }
    }
}
