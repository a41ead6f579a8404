//! Creating servers: name, address and VMID are reserved in the transaction that writes the server, its
//! task and its event. All servers of a request are accepted, or none.

use super::draft::{NicPlan, ServerPlan, understand_nics};
use super::{ServerDraft, SharedNetwork};
use crate::{App, AppError, Ctx, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use tpm_domain::{
    Action, AddressPlan, Conflict, Error, Event, EventKind, FieldErrors, Nic, Reason, ServerId,
    ServerSpec, Shortage, TaskId, TaskKind, TaskToken,
};
use tpm_store::{NewServer, NewTask, StoreError, UnitOfWork};

/// A request that was accepted: what is asked for is now the worker's to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The task to watch.
    pub task: TaskToken,
    /// The server's number.
    pub server: ServerId,
}

/// A bulk that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkAccepted {
    /// The task that summarizes the others.
    pub task: TaskToken,
    /// Each server with its own task, in the order asked for.
    pub children: Vec<Accepted>,
}

/// How often a transaction that crossed another one is begun anew.
const CROSSINGS: u32 = 5;

impl App {
    /// Creates one server. `errors` is what was already found wrong while reading the request.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, conflict (name or address taken, not enough addresses
    /// or VMIDs), or the store does not answer. Nothing is reserved then.
    pub async fn create_server(
        &self,
        ctx: &Ctx,
        draft: &ServerDraft,
        mut errors: FieldErrors,
    ) -> Result<Accepted> {
        ctx.authorize(Action::WriteServers)?;
        let plan = draft.understand("", None, self.policy(), &mut errors);
        let plans = errors.into_result(plan)?.ok_or_else(incomplete)?;
        let mut made = self.reserve(ctx, &[plans], None).await?;
        made.pop().ok_or_else(incomplete)
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
        mut errors: FieldErrors,
    ) -> Result<BulkAccepted> {
        ctx.authorize(Action::WriteServers)?;
        let policy = self.policy();
        let max = policy.limits.max_bulk;
        // Reading the request has complained about a list that is missing or no list.
        if errors.is_empty() && (drafts.is_empty() || drafts.len() > max) {
            errors.add("servers", Reason::Count { min: 1, max });
        }
        let shared_nics = shared
            .as_ref()
            .map(|drafts| understand_nics(drafts, "network_config", policy, &mut errors));
        let shared_nics: Option<Vec<NicPlan>> = shared_nics.map(Option::unwrap_or_default);
        let plans: Vec<_> = drafts
            .iter()
            .take(max)
            .enumerate()
            .map(|(index, draft)| {
                let nics = shared_nics.as_deref().map(|nics| ("network_config", nics));
                draft.understand(&format!("servers[{index}]."), nics, policy, &mut errors)
            })
            .collect();
        find_duplicates(&plans, &mut errors);
        let plans: Option<Vec<ServerPlan>> = plans.into_iter().collect();
        let plans = errors.into_result(plans)?.ok_or_else(incomplete)?;
        let parent = self.new_task_token();
        let children = self.reserve(ctx, &plans, Some(&parent)).await?;
        Ok(BulkAccepted {
            task: parent,
            children,
        })
    }

    /// The one transaction.
    async fn reserve(
        &self,
        ctx: &Ctx,
        plans: &[ServerPlan],
        parent: Option<&TaskToken>,
    ) -> Result<Vec<Accepted>> {
        let mut crossings = 0;
        loop {
            match self.try_reserve(ctx, plans, parent).await {
                Err(ReserveError::Store(StoreError::Crossed(_) | StoreError::Constraint(_)))
                    if crossings < CROSSINGS =>
                {
                    crossings += 1;
                }
                Err(ReserveError::Store(error)) => return Err(error.into()),
                Err(ReserveError::Refused(error)) => return Err(AppError::Refused(error)),
                Ok(made) => {
                    self.store().queue().wake().await;
                    return Ok(made);
                }
            }
        }
    }

