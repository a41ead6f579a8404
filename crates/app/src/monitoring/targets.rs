//! What Prometheus discovers our servers by, and publishing it.

use super::SilentExporter;
use crate::{App, Ctx, Result};
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{AuditTarget, Permission, ProjectId, Server, ServerId, ServerState, Timestamp};
use tpm_monitoring::{Reload, Target, TargetGroup, Why, document, label};
use tpm_store::{Reads, ServerQuery};

/// What publishing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// When.
    pub at: Timestamp,
    /// How many targets there are.
    pub targets: usize,
    /// Names of servers that were not among them before.
    pub added: Vec<String>,
    /// Names of servers that are not any more.
    pub removed: Vec<String>,
    /// Names of servers whose address or labels are others.
    pub changed: Vec<String>,
    /// Names of servers that Prometheus scrapes; or why that is not known.
    pub taken_up: std::result::Result<Vec<String>, Why>,
    /// Names of servers that Prometheus does not scrape yet.
    pub pending: Vec<String>,
    /// What became of telling Prometheus to read its files anew; `None` when it is not to be told.
    pub reload: Option<Reload>,
}

/// Whether a server is to be scraped: its guest was made, and is not being removed.
fn is_scraped(server: &Server) -> bool {
    let gone = [
        ServerState::Creating,
        ServerState::Deleting,
        ServerState::IdentityConflict,
    ];
    server.identity.is_some() && !gone.contains(&server.state)
}

/// The targets, and servers that have no address to be scraped at.
pub(crate) async fn targets(
    reads: &(dyn Reads + Send + Sync),
) -> Result<(Vec<Target>, Vec<SilentExporter>)> {
    let projects = reads.projects().await?;
    let projects: BTreeMap<ProjectId, String> = projects
        .into_iter()
        .map(|project| (project.id, project.name.to_string()))
        .collect();
    let (mut targets, mut silent) = (Vec::new(), Vec::new());
    let servers = reads.servers(&ServerQuery::default()).await?.items;
    for server in servers.into_iter().filter(is_scraped) {
        let Some(address) = server.address() else {
            silent.push(SilentExporter {
                server: server.id,
                name: server.name.to_string(),
                reason: "no_address",
                error: String::new(),
            });
            continue;
        };
        targets.push(Target {
            server: server.id,
            name: server.name.to_string(),
            role: server.spec.role.clone(),
            node: server.place().map(|node| node.0.clone()),
            project: projects.get(&server.project).cloned().unwrap_or_default(),
            engine: server.engine,
            address,
        });
    }
    Ok((targets, silent))
}

fn by_server(groups: &[TargetGroup]) -> BTreeMap<&str, &TargetGroup> {
    groups
        .iter()
        .filter_map(|group| Some((group.labels.get(label::SERVER_ID)?.as_str(), group)))
        .collect()
}

fn name(group: &TargetGroup) -> String {
    let name = group.labels.get(label::SERVER_NAME);
    name.cloned().unwrap_or_default()
}

impl App {
    pub(crate) async fn scrape_targets(&self) -> Result<(Vec<Target>, Vec<SilentExporter>)> {
        targets(&*self.store().reads()).await
    }

    /// The document of HTTP service discovery.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn discovery(&self, ctx: &Ctx) -> Result<Vec<TargetGroup>> {
        ctx.authorize(Permission::ReadMonitoring)?;
        self.discovered().await
    }

    /// The same for the file that Prometheus reads, on nobody's behalf.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn discovered(&self) -> Result<Vec<TargetGroup>> {
        let (targets, _) = self.scrape_targets().await?;
        Ok(self.document(&targets))
    }

    fn document(&self, targets: &[Target]) -> Vec<TargetGroup> {
        let measured = self.measured();
        document(&measured.manager, measured.exporter_port, targets)
    }

    /// Publishes the targets as they are now, and tells what Prometheus has taken up.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn publish_targets(&self, ctx: &Ctx) -> Result<Published> {
        ctx.authorize(Permission::WriteMonitoring)?;
        let tx = self.store().begin().await?;
        let before = tx.publication().await?;
        let (targets, _) = targets(&*self.store().reads()).await?;
        let groups = self.document(&targets);
        let body =
            serde_json::to_string(&groups).map_err(|error| crate::AppError::Fault(error.into()))?;
        tx.publish(&body).await?;
        let at = tx.now();
        self.commit(ctx, tx, AuditTarget::new("targets", "prometheus"))
            .await?;
        // One that an older version wrote counts as nothing.
        let before: Vec<TargetGroup> = before
            .and_then(|before| serde_json::from_str(&before.body).ok())
            .unwrap_or_default();
        let (old, new) = (by_server(&before), by_server(&groups));
        let names = |of: &BTreeMap<&str, &TargetGroup>, keep: &dyn Fn(&str) -> bool| {
            let kept = of.iter().filter(|(id, _)| keep(id));
            kept.map(|(_, group)| name(group)).collect::<Vec<_>>()
        };
        let differs = |id: &str| old.get(id).is_some_and(|group| Some(group) != new.get(id));
        let reload = match &self.measured().prometheus {
            Some(prometheus) if self.measured().reload => Some(prometheus.reload().await),
            _ => None,
        };
        let found = self.scraped().await.map(|all| {
            let servers = all.iter().filter_map(|one| one.server);
            servers.collect::<BTreeSet<ServerId>>()
        });
        let is_found = |target: &&Target| {
            let found = found.as_ref();
            found.is_ok_and(|found| found.contains(&target.server))
        };
        let (taken_up, pending): (Vec<_>, Vec<_>) = targets.iter().partition(is_found);
        let named = |all: Vec<&Target>| all.into_iter().map(|one| one.name.clone()).collect();
        Ok(Published {
            at,
            targets: targets.len(),
            added: names(&new, &|id| !old.contains_key(id)),
            removed: names(&old, &|id| !new.contains_key(id)),
            changed: names(&new, &differs),
            taken_up: found.as_ref().map(|_| named(taken_up)).map_err(|why| *why),
            pending: named(pending),
            reload,
        })
    }
}
