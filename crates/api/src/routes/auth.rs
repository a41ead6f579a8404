//! Logging in and out.

use crate::audit::Told;
use crate::error::Fault;
use crate::extract::{Asked, Body, Person, Reader, session_cookie, session_token};
use crate::router::ApiState;
use crate::routes::{answered, users};
use crate::{body, time, wire};
use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::convert::Infallible;
use tpm_app::{DeviceToken, KeyId, LoginAttempt, Origin, SessionToken};
use tpm_domain::{Error, ResourceKind};
use tpm_messages::{Answer, answer};

/// The cookie that tells a device from others, over plain HTTP and over HTTPS.
const DEVICE: [&str; 2] = ["tpm_device", "__Host-tpm_device"];

/// Where the request comes from, and what is written down of it.
pub(crate) struct Asking(Origin, Told);

impl FromRequestParts<ApiState> for Asking {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &ApiState) -> Result<Self, Infallible> {
        let told = parts.extensions.get::<Told>().cloned();
        Ok(Self(Told::origin(parts), told.unwrap_or_default()))
    }
}

fn cookie(value: String, secure: bool) -> Cookie<'static> {
    Cookie::build((session_cookie(secure), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(secure)
        .build()
}

/// Kept for good. It lets nobody in.
fn device_cookie(device: DeviceToken, secure: bool) -> Cookie<'static> {
    Cookie::build((DEVICE[usize::from(secure)], device.0))
        // A name of this host alone (`__Host-`) goes with every path.
        .path(if secure { "/" } else { "/api/auth/login" })
        .permanent()
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(secure)
        .build()
}

fn device_token(headers: &HeaderMap, secure: bool) -> Option<DeviceToken> {
    let jar = CookieJar::from_headers(headers);
    jar.get(DEVICE[usize::from(secure)])
        .map(|cookie| DeviceToken(cookie.value().to_owned()))
}

pub(crate) async fn login(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asking(origin, told): Asking,
    headers: HeaderMap,
    Body(body): Body,
) -> Response {
    let result = async {
        let (given, errors) = body::login(body);
        let given = errors.into_result(given)?;
        let (username, password, code) = given.unwrap_or_default();
        told.wants_in(&username);
        let secure = state.settings.secure_cookie;
        let attempt = LoginAttempt {
            username,
            password,
            code,
            origin,
            before: session_token(&state, &headers),
            device: device_token(&headers, secure),
        };
        let begun = state.app.login(attempt).await?;
        let me = state.app.me(&begun.ctx).await?;
        // The session comes first: simple clients take the first one.
        let cookies = AppendHeaders([
            (SET_COOKIE, cookie(begun.token.0, secure).to_string()),
            (SET_COOKIE, device_cookie(begun.device, secure).to_string()),
        ]);
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::LoggedIn),
            "user": wire::user(&me),
        });
        Ok((cookies, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn logout(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    headers: HeaderMap,
) -> Response {
    let result = async {
        let token = session_token(&state, &headers).unwrap_or_else(|| SessionToken(String::new()));
        state.app.logout(&ctx, &token).await?;
        let gone = cookie(String::new(), state.settings.secure_cookie);
        let jar = CookieJar::from_headers(&headers).remove(gone);
        let body = users::done(answer(lang, Answer::LoggedOut));
        Ok::<_, Fault>((jar, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn me(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let me = state.app.me(&ctx).await?;
        let mut shown = wire::user(&me);
        // Everywhere; what a role allows on one project stands with the roles.
        shown["permissions"] = json!(Vec::<String>::from(ctx.actor.permissions()));
        shown["known_by"] = json!(ctx.origin.via);
        Ok::<_, Fault>(Json(shown).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn change_me(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (language, errors) = body::me(body);
        state.app.change_me(&ctx, language, errors).await?;
        Ok::<_, Fault>(Json(users::done(answer(lang, Answer::Saved))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn change_password(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    headers: HeaderMap,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (present, new, errors) = body::password(body);
        let session = session_token(&state, &headers);
        state
            .app
            .change_password(&ctx, present, new, session.as_ref(), errors)
            .await?;
        Ok::<_, Fault>(Json(users::done(answer(lang, Answer::Saved))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn begin_factor(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let begun = state.app.begin_factor(&ctx).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::FactorBegun),
            // Shown this once.
            "secret": begun.secret.expose_secret(),
            "uri": begun.uri.expose_secret(),
        });
        Ok::<_, Fault>((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn confirm_factor(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    headers: HeaderMap,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (code, errors) = body::code(body);
        let session = session_token(&state, &headers);
        let codes = state
            .app
            .confirm_factor(&ctx, code, session.as_ref(), errors)
            .await?;
        let codes: Vec<&str> = codes.iter().map(ExposeSecret::expose_secret).collect();
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::FactorSet),
            // Shown this once.
            "recovery_codes": codes,
        });
        Ok::<_, Fault>(Json(body).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn remove_factor(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    headers: HeaderMap,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (code, errors) = body::code(body);
        let session = session_token(&state, &headers);
        state
            .app
            .remove_factor(&ctx, code, session.as_ref(), errors)
            .await?;
        Ok::<_, Fault>(Json(users::done(answer(lang, Answer::Deleted))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn sessions(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let found = state.app.sessions(&ctx).await?;
        let shown: Vec<Value> = found.iter().map(wire::session).collect();
        let total = shown.len();
        Ok::<_, Fault>(Json(json!({ "sessions": shown, "total": total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn end_session(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(id): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let id: String = id.chars().take(64).collect();
        state.app.end_session(&ctx, &id).await?;
        Ok::<_, Fault>(Json(users::done(answer(lang, Answer::Deleted))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn keys(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let found = state.app.keys(&ctx).await?;
        let shown: Vec<Value> = found.iter().map(wire::key).collect();
        let total = shown.len();
        Ok::<_, Fault>(Json(json!({ "keys": shown, "total": total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn create_key(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = body::key(body);
        let made = state.app.create_key(&ctx, &draft, errors).await?;
        let body = json!({
            "success": true,
            "message": answer(lang, Answer::KeyCreated),
            "key_id": made.id.0,
            // Shown this once.
            "key": made.text.expose_secret(),
            "expires_at": time::text(made.expires_at),
        });
        Ok::<_, Fault>((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn delete_key(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let shown: String = text.chars().take(64).collect();
        let missing = |_| Fault::from(Error::not_found(ResourceKind::Key, shown));
        let id = text.parse().map(KeyId).map_err(missing)?;
        state.app.delete_key(&ctx, id).await?;
        Ok::<_, Fault>(Json(users::done(answer(lang, Answer::Deleted))).into_response())
    };
    answered(lang, result.await)
}
