//! Channels: where notifications are sent to beside the inbox.

use crate::error::Fault;
use crate::extract::{Asked, Path, Person, Reader};
use crate::fields::Fields;
use crate::router::ApiState;
use crate::routes::{answered, users};
use crate::{body, query, time};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use tpm_app::{ChannelDraft, ChannelKey, ChannelView};
use tpm_domain::{
    ChannelFormat, ChannelId, ChannelLanguage, Delivery, Error, FieldErrors, ResourceKind,
};
use tpm_messages::{Answer, Lang, answer};

/// An id that is no number belongs to no channel.
fn id(text: &str) -> Result<ChannelId, Fault> {
    let shown: String = text.chars().take(64).collect();
    let missing = |_| Fault::from(Error::not_found(ResourceKind::Channel, shown));
    text.parse().map(ChannelId).map_err(missing)
}

fn draft(body: Map<String, Value>) -> (ChannelDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let draft = ChannelDraft {
        name: fields.text("name"),
        url: fields.text("url"),
        types: fields.texts("types"),
        format: fields.one_of("format", ChannelFormat::ALL, ChannelFormat::as_str),
        language: fields.one_of("language", ChannelLanguage::ALL, ChannelLanguage::as_str),
        enabled: fields.boolean("enabled"),
    };
    fields.finish();
    (draft, errors)
}

/// A channel, without what may be a secret.
fn channel(view: &ChannelView) -> Value {
    let (channel, spec) = (&view.channel, &view.channel.spec);
    let types: Vec<&str> = spec.types.iter().map(|one| one.as_str()).collect();
    json!({
        "id": channel.id,
        "name": spec.name,
        "url": spec.url.masked(),
        "types": types,
        "format": spec.format.as_str(),
        "language": spec.language.as_str(),
        "enabled": spec.enabled,
        "pending": view.backlog.pending,
        "dead": view.backlog.dead,
        "delivered_at": view.backlog.delivered_at.map(time::text),
        "rotated_at": channel.rotated_at.map(time::text),
        "created_at": time::text(channel.created_at),
        "updated_at": time::text(channel.updated_at),
    })
}

fn delivery(lang: Lang, delivery: &Delivery) -> Value {
    let told = delivery.notification.as_ref();
    let pending = delivery.ended_at.is_none();
    json!({
        "id": delivery.id,
        "message_id": delivery.message_id(),
        "notification_id": told.map(|told| told.id),
        "message": match told {
            Some(told) => tpm_messages::notification(lang, &told.event),
            None => answer(lang, Answer::ChannelTest),
        },
        "status": delivery.state.as_str(),
        "attempts": delivery.attempts,
        "http_status": delivery.status,
        "error": delivery.error,
        "next_attempt_at": pending.then(|| time::text(delivery.due_at)),
        "created_at": time::text(delivery.created_at),
        "ended_at": delivery.ended_at.map(time::text),
    })
}

fn with_key(lang: Lang, said: Answer, made: &ChannelKey) -> Value {
    json!({
        "success": true,
        "message": answer(lang, said),
        "channel_id": made.id,
        // Shown this once.
        "signing_key": made.key.expose_secret(),
    })
}

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let found = state.app.channels(&ctx).await?;
        let channels: Vec<Value> = found.iter().map(channel).collect();
        let total = channels.len();
        Ok(Json(json!({ "channels": channels, "total": total })).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn one(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
) -> Response {
    let result = async {
        let found = state.app.channel(&ctx, id(&text)?).await?;
        Ok(Json(channel(&found)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn create(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = draft(body);
        let made = state.app.create_channel(&ctx, &draft, errors).await?;
        let body = with_key(lang, Answer::ChannelCreated, &made);
        Ok((StatusCode::CREATED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn change(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        let (draft, errors) = draft(body);
        let id = id(&text)?;
        state.app.change_channel(&ctx, id, &draft, errors).await?;
        Ok(Json(users::done(answer(lang, Answer::Saved))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn rotate(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let made = state.app.rotate_channel(&ctx, id(&text)?).await?;
        Ok(Json(with_key(lang, Answer::ChannelRotated, &made)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn test(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        let delivery = state.app.test_channel(&ctx, id(&text)?).await?;
        let mut body = users::done(answer(lang, Answer::ChannelTested));
        body["delivery_id"] = json!(delivery);
        Ok((StatusCode::ACCEPTED, Json(body)).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn delete_one(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Path(text): Path<String>,
    Asked(ctx, body): Asked,
) -> Response {
    let result = async {
        body::nothing(body)?;
        state.app.delete_channel(&ctx, id(&text)?).await?;
        Ok(Json(users::done(answer(lang, Answer::Deleted))).into_response())
    };
    answered(lang, result.await)
}

pub(crate) async fn deliveries(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    Path(text): Path<String>,
    RawQuery(asked): RawQuery,
) -> Response {
    let result = async {
        let query = query::deliveries(asked.as_deref(), id(&text)?)?;
        let page = state.app.deliveries(&ctx, &query).await?;
        let items: Vec<Value> = page.items.iter().map(|one| delivery(lang, one)).collect();
        Ok(Json(json!({ "deliveries": items, "total": page.total })).into_response())
    };
    answered(lang, result.await)
}
