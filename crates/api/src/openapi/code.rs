//! Servers as code in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::examples;
use super::operation::{Op, id, query_number, server_id};
use serde_json::json;
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

/// The versions of a server's state, the latest first.
#[derive(ToSchema)]
struct StateList {
    /// The server.
    server_id: i64,
    /// The versions.
    versions: Vec<StateVersion>,
    /// How many there are.
    total: u64,
}

/// A version of a state.
#[derive(ToSchema)]
struct StateVersion {
    /// Its number, counted up by Terraform.
    serial: u64,
    /// The task that wrote it; `null` when a person restored it.
    task_id: Option<String>,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
}

/// How a version of a state differs from an earlier one.
#[derive(ToSchema)]
struct StateDiff {
    /// The server.
    server_id: i64,
    /// The earlier version; `null` for the first one, which differs from nothing.
    from: Option<u64>,
    /// The version.
    serial: u64,
    /// What differs; empty when nothing does.
    changes: Vec<StateChangeView>,
}

/// A value that differs.
#[derive(ToSchema)]
struct StateChangeView {
    /// The resource's address.
    #[schema(example = "module.server.proxmox_virtual_environment_vm.this")]
    address: String,
    /// The value's path in the resource, with dots.
    #[schema(example = "memory.0.dedicated")]
    field: String,
    /// What it was; `null` when it was not there, or is secret.
    before: Option<String>,
    /// What it is; `null` when it is not there, or is secret.
    after: Option<String>,
    /// Whether it is marked as sensitive or named like a secret: then it is told to differ, and not how.
    secret: bool,
}

/// A version that is the latest again.
#[derive(ToSchema)]
struct Restored {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The server.
    server_id: i64,
    /// The number of the version that was put on top.
    serial: u64,
}

fn serial() -> Parameter {
    id("serial", "The version's number.", 3)
}

pub(super) fn operations() -> Vec<Op> {
    let zip = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .build();
    let state = ObjectBuilder::new()
        .description(Some("A Terraform state, version 4, as Terraform wrote it."))
        .build();
    vec![
        Op::get(
            "/api/servers/{server_id}/terraform",
            "ejectServer",
            "Take a server away as Terraform code",
        )
        .about(
            "Everything that is needed to go on with the server by Terraform alone: the module, its values, and \
             a block that imports the guest. Of a server of the engine `terraform` the state, too, so that a \
             plan says *No changes*; of any other the guest is looked at, and a plan imports it and changes \
             nothing of it.",
        )
        .takes(server_id())
        .answers_with(
            200,
            "A ZIP archive with one folder of the server's name.",
            [("application/zip", zip.into())],
        )
        .refuses(&["NOT_FOUND", "NOT_RENDERABLE", "PROXMOX_UNREACHABLE"]),
        Op::get(
            "/api/servers/{server_id}/state",
            "listStates",
            "List the versions of a server's Terraform state",
        )
        .takes(server_id())
        .answers::<StateList>(
            200,
            "The versions, the latest first.",
            json!({
                "server_id": 1,
                "versions": [{
                    "serial": 3,
                    "task_id": examples::TASK,
                    "created_at": "2024-01-15T10:30:00Z",
                }],
                "total": 1,
            }),
        )
        .refuses(&["NOT_FOUND"]),
        Op::get(
            "/api/servers/{server_id}/state/{serial}",
            "getState",
            "Get a version of a server's Terraform state",
        )
        .takes(server_id())
        .takes(serial())
        .answers_with(200, "The state.", [("application/json", state.into())])
        .refuses(&["NOT_FOUND"]),
        Op::get(
            "/api/servers/{server_id}/state/{serial}/diff",
            "diffState",
            "How a version of a state differs from an earlier one",
        )
        .about("Value by value, of every resource in it.")
        .takes(server_id())
        .takes(serial())
        .queries([query_number(
            "from",
            "The earlier version's serial; the version before this one when not said.",
            (1, i64::MAX),
            None,
            2,
        )])
        .answers::<StateDiff>(
            200,
            "The differences.",
            json!({
                "server_id": 1,
                "from": 2,
                "serial": 3,
                "changes": [{
                    "address": "module.server.proxmox_virtual_environment_vm.this",
                    "field": "memory.0.dedicated",
                    "before": "2048",
                    "after": "4096",
                    "secret": false,
                }],
            }),
        )
        .refuses(&["NOT_FOUND"]),
        Op::post(
            "/api/servers/{server_id}/state/{serial}/restore",
            "restoreState",
            "Put an older version of a state on top",
        )
        .about("As a version of its own. The guest does not change by it: the next run looks at both.")
        .takes(server_id())
        .takes(serial())
        .keyed()
        .asks_nothing()
        .answers::<Restored>(
            200,
            "Done.",
            json!({
                "success": true,
                "message": answer(Lang::En, Answer::StateRestored),
                "server_id": 1,
                "serial": 4,
            }),
        )
        .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND", "SERVER_BUSY"]),
    ]
}
