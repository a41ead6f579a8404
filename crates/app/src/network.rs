//! Networks whose addresses are handed out: seeing who holds what, making, changing, removing.

use crate::project::label_taken;
use crate::server::bridge_fault;
use crate::{App, AppError, Ctx, Result};
use std::net::Ipv4Addr;
use tpm_domain::{
    AuditTarget, Conflict, DEFAULT_NETWORK, Error, FieldErrors, ForeignAddress, Ipv4Range,
    MAX_NETWORK_SIZE, Network, NetworkId, NetworkSpec, Permission, Reason, ResourceKind, ServerId,
    ServerName,
};
use tpm_store::{Reads, StoreError, UnitOfWork};

fn target(id: NetworkId) -> AuditTarget {
    AuditTarget::new("network", id)
}

/// A network as asked for; `None` stays as it is, or is the default of a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkChange {
    /// Its name.
    pub name: Option<String>,
    /// `FIRST-LAST`, both included.
    pub range: Option<String>,
    /// Length of the prefix.
    pub prefix: Option<i64>,
    /// The way out; `Some(None)` is none.
    pub gateway: Option<Option<String>>,
    /// DNS servers.
    pub dns: Option<Vec<String>>,
    /// The bridge.
    pub bridge: Option<String>,
    /// VLAN tag; `Some(None)` is none.
    pub vlan: Option<Option<i64>>,
    /// Parts of the range that are not handed out: `FIRST-LAST`, or one address.
    pub exclusions: Option<Vec<String>>,
}

/// A network and who holds its addresses.
#[derive(Clone, Debug)]
pub struct NetworkView {
    /// The network.
    pub network: Network,
    /// Addresses that servers hold, lowest first.
    pub held: Vec<(Ipv4Addr, ServerId, ServerName)>,
    /// Addresses that guests of others have.
    pub foreign: Vec<ForeignAddress>,
    /// How many can still be handed out.
    pub free: u64,
}

impl NetworkChange {
    /// The network that this makes of `before`; `None` when something is wrong.
    fn understand(
        &self,
        before: Option<&NetworkSpec>,
        bridge: &str,
        errors: &mut FieldErrors,
    ) -> Option<NetworkSpec> {
        let noted = errors.len();
        let range = match &self.range {
            Some(text) => text.parse::<Ipv4Range>().ok().or_else(|| {
                errors.add("range", Reason::AddressRange);
                None
            }),
            None => before.map(|spec| spec.range),
        };
        let prefix = match self.prefix.map(u8::try_from) {
            None => before.map(|spec| spec.prefix),
            Some(Ok(prefix)) if (1..=32).contains(&prefix) => Some(prefix),
            Some(_) => {
                errors.add("prefix", Reason::Range { min: 1, max: 32 });
                None
            }
        };
        let gateway = match &self.gateway {
            None => before.and_then(|spec| spec.gateway),
            Some(None) => None,
            Some(Some(text)) => address(text, "gateway", errors),
        };
        let dns = match &self.dns {
            None => before.map(|spec| spec.dns.clone()).unwrap_or_default(),
            Some(list) => list
                .iter()
                .enumerate()
                .filter_map(|(n, text)| address(text, &format!("dns[{n}]"), errors))
                .collect(),
        };
        let bridge = match &self.bridge {
            None => before.map_or_else(|| bridge.to_owned(), |spec| spec.bridge.clone()),
            Some(text) => {
                if let Some(reason) = bridge_fault(text) {
                    errors.add("bridge", reason);
                }
                text.clone()
            }
        };
        let vlan = match self.vlan {
            None => before.and_then(|spec| spec.vlan),
            Some(None) => None,
            Some(Some(tag)) => match u16::try_from(tag) {
                Ok(tag) if (1..=4094).contains(&tag) => Some(tag),
                _ => {
                    errors.add("vlan", Reason::Range { min: 1, max: 4094 });
                    None
                }
            },
        };
        let exclusions = match &self.exclusions {
            None => before.map(|s| s.exclusions.clone()).unwrap_or_default(),
            Some(list) => list
                .iter()
                .enumerate()
                .filter_map(|(n, text)| exclusion(text, n, errors))
                .collect(),
        };
        if errors.len() > noted {
            return None;
        }
        let spec = NetworkSpec {
            range: range?,
            prefix: prefix?,
            gateway,
            dns,
            bridge,
            vlan,
            exclusions,
        };
        check(&spec, errors);
        (errors.len() == noted).then_some(spec)
    }
}

