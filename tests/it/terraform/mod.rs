//! Servers made by the real Terraform with the real provider, on the simulated cluster.

mod cut_off;
mod eject;
mod encrypted;
mod found;
mod import;
mod killed;
mod plans;
mod progress;
mod restored;
mod secrets;

use super::fleet::{hand, is};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::io::{Cursor, Read};
use std::path::Path;
use tpm_test_support::{Stack, StackBuilder, Terraform, say};

/// A stack with the engine; `None`, said aloud, without Terraform.
fn stack() -> anyhow::Result<Option<(StackBuilder, Terraform)>> {
    match Terraform::find()? {
        Ok(terraform) => Ok(Some((Stack::builder().terraform(&terraform), terraform))),
        Err(missing) => {
            say(&format!("skipped: {missing}"));
            Ok(None)
        }
    }
}

/// The same without the program.
pub(crate) fn with_terraform() -> anyhow::Result<Option<StackBuilder>> {
    Ok(stack()?.map(|(builder, _)| builder))
}

/// Asks for a server of the engine; the task and the server's number.
async fn asked(stack: &Stack, name: &str) -> anyhow::Result<(String, i64)> {
    let engine = json!({ "engine": "terraform" });
    stack.client.create(name, engine).await
}

/// A running server of the engine; its number and its guest's.
async fn running(stack: &Stack, name: &str) -> anyhow::Result<(i64, u32)> {
    let (task, id) = asked(stack, name).await?;
    hand(stack)?.drain().await?;
    completed(stack, &task).await?;
    let server = stack.client.server(id).await?;
    let vmid = server["vmid"].as_u64().context("vmid")?;
    Ok((id, u32::try_from(vmid)?))
}

async fn completed(stack: &Stack, task: &str) -> anyhow::Result<Value> {
    let task = stack.client.ended(task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    Ok(task)
}

/// Asks for a change and carries it out; the task as it ended.
async fn changed(stack: &Stack, id: i64, body: &Value) -> anyhow::Result<Value> {
    let path = format!("/api/servers/{id}");
    let answer = is(stack.client.patch(&path, body).await?, 200)?;
    hand(stack)?.drain().await?;
    let task = answer["task_id"].as_str().context("task_id")?;
    stack.client.ended(task).await
}

/// Takes a server away: its files in a folder, and the folder's name.
async fn ejected(stack: &Stack, id: i64, to: &Path) -> anyhow::Result<()> {
    let url = format!("{}/api/servers/{id}/terraform", stack.client.base());
    let answer = stack.client.http().get(url).send().await?;
    ensure!(answer.status() == 200, "{answer:?}");
    let bytes = answer.bytes().await?;
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    for n in 0..archive.len() {
        let mut file = archive.by_index(n)?;
        let path = file.enclosed_name().context("a name")?;
        let path = to.join(path.strip_prefix(path.iter().next().context("a folder")?)?);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        std::fs::write(path, content)?;
    }
    Ok(())
}

/// A plan of the ejected server says that nothing is to be done.
async fn has_no_changes(stack: &Stack, terraform: &Terraform, id: i64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    ejected(stack, id, dir.path()).await?;
    tokio::task::block_in_place(|| {
        let run = |args: &[&str]| terraform.by_hand(stack, dir.path(), args);
        run(&["init", "-no-color", "-input=false"])?;
        let plan = run(&["plan", "-no-color", "-input=false"])?;
        ensure!(plan.contains("No changes."), "{plan}");
        Ok(())
    })
}

/// The guests that carry our mark.
fn ours(stack: &Stack) -> Vec<u32> {
    let guests = stack.simulator.guests().into_iter();
    guests
        .filter(|guest| guest.description.contains("tpm:v1 "))
        .map(|guest| guest.vmid)
        .collect()
}

/// What a task's runs printed, line by line.
async fn printed(stack: &Stack, task: &Value) -> anyhow::Result<Vec<String>> {
    let task = task["task_id"].as_str().context("task_id")?;
    let path = format!("/api/tasks/{task}/log?limit=500");
    let log = is(stack.client.get(&path).await?, 200)?;
    let lines = log["lines"].as_array().context("lines")?.iter();
    Ok(lines
        .filter_map(|line| line["text"].as_str().map(str::to_owned))
        .collect())
}
