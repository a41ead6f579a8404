//! Looking at the cluster as a whole, and at guests that are no server's.

use crate::ProxmoxProvisioner;
use crate::error::of_read;
use crate::guest::identity_of;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;
use tpm_domain::{
    GuestEntry, GuestFigures, NodeName, NodeView, StorageView, Survey, TemplateView, Vmid,
};
use tpm_provisioner::{Inspection, ProvisionError};
use tpm_pve_client::{ErrorClass, GuestConfig, Resource};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// A whole number that a list shows as a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of processors: small and not negative"
)]
fn whole(number: Option<f64>) -> u32 {
    number.unwrap_or_default().clamp(0.0, 1e6) as u32
}

fn node(resource: &Resource) -> Option<NodeView> {
    Some(NodeView {
        name: NodeName(resource.node.clone()?),
        online: resource.status.as_deref() == Some("online"),
        cpus: whole(resource.maxcpu),
        memory_mb: resource.maxmem.unwrap_or_default() / MIB,
        foreign_cpu: 0,
        foreign_memory_mb: 0,
    })
}

fn storage(resource: &Resource) -> Option<StorageView> {
    let holds_disks = resource.content.iter().any(|kind| kind == "images");
    Some(StorageView {
        node: NodeName(resource.node.clone()?),
        name: resource.storage.clone()?,
        shared: resource.shared.unwrap_or_default(),
        usable: holds_disks && resource.status.as_deref() == Some("available"),
        total_gb: resource.maxdisk.unwrap_or_default() / GIB,
        used_gb: resource.disk.unwrap_or_default().div_ceil(GIB),
    })
}

fn guest(resource: &Resource) -> Option<GuestEntry> {
    Some(GuestEntry {
        vmid: Vmid(resource.vmid?),
        node: NodeName(resource.node.clone()?),
        name: resource.name.clone(),
        running: match resource.status.as_deref() {
            Some("running" | "paused" | "suspended") => Some(true),
            Some("stopped") => Some(false),
            _ => None,
        },
        template: resource.template.unwrap_or_default(),
        machine: resource.kind == "qemu",
        lock: resource.lock.clone(),
        cpus: whole(resource.maxcpu).into(),
        memory_mb: resource.maxmem.unwrap_or_default() / MIB,
        figures: GuestFigures {
            cpu: resource.cpu,
            memory: resource.mem,
            memory_total: resource.maxmem,
            net_in: resource.netin,
            net_out: resource.netout,
        },
    })
}

/// The storage of a guest's first disk.
fn disk_storage(config: &GuestConfig) -> Option<String> {
    let disks = config.disks().ok()?;
    let disk = disks
        .iter()
        .find(|(_, disk)| !disk.is_cdrom() && !disk.is_cloudinit())?;
    disk.1.storage().map(str::to_owned)
}

/// Addresses that a guest is configured with.
fn configured(config: &GuestConfig) -> Vec<Ipv4Addr> {
    (0_u8..32)
        .filter_map(|n| config.get(&format!("ipconfig{n}")))
        .flat_map(|text| text.split(','))
        .filter_map(|part| part.strip_prefix("ip="))
        .filter_map(|ip| ip.split('/').next()?.parse().ok())
        .collect()
}

impl ProxmoxProvisioner {
    pub(crate) async fn look_around(&self) -> Result<Survey, ProvisionError> {
        let list = self.watch.since(Instant::now()).await;
        let list = list.map_err(|error| of_read(&error))?;
        let of_kind = |kind: &'static str| list.iter().filter(move |r| r.kind == kind);
        let mut templates = Vec::new();
        for resource in of_kind("qemu").filter(|r| r.template == Some(true)) {
            if let Some(found) = self.template(resource).await? {
                templates.push(found);
            }
        }
        Ok(Survey {
            nodes: of_kind("node").filter_map(node).collect(),
            storages: of_kind("storage").filter_map(storage).collect(),
            templates,
            guests: of_kind("qemu")
                .chain(of_kind("lxc"))
                .filter_map(guest)
                .collect(),
        })
    }

    /// A template that some role is made of. Where its disk lies is read once while it stays on its node.
    async fn template(&self, resource: &Resource) -> Result<Option<TemplateView>, ProvisionError> {
        let (Some(vmid), Some(node)) = (resource.vmid, resource.node.clone()) else {
            return Ok(None);
        };
        let wanted = self
            .settings
            .roles
            .values()
            .any(|role| role.templates.contains(&vmid));
        if !wanted {
            return Ok(None);
        }
        let storage = match self.templates.storage(vmid, &node) {
            Some(known) => known,
            None => match self.client.guest_config(&node, vmid, false).await {
                Ok(config) => {
                    let Some(storage) = disk_storage(&config) else {
                        return Ok(None);
                    };
                    self.templates.keep_storage(vmid, &node, &storage);
                    storage
                }
                // Its node is away, or it has just been moved: not a template that can be cloned now.
                Err(error) => {
                    tracing::debug!(vmid, node, %error, "cannot read a template");
                    return Ok(None);
                }
            },
        };
        Ok(Some(TemplateView {
            vmid: Vmid(vmid),
            node: NodeName(node),
            storage,
        }))
    }

    pub(crate) async fn read_guest(
        &self,
        guest: &GuestEntry,
    ) -> Result<Option<Inspection>, ProvisionError> {
        let (node, vmid) = (guest.node.0.as_str(), guest.vmid.0);
        let config = match self.client.guest_config(node, vmid, false).await {
            Ok(config) => config,
            Err(error) if error.class() == ErrorClass::Missing => return Ok(None),
            Err(error) => return Err(of_read(&error)),
        };
        let mut addresses = configured(&config);
        let has_agent = config
            .agent()
            .ok()
            .flatten()
            .is_some_and(|agent| agent.enabled);
        // An agent that does not answer is no fault of a guest of others.
        if has_agent
            && guest.running == Some(true)
            && let Ok(interfaces) = self.client.agent_interfaces(node, vmid).await
        {
            let found = interfaces.iter().flat_map(|i| &i.addresses);
            addresses.extend(found.filter_map(|address| match address.ip {
                IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_link_local() => Some(ip),
                _ => None,
            }));
        }
        Ok(Some(Inspection {
            identity: identity_of(&config),
            mark: self.mark_on(&config),
            lock: config.lock().map(str::to_owned),
            addresses,
            described: self.described(&config),
        }))
    }
}
