//! Servers.

use crate::{Page, Result};
use async_trait::async_trait;
use std::collections::BTreeSet;
use tpm_domain::{
    Expiry, Placement, ProjectId, Server, ServerId, ServerName, ServerSpec, ServerState, TaskToken,
    Timestamp, Vmid,
};

/// By what a list of servers is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ServerOrder {
    /// Oldest first.
    #[default]
    Id,
    /// By name.
    Name,
    /// By state.
    State,
    /// By role.
    Role,
    /// By time of creation.
    CreatedAt,
    /// By time of the last change.
    UpdatedAt,
}

/// Which servers, in which order, how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerQuery {
    /// Only this state.
    pub state: Option<ServerState>,
    /// Only this project.
    pub project: Option<ProjectId>,
    /// Only of these projects.
    pub within: Option<BTreeSet<ProjectId>>,
    /// Only this role.
    pub role: Option<String>,
    /// Only names that contain this text.
    pub name_contains: Option<String>,
    /// In which order.
    pub order: ServerOrder,
    /// Whether the order is reversed.
    pub descending: bool,
    /// Most rows; all when `None`.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: u64,
}

/// A server to be written.
#[derive(Clone, Debug)]
pub struct NewServer {
    /// Its name, reserved in the same transaction.
    pub name: ServerName,
    /// Whose it is.
    pub project: ProjectId,
    /// What was asked for, addresses reserved in the same transaction.
    pub spec: ServerSpec,
    /// Where it goes, its room reserved in the same transaction; `None` for engines without nodes.
    pub placement: Option<Placement>,
    /// When its time is over.
    pub expiry: Expiry,
    /// The engine that will make it.
    pub engine: String,
    /// Its number in Proxmox VE, reserved in the same transaction.
    pub vmid: Vmid,
    /// The task that will make it.
    pub created_by: TaskToken,
}

/// Questions about servers. Deleted ones are not seen.
#[async_trait]
pub trait ServerReads: Send + Sync {
    /// One server.
    async fn server(&self, id: ServerId) -> Result<Option<Server>>;
    /// A page of servers.
    async fn servers(&self, query: &ServerQuery) -> Result<Page<Server>>;
    /// One server, even when it was deleted.
    async fn server_ever(&self, id: ServerId) -> Result<Option<Server>>;
    /// The servers that have or had the guest of that number, deleted ones too, newest first.
    async fn servers_under(&self, vmid: Vmid) -> Result<Vec<Server>>;
    /// Every server that may have a guest, by VMID order, for comparing with what is there.
    async fn servers_with_guests(&self) -> Result<Vec<Server>>;
    /// Servers whose time ends before a moment and whose end is not done.
    async fn expiring(&self, before: Timestamp) -> Result<Vec<Server>>;
    /// Which of these names belong to a server that holds its name.
    async fn names_taken(&self, names: &[ServerName]) -> Result<Vec<ServerName>>;
}

/// Changes to servers.
#[async_trait]
pub trait ServerWrites: Send + Sync {
    /// Writes a new one, state `creating`; its id was never used before.
    async fn insert_server(&self, server: &NewServer) -> Result<ServerId>;
    /// Writes back everything of a server that can change.
    async fn save_server(&self, server: &Server) -> Result<()>;
    /// Takes the server for a change that no task makes: its row is locked until the transaction ends.
    /// `None` when there is no such server, or a task is at work on it.
    async fn idle_server(&self, id: ServerId) -> Result<Option<Server>>;
    /// Takes the server out of every list; the row stays for history.
    async fn delete_server(&self, id: ServerId) -> Result<()>;
}
