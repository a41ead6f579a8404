//! Every process replaced in turn, under load: no request fails, no step is done twice.

use super::fleet::{Api, Worker};
use super::proxy::Proxy;
use crate::faults::world::{effects, marked};
use anyhow::{Context, ensure};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;
use tpm_pve_simulator::{Fault, FaultKind, HoldAt};
use tpm_test_support::{Client, Database, PASSWORD, Postgres, Stack};

const ROUNDS: usize = 3;
const CLIENTS: usize = 4;

/// Asks for servers and lists, one after the other, until told to end; the tasks it was given.
async fn load(
    client: Client,
    me: usize,
    over: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
) -> anyhow::Result<Vec<String>> {
    let mut tasks = Vec::new();
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let what = format!("client {me}, request {n}");
        if n % 16 == 0 {
            let (task, _) = client
                .create(&format!("c{me}-{n}"), json!({}))
                .await
                .context(what)?;
            tasks.push(task);
        } else {
            let reply = client
                .get("/api/servers?limit=10")
                .await
                .context(what.clone())?;
            ensure!(
                reply.status == 200,
                "{what}: {} {}",
                reply.status,
                reply.body
            );
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
    Ok(tasks)
}

async fn rolling(database: Database) -> anyhow::Result<()> {
    let stack = Stack::builder()
        .database(database)
        .set("NETWORK__POOL", "10.0.0.1-10.0.255.254")
        .set("NETWORK__PREFIX", 16)
        .set("NETWORK__GATEWAY", "")
        .set("WORKER__CONCURRENCY", 4)
        // However fast the machine asks, there is room.
        .set("PROXMOX__CPU_OVERCOMMIT_PERCENT", 10_000)
        .set("PROXMOX__MEMORY_OVERCOMMIT_PERCENT", 10_000)
        .set("PROXMOX__STORAGE_OVERCOMMIT_PERCENT", 10_000)
        .start()
        .await?;
    let (mut apis, mut workers) = tokio::task::block_in_place(|| {
        let apis = [Api::start(&stack, "api-1")?, Api::start(&stack, "api-2")?];
        let workers = [
            Worker::start(&stack, "worker-1")?,
            Worker::start(&stack, "worker-2")?,
        ];
        anyhow::Ok((apis, workers))
    })?;
    let proxy = Proxy::start(apis.iter().map(Api::url).collect()).await?;
    let client = Client::new(proxy.url())?;
    client.login(PASSWORD).await?;
    let over = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|me| tokio::spawn(load(client.clone(), me, over.clone(), asked.clone())))
        .collect();
    tokio::task::block_in_place(|| {
        for round in 0..ROUNDS {
            for (api, worker) in apis.iter_mut().zip(&mut workers) {
                api.restart(&stack)
                    .and_then(|()| worker.restart(&stack))
                    .with_context(|| format!("round {round}"))?;
            }
        }
        anyhow::Ok(())
    })?;
    over.store(true, Ordering::Relaxed);
    let mut tasks = Vec::new();
    for client in clients {
        tasks.extend(client.await??);
    }
    let (asked, answered) = (asked.load(Ordering::Relaxed), proxy.answered());
    ensure!(
        answered.iter().all(|&count| count > asked / 10),
        "{asked} requests, answered by the two: {answered:?}"
    );
    for task in &tasks {
        let ended = client.ended(task).await?;
        ensure!(ended["status"] == "completed", "{ended:#}");
    }
    let cloned = effects(&stack, "clone");
    let distinct: BTreeSet<_> = cloned.iter().collect();
    ensure!(
        cloned.len() == tasks.len() && distinct.len() == tasks.len(),
        "{} tasks, {} clones, {} of them different",
        tasks.len(),
        cloned.len(),
        distinct.len()
    );
    ensure!(marked(&stack).len() == tasks.len());
    tokio::task::block_in_place(|| {
        for process in apis.iter_mut().map(Api::process_mut) {
            super::fleet::stopped(process)?;
        }
        for process in workers.iter_mut().map(Worker::process_mut) {
            super::fleet::stopped(process)?;
        }
        anyhow::Ok(())
    })?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_fails_no_request() -> anyhow::Result<()> {
    rolling(Database::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_on_postgresql_fails_no_request() -> anyhow::Result<()> {
    let postgres = match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => postgres,
        Err(missing) => {
            tpm_test_support::say(&format!("skipped: {missing}"));
            return Ok(());
        }
    };
    let url = tokio::task::block_in_place(|| postgres.database())?;
    rolling(Database::Url(url)).await
}

/// Asked to stop, an api says so to who looks, still answers, and asks that its connections be closed;
/// then its port is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaving_api_says_so_before_it_stops_accepting() -> anyhow::Result<()> {
    let stack = Stack::builder().set("API__DRAIN_SECS", 60).start().await?;
    let api = stack.service.api().await?;
    let client = Client::new(api.url())?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api.serve(stop.clone()));
    let before = client.get("/readyz").await?;
    ensure!(before.status == 200, "{}", before.body);
    ensure!(!before.headers.contains_key("connection"), "{before:?}");
    stop.cancel();
    loop {
        let ready = client.get("/readyz").await?;
        if ready.status == 503 {
            ensure!(ready.headers.contains_key("retry-after"), "{ready:?}");
            break;
        }
    }
    client.login(PASSWORD).await?;
    for path in ["/healthz", "/api/servers"] {
        let reply = client.get(path).await?;
        ensure!(
            reply.status == 200,
            "{path}: {} {}",
            reply.status,
            reply.body
        );
        ensure!(reply.headers["connection"] == "close", "{path}: {reply:?}");
    }
    serving.abort();
    Ok(())
}

