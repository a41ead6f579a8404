//! Virtual machines: list, configuration, clone, resize, migrate, destroy.
//!
//! Containers are not handled here.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    client::Client,
    config_update::ConfigUpdate,
    error::Error,
    guest_config::GuestConfig,
    lenient,
    params::{Method, Params, guest_path, node_path},
    property::format_size,
    task::Upid,
};

/// One entry of `GET /nodes/{node}/qemu`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct GuestSummary {
    /// Its id.
    #[serde(deserialize_with = "required_vmid")]
    pub vmid: u32,
    /// Its name. Names are not unique.
    #[serde(default, deserialize_with = "lenient::text")]
    pub name: Option<String>,
    /// `running` or `stopped`.
    #[serde(default)]
    pub status: Option<String>,
    /// The lock on its configuration.
    #[serde(default)]
    pub lock: Option<String>,
    /// Tags.
    #[serde(default, deserialize_with = "lenient::words")]
    pub tags: Vec<String>,
    /// Whether it is a template.
    #[serde(default, deserialize_with = "lenient::bool")]
    pub template: Option<bool>,
    /// Virtual CPUs.
    #[serde(default, deserialize_with = "lenient::f64")]
    pub cpus: Option<f64>,
    /// Use as a fraction of `cpus`.
    #[serde(default, deserialize_with = "lenient::f64")]
    pub cpu: Option<f64>,
    /// Memory in use.
    #[serde(default, deserialize_with = "lenient::u64")]
    pub mem: Option<u64>,
    /// Memory in all.
    #[serde(default, deserialize_with = "lenient::u64")]
    pub maxmem: Option<u64>,
    /// Size of the first boot disk.
    #[serde(default, deserialize_with = "lenient::u64")]
    pub maxdisk: Option<u64>,
    /// Seconds since start.
    #[serde(default, deserialize_with = "lenient::u64")]
    pub uptime: Option<u64>,
}

fn required_vmid<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    lenient::u32(d)?.ok_or_else(|| serde::de::Error::custom("vmid is not a number"))
}

/// How far back measured figures go, and how far apart they lie (PVE 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timeframe {
    /// An hour, by the minute.
    Hour,
    /// A day, by the minute.
    Day,
    /// A week, by half an hour.
    Week,
    /// A month, by half an hour.
    Month,
    /// A year, by six hours.
    Year,
}

impl Timeframe {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// One entry of `GET …/rrddata`. What was not measured is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RrdPoint {
    /// Seconds since 1970.
    #[serde(deserialize_with = "lenient::u64")]
    pub time: Option<u64>,
    /// Use as a fraction of its virtual CPUs.
    #[serde(deserialize_with = "lenient::f64")]
    pub cpu: Option<f64>,
    /// Memory in use, in bytes.
    #[serde(deserialize_with = "lenient::f64")]
    pub mem: Option<f64>,
    /// Memory in all, in bytes.
    #[serde(deserialize_with = "lenient::f64")]
    pub maxmem: Option<f64>,
    /// Bytes received in a second.
    #[serde(deserialize_with = "lenient::f64")]
    pub netin: Option<f64>,
    /// Bytes sent in a second.
    #[serde(deserialize_with = "lenient::f64")]
    pub netout: Option<f64>,
}

/// The live state of a guest, from `GET …/status/current`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct GuestStatus {
    /// `running` or `stopped`, by whether there is a process.
    pub status: String,
    /// What QEMU says: `running`, `stopped`, `paused`, `prelaunch`, `io-error`…
    #[serde(default)]
    pub qmpstatus: Option<String>,
    /// The lock on its configuration.
    #[serde(default)]
    pub lock: Option<String>,
    /// Its name.
    #[serde(default, deserialize_with = "lenient::text")]
    pub name: Option<String>,
    /// Seconds since start; 0 when stopped.
    #[serde(default, rename = "uptime", deserialize_with = "lenient::u64")]
    pub uptime_secs: Option<u64>,
    /// Whether the agent is enabled in the configuration. Says nothing about the guest.
    #[serde(default, deserialize_with = "lenient::bool")]
    pub agent: Option<bool>,
    /// Whether it is a template.
    #[serde(default, deserialize_with = "lenient::bool")]
    pub template: Option<bool>,
    /// Process id of QEMU.
    #[serde(default, deserialize_with = "lenient::u32")]
    pub pid: Option<u32>,
    /// Virtual CPUs.
    #[serde(default, deserialize_with = "lenient::f64")]
    pub cpus: Option<f64>,
    /// Use as a fraction of `cpus`, against the last time the same worker was asked: often 0 or old.
    #[serde(default, deserialize_with = "lenient::f64")]
    pub cpu: Option<f64>,
    /// Memory in use.
    #[serde(default, deserialize_with = "lenient::u64")]
    pub mem: Option<u64>,
    /// Memory in all.
    #[serde(default, deserialize_with = "lenient::u64")]
    pub maxmem: Option<u64>,
}

