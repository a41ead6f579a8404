//! Telling sleeping workers that there is work, across processes: a datagram socket beside the SQLite
//! file, LISTEN/NOTIFY on PostgreSQL. Only a hint: a lost one costs a scan's interval, never a task.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::UnixDatagram;
use tokio::sync::{Mutex, Notify};

const CHANNEL: &str = "tpm_wake";

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
        pool: sea_orm::sqlx::PgPool,
        ear: Mutex<Option<sea_orm::sqlx::postgres::PgListener>>,
    },
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

    pub(crate) fn listen(pool: sea_orm::sqlx::PgPool) -> Self {
        let kind = Kind::Postgres {
            pool,
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
                if let Err(error) = db.execute_raw(notify).await {
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
            Kind::Postgres { pool, ear } => {
                let mut ear = ear.lock().await;
                if ear.is_none() {
                    let listener = async {
                        let mut fresh =
                            sea_orm::sqlx::postgres::PgListener::connect_with(pool).await?;
                        fresh.listen(CHANNEL).await?;
                        Ok::<_, sea_orm::sqlx::Error>(fresh)
                    };
                    match listener.await {
                        Ok(fresh) => *ear = Some(fresh),
                        Err(error) => {
                            tracing::debug!(%error, "cannot listen for work, scanning instead");
                            return std::future::pending().await;
                        }
                    }
                }
                let lost = match ear.as_mut() {
                    Some(listener) => listener.recv().await.is_err(),
                    None => false,
                };
                if lost {
                    *ear = None;
                }
            }
        }
    }
}
