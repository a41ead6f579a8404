//! The server that a guest's configuration describes: the reverse of configuring it.

use crate::ProxmoxProvisioner;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use tpm_domain::{Nic, ServerName, ServerSpec, StaticAddress};
use tpm_provisioner::Described;
use tpm_pve_client::GuestConfig;
use tpm_pve_client::property::Ipv4Setting;

const GIB: u64 = 1 << 30;

fn lower<'a>(tags: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    tags.into_iter()
        .map(|tag| tag.to_ascii_lowercase())
        .collect()
}

/// The size of the first disk in GiB, begun ones included.
fn disk_gb(config: &GuestConfig) -> Option<u32> {
    let disks = config.disks().ok()?;
    let (_, disk) = disks
        .iter()
        .find(|(_, disk)| !disk.is_cdrom() && !disk.is_cloudinit())?;
    u32::try_from(disk.size_bytes()?.div_ceil(GIB)).ok()
}

fn address(config: &GuestConfig, n: u8) -> Option<StaticAddress> {
    let setting = config.ipconfig(n).ok().flatten()?;
    match setting.ip()? {
        Ipv4Setting::Static(ip, prefix) => Some(StaticAddress {
            ip,
            prefix,
            gateway: setting.gateway(),
        }),
        Ipv4Setting::Dhcp => None,
    }
}

impl ProxmoxProvisioner {
    /// `None` when there is no role with the guest's tags, or its name is no server's.
    pub(crate) fn described(&self, config: &GuestConfig) -> Option<Described> {
        let tags = lower(&config.tags());
        let role = self
            .settings
            .roles
            .iter()
            .find(|(_, role)| lower(&role.tags) == tags);
        let own: Vec<Ipv4Addr> = config
            .get("nameserver")
            .unwrap_or_default()
            .split([' ', ',', ';'])
            .filter_map(|word| word.parse().ok())
            .filter(|ip| !self.settings.dns.contains(&IpAddr::V4(*ip)))
            .collect();
        let nics = config.nets().ok()?.into_iter().map(|(n, net)| {
            Some(Nic {
                bridge: net.bridge()?.to_owned(),
                vlan: net.tag(),
                address: address(config, n),
                dns: if n == 0 { own.clone() } else { Vec::new() },
            })
        });
        let spec = ServerSpec {
            role: role?.0.clone(),
            cpu: config.cores().unwrap_or(1) * config.sockets().unwrap_or(1),
            memory_mb: u32::try_from(config.memory_mb().unwrap_or(512)).ok()?,
            disk_gb: disk_gb(config)?,
            nics: nics.collect::<Option<_>>()?,
        };
        Some(Described {
            name: ServerName::new(config.name()?)?,
            spec,
        })
    }
}
