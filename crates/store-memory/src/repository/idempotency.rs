//! Requests that were answered.

use crate::rows::constraint;
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use tpm_domain::{Timestamp, UserId};
use tpm_store::{IdempotencyWrites, Remembered, Result};

#[async_trait]
impl IdempotencyWrites for Session<Transaction> {
    async fn remembered(&self, user: UserId, key: &str) -> Result<Option<Remembered>> {
        let tables = self.0.look().await?;
        let found = tables.remembered.get(&(user.0, key.to_owned()));
        Ok(found.map(|(done, _)| done.clone()))
    }

    async fn remember(&self, user: UserId, key: &str, done: &Remembered) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            let key = (user.0, key.to_owned());
            if tables.remembered.contains(&key) {
                return Err(constraint("key used twice"));
            }
            tables.remembered.set(key, (done.clone(), now));
            Ok(())
        })
    }

    async fn forget_remembered(&self, before: Timestamp) -> Result<u64> {
        self.0
            .change(|tables| Ok(tables.remembered.retain(|_, (_, at)| *at >= before) as u64))
    }
}
