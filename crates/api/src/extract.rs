//! What handlers are given: the language, the person, the body.

use crate::audit::Told;
use crate::error::Fault;
use crate::router::ApiState;
use axum::body::Bytes;
use axum::body::HttpBody;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use axum_extra::extract::cookie::CookieJar;
use secrecy::SecretString;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tpm_app::{Ctx, IdempotencyKey, SessionToken};
use tpm_domain::Error;
use tpm_messages::{ApiError, Lang};

/// The session cookie's name over plain HTTP, on this machine alone.
pub(crate) const COOKIE: &str = "tpm_session";
/// The same over HTTPS: browsers take a cookie of such a name only from this very host, and only for HTTPS.
pub(crate) const HOST_COOKIE: &str = "__Host-tpm_session";

/// The reader's language.
#[derive(Clone, Copy)]
pub(crate) struct Reader(pub(crate) Lang);

pub(crate) fn language(headers: &HeaderMap) -> Lang {
    let header = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok());
    Lang::negotiate(header)
}

impl FromRequestParts<ApiState> for Reader {
    type Rejection = Infallible;

    /// What the request asks for; else what the person chose; else Korean.
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        let asked = language(&parts.headers);
        if parts.headers.contains_key(header::ACCEPT_LANGUAGE) {
            return Ok(Self(asked));
        }
        Ok(Self(match Person::from_request_parts(parts, state).await {
            Ok(Person(ctx)) => language_for(&ctx, &parts.headers),
            Err(refusal) => {
                parts.extensions.insert(Refusal::of(refusal));
                asked
            }
        }))
    }
}

/// Why nobody is known, from whoever asked first to whoever needs to know: asking again could be answered
/// otherwise, and a database that does not answer would be waited for twice.
#[derive(Clone)]
struct Refusal(Arc<Mutex<Option<Response>>>);

impl Refusal {
    fn of(response: Response) -> Self {
        Self(Arc::new(Mutex::new(Some(response))))
    }

    fn take(&self) -> Option<Response> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The language that is asked for, else the one that the person chose.
fn language_for(ctx: &Ctx, headers: &HeaderMap) -> Lang {
    let chosen = ctx.language.as_deref().and_then(Lang::named);
    let chosen = chosen.filter(|_| !headers.contains_key(header::ACCEPT_LANGUAGE));
    chosen.unwrap_or_else(|| language(headers))
}

/// Parts of the path. What is no text belongs to nothing that exists.
pub(crate) struct Path<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    axum::extract::Path<T>: FromRequestParts<S>,
    S: Send + Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let found = axum::extract::Path::from_request_parts(parts, state).await;
        found
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Fault::from(ApiError::NoRoute).into_response_in(language(&parts.headers)))
    }
}

/// What the session cookie is called; one of the other name is nobody's.
pub(crate) fn session_cookie(secure: bool) -> &'static str {
    if secure { HOST_COOKIE } else { COOKIE }
}

/// The secret in the session cookie.
pub(crate) fn session_token(state: &ApiState, headers: &HeaderMap) -> Option<SessionToken> {
    let jar = CookieJar::from_headers(headers);
    jar.get(session_cookie(state.settings.secure_cookie))
        .map(|cookie| SessionToken(cookie.value().to_owned()))
}

/// The person, known by a session or a key. Who it is is found out once for a request.
#[derive(Clone)]
pub(crate) struct Person(pub(crate) Ctx);

impl FromRequestParts<ApiState> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Response> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        if let Some(refusal) = parts.extensions.get::<Refusal>().and_then(Refusal::take) {
            return Err(refusal);
        }
        let lang = language(&parts.headers);
        let origin = Told::origin(parts);
        let session = session_token(state, &parts.headers);
        let found = match (bearer(&parts.headers), session) {
            // Whose request it is must not depend on which of them is looked at.
            (Some(_), Some(_)) => Err(ApiError::TwoCredentials.into()),
            (Some(key), None) => {
                let found = state.app.authenticate_key(&key, origin).await;
                found.map_err(Fault::from).and_then(|ctx| {
                    state.pace.request(&ctx.origin.via)?;
                    Ok(ctx)
                })
            }
            (None, Some(token)) => {
                let found = state.app.authenticate(&token, origin).await;
                found.map_err(Fault::from).and_then(|ctx| {
                    state.session_pace.request(&ctx.actor.id.to_string())?;
                    Ok(ctx)
                })
            }
            (None, None) => Err(Fault::from(Error::Unauthenticated)),
        };
        let within = found.and_then(|ctx| match ctx.confined && !is_for_confined(&parts.uri) {
            true => Err(Fault::from(Error::SecondFactorMissing)),
            false => Ok(ctx),
        });
        let ctx = within.map_err(|fault: Fault| fault.into_response_in(lang))?;
        Told::is(parts, &ctx.origin, &ctx.actor);
        let person = Self(ctx);
        parts.extensions.insert(person.clone());
        Ok(person)
    }
}

