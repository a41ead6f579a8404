//! Servers.

use crate::error::Fault;
use crate::extract::{Asked, Path, Person, Reader};
use crate::router::ApiState;
use crate::routes::answered;
use crate::{body, query, wire};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tpm_app::{ChangeOutcome, Ctx, PowerOutcome};
use tpm_domain::{Error, ResourceKind, ServerId};
use tpm_messages::{Answer, Lang, answer};

/// An id that is no number belongs to no server.
pub(super) fn id(text: &str) -> Result<ServerId, Fault> {
    let shown: String = text.chars().take(64).collect();
    let missing = || Fault::from(Error::not_found(ResourceKind::Server, shown));
    text.parse().map(ServerId).map_err(|_| missing())
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let (query, project) = query::servers(text.as_deref())?;
        let page = state.app.servers(&ctx, &query, project.as_deref()).await?;
        let servers: Vec<Value> = page
            .items
            .iter()
            .map(|view| wire::server(lang, view))
            .collect();
        Ok(Json(json!({ "servers": servers, "total": page.total })).into_response())
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
        let view = state.app.server(&ctx, id(&text)?).await?;
        Ok(Json(wire::server_view(lang, &view)).into_response())
    };
    answered(lang, result.await)
}

/// What is otherwise than the server's row says, as it was seen last.
pub(crate) async fn drift(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
) -> Response {
    let result = async {
        let view = state.app.server(&ctx, id(&text)?).await?;
        Ok(Json(wire::drift(lang, &view.server)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn decide_drift(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (choices, errors) = body::drift(body);
        let done = state
            .app
            .decide_drift(&ctx, id(&text)?, &choices, errors)
            .await?;
        Ok(Json(changed(lang, done)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn import(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = body::import(body);
        let task = state.app.import_server(&ctx, &draft, errors).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::ImportStarted),
            "task_id": task,
        });
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

/// What became of a change.
fn changed(lang: Lang, done: ChangeOutcome) -> Value {
    let (said, task) = match done {
        ChangeOutcome::Saved => (Answer::Saved, None),
        ChangeOutcome::Started(task) => (Answer::ChangeStarted, Some(task)),
    };
    json!({ "success": true, "message": answer(lang, said), "task_id": task })
}

/// What a create would come to, without making anything.
async fn planned(
    state: &ApiState,
    ctx: &Ctx,
    lang: Lang,
    body: Map<String, Value>,
) -> Result<Response, Fault> {
    let (draft, errors) = body::create(body);
    let planned = state.app.plan_server(ctx, &draft, errors).await?;
    Ok(Json(wire::planned(lang, &planned)).into_response())
}

pub(crate) async fn plan(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    answered(lang, planned(&state, &ctx, lang, body).await)
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    RawQuery(text): RawQuery,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        if query::dry_run(text.as_deref())? {
            return planned(&state, &ctx, lang, body).await;
        }
        let (draft, errors) = body::create(body);
        let accepted = state.app.create_server(&ctx, &draft, errors).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::CreateStarted),
            "task_id": accepted.task,
            "server_id": accepted.server,
        });
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn bulk_create(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (bulk, errors) = body::bulk_create(body);
        let accepted = state
            .app
            .create_servers(&ctx, &bulk.servers, &bulk.network, bulk.policy, errors)
            .await?;
        let servers: Vec<Value> = accepted.children.iter().map(wire::accepted).collect();
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::BulkCreateStarted(servers.len())),
            "task_id": accepted.task,
            "servers": servers,
        });
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn delete_one(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
) -> Response {
    let result = async {
        let accepted = state.app.delete_server(&ctx, id(&text)?).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::DeleteStarted),
            "task_id": accepted.task,
        });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn bulk_delete(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (ids, errors) = body::bulk_delete(body);
        let accepted = state.app.delete_servers(&ctx, &ids, errors).await?;
        let servers: Vec<Value> = accepted.children.iter().map(wire::accepted).collect();
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::BulkDeleteStarted(servers.len())),
            "task_id": accepted.task,
            "servers": servers,
        });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn set_status(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (target, errors) = body::power(body);
        let id = id(&text)?;
        let done = state.app.set_power(&ctx, id, target, errors).await?;
        let (said, task) = match done {
            PowerOutcome::AlreadyThere => (Answer::PowerAlreadyThere, None),
            PowerOutcome::Started(task) => (Answer::PowerStarted, Some(task)),
        };
        let body = json!({ "success": true, "message": answer(lang, said), "task_id": task });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn bulk_power(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (ids, target, errors) = body::bulk_power(body);
        let done = state
            .app
            .set_power_of_all(&ctx, &ids, target, errors)
            .await?;
        let servers: Vec<Value> = done.children.iter().map(wire::accepted).collect();
        let said = Answer::BulkPowerStarted(servers.len(), done.there.len());
        let body = json!({
            "success": true,
            "message": answer(lang, said),
            "task_id": done.task,
            "servers": servers,
            "unchanged": done.there,
        });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn change(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (change, errors) = body::change(body);
        let done = state
            .app
            .change_server(&ctx, id(&text)?, &change, errors)
            .await?;
        Ok(Json(changed(lang, done)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn recreate(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let accepted = state.app.recreate_server(&ctx, id(&text)?).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::RecreateStarted),
            "task_id": accepted.task,
            "server_id": accepted.server,
        });
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn forget(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        state.app.forget_server(&ctx, id(&text)?).await?;
        let body = json!({ "success": true, "message": answer(lang, Answer::Forgotten) });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}
