//! Requests to the routes in process, on a store in memory that is new for each: whatever comes, nothing panics,
//! and what is refused is refused in the one envelope.
//!
//! An input is text: method and target, `Last-Event-ID`, `Idempotency-Key`, a line each, then the body.

#![no_main]

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use tpm_api::{ApiSettings, Leaving, router};
use tpm_app::{
    App, AppParts, BackupPolicy, Channels, Ctx, HookPolicy, HostResources, HostUse, KeyDraft,
    Limits, Measured, NetworkDefaults, Policy, RoleProfile, Secrets,
};
use tpm_domain::{
    Actor, Assignment, Clock, DEFAULT_NETWORK, FieldErrors, Ipv4Range, NetworkSpec, Role,
    ServerName, Spread, Timestamp, Vmid,
};
use tpm_store::{Store, VmidRange};
use tpm_store_memory::MemoryStore;

/// Most bytes of an answer: the whole documentation is less.
const MOST: usize = 1 << 22;
/// Hashing a password takes as long as a thousand requests.
const HASHING: [&str; 3] = ["/api/auth/login", "/api/auth/password", "/api/users"];

/// It is always the same moment, so that an input does the same again.
struct Moment;

impl Clock for Moment {
    fn now(&self) -> Timestamp {
        Timestamp(1_705_314_600_000)
    }
}

struct NoHost;

#[async_trait]
impl HostResources for NoHost {
    async fn measure(&self) -> HostUse {
        HostUse::default()
    }
}

fn policy() -> Policy {
    let role = RoleProfile {
        tags: Vec::new(),
        min_disk_gb: 10,
        spread: Spread::Off,
    };
    Policy {
        second_factor: false,
        roles: [("web".to_owned(), role)].into(),
        default_engine: "direct".to_owned(),
        engines: vec!["direct".to_owned()],
        vmids: VmidRange {
            first: Vmid(1000),
            last: Vmid(2000),
            quarantine: Duration::from_secs(3600),
        },
        network: NetworkDefaults {
            bridge: "vmbr0".to_owned(),
            vlan: None,
        },
        placement: BTreeMap::new(),
        backup: BackupPolicy::default(),
        limits: Limits {
            max_cpu: 8,
            min_memory_mb: 512,
            max_memory_mb: 8192,
            max_disk_gb: 100,
            max_bulk: 16,
            max_nics: 4,
        },
    }
}

/// The routes, and a key that allows everything.
async fn made() -> Option<(axum::Router, String)> {
    let store = MemoryStore::new("fuzz", Arc::new(Moment));
    let everything = [Assignment {
        role: Role::ADMIN.to_owned(),
        project: None,
    }];
    let tx = store.begin().await.ok()?;
    let person = tx.insert_user("fuzz", "-", &everything).await.ok()?;
    let range = Ipv4Range::new(Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 250));
    let network = NetworkSpec {
        range: range.ok()?,
        prefix: 24,
        gateway: None,
        dns: Vec::new(),
        bridge: "vmbr0".to_owned(),
        vlan: None,
        exclusions: Vec::new(),
    };
    tx.insert_network(&ServerName::new(DEFAULT_NETWORK)?, &network)
        .await
        .ok()?;
    tx.commit().await.ok()?;
    let app = App::new(AppParts {
        measured: Measured::default(),
        secrets: Secrets::default(),
        channels: Channels::new(HookPolicy::default(), vec![7; 32].into()),
        store: Arc::new(store),
        policy: policy(),
        clock: Arc::new(Moment),
        random: Arc::new(|buffer: &mut [u8]| buffer.fill(7)),
        services: Vec::new(),
        code: None,
        host: Arc::new(NoHost),
        metrics: None,
        settings: Vec::new(),
        audit_key: vec![7; 32].into(),
        started_at: Moment.now(),
    });
    let actor = Actor::new(person, "fuzz".to_owned(), &everything, &Role::built_in());
    let draft = KeyDraft {
        name: Some("fuzz".to_owned()),
        scopes: Some(vec!["*".to_owned()]),
        ..KeyDraft::default()
    };
    let key = app
        .create_key(&Ctx::new(actor), &draft, FieldErrors::default())
        .await
        .ok()?;
    let settings = ApiSettings {
        origins: Vec::new(),
        secure_cookie: false,
        max_body_bytes: 1 << 20,
        request_timeout: Duration::from_secs(30),
        trusted_proxies: Vec::new(),
        key_requests_per_second: NonZeroU32::MAX,
        session_requests_per_second: NonZeroU32::MAX,
        leaving: Leaving::default(),
    };
    Some((router(app, settings), key.text.expose_secret().to_owned()))
}

/// The input as a request; `None` when HTTP does not allow it.
fn request(text: &str, key: &str) -> Option<Request<Body>> {
    let mut lines = text.splitn(4, '\n');
    let (method, target) = lines.next()?.split_once(' ')?;
    if method != "GET" && HASHING.iter().any(|path| target.starts_with(path)) {
        return None;
    }
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::ACCEPT_LANGUAGE, "en")
        .header(header::CONTENT_TYPE, "application/json");
    for name in ["last-event-id", "idempotency-key"] {
        let value = lines.next().unwrap_or_default();
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    let body = lines.next().unwrap_or_default().to_owned();
    request.body(Body::from(body)).ok()
}

async fn check(text: &str, response: Response<Body>) {
    let status = response.status();
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{text:?}");
    assert_ne!(status, StatusCode::UNAUTHORIZED, "{text:?}");
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // It does not end.
    if kind.starts_with("text/event-stream") {
        return;
    }
    let json = kind.starts_with("application/json");
    let Ok(body) = to_bytes(response.into_body(), MOST).await else {
        panic!("{text:?}: the answer breaks off");
    };
    if status.is_client_error() || status.is_server_error() {
        let told: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert!(told["error"]["code"].is_string(), "{text:?}: {status}");
        assert!(told["error"]["message"].is_string(), "{text:?}: {status}");
    } else if json {
        assert!(serde_json::from_slice::<Value>(&body).is_ok(), "{text:?}");
    }
}

thread_local! {
    static RUNTIME: Option<Runtime> = Builder::new_current_thread().enable_all().build().ok();
}

fuzz_target!(|text: &str| {
    RUNTIME.with(|runtime| {
        let Some(runtime) = runtime else {
            panic!("no runtime");
        };
        runtime.block_on(async {
            let Some((routes, key)) = made().await else {
                panic!("no routes");
            };
            if let Some(request) = request(text, &key) {
                let Ok(response) = routes.oneshot(request).await;
                check(text, response).await;
            }
        });
    });
});
