//! The built-in alerts: after each look at the cluster, what is seen is held against the rules.
//!
//! People are told once when something has been wrong for long enough, and once when it is over. What is being worked
//! on by a task raises nothing.

use crate::worker::Worker;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tpm_domain::{
    Alert, AlertRule, AlertState, Event, EventKind, NodeView, Seen, Server, ServerFigures,
    ServerId, ServerState, TaskKind, TaskState, Timestamp, Verdict,
};
use tpm_monitoring::{Figure, Latest};
use tpm_provisioner::Certificate;
use tpm_store::{AlertRow, StoreError, TaskQuery, UnitOfWork};

/// Alerts that are over are kept for so long.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Seconds in a day.
const DAY: u64 = 24 * 3600;
/// Figures that are older say nothing.
const FRESH: Duration = Duration::from_secs(60);

/// What one look showed of one thing.
pub(crate) struct Look {
    pub(crate) rule: AlertRule,
    pub(crate) key: String,
    pub(crate) server: Option<ServerId>,
    pub(crate) subject: String,
    pub(crate) seen: Seen,
    pub(crate) detail: String,
}

/// What a round of alerts came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alerted {
    /// Newly told.
    pub raised: usize,
    /// Over.
    pub resolved: usize,
}

/// What is known of servers beside their rows.
struct Known<'a> {
    figures: &'a BTreeMap<ServerId, ServerFigures>,
    latest: &'a Latest,
    busy: &'a BTreeSet<ServerId>,
    down: &'a BTreeSet<ServerId>,
    now: Timestamp,
}

impl Known<'_> {
    fn fresh(&self, server: &Server) -> Option<&ServerFigures> {
        let seen = self.figures.get(&server.id)?;
        (self.now.since(seen.at) <= FRESH).then_some(seen)
    }

    /// Whether a server that should run does. One that somebody switched off is down as long as nobody here asked
    /// for that.
    fn is_down(&self, server: &Server) -> (Seen, String) {
        let problem = || {
            let problem = server.problem.as_ref();
            problem
                .and_then(|why| why.detail.clone())
                .unwrap_or_default()
        };
        let running = self.fresh(server).and_then(|seen| seen.running);
        match server.state {
            ServerState::Running => match running {
                Some(true) => (Seen::Good, String::new()),
                Some(false) => (Seen::Bad, format!("VM {} is off", server.vmid)),
                None => (Seen::Unknown, String::new()),
            },
            ServerState::Missing | ServerState::IdentityConflict => (Seen::Bad, problem()),
            ServerState::Stopped if self.down.contains(&server.id) && running != Some(true) => {
                (Seen::Bad, format!("VM {} is off", server.vmid))
            }
            ServerState::Stopped => (Seen::Good, String::new()),
            _ => (Seen::Unknown, String::new()),
        }
    }

    /// The looks at one server.
    fn looks(&self, server: &Server) -> Vec<Look> {
        let muted = self.busy.contains(&server.id);
        let look = |rule: AlertRule, seen: Seen, detail: String| Look {
            rule,
            key: server.id.to_string(),
            server: Some(server.id),
            subject: server.name.to_string(),
            seen: if muted { Seen::Muted } else { seen },
            detail,
        };
        let (down, why) = self.is_down(server);
        let fields: Vec<String> = server.drift.iter().map(ToString::to_string).collect();
        let drift = if fields.is_empty() {
            Seen::Good
        } else {
            Seen::Bad
        };
        let runs = server.state == ServerState::Running && down != Seen::Bad;
        let scraped = match self.latest {
            Latest::Known(all) => all.get(&server.id),
            Latest::Unknown(_) => None,
        };
        // Whether it answers is nobody's question while it is off.
        let exporter = match scraped.and_then(|scraped| scraped.up) {
            Some(false) if runs => Seen::Bad,
            Some(true) => Seen::Good,
            _ if !runs => Seen::Good,
            _ => Seen::Unknown,
        };
        let measured = |figure: Figure| {
            let told = scraped.and_then(|scraped| scraped.readings.get(figure).ok());
            told.or_else(|| match figure {
                Figure::Memory => self.fresh(server)?.memory,
                _ => None,
            })
        };
        let percent = |rule: AlertRule, figure: Figure| match measured(figure) {
            Some(value) => look(rule, rule.judge(value), format!("{value:.1} %")),
            None if !runs => look(rule, Seen::Good, String::new()),
            None => look(rule, Seen::Unknown, String::new()),
        };
        vec![
            look(AlertRule::ServerDown, down, why),
            look(AlertRule::ExporterDown, exporter, String::new()),
            percent(AlertRule::MemoryHigh, Figure::Memory),
            percent(AlertRule::DiskNearlyFull, Figure::Disk),
            look(AlertRule::Drift, drift, fields.join("; ")),
        ]
    }
}

