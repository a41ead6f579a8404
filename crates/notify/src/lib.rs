//! Sending notifications to URLs that people name: which may be called, what is sent, and how it is signed.
//!
//! It decides neither what is sent nor when, and keeps nothing: whoever calls it writes down what came of it. It never
//! connects to an address that the [`Policy`] does not allow, whatever a name server says.

mod address;
mod message;
mod outgoing;
mod sign;
mod target;

pub use message::body;
pub use outgoing::{Answer, HttpOutgoing, Lookup, Message, Outgoing, SendError, SystemLookup};
pub use reqwest::Certificate;
pub use sign::ChannelKeys;
pub use target::Policy;

use tpm_domain::{Channel, Delivery, Timestamp};

/// A message as it goes out, signed at that moment.
#[must_use]
pub fn message(
    keys: &ChannelKeys,
    channel: &Channel,
    delivery: &Delivery,
    body: &str,
    at: Timestamp,
) -> Message {
    let id = delivery.message_id();
    Message {
        signature: keys.signature(channel, &id, at, body),
        timestamp: sign::seconds(at),
        body: body.to_owned(),
        id,
    }
}
