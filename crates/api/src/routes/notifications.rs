//! Notifications.

use crate::error::Fault;
use crate::extract::{Path, Person, Reader};
use crate::router::ApiState;
use crate::routes::answered;
use crate::{query, wire};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tpm_domain::{Error, NotificationId, ResourceKind};
use tpm_messages::{Answer, answer};

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
            .map(|n| wire::notification(lang, n))
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
        let newest = newest.map(|n| wire::notification(lang, &n));
        Ok(Json(json!({ "notification": newest })).into_response())
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
        let shown: String = text.chars().take(64).collect();
        let missing = |_| Fault::from(Error::not_found(ResourceKind::Notification, shown));
        let id = text.parse().map(NotificationId).map_err(missing)?;
        state.app.delete_notification(&ctx, id).await?;
        let body = json!({ "success": true, "message": answer(lang, Answer::NotificationDeleted) });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}
