//! A walk through the whole api, on the document's own examples wherever there is one.

use super::{Checked, document::Document, task_of};
use crate::fleet::hand;
use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::{Client, Stack};

/// Operations that are not walked through here: of servers as code, which need Terraform.
const CODE: [&str; 7] = [
    // Answered for as long as somebody reads.
    "followEvents",
    "ejectServer",
    "listStates",
    "getState",
    "diffState",
    "restoreState",
    "getTaskPlan",
];

/// What is read, before and after there is something.
async fn read_everything(checked: &Checked<'_>) -> anyhow::Result<()> {
    for path in [
        "/api/servers",
        "/api/servers?sort=name&order=desc&limit=2&offset=0&name=e&role=web&status=running",
        "/api/servers?project=default",
        "/api/tasks",
        "/api/tasks?limit=1&offset=1&kind=create_server&status=completed&server_id=1",
        "/api/monitoring/status",
        "/api/monitoring/metrics",
        "/api/monitoring/metrics?role=web&limit=1",
        "/api/monitoring/targets",
        "/api/monitoring/alerts",
        "/api/monitoring/alerts?status=firing&rule=server_down&server_id=1&limit=1",
        "/api/notifications",
        "/api/notifications?limit=1&type=success&unread=true",
        "/api/notifications/latest",
        "/api/notifications/channels",
        "/api/projects",
        "/api/networks",
        "/api/nodes",
        "/api/system/status",
        "/api/system/config",
        "/api/system/logs",
        "/api/system/logs?level=error&process=api&target=tpm&text=x&field=a=b&limit=1&offset=1",
        "/api/auth/me",
        "/api/auth/sessions",
        "/api/auth/keys",
        "/api/users",
        "/api/roles",
        "/api/audit",
        "/api/audit?actor_id=1&action=x&target_kind=server&target=1&result=done&limit=1",
        "/api/audit?from=2024-01-15T00:00:00Z&to=2024-01-16T00:00:00Z&format=jsonl",
        "/api/audit/verify",
        "/api/openapi.json",
        "/api/postman_collection.json",
        "/api/docs",
        "/api/docs/start.js",
        "/api/docs/swagger-ui.css",
        "/metrics",
        "/healthz",
        "/readyz",
    ] {
        checked.get(path).await?;
    }
    Ok(())
}

async fn read_one(checked: &Checked<'_>, task: &str, id: &Value) -> anyhow::Result<()> {
    for path in [
        format!("/api/tasks/{task}"),
        format!("/api/tasks/{task}/log"),
        format!("/api/tasks/{task}/log?limit=2&offset=1"),
        format!("/api/tasks/{task}/plan"),
        format!("/api/servers/{id}"),
        format!("/api/servers/{id}/drift"),
        format!("/api/monitoring/metrics/{id}"),
        format!("/api/monitoring/metrics/{id}?from=2026-01-15T10:00:00Z&step=604800"),
        format!("/api/monitoring/metrics/{id}?step=60"),
        format!("/api/servers/{id}/state"),
        format!("/api/servers/{id}/terraform"),
    ] {
        checked.get(&path).await?;
    }
    Ok(())
}

/// Making, switching and changing servers, on the examples.
async fn servers(stack: &Stack, checked: &Checked<'_>) -> anyhow::Result<()> {
    let work = async || hand(stack)?.drain().await;
    checked.example(Method::POST, "/api/servers/plan").await?;
    let dry = "/api/servers/create?dry_run=true";
    checked.example(Method::POST, dry).await?;
    let made = checked.example(Method::POST, "/api/servers/create").await?;
    let (task, id) = (task_of(&made)?, made["server_id"].clone());
    read_one(checked, &task, &id).await?;
    // Taken names are told.
    checked.example(Method::POST, "/api/servers/create").await?;
    work().await?;
    read_one(checked, &task, &id).await?;
    let bulk = "/api/servers/bulk-create";
    let made = checked.example(Method::POST, bulk).await?;
    let bulk = task_of(&made)?;
    checked.get(&format!("/api/tasks/{bulk}")).await?;
    work().await?;
    read_one(checked, &bulk, &made["servers"][0]["server_id"]).await?;
    checked
        .post(&format!("/api/tasks/{bulk}/retry"), &json!({}))
        .await?;

    let one = format!("/api/servers/{id}");
    let status = format!("{one}/status");
    checked.example(Method::PUT, &status).await?;
    work().await?;
    checked.example(Method::PUT, &status).await?;
    let running = json!({ "status": "running" });
    checked.send(Method::PUT, &status, Some(&running)).await?;
    checked.example(Method::PATCH, &one).await?;
    work().await?;
    checked.example(Method::PATCH, &one).await?;
    work().await?;
    let change = json!({ "tags": ["blue"], "description": "the first one",
        "expires_at": "2099-01-15T10:30:00+09:00", "on_expiry": "delete" });
    checked.send(Method::PATCH, &one, Some(&change)).await?;
    checked.get(&one).await?;
    let change = json!({ "expires_at": null });
    checked.send(Method::PATCH, &one, Some(&change)).await?;
    let power = "/api/servers/bulk-power";
    checked.example(Method::POST, power).await?;
    work().await?;
    checked.example(Method::POST, power).await?;
    read_everything(checked).await
}

