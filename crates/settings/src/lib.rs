//! The settings: typed sections, loaded in layers, validated all at once.
//!
//! Layers, later ones win: the built-in `config/default.toml`, `config/local.toml` or the file given,
//! and the environment (`TPM__SECTION__KEY`). Builds nothing and connects to nothing.

mod load;
mod sections;
mod shown;
mod validate;

pub use load::{DEFAULTS, LoadError, load, load_from};
pub use sections::{
    Api, Auth, BackupMode, Backups, CloneMode, Compression, Database, Limits, Log, Monitoring,
    Network, NodeExporter, Notify, Proxmox, Role, SecondFactor, SecretSettings, SecretStoreKind,
    Security, Settings, Spread, Terraform, TerraformMode, Vault, VaultLogin, Worker,
};
pub use shown::{Origin, Shown, ShownValue};
pub use validate::Problem;
