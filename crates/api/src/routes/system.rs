//! How the service is doing.

use crate::extract::{Person, Reader};
use crate::router::ApiState;
use crate::routes::answered;
use crate::wire;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

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
