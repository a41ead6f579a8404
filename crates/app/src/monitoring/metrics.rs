//! The figures of servers: first what the exporter on them tells, through Prometheus; second Proxmox VE's own.

use super::{Measured, REMEMBER};
use crate::{App, Ctx, Result};
use std::collections::BTreeMap;
use std::time::Duration;
use tpm_domain::{GuestUse, Permission, Server, ServerFigures, ServerId, ServerState, Timestamp};
use tpm_monitoring::{Figure, Latest, Point, Readings, Scraped, Span, Why};
use tpm_store::{Page, ServerQuery};

/// Proxmox VE's figures are told for so long after they were seen.
const FRESH: Duration = Duration::from_secs(60);

/// Who measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The exporter on the server.
    NodeExporter,
    /// The node the guest is on.
    Proxmox,
}

impl Source {
    /// Both.
    pub const ALL: [Self; 2] = [Self::NodeExporter, Self::Proxmox];

    /// The source on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NodeExporter => "node_exporter",
            Self::Proxmox => "proxmox",
        }
    }
}

/// The latest figures of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsView {
    /// Each figure, or why it is not known.
    pub readings: Readings,
    /// When they were measured.
    pub at: Option<Timestamp>,
    /// By whom.
    pub source: Option<Source>,
    /// Why it was not the exporter, or nobody.
    pub reason: Option<Why>,
}

/// A server and what is measured of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerMetrics {
    /// Its number.
    pub id: ServerId,
    /// Its name.
    pub name: String,
    /// The latest figures.
    pub metrics: MetricsView,
}

/// The figures of a server in the past.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsHistory {
    /// Its number.
    pub id: ServerId,
    /// Its name.
    pub name: String,
    /// When.
    pub span: Span,
    /// Measured by whom.
    pub source: Option<Source>,
    /// Why it was not the exporter, or nobody.
    pub reason: Option<Why>,
    /// A point for each step; none when nobody measured.
    pub points: Vec<Point>,
}

/// Why there is nothing, when Proxmox VE tells nothing either.
fn nothing(server: &Server, figures: Option<&ServerFigures>, now: Timestamp) -> Option<Why> {
    match server.state {
        ServerState::Creating
        | ServerState::Missing
        | ServerState::IdentityConflict
        | ServerState::Deleting => return Some(Why::NoGuest),
        _ if server.identity.is_none() => return Some(Why::NoGuest),
        _ => {}
    }
    match figures {
        None => Some(Why::NotMeasuredYet),
        Some(seen) if now.since(seen.at) > FRESH => Some(Why::Outdated),
        Some(seen) if seen.running == Some(false) => Some(Why::Stopped),
        Some(seen) if seen.running.is_none() => Some(Why::NotMeasuredYet),
        Some(_) => None,
    }
}

/// What is told of a server.
fn told(
    server: &Server,
    scraped: std::result::Result<&Scraped, Why>,
    figures: Option<&ServerFigures>,
    now: Timestamp,
) -> MetricsView {
    let reason = match scraped {
        Ok(scraped) if scraped.readings.has_some() => {
            return MetricsView {
                readings: scraped.readings.clone(),
                at: scraped.at,
                source: Some(Source::NodeExporter),
                reason: None,
            };
        }
        // All of them are unknown for a reason.
        Ok(scraped) => scraped.readings.get(Figure::Memory).err(),
        Err(why) => Some(why),
    };
    if let Some(why) = nothing(server, figures, now) {
        return MetricsView {
            readings: Readings::none(why),
            at: None,
            source: None,
            reason: Some(why),
        };
    }
    let network = figures.and_then(ServerFigures::network);
    let readings = Readings::new(|figure| {
        let seen = figures.ok_or(Why::NotMeasuredYet)?;
        match figure {
            Figure::Cpu => seen.cpu,
            Figure::Memory => seen.memory,
            Figure::Disk => return Err(Why::NotToldByProxmox),
            Figure::NetworkIn => network.map(|(bytes, _)| bytes),
            Figure::NetworkOut => network.map(|(_, bytes)| bytes),
        }
        .ok_or(Why::NotMeasuredYet)
    });
    MetricsView {
        readings,
        at: figures.map(|seen| seen.at),
        source: Some(Source::Proxmox),
        reason,
    }
}

fn scraped_of(latest: &Latest, id: ServerId) -> std::result::Result<&Scraped, Why> {
    match latest {
        Latest::Known(all) => all.get(&id).ok_or(Why::NotScrapedYet),
        Latest::Unknown(why) => Err(*why),
    }
}

/// What Proxmox VE measured, a mean for each step of the span.
fn averaged(used: &[GuestUse], span: Span) -> Vec<Point> {
    let step = i64::from(span.step_secs.max(1)) * 1000;
    let mut sums: BTreeMap<(i64, Figure), (f64, u32)> = BTreeMap::new();
    for one in used.iter().filter(|one| one.at >= span.from) {
        // A point stands for what was before it, back to the point before.
        let place = (one.at.0 - span.from.0 + step - 1).div_euclid(step);
        for (figure, value) in [
            (Figure::Cpu, one.cpu),
            (Figure::Memory, one.memory),
            (Figure::NetworkIn, one.net_in),
            (Figure::NetworkOut, one.net_out),
        ] {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                let sum = sums.entry((place, figure)).or_default();
                *sum = (sum.0 + value, sum.1 + 1);
            }
        }
    }
    let point = |(place, at): (i64, Timestamp)| {
        let mut point = Point::empty(at);
        for figure in Figure::ALL {
            let sum = sums.get(&(place, figure));
            *point.slot(figure) = sum.map(|(sum, n)| sum / f64::from(*n));
        }
        point
    };
    (0..).zip(span.moments()).map(point).collect()
}

