//! The sections, as they stand in the file. `config/default.toml` documents every key.

mod outward;

pub use outward::{Notify, SecretSettings, SecretStoreKind, Vault, VaultLogin};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A list in a file, or in the environment the same separated by commas.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Either::deserialize(from)? {
        Either::List(list) => list,
        Either::Text(text) => text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// Everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where files of the service lie.
    pub data_dir: PathBuf,
    /// The engine of a server whose request names none.
    pub engine: String,
    /// The HTTP side.
    pub api: Api,
    /// Logging in.
    pub auth: Auth,
    /// The database.
    pub database: Database,
    /// The worker.
    pub worker: Worker,
    /// Keys.
    pub security: Security,
    /// The Proxmox VE cluster.
    pub proxmox: Proxmox,
    /// The Terraform engine.
    pub terraform: Terraform,
    /// Backups.
    pub backups: Backups,
    /// The network of servers whose request names none.
    pub network: Network,
    /// What is measured, and by whom.
    pub monitoring: Monitoring,
    /// Where notifications may be sent to.
    pub notify: Notify,
    /// Where secrets are kept.
    pub secrets: SecretSettings,
    /// Vault, where secrets are kept there.
    pub vault: Vault,
    /// Bounds of requests.
    pub limits: Limits,
    /// What servers are for.
    pub roles: BTreeMap<String, Role>,
    /// Logs.
    pub log: Log,
    /// Each setting as it may be shown, by key.
    #[serde(skip)]
    pub shown: Vec<crate::Shown>,
}

/// The HTTP side.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The URL people use; its origin is the one a browser's writes must come from. Empty: the address
    /// that is listened on.
    pub public_url: String,
    /// Largest body of a request in bytes.
    pub max_body_bytes: usize,
    /// Longest time a request may take, in seconds.
    pub request_timeout_secs: u64,
    /// Addresses or networks of proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "words")]
    pub trusted_proxies: Vec<String>,
    /// How long requests are still accepted after being asked to stop, in seconds.
    pub drain_secs: u64,
    /// Most connections at once; one more is closed.
    pub max_connections: usize,
    /// How long a client may take for the head of a request, and for a TLS handshake, in seconds.
    pub header_timeout_secs: u64,
    /// PEM file of the certificate and its chain; empty: no TLS. Read anew when it changes.
    pub tls_certificate: PathBuf,
    /// PEM file of the certificate's key.
    pub tls_key: PathBuf,
}

/// Logging in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The name of the first person.
    pub admin_name: String,
    /// Password of the first person. Empty: one is made up and printed once.
    pub admin_password: SecretString,
    /// Whether everybody who logs in has to have a second factor.
    pub second_factor: SecondFactor,
}

/// Who has to have a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecondFactor {
    /// Whoever wants to.
    Optional,
    /// Everybody.
    Required,
}

/// The database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite:` or `postgres:` URL. Empty: a SQLite file in `data_dir`.
    pub url: SecretString,
}

/// The worker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Most tasks at once in one process.
    pub concurrency: usize,
    /// How long a claim lasts without being extended, in milliseconds.
    pub lease_ms: u64,
    /// Longest sleep between two looks for due tasks, in milliseconds.
    pub scan_ms: u64,
    /// Attempts after which a step is given up.
    pub max_attempts: u32,
    /// How often the cluster is looked at, in milliseconds.
    pub look_ms: u64,
    /// How often every server is compared with its guest, in milliseconds.
    pub sweep_ms: u64,
    /// How long a left-over guest must have been seen before it is removed, in milliseconds.
    pub orphan_ms: u64,
    /// Where a worker tells its own metrics, `address:port`; nowhere when empty.
    pub metrics_listen: String,
    /// What has to be sent as a bearer token to be told them; nothing when empty.
    pub metrics_token: SecretString,
}

/// Keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Hex key that marks are signed with, the same for every process. Empty: a file in `data_dir`,
    /// made on the first start.
    pub mark_key: SecretString,
    /// Hex key of 32 bytes that Terraform states and plans are sealed with, the same for every process.
    /// Empty: a file in `data_dir`, made on the first start.
    pub state_key: SecretString,
    /// What may go unencrypted to or from other machines: the names of sections.
    #[serde(deserialize_with = "words")]
    pub unencrypted: Vec<String>,
}

