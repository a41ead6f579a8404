//! What was measured, what was published, and alerts.

use crate::entity::{alerts, exporters, server_figures};
use crate::error::{broken, store_error};
use crate::repository::servers_of;
use crate::rows::from_json;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tpm_domain::{
    Alert, AlertId, AlertRule, AlertState, Exporter, ExporterState, ServerFigures, ServerId,
    Severity, Timestamp,
};
use tpm_store::{
    AlertQuery, AlertRow, MonitoringReads, MonitoringWrites, Page, Publication, Result,
};

/// Rows that are written by one statement.
const AT_ONCE: usize = 500;

fn figures(row: server_figures::Model) -> Result<(ServerId, ServerFigures)> {
    let figures = ServerFigures {
        at: Timestamp(row.at_ms),
        running: row.running,
        cpu: row.cpu,
        memory: row.memory,
        counted: from_json("server_figures.counted", &row.counted)?,
    };
    Ok((ServerId(row.server_id), figures))
}

fn exporter(row: exporters::Model) -> Result<Exporter> {
    Ok(Exporter {
        server: ServerId(row.server_id),
        state: ExporterState::parse(&row.state).ok_or_else(|| broken("exporters.state"))?,
        detail: row.detail,
        pid: row.pid,
        attempts: u32::try_from(row.attempts).map_err(|_| broken("exporters.attempts"))?,
        since: Timestamp(row.since_ms),
        due_at: Timestamp(row.due_ms),
    })
}

fn alert(row: alerts::Model) -> Result<AlertRow> {
    let severity = Severity::ALL.into_iter();
    let severity = severity
        .into_iter()
        .find(|one| one.as_str() == row.severity);
    Ok(AlertRow {
        id: AlertId(row.id),
        alert: Alert {
            rule: AlertRule::parse(&row.rule).ok_or_else(|| broken("alerts.rule"))?,
            key: row.subject_key,
            server: row.server_id.map(ServerId),
            subject: row.subject,
            detail: row.detail,
            severity: severity.ok_or_else(|| broken("alerts.severity"))?,
            state: AlertState::parse(&row.state).ok_or_else(|| broken("alerts.state"))?,
            since: Timestamp(row.since_ms),
            fired_at: row.fired_ms.map(Timestamp),
            calm_since: row.calm_ms.map(Timestamp),
            resolved_at: row.resolved_ms.map(Timestamp),
        },
    })
}

