//! Notifications.

use crate::error::Fault;
use crate::extract::{Asked, Path, Person, Reader};
use crate::router::ApiState;
use crate::routes::{answered, users};
use crate::{body, query, wire};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tpm_domain::{Error, NotificationId, ResourceKind};
use tpm_messages::{Answer, answer};

/// An id that is no number belongs to nothing.
fn id(text: &str) -> Result<NotificationId, Fault> {
    let shown: String = text.chars().take(64).collect();
    let missing = |_| Fault::from(Error::not_found(ResourceKind::Notification, shown));
    text.parse().map(NotificationId).map_err(missing)
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
            .notifications(&ctx, &query::notifications(text.as_deref())?)
            .await?;
        let items: Vec<Value> = page
            .items
            .iter()
            .map(|view| wire::notification_view(lang, view))
            .collect();
        Ok(Json(json!({ "notifications": items, "total": page.total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn latest(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let newest = state.app.latest_notification(&ctx).await?;
        let newest = newest.map(|view| wire::notification_view(lang, &view));
        Ok(Json(json!({ "notification": newest })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn mark(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (read, errors) = body::mark(body);
        let id = id(&text)?;
        state.app.mark_notification(&ctx, id, read, errors).await?;
        Ok(Json(users::done(answer(lang, Answer::Saved))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn read_all(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let count = state.app.read_all_notifications(&ctx).await?;
        let mut body = users::done(answer(lang, Answer::Saved));
        body["count"] = json!(count);
        Ok(Json(body).into_response())
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
        state.app.delete_notification(&ctx, id(&text)?).await?;
        let body = json!({ "success": true, "message": answer(lang, Answer::NotificationDeleted) });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}
