//! The gate that every new server passes: name, addresses, VMID, room on a node and quota are reserved in
//! the transaction that writes the server, its task and its event; or nothing is.

use super::Accepted;
use super::draft::{AddressWish, NicPlan, ServerPlan};
use crate::policy::Policy;
use crate::{App, AppError, Ctx};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;
use tpm_domain::{
    AddressPlan, BackupId, BackupPayload, ClusterPicture, Conflict, DEFAULT_NETWORK, DrillId,
    Error, Event, EventKind, Expiry, FieldErrors, Kept, Network, Nic, NodeName, Placement,
    PlacementPolicy, PlacementWish, ProjectId, Reason, Server, ServerId, ServerName, ServerSpec,
    ServerState, Shortage, StaticAddress, TaskId, TaskKind, TaskToken, Unfit, Usage, UserId,
    in_subnet,
};
use tpm_store::{NewServer, NewTask, StoreError, UnitOfWork, VmidRange};

type Tx = dyn UnitOfWork + Send + Sync;

/// Why a transaction that would reserve something did not.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The database; some of its reasons are tried again.
    Store(StoreError),
    /// Anything else.
    App(AppError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::App(AppError::Refused(error))
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        Self::App(error)
    }
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Store(error) => error.into(),
            Refusal::App(error) => error,
        }
    }
}

/// Nothing is promised on what was seen longer ago: nobody looks any more, or the database is an old copy
/// that knows nothing of what was made since.
const LATELY: Duration = Duration::from_secs(120);

/// How often a transaction that crossed another one is begun anew.
const CROSSINGS: u32 = 5;

/// Counts the crossings of one request.
#[derive(Default)]
pub(crate) struct Crossings(u32);

impl Crossings {
    /// Whether the transaction is to be begun anew after this.
    pub(crate) fn again(&mut self, refusal: &Refusal) -> bool {
        self.0 += 1;
        let crossed = matches!(
            refusal,
            Refusal::Store(StoreError::Crossed(_) | StoreError::Constraint(_))
        );
        crossed && self.0 <= CROSSINGS
    }
}

fn conflict(conflict: Conflict) -> Refusal {
    Error::Conflict(conflict).into()
}

/// A server that is to be, its addresses chosen.
pub(crate) struct Wanted {
    /// The row of a server that is made again; `None` for a new one.
    pub(crate) row: Option<Server>,
    pub(crate) name: ServerName,
    pub(crate) project: ProjectId,
    pub(crate) spec: ServerSpec,
    pub(crate) engine: String,
    pub(crate) wish: PlacementWish,
    pub(crate) expiry: Expiry,
    /// The path of its fields in the request.
    pub(crate) at: String,
    /// The backup it is made of; `None`: of its role's template.
    pub(crate) archive: Option<Origin>,
}

/// What a server is made of that is not made of a template.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// This backup.
    pub(crate) backup: BackupId,
    /// Only to try it.
    pub(crate) drill: Option<DrillId>,
}

/// On whose behalf room is taken, and where it is.
pub(crate) struct Gate<'a> {
    /// How servers are placed, by engine.
    pub(crate) placement: &'a BTreeMap<String, PlacementPolicy>,
    /// Numbers for guests.
    pub(crate) vmids: VmidRange,
    /// Whose tasks they are.
    pub(crate) by: UserId,
    /// Names tasks.
    pub(crate) name_task: &'a (dyn Fn() -> TaskToken + Send + Sync),
}

impl App {
    /// Reserves and writes all of them. `lock_reservations` was called before in the same transaction.
    pub(crate) async fn reserve(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        wanted: Vec<Wanted>,
        parent: Option<TaskId>,
        event: &EventKind,
    ) -> Result<Vec<Accepted>, Refusal> {
        let gate = Gate {
            placement: &self.policy().placement,
            vmids: self.policy().vmids,
            by: ctx.actor.id,
            name_task: &|| self.new_task_token(),
        };
        gate.reserve(tx, wanted, parent, event).await
    }
}

