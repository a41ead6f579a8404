//! Tasks.

use crate::extract::{Asked, Path, Person, Reader};
use crate::router::ApiState;
use crate::routes::answered;
use crate::{body, query, wire};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tpm_domain::TaskToken;
use tpm_messages::{Answer, answer};

pub(super) fn token(text: &str) -> TaskToken {
    TaskToken(text.chars().take(64).collect())
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let page = state
            .app
            .tasks(&ctx, &query::tasks(text.as_deref())?)
            .await?;
        let tasks: Vec<Value> = page
            .items
            .iter()
            .map(|task| wire::task(lang, task))
            .collect();
        Ok(Json(json!({ "tasks": tasks, "total": page.total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn one(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
) -> Response {
    let result = async {
        let view = state.app.task(&ctx, &token(&text)).await?;
        Ok(Json(wire::task_view(lang, &view)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn log(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
    RawQuery(page): RawQuery,
) -> Response {
    let result = async {
        let (limit, offset) = query::page(page.as_deref())?;
        let view = state.app.task(&ctx, &token(&text)).await?;
        let runs = state.app.task_runs(&ctx, &view.task.token).await?;
        let lines = wire::task_log(lang, &view, &runs);
        let total = lines.len();
        let shown: Vec<Value> = lines.into_iter().skip(offset).take(limit).collect();
        let body = json!({ "task_id": view.task.token, "lines": shown, "total": total });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn cancel(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
) -> Response {
    let result = async {
        let task = state.app.cancel_task(&ctx, &token(&text)).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::CancelRequested),
            "task_id": task.token,
            "status": task.state.as_str(),
        });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn retry(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let accepted = state.app.retry_task(&ctx, &token(&text)).await?;
        let servers: Vec<Value> = accepted.children.iter().map(wire::accepted).collect();
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::RetryStarted(servers.len())),
            "task_id": accepted.task,
            "servers": servers,
        });
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}
