//! People and roles.

use crate::error::Fault;
use crate::extract::{Asked, Person, Reader};
use crate::router::ApiState;
use crate::routes::answered;
use crate::{body, wire};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tpm_domain::{Error, ResourceKind, UserId};
use tpm_messages::{Answer, answer};

/// An id that is no number belongs to nobody.
fn id(text: &str) -> Result<UserId, Fault> {
    let shown: String = text.chars().take(64).collect();
    let missing = || Fault::from(Error::not_found(ResourceKind::User, shown));
    text.parse().map(UserId).map_err(|_| missing())
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let found = state.app.users(&ctx).await?;
        let users: Vec<Value> = found.iter().map(wire::user).collect();
        let total = users.len();
        Ok(Json(json!({ "users": users, "total": total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = body::user(body);
        let id = state.app.create_user(&ctx, &draft, errors).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::LabelCreated),
            "user_id": id,
        });
        Ok((StatusCode::CREATED, Json(body)).into_response())
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
        let (draft, errors) = body::user_change(body);
        state
            .app
            .change_user(&ctx, id(&text)?, &draft, errors)
            .await?;
        Ok(Json(done(answer(lang, Answer::Saved))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn delete_one(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        state.app.delete_user(&ctx, id(&text)?).await?;
        Ok(Json(done(answer(lang, Answer::Deleted))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn roles(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let found = state.app.roles(&ctx).await?;
        let roles: Vec<Value> = found.iter().map(wire::role).collect();
        let total = roles.len();
        Ok(Json(json!({ "roles": roles, "total": total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn create_role(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (name, words, errors) = body::role(body, true);
        let name = name.unwrap_or_default();
        let role = state
            .app
            .save_role(&ctx, &name, words.as_deref(), true, errors)
            .await?;
        Ok((StatusCode::CREATED, Json(wire::role(&role))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn change_role(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(name): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (_, words, errors) = body::role(body, false);
        let name: String = name.chars().take(64).collect();
        let role = state
            .app
            .save_role(&ctx, &name, words.as_deref(), false, errors)
            .await?;
        Ok(Json(wire::role(&role)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn delete_role(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(name): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let name: String = name.chars().take(64).collect();
        state.app.delete_role(&ctx, &name).await?;
        Ok(Json(done(answer(lang, Answer::Deleted))).into_response())
    };
    answered(lang, result.await)
}

pub(super) fn done(message: String) -> Value {
    json!({ "success": true, "message": message })
}
