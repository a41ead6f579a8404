//! Backups in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::{Op, paging, query_number, query_text, query_word, word};
use super::words::words;
use serde_json::{Value, json};
use tpm_domain::{BackupMode, BackupOrigin, BackupState, Compression, DrillGoal, DrillState};
use tpm_messages::{Answer, Lang, answer};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

words!(
    BackupStateWord,
    "`pending`: being made; `completed`: whole; `failed`: not made; `missing`: its archive is gone, and nobody asked \
     for that here; `deleting`.",
    BackupState::ALL.iter().copied(),
    BackupState::as_str
);
words!(
    BackupOriginWord,
    "`asked`: by a person; `schedule`; `safety`: made before another one was restored over the server; `found`: made \
     by others, found on a storage.",
    BackupOrigin::ALL.iter().copied(),
    BackupOrigin::as_str
);
words!(
    BackupModeWord,
    "How a running guest is treated: it runs on, is paused for a while, or is shut down and started again.",
    BackupMode::ALL.iter().copied(),
    BackupMode::as_str
);
words!(
    CompressionWord,
    "How the archive is packed. A Proxmox Backup Server packs in its own way.",
    Compression::ALL.iter().copied(),
    Compression::as_str
);
words!(
    DrillStateWord,
    "`running`; `passed`: the guest did what was asked of it; `failed`: it did not, or could not be made; `cancelled`.",
    DrillState::ALL.iter().copied(),
    DrillState::as_str
);
words!(
    DrillGoalWord,
    "`started`: it is switched on, which says nothing of its disks; `agent`: its guest agent answers; `address`: it has \
     its address too, which cloud-init gives it.",
    DrillGoal::ALL.iter().copied(),
    DrillGoal::as_str
);
words!(
    BackupType,
    "What a Proxmox Backup Server stores only once is `full` all the same: each backup restores by itself.",
    ["full"],
    |word| word
);

/// A backup.
#[derive(ToSchema)]
struct Backup {
    /// Its number.
    id: i64,
    /// The server it is of; it may be deleted by now.
    server_id: i64,
    /// That server's name when the backup was made.
    server_name: String,
    /// Its name, for paths.
    #[schema(example = "backup_12345")]
    backup_id: String,
    /// How it stands.
    status: BackupStateWord,
    /// What it is.
    backup_type: BackupType,
    /// Where it comes from.
    origin: BackupOriginWord,
    /// The size of its archive for people, in thousands of thousands; `null` before it is known.
    #[schema(example = "2.5GB")]
    size: Option<String>,
    /// The same in bytes.
    size_bytes: Option<u64>,
    /// The guest's number in Proxmox VE.
    #[schema(minimum = 100, maximum = 999999999)]
    vmid: u32,
    /// The node that made it, or that sees it; `null` before it is made.
    node: Option<String>,
    /// The storage it is on.
    storage: String,
    /// The archive's name in Proxmox VE; `null` before it is made.
    #[schema(example = "local:backup/vzdump-qemu-10001-2024_01_15-02_00_00.vma.zst")]
    volume: Option<String>,
    /// How the guest was treated; `null` when others made it.
    mode: Option<BackupModeWord>,
    /// How it is packed; `null` when others made it.
    compress: Option<CompressionWord>,
    /// What people say about it.
    notes: String,
    /// Whether it is kept from deletion.
    protected: bool,
    /// The schedule that made it; `null` for others, and when that schedule is gone.
    schedule_id: Option<i64>,
    /// Whether retention says that it goes: it is deleted once nothing else is at work on its server.
    condemned: bool,
    /// What Proxmox VE warned of while it was made, in its own words.
    warnings: Vec<String>,
    /// Why it could not be made; `null` when it was.
    error: Option<String>,
    /// When it was proved that it restores, RFC 3339, UTC; `null` when it was not so far.
    #[schema(format = "date-time")]
    verified_at: Option<String>,
    /// How: `restore`, it was restored; `drill`, it was tried; `pbs`, a Proxmox Backup Server checked it.
    #[schema(example = "restore")]
    verified_by: Option<String>,
    /// When it was asked for, RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// When its archive was whole.
    #[schema(format = "date-time")]
    finished_at: Option<String>,
}

/// A page of backups.
#[derive(ToSchema)]
struct BackupList {
    /// The backups.
    backups: Vec<Backup>,
    /// How many there are in all.
    total: u64,
}

