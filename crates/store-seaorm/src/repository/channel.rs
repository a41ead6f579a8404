//! Channels, and what is sent to them.

use crate::connect::now_sql;
use crate::entity::{channels, deliveries, events, notifications};
use crate::error::{broken, store_error};
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, Statement,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tpm_domain::{
    Backlog, Channel, ChannelFormat, ChannelId, ChannelLanguage, ChannelSpec, Delivery, DeliveryId,
    DeliveryState, HookUrl, Notification, Outcome, ServerName, Severity, Timestamp,
};
use tpm_store::{ChannelReads, ChannelWrites, DeliveryQuery, Page, Result};

/// Words with a comma around each, so that one of them is found by `LIKE`.
fn types(spec: &ChannelSpec) -> String {
    let words: String = spec
        .types
        .iter()
        .map(|one| format!("{},", one.as_str()))
        .collect();
    format!(",{words}")
}

fn channel(row: channels::Model) -> Result<Channel> {
    let named = |word: &&str| !word.is_empty();
    let severity = |word: &str| Severity::ALL.into_iter().find(|one| one.as_str() == word);
    let types = row.types.split(',').filter(named).map(|word| {
        let known = severity(word);
        known.ok_or_else(|| broken("channels.types"))
    });
    Ok(Channel {
        id: ChannelId(row.id),
        spec: ChannelSpec {
            name: ServerName::new(&row.name).ok_or_else(|| broken("channels.name"))?,
            types: types.collect::<Result<_>>()?,
            url: HookUrl::new(row.url),
            format: ChannelFormat::parse(&row.format).ok_or_else(|| broken("channels.format"))?,
            language: ChannelLanguage::parse(&row.language)
                .ok_or_else(|| broken("channels.language"))?,
            enabled: row.enabled,
        },
        salt: row.salt,
        generation: row.generation,
        rotated_at: row.rotated_ms.map(Timestamp),
        created_at: Timestamp(row.created_ms),
        updated_at: Timestamp(row.updated_ms),
    })
}

fn model(spec: &ChannelSpec) -> channels::ActiveModel {
    channels::ActiveModel {
        name: Set(spec.name.to_string()),
        url: Set(spec.url.expose().to_owned()),
        types: Set(types(spec)),
        format: Set(spec.format.as_str().to_owned()),
        language: Set(spec.language.as_str().to_owned()),
        enabled: Set(spec.enabled),
        ..Default::default()
    }
}

fn delivery(row: deliveries::Model, told: &BTreeMap<i64, Notification>) -> Result<Delivery> {
    let notification = row.notification_id.map(|id| {
        let found = told.get(&id).cloned();
        found.ok_or_else(|| broken("deliveries.notification_id"))
    });
    let number = |what: &str, number: i64| u32::try_from(number).map_err(|_| broken(what));
    Ok(Delivery {
        id: DeliveryId(row.id),
        channel: ChannelId(row.channel_id),
        notification: notification.transpose()?,
        state: DeliveryState::parse(&row.state).ok_or_else(|| broken("deliveries.state"))?,
        attempts: number("deliveries.attempts", row.attempts)?,
        claim: row.claim,
        due_at: Timestamp(row.due_ms),
        body: row.body,
        stamp: row.stamp_ms.map(Timestamp),
        status: row.status.and_then(|status| u16::try_from(status).ok()),
        error: row.error,
        created_at: Timestamp(row.created_ms),
        ended_at: row.ended_ms.map(Timestamp),
    })
}

impl<C: ConnectionTrait + Send + Sync> Session<C> {
    /// With what people were told.
    async fn whole(&self, rows: Vec<deliveries::Model>) -> Result<Vec<Delivery>> {
        let ids = rows.iter().filter_map(|row| row.notification_id);
        let found = notifications::Entity::find()
            .find_also_related(events::Entity)
            .filter(notifications::Column::Id.is_in(ids))
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let mut told = BTreeMap::new();
        for (row, event) in found {
            let event = event.ok_or_else(|| broken("notification without event"))?;
            told.insert(row.id, rows::notification(row, event)?);
        }
        rows.into_iter().map(|row| delivery(row, &told)).collect()
    }
}

