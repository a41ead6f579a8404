//! The table of routes and what every request passes through.

use crate::error::Fault;
use crate::extract::language;
use crate::guard;
use crate::leaving::{self, Leaving};
use crate::measure::measure;
use crate::pace::Pace;
use crate::routes::{
    audit, auth, backups, channels, code, docs, events, health, monitoring, networks, nodes,
    notifications, page, projects, schedules, secrets, servers, system, tasks, users,
};
use crate::sparing::Sparing;
use crate::table::{Methods, delete, get, patch, post, put};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use std::any::Any;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tpm_app::App;
use tpm_messages::{ApiError, Lang};
use tracing::Instrument as _;
use tracing::Span;

/// What the HTTP side is set to.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Origins whose pages may send mutating requests: `http://127.0.0.1:5000`.
    pub origins: Vec<String>,
    /// Whether the session cookie is only for HTTPS; off on loopback alone.
    pub secure_cookie: bool,
    /// Largest body of a request in bytes.
    pub max_body_bytes: usize,
    /// Longest time a request may take.
    pub request_timeout: Duration,
    /// Proxies whose word about where a request comes from is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Requests that one key may send in a second.
    pub key_requests_per_second: NonZeroU32,
    /// Requests that one person may send in a second, by sessions.
    pub session_requests_per_second: NonZeroU32,
    /// Begun by whoever stops the process.
    pub leaving: Leaving,
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct ApiState {
    pub(crate) app: App,
    pub(crate) settings: Arc<ApiSettings>,
    /// Of each key.
    pub(crate) pace: Arc<Pace>,
    /// Of the sessions of each person.
    pub(crate) session_pace: Arc<Pace>,
    /// Of lines about attempts that were refused.
    pub(crate) attempts: Arc<Sparing>,
}

/// The service's routes, every answer an error envelope or a documented shape.
pub fn router(app: App, settings: ApiSettings) -> Router {
    let limit = settings.max_body_bytes;
    let timeout = settings.request_timeout;
    let leaving = settings.leaving.clone();
    let secure = settings.secure_cookie;
    let state = ApiState {
        app,
        pace: Arc::new(Pace::new(settings.key_requests_per_second)),
        session_pace: Arc::new(Pace::new(settings.session_requests_per_second)),
        attempts: Arc::default(),
        settings: Arc::new(settings),
    };
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods.into_router(wrong_method));
    }
    let request_id = HeaderName::from_static("x-request-id");
    router
        .fallback(page::any)
        .layer(middleware::from_fn_with_state(
            state.clone(),
            crate::audit::watch,
        ))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            guard::own_origin,
        ))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            crate::audit::attempts,
        ))
        .layer(middleware::from_fn(move |request, next| {
            in_time(timeout, request, next)
        }))
        .layer(DefaultBodyLimit::max(limit))
        .with_state(state)
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn(measure))
                .layer(middleware::from_fn_with_state(
                    leaving,
                    leaving::close_after,
                ))
                .layer(SetRequestIdLayer::new(request_id.clone(), MakeRequestUuid))
                .layer(TraceLayer::new_for_http().make_span_with(span_of))
                .layer(PropagateRequestIdLayer::new(request_id))
                .layer(middleware::from_fn(move |request, next| {
                    told_to_browsers(secure, request, next)
                }))
                .layer(CatchPanicLayer::custom(panicked)),
        )
}

/// Every line that is logged for a request has its id. The query is not logged: it may say more than a log should.
fn span_of(request: &Request) -> Span {
    let id = request.headers().get("x-request-id");
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    tracing::info_span!("request", request_id = id, method = %request.method(), path = request.uri().path())
}

/// What browsers are told about every answer; an answer may say it otherwise for itself.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    // An answer is data: nothing of it is run, and no page shows it in a frame.
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

