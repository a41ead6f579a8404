//! `check-layers`: who may know whom. The one table, and the order in which it is held against the code.
//!
//! `crates/README.md` shows the same table to people; that the two agree is checked too.

mod edges;
mod readme;
mod sources;

use crate::workspace;
use anyhow::bail;

/// Where a crate stands. Edges point down, never sideways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// 0 data, 1 ports, 2 adapters, 3 use cases, 4 delivery, 5 composition, 6 processes.
    Floor(u8),
    /// Outside the house: tests, chores, and the simulated cluster.
    Beside,
}

/// Which crates of ours a crate may know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Knows {
    Only(&'static [&'static str]),
    /// Tests alone.
    Everything,
}

/// A crate and what it may know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// The package's name without `tpm-`.
    pub(crate) name: &'static str,
    pub(crate) layer: Layer,
    pub(crate) knows: Knows,
    /// When given, the only crates of others it may know.
    pub(crate) outside: Option<&'static [&'static str]>,
}

const fn room(name: &'static str, floor: u8, knows: &'static [&'static str]) -> Room {
    Room {
        name,
        layer: Layer::Floor(floor),
        knows: Knows::Only(knows),
        outside: None,
    }
}

const fn beside(name: &'static str, knows: Knows) -> Room {
    Room {
        name,
        layer: Layer::Beside,
        knows,
        outside: None,
    }
}

const fn pure(room: Room, outside: &'static [&'static str]) -> Room {
    Room {
        outside: Some(outside),
        ..room
    }
}

/// The table.
pub(crate) const ROOMS: &[Room] = &[
    pure(room("domain", 0, &[]), &["serde"]),
    pure(room("messages", 1, &["domain"]), &[]),
    pure(
        room("store", 1, &["domain"]),
        &["async-trait", "anyhow", "thiserror"],
    ),
    room("provisioner", 1, &["domain"]),
    // ipnet: what a network is, so that one that is none is told at the start
    pure(
        room("settings", 1, &[]),
        &["config", "serde", "secrecy", "ipnet"],
    ),
    room("pve-client", 1, &[]),
    room("monitoring", 1, &["domain"]),
    room("secrets", 1, &["domain"]),
    pure(
        room("calendar", 1, &["domain"]),
        &["chrono", "chrono-tz", "croner"],
    ),
    pure(room("web", 1, &[]), &["rust-embed", "hex"]),
    // It writes what people read, so it stands above the sentences; URLs are sealed.
    room("notify", 2, &["domain", "messages", "secrets"]),
    room("store-seaorm", 2, &["domain", "store"]),
    room("store-memory", 2, &["domain", "store"]),
    room("secrets-embedded", 2, &["store", "secrets"]),
    room(
        "provisioner-proxmox",
        2,
        &["domain", "provisioner", "pve-client"],
    ),
    room(
        "provisioner-terraform",
        2,
        &["domain", "store", "provisioner", "pve-client", "secrets"],
    ),
    room(
        "app",
        3,
        &[
            "domain",
            "store",
            "calendar",
            "provisioner",
            "monitoring",
            "notify",
            "secrets",
        ],
    ),
    room("api", 4, &["domain", "messages", "app", "web"]),
    room(
        "jobs",
        4,
        &[
            "domain",
            "store",
            "calendar",
            "provisioner",
            "monitoring",
            "notify",
            "app",
        ],
    ),
    room(
        "bootstrap",
        5,
        &[
            "domain",
            "messages",
            "store",
            "provisioner",
            "settings",
            "pve-client",
            "monitoring",
            "notify",
            "secrets",
            "store-seaorm",
            "secrets-embedded",
            "provisioner-proxmox",
            "provisioner-terraform",
            "app",
            "api",
            "jobs",
        ],
    ),
    room("bin-api", 6, &["bootstrap"]),
    room("bin-worker", 6, &["bootstrap"]),
    beside("pve-simulator", Knows::Only(&[])),
    room("bin-pve-simulator", 6, &["pve-simulator"]),
    beside("test-support", Knows::Everything),
    beside("simulation", Knows::Everything),
    beside("tests", Knows::Everything),
    beside("xtask", Knows::Only(&[])),
];