fn model(alert: &Alert) -> alerts::ActiveModel {
    alerts::ActiveModel {
        id: NotSet,
        rule: Set(alert.rule.as_str().to_owned()),
        subject_key: Set(alert.key.clone()),
        server_id: Set(alert.server.map(|id| id.0)),
        subject: Set(alert.subject.clone()),
        detail: Set(alert.detail.clone()),
        severity: Set(alert.severity.as_str().to_owned()),
        state: Set(alert.state.as_str().to_owned()),
        since_ms: Set(alert.since.0),
        fired_ms: Set(alert.fired_at.map(|at| at.0)),
        calm_ms: Set(alert.calm_since.map(|at| at.0)),
        resolved_ms: Set(alert.resolved_at.map(|at| at.0)),
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> MonitoringReads for Session<C> {
    async fn figures(&self, of: Option<ServerId>) -> Result<BTreeMap<ServerId, ServerFigures>> {
        let mut select = server_figures::Entity::find();
        if let Some(server) = of {
            select = select.filter(server_figures::Column::ServerId.eq(server.0));
        }
        let rows = select.all(&self.db).await.map_err(store_error)?;
        rows.into_iter().map(figures).collect()
    }

    async fn publication(&self) -> Result<Option<Publication>> {
        let sql = "SELECT at_ms, body FROM publications WHERE id = 1";
        let row = self.first(sql, []).await?;
        row.map(|row| {
            Ok(Publication {
                at: Timestamp(row.try_get("", "at_ms").map_err(store_error)?),
                body: row.try_get("", "body").map_err(store_error)?,
            })
        })
        .transpose()
    }

    async fn alerts(&self, query: &AlertQuery) -> Result<Page<AlertRow>> {
        use alerts::Column;
        let mut select = alerts::Entity::find();
        select = match query.state {
            Some(state) => select.filter(Column::State.eq(state.as_str())),
            None => select.filter(Column::State.ne(AlertState::Pending.as_str())),
        };
        if let Some(rule) = query.rule {
            select = select.filter(Column::Rule.eq(rule.as_str()));
        }
        if let Some(server) = query.server {
            select = select.filter(Column::ServerId.eq(server.0));
        }
        if let Some(projects) = &query.within {
            select = select.filter(Column::ServerId.in_subquery(servers_of(projects)));
        }
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        let rows = select
            .order_by_desc(Column::Id)
            .limit(query.limit.unwrap_or(i64::MAX as u64))
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let items = rows.into_iter().map(alert).collect::<Result<_>>()?;
        Ok(Page { items, total })
    }

    async fn exporters(&self) -> Result<BTreeMap<ServerId, Exporter>> {
        let rows = exporters::Entity::find()
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let read = |row: exporters::Model| {
            let found = exporter(row)?;
            Ok((found.server, found))
        };
        rows.into_iter().map(read).collect()
    }

    async fn open_alerts(&self) -> Result<Vec<AlertRow>> {
        let rows = alerts::Entity::find()
            .filter(alerts::Column::State.ne(AlertState::Resolved.as_str()))
            .order_by_asc(alerts::Column::Id)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(alert).collect()
    }
}

#[async_trait]
impl MonitoringWrites for Session<DatabaseTransaction> {
    async fn save_figures(
        &self,
        figures: &BTreeMap<ServerId, ServerFigures>,
        forget_after: Duration,
    ) -> Result<()> {
        use server_figures::Column;
        let mut rows = Vec::with_capacity(figures.len());
        for (server, one) in figures {
            rows.push(server_figures::ActiveModel {
                server_id: Set(server.0),
                at_ms: Set(one.at.0),
                running: Set(one.running),
                cpu: Set(one.cpu),
                memory: Set(one.memory),
                counted: Set(serde_json::to_string(&one.counted).map_err(broken)?),
            });
        }
        let mut replace = OnConflict::column(Column::ServerId);
        replace.update_columns([
            Column::AtMs,
            Column::Running,
            Column::Cpu,
            Column::Memory,
            Column::Counted,
        ]);
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(AT_ONCE));
            server_figures::Entity::insert_many(rows)
                .on_conflict(replace.clone())
                .exec_without_returning(&self.db)
                .await
                .map_err(store_error)?;
            rows = rest;
        }
        let after = i64::try_from(forget_after.as_millis()).unwrap_or(i64::MAX);
        let before = self.now_ms.saturating_sub(after);
        self.run(
            "DELETE FROM server_figures WHERE at_ms < $1",
            [before.into()],
        )
        .await
        .map(|_| ())
    }

    async fn publish(&self, body: &str) -> Result<()> {
        self.run(
            "INSERT INTO publications (id, at_ms, body) VALUES (1, $1, $2)
             ON CONFLICT (id) DO UPDATE SET at_ms = $1, body = $2",
            [self.now_ms.into(), body.into()],
        )
        .await
        .map(|_| ())
    }

    async fn save_exporter(&self, exporter: &Exporter) -> Result<()> {
        use exporters::Column;
        let row = exporters::ActiveModel {
            server_id: Set(exporter.server.0),
            state: Set(exporter.state.as_str().to_owned()),
            detail: Set(exporter.detail.clone()),
            pid: Set(exporter.pid),
            attempts: Set(i64::from(exporter.attempts)),
            since_ms: Set(exporter.since.0),
            due_ms: Set(exporter.due_at.0),
        };
        let mut replace = OnConflict::column(Column::ServerId);
        replace.update_columns([
            Column::State,
            Column::Detail,
            Column::Pid,
            Column::Attempts,
            Column::SinceMs,
            Column::DueMs,
        ]);
        exporters::Entity::insert(row)
            .on_conflict(replace)
            .exec_without_returning(&self.db)
            .await
            .map(|_| ())
            .map_err(store_error)
    }

    async fn keep_exporters(&self, of: &BTreeSet<ServerId>) -> Result<()> {
        let known = exporters::Entity::find()
            .all(&self.db)
            .await
            .map_err(store_error)?;
        for row in known {
            if !of.contains(&ServerId(row.server_id)) {
                let sql = "DELETE FROM exporters WHERE server_id = $1";
                self.run(sql, [row.server_id.into()]).await?;
            }
        }
        Ok(())
    }

    async fn insert_alert(&self, alert: &Alert) -> Result<AlertId> {
        let done = alerts::Entity::insert(model(alert)).exec(&self.db).await;
        Ok(AlertId(done.map_err(store_error)?.last_insert_id))
    }

    async fn save_alert(&self, id: AlertId, alert: &Alert) -> Result<()> {
        let row = alerts::ActiveModel {
            id: Set(id.0),
            ..model(alert)
        };
        let done = alerts::Entity::update(row).exec(&self.db).await;
        done.map(|_| ()).map_err(store_error)
    }

    async fn drop_alert(&self, id: AlertId) -> Result<()> {
        self.run(
            "DELETE FROM alerts WHERE id = $1 AND state = 'pending'",
            [id.0.into()],
        )
        .await
        .map(|_| ())
    }

    async fn trim_alerts(&self, before: Timestamp) -> Result<u64> {
        let sql = "DELETE FROM alerts WHERE resolved_ms < $1";
        Ok(self.run(sql, [before.0.into()]).await?.rows_affected())
    }
}
