//! Alerts: seeing them, and taking in those that Alertmanager sends.

use crate::{App, Ctx, Result};
use std::collections::BTreeMap;
use tpm_domain::{
    Alert, AlertRule, AlertState, AuditTarget, Event, EventKind, Permission, ServerId, Severity,
};
use tpm_store::{AlertQuery, AlertRow, Page, UnitOfWork};

/// An alert as Alertmanager sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentAlert {
    /// What the sender tells it by.
    pub fingerprint: String,
    /// Whether it is on.
    pub firing: bool,
    /// Its name.
    pub name: String,
    /// What it says.
    pub summary: String,
    /// How much it matters.
    pub severity: Severity,
    /// The server it is about, when it is one of ours.
    pub server: Option<ServerId>,
}

impl App {
    /// A page of alerts, newest first. Those about no server are for people who may see everything.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn alerts(&self, ctx: &Ctx, query: &AlertQuery) -> Result<Page<AlertRow>> {
        let reach = ctx.reach(Permission::ReadMonitoring)?;
        let query = AlertQuery {
            within: reach.bound().cloned(),
            ..query.clone()
        };
        Ok(self.store().reads().alerts(&query).await?)
    }

    /// Takes in what Alertmanager sent: people are told once of each alert, and once of its end, however often it
    /// is sent. Returns how many were new, and how many are over.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn take_alerts(&self, ctx: &Ctx, sent: &[SentAlert]) -> Result<(usize, usize)> {
        ctx.authorize(Permission::WriteMonitoring)?;
        let tx = self.store().begin().await?;
        tx.lock_reservations().await?;
        let open = tx.open_alerts().await?;
        let mut open: BTreeMap<String, AlertRow> = open
            .into_iter()
            .filter(|row| row.alert.rule == AlertRule::External)
            .map(|row| (row.alert.key.clone(), row))
            .collect();
        let now = tx.now();
        let (mut raised, mut resolved) = (0, 0);
        for one in sent {
            match (open.remove(&one.fingerprint), one.firing) {
                (None, false) => {}
                (None, true) => {
                    let server = match one.server {
                        Some(id) => tx.server(id).await?.map(|server| server.id),
                        None => None,
                    };
                    let alert = Alert {
                        server,
                        detail: one.summary.clone(),
                        severity: one.severity,
                        state: AlertState::Firing,
                        fired_at: Some(now),
                        ..Alert::begun(
                            AlertRule::External,
                            one.fingerprint.clone(),
                            one.name.clone(),
                            now,
                        )
                    };
                    let id = tx.insert_alert(&alert).await?;
                    tell(&*tx, &alert).await?;
                    raised += 1;
                    // The same fingerprint may stand in one message twice.
                    open.insert(one.fingerprint.clone(), AlertRow { id, alert });
                }
                (Some(row), true) => {
                    open.insert(one.fingerprint.clone(), row);
                }
                (Some(row), false) => {
                    let alert = Alert {
                        state: AlertState::Resolved,
                        resolved_at: Some(now),
                        ..row.alert
                    };
                    tx.save_alert(row.id, &alert).await?;
                    tell(&*tx, &alert).await?;
                    resolved += 1;
                }
            }
        }
        self.commit(ctx, tx, AuditTarget::new("alerts", "alertmanager"))
            .await?;
        Ok((raised, resolved))
    }
}

/// People are told of what an alert has come to.
async fn tell(tx: &(dyn UnitOfWork + Send + Sync), alert: &Alert) -> Result<()> {
    let event = Event {
        kind: EventKind::of_alert(alert),
        server: alert.server,
        server_name: alert.subject.clone(),
        task: None,
    };
    tx.add_event(&event).await?;
    Ok(())
}
