//! What a simulated cluster consists of. Everything here is data; nothing is started.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Speed and behaviour under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Tasks take no time beyond being real tasks.
    #[default]
    Instant,
    /// Durations drawn from the seed around what a real host needs, slower under load.
    Realistic,
}

/// A node of the cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Node name as it stands in paths.
    pub name: String,
    /// Logical processors.
    #[serde(default = "sixteen")]
    pub cpus: u32,
    /// Memory in bytes.
    #[serde(default = "default_memory")]
    pub memory: u64,
    /// Address reported by `/cluster/status`.
    #[serde(default)]
    pub ip: Option<String>,
}

/// A storage definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StorageConfig {
    /// Storage id.
    pub name: String,
    /// PVE storage type: `dir`, `lvmthin`, `nfs`, `rbd`, `zfspool`.
    pub kind: String,
    /// The same content is seen by every node.
    #[serde(default)]
    pub shared: bool,
    /// Content types, e.g. `images`, `backup`.
    pub content: Vec<String>,
    /// Nodes that have it; empty means all.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Capacity in bytes.
    #[serde(default = "default_capacity")]
    pub total: u64,
}

/// A virtual machine template that exists from the start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TemplateConfig {
    /// VM id.
    pub vmid: u32,
    /// Owning node.
    pub node: String,
    /// VM name.
    pub name: String,
    /// Storage of disk and cloud-init drive.
    pub storage: String,
    /// Disk size in GiB.
    #[serde(default = "ten")]
    pub disk_gib: u64,
    /// `false` for a machine that stays an ordinary, stopped VM.
    #[serde(default = "yes")]
    pub template: bool,
    /// Further options, as they would stand in the configuration file.
    #[serde(default)]
    pub options: Vec<(String, String)>,
}

/// A user, its tokens and its access rights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserConfig {
    /// `name@realm`.
    pub userid: String,
    /// Password for ticket logins; `None` cannot log in.
    #[serde(default)]
    pub password: Option<String>,
    /// API tokens.
    #[serde(default)]
    pub tokens: Vec<TokenConfig>,
    /// (path, role) pairs, propagated.
    #[serde(default)]
    pub roles: Vec<(String, String)>,
}

/// An API token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenConfig {
    /// Token name, the part behind `!`.
    pub tokenid: String,
    /// The secret.
    pub secret: String,
    /// Limits the token to its own access rights.
    #[serde(default)]
    pub privsep: bool,
    /// (path, role) pairs of the token itself, used with `privsep`.
    #[serde(default)]
    pub roles: Vec<(String, String)>,
}

/// A role beyond the built-in ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RoleConfig {
    /// Role name.
    pub roleid: String,
    /// Privileges, comma separated.
    pub privs: String,
}

/// The whole simulator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct SimulatorConfig {
    /// Where the API listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The control door's address; `None` leaves it shut.
    pub control: Option<SocketAddr>,
    /// File that keeps the state between runs.
    pub state: Option<PathBuf>,
    /// Speed.
    pub profile: Profile,
    /// Seed of everything random.
    pub seed: u64,
    /// Multiplies every wait: 0.1 is ten times faster than life.
    pub time_scale: f64,
    /// Delays failed authentications as PVE does (3 s, scaled).
    pub auth_failure_delay: bool,
    /// Seconds between refreshes of metrics and guest names; 0 is always fresh.
    pub metrics_interval_secs: f64,
    /// After a stop, the old process's cleanup takes the guest's lock if it is started again within
    /// two seconds, and keeps it for thirty: everything else then times out, as seen on a real host.
    pub cleanup_trap: bool,
    /// Starts as a host whose status daemon has not run yet.
    pub cold_start: bool,
    /// Nodes; a single one makes a standalone host.
    pub nodes: Vec<NodeConfig>,
    /// Cluster name, used with more than one node.
    pub cluster: String,
    /// Storages.
    pub storages: Vec<StorageConfig>,
    /// Bridges present on every node.
    pub bridges: Vec<String>,
    /// Templates and machines present from the start.
    pub templates: Vec<TemplateConfig>,
    /// Users besides the ones the defaults bring.
    pub users: Vec<UserConfig>,
    /// Roles besides the built-in ones.
    pub roles: Vec<RoleConfig>,
    /// First three bytes of the addresses the simulated DHCP server hands out.
    pub dhcp_prefix: String,
}

