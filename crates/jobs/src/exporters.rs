//! Exporters on servers: a guest whose exporter is silent is asked why, and where its role says so node_exporter is
//! installed. All through the guest's agent, a few guests at a time.
//!
//! Installing is written down before it is begun, and looked for before it is begun again: killed anywhere, the next
//! round asks the guest how it is.

use crate::worker::Worker;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tpm_domain::{Exporter, ExporterCare, ExporterState, Server, ServerId, ServerState, Timestamp};
use tpm_provisioner::{CommandEnd, GuestShell, ShellError};
use tpm_store::StoreError;

/// What is done about exporters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExporterSettings {
    /// By role; nothing for others.
    pub care: BTreeMap<String, ExporterCare>,
    /// Their port.
    pub port: u16,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Guests that were asked.
    pub asked: usize,
    /// Installations that were begun.
    pub begun: usize,
}

/// Guests that are asked in one round: each holds one of its node's few workers.
const AT_ONCE: usize = 4;
/// After a silent exporter's guest was asked, it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5 * 60);
/// After it listened.
const LISTENS: Duration = Duration::from_secs(60 * 60);
/// While it is being installed.
const WORKS: Duration = Duration::from_secs(10);
/// After it was not found out, and after an intent of which nothing more is known.
const UNKNOWN: Duration = Duration::from_secs(60);
/// A look is asked for so often.
const LOOKS: u32 = 10;
/// Between two of those.
const BETWEEN: Duration = Duration::from_millis(300);
/// Most of what a guest complained of that is kept, in characters.
const MAX_DETAIL: usize = 300;

const CHECK: &str = include_str!("exporters/check.sh");
const INSTALL: &str = include_str!("exporters/install.sh");

fn shell(script: &str, port: u16) -> Vec<String> {
    let words = ["/bin/sh", "-c", script, "node-exporter"];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.push(port.to_string());
    words
}

/// The end of what was complained of, on one line.
fn complaint(end: &CommandEnd) -> String {
    let text = if end.err.trim().is_empty() {
        &end.out
    } else {
        &end.err
    };
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    let over = line.chars().count().saturating_sub(MAX_DETAIL);
    let tail: String = line.chars().skip(over).collect();
    match end.exit_code {
        Some(code) => format!("exit code {code}: {tail}"),
        None => format!("ended by a signal: {tail}"),
    }
}

/// What one guest said.
enum Said {
    State(ExporterState, String),
    /// Nothing that could be understood.
    Unknown,
}

impl From<ShellError> for Said {
    fn from(error: ShellError) -> Self {
        match error {
            ShellError::Silent(text) => Self::State(ExporterState::AgentOff, text),
            ShellError::Forbidden(text) => Self::State(ExporterState::AgentForbidden, text),
            ShellError::Unknown(text) => {
                tracing::debug!(text, "a guest was not asked about its exporter");
                Self::Unknown
            }
        }
    }
}

/// Asks a guest how its exporter is.
async fn ask(guests: &dyn GuestShell, server: &Server, port: u16) -> Said {
    let pid = match guests.begin(server, &shell(CHECK, port)).await {
        Ok(pid) => pid,
        Err(error) => return error.into(),
    };
    for _ in 0..LOOKS {
        match guests.end(server, pid).await {
            Ok(Some(end)) => {
                let state = match end.exit_code {
                    Some(0) => ExporterState::Listening,
                    Some(3) => ExporterState::NotInstalled,
                    Some(4) => ExporterState::NotRunning,
                    _ => return Said::Unknown,
                };
                return Said::State(state, String::new());
            }
            Ok(None) => tokio::time::sleep(BETWEEN).await,
            Err(error) => return error.into(),
        }
    }
    Said::Unknown
}

