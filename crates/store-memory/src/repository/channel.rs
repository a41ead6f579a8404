//! Channels, and what is sent to them.

use super::page;
use crate::rows::{Tables, broken, constraint};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;
use tpm_domain::{
    Backlog, Channel, ChannelId, ChannelSpec, Delivery, DeliveryId, DeliveryState, Notification,
    Outcome, Timestamp,
};
use tpm_store::{ChannelReads, ChannelWrites, DeliveryQuery, Page, Result};

impl Tables {
    fn add_delivery(
        &mut self,
        channel: ChannelId,
        notification: Option<Notification>,
        now: Timestamp,
    ) -> DeliveryId {
        let id = DeliveryId(self.next_id());
        let row = Delivery {
            id,
            channel,
            notification,
            state: DeliveryState::Pending,
            attempts: 0,
            claim: 0,
            due_at: now,
            body: None,
            stamp: None,
            status: None,
            error: None,
            created_at: now,
            ended_at: None,
        };
        self.deliveries.set(id, row);
        id
    }

    /// Every channel that is on and wants such a notification is to be sent it.
    pub(crate) fn tell_channels(&mut self, told: &Notification, now: Timestamp) {
        let wants =
            |channel: &Channel| channel.spec.enabled && channel.spec.types.contains(&told.severity);
        let wanting = self.channels.iter().filter(|(_, one)| wants(one));
        let wanting: Vec<ChannelId> = wanting.map(|(id, _)| *id).collect();
        for channel in wanting {
            self.add_delivery(channel, Some(told.clone()), now);
        }
    }
}

fn is_due(tables: &Tables, row: &Delivery, now: Timestamp) -> bool {
    let channel = tables.channels.get(&row.channel);
    row.state == DeliveryState::Pending
        && row.due_at <= now
        && channel.is_some_and(|channel| channel.spec.enabled || row.notification.is_none())
}

fn check_name(tables: &Tables, id: ChannelId, spec: &ChannelSpec) -> Result<()> {
    let taken = |other: &Channel| other.id != id && other.spec.name == spec.name;
    if tables.channels.values().any(taken) {
        return Err(constraint(format!("channel {} twice", spec.name)));
    }
    Ok(())
}