fn address(text: &str, field: &str, errors: &mut FieldErrors) -> Option<Ipv4Addr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        errors.add(field, Reason::Address);
    }
    parsed
}

/// `FIRST-LAST`, or one address.
fn exclusion(text: &str, n: usize, errors: &mut FieldErrors) -> Option<Ipv4Range> {
    let range = match text.parse::<Ipv4Addr>() {
        Ok(ip) => Ipv4Range::new(ip, ip).ok(),
        Err(_) => text.parse().ok(),
    };
    if range.is_none() {
        errors.add(format!("exclusions[{n}]"), Reason::AddressRange);
    }
    range
}

/// What must hold between the fields.
fn check(spec: &NetworkSpec, errors: &mut FieldErrors) {
    if !spec.is_one_subnet() {
        errors.add("range", Reason::OutsideSubnet);
    }
    if spec.range.size() > MAX_NETWORK_SIZE {
        let max = MAX_NETWORK_SIZE;
        errors.add("range", Reason::RangeTooLarge { max });
    }
    let inside = |ip| tpm_domain::in_subnet(ip, spec.range.first(), spec.prefix);
    if spec.gateway.is_some_and(|ip| !inside(ip)) {
        errors.add("gateway", Reason::OutsideSubnet);
    }
    for (n, range) in spec.exclusions.iter().enumerate() {
        if !inside(range.first()) || !inside(range.last()) {
            errors.add(format!("exclusions[{n}]"), Reason::OutsideSubnet);
        }
    }
}

/// A range that another network has some addresses of.
async fn check_overlap(
    tx: &(dyn UnitOfWork + Send + Sync),
    spec: &NetworkSpec,
    own: Option<NetworkId>,
) -> Result<()> {
    let others = tx.networks().await?;
    let overlapping = others
        .into_iter()
        .find(|other| Some(other.id) != own && other.spec.range.overlaps(&spec.range));
    match overlapping {
        None => Ok(()),
        Some(other) => {
            let network = other.name.to_string();
            let conflict = Conflict::NetworkOverlaps { network };
            Err(AppError::Refused(Error::Conflict(conflict)))
        }
    }
}

impl App {
    fn view(
        network: Network,
        held: &[(Ipv4Addr, ServerId, ServerName)],
        foreign: &[ForeignAddress],
    ) -> NetworkView {
        let spec = &network.spec;
        let held: Vec<_> = held
            .iter()
            .filter(|(ip, _, _)| spec.range.contains(*ip))
            .cloned()
            .collect();
        let foreign: Vec<_> = foreign
            .iter()
            .filter(|it| spec.range.contains(it.ip))
            .cloned()
            .collect();
        let is_taken = |ip: Ipv4Addr| {
            spec.excludes(ip)
                || held.binary_search_by_key(&ip, |(held, _, _)| *held).is_ok()
                || foreign.iter().any(|it| it.ip == ip)
        };
        let free = spec.pool().pick(usize::MAX, is_taken).len();
        NetworkView {
            free: free.try_into().unwrap_or(u64::MAX),
            network,
            held,
            foreign,
        }
    }

