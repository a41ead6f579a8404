//! What the engine is set to.

use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a role's servers have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleCode {
    /// cloud-init user.
    pub user: String,
    /// Public SSH keys for that user.
    pub ssh_keys: Vec<String>,
    /// Tags of the guest.
    pub tags: Vec<String>,
}

/// What guests are given that is the installation's and not a server's own.
#[derive(Clone, Debug, Default)]
pub struct GuestSettings {
    /// Roles by name.
    pub roles: BTreeMap<String, RoleCode>,
    /// Copy the template's disks instead of linking to them.
    pub full_clone: bool,
    /// DNS servers for cloud-init; the node's own when empty.
    pub dns: Vec<IpAddr>,
    /// DNS search domain for cloud-init.
    pub search_domain: Option<String>,
}

/// How the provider logs in. Reaches it through its environment alone.
#[derive(Clone, Debug)]
pub enum ProviderLogin {
    /// An API token.
    Token {
        /// `user@realm!name`.
        id: String,
        /// Its secret.
        secret: SecretString,
    },
    /// A user with a password.
    Password {
        /// `user@realm`.
        username: String,
        /// The password.
        password: SecretString,
    },
}

/// All of it.
#[derive(Clone, Debug)]
pub struct TerraformSettings {
    /// `terraform` or `tofu`.
    pub binary: PathBuf,
    /// Where runs have their folders; emptied after each.
    pub work_dir: PathBuf,
    /// A filesystem mirror with the provider. `None`: it is fetched once from the public registry.
    pub mirror: Option<PathBuf>,
    /// Most runs at once in this process.
    pub max_runs: usize,
    /// Memory that one run should stay below, in MiB.
    pub memory_mb: u32,
    /// How long one run may take.
    pub run_timeout: Duration,
    /// How long any step may take in all.
    pub step_timeout: Duration,
    /// URLs of the cluster's nodes.
    pub endpoints: Vec<String>,
    /// How the provider logs in.
    pub login: ProviderLogin,
    /// PEM file of the CA that signed the nodes' certificates.
    pub ca_file: PathBuf,
}