#[async_trait]
impl<S: Source> ChannelReads for Session<S> {
    async fn channels(&self) -> Result<Vec<Channel>> {
        let tables = self.0.look().await?;
        let mut all: Vec<Channel> = tables.channels.values().cloned().collect();
        all.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        Ok(all)
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>> {
        Ok(self.0.look().await?.channels.get(&id).cloned())
    }

    async fn backlogs(&self) -> Result<BTreeMap<ChannelId, Backlog>> {
        let tables = self.0.look().await?;
        let mut all: BTreeMap<ChannelId, Backlog> = BTreeMap::new();
        for row in tables.deliveries.values() {
            let backlog = all.entry(row.channel).or_default();
            match row.state {
                DeliveryState::Pending => backlog.pending += 1,
                DeliveryState::Dead => backlog.dead += 1,
                DeliveryState::Delivered => {
                    backlog.delivered_at = backlog.delivered_at.max(row.ended_at);
                }
            }
        }
        Ok(all)
    }

    async fn is_delivery_due(&self) -> Result<bool> {
        let now = self.0.moment();
        let tables = self.0.look().await?;
        Ok(tables
            .deliveries
            .values()
            .any(|row| is_due(&tables, row, now)))
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>> {
        let tables = self.0.look().await?;
        let fits = |row: &&Delivery| {
            row.channel == query.channel && query.state.is_none_or(|state| state == row.state)
        };
        let mut all: Vec<Delivery> = tables.deliveries.values().filter(fits).cloned().collect();
        all.reverse();
        Ok(page(all, query.limit, query.offset))
    }
}

#[async_trait]
impl ChannelWrites for Session<Transaction> {
    async fn insert_channel(&self, spec: &ChannelSpec, salt: &str) -> Result<ChannelId> {
        let now = self.0.now();
        self.0.change(|tables| {
            let id = ChannelId(tables.next_id());
            check_name(tables, id, spec)?;
            let channel = Channel {
                id,
                spec: spec.clone(),
                salt: salt.to_owned(),
                generation: 0,
                rotated_at: None,
                created_at: now,
                updated_at: now,
            };
            tables.channels.set(id, channel);
            Ok(id)
        })
    }

    async fn save_channel(&self, channel: &Channel) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            check_name(tables, channel.id, &channel.spec)?;
            let missing = || broken(format!("no channel {}", channel.id));
            let row = tables.channels.get_mut(&channel.id).ok_or_else(missing)?;
            row.spec = channel.spec.clone();
            row.generation = channel.generation;
            row.rotated_at = channel.rotated_at;
            row.updated_at = now;
            Ok(())
        })
    }

    async fn delete_channel(&self, id: ChannelId) -> Result<bool> {
        self.0.change(|tables| {
            tables.deliveries.retain(|_, row| row.channel != id);
            Ok(tables.channels.remove(&id))
        })
    }

    async fn add_test(&self, channel: ChannelId) -> Result<DeliveryId> {
        let now = self.0.now();
        self.0
            .change(|tables| Ok(tables.add_delivery(channel, None, now)))
    }

    async fn take_deliveries(
        &self,
        most: u64,
        of_each: u64,
        for_a_while: Duration,
    ) -> Result<Vec<Delivery>> {
        let now = self.0.now();
        self.0.change(|tables| {
            let mut all: Vec<(Timestamp, DeliveryId, ChannelId)> = tables
                .deliveries
                .values()
                .filter(|row| is_due(tables, row, now))
                .map(|row| (row.due_at, row.id, row.channel))
                .collect();
            all.sort();
            let mut taken: BTreeMap<ChannelId, u64> = BTreeMap::new();
            all.retain(|(_, _, channel)| {
                let n = taken.entry(*channel).or_default();
                *n += 1;
                *n <= of_each
            });
            all.truncate(usize::try_from(most).unwrap_or(usize::MAX));
            let mut ids: Vec<DeliveryId> = all.into_iter().map(|(_, id, _)| id).collect();
            ids.sort();
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                let Some(row) = tables.deliveries.get_mut(&id) else {
                    continue;
                };
                row.claim += 1;
                row.due_at = now.plus(for_a_while);
                let unknown = row.stamp.filter(|at| now.since(*at) < 2 * for_a_while);
                row.stamp = unknown.or(Some(now));
                found.push(row.clone());
            }
            Ok(found)
        })
    }

    async fn keep_body(&self, id: DeliveryId, body: &str) -> Result<()> {
        self.0.change(|tables| {
            if let Some(row) = tables.deliveries.get_mut(&id) {
                row.body.get_or_insert_with(|| body.to_owned());
            }
            Ok(())
        })
    }

    async fn end_attempt(&self, id: DeliveryId, claim: i64, outcome: &Outcome) -> Result<bool> {
        let now = self.0.now();
        self.0.change(|tables| {
            let Some(row) = tables.deliveries.get_mut(&id) else {
                return Ok(false);
            };
            if row.claim != claim || row.state != DeliveryState::Pending {
                return Ok(false);
            }
            row.state = outcome.state;
            row.attempts += 1;
            row.status = outcome.status;
            row.error.clone_from(&outcome.error);
            row.due_at = outcome.due_at;
            row.ended_at = (outcome.state != DeliveryState::Pending).then_some(now);
            row.stamp = None;
            Ok(true)
        })
    }

    async fn trim_deliveries(&self, before: Timestamp) -> Result<u64> {
        self.0.change(|tables| {
            let stays = |row: &Delivery| row.ended_at.is_none_or(|at| at >= before);
            Ok(tables.deliveries.retain(|_, row| stays(row)) as u64)
        })
    }
}
