//! Live events: many followers on two apis, some of whom come and go; half way one of the apis is killed, and its
//! followers go on at the other one. Each follower counts what it is told by the notifications' numbers, which
//! have no gaps.

use crate::footprint::{built, resident};
use crate::measure::{Size, percentile, say, weather};
use anyhow::{Context, bail, ensure};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tpm_domain::{Event, EventKind};
use tpm_store::{NotificationQuery, Store};
use tpm_test_support::{Program, Stack, free_port};

/// What is told, one after the other.
const EVENTS: i64 = 120;
/// Time between two of them.
const PACE: Duration = Duration::from_millis(500);
/// One follower of so many comes and goes.
const RESTLESS: usize = 20;
/// A follower that comes and goes does so after so many events.
const AFTER: i64 = 4;
/// Followers that connect at once.
const AT_ONCE: usize = 200;
/// How long a follower may wait for the next event before it counts as stuck.
const STUCK: Duration = Duration::from_secs(120);

struct Shared {
    ports: [u16; 2],
    cookie: String,
    /// When each notification was written.
    written: Mutex<BTreeMap<i64, Instant>>,
    last: AtomicI64,
    connected: AtomicUsize,
    reconnected: AtomicUsize,
}

impl Shared {
    fn note(&self, id: i64) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.insert(id, Instant::now());
    }

    fn written_at(&self, id: i64) -> Option<Instant> {
        let written = self.written.lock();
        written
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .copied()
    }
}

type Lines = BufReader<TcpStream>;

