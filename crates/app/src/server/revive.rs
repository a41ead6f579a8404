//! A new server that is made of a backup: what its origin was, under a name, a number and addresses of its own.

use super::Accepted;
use super::create::incomplete;
use super::draft::{NetworkDraft, PlacementDraft, ServerDraft};
use super::reserve::{Origin, Refusal, Wanted, addresses};
use crate::{App, Ctx};
use tpm_domain::{
    Backup, EventKind, FieldErrors, Network, NodeName, Server, ServerName, ServerSpec,
};
use tpm_store::UnitOfWork;

type Tx = dyn UnitOfWork + Send + Sync;

/// As long as a label may be.
const LONGEST: usize = 63;

impl App {
    /// Reserves and writes it. `lock_reservations` was called before in the same transaction.
    pub(crate) async fn reserve_of_backup(
        &self,
        ctx: &Ctx,
        tx: &Tx,
        backup: &Backup,
        origin: &Server,
        name: Option<&str>,
    ) -> std::result::Result<Accepted, Refusal> {
        let networks = tx.networks().await?;
        let draft = ServerDraft {
            name: Some(name.map_or_else(|| self.made_up(&origin.name), str::to_owned)),
            role: Some(origin.spec.role.clone()),
            cpu: Some(origin.spec.cpu.into()),
            memory: Some(origin.spec.memory_mb.into()),
            disk_size: Some(origin.spec.disk_gb.into()),
            engine: Some(origin.engine.clone()),
            tags: origin.spec.tags.clone(),
            description: origin.spec.description.clone(),
            network: nics(origin, &networks),
            project: None,
            placement: PlacementDraft {
                node: only_node(tx, backup).await?.map(|node| node.0),
                ..PlacementDraft::default()
            },
            ..ServerDraft::default()
        };
        let mut errors = FieldErrors::default();
        let plan = draft.understand("", None, self.policy(), self.now(), &mut errors);
        let plans = [errors.into_result(plan)?.ok_or_else(incomplete)?];
        let taken = tx.addresses_taken().await?;
        let nics = addresses(&plans, &networks, taken, self.policy())?;
        let wanted = plans.into_iter().zip(nics).map(|(plan, nics)| Wanted {
            row: None,
            name: plan.name,
            project: origin.project,
            spec: ServerSpec {
                role: plan.role,
                cpu: plan.cpu,
                memory_mb: plan.memory_mb,
                disk_gb: plan.disk_gb,
                nics,
                tags: plan.tags,
                description: plan.description,
            },
            engine: plan.engine,
            wish: plan.wish,
            expiry: plan.expiry,
            at: plan.at,
            archive: Some(Origin {
                backup: backup.id,
                drill: None,
            }),
        });
        let event = EventKind::RestoreRequested {
            backup: backup.token.0.clone(),
        };
        let made = self
            .reserve(ctx, tx, wanted.collect(), None, &event)
            .await?;
        Ok(made.into_iter().next().ok_or_else(incomplete)?)
    }

    /// The origin's name with a few letters after it.
    fn made_up(&self, origin: &ServerName) -> String {
        let end = format!("-{}", self.random_hex(3));
        let start: String = origin.as_str().chars().take(LONGEST - end.len()).collect();
        format!("{}{end}", start.trim_end_matches('-'))
    }
}

/// The node that alone can read an archive; `None` when all share its storage.
pub(crate) async fn only_node(
    tx: &Tx,
    backup: &Backup,
) -> std::result::Result<Option<NodeName>, Refusal> {
    let picture = tx.picture().await?;
    let mut storages = picture.storages.iter();
    let shared = storages.any(|one| one.name == backup.storage && one.shared);
    Ok(backup.node.clone().filter(|_| !shared))
}

/// The same interfaces, each with an address of its own out of the network that the origin's is of.
fn nics(origin: &Server, networks: &[Network]) -> Option<Vec<NetworkDraft>> {
    let all = origin.spec.nics.iter().map(|nic| {
        let of = nic.address.and_then(|address| {
            let mut all = networks.iter();
            all.find(|network| network.spec.range.contains(address.ip))
        });
        match (of, nic.address) {
            (Some(network), _) => NetworkDraft {
                network: Some(network.name.to_string()),
                ..NetworkDraft::default()
            },
            // An address that no network has cannot be given again.
            (None, _) => NetworkDraft {
                ip_address: Some("dhcp".into()),
                bridge: Some(nic.bridge.clone()),
                vlan: nic.vlan.map(i64::from),
                ..NetworkDraft::default()
            },
        }
    });
    let all: Vec<NetworkDraft> = all.collect();
    (!all.is_empty()).then_some(all)
}
