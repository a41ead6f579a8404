//! Where a worker tells its metrics: a small server with one path.

use super::Told;
use crate::listen::Listening;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_server::Handle;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tpm_api::{metrics_answer, metrics_form};

/// Where, and what has to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Listen {
    at: SocketAddr,
    token: SecretString,
}

impl Listen {
    /// `None` when metrics are told nowhere.
    ///
    /// # Errors
    /// When the address is none.
    pub(crate) fn new(settings: &tpm_settings::Worker) -> anyhow::Result<Option<Self>> {
        if settings.metrics_listen.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            at: settings.metrics_listen.parse()?,
            token: settings.metrics_token.clone(),
        }))
    }

    /// Whether a request shows the token; digests are compared, so that neither content nor length is told by
    /// the time it takes.
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let wanted = self.token.expose_secret();
        if wanted.is_empty() {
            return true;
        }
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map_or("", |(_, token)| token.trim());
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        digest(shown)
            .as_slice()
            .ct_eq(digest(wanted).as_slice())
            .into()
    }
}

async fn tell(State((listen, told)): State<(Listen, Arc<Told>)>, headers: HeaderMap) -> Response {
    if !listen.lets_in(&headers) {
        let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
        return (StatusCode::UNAUTHORIZED, challenge).into_response();
    }
    let form = metrics_form(&headers);
    metrics_answer(form, told.process(form))
}

/// Tells until `stop`. A worker that cannot listen, as when another one of its machine does, says so once and works
/// on without.
pub(crate) async fn serve(listen: Listen, told: Arc<Told>, stop: CancellationToken) {
    let at = listen.at;
    let listener = match TcpListener::bind(at).await {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(%at, %error, "this worker's metrics are told nowhere");
            return;
        }
    };
    let router = Router::new()
        .route("/metrics", get(tell))
        .with_state((listen, told));
    let handle = Handle::new();
    let serving = Listening::plain().serve(listener, router, handle.clone());
    tokio::select! {
        done = serving => if let Err(error) = done {
            tracing::warn!(%at, %error, "this worker's metrics are not told any more");
        },
        () = stop.cancelled() => handle.shutdown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_lets_in() {
        let listen = |token: &str| Listen {
            at: ([127, 0, 0, 1], 0).into(),
            token: token.into(),
        };
        let shown = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
            headers
        };
        assert!(listen("").lets_in(&HeaderMap::new()));
        let kept = listen("let me in");
        assert!(kept.lets_in(&shown("Bearer let me in")));
        assert!(kept.lets_in(&shown("bearer let me in")));
        for wrong in ["Bearer let me", "Bearer ", "Basic let me in", "let me in"] {
            assert!(!kept.lets_in(&shown(wrong)), "{wrong}");
        }
        assert!(!kept.lets_in(&HeaderMap::new()));
    }
}
