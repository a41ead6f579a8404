//! Servers in the document.

mod asked;
mod shown;

pub(super) use asked::Prefix;
pub(super) use shown::{
    BulkAccepted, Done, FailureView, PlannedFieldView, PolicyWord, ServerStatus,
};

use super::examples;
use super::operation::{Op, paging, query_text, query_word, server_id};
use asked::{
    BulkCreate, BulkDelete, BulkPower, ChangeServer, CreateServer, DecideDrift, ImportServer,
    SetStatus,
};
use serde_json::{Value, json};
use shown::{
    Accepted, BulkPowerAccepted, Change, Drift, Import, PlannedServer, Removal, Server, ServerList,
};
use tpm_domain::ServerState;
use tpm_messages::{Answer, Lang, answer};
use utoipa::openapi::path::Parameter;

/// What a new server may lack.
pub(super) const SHORT: &[&str] = &[
    "NAME_TAKEN",
    "ADDRESS_TAKEN",
    "ADDRESSES_EXHAUSTED",
    "VMIDS_EXHAUSTED",
    "NO_CAPACITY",
    "QUOTA_EXCEEDED",
    "CLUSTER_UNSEEN",
    "OVERLOADED",
];

fn said(what: Answer) -> String {
    answer(Lang::En, what)
}

fn change_example(what: Answer) -> Value {
    json!({ "success": true, "message": said(what), "task_id": examples::TASK })
}

fn bulk_example(what: Answer) -> Value {
    json!({
        "success": true,
        "message": said(what),
        "task_id": examples::TASK,
        "servers": [{ "server_id": 1, "task_id": examples::OTHER_TASK }],
    })
}

/// Which servers, and in which order.
pub(super) fn filters() -> Vec<Parameter> {
    let states = ServerState::ALL.map(ServerState::as_str);
    vec![
        query_word("status", "Only servers with this status.", states, None),
        query_text(
            "project",
            "Only servers of the project of this name.",
            "default",
        ),
        query_text("role", "Only servers of this role.", "web"),
        query_text(
            "name",
            "Only servers whose name contains this text, taken literally.",
            "web",
        ),
        query_word(
            "sort",
            "What the servers are sorted by.",
            ["id", "name", "status", "role", "created_at", "updated_at"],
            Some("id"),
        ),
        query_word(
            "order",
            "Upwards or downwards.",
            ["asc", "desc"],
            Some("asc"),
        ),
    ]
}

fn reads() -> Vec<Op> {
    vec![
        Op::get("/api/servers", "listServers", "List servers")
            .queries(filters())
            .queries(paging("servers"))
            .answers::<ServerList>(
                200,
                "A page of servers.",
                json!({ "servers": [examples::server_in_list()], "total": 1 }),
            ),
        Op::get("/api/servers/{server_id}", "getServer", "Get a server")
            .takes(server_id())
            .answers::<Server>(200, "The server.", examples::server())
            .refuses(&["NOT_FOUND"]),
        Op::get(
            "/api/servers/{server_id}/drift",
            "getDrift",
            "How a server and its guest differ",
        )
        .about("As a worker saw it last, every `worker.sweep_ms` (30 s unless set otherwise).")
        .takes(server_id())
        .answers::<Drift>(
            200,
            "The differences; `none` when there are none.",
            json!({
                "server_id": 1,
                "drift": "changed",
                "node": "pve1",
                "changes": [{ "option": "memory", "wanted": "4096", "found": "2048" }],
                "ignored": [],
                "problem": null,
            }),
        )
        .refuses(&["NOT_FOUND"]),
    ]
}

fn creates() -> Vec<Op> {
    let dry_run = query_word(
        "dry_run",
        "`true` answers 200 with what the create would come to, and makes nothing.",
        ["false", "true"],
        Some("false"),
    );
    vec![
        Op::post("/api/servers/create", "createServer", "Create a server")
            .about(
                "The server's row, addresses and VMID are reserved, and a task makes the guest. Follow the \
                 task until it has ended.",
            )
            .queries([dry_run])
            .keyed()
            .asks::<CreateServer>(examples::create_server())
            .answers::<Accepted>(
                201,
                "Accepted.",
                json!({
                    "success": true,
                    "message": said(Answer::CreateStarted),
                    "task_id": examples::TASK,
                    "server_id": 1,
                }),
            )
            .answers::<PlannedServer>(
                200,
                "With `dry_run=true`: what the create would come to.",
                examples::planned_server(),
            )
            .refuses(SHORT),
        Op::post(
            "/api/servers/plan",
            "planServer",
            "What a create would come to",
        )
        .about("The same as creating with `dry_run=true`: nothing is made or reserved.")
        .asks::<CreateServer>(examples::create_server())
        .answers::<PlannedServer>(200, "What it would come to.", examples::planned_server())
        .refuses(&["INVALID_IDEMPOTENCY_KEY"])
        .refuses(SHORT),
        Op::post(
            "/api/servers/bulk-create",
            "createServers",
            "Create several servers",
        )
        .about("All are accepted, or none.")
        .keyed()
        .asks::<BulkCreate>(examples::bulk_create())
        .answers::<BulkAccepted>(
            201,
            "Accepted.",
            bulk_example(Answer::BulkCreateStarted(1)),
        )
        .refuses(SHORT),
        Op::post(
            "/api/servers/import",
            "importServer",
            "Take over a guest that others made",
        )
        .about("The guest is not changed by it.")
        .keyed()
        .asks::<ImportServer>(json!({ "vmid": 105, "name": "legacy-db", "role": "db" }))
        .answers::<Import>(201, "Accepted.", change_example(Answer::ImportStarted))
        .refuses(&["GUEST_KNOWN", "NAME_TAKEN", "OVERLOADED"]),
        Op::post(
            "/api/servers/{server_id}/recreate",
            "recreateServer",
            "Make a server again whose guest is gone",
        )
        .about(
            "With the same name, size and addresses and another VMID; only while its status is `missing` or \
             `identity_conflict`.",
        )
        .takes(server_id())
        .keyed()
        .asks_nothing()
        .answers::<Accepted>(
            201,
            "Accepted.",
            json!({
                "success": true,
                "message": said(Answer::RecreateStarted),
                "task_id": examples::TASK,
                "server_id": 1,
            }),
        )
        .refuses(&["NOT_FOUND", "SERVER_BUSY", "WRONG_STATE"])
        .refuses(SHORT),
    ]
}

