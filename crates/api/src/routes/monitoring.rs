//! What is measured of servers, and how those who measure are doing.

use crate::extract::{Asked, Path, Person, Reader};
use crate::router::ApiState;
use crate::routes::{answered, servers};
use crate::{body, query, time};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tpm_app::{
    AlertRow, Figure, MetricsHistory, MetricsView, MonitoringStatus, Point, Published, Reload,
    ServerMetrics, ServiceState, Source, Why,
};
use tpm_messages::{Answer, Lang, answer};

fn state_word(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Running => "running",
        ServiceState::Down => "down",
        ServiceState::NotConfigured => "not_configured",
    }
}

fn status_body(status: &MonitoringStatus) -> Value {
    let (prometheus, grafana) = (&status.prometheus, &status.grafana);
    let url = |url: &String| (!url.is_empty()).then(|| url.clone());
    let exporters = &status.exporters;
    let silent: Vec<Value> = exporters
        .silent
        .iter()
        .map(|one| {
            json!({
                "server_id": one.server,
                "server_name": one.name,
                "reason": one.reason,
                "error": (!one.error.is_empty()).then_some(&one.error),
            })
        })
        .collect();
    json!({
        "prometheus": {
            "status": state_word(prometheus.state),
            "url": url(&prometheus.url),
            "targets": prometheus.targets.map(|(all, _)| all),
            "healthy_targets": prometheus.targets.map(|(_, healthy)| healthy),
            "reason": prometheus.reason.map(Why::as_str),
        },
        "grafana": {
            "status": state_word(grafana.state),
            "url": url(&grafana.url),
            "dashboards": grafana.dashboards,
            "reason": grafana.reason,
        },
        "node_exporters": {
            "total": exporters.total,
            "active": exporters.active,
            "inactive": exporters.active.map(|active| exporters.total - active),
            "down": silent,
        },
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "whole and not negative, and no machine sends 2^53 bytes in a second"
)]
fn told(figure: Figure, value: f64) -> Value {
    if figure.is_percent() {
        json!(value)
    } else {
        json!(value as i64)
    }
}

fn metrics(view: &MetricsView) -> Value {
    let (mut all, mut reasons) = (Map::new(), Map::new());
    for figure in Figure::ALL {
        let value = match view.readings.get(figure) {
            Ok(value) => told(figure, value),
            Err(why) => {
                reasons.insert(figure.as_str().to_owned(), json!(why.as_str()));
                Value::Null
            }
        };
        all.insert(figure.as_str().to_owned(), value);
    }
    all.insert("timestamp".into(), json!(view.at.map(time::text)));
    all.insert("source".into(), json!(view.source.map(Source::as_str)));
    all.insert("reason".into(), json!(view.reason.map(Why::as_str)));
    all.insert("reasons".into(), reasons.into());
    all.into()
}

fn of_server(one: &ServerMetrics) -> Value {
    json!({
        "server_id": one.id,
        "server_name": one.name,
        "metrics": metrics(&one.metrics),
    })
}

fn point(point: &Point) -> Value {
    let mut all = Map::new();
    all.insert("timestamp".into(), json!(time::text(point.at)));
    for figure in Figure::ALL {
        let value = point.get(figure).map(|value| told(figure, value));
        all.insert(figure.as_str().to_owned(), json!(value));
    }
    all.into()
}

fn history(history: &MetricsHistory) -> Value {
    json!({
        "server_id": history.id,
        "server_name": history.name,
        "from": time::text(history.span.from),
        "to": time::text(history.span.to),
        "step": history.span.step_secs,
        "source": history.source.map(Source::as_str),
        "reason": history.reason.map(Why::as_str),
        "points": history.points.iter().map(point).collect::<Vec<_>>(),
    })
}

fn reload_word(reload: Option<Reload>) -> &'static str {
    match reload {
        None => "not_asked",
        Some(Reload::Done) => "done",
        Some(Reload::NotEnabled) => "not_enabled",
        Some(Reload::Failed) => "failed",
        Some(Reload::Unreachable) => "unreachable",
    }
}

fn published(lang: Lang, done: &Published) -> Value {
    let found = done.taken_up.as_ref();
    json!({
        "success": true,
        "message": answer(lang, Answer::TargetsPublished(done.targets)),
        "published_at": time::text(done.at),
        "targets": done.targets,
        "added": done.added,
        "removed": done.removed,
        "changed": done.changed,
        "prometheus": {
            "taken_up": found.ok(),
            "pending": found.is_ok().then_some(&done.pending),
            "reason": found.err().map(|why| why.as_str()),
            "reload": reload_word(done.reload),
        },
    })
}

fn alert(row: &AlertRow) -> Value {
    let alert = &row.alert;
    json!({
        "id": row.id.0,
        "rule": alert.rule.as_str(),
        "status": alert.state.as_str(),
        "severity": alert.severity.as_str(),
        "subject": alert.subject,
        "server_id": alert.server,
        "detail": (!alert.detail.is_empty()).then_some(&alert.detail),
        "since": time::text(alert.since),
        "fired_at": alert.fired_at.map(time::text),
        "resolved_at": alert.resolved_at.map(time::text),
    })
}

pub(crate) async fn status(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let status = state.app.monitoring_status(&ctx).await?;
        Ok(Json(status_body(&status)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn fleet(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let (query, project) = query::servers(text.as_deref())?;
        let found = state
            .app
            .fleet_metrics(&ctx, &query, project.as_deref())
            .await?;
        let all: Vec<Value> = found.items.iter().map(of_server).collect();
        Ok(Json(json!({ "servers": all, "total": found.total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn server(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
    RawQuery(span): RawQuery,
) -> Response {
    let result = async {
        let id = servers::id(&text)?;
        let now = time::now();
        let body = match query::span(span.as_deref(), now)? {
            None => of_server(&state.app.server_metrics(&ctx, id).await?),
            Some(span) => history(&state.app.metrics_history(&ctx, id, span).await?),
        };
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn targets(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async { Ok(Json(state.app.discovery(&ctx).await?).into_response()) };
    answered(lang, result.await)
}

pub(crate) async fn update(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let done = state.app.publish_targets(&ctx).await?;
        Ok(Json(published(lang, &done)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn alerts(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let found = state
            .app
            .alerts(&ctx, &query::alerts(text.as_deref())?)
            .await?;
        let all: Vec<Value> = found.items.iter().map(alert).collect();
        Ok(Json(json!({ "alerts": all, "total": found.total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn take_alerts(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, sent): Asked,
) -> Response {
    let result = async {
        let sent = body::alerts(sent)?;
        let (raised, resolved) = state.app.take_alerts(&ctx, &sent).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::AlertsTaken(sent.len())),
            "raised": raised,
            "resolved": resolved,
        });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}
