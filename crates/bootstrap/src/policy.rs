//! From settings to what may be asked for. The settings were validated, so what does not parse here is
//! a defect and is told as one.

use anyhow::Context;
use std::net::Ipv4Addr;
use tpm_app::{Limits, NetworkDefaults, Policy, RoleProfile};
use tpm_domain::{AddressPool, Vmid};
use tpm_settings::Settings;
use tpm_store::VmidRange;

pub(crate) fn vmids(settings: &Settings) -> anyhow::Result<VmidRange> {
    let vmid = |number| Vmid::new(number).with_context(|| format!("{number} is no vmid"));
    Ok(VmidRange {
        first: vmid(settings.proxmox.vmid_first)?,
        last: vmid(settings.proxmox.vmid_last)?,
    })
}

pub(crate) fn policy(settings: &Settings, engines: Vec<String>) -> anyhow::Result<Policy> {
    let network = &settings.network;
    let pool = if network.pool.is_empty() {
        None
    } else {
        Some(AddressPool {
            range: network.pool.parse().context("network.pool")?,
            prefix: network.prefix,
            gateway: gateway(&network.gateway)?,
        })
    };
    let limits = &settings.limits;
    let roles = settings.roles.iter().map(|(name, role)| {
        (
            name.clone(),
            RoleProfile {
                min_disk_gb: role.min_disk_gb,
            },
        )
    });
    Ok(Policy {
        roles: roles.collect(),
        default_engine: settings.engine.clone(),
        engines,
        vmids: vmids(settings)?,
        network: NetworkDefaults {
            pool,
            bridge: network.bridge.clone(),
            vlan: (network.vlan > 0).then_some(network.vlan),
        },
        limits: Limits {
            max_cpu: limits.max_cpu,
            min_memory_mb: limits.min_memory_mb,
            max_memory_mb: limits.max_memory_mb,
            max_disk_gb: limits.max_disk_gb,
            max_bulk: limits.max_bulk,
            max_nics: limits.max_nics,
        },
    })
}

fn gateway(text: &str) -> anyhow::Result<Option<Ipv4Addr>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).context("network.gateway")
}