/// A backup that is asked for.
#[derive(ToSchema)]
struct CreateBackup {
    /// The server.
    server_id: i64,
    /// `full` when not said.
    backup_type: Option<BackupType>,
    /// That of the settings when not said.
    mode: Option<BackupModeWord>,
    /// That of the settings when not said.
    compress: Option<CompressionWord>,
    /// A storage of the cluster that takes backups; that of the settings when not said.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9._-]{0,99}$")]
    storage: Option<String>,
    /// One line, without `{{` and `\`.
    #[schema(max_length = 200, pattern = r"^([^\\{]|\{[^\\{])*$")]
    notes: Option<String>,
    /// Keep it from deletion.
    protected: Option<bool>,
}

/// A server's number, or the word `new`.
struct RestoreTargetId;

impl PartialSchema for RestoreTargetId {
    fn schema() -> RefOr<Schema> {
        let new = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["new"]));
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        let null = ObjectBuilder::new().schema_type(Type::Null);
        let text = "A server's number; `new` for a server that is made of the backup; `null` or absent: the server \
             the backup is of.";
        OneOfBuilder::new()
            .item(number)
            .item(new)
            .item(null)
            .description(Some(text))
            .into()
    }
}

impl ToSchema for RestoreTargetId {}

/// A restore that is asked for.
#[derive(ToSchema)]
struct RestoreBackup {
    /// Onto what.
    target_server_id: Option<RestoreTargetId>,
    /// Whether the guest that is there may be replaced; `false` when not said.
    overwrite: Option<bool>,
    /// With `new`: the new server's name; one is made up of the origin's when not said.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    name: Option<String>,
}

/// A backup or restore that was accepted.
#[derive(ToSchema)]
struct BackupAccepted {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it.
    task_id: String,
    /// The backup that is made, or restored.
    backup_id: String,
    /// The server it is of, or that it is restored to.
    server_id: i64,
    /// The backup that is made of what is there, before it is replaced; `null` when none is.
    safety_backup_id: Option<String>,
}

/// A backup that goes.
#[derive(ToSchema)]
struct BackupRemoval {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it; `null` when there was no archive and it is done.
    task_id: Option<String>,
    /// The backup.
    backup_id: String,
}

/// What a drill is to prove.
#[derive(ToSchema)]
pub(super) struct DrillRequest {
    /// How far the guest has to come: `address` when not said, `agent` for servers that were imported.
    goal: Option<DrillGoalWord>,
    /// A command that has to end with 0 in the guest, each word an argument, run by the guest agent with all its
    /// rights. It may be run twice when a worker dies, and has 15 minutes. Its output is not kept, but its length and
    /// digest are.
    #[schema(max_items = 32, example = json!(["/usr/bin/pg_isready"]))]
    command: Option<Vec<String>>,
}

/// A restore drill.
#[derive(ToSchema)]
struct Drill {
    /// Its number.
    id: i64,
    /// Its name, for paths.
    #[schema(example = "drill_12345")]
    drill_id: String,
    /// The backup that is tried; it may be deleted by now.
    backup_id: String,
    /// Whose backup it is.
    server_id: i64,
    /// That server's name then.
    server_name: String,
    /// How far it is.
    status: DrillStateWord,
    /// How far the guest has to come.
    goal: DrillGoalWord,
    /// The command that has to succeed in it; none when empty.
    command: Vec<String>,
    /// The schedule that it is of; `null` for one that a person asked for.
    schedule_id: Option<i64>,
    /// The task that carries it out; `null` when there was no room for it.
    task_id: Option<String>,
    /// Why it failed; `null` when it did not.
    error: Option<String>,
    /// SHA-256 of the evidence, in hexadecimal; `null` before it is known how it came out.
    digest: Option<String>,
    /// When it was asked for, RFC 3339, UTC.
    #[schema(format = "date-time")]
    created_at: String,
    /// When it was known how it came out.
    #[schema(format = "date-time")]
    decided_at: Option<String>,
    /// When nothing was left of its guest.
    #[schema(format = "date-time")]
    cleared_at: Option<String>,
    /// What was seen at each step, and when; `null` before it is known how it came out, and in lists.
    #[schema(value_type = Option<Object>)]
    evidence: Option<Value>,
    /// The same as it was written down: the digest is of these bytes; `null` in lists.
    evidence_text: Option<String>,
}

/// A page of drills.
#[derive(ToSchema)]
struct DrillList {
    /// The drills.
    drills: Vec<Drill>,
    /// How many there are in all.
    total: u64,
}

