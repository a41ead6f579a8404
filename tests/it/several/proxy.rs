//! A reverse proxy as small as it can be: in turn to those who are ready, by `/readyz`; elsewhere only
//! when no connection could be made. Everything else that goes wrong reaches the client.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Many times within the second that a leaving api goes on accepting.
const LOOK_EVERY: Duration = Duration::from_millis(50);

struct Backend {
    url: String,
    ready: AtomicBool,
    answered: AtomicUsize,
}

struct Shared {
    http: reqwest::Client,
    backends: Vec<Backend>,
    turn: AtomicUsize,
}

/// A running proxy; ends when dropped.
pub(crate) struct Proxy {
    url: String,
    shared: Arc<Shared>,
    _running: JoinSet<()>,
}

impl Proxy {
    /// In front of these.
    pub(crate) async fn start(backends: Vec<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .retry(reqwest::retry::never())
            .build()?;
        let backends = backends
            .into_iter()
            .map(|url| Backend {
                url,
                ready: AtomicBool::new(true),
                answered: AtomicUsize::new(0),
            })
            .collect();
        let shared = Arc::new(Shared {
            http,
            backends,
            turn: AtomicUsize::new(0),
        });
        let mut running = JoinSet::new();
        for index in 0..shared.backends.len() {
            running.spawn(watch(Arc::clone(&shared), index));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new()
            .fallback(forward)
            .with_state(Arc::clone(&shared));
        running.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            url,
            shared,
            _running: running,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many requests each backend answered.
    pub(crate) fn answered(&self) -> Vec<usize> {
        let count = |backend: &Backend| backend.answered.load(Ordering::Relaxed);
        self.shared.backends.iter().map(count).collect()
    }
}

async fn watch(shared: Arc<Shared>, index: usize) {
    let backend = &shared.backends[index];
    loop {
        let answer = shared.http.get(format!("{}/readyz", backend.url)).send();
        let ready = answer.await.is_ok_and(|answer| answer.status() == 200);
        backend.ready.store(ready, Ordering::Relaxed);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, 1 << 20).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let first = shared.turn.fetch_add(1, Ordering::Relaxed);
    let count = shared.backends.len();
    let turns = (0..count).map(|n| &shared.backends[(first + n) % count]);
    let mut trouble = "nobody is ready".to_owned();
    for backend in turns.filter(|backend| backend.ready.load(Ordering::Relaxed)) {
        let sent = shared
            .http
            .request(
                parts.method.clone(),
                format!("{}{}", backend.url, parts.uri),
            )
            .headers(end_to_end(&parts.headers))
            .body(body.clone())
            .send();
        let outcome = async {
            let answer = sent.await?;
            let (status, headers) = (answer.status(), end_to_end(answer.headers()));
            let bytes = answer.bytes().await?;
            Ok::<_, reqwest::Error>((status, headers, Body::from(bytes)).into_response())
        };
        match outcome.await {
            Ok(response) => {
                backend.answered.fetch_add(1, Ordering::Relaxed);
                return response;
            }
            Err(error) if error.is_connect() => {
                backend.ready.store(false, Ordering::Relaxed);
                trouble = error.to_string();
            }
            Err(error) => return bad_gateway(&format!("{error:?}")),
        }
    }
    bad_gateway(&trouble)
}

fn bad_gateway(why: &str) -> Response {
    (StatusCode::BAD_GATEWAY, format!("{why:?}")).into_response()
}

/// Without what is between two neighbours only.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        header::HOST,
    ] {
        headers.remove(name);
    }
    headers
}