/// Privileges a manager needs, nothing more.
pub const MANAGER_PRIVILEGES: &str = "Datastore.AllocateSpace,Datastore.AllocateTemplate,\
Datastore.Audit,Pool.Allocate,Pool.Audit,SDN.Audit,SDN.Use,Sys.Audit,VM.Allocate,VM.Audit,\
VM.Backup,VM.Clone,VM.Config.CDROM,VM.Config.CPU,VM.Config.Cloudinit,VM.Config.Disk,\
VM.Config.HWType,VM.Config.Memory,VM.Config.Network,VM.Config.Options,VM.Console,\
VM.GuestAgent.Audit,VM.Migrate,VM.PowerMgmt,VM.Snapshot,VM.Snapshot.Rollback";

/// Secret of the default token `tpm@pve!manager`.
pub const DEFAULT_SECRET: &str = "00000000-0000-4000-8000-000000000001";

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8006)),
            control: None,
            state: None,
            profile: Profile::Instant,
            seed: 1,
            time_scale: 1.0,
            auth_failure_delay: true,
            metrics_interval_secs: 10.0,
            cleanup_trap: false,
            cold_start: false,
            nodes: (1..=3).map(NodeConfig::numbered).collect(),
            cluster: "simulated".into(),
            storages: default_storages(),
            bridges: vec!["vmbr0".into(), "vmbr1".into()],
            templates: default_templates(),
            users: vec![
                UserConfig {
                    userid: "root@pam".into(),
                    password: Some("simulator".into()),
                    tokens: Vec::new(),
                    roles: Vec::new(),
                },
                UserConfig {
                    userid: "tpm@pve".into(),
                    password: Some("simulator".into()),
                    tokens: vec![TokenConfig {
                        tokenid: "manager".into(),
                        secret: DEFAULT_SECRET.into(),
                        privsep: false,
                        roles: Vec::new(),
                    }],
                    roles: vec![("/".into(), "TPMManager".into())],
                },
            ],
            roles: vec![RoleConfig {
                roleid: "TPMManager".into(),
                privs: MANAGER_PRIVILEGES.into(),
            }],
            dhcp_prefix: "192.168.77".into(),
        }
    }
}

impl SimulatorConfig {
    /// Defaults for tests: a free port, no delay on failed logins, metrics always fresh.
    #[must_use]
    pub fn for_tests() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            auth_failure_delay: false,
            metrics_interval_secs: 0.0,
            ..Self::default()
        }
    }

    /// The same cluster with `count` nodes named `pve1`, `pve2`, ...
    #[must_use]
    pub fn with_nodes(mut self, count: u32) -> Self {
        self.nodes = (1..=count.max(1)).map(NodeConfig::numbered).collect();
        let names: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        self.templates
            .retain(|template| names.contains(&template.node));
        self
    }
}

impl NodeConfig {
    /// `pve<number>` with the default size.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        Self {
            name: format!("pve{number}"),
            cpus: sixteen(),
            memory: default_memory(),
            ip: None,
        }
    }
}

fn default_storages() -> Vec<StorageConfig> {
    let storage = |name: &str, kind: &str, shared: bool, content: &[&str]| StorageConfig {
        name: name.into(),
        kind: kind.into(),
        shared,
        content: content.iter().map(|&kind| kind.to_owned()).collect(),
        nodes: Vec::new(),
        total: default_capacity(),
    };
    vec![
        storage(
            "local",
            "dir",
            false,
            &["iso", "backup", "snippets", "import", "vztmpl", "images"],
        ),
        storage("local-lvm", "lvmthin", false, &["images", "rootdir"]),
        storage("ceph", "rbd", true, &["images", "rootdir"]),
        storage("backup", "nfs", true, &["backup", "iso"]),
    ]
}

fn default_templates() -> Vec<TemplateConfig> {
    let template = |vmid, node: &str, storage: &str| TemplateConfig {
        vmid,
        node: node.into(),
        name: "ubuntu-24.04".into(),
        storage: storage.into(),
        disk_gib: 10,
        template: true,
        options: Vec::new(),
    };
    vec![
        template(9000, "pve1", "ceph"),
        template(9001, "pve2", "local-lvm"),
        template(9002, "pve3", "local-lvm"),
    ]
}

fn sixteen() -> u32 {
    16
}

fn ten() -> u64 {
    10
}

fn yes() -> bool {
    true
}

fn default_memory() -> u64 {
    64 << 30
}

fn default_capacity() -> u64 {
    2 << 40
}
