//! From one look at the cluster to what requests may count on: room on nodes and storages, and addresses
//! that guests of others have.

use crate::worker::Worker;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tpm_domain::{
    ClusterPicture, ForeignAddress, GuestEntry, PlacementRules, Server, ServerFigures, ServerId,
    Survey, Vmid, limits_of,
};
use tpm_store::{NodeLimit, StoreError};

/// A guest of others is asked for its addresses this often.
const ADDRESSES_EVERY: Duration = Duration::from_secs(600);
/// So many guests of others are asked in one round: each costs two requests.
const ASKED_AT_ONCE: usize = 8;

/// Figures of a server that is not seen any more are forgotten after this time.
const FIGURES_KEPT: Duration = Duration::from_secs(3600);

/// Without a policy nothing is promised beyond what there is.
const PLAIN: PlacementRules = PlacementRules {
    cpu_percent: 100,
    memory_percent: 100,
    storage_percent: 100,
    storage_reserve_percent: 0,
};

impl Worker {
    /// Writes down what was seen, guests that are not ours counted as taking their room.
    pub(crate) async fn take_picture(
        &self,
        engine: &str,
        survey: &Survey,
    ) -> Result<(), StoreError> {
        self.take_in(engine, survey).await?;
        let servers = self.store().reads().servers_with_guests().await?;
        let ours: BTreeSet<Vmid> = servers.iter().map(|server| server.vmid).collect();
        let foreign: Vec<&GuestEntry> = survey
            .guests
            .iter()
            .filter(|guest| !guest.template && !ours.contains(&guest.vmid))
            .collect();
        let mut taken: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for guest in foreign.iter().filter(|guest| guest.running == Some(true)) {
            let node = taken.entry(&guest.node.0).or_default();
            node.0 += guest.cpus;
            node.1 += guest.memory_mb;
        }
        let mut picture = ClusterPicture {
            nodes: survey.nodes.clone(),
            storages: survey.storages.clone(),
            templates: survey.templates.clone(),
            seen_at: None,
        };
        for node in &mut picture.nodes {
            let (cpu, memory) = taken.get(node.name.0.as_str()).copied().unwrap_or_default();
            node.foreign_cpu = cpu;
            node.foreign_memory_mb = memory;
        }
        let policy = self.settings().placement.get(engine);
        let rules = policy.map_or(PLAIN, |policy| policy.rules);
        let limits: Vec<NodeLimit> = picture
            .nodes
            .iter()
            .map(|node| {
                let (cpu, memory_mb) = limits_of(node, &rules);
                NodeLimit {
                    node: node.name.clone(),
                    cpu,
                    memory_mb,
                }
            })
            .collect();
        let there = survey.guests.iter().map(|guest| guest.vmid).collect();
        let tx = self.store().begin().await?;
        tx.save_picture(&picture, &limits).await?;
        tx.forget_guests_except(&there).await?;
        tx.commit().await?;
        self.note_figures(engine, survey, &servers).await?;
        self.import_addresses(engine, &foreign).await
    }

    /// Whether a server's guest is in the surveys of an engine.
    pub(crate) fn is_shown_by(&self, server: &Server, engine: &str) -> bool {
        let its = self.engine(&server.engine);
        server.engine == engine || its.is_some_and(|its| its.surveyed_by() == engine)
    }

    /// Writes down how much of what they have our guests use.
    async fn note_figures(
        &self,
        engine: &str,
        survey: &Survey,
        servers: &[Server],
    ) -> Result<(), StoreError> {
        let entries: BTreeMap<Vmid, &GuestEntry> =
            survey.guests.iter().map(|g| (g.vmid, g)).collect();
        let before = self.store().reads().figures(None).await?;
        let tx = self.store().begin().await?;
        let now = tx.now();
        let figures: BTreeMap<ServerId, ServerFigures> = servers
            .iter()
            .filter(|server| self.is_shown_by(server, engine))
            .filter_map(|server| Some((server.id, *entries.get(&server.vmid)?)))
            .map(|(id, guest)| {
                let before = before.get(&id);
                let now = ServerFigures::after(before, now, guest.running, &guest.figures);
                (id, now)
            })
            .collect();
        tx.save_figures(&figures, FIGURES_KEPT).await?;
        tx.commit().await
    }

    /// Asks some guests of others for their addresses, those that were asked longest ago first.
    async fn import_addresses(
        &self,
        engine: &str,
        foreign: &[&GuestEntry],
    ) -> Result<(), StoreError> {
        let Some(engine) = self.engine(engine) else {
            return Ok(());
        };
        let read_at = self.store().reads().foreign_read_at().await?;
        let now = self.store().begin().await?.now();
        let mut due: Vec<_> = foreign
            .iter()
            .filter(|guest| guest.machine)
            .map(|guest| (read_at.get(&guest.vmid).copied(), *guest))
            .filter(|(at, _)| at.is_none_or(|at| now.since(at) > ADDRESSES_EVERY))
            .collect();
        due.sort_by_key(|(at, guest)| (*at, guest.vmid));
        for (_, guest) in due.into_iter().take(ASKED_AT_ONCE) {
            let found = match engine.inspect(guest).await {
                Ok(Some(found)) => found.addresses,
                Ok(None) => continue,
                Err(error) => {
                    tracing::debug!(vmid = %guest.vmid, %error, "cannot read a foreign guest");
                    continue;
                }
            };
            let name = guest.name.clone().unwrap_or_default();
            let found: Vec<_> = found
                .into_iter()
                .map(|ip| ForeignAddress {
                    ip,
                    vmid: guest.vmid,
                    name: name.clone(),
                })
                .collect();
            let tx = self.store().begin().await?;
            tx.save_foreign_addresses(guest.vmid, &found).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
