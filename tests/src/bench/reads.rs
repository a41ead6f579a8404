//! The list of servers beside a fixed body of the same bytes, served by the same process on the same
//! listener; and the list while others log in.

use crate::measure::{Size, median, ratios, say, spread, weather};
use anyhow::{Context, ensure};
use axum::Router;
use axum::http::header;
use axum::routing::get;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tpm_test_support::{Client, PASSWORD, Stack};

const SERVERS: usize = 1000;
const CLIENTS: usize = 32;
const REQUESTS: usize = 3200;
/// Logins that are under way at once while the list is read again.
const LOGINS: usize = 500;
const LIST: &str = "/api/servers?limit=50";

/// Requests a second, and the middle and 99th hundredth of their times.
struct Load {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
}

async fn load(client: &Client, path: &'static str, bytes: usize) -> anyhow::Result<Load> {
    let began = Instant::now();
    let workers: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(REQUESTS / CLIENTS);
                for _ in 0..REQUESTS / CLIENTS {
                    let sent = Instant::now();
                    let url = format!("{}{path}", client.base());
                    let body = client.http().get(url).send().await?.bytes().await?;
                    ensure!(body.len() == bytes, "{path}: {} bytes", body.len());
                    times.push(sent.elapsed());
                }
                Ok(times)
            })
        })
        .collect();
    let mut times: Vec<Duration> = Vec::with_capacity(REQUESTS);
    for worker in workers {
        times.extend(worker.await??);
    }
    let took = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    let count = u32::try_from(times.len())?;
    Ok(Load {
        rate: f64::from(count) / took,
        p50_ms: at(50),
        p99_ms: at(99),
    })
}

/// Wrong logins without an end, each from an address of its own so that none is told to wait; how many were
/// answered.
fn log_in_without_end(client: &Client, answered: &Arc<AtomicUsize>) -> JoinSet<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for _ in 0..LOGINS {
        let (client, next) = (client.clone(), Arc::clone(&next));
        let answered = Arc::clone(answered);
        all.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let from = format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255);
                let url = format!("{}/api/auth/login", client.base());
                let body = json!({ "username": format!("u{n}"), "password": "nonsense" });
                let sent = client.http().post(url).header("x-forwarded-for", from);
                if sent
                    .json(&body)
                    .send()
                    .await
                    .is_ok_and(|it| it.status() == 401)
                {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    all
}

pub(crate) async fn run(size: &Size) -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("NETWORK__POOL", "10.0.0.1-10.0.255.254")
        .set("NETWORK__PREFIX", 16)
        .set("NETWORK__GATEWAY", "")
        .set("API__TRUSTED_PROXIES", "127.0.0.1")
        // More than the simulated cluster has room for: nothing of it is built.
        .set("PROXMOX__MEMORY_OVERCOMMIT_PERCENT", 10_000)
        .set("PROXMOX__CPU_OVERCOMMIT_PERCENT", 10_000)
        .set("PROXMOX__STORAGE_OVERCOMMIT_PERCENT", 10_000)
        .start()
        .await?;
    for part in 0..SERVERS / 500 {
        let server = |n: usize| {
            let name = format!("s{part}-{n}");
            json!({ "name": name, "role": "web", "cpu": 2, "memory": 2048, "disk_size": 20 })
        };
        let servers: Vec<_> = (0..500).map(server).collect();
        let body = json!({ "servers": servers });
        let reply = stack.client.post("/api/servers/bulk-create", &body).await?;
        ensure!(reply.status == 201, "{}", reply.body);
    }
    let list = stack
        .client
        .http()
        .get(format!("{}{LIST}", stack.client.base()));
    let body = list.send().await?.bytes().await?;
    let fixed = {
        let body = body.clone();
        get(move || {
            let body = body.clone();
            async move { ([(header::CONTENT_TYPE, "application/json")], body) }
        })
    };
    let router: Router = stack.service.api().await?.router().route("/fixed", fixed);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(axum::serve(listener, service).into_future());
    let client = Client::new(url)?;
    client.login(PASSWORD).await?;

    let (mut ours, mut theirs, mut p50, mut p99) = (vec![], vec![], vec![], vec![]);
    let (mut beside, mut logins) = (vec![], vec![]);
    for round in 1..=size.rounds {
        let weather = weather(stack.dir.path())?;
        let list = load(&client, LIST, body.len()).await.context("list")?;
        let fixed = load(&client, "/fixed", body.len()).await.context("fixed")?;
        let answered = Arc::default();
        let others = log_in_without_end(&client, &answered);
        let began = Instant::now();
        let flooded = load(&client, LIST, body.len()).await.context("flooded")?;
        let took = began.elapsed().as_secs_f64();
        drop(others);
        let count = u32::try_from(answered.load(Ordering::Relaxed))?;
        ensure!(count > 0, "nobody was answered a login");
        logins.push(f64::from(count) / took);
        beside.push(flooded.p99_ms);
        say(&format!("reads, round {round}: {weather}"));
        ours.push(list.rate);
        theirs.push(fixed.rate);
        p50.push(list.p50_ms);
        p99.push(list.p99_ms);
    }
    serving.abort();
    say(&format!(
        "\n| `GET {LIST}`, {SERVERS} servers, {} bytes, {CLIENTS} clients in the same process | |\n|---|---|\n\
         | list, requests/s | {} |\n| fixed body, requests/s | {} |\n| **list / fixed body** | **{}** |\n\
         | list, p50 and p99 in ms | {:.1} and {:.1} |\n\
         | list beside {LOGINS} logins at once, p99 in ms | {} |\n\
         | logins answered meanwhile, 1/s | {} |\n\
         | **p99 beside logins / p99 alone** | **{}** |\n",
        body.len(),
        spread(&ours, 0),
        spread(&theirs, 0),
        spread(&ratios(&ours, &theirs), 3),
        median(&p50),
        median(&p99),
        spread(&beside, 1),
        spread(&logins, 0),
        spread(&ratios(&beside, &p99), 2),
    ));
    stack.stop().await
}