fn of_node(node: &NodeView) -> Look {
    Look {
        rule: AlertRule::NodeOffline,
        key: node.name.0.clone(),
        server: None,
        subject: node.name.0.clone(),
        seen: if node.online { Seen::Good } else { Seen::Bad },
        detail: String::new(),
    }
}

fn of_certificate(place: &str, certificate: &Certificate, now: Timestamp) -> Look {
    Look {
        rule: AlertRule::CertificateEnds,
        key: format!("{place}/{}", certificate.name),
        server: None,
        subject: place.to_owned(),
        seen: AlertRule::judge_certificate(certificate.ends, now),
        detail: match certificate.ends.since(now).as_secs() / DAY {
            0 if certificate.ends <= now => format!("{} has ended", certificate.name),
            days => format!("{}, {days} days left", certificate.name),
        },
    }
}

/// Whether an alert is about a certificate of one of these.
fn is_of(row: &AlertRow, places: &BTreeSet<String>) -> bool {
    let place = row.alert.key.split_once('/').map(|(place, _)| place);
    row.alert.rule == AlertRule::CertificateEnds && place.is_some_and(|it| places.contains(it))
}

impl Worker {
    /// Holds what is seen now against the rules.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn judge_alerts(&self) -> Result<Alerted, StoreError> {
        let latest = match self.metrics() {
            Some(metrics) => metrics.latest(None).await,
            None => Latest::Unknown(tpm_monitoring::Why::NotConfigured),
        };
        let reads = self.store().reads();
        let servers = reads.servers_with_guests().await?;
        let figures = reads.figures(None).await?;
        let picture = reads.picture().await?;
        let busy = reads.busy_servers().await?;
        let policies = self.policies(&*reads).await?;
        drop(reads);
        let nodes = picture.nodes.iter();
        let nodes: Vec<_> = nodes.map(|one| (one.name.0.clone(), one.online)).collect();
        let certificates = self.certificates(&nodes).await;
        let tx = self.store().begin().await?;
        tx.lock_reservations().await?;
        let open = tx.open_alerts().await?;
        let down = open
            .iter()
            .filter(|row| row.alert.rule == AlertRule::ServerDown)
            .filter_map(|row| row.alert.server);
        let mut down: BTreeSet<ServerId> = down.collect();
        let now = tx.now();
        let stopped =
            |server: &&Server| server.state == ServerState::Stopped && down.contains(&server.id);
        let mut wanted = Vec::new();
        for server in servers.iter().filter(stopped) {
            if was_stopped_here(&*tx, server.id).await? {
                wanted.push(server.id);
            }
        }
        down.retain(|id| !wanted.contains(id));
        let known = Known {
            figures: &figures,
            latest: &latest,
            busy: &busy,
            down: &down,
            now,
        };
        let mut looks: Vec<Look> = servers.iter().flat_map(|one| known.looks(one)).collect();
        looks.extend(picture.nodes.iter().map(of_node));
        let ends = certificates.known.iter();
        looks.extend(ends.map(|(place, one)| of_certificate(place, one, now)));
        looks.extend(policies.looks(&servers, &busy, now));
        let mut open: BTreeMap<(AlertRule, String), AlertRow> = open
            .into_iter()
            .filter(|row| row.alert.rule != AlertRule::External)
            .map(|row| ((row.alert.rule, row.alert.key.clone()), row))
            .collect();
        let mut done = Alerted::default();
        for look in looks {
            let row = open.remove(&(look.rule, look.key.clone()));
            judge(&*tx, look, row, now, &mut done).await?;
        }
        // What they were about is not there any more.
        let gone = open
            .into_values()
            .filter(|row| !is_of(row, &certificates.silent));
        for row in gone {
            end(&*tx, row, now, &mut done).await?;
        }
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        tx.trim_alerts(Timestamp(now.0.saturating_sub(kept)))
            .await?;
        tx.commit().await?;
        Ok(done)
    }
}

