//! The database gone for a while, killed or frozen: the api says so and how long to wait, nothing ends,
//! nothing is lost, and work goes on by itself when it is back. And clients that hang up in the middle of
//! requests: no connection stays in a transaction, no place of the pool is lost.

use super::fleet::{Api, Worker, stopped};
use super::wire::Wire;
use crate::faults::world::{effects, marked};
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tpm_pve_simulator::{Fault, FaultKind, HoldAt};
use tpm_store::Store;
use tpm_store_seaorm::SeaStore;
use tpm_test_support::{Client, Database, PASSWORD, Postgres, Stack, say};

const SERVERS: usize = 12;
/// How long something may take before it counts as stuck.
const STUCK: Duration = Duration::from_secs(60);
/// How often each thing is asked for while the database is away.
const REFUSALS: usize = 3;

fn postgres() -> anyhow::Result<Option<Postgres>> {
    match tokio::task::block_in_place(Postgres::start)? {
        Ok(postgres) => Ok(Some(postgres)),
        Err(missing) => {
            say(&format!("skipped: {missing}"));
            Ok(None)
        }
    }
}

async fn stack_on(postgres: &Postgres) -> anyhow::Result<Stack> {
    let url = tokio::task::block_in_place(|| postgres.database())?;
    Stack::builder().database(Database::Url(url)).start().await
}

/// A client that gives up long before the api's own limit for a request.
async fn get(client: &Client, path: &str) -> anyhow::Result<(u16, Option<u64>, Value)> {
    let sent = client.http().get(format!("{}{path}", client.base()));
    answer(sent, path).await
}

async fn answer(
    sent: reqwest::RequestBuilder,
    what: &str,
) -> anyhow::Result<(u16, Option<u64>, Value)> {
    let answer = sent.timeout(Duration::from_secs(15)).send().await;
    let answer = answer.with_context(|| format!("no answer to {what}"))?;
    let reply = Client::read(answer).await?;
    let wait = reply.headers.get("retry-after");
    let wait = wait.and_then(|text| text.to_str().ok()?.parse().ok());
    Ok((reply.status, wait, reply.body))
}

/// Everything is refused as it should be; the longest time that took.
async fn refused(client: &Client) -> anyhow::Result<Duration> {
    let mut longest = Duration::ZERO;
    for n in 0..REFUSALS {
        let began = Instant::now();
        let create = server(&format!("away-{n}"));
        let write = client
            .http()
            .post(format!("{}/api/servers/create", client.base()));
        let login = client
            .http()
            .post(format!("{}/api/auth/login", client.base()));
        let login = login.json(&json!({ "username": "admin", "password": PASSWORD }));
        let (read, write, login, ready, health) = tokio::try_join!(
            get(client, "/api/servers"),
            answer(write.json(&create), "create"),
            answer(login, "login"),
            get(client, "/readyz"),
            get(client, "/healthz"),
        )?;
        longest = longest.max(began.elapsed());
        for (what, (status, wait, body)) in [("read", read), ("write", write), ("login", login)] {
            ensure!(status == 503, "{what}: {status} {body}");
            ensure!(
                wait.is_some_and(|secs| secs >= 1),
                "{what}: retry-after {wait:?}"
            );
            ensure!(body["error"]["code"] == "UNAVAILABLE", "{what}: {body}");
        }
        ensure!(ready.0 == 503 && ready.1.is_some(), "readyz: {ready:?}");
        ensure!(health.0 == 200, "healthz: {health:?}");
    }
    Ok(longest)
}

