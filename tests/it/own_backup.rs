//! The service's own backup: written while it works, made again as a database of either kind, and read-only until
//! somebody has accepted it.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio_util::sync::CancellationToken;
use tpm_bootstrap::Service;
use tpm_store_seaorm::SeaStore;
use tpm_test_support::{Client, Database, PASSWORD, Postgres, Reply, Stack};

/// Runs the worker's program with these words, in an environment; whether it went well, and what it said.
fn once(environment: &HashMap<String, String>, words: &[&str]) -> anyhow::Result<(bool, String)> {
    let folder = &environment["TPM__DATA_DIR"];
    let done = Command::new(env!("CARGO_BIN_EXE_stoppable-worker"))
        .args(words)
        .envs(environment)
        .env("TPM_STOP_AT", "nowhere")
        .env("TPM_STOPPED_FILE", Path::new(folder).join("never"))
        .current_dir(std::env::temp_dir())
        .output()?;
    let said = [done.stdout, done.stderr].concat();
    Ok((done.status.success(), String::from_utf8(said)?))
}

fn refused(reply: &Reply, status: u16, code: &str) -> anyhow::Result<()> {
    ensure!(
        reply.status == status && reply.body["error"]["code"] == code,
        "not {status} {code}: {} {}",
        reply.status,
        reply.body
    );
    Ok(())
}

/// An installation with something of everything that has bytes, numbers and words of its own.
async fn furnished(database: Database) -> anyhow::Result<Stack> {
    let mut stack = Stack::builder()
        .database(database)
        .set("WORKER__SCAN_MS", 50)
        .start()
        .await?;
    stack.start_worker()?;
    for name in ["first", "last"] {
        let (task, _) = stack.client.create(name, json!({})).await?;
        ensure!(stack.client.ended(&task).await?["status"] == "completed");
    }
    let body = json!({ "server_id": 1, "notes": "한글, 그리고 \"따옴표\"" });
    let reply = stack.client.post("/api/backups/create", &body).await?;
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let secret = json!({ "password": "s3cr3t" });
    let path = "/api/vault/secrets/secret/own";
    ensure!(stack.client.post(path, &secret).await?.status == 201);
    // The highest number is not there any more, and is not to be given again.
    let reply = stack.client.delete("/api/servers/2").await?;
    let task = stack.client.ended(&stack.client.task_of(&reply)?).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    Ok(stack)
}

/// A place for a copy: an empty folder, and a database of the wanted kind.
struct Place {
    folder: tempfile::TempDir,
    environment: HashMap<String, String>,
}

impl Place {
    fn new(stack: &Stack, database: Option<String>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut environment = stack.environment.clone();
        let data = folder.path().join("data");
        let url = database.unwrap_or_else(|| format!("sqlite://{}", data.join("m.db").display()));
        environment.insert("TPM__DATA_DIR".into(), data.display().to_string());
        environment.insert("TPM__DATABASE__URL".into(), url);
        Ok(Self {
            folder,
            environment,
        })
    }

    fn url(&self) -> &str {
        &self.environment["TPM__DATABASE__URL"]
    }

    async fn open(&self, stack: &Stack) -> anyhow::Result<Service> {
        let mut settings = stack.settings().clone();
        settings.data_dir = self.environment["TPM__DATA_DIR"].clone().into();
        settings.database.url = self.url().to_owned().into();
        Service::open(settings).await
    }
}

/// Everything in a database, but since when it is a copy.
async fn lines_of(url: &str) -> anyhow::Result<Vec<Value>> {
    let store = SeaStore::open_again(url).await?;
    let mut out = Vec::new();
    store.export(&mut out).await?;
    store.close().await;
    let text = String::from_utf8(out)?;
    let mut lines = Vec::new();
    for line in text.lines().skip(1) {
        let line: Value = serde_json::from_str(line)?;
        let is_mark = line["r"]["name"] == "restored_ms";
        // How many rows there are counts that one.
        if !is_mark && line["rows"].is_null() {
            lines.push(alike(line));
        }
    }
    Ok(lines)
}

/// SQLite has no word for true.
fn alike(mut line: Value) -> Value {
    if let Some(row) = line["r"].as_object_mut() {
        for value in row.values_mut() {
            if let Some(word) = value.as_bool() {
                *value = json!(i32::from(word));
            }
            if let Some(number) = value.as_f64().filter(|_| value.is_f64()) {
                *value = json!(format!("{number:.6}"));
            }
        }
    }
    line
}

