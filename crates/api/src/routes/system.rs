//! How the service is doing.

use crate::exposition::{metrics_answer, metrics_form};
use crate::extract::{Asked, Person, Reader};
use crate::router::ApiState;
use crate::routes::{answered, users};
use crate::{body, query, wire};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tpm_messages::{Answer, answer};

pub(crate) async fn status(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let status = state.app.system_status(&ctx).await?;
        Ok(Json(wire::system_status(lang, &status)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn logs(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let page = state.app.logs(&ctx, &query::logs(text.as_deref())?).await?;
        let logs: Vec<Value> = page.items.iter().map(wire::log_line).collect();
        Ok(Json(json!({ "logs": logs, "total": page.total })).into_response())
    };
    answered(lang, result.await)
}

/// The process's own metrics, for Prometheus.
pub(crate) async fn metrics(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    headers: HeaderMap,
) -> Response {
    let result = async {
        let form = metrics_form(&headers);
        Ok(metrics_answer(
            form,
            state.app.own_metrics(&ctx, form).await?,
        ))
    };
    answered(lang, result.await)
}

pub(crate) async fn config(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let view = state.app.system_config(&ctx).await?;
        Ok(Json(wire::config(&view)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn accept_restored(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, asked): Asked,
) -> Response {
    let result = async {
        body::nothing(asked)?;
        state.app.accept_restored(&ctx).await?;
        Ok(Json(users::done(answer(lang, Answer::Saved))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn log_level(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (level, errors) = body::log_level(body);
        state.app.set_log_level(&ctx, level, errors).await?;
        Ok(Json(users::done(answer(lang, Answer::Saved))).into_response())
    };
    answered(lang, result.await)
}
