//! The cluster's state: guests, volumes, users. Plain data behind one lock, saved as JSON.
//!
//! Nothing here waits, answers requests or checks permissions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use crate::config::StorageConfig;

pub(crate) type Options = BTreeMap<String, String>;

/// Everything that changes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct World {
    pub(crate) guests: BTreeMap<u32, Guest>,
    pub(crate) storages: BTreeMap<String, StorageConfig>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) roles: BTreeMap<String, String>,
    pub(crate) acl: Vec<AclEntry>,
    pub(crate) pools: BTreeMap<String, Pool>,
    pub(crate) options: Options,
    pub(crate) backup_jobs: BTreeMap<String, Options>,
    pub(crate) offline: BTreeSet<String>,
    /// When the certificate of a node ends, where that is not far away.
    #[serde(default)]
    pub(crate) certificate_ends: BTreeMap<String, i64>,
    /// How commands come out in any guest.
    pub(crate) scripts: Vec<GuestScript>,
    /// What bridges are connected to on all nodes, where that is something.
    pub(crate) bridge_ports: BTreeMap<String, String>,
    /// Address suffix by MAC, what the DHCP server remembers.
    pub(crate) leases: BTreeMap<String, u8>,
    /// The status daemon has run at least once.
    #[serde(default)]
    pub(crate) is_warm: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Power {
    #[default]
    Stopped,
    Running,
    Paused,
}

/// A virtual machine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Guest {
    pub(crate) vmid: u32,
    pub(crate) node: String,
    pub(crate) config: Options,
    /// Values that wait for the next power cycle; `None` is a pending removal.
    pub(crate) pending: BTreeMap<String, Option<String>>,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    pub(crate) parent: Option<String>,
    pub(crate) power: Power,
    pub(crate) pid: u32,
    /// Simulator uptime at power on, milliseconds.
    pub(crate) started_at: u64,
    /// Simulator uptime at which the guest's system (and agent) answers.
    pub(crate) booted_at: Option<u64>,
    /// Bytes in and out beside those that always are.
    #[serde(default)]
    pub(crate) traffic: (u64, u64),
    /// Ignores shutdown requests.
    pub(crate) deaf: bool,
    /// The agent never answers.
    pub(crate) mute: bool,
    /// How commands in the guest come out.
    pub(crate) scripts: Vec<GuestScript>,
    /// Commands that were begun in it, by their number.
    pub(crate) commands: BTreeMap<i64, GuestCommand>,
    /// Name, status and template flag as last broadcast; `None` before the first time.
    pub(crate) broadcast: Option<Broadcast>,
    /// Network configuration the guest booted with.
    pub(crate) addresses: BTreeMap<String, String>,
}

/// How commands of a guest come out whose text has a part in it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GuestScript {
    /// The part.
    pub part: String,
    /// How long it takes, in milliseconds.
    pub millis: u64,
    /// What it ends with.
    pub exit_code: i64,
    /// What it says.
    pub out: String,
    /// What it complains of.
    pub err: String,
}

/// A command that was begun in a guest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct GuestCommand {
    pub(crate) words: Vec<String>,
    /// Simulator uptime at its end.
    pub(crate) ends_at: u64,
    pub(crate) script: GuestScript,
    /// Its end was told: the agent has forgotten it.
    pub(crate) told: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Broadcast {
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) template: bool,
    pub(crate) uptime: u64,
    pub(crate) cpus: u64,
    pub(crate) maxmem: u64,
    pub(crate) maxdisk: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) config: Options,
    pub(crate) snaptime: i64,
    pub(crate) description: String,
    pub(crate) parent: Option<String>,
    pub(crate) vmstate: bool,
}

/// Anything a storage holds: disks, archives, images.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) volid: String,
    /// Empty on shared storages.
    pub(crate) node: String,
    pub(crate) content: String,
    pub(crate) format: String,
    pub(crate) size: u64,
    pub(crate) used: u64,
    pub(crate) ctime: i64,
    pub(crate) vmid: Option<u32>,
    pub(crate) parent: Option<String>,
    /// Holds an operating system that boots and reacts.
    pub(crate) bootable: bool,
    pub(crate) notes: Option<String>,
    pub(crate) protected: bool,
    /// What a backup server found when it checked it last: `ok`, `failed`.
    #[serde(default)]
    pub(crate) verified: Option<String>,
    /// The archived guest, for backups.
    pub(crate) archive: Option<Archive>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Archive {
    pub(crate) config: Options,
    /// Drive key → (size, format, bootable).
    pub(crate) disks: BTreeMap<String, (u64, String, bool)>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) password: Option<String>,
    pub(crate) enable: bool,
    pub(crate) expire: i64,
    /// firstname, lastname, email, comment, groups, keys: as given.
    pub(crate) profile: Options,
    pub(crate) tokens: BTreeMap<String, Token>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) secret: String,
    pub(crate) privsep: bool,
    pub(crate) expire: i64,
    pub(crate) comment: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AclEntry {
    pub(crate) path: String,
    /// `user`, `group` or `token`.
    pub(crate) kind: String,
    pub(crate) ugid: String,
    pub(crate) roleid: String,
    pub(crate) propagate: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub(crate) comment: Option<String>,
    pub(crate) vms: BTreeSet<u32>,
    pub(crate) storages: BTreeSet<String>,
}