impl App {
    /// The latest figures of a page of servers: one question for each figure, however many there are.
    ///
    /// # Errors
    /// Forbidden, invalid, or the store does not answer.
    pub async fn fleet_metrics(
        &self,
        ctx: &Ctx,
        query: &ServerQuery,
        project: Option<&str>,
    ) -> Result<Page<ServerMetrics>> {
        let figures = ctx.reach(Permission::ReadMonitoring)?;
        let reach = ctx.reach(Permission::ReadServers)?.and(figures);
        let page = self.servers_within(&reach, query, project).await?;
        let latest = self
            .remembered()
            .latest
            .get(REMEMBER, || self.latest(None))
            .await;
        let figures = self.store().reads().figures(None).await?;
        let now = self.now();
        let shown = |server: Server| ServerMetrics {
            metrics: told(
                &server,
                scraped_of(&latest, server.id),
                figures.get(&server.id),
                now,
            ),
            id: server.id,
            name: server.name.to_string(),
        };
        let servers = page.items.into_iter().map(|view| view.server);
        Ok(Page {
            items: servers.map(shown).collect(),
            total: page.total,
        })
    }

    /// The latest figures of a server.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn server_metrics(&self, ctx: &Ctx, id: ServerId) -> Result<ServerMetrics> {
        let reads = self.store().reads();
        let server = ctx.may(Permission::ReadMonitoring, id, reads.server(id).await?)?;
        let figures = reads.figures(Some(id)).await?;
        let latest = self.latest(Some(id)).await;
        Ok(ServerMetrics {
            id,
            name: server.name.to_string(),
            metrics: told(
                &server,
                scraped_of(&latest, id),
                figures.get(&id),
                self.now(),
            ),
        })
    }

    /// The figures of a server in the past.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn metrics_history(
        &self,
        ctx: &Ctx,
        id: ServerId,
        span: Span,
    ) -> Result<MetricsHistory> {
        let server = self.store().reads().server(id).await?;
        let server = ctx.may(Permission::ReadMonitoring, id, server)?;
        let Measured {
            prometheus,
            history,
            ..
        } = self.measured();
        let scraped = match prometheus {
            Some(prometheus) => prometheus.history(id, span).await,
            None => Err(Why::NotConfigured),
        };
        let is_some = |point: &Point| Figure::ALL.iter().any(|one| point.get(*one).is_some());
        let mut told = MetricsHistory {
            id,
            name: server.name.to_string(),
            span,
            source: None,
            reason: None,
            points: Vec::new(),
        };
        match scraped {
            Ok(points) if points.iter().any(is_some) => {
                told.source = Some(Source::NodeExporter);
                told.points = points;
                return Ok(told);
            }
            Ok(_) => told.reason = Some(Why::NoSample),
            Err(why) => told.reason = Some(why),
        }
        let known = matches!(server.state, ServerState::Running | ServerState::Stopped);
        let Some(history) = history.as_ref().filter(|_| known) else {
            told.reason = Some(Why::NoGuest);
            return Ok(told);
        };
        let back = self.now().since(span.from);
        match history.guest_history(&server, back).await {
            Ok(used) => {
                told.points = averaged(&used, span);
                if told.points.iter().any(is_some) {
                    told.source = Some(Source::Proxmox);
                } else {
                    told.points.clear();
                    told.reason = Some(Why::NotMeasuredYet);
                }
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "no history");
                told.reason = Some(Why::ProxmoxUnreachable);
            }
        }
        Ok(told)
    }

    async fn latest(&self, of: Option<ServerId>) -> Latest {
        match &self.measured().prometheus {
            Some(prometheus) => prometheus.latest(of).await,
            None => Latest::Unknown(Why::NotConfigured),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_the_means_of_what_was_before_them() {
        let minute = |n: i64, cpu: Option<f64>| GuestUse {
            at: Timestamp(n * 60_000),
            cpu,
            memory: None,
            net_in: Some(10.0),
            net_out: Some(f64::NAN),
        };
        let used = [
            minute(0, Some(90.0)),
            minute(1, Some(10.0)),
            minute(2, Some(30.0)),
            minute(3, None),
            minute(5, Some(70.0)),
        ];
        let span = Span {
            from: Timestamp(60_000),
            to: Timestamp(5 * 60_000),
            step_secs: 120,
        };
        let points = averaged(&used, span);
        let told = |figure| points.iter().map(|one| one.get(figure)).collect::<Vec<_>>();
        assert_eq!(told(Figure::Cpu), [Some(10.0), Some(30.0), Some(70.0)]);
        assert_eq!(told(Figure::NetworkIn), [Some(10.0); 3]);
        assert_eq!(told(Figure::NetworkOut), [None; 3]);
        assert_eq!(told(Figure::Disk), [None; 3]);
    }
}
