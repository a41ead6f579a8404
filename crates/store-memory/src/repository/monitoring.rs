//! What was measured, what was published, and alerts.

use super::page;
use crate::rows::constraint;
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tpm_domain::{Alert, AlertId, AlertState, Exporter, ServerFigures, ServerId, Timestamp};
use tpm_store::{
    AlertQuery, AlertRow, MonitoringReads, MonitoringWrites, Page, Publication, Result,
};

#[async_trait]
impl<S: Source> MonitoringReads for Session<S> {
    async fn figures(&self, of: Option<ServerId>) -> Result<BTreeMap<ServerId, ServerFigures>> {
        let tables = self.0.look().await?;
        let wanted = |id: &ServerId| of.is_none_or(|of| of == *id);
        let all = tables.figures.iter().filter(|(id, _)| wanted(id));
        Ok(all.map(|(id, row)| (*id, row.clone())).collect())
    }

    async fn publication(&self) -> Result<Option<Publication>> {
        Ok(self.0.look().await?.publication)
    }

    async fn alerts(&self, query: &AlertQuery) -> Result<Page<AlertRow>> {
        let tables = self.0.look().await?;
        let within = |alert: &Alert| match &query.within {
            None => true,
            Some(projects) => alert
                .server
                .and_then(|server| tables.project_of(server))
                .is_some_and(|project| projects.contains(&project)),
        };
        let of_state = |alert: &Alert| match query.state {
            Some(state) => alert.state == state,
            None => alert.state != AlertState::Pending,
        };
        let fits = |alert: &Alert| {
            of_state(alert)
                && query.rule.is_none_or(|rule| alert.rule == rule)
                && query.server.is_none_or(|id| alert.server == Some(id))
                && within(alert)
        };
        let found = tables.alerts.iter().rev().filter(|(_, alert)| fits(alert));
        let found = found.map(|(id, alert)| AlertRow {
            id: *id,
            alert: alert.clone(),
        });
        Ok(page(found.collect(), query.limit, query.offset))
    }

    async fn exporters(&self) -> Result<BTreeMap<ServerId, Exporter>> {
        let tables = self.0.look().await?;
        let all = tables.exporters.iter();
        Ok(all.map(|(id, row)| (*id, row.clone())).collect())
    }

    async fn open_alerts(&self) -> Result<Vec<AlertRow>> {
        let tables = self.0.look().await?;
        let open = |alert: &Alert| alert.state != AlertState::Resolved;
        let all = tables.alerts.iter().filter(|(_, alert)| open(alert));
        Ok(all
            .map(|(id, alert)| AlertRow {
                id: *id,
                alert: alert.clone(),
            })
            .collect())
    }
}

#[async_trait]
impl MonitoringWrites for Session<Transaction> {
    async fn save_figures(
        &self,
        figures: &BTreeMap<ServerId, ServerFigures>,
        forget_after: Duration,
    ) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            for (server, one) in figures {
                tables.figures.set(*server, one.clone());
            }
            tables
                .figures
                .retain(|_, one| now.since(one.at) <= forget_after);
            Ok(())
        })
    }

    async fn publish(&self, body: &str) -> Result<()> {
        let at = self.0.now();
        self.0.change(|tables| {
            let body = body.to_owned();
            tables.publication = Some(Publication { at, body });
            Ok(())
        })
    }

    async fn save_exporter(&self, exporter: &Exporter) -> Result<()> {
        self.0.change(|tables| {
            tables.exporters.set(exporter.server, exporter.clone());
            Ok(())
        })
    }

    async fn keep_exporters(&self, of: &BTreeSet<ServerId>) -> Result<()> {
        self.0.change(|tables| {
            tables.exporters.retain(|id, _| of.contains(id));
            Ok(())
        })
    }

    async fn insert_alert(&self, alert: &Alert) -> Result<AlertId> {
        self.0.change(|tables| {
            let same = |other: &Alert| {
                other.state != AlertState::Resolved
                    && (other.rule, &other.key) == (alert.rule, &alert.key)
            };
            if alert.state != AlertState::Resolved && tables.alerts.values().any(same) {
                return Err(constraint(format!("alerts_open {:?}", alert.rule)));
            }
            let id = AlertId(tables.next_id());
            tables.alerts.set(id, alert.clone());
            Ok(id)
        })
    }

    async fn save_alert(&self, id: AlertId, alert: &Alert) -> Result<()> {
        self.0.change(|tables| {
            tables.alerts.set(id, alert.clone());
            Ok(())
        })
    }

    async fn drop_alert(&self, id: AlertId) -> Result<()> {
        self.0.change(|tables| {
            let pending = |alert: &Alert| alert.state == AlertState::Pending;
            if tables.alerts.get(&id).is_some_and(pending) {
                tables.alerts.remove(&id);
            }
            Ok(())
        })
    }

    async fn trim_alerts(&self, before: Timestamp) -> Result<u64> {
        self.0.change(|tables| {
            let stays = |alert: &Alert| alert.resolved_at.is_none_or(|at| at >= before);
            Ok(tables.alerts.retain(|_, alert| stays(alert)) as u64)
        })
    }
}