/// Making, restoring and deleting backups, on the examples.
async fn backups(stack: &Stack, checked: &Checked<'_>) -> anyhow::Result<()> {
    let work = async || hand(stack)?.drain().await;
    let create = "/api/backups/create";
    work().await?;
    let made = checked.example(Method::POST, create).await?;
    // A task is at work on the server.
    checked.example(Method::POST, create).await?;
    let one = format!(
        "/api/backups/{}",
        made["backup_id"].as_str().unwrap_or_default()
    );
    let restore = format!("{one}/restore");
    checked.get(&one).await?;
    checked.send(Method::DELETE, &one, None).await?;
    work().await?;
    for path in [
        one.as_str(),
        "/api/backups",
        "/api/backups?status=completed&server_id=1&storage=local&limit=1",
        "/api/backups?status=lost",
        "/api/backups/backup_none",
    ] {
        checked.get(path).await?;
    }
    for body in [json!({}), json!({ "target_server_id": "old", "name": 1 })] {
        checked.post(&restore, &body).await?;
        checked.post(create, &body).await?;
    }
    checked.example(Method::POST, &restore).await?;
    work().await?;
    let drill = format!("{one}/drill");
    // There is no network for it.
    checked.example(Method::POST, &drill).await?;
    let network = json!({ "name": "drill", "range": "198.18.0.10-198.18.0.90", "prefix": 24, "bridge": "vmbr1" });
    checked.post("/api/networks", &network).await?;
    let tried = checked.example(Method::POST, &drill).await?;
    checked
        .post(&drill, &json!({ "goal": "far", "command": 1 }))
        .await?;
    work().await?;
    let tried = tried["drill_id"].as_str().unwrap_or_default();
    for path in [
        "/api/backups/drills",
        "/api/backups/drills?status=passed&server_id=1&backup_id=backup_none&limit=1",
        "/api/backups/drills?status=lost",
        "/api/backups/drills/drill_none",
        &format!("/api/backups/drills/{tried}"),
    ] {
        checked.get(path).await?;
    }
    let new = json!({ "target_server_id": "new", "name": "web-server-77" });
    checked.post(&restore, &new).await?;
    checked.post(&restore, &new).await?;
    work().await?;
    let list = checked.get("/api/backups").await?;
    for backup in list["backups"].as_array().into_iter().flatten() {
        let name = backup["backup_id"].as_str().unwrap_or_default();
        let path = format!("/api/backups/{name}");
        checked.send(Method::DELETE, &path, None).await?;
        let sure = format!("{path}?confirm={name}");
        checked.send(Method::DELETE, &sure, None).await?;
        work().await?;
    }
    Ok(())
}

/// Schedules, on the examples.
async fn schedules(stack: &Stack, checked: &Checked<'_>) -> anyhow::Result<()> {
    let list = "/api/backups/schedules";
    let made = checked.example(Method::POST, list).await?;
    // Its name is taken.
    checked.post(list, &json!({ "name": "nightly", "calendar": "0 2 * * *", "time_zone": "Asia/Seoul", "target": { "role": "web" } }))
        .await?;
    checked
        .post(list, &json!({ "name": 1, "colour": "red" }))
        .await?;
    let one = format!("{list}/{}", made["schedule_id"]);
    let run = format!("{one}/run");
    checked.send(Method::POST, &run, None).await?;
    checked.send(Method::POST, &run, None).await?;
    for path in [list, one.as_str(), "/api/backups/schedules/999"] {
        checked.get(path).await?;
    }
    let prune = "/api/backups/prune";
    for query in ["", "?dry_run=true", "?dry_run=perhaps"] {
        let path = format!("{prune}{query}");
        for body in [
            json!({ "keep_last": 1 }),
            json!({}),
            json!({ "schedule_id": 999 }),
        ] {
            checked.post(&path, &body).await?;
        }
    }
    hand(stack)?.follow_schedules().await?;
    hand(stack)?.drain().await?;
    hand(stack)?.follow_schedules().await?;
    checked.get(&one).await?;
    checked.example(Method::PATCH, &one).await?;
    checked
        .send(
            Method::PATCH,
            &one,
            Some(&json!({ "time_zone": "Nowhere" })),
        )
        .await?;
    checked.send(Method::DELETE, &one, None).await?;
    checked.send(Method::DELETE, &one, None).await?;
    checked.send(Method::PATCH, &one, None).await?;
    checked.send(Method::POST, &run, None).await?;
    Ok(())
}