type Tx = dyn UnitOfWork + Send + Sync;

/// Whether the last change of a server's power was that somebody had it switched off here.
async fn was_stopped_here(tx: &Tx, server: ServerId) -> Result<bool, StoreError> {
    let last = |kind: TaskKind| async move {
        let query = TaskQuery {
            kind: Some(kind),
            state: Some(TaskState::Completed),
            server: Some(server),
            limit: Some(1),
            ..TaskQuery::default()
        };
        let found = tx.tasks(&query).await?.items;
        Ok::<_, StoreError>(found.first().map(|task| task.updated_at))
    };
    let mut on = last(TaskKind::CreateServer).await?;
    for kind in [
        TaskKind::StartServer,
        TaskKind::RestartServer,
        TaskKind::RestoreNew,
    ] {
        on = on.max(last(kind).await?);
    }
    let off = last(TaskKind::StopServer).await?;
    Ok(off.is_some() && off > on)
}

async fn judge(
    tx: &Tx,
    look: Look,
    row: Option<AlertRow>,
    now: Timestamp,
    done: &mut Alerted,
) -> Result<(), StoreError> {
    let (id, before) = match row {
        Some(row) => (Some(row.id), row.alert),
        None if look.seen != Seen::Bad => return Ok(()),
        None => {
            let begun = Alert::begun(look.rule, look.key, look.subject, now);
            let server = look.server;
            (None, Alert { server, ..begun })
        }
    };
    let mut next = match before.after(look.seen, now) {
        Verdict::Keep(next) => *next,
        Verdict::Unchanged if id.is_none() => before.clone(),
        Verdict::Unchanged => return Ok(()),
        Verdict::Drop => match id {
            Some(id) => return tx.drop_alert(id).await,
            None => return Ok(()),
        },
    };
    if look.seen == Seen::Bad {
        next.detail = look.detail;
    }
    match id {
        Some(id) => tx.save_alert(id, &next).await?,
        None => {
            tx.insert_alert(&next).await?;
        }
    }
    if next.state != before.state {
        tell(tx, &next, done).await?;
    }
    Ok(())
}

async fn end(tx: &Tx, row: AlertRow, now: Timestamp, done: &mut Alerted) -> Result<(), StoreError> {
    if row.alert.state == AlertState::Pending {
        return tx.drop_alert(row.id).await;
    }
    let alert = Alert {
        state: AlertState::Resolved,
        resolved_at: Some(now),
        ..row.alert
    };
    tx.save_alert(row.id, &alert).await?;
    tell(tx, &alert, done).await
}

async fn tell(tx: &Tx, alert: &Alert, done: &mut Alerted) -> Result<(), StoreError> {
    match alert.state {
        AlertState::Firing => done.raised += 1,
        AlertState::Resolved => done.resolved += 1,
        AlertState::Pending => return Ok(()),
    }
    tracing::warn!(
        rule = alert.rule.as_str(),
        subject = alert.subject,
        state = alert.state.as_str(),
        "alert"
    );
    let event = Event {
        kind: EventKind::of_alert(alert),
        server: alert.server,
        server_name: alert.subject.clone(),
        task: None,
    };
    tx.add_event(&event).await
}
