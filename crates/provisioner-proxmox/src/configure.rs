//! CPU, memory, network, cloud-init, tags and our mark: compared field by field with what PVE has, and
//! only what differs is sent. The guest is off while this is done, so everything applies at once.

use crate::ProxmoxProvisioner;
use crate::error::{of_read, of_value, of_write};
use crate::guest::Found;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use tpm_domain::{Drift, Server, described_as};
use tpm_provisioner::{Acted, Learned, Observed, Operation, ProvisionError, StepCall};
use tpm_pve_client::property::{AgentOption, IpConfig, Net};
use tpm_pve_client::{ConfigUpdate, GuestConfig};

impl ProxmoxProvisioner {
    pub(crate) async fn observe_configure(
        &self,
        call: &StepCall<'_>,
    ) -> Result<Observed, ProvisionError> {
        let found = self.ours_lately(call).await?;
        let update = self.differences(call.server, &found)?;
        if update.is_empty() {
            let restart = call.operation == Operation::Change && self.waits(call, &found).await?;
            let evidence = json!({ "digest": found.config.digest(), "restart": restart });
            return Ok(Observed::Done {
                evidence,
                learned: Learned::default(),
            });
        }
        let params = update.params();
        let options: Vec<&str> = params.keys().collect();
        Ok(Observed::Needed(
            json!({ "node": found.node, "options": options }),
        ))
    }

    pub(crate) async fn act_configure(&self, call: &StepCall<'_>) -> Result<Acted, ProvisionError> {
        let found = self.ours_lately(call).await?;
        let mut update = self.differences(call.server, &found)?;
        if update.is_empty() {
            return Ok(Acted::default());
        }
        if let Some(digest) = found.config.digest() {
            update = update.digest(digest);
        }
        // Whatever comes of it, what was read before is no longer so.
        self.watch.forget(call.server.vmid.0);
        match self
            .client
            .update_config_sync(&found.node, call.server.vmid.0, &update)
            .await
        {
            Ok(()) => Ok(Acted::default()),
            // Somebody else changed it meanwhile: look again, whose it is included.
            Err(error) if error.is_digest_conflict() => {
                Err(of_write(&error).after(Duration::from_millis(100)))
            }
            Err(error) => Err(of_write(&error)),
        }
    }

    /// Whether some of what is set applies from the next start on.
    async fn waits(&self, call: &StepCall<'_>, found: &Found) -> Result<bool, ProvisionError> {
        let active = self
            .client
            .guest_config(&found.node, call.server.vmid.0, true)
            .await;
        let active = active.map_err(|error| of_read(&error))?;
        let set = &found.config;
        Ok(active.cores() != set.cores() || active.memory_mb() != set.memory_mb())
    }

    /// What somebody changed on the guest by hand.
    pub(crate) fn drift(&self, server: &Server, found: &Found) -> Vec<Drift> {
        // A row that no longer makes a configuration (its role is gone) has nothing to be compared with.
        let Ok(update) = self.differences(server, found) else {
            return Vec::new();
        };
        let wanted = update.params();
        let drift = |key: &str, wanted: Option<&str>| Drift {
            option: key.to_owned(),
            wanted: wanted.map(str::to_owned),
            found: found.config.get(key).map(str::to_owned),
        };
        let set = wanted.keys().filter(|key| *key != "delete");
        let set = set.map(|key| drift(key, wanted.get(key)));
        let extra = wanted.get("delete").into_iter();
        let extra = extra.flat_map(|keys| keys.split(','));
        let mut drift: Vec<Drift> = set.chain(extra.map(|key| drift(key, None))).collect();
        drift.sort();
        drift
    }

    /// What has to be changed, empty when nothing has.
    pub(crate) fn differences(
        &self,
        server: &Server,
        found: &Found,
    ) -> Result<ConfigUpdate, ProvisionError> {
        let update = self.size_and_labels(server, &found.config)?;
        if server.kept.imported {
            // Nothing else of it is ours; its role says nothing about it.
            return Ok(update.retain(|option| !server.kept.has(option)));
        }
        let update = self.cloud_init(update, server, found)?;
        let update = networks(update, server, found)?;
        Ok(update.retain(|option| !server.kept.has(option)))
    }

