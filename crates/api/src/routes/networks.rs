//! Networks whose addresses are handed out.

use crate::error::Fault;
use crate::extract::{Asked, Path, Person, Reader};
use crate::router::ApiState;
use crate::routes::answered;
use crate::{body, wire};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tpm_domain::{Error, NetworkId, ResourceKind};
use tpm_messages::{Answer, answer};

/// An id that is no number belongs to no network.
fn id(text: &str) -> Result<NetworkId, Fault> {
    let shown: String = text.chars().take(64).collect();
    let missing = || Fault::from(Error::not_found(ResourceKind::Network, shown));
    text.parse().map(NetworkId).map_err(|_| missing())
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let found = state.app.networks(&ctx).await?;
        let networks: Vec<Value> = found.iter().map(wire::network).collect();
        let total = networks.len();
        Ok(Json(json!({ "networks": networks, "total": total })).into_response())
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
        let network = state.app.network(&ctx, id(&text)?).await?;
        Ok(Json(wire::network_view(&network)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (change, errors) = body::address_network(body);
        let id = state.app.create_network(&ctx, &change, errors).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::LabelCreated),
            "network_id": id,
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
        let (change, errors) = body::address_network(body);
        let id = id(&text)?;
        let network = state.app.change_network(&ctx, id, &change, errors).await?;
        Ok(Json(wire::network_view(&network)).into_response())
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
        state.app.delete_network(&ctx, id(&text)?).await?;
        let body = json!({ "success": true, "message": answer(lang, Answer::NetworkDeleted) });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}