/// A create that fails, one that is cancelled, and trying them again.
async fn failures(stack: &Stack, checked: &Checked<'_>) -> anyhow::Result<()> {
    let body =
        json!({ "name": "stopped-early", "role": "web", "cpu": 1, "memory": 512, "disk_size": 12 });
    let made = checked.post("/api/servers/create", &body).await?;
    let task = task_of(&made)?;
    let cancel = format!("/api/tasks/{task}/cancel");
    checked.send(Method::POST, &cancel, None).await?;
    hand(stack)?.drain().await?;
    checked.send(Method::POST, &cancel, None).await?;
    checked.get(&format!("/api/tasks/{task}")).await?;

    // Somebody else's guest cannot be taken over: there is none.
    let lost = checked
        .post(
            "/api/servers/import",
            &json!({ "vmid": 777, "name": "nothing", "role": "db" }),
        )
        .await?;
    hand(stack)?.drain().await?;
    checked
        .get(&format!("/api/tasks/{}", task_of(&lost)?))
        .await?;

    let broken =
        json!({ "name": "broken", "role": "web", "cpu": 1, "memory": 512, "disk_size": 12 });
    let made = checked.post("/api/servers/create", &broken).await?;
    let id = &made["server_id"];
    let text = "clone failed: no space left".to_owned();
    let fault = Fault::once(
        "POST",
        "/nodes/*/qemu/*/clone",
        FaultKind::TaskFails { text },
    );
    let fault = stack.simulator.faults().inject(fault.times(0));
    hand(stack)?.drain().await?;
    let task = task_of(&made)?;
    let failed = checked.get(&format!("/api/tasks/{task}")).await?;
    ensure!(failed["status"] == "failed", "{failed:#}");
    checked.get(&format!("/api/tasks/{task}/log")).await?;
    checked.get(&format!("/api/servers/{id}")).await?;
    stack.simulator.faults().remove(fault);
    checked
        .post(&format!("/api/tasks/{task}/retry"), &json!({}))
        .await?;
    hand(stack)?.drain().await?;
    Ok(())
}

/// What others do to guests, and what is decided about it.
async fn others(stack: &Stack, checked: &Checked<'_>) -> anyhow::Result<()> {
    let behind = stack.simulator.behind_the_back();
    let set = |vmid: u32, key: &str, value: &str| {
        let done = behind.set_option(vmid, key, Some(value));
        done.map_err(anyhow::Error::msg)
    };
    behind.create_foreign(105, "pve2", "legacy");
    hand(stack)?.look().await?;
    let taken = checked.example(Method::POST, "/api/servers/import").await?;
    hand(stack)?.drain().await?;
    let task = checked
        .get(&format!("/api/tasks/{}", task_of(&taken)?))
        .await?;
    ensure!(task["status"] == "completed", "{task:#}");
    checked.example(Method::POST, "/api/servers/import").await?;
    let id = &task["server_id"];
    let one = format!("/api/servers/{id}");
    checked.get(&one).await?;
    set(105, "memory", "3072")?;
    hand(stack)?.sweep().await?;
    let drift = checked.get(&format!("{one}/drift")).await?;
    ensure!(drift["drift"] == "changed", "{drift:#}");
    checked.get(&one).await?;
    checked
        .example(Method::POST, &format!("{one}/drift"))
        .await?;
    checked
        .example(Method::POST, &format!("{one}/drift"))
        .await?;
    let early = format!("{one}/forget");
    checked.send(Method::POST, &early, None).await?;
    behind.destroy(105).map_err(anyhow::Error::msg)?;
    hand(stack)?.sweep().await?;
    let drift = checked.get(&format!("{one}/drift")).await?;
    ensure!(drift["drift"] == "missing", "{drift:#}");
    checked.get(&one).await?;
    checked.send(Method::POST, &early, None).await?;

    let body = json!({ "name": "lost", "role": "web", "cpu": 1, "memory": 512, "disk_size": 12 });
    let made = checked.post("/api/servers/create", &body).await?;
    hand(stack)?.drain().await?;
    let one = format!("/api/servers/{}", made["server_id"]);
    let vmid = checked.get(&one).await?["vmid"].as_u64();
    behind
        .destroy(u32::try_from(vmid.unwrap_or_default())?)
        .map_err(anyhow::Error::msg)?;
    hand(stack)?.sweep().await?;
    let again = format!("{one}/recreate");
    checked.post(&again, &json!({})).await?;
    hand(stack)?.drain().await?;
    checked.send(Method::POST, &again, None).await?;
    checked.get("/api/nodes").await?;
    Ok(())
}