    /// All networks, by name.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn networks(&self, ctx: &Ctx) -> Result<Vec<NetworkView>> {
        ctx.authorize(Permission::ReadNetworks)?;
        let reads = self.store().reads();
        Ok(self.network_views(&*reads).await?)
    }

    pub(crate) async fn network_views(
        &self,
        reads: &(dyn Reads + Send + Sync),
    ) -> std::result::Result<Vec<NetworkView>, StoreError> {
        let held = reads.address_holders().await?;
        let foreign = reads.foreign_addresses().await?;
        let found = reads.networks().await?;
        Ok(found
            .into_iter()
            .map(|network| Self::view(network, &held, &foreign))
            .collect())
    }

    /// One network.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn network(&self, ctx: &Ctx, id: NetworkId) -> Result<NetworkView> {
        ctx.authorize(Permission::ReadNetworks)?;
        let reads = self.store().reads();
        self.network_view(&*reads, id).await
    }

    async fn network_view(
        &self,
        reads: &(dyn Reads + Send + Sync),
        id: NetworkId,
    ) -> Result<NetworkView> {
        let found = reads.network(id).await?;
        let network = found.ok_or_else(|| Error::not_found(ResourceKind::Network, id))?;
        let held = reads.address_holders().await?;
        let foreign = reads.foreign_addresses().await?;
        Ok(Self::view(network, &held, &foreign))
    }

    /// Makes a network.
    ///
    /// # Errors
    /// Invalid with every wrong field, forbidden, conflict when the name is taken or another network has
    /// some of the addresses, or the store does not answer.
    pub async fn create_network(
        &self,
        ctx: &Ctx,
        change: &NetworkChange,
        mut errors: FieldErrors,
    ) -> Result<NetworkId> {
        ctx.authorize(Permission::WriteNetworks)?;
        if errors.is_empty() {
            for (field, missing) in [
                ("name", change.name.is_none()),
                ("range", change.range.is_none()),
                ("prefix", change.prefix.is_none()),
            ] {
                if missing {
                    errors.add(field, Reason::Required);
                }
            }
        }
        let name = self.network_name(change, &mut errors);
        let bridge = &self.policy().network.bridge;
        let spec = change.understand(None, bridge, &mut errors);
        let (name, spec) = errors
            .into_result(name.zip(spec))?
            .ok_or_else(crate::server::incomplete)?;
        let (_turn, tx) = self.begin_in_turn().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        tx.lock_reservations().await?;
        check_overlap(&*tx, &spec, None).await?;
        let id = match tx.insert_network(&name, &spec).await {
            Err(StoreError::Constraint(_)) => return Err(label_taken(&name)),
            done => done?,
        };
        ctx.remember(&*tx, &id).await?;
        self.commit(ctx, tx, target(id)).await?;
        Ok(id)
    }

    fn network_name(&self, change: &NetworkChange, errors: &mut FieldErrors) -> Option<ServerName> {
        let name = change.name.as_deref().map(ServerName::new)?;
        if name.is_none() {
            errors.add("name", Reason::ServerName);
        }
        name
    }

    /// Changes a network. Servers keep the addresses they have, inside the new range or not.
    ///
    /// # Errors
    /// As for making one, and not found.
    pub async fn change_network(
        &self,
        ctx: &Ctx,
        id: NetworkId,
        change: &NetworkChange,
        mut errors: FieldErrors,
    ) -> Result<NetworkView> {
        ctx.authorize(Permission::WriteNetworks)?;
        let (_turn, tx) = self.begin_in_turn().await?;
        tx.lock_reservations().await?;
        let before = tx.network(id).await?;
        let mut network = before.ok_or_else(|| Error::not_found(ResourceKind::Network, id))?;
        if let Some(name) = self.network_name(change, &mut errors) {
            network.name = name;
        }
        let spec = change.understand(Some(&network.spec), "", &mut errors);
        network.spec = errors
            .into_result(spec)?
            .ok_or_else(crate::server::incomplete)?;
        check_overlap(&*tx, &network.spec, Some(id)).await?;
        match tx.save_network(&network).await {
            Err(StoreError::Constraint(_)) => return Err(label_taken(&network.name)),
            done => done?,
        }
        // Who may change it is shown what it is now, also without the right to look at others.
        let view = self.network_view(&*tx, id).await?;
        self.commit(ctx, tx, target(id)).await?;
        Ok(view)
    }

    /// Removes a network that no server holds an address of.
    ///
    /// # Errors
    /// Forbidden, not found, conflict when addresses are held, or the store does not answer.
    pub async fn delete_network(&self, ctx: &Ctx, id: NetworkId) -> Result<()> {
        ctx.authorize(Permission::WriteNetworks)?;
        let (_turn, tx) = self.begin_in_turn().await?;
        tx.lock_reservations().await?;
        let found = tx.network(id).await?;
        let network = found.ok_or_else(|| Error::not_found(ResourceKind::Network, id))?;
        let range = network.spec.range;
        let held = tx.address_holders().await?;
        let addresses = held.iter().filter(|(ip, _, _)| range.contains(*ip)).count();
        if addresses > 0 {
            let conflict = Conflict::NetworkInUse { addresses };
            return Err(AppError::Refused(Error::Conflict(conflict)));
        }
        tx.delete_network(id).await?;
        self.commit(ctx, tx, target(id)).await?;
        Ok(())
    }

    /// Makes the default network from the settings when there is no network at all.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn ensure_default_network(&self, spec: &NetworkSpec) -> Result<()> {
        let Some(name) = ServerName::new(DEFAULT_NETWORK) else {
            return Ok(());
        };
        let tx = self.store().begin().await?;
        tx.lock_reservations().await?;
        if tx.networks().await?.is_empty() {
            tx.insert_network(&name, spec).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