impl Worker {
    /// Asks guests whose exporters are silent, and installs where that is wished.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tend_exporters(&self) -> Result<Tended, StoreError> {
        let settings = &self.settings().exporters;
        let Some(guests) = self.guests().filter(|_| !settings.care.is_empty()) else {
            return Ok(Tended::default());
        };
        let reads = self.store().reads();
        let mut servers = reads.servers_with_guests().await?;
        let mut known = reads.exporters().await?;
        let busy = reads.busy_servers().await?;
        drop(reads);
        servers.retain(|server| settings.care.contains_key(&server.spec.role));
        if servers.is_empty() && known.is_empty() {
            return Ok(Tended::default());
        }
        let ours: BTreeSet<ServerId> = servers.iter().map(|server| server.id).collect();
        let tx = self.store().begin().await?;
        let now = tx.now();
        if known.keys().any(|id| !ours.contains(id)) {
            tx.keep_exporters(&ours).await?;
        }
        tx.commit().await?;
        let heard = self.heard().await;
        servers.retain(|server| {
            server.state == ServerState::Running
                && server.identity.is_some()
                && !busy.contains(&server.id)
                && known.get(&server.id).is_none_or(|row| row.due_at <= now)
        });
        // Whoever was never asked, then whoever waits longest.
        servers.sort_by_key(|server| known.get(&server.id).map(|row| row.due_at));
        let mut done = Tended::default();
        let mut asked = Vec::new();
        for server in servers {
            let row = known.remove(&server.id);
            if heard.contains(&server.id) {
                if row.is_some_and(|row| row.state != ExporterState::Listening) {
                    self.noted(&server, None, ExporterState::Listening, "", LISTENS)
                        .await?;
                }
            } else if asked.len() < AT_ONCE {
                asked.push((server, row));
            }
        }
        let tended = asked.iter().map(|(server, row)| {
            let care = settings.care.get(&server.spec.role).copied();
            self.tend(guests, server, row.as_ref(), care.unwrap_or_default())
        });
        for begun in futures::future::join_all(tended).await {
            done.asked += 1;
            done.begun += usize::from(begun?);
        }
        Ok(done)
    }

    /// Servers whose exporter Prometheus scrapes without trouble.
    async fn heard(&self) -> BTreeSet<ServerId> {
        let Some(metrics) = self.metrics() else {
            return BTreeSet::new();
        };
        let all = metrics.targets().await.unwrap_or_default();
        let healthy = all.into_iter().filter(|one| one.healthy == Some(true));
        healthy.filter_map(|one| one.server).collect()
    }

    /// One guest: how it is, and what is to be done; whether an installation was begun.
    async fn tend(
        &self,
        guests: &dyn GuestShell,
        server: &Server,
        row: Option<&Exporter>,
        care: ExporterCare,
    ) -> Result<bool, StoreError> {
        if let Some(row) = row
            && row.state == ExporterState::Installing
            && let Some(pid) = row.pid
            && self.goes_on(guests, server, row, pid).await?
        {
            return Ok(false);
        }
        let port = self.settings().exporters.port;
        let (state, detail) = match ask(guests, server, port).await {
            Said::State(state, detail) => (state, detail),
            Said::Unknown => {
                // What was known before stays; of a guest that never said anything nothing is written down.
                if let Some(row) = row {
                    self.noted(server, Some(row), row.state, &row.detail, UNKNOWN)
                        .await?;
                }
                return Ok(false);
            }
        };
        let missing = [ExporterState::NotInstalled, ExporterState::NotRunning].contains(&state);
        if missing && care == ExporterCare::Install {
            return self.install(guests, server, row).await;
        }
        let pause = match state {
            ExporterState::Listening => LISTENS,
            _ => ASK_AGAIN,
        };
        self.noted(server, row, state, &detail, pause).await?;
        Ok(false)
    }

    /// Whether an installation that was begun settles it: it goes on, or has failed.
    async fn goes_on(
        &self,
        guests: &dyn GuestShell,
        server: &Server,
        row: &Exporter,
        pid: i64,
    ) -> Result<bool, StoreError> {
        let failure = match guests.end(server, pid).await {
            Ok(Some(end)) if end.exit_code == Some(0) => return Ok(false),
            Ok(Some(end)) => complaint(&end),
            Ok(None) => {
                let tx = self.store().begin().await?;
                let now = tx.now();
                if now.since(row.since) < Exporter::INSTALL_WITHIN {
                    let due_at = now.plus(WORKS);
                    tx.save_exporter(&Exporter {
                        due_at,
                        ..row.clone()
                    })
                    .await?;
                    tx.commit().await?;
                    return Ok(true);
                }
                let minutes = Exporter::INSTALL_WITHIN.as_secs() / 60;
                format!("did not end within {minutes} minutes")
            }
            // Forgotten, or the guest was switched: how it is now tells more.
            Err(_) => return Ok(false),
        };
        tracing::warn!(server = %server.name, failure, "node_exporter was not installed");
        let pause = Exporter::pause(row.attempts);
        self.noted(
            server,
            Some(row),
            ExporterState::InstallFailed,
            &failure,
            pause,
        )
        .await?;
        Ok(true)
    }

    /// Writes down that it is begun, begins it, and writes down its number.
    async fn install(
        &self,
        guests: &dyn GuestShell,
        server: &Server,
        row: Option<&Exporter>,
    ) -> Result<bool, StoreError> {
        let tx = self.store().begin().await?;
        let now = tx.now();
        let mut wanted = Exporter {
            server: server.id,
            state: ExporterState::Installing,
            detail: String::new(),
            pid: None,
            attempts: row.map_or(0, |row| row.attempts).saturating_add(1),
            since: now,
            due_at: now.plus(UNKNOWN),
        };
        tx.save_exporter(&wanted).await?;
        tx.commit().await?;
        let port = self.settings().exporters.port;
        match guests.begin(server, &shell(INSTALL, port)).await {
            Ok(pid) => {
                tracing::info!(server = %server.name, "node_exporter is being installed");
                let tx = self.store().begin().await?;
                wanted.pid = Some(pid);
                wanted.due_at = tx.now().plus(WORKS);
                tx.save_exporter(&wanted).await?;
                tx.commit().await?;
                Ok(true)
            }
            Err(error) => {
                if let Said::State(state, detail) = error.into() {
                    self.noted(server, Some(&wanted), state, &detail, ASK_AGAIN)
                        .await?;
                }
                Ok(false)
            }
        }
    }

    /// Writes down how an exporter is.
    async fn noted(
        &self,
        server: &Server,
        before: Option<&Exporter>,
        state: ExporterState,
        detail: &str,
        pause: Duration,
    ) -> Result<(), StoreError> {
        let tx = self.store().begin().await?;
        let now = tx.now();
        let since = |row: &&Exporter| row.state == state;
        let exporter = Exporter {
            server: server.id,
            state,
            detail: detail.chars().take(MAX_DETAIL * 2).collect(),
            pid: None,
            attempts: match state {
                ExporterState::Listening => 0,
                _ => before.map_or(0, |row| row.attempts),
            },
            since: before.filter(since).map_or(now, |row: &Exporter| row.since),
            due_at: due(now, pause, self.random()),
        };
        tx.save_exporter(&exporter).await?;
        tx.commit().await
    }
}

/// A little later than that, so that guests do not come together again.
fn due(now: Timestamp, pause: Duration, jitter: f64) -> Timestamp {
    now.plus(pause.mul_f64(1.0 + 0.1 * jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_complained_of_is_kept_short_and_its_end_is_kept() {
        let end = |exit_code, out: &str, err: &str| CommandEnd {
            exit_code,
            out: out.into(),
            err: err.into(),
        };
        assert_eq!(
            complaint(&end(Some(100), "reading…", "E: Unable\n  to locate\n")),
            "exit code 100: E: Unable to locate"
        );
        assert_eq!(
            complaint(&end(None, "out\n", " \n")),
            "ended by a signal: out"
        );
        let long = complaint(&end(Some(1), "", &"é".repeat(1000)));
        assert_eq!(long.chars().count(), "exit code 1: ".len() + MAX_DETAIL);
    }

    #[test]
    fn scripts_are_one_argument_and_the_port_another() {
        let words = shell(CHECK, 9100);
        assert_eq!(words[..2], ["/bin/sh", "-c"]);
        assert_eq!((words.len(), words[4].as_str()), (5, "9100"));
    }
}