impl Gate<'_> {
    /// The same, for whoever it is.
    pub(crate) async fn reserve(
        &self,
        tx: &Tx,
        wanted: Vec<Wanted>,
        parent: Option<TaskId>,
        event: &EventKind,
    ) -> Result<Vec<Accepted>, Refusal> {
        let names: Vec<_> = wanted.iter().map(|it| it.name.clone()).collect();
        if let Some(name) = tx.names_taken(&names).await?.into_iter().next() {
            let name = name.to_string();
            return Err(conflict(Conflict::NameTaken { name }));
        }
        check_quota(tx, &wanted).await?;
        let places = self.places(tx, &wanted).await?;
        let range = self.vmids;
        let vmids = tx.allocate_vmids(range, wanted.len()).await?;
        if vmids.len() < wanted.len() {
            return Err(conflict(Conflict::Shortage(Shortage::Vmids {
                pool: format!("{}-{}", range.first, range.last),
                missing: wanted.len() - vmids.len(),
            })));
        }
        let mut made = Vec::with_capacity(wanted.len());
        for (turn, ((it, placement), vmid)) in wanted.into_iter().zip(places).zip(vmids).enumerate()
        {
            let held: Vec<Ipv4Addr> = it
                .spec
                .nics
                .iter()
                .filter_map(|nic| nic.address.map(|address| address.ip))
                .collect();
            let token = (self.name_task)();
            let name = it.name.clone();
            let server = match it.row {
                None => {
                    let new = NewServer {
                        name: it.name,
                        project: it.project,
                        spec: it.spec,
                        placement,
                        expiry: it.expiry,
                        engine: it.engine,
                        vmid,
                        created_by: token.clone(),
                    };
                    tx.insert_server(&new).await?
                }
                Some(row) => {
                    let id = row.id;
                    tx.save_server(&Server {
                        placement,
                        vmid,
                        created_by: token.clone(),
                        state: ServerState::Creating,
                        node: None,
                        identity: None,
                        ip_address: None,
                        problem: None,
                        readiness: Vec::new(),
                        drift: Vec::new(),
                        kept: Kept::default(),
                        ..row
                    })
                    .await?;
                    id
                }
            };
            tx.hold(server, &name, &held, vmid).await?;
            let on = (server, name.to_string());
            let (kind, payload) = made_by(it.archive)?;
            let task = NewTask {
                payload,
                ..NewTask::on(kind, token.clone(), on, self.by).in_bulk(parent, turn)
            };
            tx.insert_task(&task).await?;
            let event = Event {
                kind: event.clone(),
                server: Some(server),
                server_name: name.to_string(),
                task: Some(token.clone()),
            };
            tx.add_event(&event).await?;
            made.push(Accepted {
                task: token,
                server,
            });
        }
        Ok(made)
    }

    /// A node for each, chosen one after the other; engines without nodes need none.
    async fn places(&self, tx: &Tx, wanted: &[Wanted]) -> Result<Vec<Option<Placement>>, Refusal> {
        let policies = self.placement;
        if !wanted.iter().any(|it| policies.contains_key(&it.engine)) {
            return Ok(vec![None; wanted.len()]);
        }
        let picture = tx.picture().await?;
        if picture.seen_at.is_none_or(|at| tx.now().since(at) > LATELY) {
            let retry_after_secs = 5;
            return Err(Error::ClusterUnseen { retry_after_secs }.into());
        }
        nodes_exist(&picture, wanted)?;
        let mut promised = tx.promised(&picture).await?;
        let mut places = Vec::with_capacity(wanted.len());
        let mut unplaced: Option<(usize, Vec<(NodeName, Unfit)>)> = None;
        for it in wanted {
            let Some(policy) = policies.get(&it.engine) else {
                places.push(None);
                continue;
            };
            match policy.place(&picture, &mut promised, &it.spec, &it.wish) {
                Ok(placement) => places.push(Some(placement)),
                Err(why) => unplaced.get_or_insert((0, why)).0 += 1,
            }
        }
        match unplaced {
            None => Ok(places),
            Some((missing, nodes)) => Err(conflict(Conflict::Shortage(Shortage::Capacity {
                missing,
                nodes,
            }))),
        }
    }
}

