//! The database is put back to a copy that is older than the cluster: what was made since is taken in
//! again, what was deleted since is missed, nothing is destroyed, and no number is given twice.

use crate::storm::args::Database;
use crate::storm::book::{Network, Wish};
use crate::storm::caller::Ask;
use crate::storm::judge;
use crate::storm::person::body;
use crate::storm::rows::Rows;
use crate::storm::storm::Storm;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The copy is as old as one that was made ten minutes ago.
const AGED: &str = "UPDATE counters SET value = value - 600000 WHERE name = 'picture'";

/// Servers in the copy; of these so many are deleted after it; servers that are made after it.
const OLDER: usize = 20;
const DELETED: usize = 5;
const NEWER: usize = 50;
/// Servers that are asked for as soon as the old copy is accepted.
const NEXT: usize = 20;
/// How long it may take until everything is taken in.
const TAKEN_IN: Duration = Duration::from_secs(60);

pub(super) async fn rage(storm: &Storm) -> anyhow::Result<()> {
    make(storm, "older", OLDER).await?;
    stop(storm)?;
    copy(storm).await?;
    start(storm)?;
    make(storm, "newer", NEWER).await?;
    delete(storm).await?;
    let before: BTreeMap<u32, String> = guests(storm);
    stop(storm)?;
    put_back(storm).await?;
    let rows = Rows::of(&storm.installation.database);
    rows.run(AGED).await?;
    drop(rows);
    let effects = storm.installation.simulator.effect_count();
    start(storm)?;
    // Tasks that were open in the copy wait until it is accepted.
    wait_until_taken_in(storm, &before, false).await?;
    accept(storm).await?;
    let next = make(storm, "next", NEXT).await?;
    let adopted = wait_until_taken_in(storm, &before, true).await?;
    let after = guests(storm);
    for (vmid, name) in &before {
        if after.get(vmid) != Some(name) {
            storm.violate("R17", &format!("VM {vmid} ({name}) is gone"), &[*vmid]);
        }
    }
    let destroyed = storm
        .installation
        .simulator
        .effects()
        .iter()
        .skip(effects)
        .filter(|effect| effect.kind == "destroy")
        .count();
    if destroyed > 0 {
        storm.violate("R17", &format!("{destroyed} guests were destroyed"), &[]);
    }
    for vmid in &next {
        if before.contains_key(vmid) {
            storm.violate("I6", &format!("VMID {vmid} was given again"), &[*vmid]);
        }
    }
    storm.find(format!(
        "{OLDER} servers in the copy, {NEWER} made and {DELETED} deleted since: {adopted} taken in, \
         {destroyed} destroyed, {} made meanwhile under numbers of their own",
        next.len()
    ));
    storm.kill.store(storm.args.kills, Ordering::SeqCst);
    clear(storm).await
}

/// The copy is known to be one, and is accepted.
async fn accept(storm: &Storm) -> anyhow::Result<()> {
    let status = storm.caller.get("/api/system/status").await?;
    if status["system"]["restored_at"].is_null() {
        storm.violate("R17", "nobody noticed that the database is old", &[]);
    }
    let ask = Ask::of(reqwest::Method::POST, "/api/system/restored/accept", None);
    let answer = storm.caller.definite(ask).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    Ok(())
}

/// Names of our guests by number.
fn guests(storm: &Storm) -> BTreeMap<u32, String> {
    let guests = storm.installation.simulator.guests().into_iter();
    guests
        .filter(|guest| judge::marked_for(guest).is_some())
        .map(|guest| (guest.vmid, guest.name))
        .collect()
}

/// Makes servers and waits; their numbers.
async fn make(storm: &Storm, name: &str, many: usize) -> anyhow::Result<Vec<u32>> {
    let mut asked = Vec::new();
    for n in 0..many {
        let wish = Wish {
            name: format!("{name}-{n}"),
            role: "web",
            cpu: 1,
            memory: 512,
            disk: 10,
            network: Network::Pool,
        };
        let body = body(&wish);
        let key = format!("storm-{}-{}", storm.seed, wish.name);
        let ask = Ask::post("/api/servers/create", &body, &key);
        let answer = storm.caller.definite(ask).await?;
        ensure!(answer.status == 201, "{} {}", answer.status, answer.body);
        let id = answer.body["server_id"].as_i64().context("server_id")?;
        let token = answer.body["task_id"].as_str().context("task_id")?;
        asked.push((id, token.to_owned()));
    }
    let mut vmids = Vec::new();
    for (id, token) in asked {
        wait(storm, &token).await?;
        let server = storm.caller.get(&format!("/api/servers/{id}")).await?;
        let vmid = server["vmid"].as_u64().context("vmid")?;
        vmids.push(u32::try_from(vmid)?);
    }
    Ok(vmids)
}

async fn wait(storm: &Storm, token: &str) -> anyhow::Result<()> {
    loop {
        let task = storm.caller.get(&format!("/api/tasks/{token}")).await?;
        match task["status"].as_str() {
            Some("completed") => return Ok(()),
            Some("pending" | "running") => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => anyhow::bail!("{task}"),
        }
    }
}