    /// Cores, memory, name, tags and description.
    fn size_and_labels(
        &self,
        server: &Server,
        config: &GuestConfig,
    ) -> Result<ConfigUpdate, ProvisionError> {
        let mut update = ConfigUpdate::new();
        if config.name() != Some(server.name.as_str()) {
            update = update.name(server.name.as_str());
        }
        let (cores, sockets) = (config.cores().unwrap_or(1), config.sockets().unwrap_or(1));
        if cores * sockets != server.spec.cpu {
            update = update.cores(server.spec.cpu);
            if sockets != 1 {
                update = update.set("sockets", 1);
            }
        }
        let memory = u64::from(server.spec.memory_mb);
        if config.memory_mb().unwrap_or(512) != memory {
            update = update.memory_mb(memory);
        }
        // The balloon's target may not exceed the memory.
        if config
            .get("balloon")
            .and_then(|text| text.parse::<u64>().ok())
            .is_some_and(|b| b > memory)
        {
            update = update.set("balloon", memory);
        }
        if config.protection() {
            update = update.protection(false);
        }
        if config
            .agent()
            .ok()
            .flatten()
            .is_none_or(|agent| !agent.enabled)
        {
            update = update.agent(&AgentOption::new(true));
        }
        let have: BTreeSet<String> = config
            .tags()
            .iter()
            .map(|tag| tag.to_ascii_lowercase())
            .collect();
        let want = match &server.spec.tags {
            Some(tags) => Some(tags),
            // The role of a guest that others made does not say how it is tagged.
            None if server.kept.imported => None,
            None => Some(&self.role(server)?.tags),
        };
        if let Some(want) = want {
            let want: BTreeSet<String> = want.iter().map(|tag| tag.to_ascii_lowercase()).collect();
            if have != want {
                update = update.tags(&want).map_err(of_value)?;
            }
        }
        if let Some(text) = &server.spec.description {
            let have = config.description().unwrap_or_default();
            let want = described_as(text, have);
            if have.trim_end() != want {
                update = update.description(&want);
            }
        }
        Ok(update)
    }

    fn cloud_init(
        &self,
        mut update: ConfigUpdate,
        server: &Server,
        found: &Found,
    ) -> Result<ConfigUpdate, ProvisionError> {
        let (role, config) = (self.role(server)?, &found.config);
        if config.get("ciuser") != Some(role.user.as_str()) {
            update = update.ciuser(&role.user);
        }
        if !role.ssh_keys.is_empty() {
            let want = ConfigUpdate::new()
                .sshkeys(&role.ssh_keys)
                .map_err(of_value)?;
            let wanted = want.params();
            let same = |text: &str| {
                let plain = |text: &str| text.trim_end_matches("%0A").to_owned();
                wanted.get("sshkeys").map(plain) == Some(plain(text))
            };
            if !config.get("sshkeys").is_some_and(same) {
                update = update.sshkeys(&role.ssh_keys).map_err(of_value)?;
            }
        }
        let of_network: Vec<IpAddr> = server
            .spec
            .nics
            .first()
            .map(|nic| nic.dns.iter().copied().map(IpAddr::V4).collect())
            .unwrap_or_default();
        let dns = if of_network.is_empty() {
            &self.settings.dns
        } else {
            &of_network
        };
        if !dns.is_empty() {
            let want: Vec<String> = dns.iter().map(ToString::to_string).collect();
            let have = config.get("nameserver").unwrap_or_default();
            if !have
                .split([' ', ',', ';'])
                .filter(|s| !s.is_empty())
                .eq(want.iter())
            {
                update = update.nameserver(dns.iter().copied());
            }
        }
        if let Some(domain) = &self.settings.search_domain
            && config.get("searchdomain") != Some(domain)
        {
            update = update.searchdomain(domain);
        }
        Ok(update)
    }
}

/// Interfaces as asked for: what the template has is kept where it does not contradict, what it has
/// beyond is removed.
pub(crate) fn networks(
    mut update: ConfigUpdate,
    server: &Server,
    found: &Found,
) -> Result<ConfigUpdate, ProvisionError> {
    let nets = found.config.nets().map_err(of_value)?;
    let nics = &server.spec.nics;
    for (nic, n) in nics.iter().zip(0_u8..) {
        let old = nets.get(&n).cloned();
        let net = old
            .clone()
            .unwrap_or_else(Net::virtio)
            .with_bridge(&nic.bridge);
        let net = net.map_err(of_value)?;
        let net = match nic.vlan {
            Some(tag) => net.with_tag(tag).map_err(of_value)?,
            None => net.without_tag(),
        };
        if old.as_ref() != Some(&net) {
            update = update.net(n, &net);
        }
        let want = match nic.address {
            None => IpConfig::dhcp(),
            Some(address) => IpConfig::static_v4(address.ip, address.prefix, address.gateway)
                .map_err(of_value)?,
        };
        let have = found.config.ipconfig(n).ok().flatten();
        if have.as_ref() != Some(&want) {
            update = update.ipconfig(n, &want);
        }
    }
    for (n, _) in nets.iter().filter(|(n, _)| usize::from(**n) >= nics.len()) {
        update = update.delete(&format!("net{n}")).map_err(of_value)?;
        if found.config.get(&format!("ipconfig{n}")).is_some() {
            update = update.delete(&format!("ipconfig{n}")).map_err(of_value)?;
        }
    }
    Ok(update)
}
