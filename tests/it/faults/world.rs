//! Scenarios: a stack, an operation on a server, and what the world looks like afterwards, by the
//! simulator's own account.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tpm_domain::ServerId;
use tpm_jobs::NoFaults;
use tpm_provisioner::{MarkSigner, Operation};
use tpm_pve_simulator::GuestView;
use tpm_store::Store;
use tpm_test_support::{Stack, StackBuilder};

/// A stack whose leases are short, so that a takeover does not take long.
pub(crate) fn quick() -> StackBuilder {
    Stack::builder()
        .set("WORKER__LEASE_MS", 600)
        .set("WORKER__SCAN_MS", 50)
}

/// A server in a stack.
pub(crate) struct Subject {
    pub(crate) id: i64,
    pub(crate) name: &'static str,
    pub(crate) address: &'static str,
}

/// The wire's word for an operation's task.
pub(crate) fn kind(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create_server",
        Operation::Destroy => "delete_server",
        Operation::Start => "start_server",
        Operation::Stop => "stop_server",
        Operation::Restart => "restart_server",
        Operation::Change => "change_server",
        Operation::Backup => "create_backup",
        Operation::Restore => "restore_backup",
        Operation::RestoreNew => "restore_new",
        Operation::Drill => "drill_backup",
        Operation::EraseBackup => "delete_backup",
    }
}

/// What a change asks for.
pub(crate) fn larger() -> Value {
    json!({ "cpu": 4, "memory": 4096, "disk_size": 25 })
}

const NAME: &str = "web-server-02";
const ADDRESS: &str = "192.168.0.22";

/// Asks for the server that scenarios are about; its task and itself.
pub(crate) async fn ask_create(stack: &Stack) -> anyhow::Result<(String, Subject)> {
    let network = json!({ "network_config":
        { "ip_address": ADDRESS, "subnet": 24, "gateway": "192.168.0.1" } });
    let (task, id) = stack.client.create(NAME, network).await?;
    Ok((
        task,
        Subject {
            id,
            name: NAME,
            address: ADDRESS,
        },
    ))
}

/// Makes the server that an operation needs, with whatever worker runs.
pub(crate) async fn prepare(stack: &Stack, operation: Operation) -> anyhow::Result<Subject> {
    let (task, subject) = ask_create(stack).await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "preparing: {task:#}");
    if operation == Operation::Start {
        let task = ask(stack, Operation::Stop, &subject).await?;
        stack.client.ended(&task).await?;
    }
    if matches!(operation, Operation::Restore | Operation::EraseBackup) {
        let task = ask(stack, Operation::Backup, &subject).await?;
        stack.client.ended(&task).await?;
    }
    Ok(subject)
}

/// What is done to one server alone. One beside it that is made of a backup has its scenes in [`super::trio`].
pub(crate) fn operations() -> impl Iterator<Item = Operation> {
    let all = Operation::ALL.into_iter();
    all.filter(|operation| !matches!(operation, Operation::RestoreNew | Operation::Drill))
}

/// The same in a stack without a worker: one is there only as long as it takes.
pub(crate) async fn prepare_alone(stack: &Stack, operation: Operation) -> anyhow::Result<Subject> {
    let stop = CancellationToken::new();
    let running = tokio::spawn(stack.worker_with(Arc::new(NoFaults))?.run(stop.clone()));
    let subject = prepare(stack, operation).await?;
    stop.cancel();
    running.await??;
    Ok(subject)
}

/// Asks for an operation on a server that is there; its task.
pub(crate) async fn ask(
    stack: &Stack,
    operation: Operation,
    subject: &Subject,
) -> anyhow::Result<String> {
    let id = subject.id;
    let status = |word: &str| json!({ "status": word });
    let path = format!("/api/servers/{id}/status");
    let reply = match operation {
        Operation::Create => anyhow::bail!("it is there already"),
        Operation::Backup
        | Operation::Restore
        | Operation::RestoreNew
        | Operation::Drill
        | Operation::EraseBackup => {
            return ask_about_backup(stack, operation, subject).await;
        }
        Operation::Destroy => stack.client.delete(&format!("/api/servers/{id}")).await?,
        Operation::Start => stack.client.put(&path, &status("running")).await?,
        Operation::Stop => stack.client.put(&path, &status("stopped")).await?,
        Operation::Restart => stack.client.put(&path, &status("restarted")).await?,
        Operation::Change => {
            let path = format!("/api/servers/{id}");
            stack.client.patch(&path, &larger()).await?
        }
    };
    ensure!(
        reply.status == 200,
        "{operation:?}: {} {}",
        reply.status,
        reply.body
    );
    Ok(reply.body["task_id"]
        .as_str()
        .context("no task_id")?
        .to_owned())
}

/// The same about its backup, the only one that there is of it.
async fn ask_about_backup(
    stack: &Stack,
    operation: Operation,
    subject: &Subject,
) -> anyhow::Result<String> {
    let id = subject.id;
    if operation == Operation::Backup {
        let body = json!({ "server_id": id, "backup_type": "full" });
        let reply = stack.client.post("/api/backups/create", &body).await?;
        return stack.client.task_of(&reply);
    }
    let list = stack
        .client
        .get(&format!("/api/backups?server_id={id}"))
        .await?;
    let backup = list.body["backups"][0]["backup_id"].as_str();
    let backup = backup.context("no backup")?;
    let path = format!("/api/backups/{backup}");
    let reply = match operation {
        Operation::EraseBackup => {
            stack
                .client
                .delete(&format!("{path}?confirm={backup}"))
                .await?
        }
        _ => {
            let body = json!({ "overwrite": true });
            stack.client.post(&format!("{path}/restore"), &body).await?
        }
    };
    stack.client.task_of(&reply)
}

