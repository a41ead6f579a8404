//! Seeing servers.

use crate::{App, Ctx, Result};
use tpm_domain::{Action, Error, ResourceKind, Server, ServerId, Task};
use tpm_store::{Page, ServerQuery};

/// A server and the task at work on it.
#[derive(Clone, Debug)]
pub struct ServerView {
    /// The server.
    pub server: Server,
    /// The task that is at work on it now.
    pub task: Option<Task>,
}

impl App {
    /// A page of servers.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn servers(&self, ctx: &Ctx, query: &ServerQuery) -> Result<Page<Server>> {
        ctx.authorize(Action::ReadServers)?;
        Ok(self.store().reads().servers(query).await?)
    }

    /// One server.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn server(&self, ctx: &Ctx, id: ServerId) -> Result<ServerView> {
        ctx.authorize(Action::ReadServers)?;
        let reads = self.store().reads();
        let server = reads.server(id).await?;
        let server = server.ok_or_else(|| Error::not_found(ResourceKind::Server, id))?;
        let task = reads.active_task(id).await?;
        Ok(ServerView { server, task })
    }
}
