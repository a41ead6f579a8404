//! Servers.

use super::page;
use crate::rows::{ServerRow, Tables, Thing, broken};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use tpm_domain::{
    ExpiryStage, Kept, OnExpiry, Server, ServerId, ServerName, ServerState, Timestamp, Vmid,
};
use tpm_store::{NewServer, Page, Result, ServerOrder, ServerQuery, ServerReads, ServerWrites};

fn alive(tables: &Tables) -> impl Iterator<Item = &Server> {
    tables
        .servers
        .values()
        .filter(|row| !row.deleted)
        .map(|row| &row.server)
}

fn matches(query: &ServerQuery, server: &Server) -> bool {
    query.state.is_none_or(|state| server.state == state)
        && query
            .project
            .is_none_or(|project| server.project == project)
        && query
            .within
            .as_ref()
            .is_none_or(|within| within.contains(&server.project))
        && query
            .role
            .as_ref()
            .is_none_or(|role| server.spec.role == *role)
        && query
            .name_contains
            .as_ref()
            .is_none_or(|part| server.name.as_str().contains(part.as_str()))
}

/// Whether the end of a server's time is done.
fn is_done(server: &Server) -> bool {
    let expiry = &server.expiry;
    expiry.stage == ExpiryStage::Deleted
        || (expiry.stage == ExpiryStage::Stopped && expiry.action == OnExpiry::Stop)
}

#[async_trait]
impl<S: Source> ServerReads for Session<S> {
    async fn server(&self, id: ServerId) -> Result<Option<Server>> {
        let tables = self.0.look().await?;
        let row = tables.servers.get(&id).filter(|row| !row.deleted);
        Ok(row.map(|row| row.server.clone()))
    }

    async fn servers(&self, query: &ServerQuery) -> Result<Page<Server>> {
        let tables = self.0.look().await?;
        let mut all: Vec<Server> = alive(&tables)
            .filter(|server| matches(query, server))
            .cloned()
            .collect();
        all.sort_by(|a, b| {
            let by = match query.order {
                ServerOrder::Id => a.id.cmp(&b.id),
                ServerOrder::Name => a.name.cmp(&b.name),
                ServerOrder::State => a.state.as_str().cmp(b.state.as_str()),
                ServerOrder::Role => a.spec.role.cmp(&b.spec.role),
                ServerOrder::CreatedAt => a.created_at.cmp(&b.created_at),
                ServerOrder::UpdatedAt => a.updated_at.cmp(&b.updated_at),
            };
            by.then(a.id.cmp(&b.id))
        });
        if query.descending {
            all.reverse();
        }
        Ok(page(all, query.limit, query.offset))
    }

    async fn server_ever(&self, id: ServerId) -> Result<Option<Server>> {
        let tables = self.0.look().await?;
        Ok(tables.servers.get(&id).map(|row| row.server.clone()))
    }

    async fn servers_under(&self, vmid: Vmid) -> Result<Vec<Server>> {
        let tables = self.0.look().await?;
        let all = tables.servers.values().map(|row| &row.server);
        let mut found: Vec<Server> = all.filter(|one| one.vmid == vmid).cloned().collect();
        found.sort_by_key(|server| std::cmp::Reverse(server.id));
        Ok(found)
    }

    async fn servers_with_guests(&self) -> Result<Vec<Server>> {
        let tables = self.0.look().await?;
        let mut found: Vec<Server> = tables
            .servers
            .values()
            .filter(|row| row.holds && !row.deleted)
            .map(|row| row.server.clone())
            .collect();
        found.sort_by_key(|server| server.vmid);
        Ok(found)
    }

    async fn expiring(&self, before: Timestamp) -> Result<Vec<Server>> {
        let tables = self.0.look().await?;
        let ends = |server: &&Server| server.expiry.at.is_some_and(|at| at < before);
        let mut found: Vec<Server> = alive(&tables)
            .filter(ends)
            .filter(|server| !is_done(server))
            .cloned()
            .collect();
        found.sort_by_key(|server| server.expiry.at);
        Ok(found)
    }

    async fn names_taken(&self, names: &[ServerName]) -> Result<Vec<ServerName>> {
        let tables = self.0.look().await?;
        let held = |name: &&ServerName| tables.reservations.contains(&Thing::Name((*name).clone()));
        Ok(names.iter().filter(held).cloned().collect())
    }
}

#[async_trait]
impl ServerWrites for Session<Transaction> {
    async fn insert_server(&self, new: &NewServer) -> Result<ServerId> {
        let now = self.0.now();
        self.0.change(|tables| {
            let id = ServerId(tables.next_id());
            let server = Server {
                id,
                name: new.name.clone(),
                project: new.project,
                spec: new.spec.clone(),
                placement: new.placement.clone(),
                expiry: new.expiry,
                drift: Vec::new(),
                kept: Kept::default(),
                state: ServerState::Creating,
                engine: new.engine.clone(),
                vmid: new.vmid,
                node: None,
                identity: None,
                created_by: new.created_by.clone(),
                ip_address: None,
                problem: None,
                readiness: Vec::new(),
                created_at: now,
                updated_at: now,
            };
            let row = ServerRow {
                server,
                holds: true,
                deleted: false,
            };
            tables.servers.set(id, row);
            tables.check_server(id)?;
            Ok(id)
        })
    }

    async fn save_server(&self, server: &Server) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            let row = tables
                .servers
                .get_mut(&server.id)
                .ok_or_else(|| broken(format!("no server {}", server.id)))?;
            let old = std::mem::replace(&mut row.server, server.clone());
            // What never changes, whatever the caller says.
            row.server.name = old.name.clone();
            row.server.engine = old.engine.clone();
            row.server.created_at = old.created_at;
            row.server.updated_at = now;
            let moved = row.holds && old.place() != server.place();
            if moved && let Some(node) = server.place() {
                follow(tables, &old, server, &node.clone());
            }
            tables.check_server(server.id)
        })
    }

    async fn idle_server(&self, id: ServerId) -> Result<Option<Server>> {
        let tables = self.0.look().await?;
        let busy =
            |row: &crate::rows::TaskRow| row.task.server == Some(id) && !row.task.state.is_final();
        if tables.tasks.values().any(busy) {
            return Ok(None);
        }
        let row = tables.servers.get(&id).filter(|row| !row.deleted);
        Ok(row.map(|row| row.server.clone()))
    }

    async fn delete_server(&self, id: ServerId) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            if let Some(row) = tables.servers.get_mut(&id) {
                row.deleted = true;
                row.server.updated_at = now;
            }
            Ok(())
        })
    }
}

/// Somebody moved the guest: the bound of its new node gives way, since fighting it helps nobody.
fn follow(tables: &mut Tables, old: &Server, new: &Server, node: &tpm_domain::NodeName) {
    if old.spec.cpu != new.spec.cpu || old.spec.memory_mb != new.spec.memory_mb {
        return;
    }
    let (cpu, memory) = tables.taken_of(node);
    if let Some(row) = tables.nodes.get_mut(node) {
        row.cpu_limit = row.cpu_limit.max(cpu);
        row.memory_limit_mb = row.memory_limit_mb.max(memory);
    }
}
