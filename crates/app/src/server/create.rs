//! Creating servers: all servers of a request are accepted, or none.

use super::delete::target;
use super::draft::{NicPlan, ServerPlan, understand_nics};
use super::reserve::{Crossings, Refusal, Wanted, addresses};
use super::{ServerDraft, SharedNetwork};
use crate::{App, AppError, Ctx, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{
    AddressPlan, AuditTarget, BulkPolicy, DEFAULT_PROJECT, Error, EventKind, FieldErrors,
    Permission, ProjectId, Reason, Server, ServerId, ServerName, ServerSpec, TaskKind, TaskToken,
};
use tpm_store::{NewTask, UnitOfWork};

type Tx = dyn UnitOfWork + Send + Sync;

/// A request that was accepted: what is asked for is now the worker's to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The task to watch.
    pub task: TaskToken,
    /// The server's number.
    pub server: ServerId,
}

/// A bulk that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkAccepted {
    /// The task that summarizes the others.
    pub task: TaskToken,
    /// Each server with its own task, in the order asked for.
    pub children: Vec<Accepted>,
}

/// A server that was not made: what it would be.
#[derive(Clone, Debug)]
pub struct PlannedServer {
    /// Its row as it would be written; number and time mean nothing.
    pub server: Server,
}

impl App {
    /// Creates one server. `errors` is what was already found wrong while reading the request.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, conflict (name or address taken, not enough addresses,
    /// VMIDs, room or quota), or the store does not answer. Nothing is reserved then.
    pub async fn create_server(
        &self,
        ctx: &Ctx,
        draft: &ServerDraft,
        mut errors: FieldErrors,
    ) -> Result<Accepted> {
        ctx.reach(Permission::WriteServers)?;
        let plan = draft.understand("", None, self.policy(), self.now(), &mut errors);
        let plans = [errors.into_result(plan)?.ok_or_else(incomplete)?];
        let made = self.accept(ctx, &plans, None).await?;
        made.children.into_iter().next().ok_or_else(incomplete)
    }

    /// What creating one server would come to now. Nothing is reserved by asking.
    ///
    /// # Errors
    /// As for [`create_server`](Self::create_server).
    pub async fn plan_server(
        &self,
        ctx: &Ctx,
        draft: &ServerDraft,
        mut errors: FieldErrors,
    ) -> Result<PlannedServer> {
        ctx.reach(Permission::WriteServers)?;
        let plan = draft.understand("", None, self.policy(), self.now(), &mut errors);
        let plans = [errors.into_result(plan)?.ok_or_else(incomplete)?];
        let (_turn, tx) = self.begin_in_turn().await?;
        tx.lock_reservations().await?;
        let made = self.write(ctx, &*tx, &plans, None).await?;
        let only = made.children.first().ok_or_else(incomplete)?;
        let server = tx.server(only.server).await?.ok_or_else(incomplete)?;
        // Dropped without a commit: as if nobody had asked.
        Ok(PlannedServer { server })
    }

    /// Creates several servers with one task above theirs.
    ///
    /// # Errors
    /// As for one; a shortage says how many are missing.
    pub async fn create_servers(
        &self,
        ctx: &Ctx,
        drafts: &[ServerDraft],
        shared: &SharedNetwork,
        policy: BulkPolicy,
        mut errors: FieldErrors,
    ) -> Result<BulkAccepted> {
        ctx.reach(Permission::WriteServers)?;
        let rules = self.policy();
        let max = rules.limits.max_bulk;
        // Reading the request has complained about a list that is missing or no list.
        if errors.is_empty() && (drafts.is_empty() || drafts.len() > max) {
            errors.add("servers", Reason::Count { min: 1, max });
        }
        let shared_nics = shared
            .as_ref()
            .map(|drafts| understand_nics(drafts, "network_config", rules, &mut errors));
        let shared_nics: Option<Vec<NicPlan>> = shared_nics.map(Option::unwrap_or_default);
        let now = self.now();
        let plans: Vec<_> = drafts
            .iter()
            .take(max)
            .enumerate()
            .map(|(index, draft)| {
                let nics = shared_nics.as_deref().map(|nics| ("network_config", nics));
                let at = format!("servers[{index}].");
                draft.understand(&at, nics, rules, now, &mut errors)
            })
            .collect();
        find_duplicates(&plans, &mut errors);
        let plans: Option<Vec<ServerPlan>> = plans.into_iter().collect();
        let plans = errors.into_result(plans)?.ok_or_else(incomplete)?;
        self.accept(ctx, &plans, Some(policy)).await
    }

    /// One transaction, begun anew when it crossed another one.
    async fn accept(
        &self,
        ctx: &Ctx,
        plans: &[ServerPlan],
        bulk: Option<BulkPolicy>,
    ) -> Result<BulkAccepted> {
        let mut crossings = Crossings::default();
        let done = loop {
            match self.try_accept(ctx, plans, bulk).await {
                Err(refusal) if crossings.again(&refusal) => {}
                done => break done?,
            }
        };
        self.store().queue().wake().await;
        Ok(done)
    }