/// What to clone a guest into. Hardware, size and cloud-init cannot be given here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloneRequest {
    /// The new guest's id.
    pub newid: u32,
    /// Its name, a DNS name.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Copy the disks, or link to those of a template. PVE links templates by default.
    pub full: Option<bool>,
    /// The node for the new guest; all disks must then be on shared storage.
    pub target: Option<String>,
    /// The storage for copied disks. Refused by PVE for linked clones.
    pub storage: Option<String>,
    /// The pool it joins, at the end of the task.
    pub pool: Option<String>,
}

impl CloneRequest {
    /// A request with the id only.
    #[must_use]
    pub fn new(newid: u32) -> Self {
        Self {
            newid,
            ..Self::default()
        }
    }
}

/// What else goes when a guest is destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestroyOptions {
    /// Also take it out of backup jobs, replication and HA.
    pub purge: bool,
    /// Also delete volumes that carry its id but stand in no configuration.
    pub destroy_unreferenced: bool,
}

/// Where to move a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrateRequest {
    /// The node to go to.
    pub target: String,
    /// Without interruption. PVE refuses to move a running guest otherwise.
    pub online: bool,
    /// Copy disks on local storage too.
    pub with_local_disks: bool,
    /// The storage for copied disks.
    pub target_storage: Option<String>,
}

/// One option as it is and as it will be after a power cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingChange {
    /// The option.
    pub key: String,
    /// Its value now.
    pub value: Option<String>,
    /// Its value later, when that is another one.
    pub pending: Option<String>,
    /// Whether it will be removed.
    pub delete: bool,
}

#[derive(Deserialize)]
struct RawPending {
    key: String,
    #[serde(default, deserialize_with = "lenient::text")]
    value: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    pending: Option<String>,
    #[serde(default, deserialize_with = "lenient::u64")]
    delete: Option<u64>,
}

impl Client {
    /// The virtual machines of a node, in no order. Those one may not see are left out without an error.
    ///
    /// # Errors
    /// As every call.
    pub async fn guests(&self, node: &str) -> Result<Vec<GuestSummary>, Error> {
        self.get(node_path(node, &["qemu"])?, Params::new()).await
    }

    /// The configuration, with pending changes in it, or with `current` as the running guest has it.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Missing`] when the guest is not on this node.
    pub async fn guest_config(
        &self,
        node: &str,
        vmid: u32,
        current: bool,
    ) -> Result<GuestConfig, Error> {
        let params = Params::new().maybe("current", current.then_some(1));
        self.get(guest_path(node, vmid, &["config"])?, params).await
    }

    /// The live state. Asks QEMU, so do not poll many guests with it.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Missing`] when the guest is not on this node.
    pub async fn guest_status(&self, node: &str, vmid: u32) -> Result<GuestStatus, Error> {
        self.get(
            guest_path(node, vmid, &["status", "current"])?,
            Params::new(),
        )
        .await
    }

    /// What was measured of it in the past: rates, not counters. Points without data have no figures.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Missing`] when the guest is not on this node.
    pub async fn guest_rrd(
        &self,
        node: &str,
        vmid: u32,
        timeframe: Timeframe,
    ) -> Result<Vec<RrdPoint>, Error> {
        let params = Params::new()
            .with("timeframe", timeframe.as_str())
            .with("cf", "AVERAGE");
        self.get(guest_path(node, vmid, &["rrddata"])?, params)
            .await
    }

    /// Every option with its pending change.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Missing`] when the guest is not on this node.
    pub async fn guest_pending(&self, node: &str, vmid: u32) -> Result<Vec<PendingChange>, Error> {
        let path = guest_path(node, vmid, &["pending"])?;
        let raw: Vec<RawPending> = self.get(path, Params::new()).await?;
        let changes = raw.into_iter().map(|raw| PendingChange {
            key: raw.key,
            value: raw.value,
            pending: raw.pending,
            delete: raw.delete.is_some_and(|how| how > 0),
        });
        Ok(changes.collect())
    }

    /// Clones `source`, which must be on `node`. The task's id names the source, not the new guest.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Exists`] when the new id is taken; a loser of a race may learn that from the
    /// task only. [`crate::ErrorClass::Missing`] means the source.
    pub async fn clone_guest(
        &self,
        node: &str,
        source: u32,
        request: &CloneRequest,
    ) -> Result<Upid, Error> {
        let params = Params::new()
            .with("newid", request.newid)
            .maybe("name", request.name.as_deref())
            .maybe("description", request.description.as_deref())
            .maybe("full", request.full.map(u8::from))
            .maybe("target", request.target.as_deref())
            .maybe("storage", request.storage.as_deref())
            .maybe("pool", request.pool.as_deref());
        self.task(Method::Post, guest_path(node, source, &["clone"])?, params)
            .await
    }

