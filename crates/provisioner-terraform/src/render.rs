//! From a server to Terraform code. Pure: the same server gives the same bytes.
//!
//! The module in `terraform/modules/server` is taken along as it is. Around it stands a root in JSON that
//! only wires names; every value a person chose is in the variable file, where a string is a string and
//! never a template.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;
use tpm_domain::{Server, ServerSpec, described_as};
use tpm_pve_client::property::{Ipv4Setting, PropertyError};
use tpm_pve_client::{GuestConfig, property};

/// The provider's version, the only one there is.
pub const PROVIDER_VERSION: &str = "0.111.1";

/// The address of the guest in every state.
pub(crate) const ADDRESS: &str = "module.server.proxmox_virtual_environment_vm.this";

/// The module's files.
pub(crate) const MODULE: [(&str, &str); 4] = [
    (
        "main.tf",
        include_str!("../../../terraform/modules/server/main.tf"),
    ),
    (
        "outputs.tf",
        include_str!("../../../terraform/modules/server/outputs.tf"),
    ),
    (
        "variables.tf",
        include_str!("../../../terraform/modules/server/variables.tf"),
    ),
    (
        "versions.tf",
        include_str!("../../../terraform/modules/server/versions.tf"),
    ),
];

/// Where the module is, seen from the root.
pub(crate) const MODULE_DIR: &str = "server";

/// The root.
pub(crate) const ROOT_FILE: &str = "main.tf.json";
/// The values.
pub(crate) const VALUES_FILE: &str = "terraform.tfvars.json";
/// The block that takes an existing guest into the state.
pub(crate) const IMPORT_FILE: &str = "import.tf.json";

/// A template, by its VMID and its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Template {
    pub(crate) vm_id: u32,
    pub(crate) node_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskValues {
    pub(crate) interface: String,
    pub(crate) storage: String,
    pub(crate) size_gb: u32,
    pub(crate) cache: String,
    pub(crate) discard: String,
    pub(crate) iothread: bool,
    pub(crate) ssd: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkValues {
    pub(crate) bridge: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vlan: Option<u16>,
    pub(crate) model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac_address: Option<String>,
    pub(crate) firewall: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CloudInitValues {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Option<String>,
    pub(crate) storage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    pub(crate) ssh_keys: Vec<String>,
    pub(crate) dns_servers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) search_domain: Option<String>,
}

/// The module's variables, in alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Values {
    pub(crate) agent: bool,
    /// None for the module's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent_timeout: Option<String>,
    /// None for a guest that others made without.
    pub(crate) cloud_init: Option<CloudInitValues>,
    pub(crate) cores: u32,
    pub(crate) cpu_type: String,
    pub(crate) description: String,
    pub(crate) disk: DiskValues,
    pub(crate) full_clone: bool,
    pub(crate) memory_mb: u32,
    pub(crate) name: String,
    pub(crate) networks: Vec<NetworkValues>,
    pub(crate) node_name: String,
    pub(crate) on_boot: bool,
    pub(crate) sockets: u32,
    pub(crate) started: bool,
    pub(crate) tags: Vec<String>,
    /// None for a guest that others made.
    pub(crate) template: Option<Template>,
    pub(crate) vm_id: u32,
}

/// Why a configuration cannot be rendered.
#[derive(Debug, Error)]
pub(crate) enum FactsError {
    /// PVE prints something that cannot be read.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// There is no disk to boot from.
    #[error("the template has no disk")]
    NoDisk,
}

/// What is kept of a template, or of a guest that is there: the same module must not fight it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    cpu_type: String,
    on_boot: bool,
    disk: (String, property::Disk),
    cloud_init: Option<(String, property::Disk)>,
    nets: Vec<Option<property::Net>>,
    config: GuestConfig,
    /// Whether it is the guest itself.
    own: bool,
}

impl Facts {
    /// Whether the disk stands on a template's: `base-9000-disk-0/vm-123-disk-0`.
    pub(crate) fn is_linked(&self) -> bool {
        let volume = self.disk.1.volume().split(':').nth(1);
        volume.is_some_and(|volume| volume.contains("base-"))
    }

    /// From a template's configuration.
    pub(crate) fn of_template(config: &GuestConfig) -> Result<Self, FactsError> {
        Self::of(config, false)
    }

    /// From the guest's own configuration.
    pub(crate) fn of_guest(config: &GuestConfig) -> Result<Self, FactsError> {
        Self::of(config, true)
    }