/// A drill that was accepted.
#[derive(ToSchema)]
struct DrillAccepted {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task that does it.
    task_id: String,
    /// The drill.
    drill_id: String,
    /// The backup that is tried.
    backup_id: String,
    /// The server that is made for it, and deleted again.
    server_id: i64,
}

fn drill_id() -> Parameter {
    word(
        "drill_id",
        "The drill's name.",
        "^drill_[A-Za-z0-9_]{1,58}$",
        "drill_12345",
    )
}

fn drill_example() -> Value {
    json!({
        "id": 1,
        "drill_id": "drill_12345",
        "backup_id": "backup_12345",
        "server_id": 1,
        "server_name": "web-server-01",
        "status": "passed",
        "goal": "address",
        "command": [],
        "schedule_id": null,
        "task_id": "task_12345",
        "error": null,
        "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "created_at": "2024-01-15T03:00:00Z",
        "decided_at": "2024-01-15T03:04:10Z",
        "cleared_at": "2024-01-15T03:04:20Z",
        "evidence": null,
        "evidence_text": null,
    })
}

fn about_drills() -> Vec<Op> {
    let mut whole = drill_example();
    let seen = json!({ "backup": "backup_12345", "vmid": 10007, "steps": [] });
    whole["evidence_text"] = json!(seen.to_string());
    whole["evidence"] = seen;
    vec![
        Op::post("/api/backups/{backup_id}/drill", "drillBackup", "Try a backup")
            .about(
                "A restore drill: a guest is made of the backup on the network for drills, whose bridge must lead \
                 nowhere, with new hardware addresses, an address of that network and nothing of the host's. It is \
                 started, waited for, and destroyed, whatever comes of it. A backup that has passed is \
                 `verified_by` `drill`.",
            )
            .takes(backup_id())
            .keyed()
            .asks_maybe::<DrillRequest>(json!({ "goal": "agent" }))
            .answers::<DrillAccepted>(
                201,
                "Accepted.",
                json!({
                    "success": true,
                    "message": answer(Lang::Ko, Answer::DrillStarted),
                    "task_id": "task_12345",
                    "drill_id": "drill_12345",
                    "backup_id": "backup_12345",
                    "server_id": 7,
                }),
            )
            .refuses(&[
                "NOT_FOUND",
                "BACKUP_STATE",
                "NO_DRILL_NETWORK",
                "ADDRESSES_EXHAUSTED",
                "VMIDS_EXHAUSTED",
                "NO_CAPACITY",
                "QUOTA_EXCEEDED",
                "CLUSTER_UNSEEN",
                "OVERLOADED",
            ]),
        Op::get("/api/backups/drills", "listDrills", "List restore drills")
            .about("The newest first. Kept for a year, the latest of each server for ever.")
            .queries([
                query_number("server_id", "Only of backups of this server.", (i64::MIN, i64::MAX), None, 1),
                query_text("backup_id", "Only of this backup.", "backup_12345"),
                query_word(
                    "status",
                    "Only in this state.",
                    DrillState::ALL.iter().map(|state| state.as_str()),
                    None,
                ),
            ])
            .queries(paging("drills"))
            .answers::<DrillList>(
                200,
                "A page of drills.",
                json!({ "drills": [drill_example()], "total": 1 }),
            ),
        Op::get("/api/backups/drills/{drill_id}", "getDrill", "A restore drill")
            .about("With what was seen of its guest, step by step.")
            .takes(drill_id())
            .answers::<Drill>(200, "The drill.", whole)
            .refuses(&["NOT_FOUND"]),
    ]
}

fn backup_id() -> Parameter {
    word(
        "backup_id",
        "The backup's name.",
        "^backup_[A-Za-z0-9_]{1,57}$",
        "backup_12345",
    )
}

fn example() -> Value {
    json!({
        "id": 1,
        "server_id": 1,
        "server_name": "web-server-01",
        "backup_id": "backup_12345",
        "status": "completed",
        "backup_type": "full",
        "origin": "asked",
        "size": "2.5GB",
        "size_bytes": 2_500_000_000_u64,
        "vmid": 10001,
        "node": "pve1",
        "storage": "local",
        "volume": "local:backup/vzdump-qemu-10001-2024_01_15-02_00_00.vma.zst",
        "mode": "snapshot",
        "compress": "zstd",
        "notes": "before the upgrade",
        "protected": false,
        "schedule_id": null,
        "condemned": false,
        "warnings": [],
        "error": null,
        "verified_at": null,
        "verified_by": null,
        "created_at": "2024-01-15T02:00:00Z",
        "finished_at": "2024-01-15T02:03:20Z",
    })
}

