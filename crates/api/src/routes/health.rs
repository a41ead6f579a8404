//! For load balancers and supervisors.

use crate::router::ApiState;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The process answers.
pub(crate) async fn alive() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// The process can do its work: its database answers, and it was not asked to stop.
pub(crate) async fn ready(State(state): State<ApiState>) -> Response {
    if !state.settings.leaving.has_begun() && state.app.ready().await {
        Json(json!({ "status": "ready" })).into_response()
    } else {
        let body = Json(json!({ "status": "not_ready" }));
        (
            StatusCode::SERVICE_UNAVAILABLE,
            [("retry-after", "2")],
            body,
        )
            .into_response()
    }
}