    fn of(config: &GuestConfig, own: bool) -> Result<Self, FactsError> {
        let cloud_init = config.disks()?.into_iter().find(|(_, d)| d.is_cloudinit());
        let nets = config.nets()?;
        let most = nets.keys().max().map_or(0, |n| usize::from(*n) + 1);
        let mut in_order = vec![None; most];
        for (n, net) in nets {
            if let Some(place) = in_order.get_mut(usize::from(n)) {
                *place = Some(net);
            }
        }
        let disk = config.boot_disk()?.ok_or(FactsError::NoDisk)?;
        Ok(Self {
            // What PVE emulates when the configuration is silent.
            cpu_type: config
                .get("cpu")
                .and_then(|cpu| cpu.split(',').next())
                .map_or("kvm64", |first| first.trim_start_matches("cputype="))
                .to_owned(),
            on_boot: config.onboot(),
            disk,
            cloud_init,
            nets: in_order,
            config: config.clone(),
            own,
        })
    }

    /// The guest's own value of an option that is left as it is.
    fn kept<'a>(&'a self, server: &Server, option: &str) -> Option<&'a GuestConfig> {
        (self.own && server.kept.has(option)).then_some(&self.config)
    }
}

/// What belongs to the installation rather than to the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings<'a> {
    pub(crate) user: &'a str,
    pub(crate) ssh_keys: &'a [String],
    pub(crate) tags: &'a [String],
    pub(crate) dns: Vec<String>,
    pub(crate) search_domain: Option<String>,
    pub(crate) full_clone: bool,
    pub(crate) mark: String,
}

/// The values of a server.
pub(crate) fn values(
    server: &Server,
    node: &str,
    template: Option<Template>,
    facts: &Facts,
    around: &Surroundings<'_>,
) -> Values {
    let (spec, config) = (&server.spec, &facts.config);
    let (interface, disk) = &facts.disk;
    let on = |key: &str| disk.get(key) == Some("1");
    let word = |key: &str, default: &str| disk.get(key).unwrap_or(default).to_owned();
    let (cores, sockets) = processors(server, facts);
    let memory = facts
        .kept(server, "memory")
        .and_then(GuestConfig::memory_mb);
    Values {
        agent: match facts.kept(server, "agent") {
            Some(config) => config.agent().ok().flatten().is_some_and(|a| a.enabled),
            None => true,
        },
        agent_timeout: None,
        cloud_init: cloud_init(server, facts, around),
        cores,
        cpu_type: facts.cpu_type.clone(),
        description: description(server, facts, around),
        disk: DiskValues {
            interface: interface.clone(),
            storage: storage_of(server, disk, facts, around),
            size_gb: spec.disk_gb,
            cache: word("cache", "none"),
            discard: word("discard", "ignore"),
            iothread: on("iothread"),
            ssd: on("ssd"),
        },
        full_clone: around.full_clone,
        memory_mb: memory
            .and_then(|mb| u32::try_from(mb).ok())
            .unwrap_or(spec.memory_mb),
        name: facts
            .kept(server, "name")
            .and_then(GuestConfig::name)
            .map_or_else(|| server.name.to_string(), str::to_owned),
        networks: (0..spec.nics.len())
            .map(|n| network(server, n, facts))
            .collect(),
        node_name: node.to_owned(),
        on_boot: facts.on_boot,
        sockets,
        started: false,
        tags: match (&spec.tags, facts.kept(server, "tags")) {
            (_, Some(config)) => canonical(&config.tags()),
            (Some(tags), None) => canonical(tags),
            // Its role says nothing about a guest that others made.
            (None, None) if facts.own && server.kept.imported => canonical(&config.tags()),
            (None, None) => canonical(around.tags),
        },
        template,
        vm_id: server.vmid.0,
    }
}

fn canonical(tags: &[String]) -> Vec<String> {
    ServerSpec::canonical_tags(tags.iter().map(String::as_str))
}

/// Where a linked clone lies is not for us to say, nor where a guest that is there does.
fn storage_of(
    server: &Server,
    disk: &property::Disk,
    facts: &Facts,
    around: &Surroundings<'_>,
) -> String {
    match &server.placement {
        Some(placed) if around.full_clone && !facts.own => placed.storage.clone(),
        _ => disk.storage().unwrap_or_default().to_owned(),
    }
}

/// Cores of each socket, and sockets: those that the guest has while they come to what is wanted.
fn processors(server: &Server, facts: &Facts) -> (u32, u32) {
    let found = (
        facts.config.cores().unwrap_or(1),
        facts.config.sockets().unwrap_or(1),
    );
    let left = facts.kept(server, "cores").is_some();
    if facts.own && (left || found.0 * found.1 == server.spec.cpu) {
        found
    } else {
        (server.spec.cpu, 1)
    }
}