    /// Changes the configuration in a task; `None` when PVE finished at once. Disks may be allocated.
    ///
    /// # Errors
    /// As every call; see [`Error::is_digest_conflict`]. The options are applied one after another, so a
    /// failed task may have applied some.
    pub async fn update_config(
        &self,
        node: &str,
        vmid: u32,
        update: &ConfigUpdate,
    ) -> Result<Option<Upid>, Error> {
        self.typed(
            Method::Post,
            guest_path(node, vmid, &["config"])?,
            update.params(),
        )
        .await
    }

    /// Changes the configuration and waits. Beyond 30 s PVE answers 596 and goes on working.
    ///
    /// # Errors
    /// As every call; see [`Error::is_digest_conflict`]. A failure may have applied some of the options.
    pub async fn update_config_sync(
        &self,
        node: &str,
        vmid: u32,
        update: &ConfigUpdate,
    ) -> Result<(), Error> {
        self.done(
            Method::Put,
            guest_path(node, vmid, &["config"])?,
            update.params(),
        )
        .await
    }

    /// Makes a disk at least this many bytes large. The same size again does nothing; a smaller one and a
    /// missing disk fail in the task.
    ///
    /// # Errors
    /// As every call; see [`Error::is_digest_conflict`].
    pub async fn resize(
        &self,
        node: &str,
        vmid: u32,
        disk: &str,
        size_bytes: u64,
        digest: Option<&str>,
    ) -> Result<Upid, Error> {
        let params = Params::new()
            .with("disk", disk)
            .with("size", format_size(size_bytes))
            .maybe("digest", digest);
        self.task(Method::Put, guest_path(node, vmid, &["resize"])?, params)
            .await
    }

    /// Destroys a stopped guest. PVE takes no digest here: check whose it is just before.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Rejected`] when it runs or is protected, [`crate::ErrorClass::Missing`] when
    /// it is not on this node.
    pub async fn destroy(
        &self,
        node: &str,
        vmid: u32,
        options: DestroyOptions,
    ) -> Result<Upid, Error> {
        let params = Params::new()
            .flag("purge", options.purge)
            .flag("destroy-unreferenced-disks", options.destroy_unreferenced);
        self.task(Method::Delete, guest_path(node, vmid, &[])?, params)
            .await
    }

    /// Writes the cloud-init drive anew from the configuration.
    ///
    /// # Errors
    /// As every call.
    pub async fn regenerate_cloudinit(&self, node: &str, vmid: u32) -> Result<(), Error> {
        self.done(
            Method::Put,
            guest_path(node, vmid, &["cloudinit"])?,
            Params::new(),
        )
        .await
    }

    /// Turns a stopped guest into a template. There is no way back through the API.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Rejected`] when it runs, has snapshots or is one already.
    pub async fn template(&self, node: &str, vmid: u32) -> Result<Upid, Error> {
        self.task(
            Method::Post,
            guest_path(node, vmid, &["template"])?,
            Params::new(),
        )
        .await
    }

    /// Moves a guest. The task runs on the old node; afterwards only the new one knows the guest.
    ///
    /// # Errors
    /// As every call.
    pub async fn migrate(
        &self,
        node: &str,
        vmid: u32,
        request: &MigrateRequest,
    ) -> Result<Upid, Error> {
        let params = Params::new()
            .with("target", &request.target)
            .flag("online", request.online)
            .flag("with-local-disks", request.with_local_disks)
            .maybe("targetstorage", request.target_storage.as_deref());
        self.task(Method::Post, guest_path(node, vmid, &["migrate"])?, params)
            .await
    }

    /// Creates a guest from configuration options; `vmid` is set by this call.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Exists`] when the id is taken.
    pub async fn create(
        &self,
        node: &str,
        vmid: u32,
        options: &ConfigUpdate,
    ) -> Result<Upid, Error> {
        let params = options.params().with("vmid", vmid);
        self.task(Method::Post, node_path(node, &["qemu"])?, params)
            .await
    }

    /// The snapshots of a guest as PVE prints them; the entry `current` is the guest itself.
    ///
    /// # Errors
    /// As every call.
    pub async fn snapshots(&self, node: &str, vmid: u32) -> Result<Vec<Value>, Error> {
        self.get(guest_path(node, vmid, &["snapshot"])?, Params::new())
            .await
    }
}
