//! Secrets: how the store is doing, reading, writing, deleting, names, versions, and a new master key.

use crate::error::Fault;
use crate::extract::{Asked, Path, Person, Reader};
use crate::query::{self, SecretAsked};
use crate::router::ApiState;
use crate::routes::{answered, users};
use crate::{body, time};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tpm_app::{SecretData, StoreStatus, VersionInfo};
use tpm_messages::{Answer, answer};

fn status_json(status: Option<&StoreStatus>) -> Value {
    let Some(status) = status else {
        return json!({
            "status": "not_configured", "store": null, "reachable": false, "initialized": null, "sealed": null,
            "version": null, "auth_method": null, "token_ttl_seconds": null, "mounts": [], "reason": null,
        });
    };
    let mounts: Vec<Value> = status
        .mounts
        .iter()
        .map(|mount| {
            json!({
                "name": mount.name,
                "kv_version": mount.version,
                "healthy": mount.trouble.is_none() && status.is_usable(),
                "reason": mount.trouble,
            })
        })
        .collect();
    json!({
        "status": if status.is_usable() { "running" } else { "down" },
        "store": status.store,
        "reachable": status.reachable,
        "initialized": status.initialized,
        "sealed": status.sealed,
        "version": status.version,
        "auth_method": status.auth_method,
        "token_ttl_seconds": status.token_ttl_secs,
        "mounts": mounts,
        "reason": status.trouble,
    })
}

fn version(info: &VersionInfo) -> Value {
    json!({
        "version": info.version,
        "created_at": time::text(info.created_at),
        "deleted_at": info.deleted_at.map(time::text),
    })
}

pub(crate) async fn status(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let status = state.app.secrets_status(&ctx).await?;
        Ok(Json(status_json(status.as_ref())).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn read(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(path): Path<String>,
    RawQuery(asked): RawQuery,
) -> Response {
    let result = async {
        let body = match query::secret(asked.as_deref())? {
            SecretAsked::Names => {
                let names = state.app.list_secrets(&ctx, &path).await?;
                json!({ "path": path, "keys": names, "total": names.len() })
            }
            SecretAsked::Versions => {
                let all = state.app.secret_versions(&ctx, &path).await?;
                let versions: Vec<Value> = all.iter().map(version).collect();
                json!({ "path": path, "versions": versions, "total": versions.len() })
            }
            SecretAsked::Value(wanted) => {
                let (path, found) = state.app.read_secret(&ctx, &path, wanted).await?;
                json!({
                    "path": path.to_string(),
                    "data": found.data.fields(),
                    "version": found.version,
                    "created_at": found.created_at.map(time::text),
                })
            }
        };
        Ok::<_, Fault>(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn write(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(path): Path<String>,
    RawQuery(asked): RawQuery,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let expected = query::check_and_set(asked.as_deref())?;
        let data = SecretData::new(&body);
        let written = state.app.write_secret(&ctx, &path, &data, expected).await?;
        let mut body = users::done(answer(lang, Answer::Saved));
        body["path"] = json!(path);
        body["version"] = json!(written);
        Ok::<_, Fault>((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn delete_one(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(path): Path<String>,
    RawQuery(asked): RawQuery,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let what = query::deletion(asked.as_deref())?;
        state.app.delete_secret(&ctx, &path, what).await?;
        Ok::<_, Fault>(Json(users::done(answer(lang, Answer::Deleted))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn rotate(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let done = state.app.rotate_secrets(&ctx).await?;
        let mut body = users::done(answer(lang, Answer::SecretsRotated));
        body["key"] = json!(done.key);
        body["resealed"] = json!(done.resealed);
        Ok::<_, Fault>(Json(body).into_response())
    };
    answered(lang, result.await)
}