/// How a template is cloned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloneMode {
    /// A copy of its own.
    Full,
    /// Shares unchanged blocks with the template.
    Linked,
}

/// The Proxmox VE cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxmox {
    /// URLs of its nodes, tried in order. Empty: there is no cluster and no direct engine, for programs
    /// that bring an engine of their own.
    #[serde(deserialize_with = "words")]
    pub endpoints: Vec<String>,
    /// API token, `user@realm!name`. Empty: `username` and `password` are used.
    pub token_id: String,
    /// The token's secret.
    pub token_secret: SecretString,
    /// User for ticket authentication, `user@realm`.
    pub username: String,
    /// That user's password.
    pub password: SecretString,
    /// PEM file of the CA that signed the nodes' certificates.
    pub ca_file: String,
    /// SHA-256 fingerprint of the nodes' certificate, hex with or without colons.
    pub fingerprint: String,
    /// First VMID this installation may give.
    pub vmid_first: u32,
    /// Last VMID this installation may give.
    pub vmid_last: u32,
    /// Days that a number which was given rests before it may be given again.
    pub vmid_quarantine_days: u32,
    /// How templates are cloned.
    pub clone_mode: CloneMode,
    /// Storage for full clones. Empty: that of the template.
    pub storage: String,
    /// Most clones in flight at once on one storage and of one template.
    pub max_clones: u32,
    /// Most clones in flight at once to one node.
    pub max_clones_per_node: u32,
    /// Cores that may be promised, in percent of a node's logical processors.
    pub cpu_overcommit_percent: u32,
    /// Memory that may be promised, in percent of a node's memory.
    pub memory_overcommit_percent: u32,
    /// Disks of linked clones that may be promised, in percent of what is left on a storage.
    pub storage_overcommit_percent: u32,
    /// Share of each storage, in percent, that is not promised.
    pub storage_reserve_percent: u32,
    /// How long a node may be away before what was begun on it is given up, in seconds.
    pub node_patience_secs: u64,
    /// How long a guest may take to shut down before it is switched off, in seconds.
    pub shutdown_timeout_secs: u64,
    /// How long to wait for the guest agent of a new server, in seconds.
    pub agent_timeout_secs: u64,
    /// How long one step may take in all, in seconds.
    pub step_timeout_secs: u64,
}

/// How a running guest is treated while it is backed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupMode {
    /// It runs on.
    Snapshot,
    /// It is paused for a while.
    Suspend,
    /// It is shut down, and started again at once.
    Stop,
}

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Quick and small.
    Zstd,
    /// Known everywhere.
    Gzip,
    /// Quick and not so small.
    Lzo,
    /// Not at all.
    None,
}

/// Backups.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// Storage of a backup whose request names none.
    pub storage: String,
    /// How a running guest is treated, when the request does not say.
    pub mode: BackupMode,
    /// How an archive is packed, when the request does not say.
    pub compress: Compression,
    /// Whether a server is backed up before a backup is restored over it.
    pub safety: bool,
    /// The network that backups are tried on.
    pub drill_network: String,
    /// Most at once on one node.
    pub max_per_node: u32,
    /// Most at once to one storage.
    pub max_per_storage: u32,
    /// How long one backup or restore may take, in minutes.
    pub timeout_minutes: u64,
    /// How often the archives on the storages are looked at, in milliseconds.
    pub look_ms: u64,
}

/// Whether there is a Terraform engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TerraformMode {
    /// Where `terraform` or `tofu` is found.
    Auto,
    /// There must be one.
    On,
    /// There is none.
    Off,
}

/// The Terraform engine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terraform {
    /// Whether there is one.
    pub mode: TerraformMode,
    /// `terraform` or `tofu`. Empty: the first of both that is found.
    pub binary: String,
    /// Folder with the provider, laid out as a filesystem mirror. Empty: it is fetched once from the
    /// public registry.
    pub mirror: String,
    /// Most runs at once in one worker.
    pub max_runs: usize,
    /// Memory that one run should stay below, in MiB.
    pub memory_mb: u32,
    /// How long one run may take, in seconds.
    pub run_timeout_secs: u64,
}