/// Crates of others that only some rooms may know.
pub(crate) struct Kept {
    pub(crate) outside: &'static [&'static str],
    pub(crate) rooms: &'static [&'static str],
}

/// Every outside thing has its room. Tests and chores may use what they need, with one exception: the
/// chores stay light.
pub(crate) const KEPT: &[Kept] = &[
    Kept {
        outside: &["axum", "axum-server", "tower", "tower-http"],
        rooms: &["api", "bootstrap"],
    },
    Kept {
        outside: &["axum-extra"],
        rooms: &["api"],
    },
    // utoipa: the OpenAPI document
    Kept {
        outside: &["utoipa", "utoipa-swagger-ui"],
        rooms: &["api"],
    },
    Kept {
        outside: &["sea-orm", "sea-orm-migration", "sqlx"],
        rooms: &["store-seaorm"],
    },
    Kept {
        outside: &["reqwest"],
        rooms: &["pve-client", "monitoring", "notify", "secrets"],
    },
    Kept {
        outside: &["prometheus-http-query"],
        rooms: &["monitoring"],
    },
    Kept {
        outside: &["hyper", "hyper-util", "http-body-util"],
        rooms: &["pve-client", "provisioner-terraform"],
    },
    Kept {
        outside: &["aws-lc-rs", "vaultrs", "ssh-key"],
        rooms: &["secrets"],
    },
    Kept {
        outside: &["metrics"],
        rooms: &["pve-client", "api", "jobs", "bootstrap"],
    },
    // Counting is told in one place, in whatever text.
    Kept {
        outside: &["metrics-exporter-prometheus"],
        rooms: &["bootstrap"],
    },
    Kept {
        outside: &["zip"],
        rooms: &["api", "xtask"],
    },
    Kept {
        outside: &["config"],
        rooms: &["settings"],
    },
    Kept {
        outside: &["argon2"],
        rooms: &["app"],
    },
    Kept {
        outside: &["tracing-subscriber"],
        rooms: &["bootstrap", "bin-pve-simulator"],
    },
    Kept {
        outside: &["clap"],
        rooms: &["bootstrap", "bin-pve-simulator", "xtask"],
    },
    Kept {
        outside: &["secrecy"],
        rooms: &[
            "settings",
            "pve-client",
            "monitoring",
            "notify",
            "secrets",
            "secrets-embedded",
            "provisioner-terraform",
            // Keys are made and checked here, and come in there.
            "app",
            "api",
            "bootstrap",
        ],
    },
    Kept {
        outside: &["anyhow"],
        rooms: &[
            "store",
            "provisioner",
            "store-seaorm",
            "store-memory",
            "provisioner-proxmox",
            "provisioner-terraform",
            "app",
            "bootstrap",
            "bin-api",
            "bin-worker",
            "bin-pve-simulator",
            "xtask",
        ],
    },
    Kept {
        outside: &["openssl", "openssl-sys", "native-tls", "ring"],
        rooms: &[],
    },
];

/// The room of this name.
pub(crate) fn find(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// # Errors
/// With everything that is wrong.
pub(crate) fn run() -> anyhow::Result<()> {
    let crates = edges::read(&workspace::metadata()?)?;
    let root = workspace::root();
    let mut wrong = edges::check(&crates);
    wrong.extend(sources::check(&root, &crates)?);
    wrong.extend(readme::check(&root)?);
    if wrong.is_empty() {
        let edges: usize = crates.iter().map(|one| one.ours.len()).sum();
        println!(
            "check-layers: {} crates, {edges} edges, all as the table says",
            crates.len()
        );
        return Ok(());
    }
    bail!(
        "check-layers: {} thing(s) wrong\n  {}",
        wrong.len(),
        wrong.join("\n  ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_the_table_point_down() {
        for room in ROOMS {
            let Knows::Only(known) = room.knows else {
                continue;
            };
            for name in known {
                let other = find(name).unwrap_or_else(|| panic!("{name} has no row"));
                if let (Layer::Floor(from), Layer::Floor(to)) = (room.layer, other.layer) {
                    assert!(to < from, "{} -> {name}", room.name);
                }
            }
        }
    }

    #[test]
    fn rules_name_rooms_that_exist() {
        for name in KEPT.iter().flat_map(|kept| kept.rooms) {
            assert!(find(name).is_some(), "{name}");
        }
    }
}
