//! The cluster's nodes and how much room there is on them.

use crate::extract::{Person, Reader};
use crate::router::ApiState;
use crate::routes::answered;
use crate::wire;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let view = state.app.cluster(&ctx).await?;
        Ok(Json(wire::cluster(&view)).into_response())
    };
    answered(lang, result.await)
}
