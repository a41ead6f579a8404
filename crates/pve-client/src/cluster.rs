//! Calls about the cluster as a whole. Any node answers them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    client::Client,
    error::Error,
    lenient,
    params::{ApiPath, Method, Params},
    task::{TaskEntry, entries},
};

/// What `GET /version` says about the node that answered. Nodes of one cluster may differ during upgrades.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// Full version, such as `9.2.11`.
    pub version: String,
    /// Major and minor, such as `9.2`.
    #[serde(default)]
    pub release: Option<String>,
    /// Commit it was built from.
    #[serde(default)]
    pub repoid: Option<String>,
}

/// Which resources to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// Virtual machines and containers.
    Vm,
    /// Storages, once for each node.
    Storage,
    /// Nodes.
    Node,
}

/// One entry of `GET /cluster/resources`.
///
/// Node assignment, lock, tags, pool and HA state are current; name, status and figures are up to 10 s
/// old. A guest younger than that has status `unknown` and no name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// Such as `qemu/100`, `node/pve`, `storage/pve/local`.
    pub id: String,
    /// `qemu`, `lxc`, `node`, `storage`, `pool`, `network`, `sdn`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The node it is on.
    pub node: Option<String>,
    /// For guests.
    #[serde(deserialize_with = "lenient::u32")]
    pub vmid: Option<u32>,
    /// For guests.
    #[serde(deserialize_with = "lenient::text")]
    pub name: Option<String>,
    /// Guests: `running`, `stopped`, `paused`, `unknown`…; nodes: `online`, `offline`, `unknown`;
    /// storages: `available`, `unknown`.
    pub status: Option<String>,
    /// Whether a guest is a template.
    #[serde(deserialize_with = "lenient::bool")]
    pub template: Option<bool>,
    /// The pool a guest or storage belongs to.
    #[serde(deserialize_with = "lenient::text")]
    pub pool: Option<String>,
    /// Tags of a guest.
    #[serde(deserialize_with = "lenient::words")]
    pub tags: Vec<String>,
    /// The lock on a guest's configuration, such as `backup`.
    pub lock: Option<String>,
    /// State of the HA resource, if it is one.
    pub hastate: Option<String>,
    /// Name of the storage.
    pub storage: Option<String>,
    /// Type of the storage, such as `lvmthin`.
    pub plugintype: Option<String>,
    /// What the storage may hold.
    #[serde(deserialize_with = "lenient::words")]
    pub content: Vec<String>,
    /// Whether all nodes see the same storage.
    #[serde(deserialize_with = "lenient::bool")]
    pub shared: Option<bool>,
    /// Use as a fraction of `maxcpu`.
    #[serde(deserialize_with = "lenient::f64")]
    pub cpu: Option<f64>,
    /// Number of (virtual) CPUs.
    #[serde(deserialize_with = "lenient::f64")]
    pub maxcpu: Option<f64>,
    /// Memory in use.
    #[serde(deserialize_with = "lenient::u64")]
    pub mem: Option<u64>,
    /// Memory in all.
    #[serde(deserialize_with = "lenient::u64")]
    pub maxmem: Option<u64>,
    /// Space in use; always 0 for virtual machines.
    #[serde(deserialize_with = "lenient::u64")]
    pub disk: Option<u64>,
    /// Space in all; for virtual machines the size of the first boot disk.
    #[serde(deserialize_with = "lenient::u64")]
    pub maxdisk: Option<u64>,
    /// Bytes received since start.
    #[serde(deserialize_with = "lenient::u64")]
    pub netin: Option<u64>,
    /// Bytes sent since start.
    #[serde(deserialize_with = "lenient::u64")]
    pub netout: Option<u64>,
    /// Bytes read since start.
    #[serde(deserialize_with = "lenient::u64")]
    pub diskread: Option<u64>,
    /// Bytes written since start.
    #[serde(deserialize_with = "lenient::u64")]
    pub diskwrite: Option<u64>,
    /// Seconds since start.
    #[serde(deserialize_with = "lenient::u64")]
    pub uptime: Option<u64>,
}

/// What `GET /cluster/status` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Name of the cluster; `None` on a host that is in none.
    pub name: Option<String>,
    /// Whether there is a quorum; `None` on a host that is in no cluster.
    pub quorate: Option<bool>,
    /// The nodes.
    pub nodes: Vec<ClusterNode>,
}

