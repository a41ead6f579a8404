//! Channels: where notifications are sent to beside the inbox, and what becomes of each that is sent.

use crate::{Notification, ServerName, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A channel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(pub i64);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of something that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub i64);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $kind:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$each])* $kind),+
        }

        impl $name {
            /// All of them, in the order above.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The word on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text),+
                }
            }

            /// What a word means.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

words! {
    /// How a message is written.
    ChannelFormat {
        /// An object of ours, with the event for programs.
        Event = "event",
        /// `{"text": …}`, as incoming webhooks of Slack and Mattermost take it.
        Text = "text",
    }
}

words! {
    /// In which language a channel is told.
    ChannelLanguage {
        /// Korean.
        Ko = "ko",
        /// English.
        En = "en",
    }
}

words! {
    /// How far a message is.
    DeliveryState {
        /// Not taken yet; it is tried again.
        Pending = "pending",
        /// Taken.
        Delivered = "delivered",
        /// Refused, or not taken for a day: it is not tried again.
        Dead = "dead",
    }
}

/// What can be said of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelSpec {
    /// Its name: one label, unique among channels.
    pub name: ServerName,
    /// Where to. It may hold a token: whoever has it may write there.
    pub url: HookUrl,
    /// Which notifications; never empty.
    pub types: BTreeSet<Severity>,
    /// How they are written.
    pub format: ChannelFormat,
    /// In which language.
    pub language: ChannelLanguage,
    /// Whether anything is sent.
    pub enabled: bool,
}

/// A URL that is not printed whole, because its path may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HookUrl(String);

impl HookUrl {
    /// Any text; whether it may be called is decided where it is called.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self(url)
    }

    /// All of it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Scheme, host and port; the rest is `…`.
    #[must_use]
    pub fn masked(&self) -> String {
        let start = self.0.find("://").map_or(0, |at| at + 3);
        let (origin, rest) = match self.0[start..].find(['/', '?', '#']) {
            Some(at) => self.0.split_at(start + at),
            None => (self.0.as_str(), ""),
        };
        match rest {
            "" | "/" => origin.to_owned(),
            _ => format!("{origin}/…"),
        }
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Why a URL is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlFault {
    /// It is no URL with a host, or a very long one.
    Form,
    /// Another scheme than those allowed.
    Scheme,
    /// It holds a user or a password.
    Credentials,
    /// Another port than those allowed.
    Port,
    /// An address that is not to be connected to, or a name for one.
    Address,
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not a URL",
            Self::Scheme => "scheme not allowed",
            Self::Credentials => "user or password in the URL",
            Self::Port => "port not allowed",
            Self::Address => "address not allowed",
        })
    }
}

impl std::error::Error for UrlFault {}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its number.
    pub id: ChannelId,
    /// What can be said of it.
    pub spec: ChannelSpec,
    /// What its signing keys are made from, beside the installation's key.
    pub salt: String,
    /// How often its signing key was replaced.
    pub generation: i64,
    /// When that was last; the key before it signs, too, for a while.
    pub rotated_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

impl Channel {
    /// After a signing key was replaced, the old one signs as well for so long.
    pub const BOTH_KEYS: Duration = Duration::from_secs(24 * 60 * 60);

    /// The generations of keys that sign at a moment, the newest first.
    #[must_use]
    pub fn signing(&self, now: Timestamp) -> Vec<i64> {
        let mut all = vec![self.generation];
        if self
            .rotated_at
            .is_some_and(|at| now.since(at) < Self::BOTH_KEYS)
        {
            all.push(self.generation - 1);
        }
        all
    }
}

/// Something that is sent to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// Where to.
    pub channel: ChannelId,
    /// What people were told; `None` for a test.
    pub notification: Option<Notification>,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried and something is known of that.
    pub attempts: u32,
    /// How often it was begun to be tried. Whoever writes down what came of it must name this number.
    pub claim: i64,
    /// When it is tried next.
    pub due_at: Timestamp,
    /// What is sent, the same each time; `None` before it was tried first.
    pub body: Option<String>,
    /// The moment that is signed: of the first time that this attempt was begun.
    pub stamp: Option<Timestamp>,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// Why it was not taken.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was taken, or given up.
    pub ended_at: Option<Timestamp>,
}

impl Delivery {
    /// Given up after so long.
    pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

    /// How long after a failed attempt the next one is: seconds first, at most six hours.
    #[must_use]
    pub fn pause(attempts: u32) -> Duration {
        const PAUSES: [u64; 8] = [5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600];
        let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        Duration::from_secs(*PAUSES.get(at).unwrap_or(&PAUSES[7]))
    }

    /// The number that a receiver tells copies by: the same for every attempt.
    #[must_use]
    pub fn message_id(&self) -> String {
        match &self.notification {
            Some(notification) => format!("notification_{}_{}", self.channel, notification.id.0),
            None => format!("test_{}_{}", self.channel, self.id.0),
        }
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How far it is now.
    pub state: DeliveryState,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Why it was not taken.
    pub error: Option<String>,
    /// When it is tried next, if it is.
    pub due_at: Timestamp,
}

/// How much a channel has yet to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that wait.
    pub pending: u64,
    /// Messages that were given up.
    pub dead: u64,
    /// When one was taken last.
    pub delivered_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_a_secret() {
        for (url, shown) in [
            ("https://hooks.example.com", "https://hooks.example.com"),
            ("https://hooks.example.com/", "https://hooks.example.com"),
            (
                "https://hooks.example.com:8443/T0/xyz",
                "https://hooks.example.com:8443/…",
            ),
            ("https://a.example?token=1", "https://a.example/…"),
            ("https://a.example#x", "https://a.example/…"),
        ] {
            let url = HookUrl::new(url.into());
            assert_eq!(url.masked(), shown);
            assert_eq!(format!("{url:?}"), shown);
        }
    }

    #[test]
    fn pauses_grow_and_end_within_a_day() {
        let pauses: Vec<Duration> = (1..=12).map(Delivery::pause).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses[0], Duration::from_secs(5));
        assert_eq!(pauses[11], Duration::from_secs(6 * 3600));
        assert!(Delivery::pause(u32::MAX) < Delivery::GIVEN_UP_AFTER);
    }

    #[test]
    fn a_replaced_key_signs_for_a_day_more() {
        let now = Timestamp(1_700_000_000_000);
        let mut channel = Channel {
            id: ChannelId(1),
            spec: ChannelSpec {
                name: ServerName::new("ops").unwrap(),
                url: HookUrl::new("https://a.example".into()),
                types: Severity::ALL.into_iter().collect(),
                format: ChannelFormat::Event,
                language: ChannelLanguage::Ko,
                enabled: true,
            },
            salt: "s".into(),
            generation: 0,
            rotated_at: None,
            created_at: now,
            updated_at: now,
        };
        assert_eq!(channel.signing(now), [0]);
        channel.generation = 1;
        channel.rotated_at = Some(now);
        assert_eq!(channel.signing(now), [1, 0]);
        assert_eq!(channel.signing(now.plus(Channel::BOTH_KEYS)), [1]);
    }
}
