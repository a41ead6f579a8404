//! Channels in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::notifications::SeverityWord;
use super::operation::{Op, id, paging, query_word};
use super::servers::Done;
use super::words::words;
use serde_json::{Value, json};
use tpm_domain::{ChannelFormat, ChannelLanguage, DeliveryState};
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;

words!(
    ChannelFormatWord,
    "How a message is written: `event` is an object with `id`, `type`, `event`, `message`, `created_at`, `server_id`, \
     `server_name` and `task_id`; `text` is `{\"text\": …}`, as incoming webhooks of Slack and Mattermost take it.",
    ChannelFormat::ALL.iter().copied(),
    ChannelFormat::as_str
);

words!(
    ChannelLanguageWord,
    "In which language a channel is told.",
    ChannelLanguage::ALL.iter().copied(),
    ChannelLanguage::as_str
);

words!(
    DeliveryWord,
    "How far a message is: `pending` is tried again, `dead` was refused or not taken for a day.",
    DeliveryState::ALL.iter().copied(),
    DeliveryState::as_str
);

/// A channel.
#[derive(ToSchema)]
struct Channel {
    /// Its number.
    id: i64,
    /// Its name, unique among channels.
    #[schema(example = "ops")]
    name: String,
    /// Where to: scheme, host and port. A path or query is shown as `/…`, because it may be a secret.
    #[schema(example = "https://hooks.example.com/…")]
    url: String,
    /// Which notifications are sent.
    types: Vec<SeverityWord>,
    /// How they are written.
    format: ChannelFormatWord,
    /// In which language.
    language: ChannelLanguageWord,
    /// Whether anything is sent.
    enabled: bool,
    /// Messages that wait.
    pending: u64,
    /// Messages of the last 14 days that were given up.
    dead: u64,
    /// When a message was taken last; `null` when none was within 14 days.
    #[schema(format = "date-time")]
    delivered_at: Option<String>,
    /// When its signing key was replaced last; `null` when it never was.
    #[schema(format = "date-time")]
    rotated_at: Option<String>,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// When it was changed last.
    #[schema(format = "date-time")]
    updated_at: String,
}

/// All channels, by name.
#[derive(ToSchema)]
struct ChannelList {
    /// The channels.
    channels: Vec<Channel>,
    /// How many there are.
    total: u64,
}

/// A channel to be made.
#[derive(ToSchema)]
struct CreateChannel {
    /// Its name: a DNS label in lower case that begins with a letter.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "ops"
    )]
    name: String,
    /// An `https` URL on port 443 or 8443 of the open internet, without user and password; the settings (`notify`) may
    /// allow more. No redirect is followed.
    #[schema(
        max_length = 2048,
        example = "https://hooks.example.com/services/T0/B0"
    )]
    url: String,
    /// Which notifications: all of them when not said.
    #[schema(min_items = 1)]
    types: Option<Vec<SeverityWord>>,
    /// How they are written: `event` when not said.
    format: Option<ChannelFormatWord>,
    /// In which language: Korean when not said.
    language: Option<ChannelLanguageWord>,
    /// Whether anything is sent: yes when not said.
    enabled: Option<bool>,
}

/// What is to be changed of a channel; what is not said stays as it is.
#[derive(ToSchema)]
struct ChangeChannel {
    /// Its name.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "ops"
    )]
    name: Option<String>,
    /// Where to.
    #[schema(
        max_length = 2048,
        example = "https://hooks.example.com/services/T0/B0"
    )]
    url: Option<String>,
    /// Which notifications.
    #[schema(min_items = 1)]
    types: Option<Vec<SeverityWord>>,
    /// How they are written.
    format: Option<ChannelFormatWord>,
    /// In which language.
    language: Option<ChannelLanguageWord>,
    /// Whether anything is sent. What a channel that is off would be told is not kept for it.
    enabled: Option<bool>,
}

/// A channel and its signing key, which is shown this once.
#[derive(ToSchema)]
struct ChannelKey {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The channel's number.
    channel_id: i64,
    /// What messages are signed with: `whsec_` and 32 bytes in base64.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]{43}=$")]
    signing_key: String,
}

/// A test that is being sent.
#[derive(ToSchema)]
struct ChannelTested {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Its number among what is sent to the channel.
    delivery_id: i64,
}

/// Something that is sent to a channel.
#[derive(ToSchema)]
struct Delivery {
    /// Its number.
    id: i64,
    /// `webhook-id` of every attempt: receivers tell copies by it.
    #[schema(example = "notification_1_42")]
    message_id: String,
    /// The notification; `null` for a test.
    notification_id: Option<i64>,
    /// What it says, in the language asked for.
    message: String,
    /// How far it is.
    status: DeliveryWord,
    /// How often it was tried.
    attempts: u32,
    /// The status of the last answer; `null` when there was none.
    http_status: Option<u16>,
    /// Why it was not taken; `null` when it was, or was not tried.
    #[schema(example = "HTTP 503")]
    error: Option<String>,
    /// When it is tried next; `null` when it is not.
    #[schema(format = "date-time")]
    next_attempt_at: Option<String>,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// When it was taken, or given up.
    #[schema(format = "date-time")]
    ended_at: Option<String>,
}