/// Writes the backup of a stack while it is at work.
async fn written(stack: &Stack) -> anyhow::Result<PathBuf> {
    let file = stack.dir.path().join("own.backup");
    let (environment, target) = (stack.environment.clone(), file.clone());
    let writing = tokio::task::spawn_blocking(move || {
        once(&environment, &["backup", &target.display().to_string()])
    });
    let mut asked = 0;
    while !writing.is_finished() {
        stack
            .client
            .create(&format!("busy{asked}"), json!({}))
            .await?;
        asked += 1;
    }
    let (well, said) = writing.await??;
    ensure!(well && said.contains("is whole"), "{said}");
    for key in ["mark.key", "secrets.key"] {
        ensure!(said.contains(&format!("{key}: in it")), "{said}");
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{mode:o}");
    ensure!(asked > 0, "nobody was at work meanwhile");
    Ok(file)
}

/// What was made of it is read-only, then as any other.
async fn lives(stack: &Stack, place: &Place) -> anyhow::Result<()> {
    let service = place.open(stack).await?;
    let api = service.api().await?;
    let client = Client::new(api.url())?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api.serve(stop.clone()));
    client.login(PASSWORD).await?;
    let server = json!({ "name": "next", "role": "web", "cpu": 1, "memory": 512, "disk_size": 12 });
    refused(
        &client.post("/api/servers/create", &server).await?,
        409,
        "RESTORED_COPY",
    )?;
    refused(
        &client.delete("/api/servers/1").await?,
        409,
        "RESTORED_COPY",
    )?;
    let status = client.get("/api/system/status").await?;
    ensure!(
        status.body["system"]["restored_at"].is_string(),
        "{}",
        status.body
    );
    ensure!(
        status.body["system"]["status"] == "degraded",
        "{}",
        status.body
    );
    // Sealed with a key that was in it.
    let secret = client.get("/api/vault/secrets/secret/own").await?;
    ensure!(
        secret.body["data"]["password"] == "s3cr3t",
        "{}",
        secret.body
    );
    let audit = client.get("/api/audit/verify").await?;
    ensure!(
        audit.status == 200 && audit.body["ok"] != false,
        "{}",
        audit.body
    );
    let worker = service.worker()?;
    ensure!(worker.drain().await? == 0, "a task went on in a copy");
    // What was made after it is taken in meanwhile.
    worker.look().await?;
    let accept = "/api/system/restored/accept";
    ensure!(client.post(accept, &json!({})).await?.status == 200);
    let status = client.get("/api/system/status").await?;
    ensure!(
        status.body["system"]["restored_at"].is_null(),
        "{}",
        status.body
    );
    let made = client.post("/api/servers/create", &server).await?;
    ensure!(made.status == 201, "{} {}", made.status, made.body);
    let id = made.body["server_id"].as_i64().context("server_id")?;
    ensure!(id > 2, "number {id} was given again");
    stop.cancel();
    serving.await??;
    Ok(())
}

async fn from(source: Database, postgres: &Postgres) -> anyhow::Result<()> {
    let stack = furnished(source).await?;
    let file = written(&stack).await?;
    let file = file.display().to_string();
    let mut all = Vec::new();
    for url in [
        None,
        Some(tokio::task::block_in_place(|| postgres.database())?),
    ] {
        let place = Place::new(&stack, url)?;
        let (well, said) = once(&place.environment, &["restore", &file])?;
        ensure!(well && said.contains("accept"), "{said}");
        all.push(lines_of(place.url()).await?);
        // What is there already is not written over.
        let (well, said) = once(&place.environment, &["restore", &file])?;
        ensure!(
            !well && said.contains("there is a database already"),
            "{said}"
        );
        lives(&stack, &place).await?;
    }
    let (sqlite, other) = (&all[0], &all[1]);
    ensure!(
        sqlite.len() == other.len(),
        "{} and {} rows",
        sqlite.len(),
        other.len()
    );
    for (a, b) in sqlite.iter().zip(other) {
        ensure!(a == b, "{a:#} is {b:#}");
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_either_kind_is_made_again_as_either_kind() -> anyhow::Result<()> {
    let postgres = match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => postgres,
        Err(missing) => {
            tpm_test_support::say(&missing.to_string());
            return Ok(());
        }
    };
    from(Database::Sqlite, &postgres).await?;
    let url = tokio::task::block_in_place(|| postgres.database())?;
    from(Database::Url(url), &postgres).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_whole_or_does_not_fit_leaves_nothing() -> anyhow::Result<()> {
    let stack = furnished(Database::Sqlite).await?;
    let file = written(&stack).await?;
    let shown = file.display().to_string();
    let (well, said) = once(&stack.environment, &["backup", &shown])?;
    ensure!(!well && said.contains("is there already"), "{said}");
    // Cut short at any place, or one byte different.
    let whole = std::fs::read(&file)?;
    let broken = stack.dir.path().join("broken.backup");
    for keep in [0, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::File::create(&broken)?.write_all(&whole[..keep])?;
        let place = Place::new(&stack, None)?;
        let (well, said) = once(
            &place.environment,
            &["restore", &broken.display().to_string()],
        )?;
        ensure!(!well, "{keep}: {said}");
        let data = place.folder.path().join("data");
        let left: Vec<_> = std::fs::read_dir(&data)
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        let keys = left
            .iter()
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "key"));
        ensure!(keys.count() == 0, "{keep}: keys are left: {left:?}");
        // What is whole goes there all the same.
        let (well, said) = once(&place.environment, &["restore", &shown])?;
        ensure!(well, "{keep}: {said}");
    }
    let mut other = whole.clone();
    let middle = other.len() / 2;
    other[middle] ^= 0x55;
    std::fs::write(&broken, other)?;
    let place = Place::new(&stack, None)?;
    let (well, said) = once(
        &place.environment,
        &["restore", &broken.display().to_string()],
    )?;
    ensure!(!well, "{said}");
    // Another key is there.
    let place = Place::new(&stack, None)?;
    let data = place.folder.path().join("data");
    std::fs::create_dir_all(&data)?;
    std::fs::write(data.join("mark.key"), "00".repeat(32))?;
    let (well, said) = once(&place.environment, &["restore", &shown])?;
    ensure!(!well && said.contains("is another key"), "{said}");
    // Without keys it is a database alone.
    let bare = stack.dir.path().join("bare.backup");
    let bare = bare.display().to_string();
    let (well, said) = once(&stack.environment, &["backup", "--without-keys", &bare])?;
    ensure!(
        well && said.contains("mark.key: not in it, as asked"),
        "{said}"
    );
    let place = Place::new(&stack, None)?;
    let (well, said) = once(&place.environment, &["restore", &bare])?;
    ensure!(well && !said.contains("key: made"), "{said}");
    stack.stop().await
}