    async fn try_reserve(
        &self,
        ctx: &Ctx,
        plans: &[ServerPlan],
        parent: Option<&TaskToken>,
    ) -> std::result::Result<Vec<Accepted>, ReserveError> {
        let tx = self.store().begin().await?;
        tx.lock_reservations().await?;
        let names: Vec<_> = plans.iter().map(|plan| plan.name.clone()).collect();
        if let Some(name) = tx.names_taken(&names).await?.into_iter().next() {
            let name = name.to_string();
            return Err(ReserveError::Refused(Error::Conflict(
                Conflict::NameTaken { name },
            )));
        }
        let addresses = assign_addresses(plans, tx.addresses_taken().await?)?;
        let range = self.policy().vmids;
        let vmids = tx.allocate_vmids(range, plans.len()).await?;
        if vmids.len() < plans.len() {
            let pool = format!("{}-{}", range.first, range.last);
            let missing = plans.len() - vmids.len();
            let shortage = Shortage::Vmids { pool, missing };
            return Err(ReserveError::Refused(Error::Conflict(Conflict::Shortage(
                shortage,
            ))));
        }
        let parent = match parent {
            Some(token) => Some(self.insert_parent(ctx, &*tx, token).await?),
            None => None,
        };
        let mut made = Vec::with_capacity(plans.len());
        for ((plan, nics), vmid) in plans.iter().zip(addresses).zip(vmids) {
            let held: Vec<Ipv4Addr> = nics
                .iter()
                .filter_map(|nic| nic.address.map(|address| address.ip))
                .collect();
            let token = self.new_task_token();
            let new = NewServer {
                name: plan.name.clone(),
                spec: ServerSpec {
                    role: plan.role.clone(),
                    cpu: plan.cpu,
                    memory_mb: plan.memory_mb,
                    disk_gb: plan.disk_gb,
                    nics,
                },
                engine: plan.engine.clone(),
                vmid,
                created_by: token.clone(),
            };
            let server = tx.insert_server(&new).await?;
            tx.hold(server, &plan.name, &held, vmid).await?;
            let task = NewTask {
                token: token.clone(),
                kind: TaskKind::CreateServer,
                server: Some((server, plan.name.to_string())),
                parent,
                requested_by: ctx.actor.id,
            };
            tx.insert_task(&task).await?;
            let event = Event {
                kind: EventKind::CreateRequested,
                server,
                server_name: plan.name.to_string(),
                task: token.clone(),
            };
            tx.add_event(&event).await?;
            made.push(Accepted {
                task: token,
                server,
            });
        }
        tx.commit().await?;
        Ok(made)
    }

    async fn insert_parent(
        &self,
        ctx: &Ctx,
        tx: &(dyn UnitOfWork + Send + Sync),
        token: &TaskToken,
    ) -> std::result::Result<TaskId, StoreError> {
        let task = NewTask {
            token: token.clone(),
            kind: TaskKind::BulkCreate,
            server: None,
            parent: None,
            requested_by: ctx.actor.id,
        };
        tx.insert_task(&task).await
    }
}

enum ReserveError {
    Store(StoreError),
    Refused(Error),
}

impl From<StoreError> for ReserveError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A draft without its required fields and without a complaint about them.
fn incomplete() -> AppError {
    let mut errors = FieldErrors::default();
    errors.add("", Reason::Required);
    AppError::Refused(Error::Invalid(errors.into_vec()))
}

/// The same name or the same address twice in one request.
fn find_duplicates(plans: &[Option<ServerPlan>], errors: &mut FieldErrors) {
    let mut names = BTreeSet::new();
    let mut addresses = BTreeMap::new();
    for (index, plan) in plans.iter().enumerate() {
        let Some(plan) = plan else { continue };
        if !names.insert(plan.name.clone()) {
            errors.add(format!("servers[{index}].name"), Reason::Duplicate);
        }
        for nic in &plan.nics {
            if let AddressPlan::Static(address) = nic.address
                && addresses.insert(address.ip, index).is_some()
            {
                errors.add(format!("{}.ip_address", nic.field), Reason::Duplicate);
            }
        }
    }
}

/// Gives every interface its address, in the order asked for. Fixed ones go first, so that a pool in
/// the same request does not take them.
fn assign_addresses(
    plans: &[ServerPlan],
    mut taken: BTreeSet<Ipv4Addr>,
) -> std::result::Result<Vec<Vec<Nic>>, Error> {
    for nic in plans.iter().flat_map(|plan| &plan.nics) {
        if let AddressPlan::Static(address) = nic.address
            && !taken.insert(address.ip)
        {
            let address = address.ip.to_string();
            return Err(Error::Conflict(Conflict::AddressTaken { address }));
        }
    }
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    let mut assigned = Vec::with_capacity(plans.len());
    for plan in plans {
        let mut nics = Vec::with_capacity(plan.nics.len());
        for nic in &plan.nics {
            let address = match nic.address {
                AddressPlan::Static(address) => Some(address),
                AddressPlan::Dhcp => None,
                AddressPlan::FromPool(pool) => {
                    let picked = pool.pick(1, &taken).pop();
                    match picked {
                        Some(address) => {
                            taken.insert(address.ip);
                        }
                        None => *wanted.entry(pool.range.to_string()).or_default() += 1,
                    }
                    picked
                }
            };
            nics.push(Nic {
                bridge: nic.bridge.clone(),
                vlan: nic.vlan,
                address,
            });
        }
        assigned.push(nics);
    }
    match wanted.into_iter().next() {
        Some((pool, missing)) => Err(Error::Conflict(Conflict::Shortage(Shortage::Addresses {
            pool,
            missing,
        }))),
        None => Ok(assigned),
    }
}

impl From<Error> for ReserveError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}
