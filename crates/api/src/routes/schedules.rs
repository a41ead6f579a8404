//! Schedules of backups.

use crate::error::Fault;
use crate::extract::{Asked, Path, Person, Reader};
use crate::router::ApiState;
use crate::routes::{answered, users};
use crate::{body, query, time};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tpm_app::{RetentionDraft, ScheduleView};
use tpm_domain::{
    Backup, DrillGoal, DrillWish, Error, PruneMark, ResourceKind, Retention, RunItemState,
    ScheduleId, ScheduleRun, ServerSelector, Timestamp,
};
use tpm_messages::{Answer, answer};

/// An id that is no number belongs to no schedule.
fn id(text: &str) -> Result<ScheduleId, Fault> {
    let shown: String = text.chars().take(64).collect();
    let missing = |_| Fault::from(Error::not_found(ResourceKind::Schedule, shown));
    text.parse().map(ScheduleId).map_err(missing)
}

fn target(selector: &ServerSelector) -> Value {
    match selector {
        ServerSelector::All => json!({ "all": true }),
        ServerSelector::Servers(ids) => json!({ "server_ids": ids }),
        ServerSelector::Role(role) => json!({ "role": role }),
        ServerSelector::Tag(tag) => json!({ "tag": tag }),
    }
}

/// What is tried, as it is asked for.
fn drill(wish: &DrillWish) -> Value {
    json!({ "goal": wish.goal.map(DrillGoal::as_str), "command": wish.command })
}

/// What is kept, as it is asked for.
pub(crate) fn retention(kept: &Retention) -> Value {
    let counts = [
        kept.last,
        kept.hourly,
        kept.daily,
        kept.weekly,
        kept.monthly,
        kept.yearly,
    ];
    let fields = RetentionDraft::FIELDS.iter().zip(counts);
    let fields = fields.map(|(field, count)| ((*field).to_owned(), json!(count)));
    Value::Object(fields.collect())
}

fn run(run: &ScheduleRun) -> Value {
    let mut servers = Map::new();
    for state in RunItemState::ALL {
        let n = run.tally.get(state).copied().unwrap_or(0);
        servers.insert(state.as_str().to_owned(), json!(n));
    }
    json!({
        "id": run.id,
        "status": run.state.as_str(),
        "due_at": time::text(run.due_at),
        "started_at": time::text(run.fired_at),
        "ended_at": run.ended_at.map(time::text),
        "passed_over": run.passed_over,
        "asked_for": run.asked_by.is_some(),
        "servers": servers,
    })
}

fn upcoming(times: &[Timestamp]) -> Vec<String> {
    times.iter().map(|at| time::text(*at)).collect()
}

fn schedule(view: &ScheduleView) -> Value {
    let (schedule, spec) = (&view.schedule, &view.schedule.spec);
    json!({
        "id": schedule.id,
        "name": spec.name,
        "project_id": spec.project,
        "enabled": spec.enabled,
        "calendar": spec.calendar,
        "time_zone": spec.time_zone,
        "target": target(&spec.selector),
        "drill": spec.drill.as_ref().map(drill),
        "mode": spec.mode.as_str(),
        "storage": spec.storage,
        "compress": spec.compression.as_str(),
        "notes": spec.notes,
        "jitter_seconds": spec.jitter_secs,
        "window_minutes": spec.window_minutes,
        "retention": retention(&spec.retention),
        "max_age_hours": spec.max_age_hours,
        "verified_within_days": spec.verified_within_days,
        "max_per_node": spec.per_node,
        "max_per_storage": spec.per_storage,
        "next_runs": upcoming(&view.next_runs),
        "last_run": view.last_run.as_ref().map(run),
        "created_at": time::text(schedule.created_at),
        "updated_at": time::text(schedule.updated_at),
    })
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let found = state.app.schedules(&ctx).await?;
        let all: Vec<Value> = found.iter().map(schedule).collect();
        let total = all.len();
        Ok(Json(json!({ "schedules": all, "total": total })).into_response())
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
        let found = state.app.schedule(&ctx, id(&text)?).await?;
        Ok(Json(schedule(&found)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, asked): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = body::schedules::schedule(asked);
        let made = state.app.create_schedule(&ctx, &draft, errors).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::ScheduleCreated),
            "schedule_id": made.schedule.id,
            "next_runs": upcoming(&made.next_runs),
        });
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn change(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, asked): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = body::schedules::schedule(asked);
        let id = id(&text)?;
        state.app.change_schedule(&ctx, id, &draft, errors).await?;
        Ok(Json(users::done(answer(lang, Answer::Saved))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn delete_one(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, asked): Asked,
) -> Response {
    let result = async {
        body::nothing(asked)?;
        state.app.delete_schedule(&ctx, id(&text)?).await?;
        Ok(Json(users::done(answer(lang, Answer::Deleted))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn run_now(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, asked): Asked,
) -> Response {
    let result = async {
        body::nothing(asked)?;
        let begun = state.app.run_schedule(&ctx, id(&text)?).await?;
        let mut body = users::done(answer(lang, Answer::RunStarted(begun.servers)));
        body["run_id"] = json!(begun.run);
        body["servers"] = json!(begun.servers);
        Ok((StatusCode::ACCEPTED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

/// What becomes of a backup, and by which rule.
fn marked(backup: &Backup, mark: PruneMark) -> Value {
    let (mark, rule) = match mark {
        PruneMark::Keep(rule) => ("keep", Some(rule.as_str())),
        PruneMark::Remove => ("remove", None),
    };
    json!({
        "backup_id": backup.token,
        "server_id": backup.server,
        "server_name": backup.server_name,
        "storage": backup.storage,
        "created_at": time::text(backup.created_at),
        "mark": mark,
        "rule": rule,
    })
}

pub(crate) async fn prune(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    RawQuery(text): RawQuery,
    Asked(ctx, asked): Asked,
) -> Response {
    let result = async {
        let dry_run = query::dry_run(text.as_deref())?;
        let (draft, errors) = body::schedules::prune(asked);
        let all = state
            .app
            .prune_backups(&ctx, &draft, dry_run, errors)
            .await?;
        let going = all.iter().filter(|(_, mark)| *mark == PruneMark::Remove);
        let going = going.count();
        let said = match dry_run {
            true => Answer::WouldPrune(going),
            false => Answer::Pruning(going),
        };
        let backups: Vec<Value> = all.iter().map(|(one, mark)| marked(one, *mark)).collect();
        let mut body = users::done(answer(lang, said));
        body["dry_run"] = json!(dry_run);
        body["remove"] = json!(going);
        body["keep"] = json!(backups.len() - going);
        body["backups"] = json!(backups);
        Ok(Json(body).into_response())
    };
    answered(lang, result.await)
}