/// The database goes away in the middle of a bulk and comes back.
async fn away(
    go: impl FnOnce(&mut Postgres) -> anyhow::Result<()>,
    come_back: impl FnOnce(&mut Postgres) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(mut postgres) = postgres()? else {
        return Ok(());
    };
    let stack = stack_on(&postgres).await?;
    let (mut api, mut workers) = tokio::task::block_in_place(|| {
        let api = Api::start(&stack, "api")?;
        let workers = [
            Worker::start(&stack, "worker-1")?,
            Worker::start(&stack, "worker-2")?,
        ];
        anyhow::Ok((api, workers))
    })?;
    let client = Client::new(api.url())?;
    client.login(PASSWORD).await?;
    // One worker is in the middle of an act when it happens.
    let at = HoldAt::Request;
    let hold = Fault::once(
        "POST",
        "/nodes/*/qemu/*/status/start",
        FaultKind::Hold { at },
    );
    let held = stack.simulator.faults().inject(hold);
    let body = json!({ "servers": servers("s") });
    let reply = client.post("/api/servers/bulk-create", &body).await?;
    ensure!(reply.status == 201, "{}", reply.body);
    let task = reply.body["task_id"].as_str().context("task")?.to_owned();
    stack.simulator.faults().wait_until_held(held).await;
    tokio::task::block_in_place(|| go(&mut postgres))?;
    stack.simulator.faults().release(held);
    let longest = refused(&client).await?;
    tokio::task::block_in_place(|| come_back(&mut postgres))?;
    let back = Instant::now();
    while client.get("/readyz").await?.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ready = back.elapsed();
    let ended = client.ended(&task).await?;
    say(&format!(
        "the slowest round of refusals took {longest:.1?}; ready {ready:.1?} and done {:.1?} after",
        back.elapsed()
    ));
    ensure!(ended["status"] == "completed", "{ended:#}");
    let cloned = effects(&stack, "clone");
    let distinct: BTreeSet<_> = cloned.iter().collect();
    ensure!(
        cloned.len() == SERVERS && distinct.len() == SERVERS,
        "{cloned:?}"
    );
    ensure!(marked(&stack).len() == SERVERS);
    let list = client.get("/api/servers").await?;
    ensure!(
        list.body["total"] == SERVERS,
        "refused and made all the same: {}",
        list.body
    );
    tokio::task::block_in_place(|| {
        for process in workers.iter_mut().map(Worker::process_mut) {
            ensure!(process.is_running()?, "a worker has ended");
            stopped(process)?;
        }
        ensure!(api.process_mut().is_running()?, "the api has ended");
        stopped(api.process_mut())
    })?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_database_is_waited_for() -> anyhow::Result<()> {
    away(Postgres::kill, Postgres::start_again).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_database_is_waited_for() -> anyhow::Result<()> {
    away(|postgres| postgres.freeze(), |postgres| postgres.thaw()).await
}

/// Every connection goes dead without a word, several times in the middle of work, each time with all of
/// the api's in the middle of a statement: callers are told, the dead ones are given up, and no place of
/// the pool is lost to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_die_without_a_word_are_given_up() -> anyhow::Result<()> {
    let Some(postgres) = postgres()?.map(Arc::new) else {
        return Ok(());
    };
    let url = tokio::task::block_in_place(|| postgres.database())?;
    let (rest, database) = url.rsplit_once('/').context("a name")?;
    let (user, address) = rest.rsplit_once('@').context("an address")?;
    let wire = Wire::to(address.to_owned()).await?;
    let cuttable = format!("{user}@{}/{database}", wire.address());
    let stack = Stack::builder()
        .database(Database::Url(cuttable))
        .start()
        .await?;
    let mut workers = tokio::task::block_in_place(|| {
        anyhow::Ok([
            Worker::start(&stack, "worker-1")?,
            Worker::start(&stack, "worker-2")?,
        ])
    })?;
    for round in 1..=3 {
        let hold = FaultKind::Hold {
            at: HoldAt::Request,
        };
        let hold = Fault::once("POST", "/nodes/*/qemu/*/status/start", hold);
        let held = stack.simulator.faults().inject(hold);
        let body = json!({ "servers": servers(&format!("r{round}-")) });
        let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
        ensure!(reply.status == 201, "{}", reply.body);
        let task = reply.body["task_id"].as_str().context("task")?;
        stack.simulator.faults().wait_until_held(held).await;
        let asking = cut_in_a_statement(&wire, &postgres, database, &stack.client).await?;
        stack.simulator.faults().release(held);
        let cut = Instant::now();
        for asked in asking {
            let (status, wait, body) = asked.await??;
            ensure!(status == 503 && wait.is_some(), "{status} {body}");
        }
        let told = cut.elapsed();
        loop {
            let (status, _, body) = get(&stack.client, &format!("/api/tasks/{task}")).await?;
            if status == 200 && !matches!(body["status"].as_str(), Some("pending" | "running")) {
                ensure!(body["status"] == "completed", "{body:#}");
                break;
            }
            ensure!(matches!(status, 200 | 503), "{status} {body}");
            ensure!(cut.elapsed() < STUCK, "nothing goes on: {status} {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let cloned = effects(&stack, "clone");
        ensure!(cloned.len() == round * SERVERS, "{} clones", cloned.len());
        let done = cut.elapsed();
        whole_pool(&stack.service.store()).await?;
        let whole = cut.elapsed();
        say(&format!(
            "told {told:.1?}, done {done:.1?}, all connections back {whole:.1?} after the cut"
        ));
    }
    tokio::task::block_in_place(|| {
        workers
            .iter_mut()
            .try_for_each(|worker| stopped(worker.process_mut()))
    })?;
    stack.stop().await
}

/// A process that ends does not wait for what will never come back.
#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_for_no_connection_that_is_dead() -> anyhow::Result<()> {
    let Some(postgres) = postgres()? else {
        return Ok(());
    };
    let url = tokio::task::block_in_place(|| postgres.database())?;
    let (rest, database) = url.rsplit_once('/').context("a name")?;
    let (user, address) = rest.rsplit_once('@').context("an address")?;
    let wire = Wire::to(address.to_owned()).await?;
    let store = SeaStore::open(&format!("{user}@{}/{database}", wire.address())).await?;
    let under_way = store.begin().await?;
    wire.cut();
    let closed = tokio::time::timeout(STUCK, store.close()).await;
    closed.context("it waits on")?;
    drop(under_way);
    Ok(())
}

type Asking = JoinHandle<anyhow::Result<(u16, Option<u64>, Value)>>;

/// Cuts the wire at a moment when every connection that the api may have waits for the answer to a
/// statement; the requests that wait behind them.
async fn cut_in_a_statement(
    wire: &Wire,
    postgres: &Arc<Postgres>,
    database: &str,
    client: &Client,
) -> anyhow::Result<Vec<Asking>> {
    let locker = {
        let (postgres, database) = (Arc::clone(postgres), database.to_owned());
        let sql = "BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)";
        tokio::task::spawn_blocking(move || postgres.ask_in(&database, sql))
    };
    let ask = |sql: &str| tokio::task::block_in_place(|| postgres.ask(sql));
    let locking =
        "FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%' AND pid <> pg_backend_pid()";
    while ask(&format!(
        "SELECT count(*) {locking} AND wait_event = 'PgSleep'"
    ))? != "1"
    {
        ensure!(!locker.is_finished(), "nobody holds the lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asking: Vec<Asking> = (0..POOL)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { get(&client, "/api/servers").await })
        })
        .collect();
    // Workers wait for locks, too, but not for this one.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND query LIKE '%sessions%' AND query NOT LIKE 'BEGIN; LOCK%'";
    while ask(waiting)? != POOL.to_string() {
        ensure!(
            !asking.iter().any(JoinHandle::is_finished),
            "too slow to wait"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    wire.cut();
    ask(&format!("SELECT pg_terminate_backend(pid) {locking}"))?;
    locker
        .await?
        .err()
        .context("the lock was given up by itself")?;
    Ok(asking)
}

/// Every place of the pool can be had at once, as soon as what was given up is closed.
async fn whole_pool(store: &SeaStore) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let mut open = Vec::new();
        while open.len() < POOL {
            match store.begin().await {
                Ok(one) => open.push(one),
                Err(error) if began.elapsed() > STUCK => {
                    bail!("only {} of {POOL} connections: {error:?}", open.len());
                }
                Err(_) => break,
            }
        }
        if open.len() == POOL {
            return Ok(());
        }
    }
}

/// Bodies of [`SERVERS`] small servers.
fn servers(prefix: &str) -> Vec<Value> {
    (0..SERVERS)
        .map(|n| server(&format!("{prefix}{n}")))
        .collect()
}

fn server(name: &str) -> Value {
    json!({ "name": name, "role": "web", "cpu": 1, "memory": 512, "disk_size": 10 })
}

/// Numbers without a pattern, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % limit
    }
}

