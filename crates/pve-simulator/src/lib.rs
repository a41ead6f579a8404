//! A faithful Proxmox VE API server for demos and tests.
//!
//! It answers as a real PVE 9.2 was seen to answer, down to status texts and missing bodies, and
//! keeps a cluster in memory behind it. It runs no virtual machines, and it never makes a client's
//! life easier than the original does.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tpm_pve_simulator::{Simulator, SimulatorConfig};
//! let simulator = Simulator::start(SimulatorConfig::for_tests()).await?;
//! println!("{} trusts {}", simulator.url(), simulator.ca_pem());
//! simulator.shutdown().await;
//! # Ok(()) }
//! ```

mod acl;
mod answer;
mod api;
mod auth;
mod behind;
mod clock;
mod config;
mod control;
mod disks;
mod dispatch;
mod faults;
mod http;
mod ledger;
mod locks;
mod model;
mod pace;
mod params;
mod property;
mod schema;
mod seed;
mod server;
mod sim;
mod tasks;
mod tls;
mod validate;
mod view;

pub use behind::BehindTheBack;
pub use config::{
    DEFAULT_SECRET, MANAGER_PRIVILEGES, NodeConfig, Profile, RoleConfig, SimulatorConfig,
    StorageConfig, TemplateConfig, TokenConfig, UserConfig,
};
pub use faults::{Fault, FaultKind, FaultState, Faults, HoldAt};
pub use ledger::{Counters, Effect};
pub use model::GuestScript;
pub use server::{Simulator, StartError};
pub use view::{GuestView, RunningTask};
