//! What is sent: written once for each message, and the same for every attempt.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tpm_domain::{Channel, ChannelFormat, ChannelLanguage, Delivery, Timestamp};
use tpm_messages::{Answer, Lang, answer, notification};

fn moment(at: Timestamp) -> String {
    let at = DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn language(of: ChannelLanguage) -> Lang {
    match of {
        ChannelLanguage::Ko => Lang::Ko,
        ChannelLanguage::En => Lang::En,
    }
}

/// The body of a message.
#[must_use]
pub fn body(channel: &Channel, delivery: &Delivery) -> String {
    let lang = language(channel.spec.language);
    let text = match &delivery.notification {
        Some(told) => notification(lang, &told.event),
        None => answer(lang, Answer::ChannelTest),
    };
    let value = match channel.spec.format {
        ChannelFormat::Text => json!({ "text": text }),
        ChannelFormat::Event => about(delivery, &text),
    };
    value.to_string()
}

fn about(delivery: &Delivery, text: &str) -> Value {
    let id = delivery.message_id();
    let Some(notification) = &delivery.notification else {
        return json!({
            "id": id,
            "type": "info",
            "event": "test",
            "message": text,
            "created_at": moment(delivery.created_at),
            "server_id": null,
            "server_name": null,
            "task_id": null,
        });
    };
    let event = &notification.event;
    json!({
        "id": id,
        "type": notification.severity.as_str(),
        "event": json!(event.kind)["kind"],
        "message": text,
        "created_at": moment(notification.created_at),
        "server_id": event.server,
        "server_name": event.server_name,
        "task_id": event.task,
    })
}