fn accepted(said: Answer, safety: Option<&str>) -> Value {
    json!({
        "success": true,
        "message": answer(Lang::Ko, said),
        "task_id": "task_12345",
        "backup_id": "backup_12345",
        "server_id": 1,
        "safety_backup_id": safety,
    })
}

pub(super) fn operations() -> Vec<Op> {
    let mut all = about_backups();
    all.extend(about_drills());
    all.extend(super::schedules::operations());
    all
}

fn about_backups() -> Vec<Op> {
    vec![
        Op::get("/api/backups", "listBackups", "List backups")
            .about(
                "The newest first. Archives of our guests that others made are taken in as they are found; those that \
                 are gone stay in the list as `missing`.",
            )
            .queries([
                query_number("server_id", "Only of this server.", (i64::MIN, i64::MAX), None, 1),
                query_word(
                    "status",
                    "Only in this state.",
                    BackupState::ALL.iter().map(|state| state.as_str()),
                    None,
                ),
                query_text("storage", "Only on this storage.", "local"),
            ])
            .queries(paging("backups"))
            .answers::<BackupList>(
                200,
                "A page of backups.",
                json!({ "backups": [example()], "total": 1 }),
            ),
        Op::get("/api/backups/{backup_id}", "getBackup", "A backup")
            .takes(backup_id())
            .answers::<Backup>(200, "The backup.", example())
            .refuses(&["NOT_FOUND"]),
        Op::post("/api/backups/create", "createBackup", "Back a server up")
            .about(
                "Done when Proxmox VE's own task has ended well and the archive is on its storage. With warnings it \
                 is `completed` all the same, and they are shown.",
            )
            .keyed()
            .asks::<CreateBackup>(json!({ "server_id": 1, "backup_type": "full" }))
            .answers::<BackupAccepted>(201, "Accepted.", accepted(Answer::BackupStarted, None))
            .refuses(&["NOT_FOUND", "SERVER_BUSY", "WRONG_STATE"]),
        Op::post(
            "/api/backups/{backup_id}/restore",
            "restoreBackup",
            "Restore a backup",
        )
        .about(
            "Onto the server it is of, onto another one, or as a new one. What is there is replaced only with \
             `overwrite`: it is backed up first, unless the settings say otherwise, and shut down; name, identity, \
             hardware addresses and IP addresses stay the server's own, and it is started again when it ran. A new \
             server gets a name, a VMID, addresses and room as in a create.",
        )
        .takes(backup_id())
        .keyed()
        .asks_maybe::<RestoreBackup>(json!({ "target_server_id": 2, "overwrite": true }))
        .answers::<BackupAccepted>(
            201,
            "Accepted.",
            accepted(Answer::RestoreStarted, Some("backup_12346")),
        )
        .refuses(&[
            "NOT_FOUND",
            "SERVER_BUSY",
            "WRONG_STATE",
            "WOULD_OVERWRITE",
            "BACKUP_STATE",
            "NAME_TAKEN",
            "ADDRESS_TAKEN",
            "ADDRESSES_EXHAUSTED",
            "VMIDS_EXHAUSTED",
            "NO_CAPACITY",
            "QUOTA_EXCEEDED",
            "CLUSTER_UNSEEN",
            "OVERLOADED",
        ]),
        Op::delete("/api/backups/{backup_id}", "deleteBackup", "Delete a backup")
            .about(
                "Its archive is deleted. A protected one is not, and the only one of its server that can be restored \
                 only when `confirm` is its own name.",
            )
            .takes(backup_id())
            .queries([query_text(
                "confirm",
                "The backup's own name: delete it although it is the only one.",
                "backup_12345",
            )])
            .answers::<BackupRemoval>(
                200,
                "Accepted, or done.",
                json!({
                    "success": true,
                    "message": answer(Lang::Ko, Answer::BackupDeleteStarted),
                    "task_id": "task_12345",
                    "backup_id": "backup_12345",
                }),
            )
            .refuses(&[
                "NOT_FOUND",
                "SERVER_BUSY",
                "BACKUP_PROTECTED",
                "ONLY_BACKUP",
                "BACKUP_STATE",
            ]),
    ]
}
