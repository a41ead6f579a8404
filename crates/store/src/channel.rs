//! Channels, and what is sent to them.

use crate::{Page, Result};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;
use tpm_domain::{
    Backlog, Channel, ChannelId, ChannelSpec, Delivery, DeliveryId, DeliveryState, Outcome,
    Timestamp,
};

/// Which messages, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Of this channel.
    pub channel: ChannelId,
    /// Only so far.
    pub state: Option<DeliveryState>,
    /// Most rows; all when `None`.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: u64,
}

/// Looking at channels.
#[async_trait]
pub trait ChannelReads: Send + Sync {
    /// All of them, by name.
    async fn channels(&self) -> Result<Vec<Channel>>;
    /// One of them.
    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>>;
    /// How much each has yet to be told; one that was never told anything is missing.
    async fn backlogs(&self) -> Result<BTreeMap<ChannelId, Backlog>>;
    /// Whether a message is due.
    async fn is_delivery_due(&self) -> Result<bool>;
    /// A page of messages.
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>>;
}

/// Changing them. What a channel is told is written down by the store itself, together with the notification.
#[async_trait]
pub trait ChannelWrites: Send + Sync {
    /// Writes a new one.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when the name is taken.
    async fn insert_channel(&self, spec: &ChannelSpec, salt: &str) -> Result<ChannelId>;
    /// Writes back what can be said of one, and its generation.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when the name is taken.
    async fn save_channel(&self, channel: &Channel) -> Result<()>;
    /// Removes one, with all that was to be sent to it; `false` when there is none.
    async fn delete_channel(&self, id: ChannelId) -> Result<bool>;
    /// Writes down that a test is to be sent.
    async fn add_test(&self, channel: ChannelId) -> Result<DeliveryId>;
    /// Takes messages that are due of channels that are on, and tests of any, the longest due first, at most so many of each channel:
    /// nobody else takes them for a while. The stamp is this moment, or that of an attempt within the while before of
    /// which nothing is known.
    async fn take_deliveries(
        &self,
        most: u64,
        of_each: u64,
        for_a_while: Duration,
    ) -> Result<Vec<Delivery>>;
    /// Keeps the text of one, so that every attempt sends the same.
    async fn keep_body(&self, id: DeliveryId, body: &str) -> Result<()>;
    /// Writes down what came of an attempt; `false` when somebody else took it since.
    async fn end_attempt(&self, id: DeliveryId, claim: i64, outcome: &Outcome) -> Result<bool>;
    /// Removes messages that ended before a moment; how many.
    async fn trim_deliveries(&self, before: Timestamp) -> Result<u64>;
}