impl Session<DatabaseTransaction> {
    /// Every channel that is on and wants such a notification is to be sent it.
    pub(super) async fn tell_channels(&self, notification: i64, severity: Severity) -> Result<()> {
        // One that is being removed meanwhile is passed over, not run into.
        let lock = match self.backend {
            DbBackend::Postgres => "FOR KEY SHARE",
            _ => "",
        };
        let sql = format!(
            "INSERT INTO deliveries (channel_id, notification_id, state, attempts, claim, due_ms, created_ms)
             SELECT id, $1, 'pending', 0, 0, $2, $2 FROM channels
             WHERE enabled = TRUE AND types LIKE $3 {lock}"
        );
        let wanted = format!("%,{},%", severity.as_str());
        self.run(
            &sql,
            [notification.into(), self.now_ms.into(), wanted.into()],
        )
        .await
        .map(|_| ())
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> ChannelReads for Session<C> {
    async fn channels(&self) -> Result<Vec<Channel>> {
        let found = channels::Entity::find()
            .order_by_asc(channels::Column::Name)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        found.into_iter().map(channel).collect()
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>> {
        let found = channels::Entity::find_by_id(id.0)
            .one(&self.db)
            .await
            .map_err(store_error)?;
        found.map(channel).transpose()
    }

    async fn backlogs(&self) -> Result<BTreeMap<ChannelId, Backlog>> {
        let sql = "SELECT channel_id, state, COUNT(*) AS n, MAX(ended_ms) AS last
                   FROM deliveries GROUP BY channel_id, state";
        let rows = self
            .db
            .query_all_raw(Statement::from_string(self.backend, sql))
            .await
            .map_err(store_error)?;
        let mut all: BTreeMap<ChannelId, Backlog> = BTreeMap::new();
        for row in rows {
            let channel: i64 = row.try_get("", "channel_id").map_err(store_error)?;
            let state: String = row.try_get("", "state").map_err(store_error)?;
            let n: i64 = row.try_get("", "n").map_err(store_error)?;
            let last: Option<i64> = row.try_get("", "last").map_err(store_error)?;
            let n = rows::size("deliveries", n)?;
            let backlog = all.entry(ChannelId(channel)).or_default();
            match DeliveryState::parse(&state) {
                Some(DeliveryState::Pending) => backlog.pending = n,
                Some(DeliveryState::Dead) => backlog.dead = n,
                Some(DeliveryState::Delivered) => backlog.delivered_at = last.map(Timestamp),
                None => return Err(broken("deliveries.state")),
            }
        }
        Ok(all)
    }

    async fn is_delivery_due(&self) -> Result<bool> {
        let sql = format!(
            "SELECT d.id FROM deliveries d JOIN channels c ON c.id = d.channel_id
             WHERE d.state = 'pending' AND d.due_ms <= {} AND (c.enabled = TRUE OR d.notification_id IS NULL) LIMIT 1",
            now_sql(self.backend)
        );
        Ok(self.first(&sql, []).await?.is_some())
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery>> {
        use deliveries::Column;
        let mut select = deliveries::Entity::find().filter(Column::ChannelId.eq(query.channel.0));
        if let Some(state) = query.state {
            select = select.filter(Column::State.eq(state.as_str()));
        }
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        let rows = select
            .order_by_desc(Column::Id)
            .limit(query.limit.unwrap_or(i64::MAX as u64))
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let items = self.whole(rows).await?;
        Ok(Page { items, total })
    }
}

#[async_trait]
impl ChannelWrites for Session<DatabaseTransaction> {
    async fn insert_channel(&self, spec: &ChannelSpec, salt: &str) -> Result<ChannelId> {
        let row = channels::ActiveModel {
            salt: Set(salt.to_owned()),
            generation: Set(0),
            created_ms: Set(self.now_ms),
            updated_ms: Set(self.now_ms),
            ..model(spec)
        };
        let done = channels::Entity::insert(row).exec(&self.db).await;
        Ok(ChannelId(done.map_err(store_error)?.last_insert_id))
    }

    async fn save_channel(&self, channel: &Channel) -> Result<()> {
        let row = channels::ActiveModel {
            id: Set(channel.id.0),
            generation: Set(channel.generation),
            rotated_ms: Set(channel.rotated_at.map(|at| at.0)),
            updated_ms: Set(self.now_ms),
            ..model(&channel.spec)
        };
        let done = channels::Entity::update(row).exec(&self.db).await;
        done.map(|_| ()).map_err(store_error)
    }

    async fn delete_channel(&self, id: ChannelId) -> Result<bool> {
        let done = self
            .run("DELETE FROM channels WHERE id = $1", [id.0.into()])
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn add_test(&self, channel: ChannelId) -> Result<DeliveryId> {
        let row = deliveries::ActiveModel {
            id: NotSet,
            channel_id: Set(channel.0),
            state: Set(DeliveryState::Pending.as_str().to_owned()),
            attempts: Set(0),
            claim: Set(0),
            due_ms: Set(self.now_ms),
            created_ms: Set(self.now_ms),
            ..Default::default()
        };
        let done = deliveries::Entity::insert(row).exec(&self.db).await;
        Ok(DeliveryId(done.map_err(store_error)?.last_insert_id))
    }

    async fn take_deliveries(
        &self,
        most: u64,
        of_each: u64,
        for_a_while: Duration,
    ) -> Result<Vec<Delivery>> {
        let millis = i64::try_from(for_a_while.as_millis()).unwrap_or(i64::MAX / 4);
        // Whoever comes second finds that it is not due any more.
        let sql = "UPDATE deliveries SET
                     claim = claim + 1,
                     due_ms = $1 + $2,
                     stamp_ms = CASE WHEN stamp_ms > $1 - 2 * $2 THEN stamp_ms ELSE $1 END
                   WHERE state = 'pending' AND due_ms <= $1 AND id IN (
                     SELECT id FROM (
                       SELECT d.id, d.due_ms,
                              ROW_NUMBER() OVER (PARTITION BY d.channel_id ORDER BY d.due_ms, d.id) AS n
                       FROM deliveries d JOIN channels c ON c.id = d.channel_id
                       WHERE d.state = 'pending' AND d.due_ms <= $1 AND (c.enabled = TRUE OR d.notification_id IS NULL)
                     ) AS due
                     WHERE n <= $3 ORDER BY due_ms, id LIMIT $4
                   )
                   RETURNING id";
        let values = [
            self.now_ms.into(),
            millis.into(),
            rows::stored(of_each).into(),
            rows::stored(most).into(),
        ];
        let taken = self
            .db
            .query_all_raw(Statement::from_sql_and_values(self.backend, sql, values))
            .await
            .map_err(store_error)?;
        let ids = taken.iter().map(|row| row.try_get::<i64>("", "id"));
        let ids = ids
            .collect::<std::result::Result<Vec<i64>, _>>()
            .map_err(store_error)?;
        let rows = deliveries::Entity::find()
            .filter(deliveries::Column::Id.is_in(ids))
            .order_by_asc(deliveries::Column::Id)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        self.whole(rows).await
    }

    async fn keep_body(&self, id: DeliveryId, body: &str) -> Result<()> {
        self.run(
            "UPDATE deliveries SET body = $2 WHERE id = $1 AND body IS NULL",
            [id.0.into(), body.into()],
        )
        .await
        .map(|_| ())
    }

    async fn end_attempt(&self, id: DeliveryId, claim: i64, outcome: &Outcome) -> Result<bool> {
        let ended = (outcome.state != DeliveryState::Pending).then_some(self.now_ms);
        let done = self
            .run(
                "UPDATE deliveries SET state = $3, attempts = attempts + 1, status = $4, error = $5,
                   due_ms = $6, ended_ms = $7, stamp_ms = NULL
                 WHERE id = $1 AND claim = $2 AND state = 'pending'",
                [
                    id.0.into(),
                    claim.into(),
                    outcome.state.as_str().into(),
                    outcome.status.map(i64::from).into(),
                    outcome.error.clone().into(),
                    outcome.due_at.0.into(),
                    ended.into(),
                ],
            )
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn trim_deliveries(&self, before: Timestamp) -> Result<u64> {
        let sql = "DELETE FROM deliveries WHERE ended_ms < $1";
        Ok(self.run(sql, [before.0.into()]).await?.rows_affected())
    }
}
