//! Examples that several operations share. Each is held against its schema in a test.

use serde_json::{Value, json};
use tpm_domain::{ChangeEffect, PlanAction, PlannedChange, PlannedField};
use tpm_messages::Lang;

/// A task.
pub(super) const TASK: &str = "task_0af7651916cd43dd8448";
/// Another one.
pub(super) const OTHER_TASK: &str = "task_9c2b1e7f4d3a6058c1f2";

/// The reference's example of a create.
pub(super) fn create_server() -> Value {
    json!({
        "name": "web-server-02",
        "role": "web",
        "cpu": 2,
        "memory": 4096,
        "disk_size": 50,
        "network_config": {
            "ip_address": "192.168.0.22",
            "subnet": "24",
            "gateway": "192.168.0.1",
        },
    })
}

/// The reference's example of a bulk.
pub(super) fn bulk_create() -> Value {
    json!({
        "servers": [
            { "name": "web-server-01", "role": "web", "cpu": 2, "memory": 4096, "disk_size": 50 },
            { "name": "was-server-01", "role": "was", "cpu": 4, "memory": 8192, "disk_size": 100 },
        ],
        "network_config": {
            "ip_range": "192.168.0.21-192.168.0.30",
            "subnet": "24",
            "gateway": "192.168.0.1",
        },
    })
}

fn nics() -> Value {
    json!([{
        "bridge": "vmbr0",
        "vlan": null,
        "ip_address": "192.168.0.22",
        "subnet": 24,
        "gateway": "192.168.0.1",
        "dhcp": false,
    }])
}

fn placement() -> Value {
    json!({
        "node": "pve1",
        "template": 9000,
        "storage": "local-lvm",
        "spread": "preferred",
        "pinned": false,
        "reason": "of 3 nodes pve1, with 0 servers of the role and 114688 MB of memory free",
        "candidates": 3,
        "same_role": 0,
        "free_memory": 114_688,
        "free_cpu": 120,
        "free_disk": 850,
        "instead_of": null,
    })
}

pub(super) fn server_in_list() -> Value {
    json!({
        "id": 1,
        "name": "web-server-02",
        "ip_address": "192.168.0.22",
        "role": "web",
        "status": "running",
        "cpu": 2,
        "memory": 4096,
        "disk_size": 50,
        "created_at": "2024-01-15T10:30:00Z",
        "updated_at": "2024-01-15T10:30:40Z",
        "vmid": 10_000,
        "node": "pve1",
        "engine": "direct",
        "project": "default",
        "expires_at": null,
        "on_expiry": null,
        "drift": [],
        "tags": null,
        "description": null,
        "imported": false,
        "error": null,
    })
}

pub(super) fn server() -> Value {
    let rung = |rung: &str, at: &str, took_ms: u64| json!({ "rung": rung, "reached": true, "at": at, "took_ms": took_ms });
    let mut example = server_in_list();
    example["network_config"] = nics();
    example["readiness"] = json!([
        rung("created", "2024-01-15T10:30:12.480Z", 12_480),
        rung("configured", "2024-01-15T10:30:13.010Z", 530),
        rung("started", "2024-01-15T10:30:15.250Z", 2240),
        rung("agent", "2024-01-15T10:30:38.900Z", 23_650),
        rung("address", "2024-01-15T10:30:39.100Z", 200),
    ]);
    example["import_differences"] = json!([]);
    example["placement"] = placement();
    example["task_id"] = Value::Null;
    example
}

pub(super) fn planned_server() -> Value {
    json!({
        "dry_run": true,
        "name": "web-server-02",
        "engine": "direct",
        "vmid": 10_000,
        "cpu": 2,
        "memory": 4096,
        "disk_size": 50,
        "network_config": nics(),
        "placement": placement(),
    })
}

pub(super) fn task_in_list() -> Value {
    json!({
        "task_id": TASK,
        "kind": "create_server",
        "status": "running",
        "progress": 75,
        "message": "creating the server... (starting)",
        "server_id": 1,
        "server_name": "web-server-02",
        "cancel_requested": false,
        "error": null,
        "created_at": "2024-01-15T10:30:00Z",
        "updated_at": "2024-01-15T10:30:15Z",
    })
}

pub(super) fn task() -> Value {
    let mut example = task_in_list();
    example["steps"] = json!([{
        "step": "configure",
        "title": tpm_messages::step_name(Lang::En, "configure"),
        "undo": false,
        "status": "done",
        "attempts": 1,
        "upid": null,
        "started_at": "2024-01-15T10:30:12.510Z",
        "finished_at": "2024-01-15T10:30:13.010Z",
    }]);
    example
}

pub(super) fn plan() -> Value {
    let field = PlannedField {
        field: "memory.0.dedicated".into(),
        before: Some("4096".into()),
        after: Some("8192".into()),
        effect: ChangeEffect::NextStart,
    };
    let change = PlannedChange {
        action: PlanAction::Update,
        imports: false,
        fields: vec![field.clone()],
    };
    json!({
        "task_id": TASK,
        "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "base_serial": 3,
        "action": change.action,
        "imports": change.imports,
        "destructive": change.is_destructive(),
        "summary": tpm_messages::planned(Lang::En, &change),
        "changes": [{
            "field": field.field,
            "before": field.before,
            "after": field.after,
            "effect": field.effect,
            "text": tpm_messages::planned_field(Lang::En, &field),
        }],
    })
}
