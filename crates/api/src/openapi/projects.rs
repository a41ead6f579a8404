//! Projects in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::{Op, id};
use serde_json::{Value, json};
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;

/// A project.
#[derive(ToSchema)]
struct Project {
    /// Its number.
    id: i64,
    /// Its name, unique among projects.
    #[schema(example = "shop")]
    name: String,
    /// What it is about.
    description: String,
    /// What it may have.
    quota: Quota,
    /// What it has, servers that are not built yet included.
    usage: Usage,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    updated_at: String,
}

/// What a project may have; `null` is no bound.
#[derive(ToSchema)]
struct Quota {
    /// Servers.
    servers: Option<u64>,
    /// CPU cores.
    cpu: Option<u64>,
    /// Memory in MiB.
    memory: Option<u64>,
    /// Disks in GiB.
    disk_size: Option<u64>,
}

/// What a project has.
#[derive(ToSchema)]
struct Usage {
    /// Servers.
    servers: u64,
    /// CPU cores.
    cpu: u64,
    /// Memory in MiB.
    memory: u64,
    /// Disks in GiB.
    disk_size: u64,
}

/// All projects, by name.
#[derive(ToSchema)]
struct ProjectList {
    /// The projects.
    projects: Vec<Project>,
    /// How many there are.
    total: u64,
}

/// A project to be made.
#[derive(ToSchema)]
struct CreateProject {
    /// Its name: a DNS label in lower case that begins with a letter.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "shop"
    )]
    name: String,
    /// What it is about: at most 500 characters; empty when not said.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// What it may have; everything when not said.
    quota: Option<QuotaWish>,
}

/// What is to be changed of a project; what is not said, or `null`, stays as it is.
#[derive(ToSchema)]
struct ChangeProject {
    /// Its name: a DNS label in lower case that begins with a letter.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "shop"
    )]
    name: Option<String>,
    /// What it is about: at most 500 characters.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// What it may have.
    quota: Option<QuotaWish>,
}

/// Bounds of a quota; what is not said stays as it is, `null` is no bound.
#[derive(ToSchema)]
struct QuotaWish {
    /// Servers.
    #[schema(minimum = 0, maximum = 1_099_511_627_776_u64)]
    servers: Option<u64>,
    /// CPU cores.
    #[schema(minimum = 0, maximum = 1_099_511_627_776_u64)]
    cpu: Option<u64>,
    /// Memory in MiB.
    #[schema(minimum = 0, maximum = 1_099_511_627_776_u64)]
    memory: Option<u64>,
    /// Disks in GiB.
    #[schema(minimum = 0, maximum = 1_099_511_627_776_u64)]
    disk_size: Option<u64>,
}

/// A project that was made.
#[derive(ToSchema)]
struct ProjectCreated {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Its number.
    project_id: i64,
}

fn project_id() -> Parameter {
    id("project_id", "The project's number.", 1)
}

fn example() -> Value {
    json!({
        "id": 2,
        "name": "shop",
        "description": "the shop and its database",
        "quota": { "servers": 20, "cpu": 80, "memory": 163_840, "disk_size": null },
        "usage": { "servers": 3, "cpu": 8, "memory": 16_384, "disk_size": 200 },
        "created_at": "2024-01-15T10:30:00Z",
        "updated_at": "2024-01-15T10:30:00Z",
    })
}

pub(super) fn operations() -> Vec<Op> {
    vec![
        Op::get("/api/projects", "listProjects", "List projects").answers::<ProjectList>(
            200,
            "All projects, by name.",
            json!({ "projects": [example()], "total": 1 }),
        ),
        Op::post("/api/projects", "createProject", "Create a project")
            .keyed()
            .asks::<CreateProject>(json!({
                "name": "shop",
                "description": "the shop and its database",
                "quota": { "servers": 20, "cpu": 80, "memory": 163_840 },
            }))
            .answers::<ProjectCreated>(
                201,
                "Made.",
                json!({
                    "success": true,
                    "message": answer(Lang::En, Answer::LabelCreated),
                    "project_id": 2,
                }),
            )
            .refuses(&["NAME_TAKEN"]),
        Op::get("/api/projects/{project_id}", "getProject", "Get a project")
            .takes(project_id())
            .answers::<Project>(200, "The project.", example())
            .refuses(&["NOT_FOUND"]),
        Op::patch(
            "/api/projects/{project_id}",
            "changeProject",
            "Change a project's name, description or quota",
        )
        .takes(project_id())
        .asks_maybe::<ChangeProject>(json!({ "quota": { "servers": 20, "disk_size": null } }))
        .answers::<Project>(200, "The project as it is now.", example())
        .refuses(&[
            "INVALID_IDEMPOTENCY_KEY",
            "NOT_FOUND",
            "NAME_TAKEN",
            "QUOTA_BELOW_USE",
        ]),
    ]
}
