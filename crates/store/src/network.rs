//! Networks whose addresses are handed out.

use crate::Result;
use async_trait::async_trait;
use std::net::Ipv4Addr;
use tpm_domain::{Network, NetworkId, NetworkSpec, ServerId, ServerName};

/// Questions about networks.
#[async_trait]
pub trait NetworkReads: Send + Sync {
    /// All of them, by name.
    async fn networks(&self) -> Result<Vec<Network>>;
    /// One of them.
    async fn network(&self, id: NetworkId) -> Result<Option<Network>>;
    /// Every address that a server holds, with the server, lowest first.
    async fn address_holders(&self) -> Result<Vec<(Ipv4Addr, ServerId, ServerName)>>;
}

/// Changes to networks.
#[async_trait]
pub trait NetworkWrites: Send + Sync {
    /// Writes a new one.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when the name is taken.
    async fn insert_network(&self, name: &ServerName, spec: &NetworkSpec) -> Result<NetworkId>;
    /// Writes back everything that can change.
    ///
    /// # Errors
    /// [`crate::StoreError::Constraint`] when the name is taken.
    async fn save_network(&self, network: &Network) -> Result<()>;
    /// Removes it.
    async fn delete_network(&self, id: NetworkId) -> Result<()>;
}
