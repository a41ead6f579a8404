//! Around a handler: who asked for what, and that it is written down once. What changes something is written
//! down by its use case, in the transaction of the change; here only what changed nothing: refused, or so
//! already. Requests of nobody are not written down, attempts to log in are; whoever tries doors stands in the log.

use crate::error::FaultCode;
use crate::peer;
use crate::router::ApiState;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tpm_app::Origin;
use tpm_domain::{Actor, UserId};

/// What is known of a request by now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Known>>);

#[derive(Clone, Debug, Default)]
struct Known {
    origin: Origin,
    actor: Option<(UserId, String)>,
    /// The name of somebody who wants in.
    name: Option<String>,
}

impl Told {
    fn with<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the request comes from.
    pub(crate) fn origin(parts: &Parts) -> Origin {
        let told = parts.extensions.get::<Self>();
        told.map(|told| told.with(|known| known.origin.clone()))
            .unwrap_or_default()
    }

    /// The person is known.
    pub(crate) fn is(parts: &Parts, origin: &Origin, actor: &Actor) {
        if let Some(told) = parts.extensions.get::<Self>() {
            told.with(|known| {
                known.origin = origin.clone();
                known.actor = Some((actor.id, actor.username.clone()));
            });
        }
    }

    /// Somebody wants in under this name.
    pub(crate) fn wants_in(&self, name: &str) {
        let name = name.chars().take(64).collect();
        self.with(|known| known.name = Some(name));
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().chars().take(200).collect()
}

fn origin_of(state: &ApiState, request: &Request) -> Origin {
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or_else(|| request.uri().path(), |path| path.as_str());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let proxies = &state.settings.trusted_proxies;
    let headers = request.headers();
    let path: String = path.chars().take(200).collect();
    let mut origin = Origin::of(format!("{} {path}", request.method()));
    origin.address = peer.map_or_else(
        || "local".to_owned(),
        |peer| peer::address(peer.0.ip(), headers, proxies).to_string(),
    );
    origin.agent = text(headers, &header::USER_AGENT);
    origin.request_id = text(headers, &HeaderName::from_static("x-request-id"));
    origin
}

/// What is refused to those who try doors: unknown keys and sessions, pages of others, too much, too often.
const ATTEMPTS: [&str; 6] = [
    "UNAUTHENTICATED",
    "FOREIGN_ORIGIN",
    "TWO_CREDENTIALS",
    "RATE_LIMITED",
    "TOO_MANY_ATTEMPTS",
    "PAYLOAD_TOO_LARGE",
];

/// Logs attempts that were refused, of whomever. Who shows nothing and only reads is told to log in, every day.
pub(crate) async fn attempts(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    let shown = [header::AUTHORIZATION, header::COOKIE];
    let harmless = matches!(*request.method(), Method::GET | Method::HEAD)
        && !shown
            .iter()
            .any(|name| request.headers().contains_key(name));
    let origin = origin_of(&state, &request);
    let response = next.run(request).await;
    let code = response.extensions().get::<FaultCode>().map(|code| code.0);
    let tried = code.filter(|code| ATTEMPTS.contains(code) && !harmless);
    if let Some(code) = tried
        && let Some(left_out) = state.attempts.line()
    {
        tracing::info!(
            code,
            address = origin.address,
            action = origin.action,
            left_out,
            "refused"
        );
    }
    response
}

/// Writes down what no use case did.
pub(crate) async fn watch(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let mutating = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let told = Told::default();
    let origin = origin_of(&state, &request);
    told.with(|known| known.origin = origin);
    request.extensions_mut().insert(told.clone());
    let response = next.run(request).await;
    let known = told.with(|known| known.clone());
    let status = response.status();
    let matters = mutating || status == StatusCode::FORBIDDEN;
    let somebody = known.actor.is_some() || known.name.is_some();
    if !matters || !somebody || known.origin.is_told() {
        return response;
    }
    let code = response.extensions().get::<FaultCode>();
    let refused = (!status.is_success())
        .then(|| code.map_or_else(|| status.as_u16().to_string(), |code| code.0.to_owned()));
    let name = known.name.unwrap_or_default();
    let done = state
        .app
        .tell_audit(&known.origin, known.actor, &name, refused)
        .await;
    if let Err(error) = done {
        tracing::warn!(
            ?error,
            action = known.origin.action,
            "not written to the audit"
        );
    }
    response
}
