//! What changes, as it changes: server-sent events.

use crate::audit::Told;
use crate::error::Fault;
use crate::extract::{Person, Reader, bearer, session_token};
use crate::leaving::Leaving;
use crate::router::ApiState;
use crate::routes::answered;
use crate::{query, wire};
use axum::body::Body;
use axum::extract::{FromRequestParts, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::Instant;
use tpm_app::{App, Credential, FeedPlace, Following, LiveEvent, LiveThing, Origin};
use tpm_domain::{Error, FieldErrors, Reason};
use tpm_messages::Lang;

/// Every so often the follower's right to follow is looked at, and it hears that the connection stands.
const EVERY: Duration = Duration::from_secs(10);
const LAST: HeaderName = HeaderName::from_static("last-event-id");

/// By what the follower is known, to be looked at again.
pub(crate) struct Known {
    credential: Option<Credential>,
    origin: Origin,
}

impl FromRequestParts<ApiState> for Known {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        let key = bearer(&parts.headers).map(Credential::Key);
        let session = || session_token(state, &parts.headers).map(Credential::Session);
        Ok(Self {
            credential: key.or_else(session),
            origin: Told::origin(parts),
        })
    }
}

struct Follower {
    app: App,
    lang: Lang,
    following: Following,
    credential: Credential,
    origin: Origin,
    leaving: Leaving,
    look_at: Instant,
    greeted: bool,
}

impl Follower {
    /// What is written next; nothing more once the person may not follow any more, or the process leaves.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            return Some(frame(self.following.place(), "open", &json!({})));
        }
        tokio::select! {
            biased;
            () = self.leaving.begun() => None,
            () = tokio::time::sleep_until(self.look_at) => {
                self.look_at = Instant::now() + EVERY;
                let origin = self.origin.clone();
                let ctx = self.app.still_holds(&self.credential, origin).await.ok()?;
                self.following.read_as(&ctx).ok()?;
                Some(Bytes::from_static(b": alive\n\n"))
            }
            event = self.following.next() => {
                // Without a database nobody knows what may be seen: the follower comes back for it.
                let event = event.ok()?;
                Some(event.shown(self.lang == Lang::En, |event| shown(self.lang, event)))
            }
        }
    }
}

fn frame(place: FeedPlace, kind: &str, data: &Value) -> Bytes {
    format!("id: {place}\nevent: {kind}\ndata: {data}\n\n").into()
}

fn shown(lang: Lang, event: &LiveEvent) -> Bytes {
    let (kind, data) = match &event.thing {
        LiveThing::Server(view) => ("server", wire::server(lang, view)),
        LiveThing::ServerGone(id) => ("server_deleted", json!({ "id": id })),
        LiveThing::Task(task) => ("task", wire::task(lang, task)),
        LiveThing::Notification(found) => ("notification", wire::notification(lang, found)),
        LiveThing::Resync => ("resync", json!({})),
    };
    frame(event.place, kind, &data)
}

/// Where the follower goes on: the header of who comes back, or the query of who cannot set it.
fn place(headers: &HeaderMap, asked: Option<String>) -> Result<Option<FeedPlace>, Fault> {
    let header = headers
        .get(LAST)
        .map(|value| value.to_str().unwrap_or_default());
    let Some(text) = header.map(str::to_owned).or(asked) else {
        return Ok(None);
    };
    let place = text.trim().parse().ok();
    let mut errors = FieldErrors::default();
    if place.is_none() {
        errors.add("last_event_id", Reason::NoSuch);
    }
    Ok(errors.into_result(place)?)
}

pub(crate) async fn follow(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Known { credential, origin }: Known,
    headers: HeaderMap,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let after = place(&headers, query::events(text.as_deref())?)?;
        let credential = credential.ok_or(Error::Unauthenticated)?;
        let follower = Follower {
            following: state.app.follow(&ctx, after).await?,
            app: state.app.clone(),
            lang,
            credential,
            origin,
            leaving: state.settings.leaving.clone(),
            look_at: Instant::now() + EVERY,
            greeted: false,
        };
        let frames = stream::unfold(follower, async |mut follower| {
            let bytes = follower.next().await?;
            Some((Ok::<_, Infallible>(bytes), follower))
        });
        let headers = [
            (header::CONTENT_TYPE, "text/event-stream"),
            // Proxies that collect answers before they pass them on do not collect this one.
            (HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        Ok((headers, Body::from_stream(frames)).into_response())
    };
    answered(lang, result.await)
}