/// A node as the cluster sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// Its address in the cluster network.
    pub ip: Option<String>,
    /// Whether it takes part.
    pub online: Option<bool>,
    /// Whether it is the node that answered.
    pub local: Option<bool>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct StatusEntry {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    ip: Option<String>,
    #[serde(deserialize_with = "lenient::bool")]
    online: Option<bool>,
    #[serde(deserialize_with = "lenient::bool")]
    local: Option<bool>,
    #[serde(deserialize_with = "lenient::bool")]
    quorate: Option<bool>,
}

/// The caller's own privileges: for each path, each privilege and whether it holds for what is below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions(pub BTreeMap<String, BTreeMap<String, bool>>);

impl Permissions {
    /// Whether the privilege is listed on exactly this path. PVE lists every path on which an entry
    /// exists, and some fixed ones; inheritance is not worked out here.
    #[must_use]
    pub fn has(&self, path: &str, privilege: &str) -> bool {
        self.0
            .get(path)
            .is_some_and(|privileges| privileges.contains_key(privilege))
    }
}

impl Client {
    /// The version of the answering node. The cheapest call that proves the credentials.
    ///
    /// # Errors
    /// As every call.
    pub async fn version(&self) -> Result<Version, Error> {
        self.get(ApiPath::new(["version"])?, Params::new()).await
    }

    /// Guests, storages and nodes of the whole cluster. What one may not see is left out without an error.
    ///
    /// # Errors
    /// As every call.
    pub async fn cluster_resources(
        &self,
        kind: Option<ResourceKind>,
    ) -> Result<Vec<Resource>, Error> {
        metrics::counter!("tpm_pve_cluster_looks_total").increment(1);
        let kind = kind.map(|kind| match kind {
            ResourceKind::Vm => "vm",
            ResourceKind::Storage => "storage",
            ResourceKind::Node => "node",
        });
        self.get(
            ApiPath::new(["cluster", "resources"])?,
            Params::new().maybe("type", kind),
        )
        .await
    }

    /// Members and quorum. Needs `Sys.Audit` on `/`.
    ///
    /// # Errors
    /// As every call.
    pub async fn cluster_status(&self) -> Result<ClusterStatus, Error> {
        let path = ApiPath::new(["cluster", "status"])?;
        let entries: Vec<StatusEntry> = self.get(path, Params::new()).await?;
        let mut status = ClusterStatus::default();
        for entry in entries {
            match entry.kind.as_str() {
                "cluster" => {
                    status.name = Some(entry.name);
                    status.quorate = entry.quorate;
                }
                "node" => status.nodes.push(ClusterNode {
                    name: entry.name,
                    ip: entry.ip,
                    online: entry.online,
                    local: entry.local,
                }),
                _ => {}
            }
        }
        Ok(status)
    }

    /// Recent tasks of all nodes. A token without `Sys.Audit` on `/` does not even see its own.
    ///
    /// # Errors
    /// As every call.
    pub async fn cluster_tasks(&self) -> Result<Vec<TaskEntry>, Error> {
        Ok(entries(
            self.get(ApiPath::new(["cluster", "tasks"])?, Params::new())
                .await?,
        ))
    }

    /// Whether no guest of the cluster has this VMID now. Nothing is reserved by asking.
    ///
    /// # Errors
    /// As every call; a taken id is not an error.
    pub async fn nextid_check(&self, vmid: u32) -> Result<bool, Error> {
        let path = ApiPath::new(["cluster", "nextid"])?;
        match self
            .call(Method::Get, &path, &Params::new().with("vmid", vmid))
            .await
        {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .fields()
                    .get("vmid")
                    .is_some_and(|text| text.contains("already exists")) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The caller's own privileges, all of them or those on one path.
    ///
    /// # Errors
    /// As every call.
    pub async fn permissions(&self, path: Option<&str>) -> Result<Permissions, Error> {
        let api = ApiPath::new(["access", "permissions"])?;
        let raw: BTreeMap<String, BTreeMap<String, Value>> =
            self.get(api, Params::new().maybe("path", path)).await?;
        let paths = raw.into_iter().map(|(path, privileges)| {
            let privileges = privileges
                .into_iter()
                .map(|(name, below)| (name, lenient::as_bool(&below).unwrap_or(false)))
                .collect();
            (path, privileges)
        });
        Ok(Permissions(paths.collect()))
    }
}
