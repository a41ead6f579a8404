//! Projects.

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
use tpm_domain::{Error, ProjectId, ResourceKind};
use tpm_messages::{Answer, answer};

/// An id that is no number belongs to no project.
fn id(text: &str) -> Result<ProjectId, Fault> {
    let shown: String = text.chars().take(64).collect();
    let missing = || Fault::from(Error::not_found(ResourceKind::Project, shown));
    text.parse().map(ProjectId).map_err(|_| missing())
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let found = state.app.projects(&ctx).await?;
        let projects: Vec<Value> = found.iter().map(wire::project).collect();
        let total = projects.len();
        Ok(Json(json!({ "projects": projects, "total": total })).into_response())
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
        let project = state.app.project(&ctx, id(&text)?).await?;
        Ok(Json(wire::project(&project)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (change, errors) = body::project(body);
        let id = state.app.create_project(&ctx, &change, errors).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::LabelCreated),
            "project_id": id,
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
        let (change, errors) = body::project(body);
        let project = state
            .app
            .change_project(&ctx, id(&text)?, &change, errors)
            .await?;
        Ok(Json(wire::project(&project)).into_response())
    };
    answered(lang, result.await)
}