/// The task that makes a server, of a template or of a backup.
fn made_by(archive: Option<Origin>) -> Result<(TaskKind, Option<String>), Refusal> {
    let Some(Origin { backup, drill }) = archive else {
        return Ok((TaskKind::CreateServer, None));
    };
    let payload = BackupPayload {
        drill,
        ..BackupPayload::of(backup)
    };
    let payload = serde_json::to_string(&payload);
    let payload = payload.map_err(|error| AppError::Fault(error.into()))?;
    let kind = match drill {
        Some(_) => TaskKind::DrillBackup,
        None => TaskKind::RestoreNew,
    };
    Ok((kind, Some(payload)))
}

/// Nodes that are named must be there.
fn nodes_exist(picture: &ClusterPicture, wanted: &[Wanted]) -> Result<(), Refusal> {
    let known: Vec<_> = picture.nodes.iter().map(|node| &node.name).collect();
    let mut errors = FieldErrors::default();
    for it in wanted {
        let mut check = |node: &NodeName, field: &str| {
            if !known.contains(&node) {
                let allowed = known.iter().map(ToString::to_string).collect();
                errors.add(
                    format!("{}placement.{field}", it.at),
                    Reason::OneOf { allowed },
                );
            }
        };
        if let Some(node) = &it.wish.node {
            check(node, "node");
        }
        for node in &it.wish.exclude {
            check(node, "exclude");
        }
    }
    Ok(errors.into_result(())?)
}

async fn check_quota(tx: &Tx, wanted: &[Wanted]) -> Result<(), Refusal> {
    let mut more: BTreeMap<ProjectId, Usage> = BTreeMap::new();
    for it in wanted {
        let spec = &it.spec;
        more.entry(it.project)
            .or_default()
            .add(spec.cpu, spec.memory_mb, spec.disk_gb);
    }
    for (id, more) in more {
        let Some(project) = tx.project(id).await? else {
            continue;
        };
        let bounds = project.quota.shortages(&project.usage, &more);
        if !bounds.is_empty() {
            let project = project.name.to_string();
            let shortage = Shortage::Quota { project, bounds };
            return Err(conflict(Conflict::Shortage(shortage)));
        }
    }
    Ok(())
}

/// One interface, its network known.
struct Resolved {
    address: AddressPlan,
    nic: Nic,
}

/// Gives every interface its address, in the order asked for. Fixed ones go first, so that a pool in
/// the same request does not take them.
pub(super) fn addresses(
    plans: &[ServerPlan],
    networks: &[Network],
    mut taken: BTreeSet<Ipv4Addr>,
    policy: &Policy,
) -> Result<Vec<Vec<Nic>>, Refusal> {
    let mut errors = FieldErrors::default();
    let mut resolved: Vec<Vec<Resolved>> = Vec::with_capacity(plans.len());
    for plan in plans {
        let nics = plan
            .nics
            .iter()
            .filter_map(|nic| resolve(nic, networks, policy, &mut errors))
            .collect();
        resolved.push(nics);
    }
    let mut resolved = errors.into_result(resolved)?;
    let excluded = |ip: Ipv4Addr| networks.iter().any(|network| network.spec.excludes(ip));
    for nic in resolved.iter().flatten() {
        if let AddressPlan::Static(address) = nic.address
            && (excluded(address.ip) || !taken.insert(address.ip))
        {
            let address = address.ip.to_string();
            return Err(conflict(Conflict::AddressTaken { address }));
        }
    }
    let mut short: BTreeMap<String, usize> = BTreeMap::new();
    for nic in resolved.iter_mut().flatten() {
        nic.nic.address = match nic.address {
            AddressPlan::Static(address) => Some(address),
            AddressPlan::Dhcp => None,
            AddressPlan::FromPool(pool) => {
                let picked = pool.pick(1, |ip| taken.contains(&ip) || excluded(ip)).pop();
                match picked {
                    Some(address) => {
                        taken.insert(address.ip);
                    }
                    None => *short.entry(pool.range.to_string()).or_default() += 1,
                }
                picked
            }
        };
    }
    match short.into_iter().next() {
        Some((pool, missing)) => {
            let shortage = Shortage::Addresses { pool, missing };
            Err(conflict(Conflict::Shortage(shortage)))
        }
        None => Ok(resolved
            .into_iter()
            .map(|nics| nics.into_iter().map(|nic| nic.nic).collect())
            .collect()),
    }
}

