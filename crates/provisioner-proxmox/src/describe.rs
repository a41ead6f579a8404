//! The server that a guest's configuration describes: the reverse of configuring it.

use crate::{ProxmoxProvisioner, resize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use tpm_domain::{Nic, ServerName, StaticAddress};
use tpm_provisioner::Described;
use tpm_pve_client::GuestConfig;
use tpm_pve_client::property::Ipv4Setting;

fn lower<'a>(tags: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    tags.into_iter()
        .map(|tag| tag.to_ascii_lowercase())
        .collect()
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
    /// `None` when no server can be like it: no disk to boot from, or an interface without a bridge.
    pub(crate) fn described(&self, config: &GuestConfig) -> Option<Described> {
        let tags = lower(&config.tags());
        let roles = self.settings.roles.iter();
        // Of roles whose tags it has, the one with the most; what it has beyond is its own.
        let role = roles
            .map(|(name, role)| (name, lower(&role.tags)))
            .filter(|(_, of_role)| of_role.is_subset(&tags))
            .max_by_key(|(_, of_role)| of_role.len());
        let own_tags = role.as_ref().is_none_or(|(_, of_role)| *of_role != tags);
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
        Some(Described {
            name: config.name().and_then(ServerName::new),
            role: role.map(|(name, _)| name.clone()),
            tags: own_tags.then(|| tags.into_iter().collect()),
            size: resize::size(config)?,
            nics: nics.collect::<Option<_>>()?,
        })
    }
}