async fn told_to_browsers(secure: bool, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let all = response.headers_mut();
    for (name, value) in HEADERS {
        all.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if secure {
        // Browsers that came by HTTPS once do not come by HTTP for a year, neither here nor to names below this one.
        let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        all.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

/// Every path with its methods. Each stands in the OpenAPI document, and nothing else does.
pub(crate) fn routes() -> Vec<(&'static str, Methods)> {
    vec![
        ("/api/auth/login", post(auth::login)),
        ("/api/auth/logout", post(auth::logout)),
        ("/api/auth/me", get(auth::me).patch(auth::change_me)),
        ("/api/auth/password", post(auth::change_password)),
        ("/api/auth/factor", post(auth::begin_factor)),
        ("/api/auth/factor/confirm", post(auth::confirm_factor)),
        ("/api/auth/factor/remove", post(auth::remove_factor)),
        ("/api/auth/sessions", get(auth::sessions)),
        ("/api/auth/sessions/{session_id}", delete(auth::end_session)),
        ("/api/auth/keys", get(auth::keys).post(auth::create_key)),
        ("/api/auth/keys/{key_id}", delete(auth::delete_key)),
        ("/api/users", get(users::list).post(users::create)),
        (
            "/api/users/{user_id}",
            patch(users::change).delete(users::delete_one),
        ),
        ("/api/roles", get(users::roles).post(users::create_role)),
        (
            "/api/roles/{role}",
            patch(users::change_role).delete(users::delete_role),
        ),
        ("/api/audit", get(audit::list)),
        ("/api/audit/verify", get(audit::verify)),
        ("/api/servers", get(servers::list)),
        ("/api/servers/create", post(servers::create)),
        ("/api/servers/bulk-create", post(servers::bulk_create)),
        ("/api/servers/bulk-delete", post(servers::bulk_delete)),
        ("/api/servers/bulk-power", post(servers::bulk_power)),
        (
            "/api/servers/{server_id}",
            get(servers::one)
                .patch(servers::change)
                .delete(servers::delete_one),
        ),
        ("/api/servers/plan", post(servers::plan)),
        ("/api/servers/import", post(servers::import)),
        (
            "/api/servers/{server_id}/drift",
            get(servers::drift).post(servers::decide_drift),
        ),
        ("/api/servers/{server_id}/terraform", get(code::eject)),
        ("/api/servers/{server_id}/state", get(code::states)),
        ("/api/servers/{server_id}/state/{serial}", get(code::state)),
        (
            "/api/servers/{server_id}/state/{serial}/diff",
            get(code::differences),
        ),
        (
            "/api/servers/{server_id}/state/{serial}/restore",
            post(code::restore),
        ),
        ("/api/servers/{server_id}/recreate", post(servers::recreate)),
        ("/api/servers/{server_id}/forget", post(servers::forget)),
        ("/api/servers/{server_id}/status", put(servers::set_status)),
        ("/api/tasks", get(tasks::list)),
        ("/api/tasks/{task_id}", get(tasks::one)),
        ("/api/tasks/{task_id}/log", get(tasks::log)),
        ("/api/tasks/{task_id}/plan", get(code::plan)),
        ("/api/tasks/{task_id}/cancel", post(tasks::cancel)),
        ("/api/tasks/{task_id}/retry", post(tasks::retry)),
        ("/api/projects", get(projects::list).post(projects::create)),
        (
            "/api/projects/{project_id}",
            get(projects::one).patch(projects::change),
        ),
        ("/api/networks", get(networks::list).post(networks::create)),
        (
            "/api/networks/{network_id}",
            get(networks::one)
                .patch(networks::change)
                .delete(networks::delete_one),
        ),
        ("/api/nodes", get(nodes::list)),
        ("/api/backups", get(backups::list)),
        ("/api/backups/create", post(backups::create)),
        ("/api/backups/prune", post(schedules::prune)),
        (
            "/api/backups/schedules",
            get(schedules::list).post(schedules::create),
        ),
        (
            "/api/backups/schedules/{schedule_id}",
            get(schedules::one)
                .patch(schedules::change)
                .delete(schedules::delete_one),
        ),
        (
            "/api/backups/schedules/{schedule_id}/run",
            post(schedules::run_now),
        ),
        ("/api/backups/drills", get(backups::drills)),
        ("/api/backups/drills/{drill_id}", get(backups::one_drill)),
        (
            "/api/backups/{backup_id}",
            get(backups::one).delete(backups::delete_one),
        ),
        ("/api/backups/{backup_id}/restore", post(backups::restore)),
        ("/api/backups/{backup_id}/drill", post(backups::start_drill)),
        ("/api/monitoring/status", get(monitoring::status)),
        ("/api/monitoring/metrics", get(monitoring::fleet)),
        (
            "/api/monitoring/metrics/{server_id}",
            get(monitoring::server),
        ),
        ("/api/monitoring/targets", get(monitoring::targets)),
        (
            "/api/monitoring/prometheus/update",
            post(monitoring::update),
        ),
        (
            "/api/monitoring/alerts",
            get(monitoring::alerts).post(monitoring::take_alerts),
        ),
        ("/api/notifications", get(notifications::list)),
        ("/api/notifications/latest", get(notifications::latest)),
        ("/api/notifications/read", post(notifications::read_all)),
        (
            "/api/notifications/{notification_id}",
            patch(notifications::mark).delete(notifications::delete_one),
        ),
        (
            "/api/notifications/channels",
            get(channels::list).post(channels::create),
        ),
        (
            "/api/notifications/channels/{channel_id}",
            get(channels::one)
                .patch(channels::change)
                .delete(channels::delete_one),
        ),
        (
            "/api/notifications/channels/{channel_id}/test",
            post(channels::test),
        ),
        (
            "/api/notifications/channels/{channel_id}/rotate",
            post(channels::rotate),
        ),
        (
            "/api/notifications/channels/{channel_id}/deliveries",
            get(channels::deliveries),
        ),
        ("/api/vault/status", get(secrets::status)),
        (
            "/api/vault/secrets/{*path}",
            get(secrets::read)
                .post(secrets::write)
                .delete(secrets::delete_one),
        ),
        ("/api/vault/rotate", post(secrets::rotate)),
        ("/api/events", get(events::follow)),
        ("/api/system/status", get(system::status)),
        ("/api/system/logs", get(system::logs)),
        ("/api/system/config", get(system::config)),
        ("/api/system/log-level", put(system::log_level)),
        ("/api/system/restored/accept", post(system::accept_restored)),
        ("/api/openapi.json", get(docs::document)),
        ("/api/postman_collection.json", get(docs::postman)),
        ("/api/docs", get(docs::page)),
        ("/api/docs/{file}", get(docs::file)),
        ("/metrics", get(system::metrics)),
        ("/healthz", get(health::alive)),
        ("/readyz", get(health::ready)),
    ]
}

async fn wrong_method(request: Request) -> Response {
    let mut response =
        Fault::from(ApiError::MethodNotAllowed).into_response_in(language(request.headers()));
    if *request.method() == Method::HEAD {
        *response.body_mut() = axum::body::Body::empty();
    }
    response
}

/// The handler goes on by itself when the time is over or the client is gone: a transaction that was
/// begun is finished, whoever still listens.
async fn in_time(limit: Duration, request: Request, next: Next) -> Response {
    let lang = language(request.headers());
    // What is logged there belongs to the request all the same.
    let running = tokio::spawn(next.run(request).in_current_span());
    match tokio::time::timeout(limit, running).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) if error.is_panic() => panicked(error.into_panic()),
        Ok(Err(_)) => Fault::from(ApiError::Internal).into_response_in(lang),
        Err(_) => {
            let mut response = Fault::from(ApiError::Timeout).into_response_in(lang);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            response
        }
    }
}

fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(panic = text, "a handler panicked");
    let mut response = Fault::from(ApiError::Internal).into_response_in(Lang::Ko);
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.into_response()
}