/// What people wrote and the mark. What stands on the guest while nobody asked for anything else.
fn description(server: &Server, facts: &Facts, around: &Surroundings<'_>) -> String {
    let found = match facts.own {
        true => facts.config.description().unwrap_or_default(),
        false => &around.mark,
    };
    match (&server.spec.description, facts.kept(server, "description")) {
        (Some(text), None) => described_as(text, found),
        _ => found.trim_end().to_owned(),
    }
}

fn cloud_init(
    server: &Server,
    facts: &Facts,
    around: &Surroundings<'_>,
) -> Option<CloudInitValues> {
    let drive = facts.cloud_init.as_ref();
    if drive.is_none() && facts.own && server.kept.imported {
        return None;
    }
    let kept = |option: &str| facts.kept(server, option);
    let text = |config: &GuestConfig, option: &str| config.get(option).map(str::to_owned);
    let disk = drive.map_or(&facts.disk.1, |(_, drive)| drive);
    Some(CloudInitValues {
        interface: drive.map(|(name, _)| name.clone()),
        storage: storage_of(server, disk, facts, around),
        user: match kept("ciuser") {
            Some(config) => text(config, "ciuser"),
            None => Some(around.user.to_owned()),
        },
        ssh_keys: match kept("sshkeys") {
            Some(config) => config.sshkeys(),
            None => around.ssh_keys.to_vec(),
        },
        dns_servers: match kept("nameserver") {
            Some(config) => config
                .get("nameserver")
                .unwrap_or_default()
                .split([' ', ',', ';'])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect(),
            None => around.dns.clone(),
        },
        search_domain: match kept("searchdomain") {
            Some(config) => text(config, "searchdomain"),
            None => around.search_domain.clone(),
        },
    })
}

fn network(server: &Server, n: usize, facts: &Facts) -> NetworkValues {
    let nic = &server.spec.nics[n];
    let found = facts.nets.get(n).and_then(Option::as_ref);
    let of_guest = facts.kept(server, &format!("net{n}")).and(found);
    let left = facts.kept(server, &format!("ipconfig{n}"));
    let left = left.map(|config| u8::try_from(n).ok().and_then(|n| config.ipconfig(n).ok()?));
    let (address, gateway) = match left {
        Some(setting) => (
            setting.as_ref().and_then(|it| match it.ip()? {
                Ipv4Setting::Static(ip, prefix) => Some(format!("{ip}/{prefix}")),
                Ipv4Setting::Dhcp => None,
            }),
            setting.as_ref().and_then(property::IpConfig::gateway),
        ),
        None => (
            nic.address.map(|a| format!("{}/{}", a.ip, a.prefix)),
            nic.address.and_then(|a| a.gateway),
        ),
    };
    NetworkValues {
        bridge: of_guest
            .and_then(property::Net::bridge)
            .map_or_else(|| nic.bridge.clone(), str::to_owned),
        vlan: match of_guest {
            Some(net) => net.tag(),
            None => nic.vlan,
        },
        model: found.map_or("virtio", property::Net::model).to_owned(),
        // A template's own address is not handed on.
        mac_address: found
            .filter(|_| facts.own)
            .and_then(property::Net::mac)
            .map(|mac| mac.to_string()),
        firewall: found.and_then(property::Net::firewall).unwrap_or(false),
        address,
        gateway: gateway.map(|gateway| gateway.to_string()),
    }
}

/// The names of the variables.
fn names(values: &Values) -> Vec<String> {
    match serde_json::to_value(values) {
        Ok(Value::Object(map)) => map.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// The root: provider, variables, the module. With the backend that a run keeps its state in, or without,
/// for people.
pub(crate) fn root(values: &Values, backend: bool) -> Value {
    let mut variables = Map::new();
    let mut arguments = Map::new();
    arguments.insert("source".into(), json!(format!("./{MODULE_DIR}")));
    for name in names(values) {
        arguments.insert(name.clone(), json!(format!("${{var.{name}}}")));
        variables.insert(name, json!({ "type": "any" }));
    }
    let mut terraform = json!({
        "required_version": ">= 1.9.0",
        "required_providers": {
            "proxmox": { "source": "bpg/proxmox", "version": PROVIDER_VERSION }
        }
    });
    if backend {
        terraform["backend"] = json!({ "http": {} });
    }
    json!({
        "terraform": terraform,
        "provider": { "proxmox": {} },
        "variable": variables,
        "module": { "server": arguments },
        "output": { "server": { "value": "${module.server}" } },
    })
}

/// The block that takes the guest into the state.
pub(crate) fn import(values: &Values) -> Value {
    let id = format!("{}/{}", values.node_name, values.vm_id);
    json!({ "import": [{ "to": ADDRESS, "id": id }] })
}

/// Printed as people read it, with a line end.
pub(crate) fn pretty<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests;