async fn connect(shared: &Shared, api: usize, after: &str) -> anyhow::Result<Lines> {
    let mut stream = TcpStream::connect(("127.0.0.1", shared.ports[api])).await?;
    let header = match after {
        "" => String::new(),
        place => format!("Last-Event-ID: {place}\r\n"),
    };
    let request = format!(
        "GET /api/events HTTP/1.1\r\nHost: bench\r\nCookie: {}\r\n{header}\r\n",
        shared.cookie
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(BufReader::with_capacity(512, stream))
}

/// What a follower noted.
#[derive(Default)]
struct Noted {
    took_ms: Vec<f64>,
    lost: i64,
    twice: i64,
}

/// Follows until the last event; the first event has the number `first`.
async fn follow(shared: Arc<Shared>, n: usize, first: i64) -> anyhow::Result<Noted> {
    let restless = n.is_multiple_of(RESTLESS);
    let (mut api, mut place, mut expected) = (n % 2, String::new(), first);
    let mut noted = Noted::default();
    let mut lines = connect(&shared, api, &place).await?;
    let (mut line, mut told, mut counted) = (Vec::new(), 0, false);
    loop {
        line.clear();
        let read = tokio::time::timeout(STUCK, lines.read_until(b'\n', &mut line));
        if !matches!(read.await.context("nothing comes")?, Ok(more) if more > 0) {
            // Its api is gone: on at the other one, which may still be busy with the others.
            shared.reconnected.fetch_add(1, Ordering::Relaxed);
            api = 1 - api;
            lines = match connect(&shared, api, &place).await {
                Ok(lines) => lines,
                Err(_) => {
                    api = 1 - api;
                    connect(&shared, api, &place).await?
                }
            };
            continue;
        }
        let text = std::str::from_utf8(&line)?.trim_end();
        if let Some(id) = text.strip_prefix("id: ") {
            id.clone_into(&mut place);
            if !counted {
                counted = true;
                shared.connected.fetch_add(1, Ordering::Relaxed);
            }
        } else if text == "event: resync" {
            bail!("told to look at everything anew");
        } else if let Some(data) = text.strip_prefix("data: {\"created_at\"") {
            let id = data.split("\"id\":").nth(1).context("an id")?;
            let digits = id
                .split(|c: char| !c.is_ascii_digit())
                .next()
                .unwrap_or_default();
            let id: i64 = digits.parse()?;
            if id < expected {
                noted.twice += 1;
                continue;
            }
            noted.lost += id - expected;
            expected = id + 1;
            let at = shared.written_at(id).context("never written")?;
            noted.took_ms.push(at.elapsed().as_secs_f64() * 1000.0);
            told += 1;
            if id >= shared.last.load(Ordering::Acquire) {
                return Ok(noted);
            }
            if restless && told % AFTER == 0 {
                shared.reconnected.fetch_add(1, Ordering::Relaxed);
                lines = connect(&shared, api, &place).await?;
            }
        }
    }
}

fn start(stack: &Stack, port: u16) -> anyhow::Result<Program> {
    let ready = stack.dir.path().join(format!("ready-{port}"));
    let mut command = Command::new(built("tpm-api")?);
    command
        .envs(&stack.environment)
        .env("TPM__API__LISTEN", format!("127.0.0.1:{port}"))
        .env("TPM__API__MAX_CONNECTIONS", "1000000")
        .arg("--ready-file")
        .arg(&ready)
        .stderr(Stdio::null());
    let mut program = Program::start(command.current_dir(stack.dir.path()))?;
    program.wait_for_file(&ready)?;
    Ok(program)
}

async fn write(store: &dyn Store, shared: &Shared, id: i64) -> anyhow::Result<()> {
    let tx = store.begin().await?;
    tx.add_event(&Event {
        kind: EventKind::Created,
        server: None,
        server_name: format!("n{id}"),
        task: None,
    })
    .await?;
    shared.note(id);
    tx.commit().await?;
    Ok(())
}

async fn cookie(stack: &Stack) -> anyhow::Result<String> {
    let body = serde_json::json!({ "username": "admin", "password": tpm_test_support::PASSWORD });
    let reply = stack.client.post("/api/auth/login", &body).await?;
    let cookies = reply.headers.get_all("set-cookie").iter();
    let mut cookies = cookies.filter_map(|it| it.to_str().ok()?.split(';').next());
    let session = cookies.find(|it| it.starts_with("tpm_session="));
    Ok(session.context("a session")?.to_owned())
}

pub(crate) async fn run(size: &Size) -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let ports = [free_port()?, free_port()?];
    let mut apis = [start(&stack, ports[0])?, start(&stack, ports[1])?];
    say(&format!("{}\n", weather(stack.dir.path())?));
    let shared = Arc::new(Shared {
        ports,
        cookie: cookie(&stack).await?,
        written: Mutex::default(),
        last: AtomicI64::new(i64::MAX),
        connected: AtomicUsize::new(0),
        reconnected: AtomicUsize::new(0),
    });
    let store = stack.service.store();
    write(&*store, &shared, 0).await?;
    let all = store
        .reads()
        .notifications(&NotificationQuery::of(tpm_domain::UserId(1)))
        .await?;
    let first = all
        .items
        .first()
        .context("a notification")?
        .notification
        .id
        .0
        + 1;
    let before = [resident(apis[0].id())?, resident(apis[1].id())?];

    let many = usize::try_from(size.followers)?;
    let mut followers = JoinSet::new();
    for n in 0..many {
        followers.spawn(follow(Arc::clone(&shared), n, first));
        if n % AT_ONCE == AT_ONCE - 1 {
            while shared.connected.load(Ordering::Relaxed) + AT_ONCE < n {
                if let Some(done) = followers.try_join_next() {
                    done??;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    while shared.connected.load(Ordering::Relaxed) < many {
        if let Some(done) = followers.try_join_next() {
            done??;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = [resident(apis[0].id())?, resident(apis[1].id())?];
    #[expect(clippy::cast_precision_loss, reason = "a size shown to one digit")]
    let each = (after[0] + after[1] - before[0] - before[1]) * 1024.0 / many as f64;

    let last = first + EVENTS - 1;
    shared.last.store(last, Ordering::Release);
    for id in first..=last {
        write(&*store, &shared, id).await?;
        if id == first + EVENTS / 2 {
            apis[1].kill()?;
        }
        tokio::time::sleep(PACE).await;
    }
    let (mut calm, mut lost, mut twice, mut told) = (Vec::new(), 0, 0, 0);
    while let Some(noted) = followers.join_next().await {
        let noted = noted??;
        lost += noted.lost;
        twice += noted.twice;
        told += noted.took_ms.len();
        calm.extend(noted.took_ms);
    }
    let reconnected = shared.reconnected.load(Ordering::Relaxed);
    say(&format!(
        "| {many} followers on two apis, {EVENTS} events, one api killed half way | |\n|---|---|\n\
         | events told | {told} |\n| **lost, twice** | **{lost}, {twice}** |\n\
         | connections made anew | {reconnected} |\n\
         | memory of the apis per follower, KiB | {each:.1} |\n\
         | from the commit to the follower: p50, p90, p99, max, ms | {:.1}, {:.1}, {:.1}, {:.0} |\n",
        percentile(&calm, 50),
        percentile(&calm, 90),
        percentile(&calm, 99),
        percentile(&calm, 100),
    ));
    ensure!(lost == 0 && twice == 0, "lost {lost}, twice {twice}");
    apis[0].kill()?;
    stack.stop().await
}