/// What a wish means with the networks there are; `None` when something is wrong with it.
fn resolve(
    plan: &NicPlan,
    networks: &[Network],
    policy: &Policy,
    errors: &mut FieldErrors,
) -> Option<Resolved> {
    let named = |name: &str| {
        networks
            .iter()
            .find(|network| network.name.as_str() == name)
    };
    let (network, address) = match &plan.address {
        AddressWish::Plan(address) => (None, *address),
        AddressWish::Default => match named(DEFAULT_NETWORK) {
            Some(network) => (Some(network), AddressPlan::FromPool(network.spec.pool())),
            None => (None, AddressPlan::Dhcp),
        },
        AddressWish::Named { name, ip } => {
            let Some(network) = named(name) else {
                errors.add(format!("{}.network", plan.field), Reason::NoSuch);
                return None;
            };
            let address = match ip {
                None => AddressPlan::FromPool(network.spec.pool()),
                Some(ip) => AddressPlan::Static(inside(*ip, network, &plan.field, errors)?),
            };
            (Some(network), address)
        }
    };
    let bridge = plan
        .bridge
        .clone()
        .or_else(|| network.map(|network| network.spec.bridge.clone()))
        .unwrap_or_else(|| policy.network.bridge.clone());
    let vlan = match network {
        Some(network) => plan.vlan.or(network.spec.vlan),
        None => plan.vlan.or(policy.network.vlan),
    };
    let dns = network.map_or_else(Vec::new, |network| network.spec.dns.clone());
    Some(Resolved {
        address,
        nic: Nic {
            bridge,
            vlan,
            address: None,
            dns,
        },
    })
}

/// An address that was asked for by name of its network.
fn inside(
    ip: Ipv4Addr,
    network: &Network,
    field: &str,
    errors: &mut FieldErrors,
) -> Option<StaticAddress> {
    let spec = &network.spec;
    let reason = if !in_subnet(ip, spec.range.first(), spec.prefix) {
        Some(Reason::OutsideSubnet)
    } else if !StaticAddress::usable(ip, spec.prefix) {
        Some(Reason::AddressReserved)
    } else if Some(ip) == spec.gateway {
        Some(Reason::IsGateway)
    } else {
        None
    };
    match reason {
        Some(reason) => {
            errors.add(format!("{field}.ip_address"), reason);
            None
        }
        None => Some(StaticAddress {
            ip,
            prefix: spec.prefix,
            gateway: spec.gateway,
        }),
    }
}

/// A server that is asked for again as it was: the same name, size and addresses.
pub(super) async fn as_before(tx: &Tx, server: Server, is_there: bool) -> Result<Wanted, Refusal> {
    let taken = tx.addresses_taken().await?;
    for nic in &server.spec.nics {
        if let Some(address) = nic.address.filter(|address| taken.contains(&address.ip)) {
            let address = address.ip.to_string();
            return Err(conflict(Conflict::AddressTaken { address }));
        }
    }
    Ok(Wanted {
        name: server.name.clone(),
        project: server.project,
        spec: server.spec.clone(),
        engine: server.engine.clone(),
        wish: server
            .placement
            .as_ref()
            .map(|placement| placement.wish.clone())
            .unwrap_or_default(),
        expiry: server.expiry,
        at: String::new(),
        archive: None,
        row: is_there.then_some(server),
    })
}

/// The server of a finished task, whether or not it is still there.
pub(super) async fn server_of(
    tx: &Tx,
    id: Option<ServerId>,
) -> Result<Option<(Server, bool)>, Refusal> {
    let Some(id) = id else { return Ok(None) };
    let Some(server) = tx.server_ever(id).await? else {
        return Ok(None);
    };
    let is_there = tx.server(id).await?.is_some();
    Ok(Some((server, is_there)))
}
