//! Nodes in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::Op;
use super::words::words;
use serde_json::json;
use utoipa::ToSchema;

words!(
    NodeStatus,
    "Whether the node took part in the cluster.",
    ["online", "offline"],
    |word| word
);

/// The cluster as a worker saw it last.
#[derive(ToSchema)]
struct NodeList {
    /// The nodes.
    nodes: Vec<Node>,
    /// How many there are.
    total: u64,
    /// When it was looked at, RFC 3339, UTC, to the millisecond; `null` when it never was.
    #[schema(format = "date-time")]
    seen_at: Option<String>,
}

/// A node and how much room there is on it.
#[derive(ToSchema)]
struct Node {
    /// Its name.
    #[schema(example = "pve1")]
    name: String,
    /// Whether it takes part.
    status: NodeStatus,
    /// Logical processors.
    cpu: u32,
    /// Memory in MiB.
    memory: u64,
    /// Cores that are promised to our servers, built or not.
    reserved_cpu: u64,
    /// Memory in MiB that is promised to our servers, built or not.
    reserved_memory: u64,
    /// Cores of running guests of others.
    foreign_cpu: u64,
    /// Memory in MiB of running guests of others.
    foreign_memory: u64,
    /// Its storages.
    storages: Vec<Storage>,
}

/// A storage as a node sees it.
#[derive(ToSchema)]
struct Storage {
    /// Its name.
    #[schema(example = "local-lvm")]
    name: String,
    /// Whether all nodes see the same content.
    shared: bool,
    /// Whether it takes disks of guests, and answered.
    usable: bool,
    /// Size in GiB.
    total: u64,
    /// In use, in GiB.
    used: u64,
    /// Promised to our servers that are not built yet, in GiB.
    reserved: u64,
}

pub(super) fn operations() -> Vec<Op> {
    vec![
        Op::get(
            "/api/nodes",
            "listNodes",
            "List the cluster's nodes with the room on them",
        )
        .about("As a worker saw them last, every `worker.look_ms` (10 s unless set otherwise).")
        .answers::<NodeList>(
            200,
            "The nodes.",
            json!({
                "nodes": [{
                    "name": "pve1",
                    "status": "online",
                    "cpu": 32,
                    "memory": 131_072,
                    "reserved_cpu": 8,
                    "reserved_memory": 16_384,
                    "foreign_cpu": 4,
                    "foreign_memory": 8192,
                    "storages": [{
                        "name": "local-lvm",
                        "shared": false,
                        "usable": true,
                        "total": 1000,
                        "used": 250,
                        "reserved": 50,
                    }],
                }],
                "total": 1,
                "seen_at": "2024-01-15T10:30:00.125Z",
            }),
        ),
    ]
}
