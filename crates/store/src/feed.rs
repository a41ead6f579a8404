//! What changed, in the order it was committed: the truth behind live events.
//!
//! The store writes a row whenever a server, a task as people see it, or a notification changes, in the
//! transaction of the change, whoever made it. Rows are kept for a while.

use crate::Result;
use async_trait::async_trait;
use std::fmt;
use std::str::FromStr;
use tpm_domain::{NotificationId, ServerId, TaskId, Timestamp};

/// A place in the feed. Everything committed later has a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPlace {
    /// The transaction, where several write at once; else 0.
    pub transaction: i64,
    /// The row.
    pub row: i64,
}

impl fmt::Display for FeedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.transaction, self.row)
    }
}

impl FromStr for FeedPlace {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or(())
        };
        let (transaction, row) = text.split_once('-').ok_or(())?;
        Ok(Self {
            transaction: number(transaction)?,
            row: number(row)?,
        })
    }
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// A server.
    Server(ServerId),
    /// A task, as people see it.
    Task(TaskId),
    /// A notification; also when it went.
    Notification(NotificationId),
}

/// A row of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedRow {
    /// Its place.
    pub place: FeedPlace,
    /// What changed. It is read where it stands: it may have changed again since.
    pub changed: Changed,
}

/// Following the feed.
#[async_trait]
pub trait FeedReads: Send + Sync {
    /// The place that everything committed from now on comes after.
    async fn feed_end(&self) -> Result<FeedPlace>;
    /// The rows after a place, oldest first. `None` when there were some that are gone, or the place is not
    /// one of this database: who was there has to look at everything anew.
    async fn feed_after(&self, place: FeedPlace, limit: u64) -> Result<Option<Vec<FeedRow>>>;
}

/// Keeping the feed short.
#[async_trait]
pub trait FeedWrites: Send + Sync {
    /// Removes rows from before a moment; how many.
    async fn trim_feed(&self, before: Timestamp) -> Result<u64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place = FeedPlace {
            transaction: 7,
            row: i64::MAX,
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in [
            "",
            "7",
            "7-",
            "-7-1",
            "a-1",
            "7-1-2",
            "7--1",
            "99999999999999999999-1",
        ] {
            assert!(wrong.parse::<FeedPlace>().is_err(), "{wrong}");
        }
    }
}