    async fn try_accept(
        &self,
        ctx: &Ctx,
        plans: &[ServerPlan],
        bulk: Option<BulkPolicy>,
    ) -> std::result::Result<BulkAccepted, Refusal> {
        let (_turn, tx) = self.begin_in_turn().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        tx.lock_reservations().await?;
        let done = self.write(ctx, &*tx, plans, bulk).await?;
        ctx.remember(&*tx, &done).await?;
        let about = match (bulk, done.children.first()) {
            (None, Some(only)) => {
                let server = tx.server(only.server).await?;
                server.map_or_else(AuditTarget::default, |server| target(&server))
            }
            _ => AuditTarget::new("task", &done.task),
        };
        self.commit(ctx, tx, about).await?;
        Ok(done)
    }

    /// Reserves and writes everything, in a transaction that holds the lock on reservations.
    async fn write(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        plans: &[ServerPlan],
        bulk: Option<BulkPolicy>,
    ) -> std::result::Result<BulkAccepted, Refusal> {
        let projects = projects(ctx, tx, plans).await?;
        let networks = tx.networks().await?;
        let taken = tx.addresses_taken().await?;
        let nics = addresses(plans, &networks, taken, self.policy())?;
        let wanted: Vec<Wanted> = plans
            .iter()
            .zip(nics)
            .map(|(plan, nics)| Wanted {
                row: None,
                name: plan.name.clone(),
                project: projects[&plan.project],
                spec: ServerSpec {
                    role: plan.role.clone(),
                    cpu: plan.cpu,
                    memory_mb: plan.memory_mb,
                    disk_gb: plan.disk_gb,
                    nics,
                    tags: plan.tags.clone(),
                    description: plan.description.clone(),
                },
                engine: plan.engine.clone(),
                wish: plan.wish.clone(),
                expiry: plan.expiry,
                at: plan.at.clone(),
                archive: None,
            })
            .collect();
        let parent = match bulk {
            None => None,
            Some(policy) => {
                let token = self.new_task_token();
                let task = NewTask::bulk(TaskKind::BulkCreate, token.clone(), policy, ctx.actor.id);
                Some((token, tx.insert_task(&task).await?))
            }
        };
        let parent_id = parent.as_ref().map(|(_, id)| *id);
        let children = self
            .reserve(ctx, tx, wanted, parent_id, &EventKind::CreateRequested)
            .await?;
        let task = match (parent, children.first()) {
            (Some((token, _)), _) => token,
            (None, Some(only)) => only.task.clone(),
            (None, None) => return Err(Refusal::App(incomplete())),
        };
        Ok(BulkAccepted { task, children })
    }
}

/// The projects that are named, by name; the default one where none is.
async fn projects(
    ctx: &Ctx,
    tx: &Tx,
    plans: &[ServerPlan],
) -> std::result::Result<BTreeMap<Option<ServerName>, ProjectId>, Refusal> {
    let mut found = BTreeMap::new();
    let mut errors = FieldErrors::default();
    for plan in plans {
        if found.contains_key(&plan.project) {
            continue;
        }
        let name = plan.project.clone().or(ServerName::new(DEFAULT_PROJECT));
        let project = match name {
            Some(name) => tx.project_named(&name).await?,
            None => None,
        };
        let may = ctx.actor.reach(Permission::WriteServers);
        match project {
            Some(project) if may.covers(project.id) => {
                found.insert(plan.project.clone(), project.id);
            }
            // The default project is no secret, and one that may be seen neither.
            Some(project)
                if plan.project.is_none()
                    || ctx.actor.reach(Permission::ReadProjects).covers(project.id) =>
            {
                return Err(Error::Forbidden.into());
            }
            _ => errors.add(format!("{}project", plan.at), Reason::NoSuch),
        }
    }
    Ok(errors.into_result(found)?)
}

/// A draft without its required fields and without a complaint about them.
pub(crate) fn incomplete() -> AppError {
    let mut errors = FieldErrors::default();
    errors.add("", Reason::Required);
    AppError::Refused(Error::Invalid(errors.into_vec()))
}

/// The same name or the same address twice in one request.
fn find_duplicates(plans: &[Option<ServerPlan>], errors: &mut FieldErrors) {
    use super::draft::AddressWish;
    let mut names = BTreeSet::new();
    let mut addresses = BTreeMap::new();
    for (index, plan) in plans.iter().enumerate() {
        let Some(plan) = plan else { continue };
        if !names.insert(plan.name.clone()) {
            errors.add(format!("servers[{index}].name"), Reason::Duplicate);
        }
        for nic in &plan.nics {
            let ip = match &nic.address {
                AddressWish::Plan(AddressPlan::Static(address)) => Some(address.ip),
                AddressWish::Named { ip, .. } => *ip,
                _ => None,
            };
            if ip.is_some_and(|ip| addresses.insert(ip, index).is_some()) {
                errors.add(format!("{}.ip_address", nic.field), Reason::Duplicate);
            }
        }
    }
}