async fn servers(storm: &Storm) -> anyhow::Result<Vec<Value>> {
    storm.caller.all("/api/servers", "servers").await
}

async fn delete(storm: &Storm) -> anyhow::Result<()> {
    let older = |server: &&Value| {
        let name = server["name"].as_str().unwrap_or_default();
        name.starts_with("older-")
    };
    for server in servers(storm).await?.iter().filter(older).take(DELETED) {
        let path = format!("/api/servers/{}", server["id"]);
        let ask = Ask::of(reqwest::Method::DELETE, &path, None);
        let answer = storm.caller.definite(ask).await?;
        wait(storm, answer.body["task_id"].as_str().context("task_id")?).await?;
    }
    Ok(())
}

/// What was taken in can be deleted like everything else.
async fn clear(storm: &Storm) -> anyhow::Result<()> {
    let mut tokens = Vec::new();
    for server in servers(storm).await? {
        let path = format!("/api/servers/{}", server["id"]);
        let ask = Ask::of(reqwest::Method::DELETE, &path, None);
        let answer = storm.caller.definite(ask).await?;
        tokens.push(
            answer.body["task_id"]
                .as_str()
                .context("task_id")?
                .to_owned(),
        );
    }
    for token in tokens {
        wait(storm, &token).await?;
    }
    let left = guests(storm);
    if !left.is_empty() {
        let text = format!("left after everything was deleted: {left:?}");
        storm.violate("I5", &text, &left.keys().copied().collect::<Vec<_>>());
    }
    Ok(())
}

fn stop(storm: &Storm) -> anyhow::Result<()> {
    for process in storm.installation.processes() {
        let (status, _) = tokio::task::block_in_place(|| process.stop())?;
        ensure!(status.success(), "{} ended with {status}", process.name);
    }
    Ok(())
}

fn start(storm: &Storm) -> anyhow::Result<()> {
    for process in storm.installation.processes() {
        process.start()?;
    }
    Ok(())
}

fn files(storm: &Storm) -> (PathBuf, PathBuf) {
    let folder = storm.installation.path();
    (folder.join("manager.db"), folder.join("older.db"))
}

fn name(storm: &Storm) -> &str {
    let url = &storm.installation.database;
    url.rsplit('/').next().unwrap_or_default()
}

/// As a backup tool does, with nobody at work.
async fn copy(storm: &Storm) -> anyhow::Result<()> {
    match storm.args.database {
        Database::Sqlite => {
            let (file, copy) = files(storm);
            tokio::fs::copy(file, copy).await.map(|_| ())?;
            Ok(())
        }
        Database::Postgres => {
            let name = name(storm);
            ask(
                storm,
                &[format!("CREATE DATABASE {name}_older TEMPLATE {name}")],
            )
        }
    }
}

async fn put_back(storm: &Storm) -> anyhow::Result<()> {
    match storm.args.database {
        Database::Sqlite => {
            let (file, copy) = files(storm);
            for journal in ["-wal", "-shm"] {
                let mut name = file.clone().into_os_string();
                name.push(journal);
                tokio::fs::remove_file(name).await.ok();
            }
            tokio::fs::copy(copy, file).await.map(|_| ())?;
            Ok(())
        }
        Database::Postgres => {
            let name = name(storm);
            ask(
                storm,
                &[
                    format!("DROP DATABASE {name} WITH (FORCE)"),
                    format!("ALTER DATABASE {name}_older RENAME TO {name}"),
                ],
            )
        }
    }
}

fn ask(storm: &Storm, sql: &[String]) -> anyhow::Result<()> {
    let postgres = storm.installation.postgres.as_ref().context("PostgreSQL")?;
    tokio::task::block_in_place(|| {
        let postgres = postgres.lock().unwrap_or_else(PoisonError::into_inner);
        postgres.cut_connections()?;
        sql.iter().try_for_each(|sql| postgres.ask(sql).map(|_| ()))
    })
}

/// Until every guest that was there is a server again, one that runs if that is asked for; how many had to be taken in.
async fn wait_until_taken_in(
    storm: &Storm,
    before: &BTreeMap<u32, String>,
    runs: bool,
) -> anyhow::Result<usize> {
    let began = Instant::now();
    loop {
        let known: BTreeSet<u64> = servers(storm)
            .await?
            .iter()
            .filter(|server| !runs || server["status"] == "running")
            .filter_map(|server| server["vmid"].as_u64())
            .collect();
        let unknown: Vec<u32> = before
            .keys()
            .copied()
            .filter(|vmid| !known.contains(&u64::from(*vmid)))
            .collect();
        if unknown.is_empty() {
            let notes = storm.caller.all("/api/notifications", "notifications");
            let adopted = |note: &&Value| note["event"] == "adopted";
            return Ok(notes.await?.iter().filter(adopted).count());
        }
        if began.elapsed() > TAKEN_IN {
            let text = format!("{unknown:?} are no servers after {TAKEN_IN:?}");
            storm.violate("R17", &text, &unknown);
            return Ok(0);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
