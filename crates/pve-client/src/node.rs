//! Calls about one node.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{
    client::Client,
    error::Error,
    lenient,
    params::{ApiPath, Params, node_path},
    tls::Fingerprint,
};

/// One entry of `GET /nodes`, up to 10 s old. Figures need `Sys.Audit` on the node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// `online`, `offline` or `unknown`.
    pub status: Option<String>,
    /// SHA-256 of its certificate, to be pinned.
    #[serde(deserialize_with = "fingerprint")]
    pub ssl_fingerprint: Option<Fingerprint>,
    /// Use as a fraction of `maxcpu`.
    #[serde(deserialize_with = "lenient::f64")]
    pub cpu: Option<f64>,
    /// Number of CPUs.
    #[serde(deserialize_with = "lenient::f64")]
    pub maxcpu: Option<f64>,
    /// Memory in use.
    #[serde(deserialize_with = "lenient::u64")]
    pub mem: Option<u64>,
    /// Memory in all.
    #[serde(deserialize_with = "lenient::u64")]
    pub maxmem: Option<u64>,
    /// Root file system in use.
    #[serde(deserialize_with = "lenient::u64")]
    pub disk: Option<u64>,
    /// Root file system in all.
    #[serde(deserialize_with = "lenient::u64")]
    pub maxdisk: Option<u64>,
    /// Seconds since boot.
    #[serde(deserialize_with = "lenient::u64")]
    pub uptime: Option<u64>,
}

fn fingerprint<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Fingerprint>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.and_then(|text| text.parse().ok()))
}

/// One of a node's certificates, from `GET /nodes/{node}/certificates/info`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// Such as `pve-ssl.pem`, the one it made for itself; `pveproxy-ssl.pem` is people's or ACME's.
    pub filename: Option<String>,
    /// Whom it is about.
    pub subject: Option<String>,
    /// Who signed it.
    pub issuer: Option<String>,
    /// The first second in which it holds, since 1970.
    #[serde(deserialize_with = "lenient::u64")]
    pub notbefore: Option<u64>,
    /// The last one.
    #[serde(deserialize_with = "lenient::u64")]
    pub notafter: Option<u64>,
}

/// The live state of a node, from `GET /nodes/{node}/status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeStatus {
    /// Such as `pve-manager/9.2.11/14a22df35955d97d`.
    pub pve_version: Option<String>,
    /// Version of the kernel.
    pub kernel: Option<String>,
    /// Seconds since boot.
    pub uptime_secs: Option<u64>,
    /// Use as a fraction of all CPUs.
    pub cpu: Option<f64>,
    /// Number of CPUs.
    pub cpus: Option<u64>,
    /// Load over 1, 5 and 15 minutes.
    pub load: Vec<f64>,
    /// Memory in all.
    pub memory_total: Option<u64>,
    /// Memory in use.
    pub memory_used: Option<u64>,
    /// Memory that could be given out.
    pub memory_available: Option<u64>,
    /// Root file system in all.
    pub rootfs_total: Option<u64>,
    /// Root file system in use.
    pub rootfs_used: Option<u64>,
}

impl From<Value> for NodeStatus {
    fn from(raw: Value) -> Self {
        let number = |path: &str| raw.pointer(path).and_then(lenient::as_u64);
        let text = |path: &str| raw.pointer(path).and_then(lenient::as_text);
        let load = raw.pointer("/loadavg").and_then(Value::as_array);
        Self {
            pve_version: text("/pveversion"),
            kernel: text("/current-kernel/release").or_else(|| text("/kversion")),
            uptime_secs: number("/uptime"),
            cpu: raw.pointer("/cpu").and_then(lenient::as_f64),
            cpus: number("/cpuinfo/cpus"),
            load: load
                .map(|load| load.iter().filter_map(lenient::as_f64).collect())
                .unwrap_or_default(),
            memory_total: number("/memory/total"),
            memory_used: number("/memory/used"),
            memory_available: number("/memory/available"),
            rootfs_total: number("/rootfs/total"),
            rootfs_used: number("/rootfs/used"),
        }
    }
}

/// A network interface of a node that guests can be connected to, from `GET /nodes/{node}/network`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Bridge {
    /// Its name, such as `vmbr0`.
    pub iface: String,
    /// `bridge`, `OVSBridge`, or `vnet`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What else is connected to a `bridge`, names with blanks between.
    #[serde(default)]
    pub bridge_ports: Option<String>,
    /// The same of an `OVSBridge`.
    #[serde(default)]
    pub ovs_ports: Option<String>,
    /// The address that the node itself has on it.
    #[serde(default)]
    pub cidr: Option<String>,
}

impl Bridge {
    /// What else is connected to it.
    pub fn ports(&self) -> impl Iterator<Item = &str> {
        let all = [&self.bridge_ports, &self.ovs_ports];
        all.into_iter()
            .flatten()
            .flat_map(|ports| ports.split_whitespace())
    }
}

impl Client {
    /// What guests can be connected to on a node; those that the account may see.
    ///
    /// # Errors
    /// As every call.
    pub async fn bridges(&self, node: &str) -> Result<Vec<Bridge>, Error> {
        let params = Params::new().with("type", "any_bridge");
        self.get(node_path(node, &["network"])?, params).await
    }

    /// The certificates that a node has. Whoever is logged in may ask.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn node_certificates(&self, node: &str) -> Result<Vec<Certificate>, Error> {
        self.get(node_path(node, &["certificates", "info"])?, Params::new())
            .await
    }

    /// The nodes of the cluster.
    ///
    /// # Errors
    /// As every call.
    pub async fn nodes(&self) -> Result<Vec<Node>, Error> {
        self.get(ApiPath::new(["nodes"])?, Params::new()).await
    }

    /// The live state of a node. Needs `Sys.Audit` on it.
    ///
    /// # Errors
    /// As every call; a name that is no node's is [`crate::ErrorClass::Rejected`], a node that cannot be
    /// reached answers 595.
    pub async fn node_status(&self, node: &str) -> Result<NodeStatus, Error> {
        let raw: Value = self
            .get(node_path(node, &["status"])?, Params::new())
            .await?;
        Ok(raw.into())
    }
}