async fn monitoring(checked: &Checked<'_>) -> anyhow::Result<()> {
    let update = "/api/monitoring/prometheus/update";
    checked.post(update, &json!({})).await?;
    let alerts = "/api/monitoring/alerts";
    for _ in 0..2 {
        checked.example(Method::POST, alerts).await?;
    }
    checked.get(alerts).await?;
    Ok(())
}

async fn secrets(checked: &Checked<'_>) -> anyhow::Result<()> {
    checked.get("/api/vault/status").await?;
    let one = "/api/vault/secrets/secret/ssh";
    checked.get(one).await?;
    for query in ["", "?cas=1", "?cas=1"] {
        let path = format!("{one}{query}");
        checked.example(Method::POST, &path).await?;
    }
    for query in [
        "",
        "?version=1",
        "?versions=true",
        "?list=true",
        "?list=maybe",
    ] {
        checked.get(&format!("{one}{query}")).await?;
    }
    checked.get("/api/vault/secrets/secret?list=true").await?;
    checked.get("/api/vault/secrets/sys/seal").await?;
    checked.get("/api/vault/secrets/secret/a$b").await?;
    checked
        .send(Method::POST, "/api/vault/rotate", None)
        .await?;
    for query in ["?version=1", "", "?all=true", "?all=true"] {
        let path = format!("{one}{query}");
        checked.send(Method::DELETE, &path, None).await?;
    }
    Ok(())
}

async fn channels(checked: &Checked<'_>) -> anyhow::Result<()> {
    let all = "/api/notifications/channels";
    let made = checked.example(Method::POST, all).await?;
    checked.example(Method::POST, all).await?;
    let one = format!("{all}/{}", made["channel_id"]);
    for path in [&one, &format!("{all}/99")] {
        checked.get(path).await?;
        checked.example(Method::PATCH, path).await?;
        for more in ["test", "rotate"] {
            let path = format!("{path}/{more}");
            checked.send(Method::POST, &path, None).await?;
        }
        let sent = format!("{path}/deliveries");
        checked.get(&sent).await?;
        checked
            .get(&format!("{sent}?status=pending&limit=1&offset=0"))
            .await?;
    }
    checked.get(all).await?;
    for _ in 0..2 {
        checked.send(Method::DELETE, &one, None).await?;
    }
    let wrong = json!({ "name": "ops", "url": "http://127.0.0.1" });
    checked.post(all, &wrong).await?;
    Ok(())
}

async fn projects_and_networks(checked: &Checked<'_>) -> anyhow::Result<()> {
    for (kind, id) in [("projects", "project_id"), ("networks", "network_id")] {
        let all = format!("/api/{kind}");
        let made = checked.example(Method::POST, &all).await?;
        checked.example(Method::POST, &all).await?;
        let one = format!("{all}/{}", made[id]);
        checked.get(&one).await?;
        checked.example(Method::PATCH, &one).await?;
        checked.get(&all).await?;
        checked.get(&format!("{all}/99")).await?;
        checked.get(&format!("{all}/x")).await?;
    }
    // Addresses of servers and of others stand in the networks.
    for network in 1..=2 {
        checked.get(&format!("/api/networks/{network}")).await?;
    }
    let bound = json!({ "quota": { "servers": 0 } });
    let small = "/api/projects/1";
    checked.send(Method::PATCH, small, Some(&bound)).await?;
    let empty = json!({ "name": "empty", "quota": { "servers": 0 } });
    checked.post("/api/projects", &empty).await?;
    let body = json!({ "name": "beyond", "role": "web", "cpu": 1, "memory": 512, "disk_size": 12, "project": "empty" });
    let refused = checked.post("/api/servers/create", &body).await?;
    ensure!(refused["error"]["code"] == "QUOTA_EXCEEDED", "{refused:#}");
    let body = json!({ "name": "beyond", "role": "web", "cpu": 128, "memory": 1_048_576, "disk_size": 12 });
    let refused = checked.post("/api/servers/create", &body).await?;
    ensure!(refused["error"]["code"] == "NO_CAPACITY", "{refused:#}");
    for network in [1, 2] {
        let path = format!("/api/networks/{network}");
        checked.send(Method::DELETE, &path, None).await?;
    }
    Ok(())
}

