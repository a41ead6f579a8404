//! Where secrets are kept: the port to a store of them, what a path may be, and sealing.
//!
//! It keeps nothing itself and logs no value. What is secret is wrapped, wiped when it is let go of, and printed as
//! `***`. A store that is away is away: nothing falls back to another one.

mod path;
mod port;
mod seal;
mod vault;

pub use path::{BadPath, Folder, MAX_PART, MAX_PATH, SecretPath};
pub use port::{
    Deletion, MountStatus, Rotated, Secret, SecretData, SecretError, SecretStore, StoreStatus,
    VersionInfo,
};
pub use seal::{KEY_BYTES, Seal, SealError};
pub use vault::{BadVault, Vault, VaultAuth, VaultSettings};
