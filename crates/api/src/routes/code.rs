//! Servers as code: what to take away, states, plans, and what runs printed.

use crate::error::Fault;
use crate::extract::{Asked, Path, Person, Reader};
use crate::router::ApiState;
use crate::routes::{answered, servers, tasks};
use crate::{body, query, time, wire};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use tpm_app::{AppError, CodeFile};
use tpm_domain::{Error, ResourceKind};
use tpm_messages::{Answer, answer};
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;

/// A serial that is no number is the serial of no version.
fn serial(text: &str) -> Result<u64, Fault> {
    let shown: String = text.chars().take(64).collect();
    let missing = || Fault::from(Error::not_found(ResourceKind::State, shown));
    text.parse().map_err(|_| missing())
}

/// The files in one folder of the server's name.
fn archive(name: &str, files: &[CodeFile]) -> ZipResult<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        // The state is for its owner's eyes.
        let options = SimpleFileOptions::default().unix_permissions(0o600);
        archive.start_file(format!("{name}/{}", file.path), options)?;
        archive.write_all(&file.content)?;
    }
    Ok(archive.finish()?.into_inner())
}

pub(crate) async fn eject(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
) -> Response {
    let result = async {
        let id = servers::id(&text)?;
        let (name, files) = state.app.eject_server(&ctx, id).await?;
        let bytes = archive(&name, &files).map_err(|error| AppError::Fault(error.into()))?;
        let headers = [
            (header::CONTENT_TYPE, "application/zip".to_owned()),
            (
                header::CONTENT_DISPOSITION,
                // The name is a DNS label.
                format!("attachment; filename=\"{name}.zip\""),
            ),
        ];
        Ok((headers, bytes).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn states(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
) -> Response {
    let result = async {
        let id = servers::id(&text)?;
        let versions = state.app.server_states(&ctx, id).await?;
        let shown: Vec<Value> = versions
            .iter()
            .map(|version| {
                json!({
                    "serial": version.serial,
                    "task_id": version.task,
                    "created_at": time::text(version.at),
                })
            })
            .collect();
        let total = shown.len();
        Ok(Json(json!({ "server_id": id, "versions": shown, "total": total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn state(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path((server, version)): Path<(String, String)>,
) -> Response {
    let result = async {
        let (id, serial) = (servers::id(&server)?, serial(&version)?);
        let text = state.app.server_state(&ctx, id, serial).await?;
        Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn differences(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path((server, version)): Path<(String, String)>,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let (id, serial) = (servers::id(&server)?, serial(&version)?);
        let from = query::earlier(text.as_deref())?;
        let found = state.app.state_differences(&ctx, id, from, serial).await?;
        let (from, changes) = found;
        let changes: Vec<Value> = changes
            .iter()
            .map(|change| {
                json!({
                    "address": change.address,
                    "field": change.field,
                    "before": change.before,
                    "after": change.after,
                    "secret": change.secret,
                })
            })
            .collect();
        let body = json!({ "server_id": id, "from": from, "serial": serial, "changes": changes });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn restore(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path((server, version)): Path<(String, String)>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (id, serial) = (servers::id(&server)?, serial(&version)?);
        body::nothing(body)?;
        let now = state.app.restore_state(&ctx, id, serial).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::StateRestored),
            "server_id": id,
            "serial": now,
        });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn plan(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
) -> Response {
    let result = async {
        let token = tasks::token(&text);
        let plan = state.app.task_plan(&ctx, &token).await?;
        Ok(Json(wire::plan(lang, &token, &plan)).into_response())
    };
    answered(lang, result.await)
}
