//! Logging in and out.

use crate::body;
use crate::error::Fault;
use crate::extract::{Body, COOKIE, Reader, session_token};
use crate::peer;
use crate::router::ApiState;
use crate::routes::answered;
use axum::Json;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use tpm_app::LoginAttempt;
use tpm_messages::{Answer, answer};

/// Where the request comes from; `local` when there is no connection (in-process).
pub(crate) struct Peer(String);

impl FromRequestParts<ApiState> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let proxies = &state.settings.trusted_proxies;
        Ok(Self(peer.map_or_else(
            || "local".to_owned(),
            |peer| peer::address(peer.0.ip(), &parts.headers, proxies).to_string(),
        )))
    }
}

fn cookie(value: String, secure: bool) -> Cookie<'static> {
    Cookie::build((COOKIE, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .build()
}

pub(crate) async fn login(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Peer(address): Peer,
    Body(body): Body,
) -> Response {
    let result = async {
        let (given, errors) = body::login(body);
        let given = errors.into_result(given)?;
        let (username, password) = given.unwrap_or_default();
        let attempt = LoginAttempt {
            username,
            password,
            address,
        };
        let (token, actor) = state.app.login(attempt).await?;
        let jar = CookieJar::new().add(cookie(token.0, state.settings.secure_cookie));
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::LoggedIn),
            "user": { "id": actor.id, "username": actor.username, "role": actor.role },
        });
        Ok((jar, Json(body)).into_response())
    };
    answered(lang, result.await)
}

/// Also without a session: who is out is out.
pub(crate) async fn logout(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    headers: HeaderMap,
) -> Response {
    let result = async {
        if let Some(token) = session_token(&headers) {
            state.app.logout(&token).await?;
        }
        let gone = cookie(String::new(), state.settings.secure_cookie);
        let jar = CookieJar::from_headers(&headers).remove(gone);
        let body = json!({ "success": true, "message": answer(lang, Answer::LoggedOut) });
        Ok::<_, Fault>((jar, Json(body)).into_response())
    };
    answered(lang, result.await)
}