/// What somebody may ask for who has to set up a second factor first.
fn is_for_confined(uri: &Uri) -> bool {
    let own = ["me", "logout", "password", "factor", "factor/confirm"];
    let own = own.map(|name| format!("/api/auth/{name}"));
    own.iter().any(|path| path == uri.path())
}

/// The key in the header `Authorization: Bearer …`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = text.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| key.trim().to_owned().into())
}

/// The header that names a request, so that sending it again has no second effect.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest key.
const MAX_KEY: usize = 200;

/// The request's name with what it asks for, when it has one.
pub(crate) fn idempotency(
    headers: &HeaderMap,
    method: &Method,
    uri: &Uri,
    body: &Map<String, Value>,
) -> Result<Option<IdempotencyKey>, Fault> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.is_empty() || key.len() > MAX_KEY || !visible {
        return Err(ApiError::BadIdempotencyKey.into());
    }
    // Objects are sorted by key, so the same request written otherwise is the same request.
    let mut digest = Sha256::new();
    for part in [
        method.as_str(),
        uri.path(),
        &Value::Object(body.clone()).to_string(),
    ] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    Ok(Some(IdempotencyKey {
        key: key.to_owned(),
        request_hash: hex::encode(digest.finalize()),
    }))
}

/// The person and the body of a request that may carry an idempotency key.
pub(crate) struct Asked(pub(crate) Ctx, pub(crate) Map<String, Value>);

impl FromRequest<ApiState> for Asked {
    type Rejection = Response;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Person(mut ctx) = Person::from_request_parts(&mut parts, state).await?;
        let lang = language_for(&ctx, &parts.headers);
        let (headers, method, uri) = (
            parts.headers.clone(),
            parts.method.clone(),
            parts.uri.clone(),
        );
        let asked = async {
            let body = read_or_empty(Request::from_parts(parts, body), state).await?;
            ctx.key = idempotency(&headers, &method, &uri, &body)?;
            Ok(Self(ctx, body))
        };
        asked
            .await
            .map_err(|fault: Fault| fault.into_response_in(lang))
    }
}

/// A request that needs no body may come without one.
async fn read_or_empty(request: Request, state: &ApiState) -> Result<Map<String, Value>, Fault> {
    let empty = request.body().is_end_stream();
    if empty && !request.headers().contains_key(header::CONTENT_TYPE) {
        return Ok(Map::new());
    }
    read(request, state).await
}

/// A JSON object as body.
pub(crate) struct Body(pub(crate) Map<String, Value>);

impl FromRequest<ApiState> for Body {
    type Rejection = Response;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Response> {
        let lang = language(request.headers());
        read(request, state)
            .await
            .map(Self)
            .map_err(|fault| fault.into_response_in(lang))
    }
}

async fn read(request: Request, state: &ApiState) -> Result<Map<String, Value>, Fault> {
    if !is_json(request.headers()) {
        return Err(ApiError::WrongMediaType.into());
    }
    // Said beforehand: nothing of it is waited for.
    let said = usize::try_from(request.body().size_hint().lower());
    if said.map_or(true, |said| said > state.settings.max_body_bytes) {
        return Err(ApiError::TooLarge.into());
    }
    // Whoever waits for a body keeps the connection open, after the answer as well.
    let bytes = Bytes::from_request(request, state);
    let bytes = tokio::time::timeout(state.settings.request_timeout, bytes);
    let bytes = bytes
        .await
        .map_err(|_| Fault::from(ApiError::Timeout))?
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(error)
                if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE =>
            {
                Fault::from(ApiError::TooLarge)
            }
            _ => Fault::from(ApiError::BrokenJson),
        })?;
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(ApiError::NotAnObject.into()),
        Err(error) => {
            let place = serde_json::json!({ "line": error.line(), "column": error.column() });
            Err(Fault::Api(ApiError::BrokenJson, place))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    declared.is_some_and(|text| {
        let media = text.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case("application/json")
    })
}
