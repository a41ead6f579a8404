//! The audit in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::{Op, paging, query_number, query_text, query_word};
use super::words::words;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

words!(
    AuditResult,
    "How it came out.",
    ["done", "refused"],
    |word| word
);

/// One thing that somebody did, or was not let do.
#[derive(ToSchema)]
struct AuditRow {
    /// Its place, from 1, without gaps.
    seq: i64,
    /// RFC 3339, UTC, to the millisecond.
    #[schema(format = "date-time")]
    at: String,
    /// Who; `null` when nobody is known by that name.
    actor_id: Option<i64>,
    /// The name, as it was then.
    actor: String,
    /// By what the person was known.
    #[schema(example = "key 7")]
    via: String,
    /// From which address.
    address: String,
    /// What was asked for: method and path.
    #[schema(example = "POST /api/servers/create")]
    action: String,
    /// What it was done to; `null` when to nothing in particular.
    target: Option<AuditTarget>,
    /// The number of the project that belongs to.
    project_id: Option<i64>,
    /// How it came out.
    result: AuditResult,
    /// Why it was refused: an error's code.
    code: Option<String>,
    /// The request's id, as in the log and in `X-Request-Id`.
    request_id: String,
}

/// The thing that something was done to.
#[derive(ToSchema)]
struct AuditTarget {
    /// Its kind.
    #[schema(example = "server")]
    kind: String,
    /// Which one.
    #[schema(example = "1")]
    id: String,
}

/// A page of the audit, the newest first.
#[derive(ToSchema)]
struct AuditPage {
    /// The rows.
    audit: Vec<AuditRow>,
    /// How many there are in all.
    total: u64,
}

/// Whether the audit is whole.
#[derive(ToSchema)]
struct AuditVerified {
    /// Whether no row was changed, moved, added or taken away since it was written.
    valid: bool,
    /// How many rows were read.
    rows: u64,
    /// The place of the first row that is not as it was written.
    broken_at: Option<i64>,
}

fn example() -> Value {
    json!({
        "seq": 12,
        "at": "2024-01-15T10:30:00.120Z",
        "actor_id": 1,
        "actor": "admin",
        "via": "session",
        "address": "192.0.2.7",
        "action": "POST /api/servers/create",
        "target": { "kind": "server", "id": "1" },
        "project_id": 1,
        "result": "done",
        "code": null,
        "request_id": "0b57f2a6-9a3f-4a0e-9f5e-7c1d8a9b3e44",
    })
}

pub(super) fn operations() -> Vec<Op> {
    let text = || Schema::from(ObjectBuilder::new().schema_type(Type::String));
    vec![
        Op::get("/api/audit", "listAudit", "List who did what")
            .about(
                "Every request that changes something, also a refused one, and every denial. `format=jsonl` \
                 answers all rows that fit, whatever `limit` says, one JSON object a line.",
            )
            .queries([
                query_number("actor_id", "Of this person.", (i64::MIN, i64::MAX), None, 1),
                query_text("action", "With this text in the method and path.", "POST /api/servers/create"),
                query_text("target_kind", "Done to a thing of this kind.", "server"),
                query_text("target", "Done to this thing.", "1"),
                query_word("result", "How it came out.", ["done", "refused"], None),
                query_text("from", "At this moment (RFC 3339) or later.", "2024-01-15T00:00:00Z"),
                query_text("to", "Before this moment (RFC 3339).", "2024-01-16T00:00:00Z"),
                query_word("format", "As a page, or as lines.", ["json", "jsonl"], Some("json")),
            ])
            .queries(paging("rows"))
            .answers::<AuditPage>(
                200,
                "A page of rows, the newest first.",
                json!({ "audit": [example()], "total": 1 }),
            )
            .also_as(200, "application/x-ndjson", text()),
        Op::get("/api/audit/verify", "verifyAudit", "Check that the audit is whole")
            .about("Reads every row: each is bound to the one before it with a key that is not in the database.")
            .answers::<AuditVerified>(
                200,
                "What was found.",
                json!({ "valid": true, "rows": 12, "broken_at": null }),
            ),
    ]
}
