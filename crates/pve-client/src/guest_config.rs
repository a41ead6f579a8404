//! The configuration of a guest as PVE prints it, with typed views on the options that matter most.
//!
//! Every option is kept as text, known or not. Defaults are not filled in: an unset option is `None`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{
    lenient,
    property::{AgentOption, Disk, IpConfig, Net, PropertyError, sub_value},
};

/// A guest's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestConfig(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for GuestConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let options = raw
            .into_iter()
            .filter_map(|(key, value)| Some((key, lenient::as_text(&value)?)));
        Ok(Self(options.collect()))
    }
}

/// The buses a disk can be on. Cloud-init drives and CD-ROMs are on them too.
const BUSES: [&str; 4] = ["scsi", "virtio", "sata", "ide"];

impl GuestConfig {
    /// Any option as text; flags are `1` and `0`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All options.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// SHA-1 of the configuration file, to be sent back with a change.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.get("digest")
    }

    /// Name. Not unique.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.get("name")
    }

    /// Description, possibly with a trailing newline.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.get("description")
    }

    /// Tags; PVE sorts them and makes them lower-case.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        self.get("tags")
            .map(lenient::split_words)
            .unwrap_or_default()
    }

    /// Cores for each socket.
    #[must_use]
    pub fn cores(&self) -> Option<u32> {
        self.number("cores")
    }

    /// Sockets.
    #[must_use]
    pub fn sockets(&self) -> Option<u32> {
        self.number("sockets")
    }

    /// Memory in MiB.
    #[must_use]
    pub fn memory_mb(&self) -> Option<u64> {
        sub_value(self.get("memory")?, "current", true)?
            .parse()
            .ok()
    }

    /// What holds the configuration locked, such as `clone`.
    #[must_use]
    pub fn lock(&self) -> Option<&str> {
        self.get("lock")
    }

    /// The UUID in `smbios1`. A clone gets a new one.
    #[must_use]
    pub fn smbios_uuid(&self) -> Option<&str> {
        sub_value(self.get("smbios1")?, "uuid", false)
    }

    /// Generation id of the guest.
    #[must_use]
    pub fn vmgenid(&self) -> Option<&str> {
        self.get("vmgenid")
    }

    /// When it was created, in seconds since 1970. A clone keeps that of its source.
    #[must_use]
    pub fn ctime(&self) -> Option<u64> {
        sub_value(self.get("meta")?, "ctime", false)?.parse().ok()
    }

    /// Whether it is a template.
    #[must_use]
    pub fn template(&self) -> bool {
        self.flag("template") == Some(true)
    }

    /// Whether it is kept from being destroyed.
    #[must_use]
    pub fn protection(&self) -> bool {
        self.flag("protection") == Some(true)
    }

    /// Whether it starts with the node.
    #[must_use]
    pub fn onboot(&self) -> bool {
        self.flag("onboot") == Some(true)
    }

    /// Network devices by number.
    ///
    /// # Errors
    /// When PVE prints one this crate cannot read.
    pub fn nets(&self) -> Result<BTreeMap<u8, Net>, PropertyError> {
        self.numbered("net")
            .map(|(n, value)| Ok((n, value.parse()?)))
            .collect()
    }

    /// Disks by name, such as `scsi0`: CD-ROMs and the cloud-init drive too, `unusedN` not.
    ///
    /// # Errors
    /// When PVE prints one this crate cannot read.
    pub fn disks(&self) -> Result<BTreeMap<String, Disk>, PropertyError> {
        let on_buses = BUSES.iter().flat_map(|bus| {
            self.numbered(bus)
                .map(move |(n, value)| (format!("{bus}{n}"), value))
        });
        let special = ["efidisk0", "tpmstate0"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), self.get(key)?)));
        on_buses
            .chain(special)
            .map(|(key, value)| Ok((key, value.parse()?)))
            .collect()
    }

    /// The disk the guest boots from, by name: the first disk of the boot order, else the first one on any
    /// bus.
    ///
    /// # Errors
    /// When PVE prints one this crate cannot read.
    pub fn boot_disk(&self) -> Result<Option<(String, Disk)>, PropertyError> {
        let mut disks = self.disks()?;
        let plain = |name: &String| {
            disks
                .get(name)
                .is_some_and(|disk| !disk.is_cdrom() && !disk.is_cloudinit())
        };
        let order = self
            .get("boot")
            .and_then(|boot| boot.split("order=").nth(1));
        let by_order = order
            .into_iter()
            .flat_map(|list| list.split([',', ';']))
            .map(|name| name.trim().to_owned())
            .find(plain);
        let by_bus = || {
            ["scsi", "virtio", "sata", "ide"]
                .iter()
                .find_map(|bus| (0..31).map(|n| format!("{bus}{n}")).find(plain))
        };
        let name = by_order.or_else(by_bus);
        Ok(name.and_then(|name| disks.remove(&name).map(|disk| (name, disk))))
    }

    /// Volumes that belong to the guest but are not attached: `unusedN`.
    pub fn unused_volumes(&self) -> impl Iterator<Item = &str> {
        self.numbered("unused").map(|(_, volume)| volume)
    }

    /// Cloud-init address settings of network device `n`.
    ///
    /// # Errors
    /// When PVE prints them in a way this crate cannot read.
    pub fn ipconfig(&self, n: u8) -> Result<Option<IpConfig>, PropertyError> {
        self.get(&format!("ipconfig{n}"))
            .map(str::parse)
            .transpose()
    }

    /// Public keys for cloud-init, which PVE keeps percent-encoded.
    #[must_use]
    pub fn sshkeys(&self) -> Vec<String> {
        let text = self.get("sshkeys").unwrap_or_default();
        let text = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    }

    /// Settings of the guest agent.
    ///
    /// # Errors
    /// When PVE prints them in a way this crate cannot read.
    pub fn agent(&self) -> Result<Option<AgentOption>, PropertyError> {
        self.get("agent").map(str::parse).transpose()
    }

    fn number(&self, key: &str) -> Option<u32> {
        self.get(key)?.trim().parse().ok()
    }

    fn flag(&self, key: &str) -> Option<bool> {
        lenient::as_bool(&Value::from(self.get(key)?))
    }

    fn numbered<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (u8, &'a str)> {
        self.iter().filter_map(move |(key, value)| {
            let digits = key.strip_prefix(prefix)?;
            let number = digits
                .parse()
                .ok()
                .filter(|n: &u8| n.to_string() == digits)?;
            Some((number, value))
        })
    }
}
