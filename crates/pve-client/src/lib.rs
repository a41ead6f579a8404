//! The Proxmox VE REST API, typed, for one cluster.
//!
//! This crate knows how PVE speaks: authentication, TLS trust, forms, errors, tasks and property strings.
//! It does not wait for tasks, does not retry writes, keeps no state but connections, a ticket and what it
//! found out about its endpoints, and holds no policy of any application.
//!
//! It does not hammer what does not answer. Three failed connections in a row to an endpoint, and no call
//! goes there for a while ([`Timeouts::first_pause`], doubled with each failed probe up to
//! [`Timeouts::longest_pause`], less a random part); then one call at a time is the probe. While every
//! endpoint is left alone, calls fail at once as [`ErrorClass::NotSent`]. After refused credentials they fail
//! at once as [`ErrorClass::Auth`] until [`Timeouts::refused_pause`] is over, and one call tries again.
//! [`Error::retry_after`] says when. See [`Client::endpoint_states`] and [`Client::credentials_refused`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tpm_pve_client::{Client, ClientConfig, Credentials, TlsTrust};
//!
//! let config = ClientConfig::new(
//!     vec!["https://pve1.example:8006".parse()?],
//!     Credentials::Token { id: "manager@pve!list".into(), secret: "…".to_owned().into() },
//!     TlsTrust::Fingerprints(vec!["AB:CD:…".parse()?]),
//! );
//! let client = Client::new(config)?;
//! println!("{:?}", client.version().await?.version);
//! # Ok(())
//! # }
//! ```
//!
//! Times are seconds, sizes are bytes, and VMIDs are `u32`, unless a name says otherwise. A value that PVE
//! did not send is `None`.

mod agent;
mod backup;
mod breaker;
mod classify;
mod client;
mod cluster;
mod config;
mod config_update;
mod decode;
mod endpoints;
mod error;
mod gate;
mod guest;
mod guest_config;
mod lenient;
mod measure;
mod node;
mod params;
mod power;
pub mod property;
mod session;
mod storage;
mod task;
mod tls;
mod transport;

pub use agent::{ExecStatus, Interface, InterfaceAddress};
pub use backup::{BackupMode, BackupRequest, RestoreRequest};
pub use classify::{Access, ErrorClass, Origin, classify};
pub use client::Client;
pub use cluster::{ClusterNode, ClusterStatus, Permissions, Resource, ResourceKind, Version};
pub use config::{ClientConfig, ConfigError, Credentials, Timeouts};
pub use config_update::ConfigUpdate;
pub use decode::Reply;
pub use endpoints::{EndpointState, Reach};
pub use error::Error;
pub use guest::{
    CloneRequest, DestroyOptions, GuestStatus, GuestSummary, MigrateRequest, PendingChange,
    RrdPoint, Timeframe,
};
pub use guest_config::GuestConfig;
pub use node::{Bridge, Certificate, Node, NodeStatus};
pub use params::{ApiPath, Method, Params};
pub use property::{AgentOption, Disk, IpConfig, MacAddr, Net, PropertyError};
pub use storage::{Storage, StorageStatus, Verification, Volume, VolumeUpdate};
pub use task::{LogLine, TaskEntry, TaskFilter, TaskLog, TaskSource, TaskStatus, Upid, UpidError};
pub use tls::{Fingerprint, TlsTrust};

pub use secrecy::SecretString;
pub use url::Url;