fn changes() -> Vec<Op> {
    let at_work: &[&str] = &["NOT_FOUND", "SERVER_BUSY"];
    vec![
        Op::patch(
            "/api/servers/{server_id}",
            "changeServer",
            "Change a server's size, tags, project or end",
        )
        .takes(server_id())
        .keyed()
        .asks::<ChangeServer>(json!({ "cpu": 4, "memory": 8192 }))
        .answers::<Change>(200, "Accepted, or done.", change_example(Answer::ChangeStarted))
        .refuses(at_work)
        .refuses(&["WRONG_STATE", "NO_CAPACITY", "QUOTA_EXCEEDED", "OVERLOADED"]),
        Op::put(
            "/api/servers/{server_id}/status",
            "setServerStatus",
            "Start, stop or restart a server",
        )
        .about("Asked for again while the same is under way, it answers with the task at work.")
        .takes(server_id())
        .keyed()
        .asks::<SetStatus>(json!({ "status": "stopped" }))
        .answers::<Change>(
            200,
            "Accepted; `task_id` is `null` when it is so already.",
            change_example(Answer::PowerStarted),
        )
        .refuses(at_work)
        .refuses(&["WRONG_STATE"]),
        Op::post(
            "/api/servers/bulk-power",
            "setServersStatus",
            "Start, stop or restart several servers",
        )
        .about("All are accepted, or none. Those that are so already are left alone.")
        .keyed()
        .asks::<BulkPower>(json!({ "server_ids": [1, 2], "status": "stopped" }))
        .answers::<BulkPowerAccepted>(
            200,
            "Accepted.",
            json!({
                "success": true,
                "message": said(Answer::BulkPowerStarted(1, 1)),
                "task_id": examples::TASK,
                "servers": [{ "server_id": 1, "task_id": examples::OTHER_TASK }],
                "unchanged": [2],
            }),
        )
        .refuses(at_work)
        .refuses(&["WRONG_STATE"]),
        Op::post(
            "/api/servers/{server_id}/drift",
            "decideDrift",
            "Decide what becomes of changes made by hand",
        )
        .about(
            "With one option that is reverted, every other one that differs has to be decided about too: the \
             guest is put back as a whole.",
        )
        .takes(server_id())
        .keyed()
        .asks::<DecideDrift>(json!({ "fields": { "memory": "adopt" } }))
        .answers::<Change>(200, "Decided.", json!({
            "success": true,
            "message": said(Answer::Saved),
            "task_id": null,
        }))
        .refuses(at_work)
        .refuses(&["WRONG_STATE", "NO_CAPACITY", "QUOTA_EXCEEDED", "OVERLOADED"]),
    ]
}

fn removals() -> Vec<Op> {
    vec![
        Op::delete("/api/servers/{server_id}", "deleteServer", "Delete a server")
            .about(
                "Its guest and disks are destroyed. Asked for again while it is being deleted, it answers with \
                 the task at work.",
            )
            .takes(server_id())
            .answers::<Removal>(200, "Accepted.", change_example(Answer::DeleteStarted))
            .refuses(&["NOT_FOUND", "SERVER_BUSY"]),
        Op::post(
            "/api/servers/bulk-delete",
            "deleteServers",
            "Delete several servers",
        )
        .about("All are accepted, or none.")
        .keyed()
        .asks::<BulkDelete>(json!({ "server_ids": [1, 2, 3] }))
        .answers::<BulkAccepted>(200, "Accepted.", bulk_example(Answer::BulkDeleteStarted(1)))
        .refuses(&["NOT_FOUND", "SERVER_BUSY"]),
        Op::post(
            "/api/servers/{server_id}/forget",
            "forgetServer",
            "Take a server off the list whose guest is gone",
        )
        .about("Nothing is done on the cluster; only while its status is `missing` or `identity_conflict`.")
        .takes(server_id())
        .asks_nothing()
        .answers::<Done>(
            200,
            "Done.",
            json!({ "success": true, "message": said(Answer::Forgotten) }),
        )
        .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND", "SERVER_BUSY", "WRONG_STATE", "OVERLOADED"]),
    ]
}

pub(super) fn operations() -> Vec<Op> {
    let mut all = reads();
    all.extend(creates());
    all.extend(changes());
    all.extend(removals());
    all
}