/// A request that is in flight when the listener closes gets its answer, and the process ends then,
/// however many idle connections are open.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_answered_before_the_end() -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stack = Stack::builder().start().await?;
    let api = stack.service.api().await?;
    let address = api.url().replace("http://", "");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api.serve(stop.clone()));
    let idle = Client::new(format!("http://{address}"))?;
    ensure!(idle.get("/healthz").await?.status == 200);
    let mut half = tokio::net::TcpStream::connect(&address).await?;
    let body = r#"{"username":"admin","password":"nonsense"}"#;
    let head = format!(
        "POST /api/auth/login HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    half.write_all(head.as_bytes()).await?;
    // The handler waits for the body: it asked for it.
    let mut asked = [0; 25];
    half.read_exact(&mut asked).await?;
    ensure!(asked.starts_with(b"HTTP/1.1 100"), "{asked:?}");
    stop.cancel();
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    ensure!(!serving.is_finished());
    half.write_all(body.as_bytes()).await?;
    let mut answer = String::new();
    half.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    serving.await??;
    stack.stop().await
}

/// A worker that is asked to stop in the middle of an act writes down what came of it and gives its task
/// back: the next one goes on at once, ten minutes before the lease is over, and repeats nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_leaving_worker_gives_its_leases_back() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("WORKER__LEASE_MS", 600_000)
        .start()
        .await?;
    let at = HoldAt::Request;
    let hold = Fault::once("PUT", "/nodes/*/qemu/*/config", FaultKind::Hold { at });
    let held = stack.simulator.faults().inject(hold);
    let mut worker = tokio::task::block_in_place(|| Worker::start(&stack, "worker-1"))?;
    let (task, _) = stack.client.create("one", json!({})).await?;
    stack.simulator.faults().wait_until_held(held).await;
    worker.process_mut().signal("TERM")?;
    stack.simulator.faults().release(held);
    let ended = tokio::task::block_in_place(|| worker.process_mut().wait())?;
    ensure!(ended.success(), "{ended}");
    let left = stack.client.get(&format!("/api/tasks/{task}")).await?.body;
    ensure!(left["status"] == "running", "{left:#}");
    let mut worker = tokio::task::block_in_place(|| Worker::start(&stack, "worker-2"))?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(effects(&stack, "clone").len() == 1, "cloned again");
    ensure!(effects(&stack, "config").len() == 1, "configured again");
    tokio::task::block_in_place(|| super::fleet::stopped(worker.process_mut()))?;
    stack.stop().await
}
