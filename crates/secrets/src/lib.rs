//! Where secrets are kept: the port to a store of them, what a path and a reference may be, sealing; how keys for SSH
//! are made, and how secrets come from one store into another.
//!
//! It keeps nothing itself and logs no value. What is secret is wrapped, wiped when it is let go of, and printed as
//! `***`. A store that is away is away: nothing falls back to another one.

mod path;
mod port;
mod reference;
mod seal;
mod ssh;
#[cfg(test)]
mod testing;
mod transfer;
mod vault;

pub use path::{BadPath, Folder, MAX_PART, MAX_PATH, SecretPath};
pub use port::{
    Deletion, MountStatus, Rotated, Secret, SecretData, SecretError, SecretStore, StoreStatus,
    VersionInfo,
};
pub use reference::{BadReference, FillError, SCHEME, SecretRef, Unresolved, fill};
pub use seal::{KEY_BYTES, Seal, SealError};
pub use ssh::{SshKeyError, SshKeyPair, fingerprint};
pub use transfer::{Carried, TransferError, digest_of, transfer};
pub use vault::{BadVault, Vault, VaultAuth, VaultSettings};
