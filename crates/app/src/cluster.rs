//! The cluster as it was seen last, with what our servers take of it.

use crate::{App, Ctx, Result};
use tpm_domain::{ClusterPicture, Permission, Promised};

/// What was seen and what is promised.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Nodes, storages and templates.
    pub picture: ClusterPicture,
    /// What our servers take, built or not.
    pub promised: Promised,
}

impl App {
    /// Nodes, storages and how much room there is.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn cluster(&self, ctx: &Ctx) -> Result<ClusterView> {
        ctx.reach(Permission::ReadServers)?;
        let reads = self.store().reads();
        let picture = reads.picture().await?;
        let promised = reads.promised(&picture).await?;
        Ok(ClusterView { picture, promised })
    }
}
