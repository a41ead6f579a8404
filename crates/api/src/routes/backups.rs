//! Backups of servers.

use crate::extract::{Asked, Path, Person, Reader};
use crate::router::ApiState;
use crate::routes::answered;
use crate::{body, query, time};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tpm_app::{BackupAccepted, BackupDeletion};
use tpm_domain::{Backup, BackupMode, BackupToken, Compression, Drill, DrillToken, SizeText};
use tpm_messages::{Answer, Lang, answer, failure};

/// A name that is far too long belongs to no backup.
fn token(text: String) -> BackupToken {
    BackupToken(text.chars().take(64).collect())
}

fn backup(lang: Lang, backup: &Backup) -> Value {
    let verified = backup.verified.as_ref();
    json!({
        "id": backup.id,
        "server_id": backup.server,
        "server_name": backup.server_name,
        "backup_id": backup.token,
        "status": backup.state.as_str(),
        "backup_type": "full",
        "origin": backup.origin.as_str(),
        "size": backup.size_bytes.map(|bytes| SizeText(bytes).to_string()),
        "size_bytes": backup.size_bytes,
        "vmid": backup.vmid,
        "node": backup.node,
        "storage": backup.storage,
        "volume": backup.volume,
        "mode": backup.mode.map(BackupMode::as_str),
        "compress": backup.compression.map(Compression::as_str),
        "notes": backup.notes,
        "protected": backup.protected,
        "schedule_id": backup.schedule,
        "condemned": backup.condemned_by.is_some(),
        "warnings": backup.warnings,
        "error": backup.failure.as_ref().map(|why| failure(lang, why)),
        "verified_at": verified.map(|proof| time::text(proof.at)),
        "verified_by": verified.map(|proof| &proof.how),
        "created_at": time::text(backup.created_at),
        "finished_at": backup.finished_at.map(time::text),
    })
}

fn drill(lang: Lang, drill: &Drill) -> Value {
    json!({
        "id": drill.id,
        "drill_id": drill.token,
        "backup_id": drill.backup_token,
        "server_id": drill.server,
        "server_name": drill.server_name,
        "status": drill.state.as_str(),
        "goal": drill.spec.goal.as_str(),
        "command": drill.spec.command,
        "schedule_id": drill.schedule,
        "task_id": drill.task,
        "error": drill.failure.as_ref().map(|why| failure(lang, why)),
        "digest": drill.digest,
        "created_at": time::text(drill.created_at),
        "decided_at": drill.decided_at.map(time::text),
        "cleared_at": drill.cleared_at.map(time::text),
        "evidence": null,
        "evidence_text": null,
    })
}

fn accepted(lang: Lang, done: &BackupAccepted, said: Answer) -> Value {
    json!({
        "success": true,
        "message": answer(lang, said),
        "task_id": done.task,
        "backup_id": done.backup,
        "server_id": done.server,
        "safety_backup_id": done.safety,
    })
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let query = query::backups(text.as_deref())?;
        let page = state.app.backups(&ctx, &query).await?;
        let all: Vec<Value> = page.items.iter().map(|one| backup(lang, one)).collect();
        Ok(Json(json!({ "backups": all, "total": page.total })).into_response())
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
        let found = state.app.backup(&ctx, &token(text)).await?;
        Ok(Json(backup(lang, &found)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, asked): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = body::backups::create(asked);
        let done = state.app.create_backup(&ctx, &draft, errors).await?;
        let body = accepted(lang, &done, Answer::BackupStarted);
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn restore(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, asked): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = body::backups::restore(asked);
        let done = state
            .app
            .restore_backup(&ctx, &token(text), &draft, errors)
            .await?;
        let body = accepted(lang, &done, Answer::RestoreStarted);
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn start_drill(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, asked): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = body::backups::asked_drill(asked);
        let done = state
            .app
            .drill_backup(&ctx, &token(text), &draft, errors)
            .await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::DrillStarted),
            "task_id": done.task,
            "drill_id": done.drill,
            "backup_id": done.backup,
            "server_id": done.server,
        });
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn drills(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let query = query::drills(text.as_deref())?;
        let page = state.app.drills(&ctx, &query).await?;
        let all: Vec<Value> = page.items.iter().map(|one| drill(lang, one)).collect();
        Ok(Json(json!({ "drills": all, "total": page.total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn one_drill(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
) -> Response {
    let result = async {
        let name = DrillToken(text.chars().take(64).collect());
        let found = state.app.drill(&ctx, &name).await?;
        let text = found.evidence.as_deref();
        let evidence: Option<Value> = text.and_then(|text| serde_json::from_str(text).ok());
        let mut body = drill(lang, &found);
        body["evidence"] = json!(evidence);
        body["evidence_text"] = json!(text);
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn delete_one(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let result = async {
        let confirm = query::confirm(query.as_deref())?;
        let done = state
            .app
            .delete_backup(&ctx, &token(text), confirm.as_deref())
            .await?;
        let (said, task, backup) = match done {
            BackupDeletion::Started(done) => {
                (Answer::BackupDeleteStarted, Some(done.task), done.backup)
            }
            BackupDeletion::Gone(backup) => (Answer::Deleted, None, backup),
        };
        let body = json!({
            "success": true,
            "message": answer(lang, said),
            "task_id": task,
            "backup_id": backup,
        });
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}
