//! From settings to a running api and worker: the only crate that knows every adapter.
//!
//! Composition, telemetry and lifecycle, no rules of the product. Other programs embed the service
//! through [`Service`]; the binaries go through [`mod@cli`].

mod certificate;
mod chores;
pub mod cli;
mod clock;
mod engine;
mod host;
mod keys;
mod life;
mod listen;
mod monitoring;
mod notify;
mod own_backup;
mod own_metrics;
mod policy;
mod privileges;
mod probes;
mod references;
mod secrets;
mod service;
mod syslog;
mod telemetry;
mod terraform;
mod vault;
mod worker;

pub use clock::SystemClock;
pub use service::{Api, Service};
pub use telemetry::{Logs, init_telemetry};
pub use worker::WorkerProcess;

/// What embedding programs need of the lower crates.
pub mod embed {
    pub use tpm_domain as domain;
    pub use tpm_jobs::{NoFaults, Point, PointHook, PointKind, Swept, Verdict};
    pub use tpm_provisioner as provisioner;
    pub use tpm_settings as settings;
}
