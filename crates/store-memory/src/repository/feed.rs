//! The feed of what changed.

use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::ops::Bound;
use tpm_domain::Timestamp;
use tpm_store::{FeedPlace, FeedReads, FeedRow, FeedWrites, Result};

#[async_trait]
impl<S: Source> FeedReads for Session<S> {
    async fn feed_end(&self) -> Result<FeedPlace> {
        let row = self.0.look().await?.feed_last;
        Ok(FeedPlace {
            transaction: 0,
            row,
        })
    }

    async fn feed_after(&self, after: FeedPlace, limit: u64) -> Result<Option<Vec<FeedRow>>> {
        let tables = self.0.look().await?;
        let known = tables.feed_floor..=tables.feed_last;
        if after.transaction != 0 || !known.contains(&after.row) {
            return Ok(None);
        }
        let rows = tables
            .feed
            .range((Bound::Excluded(after.row), Bound::Unbounded))
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|(row, (_, changed))| FeedRow {
                place: FeedPlace {
                    transaction: 0,
                    row: *row,
                },
                changed: *changed,
            });
        Ok(Some(rows.collect()))
    }
}

#[async_trait]
impl FeedWrites for Session<Transaction> {
    async fn trim_feed(&self, before: Timestamp) -> Result<u64> {
        self.0.change(|tables| {
            let old = tables.feed.iter().filter(|(_, (at, _))| *at < before);
            let Some(last) = old.map(|(row, _)| *row).next_back() else {
                return Ok(0);
            };
            tables.feed_floor = last;
            Ok(tables.feed.retain(|row, _| *row > last) as u64)
        })
    }
}