impl World {
    /// The guest, if its configuration lies on that node.
    pub(crate) fn guest(&self, node: &str, vmid: u32) -> Result<&Guest, String> {
        self.guests
            .get(&vmid)
            .filter(|guest| guest.node == node)
            .ok_or_else(|| missing(node, vmid))
    }

    pub(crate) fn guest_mut(&mut self, node: &str, vmid: u32) -> Result<&mut Guest, String> {
        self.guests
            .get_mut(&vmid)
            .filter(|guest| guest.node == node)
            .ok_or_else(|| missing(node, vmid))
    }

    pub(crate) fn pool_of(&self, vmid: u32) -> Option<&str> {
        self.pools
            .iter()
            .find(|(_, pool)| pool.vms.contains(&vmid))
            .map(|(name, _)| name.as_str())
    }

    /// A storage that is enabled on the node.
    pub(crate) fn storage_on(&self, node: &str, name: &str) -> Result<&StorageConfig, String> {
        let storage = self.storage(name)?;
        if storage.nodes.is_empty() || storage.nodes.iter().any(|n| n == node) {
            Ok(storage)
        } else {
            Err(format!(
                "storage '{name}' is not available on node '{node}'"
            ))
        }
    }

    pub(crate) fn storage(&self, name: &str) -> Result<&StorageConfig, String> {
        self.storages
            .get(name)
            .ok_or_else(|| format!("storage '{name}' does not exist"))
    }

    pub(crate) fn volume(&self, node: &str, volid: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.is_at(node, volid))
    }

    pub(crate) fn volume_mut(&mut self, node: &str, volid: &str) -> Option<&mut Volume> {
        self.volumes
            .iter_mut()
            .find(|volume| volume.is_at(node, volid))
    }

    pub(crate) fn remove_volume(&mut self, node: &str, volid: &str) -> Option<Volume> {
        let at = self
            .volumes
            .iter()
            .position(|volume| volume.is_at(node, volid))?;
        Some(self.volumes.remove(at))
    }
}

/// The text of a configuration that is not there.
pub(crate) fn missing(node: &str, vmid: u32) -> String {
    format!("Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
}

impl Volume {
    fn is_at(&self, node: &str, volid: &str) -> bool {
        self.volid == volid && (self.node.is_empty() || self.node == node)
    }

    pub(crate) fn storage(&self) -> &str {
        self.volid.split(':').next().unwrap_or_default()
    }
}

impl Guest {
    pub(crate) fn option(&self, key: &str) -> &str {
        self.config.get(key).map_or("", String::as_str)
    }

    pub(crate) fn is_template(&self) -> bool {
        self.option("template") == "1"
    }

    pub(crate) fn is_running(&self) -> bool {
        self.power != Power::Stopped
    }

    pub(crate) fn name(&self) -> String {
        match self.option("name") {
            "" => format!("VM {}", self.vmid),
            name => name.to_owned(),
        }
    }

    pub(crate) fn check_lock(&self) -> Result<(), String> {
        match self.option("lock") {
            "" => Ok(()),
            lock => Err(format!("VM is locked ({lock})")),
        }
    }

    /// The option is on and the guest was not told to run without an agent.
    pub(crate) fn has_agent(&self) -> bool {
        agent_enabled(self.option("agent"))
    }

    pub(crate) fn is_booted(&self, now: u64) -> bool {
        self.power == Power::Running && self.booted_at.is_some_and(|at| now >= at)
    }

    /// SHA-1 over everything the configuration file would contain.
    pub(crate) fn digest(&self) -> String {
        let mut text = file_text(&self.config);
        if !self.pending.is_empty() {
            text.push_str("\n[PENDING]\n");
            for (key, value) in &self.pending {
                match value {
                    Some(value) => text.push_str(&format!("{key}: {value}\n")),
                    None => text.push_str(&format!("delete: {key}\n")),
                }
            }
        }
        for (name, snapshot) in &self.snapshots {
            text.push_str(&format!(
                "\n[{name}]\n{}snaptime: {}\n",
                file_text(&snapshot.config),
                snapshot.snaptime
            ));
        }
        hex::encode(Sha1::digest(text.as_bytes()))
    }
}

pub(crate) fn agent_enabled(text: &str) -> bool {
    text.split(',').any(|part| {
        matches!(
            part,
            "1" | "enabled=1" | "enabled=on" | "enabled=true" | "enabled=yes"
        )
    })
}

/// The configuration as PVE writes it: description as comments, options sorted.
pub(crate) fn file_text(config: &Options) -> String {
    let mut text = String::new();
    if let Some(description) = config.get("description") {
        for line in description.lines() {
            text.push_str(&format!("#{line}\n"));
        }
    }
    for (key, value) in config
        .iter()
        .filter(|(key, _)| key.as_str() != "description")
    {
        text.push_str(&format!("{key}: {value}\n"));
    }
    text
}
