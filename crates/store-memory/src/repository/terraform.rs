//! Versions of states that people put on top: which there are. What is in them only an engine reads, from a
//! database.

use crate::session::{Session, Transaction};
use async_trait::async_trait;
use tpm_domain::ServerId;
use tpm_store::{Result, StateWrites};

#[async_trait]
impl StateWrites for Session<Transaction> {
    async fn add_state(&self, server: ServerId, serial: u64, _sealed: &[u8]) -> Result<bool> {
        self.0.change(|tables| {
            let is_above = tables
                .serials
                .get(&server)
                .is_none_or(|last| *last < serial);
            if is_above {
                tables.serials.set(server, serial);
            }
            Ok(is_above)
        })
    }
}