/// The network of servers whose request names none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Addresses to hand out, `FIRST-LAST`. Empty: DHCP.
    pub pool: String,
    /// Length of the prefix.
    pub prefix: u8,
    /// The way out. Empty: none.
    pub gateway: String,
    /// The bridge.
    pub bridge: String,
    /// VLAN tag; 0: none.
    pub vlan: u16,
    /// DNS servers for cloud-init.
    #[serde(deserialize_with = "words")]
    pub dns: Vec<String>,
    /// DNS search domain for cloud-init.
    pub search_domain: String,
}

/// What is measured, and by whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monitoring {
    /// URL of Prometheus. Empty: figures come from Proxmox VE alone.
    pub prometheus_url: String,
    /// Bearer token for Prometheus. Empty: none.
    pub prometheus_token: SecretString,
    /// Whether Prometheus is told to read its files anew.
    pub prometheus_reload: bool,
    /// File of targets for Prometheus' `file_sd_configs`. Empty: none is written.
    pub targets_file: PathBuf,
    /// Port of node_exporter on servers.
    pub exporter_port: u16,
    /// Over how many seconds rates are taken.
    pub window_secs: u32,
    /// URL of Grafana. Empty: none.
    pub grafana_url: String,
    /// Token of a service account of Grafana that may edit data sources and dashboards. Empty: nothing is set up.
    pub grafana_token: SecretString,
    /// URL under which Grafana reaches Prometheus. Empty: `prometheus_url`.
    pub grafana_prometheus_url: String,
    /// Longest time an answer of either may take, in milliseconds.
    pub timeout_ms: u64,
}

/// Bounds of requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most CPU cores of one server.
    pub max_cpu: u32,
    /// Least memory of one server in MiB.
    pub min_memory_mb: u32,
    /// Most memory of one server in MiB.
    pub max_memory_mb: u32,
    /// Largest disk of one server in GiB.
    pub max_disk_gb: u32,
    /// Most servers in one bulk.
    pub max_bulk: usize,
    /// Most network interfaces of one server.
    pub max_nics: usize,
    /// How long before a server's end people are warned, in hours.
    pub expiry_warning_hours: u64,
    /// How long after its end a server is deleted, in hours.
    pub expiry_grace_hours: u64,
    /// How long the answer to a request with an idempotency key is remembered, in hours.
    pub idempotency_hours: u64,
    /// Requests that one API key may send in a second, over some seconds.
    pub key_requests_per_second: u32,
    /// Requests that one person may send in a second by sessions, over some seconds.
    pub session_requests_per_second: u32,
}

/// Whether servers of one role keep away from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// The node with the fewest of them is preferred.
    #[default]
    Preferred,
    /// Never two on one node.
    Required,
    /// It does not matter.
    Off,
}

/// What servers are for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// VMID of the template.
    pub template: u32,
    /// VMIDs of further templates, for nodes that the first one cannot be cloned to.
    #[serde(default)]
    pub templates: Vec<u32>,
    /// Whether its servers keep away from each other.
    #[serde(default)]
    pub spread: Spread,
    /// Smallest disk in GiB: that of the template.
    pub min_disk_gb: u32,
    /// cloud-init user.
    pub user: String,
    /// Public SSH keys for that user.
    #[serde(default, deserialize_with = "words")]
    pub ssh_keys: Vec<String>,
    /// Tags of the guest.
    #[serde(default, deserialize_with = "words")]
    pub tags: Vec<String>,
    /// What is done about node_exporter on its servers.
    #[serde(default)]
    pub node_exporter: NodeExporter,
}

/// What is done about node_exporter on the servers of a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeExporter {
    /// Nothing.
    #[default]
    Off,
    /// The guest agent is asked why it is silent.
    Check,
    /// And it is installed where it is missing.
    Install,
}

/// Logs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `text` or `json`.
    pub format: String,
    /// What is logged, as `tracing` directives: `info,tpm_jobs=debug`.
    pub filter: String,
    /// Days for which lines are stored in the database.
    pub stored_days: u32,
    /// Most lines that are stored in the database.
    pub stored_lines: u64,
    /// Where lines are sent to as well, `host:port`: syslog over TLS. Empty: nowhere.
    pub syslog: String,
    /// PEM file of the CAs that may vouch for it.
    pub syslog_ca_file: PathBuf,
}