/// The mark that a server's guest carries, or would have carried.
pub(crate) async fn mark_of(stack: &Stack, server: i64) -> anyhow::Result<String> {
    let store = stack.service.store();
    let key = std::fs::read_to_string(stack.dir.path().join("mark.key"))?;
    let signer = MarkSigner::new(store.instance_id().await?, &hex::decode(key.trim())?)?;
    let found = store.reads().server_ever(ServerId(server)).await?;
    Ok(signer.mark(&found.context("no server")?).to_string())
}

/// Every guest that carries a mark of ours.
pub(crate) fn marked(stack: &Stack) -> Vec<GuestView> {
    let guests = stack.simulator.guests();
    guests
        .into_iter()
        .filter(|guest| guest.description.contains("tpm:v1 "))
        .collect()
}

/// What was done to guests, of one kind.
pub(crate) fn effects(stack: &Stack, kind: &str) -> Vec<u32> {
    let effects = stack.simulator.effects();
    effects
        .into_iter()
        .filter(|effect| effect.kind == kind)
        .map(|effect| effect.vmid)
        .collect()
}

/// What is set on a guest; what waits for a restart is set all the same.
fn option(guest: &GuestView, key: &str) -> String {
    let set = guest.pending.get(key).cloned().flatten();
    set.or_else(|| guest.config.get(key).cloned())
        .unwrap_or_default()
}

/// The guest is what the server's row says, in every field.
pub(crate) fn as_the_row_says(
    server: &Value,
    guest: &GuestView,
    power: &str,
) -> anyhow::Result<()> {
    ensure!(server["vmid"] == guest.vmid, "{server:#} {guest:#?}");
    ensure!(server["name"] == guest.name, "{server:#} {guest:#?}");
    ensure!(guest.status == power, "{guest:#?}");
    ensure!(
        option(guest, "cores").parse().ok() == server["cpu"].as_u64()
            && option(guest, "memory").parse().ok() == server["memory"].as_u64(),
        "{server:#} {guest:#?}"
    );
    ensure!(server["drift"] == json!([]), "{server:#}");
    let size = format!("size={}G", server["disk_size"]);
    ensure!(
        option(guest, "scsi0").contains(&size),
        "{server:#} {guest:#?}"
    );
    ensure!(option(guest, "lock").is_empty(), "{guest:#?}");
    Ok(())
}

/// The server is as asked: one guest, right in every field, made once.
pub(crate) async fn is_whole(
    stack: &Stack,
    subject: &Subject,
    power: &str,
) -> anyhow::Result<Value> {
    let server = stack.client.server(subject.id).await?;
    ensure!(server["status"] == power, "{server:#}");
    ensure!(server["ip_address"] == subject.address, "{server:#}");
    let guests = marked(stack);
    ensure!(
        guests.len() == 1,
        "{} guests carry our mark: {guests:#?}",
        guests.len()
    );
    as_the_row_says(&server, &guests[0], power)?;
    ensure!(guests[0].name == subject.name, "{:#?}", guests[0]);
    let wanted = format!("ip={}/24", subject.address);
    ensure!(
        option(&guests[0], "ipconfig0").contains(&wanted),
        "{:#?}",
        guests[0]
    );
    let clones = effects(stack, "clone");
    let distinct: BTreeSet<_> = clones.iter().collect();
    ensure!(distinct.len() == clones.len(), "cloned twice: {clones:?}");
    Ok(server)
}

/// Nothing is left of the server: no guest, and name and address can be had again, but not the VMID.
pub(crate) async fn nothing_is_left(stack: &Stack, subject: &Subject) -> anyhow::Result<()> {
    ensure!(marked(stack).is_empty(), "left over: {:#?}", marked(stack));
    let before = effects(stack, "clone");
    stack.simulator.faults().clear();
    let (task, again) = ask_create(stack)
        .await
        .context("name or address is still held")?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let server = is_whole(stack, &again, "running").await?;
    let vmid = server["vmid"]
        .as_u64()
        .and_then(|n| u32::try_from(n).ok())
        .context("no vmid")?;
    ensure!(!before.contains(&vmid), "vmid {vmid} was given again");
    ensure!(again.id != subject.id, "a server's id was given again");
    Ok(())
}

/// After a task that completed.
pub(crate) async fn as_asked(
    stack: &Stack,
    operation: Operation,
    subject: &Subject,
) -> anyhow::Result<()> {
    match operation {
        Operation::Create
        | Operation::Start
        | Operation::Restart
        | Operation::Backup
        | Operation::Restore
        | Operation::RestoreNew
        | Operation::Drill
        | Operation::EraseBackup => is_whole(stack, subject, "running").await.map(|_| ()),
        Operation::Stop => is_whole(stack, subject, "stopped").await.map(|_| ()),
        Operation::Change => {
            let server = is_whole(stack, subject, "running").await?;
            for (field, wanted) in larger().as_object().into_iter().flatten() {
                ensure!(server[field] == *wanted, "{field}: {server:#}");
            }
            Ok(())
        }
        Operation::Destroy => {
            let reply = stack
                .client
                .get(&format!("/api/servers/{}", subject.id))
                .await?;
            ensure!(reply.status == 404, "{} {}", reply.status, reply.body);
            nothing_is_left(stack, subject).await
        }
    }
}