/// Sends part of a request, or all of it, waits a little, and hangs up.
async fn abort(
    address: String,
    request: Vec<u8>,
    length: usize,
    turns: usize,
) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(&request[..length]).await?;
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    Ok(())
}

const ABORTED: usize = 500;
const AT_ONCE: usize = 24;
/// As many as one process has; the stack's api has this pool.
const POOL: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_cut_off_anywhere_leave_no_transaction_and_no_gap_in_the_pool()
-> anyhow::Result<()> {
    let Some(postgres) = postgres()? else {
        return Ok(());
    };
    let url = tokio::task::block_in_place(|| postgres.database())?;
    let stack = Stack::builder()
        .database(Database::Url(url.clone()))
        .set("NETWORK__POOL", "10.0.0.1-10.0.255.254")
        .set("NETWORK__PREFIX", 16)
        .set("NETWORK__GATEWAY", "")
        .start()
        .await?;
    let login = stack
        .client
        .http()
        .post(format!("{}/api/auth/login", stack.client.base()));
    let login = login.json(&json!({ "username": "admin", "password": PASSWORD }));
    let login = login.send().await?;
    let cookie = login.headers()["set-cookie"].to_str()?;
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let address = stack.client.base().replace("http://", "");
    let requests = |n: usize| {
        let create = server(&format!("a{n}"));
        let bulk = json!({ "servers": servers(&format!("b{n}-")) });
        let (method, path, body) = match n % 4 {
            0 => ("GET", "/api/servers?limit=50", String::new()),
            1 => ("POST", "/api/servers/bulk-create", bulk.to_string()),
            2 => (
                "PUT",
                "/api/servers/1/status",
                json!({ "status": "stopped" }).to_string(),
            ),
            _ => ("POST", "/api/servers/create", create.to_string()),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut running = tokio::task::JoinSet::new();
    for n in 0..ABORTED {
        let request = requests(n);
        // Half of them whole, cut off while they are worked on.
        let whole = dice.below(2) == 0;
        let length = if whole {
            request.len()
        } else {
            dice.below(request.len())
        };
        let turns = if whole {
            dice.below(2000)
        } else {
            dice.below(50)
        };
        running.spawn(abort(address.clone(), request, length, turns));
        if running.len() == AT_ONCE {
            running.join_next().await.context("one")???;
        }
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    // What was begun is finished, whoever listens. A transaction that somebody goes on with is never idle
    // for long; the server itself would end one after five seconds.
    loop {
        let state = tokio::task::block_in_place(|| {
            postgres.ask(
                "SELECT count(*) FILTER (WHERE xact_start IS NOT NULL),
                        count(*) FILTER (WHERE state LIKE 'idle in transaction%'
                                         AND state_change < now() - interval '3 s')
                 FROM pg_stat_activity WHERE datname <> 'postgres'",
            )
        })?;
        ensure!(state.ends_with("|0"), "left in a transaction: {state}");
        if state == "0|0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    whole_pool(&stack.service.store()).await?;
    // And nothing is half there.
    let servers = stack.client.get("/api/servers?limit=1").await?.body["total"].clone();
    let database = url.rsplit('/').next().unwrap_or_default();
    let without_task = tokio::task::block_in_place(|| {
        postgres.ask_in(
            database,
            "SELECT count(*) FROM servers s
             WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.server_id = s.id)",
        )
    })?;
    ensure!(
        without_task == "0",
        "{without_task} of {servers} servers have no task"
    );
    ensure!(
        servers.as_u64().is_some_and(|count| count > 0),
        "nothing was accepted at all"
    );
    say(&format!(
        "{ABORTED} requests cut off, {servers} servers accepted"
    ));
    stack.stop().await
}