/// People, roles, keys and sessions, on the examples.
async fn accounts(checked: &Checked<'_>) -> anyhow::Result<()> {
    for path in ["/api/roles", "/api/users", "/api/auth/keys"] {
        checked.example(Method::POST, path).await?;
        // Names that are taken are told; a key's need not be its own.
        checked.example(Method::POST, path).await?;
        checked.get(path).await?;
    }
    for path in [
        "/api/roles/deployer",
        "/api/roles/admin",
        "/api/roles/none",
        "/api/users/2",
        "/api/users/1",
        "/api/users/99",
        "/api/auth/me",
    ] {
        checked.example(Method::PATCH, path).await?;
    }
    let given = json!({ "roles": ["deployer"] });
    checked
        .send(Method::PATCH, "/api/users/2", Some(&given))
        .await?;
    for path in [
        "/api/roles/deployer",
        "/api/users/1",
        "/api/users/2",
        "/api/users/2",
        "/api/roles/deployer",
        "/api/roles/admin",
        "/api/auth/keys/1",
        "/api/auth/keys/1",
        "/api/auth/sessions/0123456789abcdef",
    ] {
        checked.send(Method::DELETE, path, None).await?;
    }
    // Two sessions: the other one is ended.
    checked.example(Method::POST, "/api/auth/login").await?;
    let other = Client::new(checked.client.base())?;
    other.login("password").await?;
    let sessions = checked.get("/api/auth/sessions").await?;
    let session = sessions["sessions"][0]["id"].as_str().unwrap_or_default();
    let path = format!("/api/auth/sessions/{session}");
    checked.send(Method::DELETE, &path, None).await?;
    super::factors::walk(checked).await?;
    let wrong = json!({ "current_password": "no", "new_password": "seven green bicycles" });
    checked.post("/api/auth/password", &wrong).await?;
    checked.example(Method::POST, "/api/auth/password").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_documented() -> anyhow::Result<()> {
    // The reference's password is `password`.
    let stack = Stack::builder()
        .set("AUTH__ADMIN_PASSWORD", "password")
        .start_as("password")
        .await?;
    let checked = Checked::new(&stack.client).await?;
    read_everything(&checked).await?;
    checked.example(Method::POST, "/api/auth/login").await?;
    servers(&stack, &checked).await?;
    backups(&stack, &checked).await?;
    schedules(&stack, &checked).await?;
    others(&stack, &checked).await?;
    failures(&stack, &checked).await?;
    projects_and_networks(&checked).await?;
    monitoring(&checked).await?;
    channels(&checked).await?;
    secrets(&checked).await?;
    read_everything(&checked).await?;
    checked
        .example(Method::POST, "/api/servers/bulk-delete")
        .await?;
    checked.send(Method::DELETE, "/api/servers/1", None).await?;
    hand(&stack)?.drain().await?;
    for _ in 0..2 {
        let path = "/api/notifications/1";
        checked.example(Method::PATCH, path).await?;
        checked.send(Method::DELETE, path, None).await?;
        let all = "/api/notifications/read";
        checked.send(Method::POST, all, None).await?;
    }
    checked
        .example(Method::PUT, "/api/system/log-level")
        .await?;
    // A copy that nobody has accepted is read-only.
    let store = stack.service.store();
    let tx = tpm_store::Store::begin(&*store).await?;
    tx.set_run_time_setting(tpm_store::RESTORED, Some("1700000000000"))
        .await?;
    tx.commit().await?;
    checked.get("/api/system/status").await?;
    checked.example(Method::POST, "/api/servers/create").await?;
    let accept = "/api/system/restored/accept";
    checked.send(Method::POST, accept, None).await?;
    accounts(&checked).await?;
    checked.send(Method::POST, "/api/auth/logout", None).await?;
    read_everything(&checked).await?;
    for path in [
        "/api/servers/create",
        "/api/servers/bulk-delete",
        "/api/networks",
    ] {
        checked.post(path, &json!({})).await?;
    }

    let all: BTreeSet<String> = Document::fetch(&stack.client)
        .await?
        .operations()
        .iter()
        .filter_map(|(_, value)| value["operationId"].as_str().map(str::to_owned))
        .filter(|id| !CODE.contains(&id.as_str()))
        .collect();
    let seen = checked.seen.into_inner();
    let missing: Vec<_> = all.difference(&seen).collect();
    ensure!(
        missing.is_empty(),
        "never answered with success: {missing:?}"
    );
    stack.stop().await
}
