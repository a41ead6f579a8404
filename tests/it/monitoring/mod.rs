//! What is measured of servers: by a real Prometheus and node_exporter, by Proxmox VE alone, by answers that are no
//! use; and alerts.

mod alerts;
mod answers;
mod exporters;
mod provisioning;
mod proxmox;
mod real;

use crate::system::until;

/// The figures on the wire.
const FIGURES: [&str; 5] = [
    "cpu_usage",
    "memory_usage",
    "disk_usage",
    "network_in",
    "network_out",
];