/// A page of what was sent to a channel, or is to be, the newest first.
#[derive(ToSchema)]
struct DeliveryList {
    /// The page.
    deliveries: Vec<Delivery>,
    /// How many there are beyond the page.
    total: u64,
}

fn channel_id() -> Parameter {
    id("channel_id", "The channel's number.", 1)
}

fn example() -> Value {
    json!({
        "id": 1,
        "name": "ops",
        "url": "https://hooks.example.com/…",
        "types": ["warning", "error"],
        "format": "event",
        "language": "ko",
        "enabled": true,
        "pending": 0,
        "dead": 0,
        "delivered_at": "2024-01-15T10:30:00Z",
        "rotated_at": null,
        "created_at": "2024-01-15T10:30:00Z",
        "updated_at": "2024-01-15T10:30:00Z",
    })
}

fn with_key(said: Answer) -> Value {
    json!({
        "success": true,
        "message": answer(Lang::En, said),
        "channel_id": 1,
        "signing_key": format!("whsec_{}=", "0".repeat(43)),
    })
}

fn done(said: Answer) -> Value {
    json!({ "success": true, "message": answer(Lang::En, said) })
}

const LIST: &str = "/api/notifications/channels";
const ONE: &str = "/api/notifications/channels/{channel_id}";

pub(super) fn operations() -> Vec<Op> {
    let mut all = about_channels();
    all.extend(about_messages());
    all
}

fn about_channels() -> Vec<Op> {
    vec![
        Op::get(LIST, "listChannels", "List channels").answers::<ChannelList>(
            200,
            "All channels, by name.",
            json!({ "channels": [example()], "total": 1 }),
        ),
        Op::post(LIST, "createChannel", "Create a channel")
            .about(
                "From now on every notification of these types is posted to the URL as JSON, signed as Standard Webhooks \
                 describes it (`webhook-id`, `webhook-timestamp`, `webhook-signature`), until it is answered with 2xx, \
                 refused with another 4xx than 408 and 429, or a day has passed.\n\n404: what the same `Idempotency-Key` \
                 made was deleted since, and its signing key cannot be told again.",
            )
            .keyed()
            .asks::<CreateChannel>(json!({
                "name": "ops",
                "url": "https://hooks.example.com/services/T0/B0",
                "types": ["warning", "error"],
            }))
            .answers::<ChannelKey>(201, "Made.", with_key(Answer::ChannelCreated))
            .refuses(&["NOT_FOUND", "NAME_TAKEN"]),
        Op::get(ONE, "getChannel", "Get a channel")
            .takes(channel_id())
            .answers::<Channel>(200, "The channel.", example())
            .refuses(&["NOT_FOUND"]),
        Op::patch(ONE, "changeChannel", "Change a channel")
            .about("What already waits goes where it says from then on.")
            .takes(channel_id())
            .asks_maybe::<ChangeChannel>(json!({ "enabled": false }))
            .answers::<Done>(200, "Saved.", done(Answer::Saved))
            .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND", "NAME_TAKEN"]),
        Op::delete(ONE, "deleteChannel", "Delete a channel")
            .about("What waits to be sent to it is dropped.")
            .takes(channel_id())
            .asks_nothing()
            .answers::<Done>(200, "Done.", done(Answer::Deleted))
            .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND"]),
    ]
}

fn about_messages() -> Vec<Op> {
    let mut tested = done(Answer::ChannelTested);
    tested["delivery_id"] = json!(7);
    vec![
        Op::post(
            "/api/notifications/channels/{channel_id}/test",
            "testChannel",
            "Send a test to a channel",
        )
        .about("A worker sends it, even when the channel is off; what came of it stands among its deliveries.")
        .takes(channel_id())
        .asks_nothing()
        .answers::<ChannelTested>(202, "It is being sent.", tested)
        .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND"]),
        Op::post(
            "/api/notifications/channels/{channel_id}/rotate",
            "rotateChannel",
            "Replace a channel's signing key",
        )
        .about("For 24 hours messages carry two signatures, the first by the new key, the second by the old one.")
        .takes(channel_id())
        .asks_nothing()
        .answers::<ChannelKey>(200, "Replaced.", with_key(Answer::ChannelRotated))
        .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND"]),
        Op::get(
            "/api/notifications/channels/{channel_id}/deliveries",
            "listDeliveries",
            "List what was sent to a channel",
        )
        .about("Messages that ended are forgotten after 14 days.")
        .takes(channel_id())
        .queries([query_word(
            "status",
            "Of this status.",
            DeliveryState::ALL.iter().map(|state| state.as_str()),
            None,
        )])
        .queries(paging("deliveries"))
        .answers::<DeliveryList>(
            200,
            "A page, the newest first.",
            json!({
                "deliveries": [{
                    "id": 7,
                    "message_id": "notification_1_42",
                    "notification_id": 42,
                    "message": "server web-server-01 was created",
                    "status": "pending",
                    "attempts": 1,
                    "http_status": 503,
                    "error": "HTTP 503",
                    "next_attempt_at": "2024-01-15T10:30:05Z",
                    "created_at": "2024-01-15T10:30:00Z",
                    "ended_at": null,
                }],
                "total": 1,
            }),
        )
        .refuses(&["NOT_FOUND"]),
    ]
}
