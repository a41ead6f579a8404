//! Nodes: versions, load, networks, and the short lists a standalone exporter expects.

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Failure, Handled, Reply};
use crate::config::NodeConfig;
use crate::dispatch::Context;
use crate::model::World;
use crate::sim::Sim;

const RELEASE: &str = "9.2";
const VERSION: &str = "9.2.11";
const REPOID: &str = "14a22df35955d97d";

pub(super) fn version() -> Handled {
    Ok(json!({"release": RELEASE, "version": VERSION, "repoid": REPOID}).into())
}

pub(super) fn call(c: &Context, path: &str) -> Handled {
    match path {
        "/nodes" => list(c),
        "/nodes/{node}/version" => version(),
        "/nodes/{node}/status" => status(c),
        "/nodes/{node}/network" => Ok(networks(c)),
        "/nodes/{node}/subscription" => Ok(json!({
            "serverid": "0", "status": "notfound", "message": "There is no subscription key",
            "url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
        })
        .into()),
        "/nodes/{node}/time" => {
            let now = c.sim.clock.now();
            Ok(json!({"time": now, "localtime": now, "timezone": "UTC"}).into())
        }
        "/nodes/{node}/dns" => {
            Ok(json!({"dns1": "192.0.2.53", "search": "example.internal"}).into())
        }
        "/nodes/{node}/certificates/info" => Ok(certificates(c)),
        "/nodes/{node}/query-url-metadata" => super::storage::url_metadata(c),
        "/nodes/{node}/rrddata" => Ok(rrddata(c)),
        "/nodes/{node}" => Ok(super::index(
            &["nodes".into(), c.node.clone()],
            &[
                "aplinfo",
                "apt",
                "capabilities",
                "ceph",
                "certificates",
                "config",
                "disks",
                "dns",
                "firewall",
                "hardware",
                "hosts",
                "journal",
                "lxc",
                "migrateall",
                "netstat",
                "network",
                "qemu",
                "query-oci-repo-tags",
                "query-url-metadata",
                "replication",
                "report",
                "rrd",
                "rrddata",
                "scan",
                "sdn",
                "services",
                "spiceshell",
                "startall",
                "status",
                "stopall",
                "storage",
                "subscription",
                "suspendall",
                "syslog",
                "tasks",
                "termproxy",
                "time",
                "version",
                "vncshell",
                "vzdump",
                "wakeonlan",
            ],
        )),
        _ => Ok(json!([]).into()),
    }
}

/// What the node's guests use: (running vCPUs, memory in bytes).
fn usage(world: &World, node: &str) -> (u64, u64) {
    let running = world
        .guests
        .values()
        .filter(|guest| guest.node == node && guest.is_running());
    running.fold((0, 0), |(cpus, memory), guest| {
        (
            cpus + super::guests::cpus(&guest.config),
            memory + super::guests::maxmem(&guest.config),
        )
    })
}

/// The measured part of a node's entry, shown with `Sys.Audit` only.
fn load(sim: &Sim, world: &World, node: &NodeConfig) -> Value {
    let (cpus, memory) = usage(world, &node.name);
    #[expect(clippy::cast_precision_loss, reason = "a load figure")]
    let cpu = (cpus as f64 * 0.05 / f64::from(node.cpus)).min(1.0);
    json!({
        "cpu": cpu, "maxcpu": node.cpus, "mem": (2_u64 << 30) + memory / 2, "maxmem": node.memory,
        "disk": 8_000_000_000_u64, "maxdisk": 94_000_000_000_u64, "uptime": 3600 + sim.clock.up_millis() / 1000,
    })
}

fn list(c: &Context) -> Handled {
    let world = c.sim.world();
    let nodes = c.sim.config.nodes.iter().map(|node| {
        let mut entry = json!({
            "node": node.name, "id": format!("node/{}", node.name), "type": "node",
            "ssl_fingerprint": c.sim.fingerprint,
        });
        fill(c, &world, node, &mut entry);
        entry
    });
    Ok(nodes.collect::<Vec<Value>>().into())
}

/// Adds status and, where allowed, load.
pub(super) fn fill(c: &Context, world: &World, node: &NodeConfig, entry: &mut Value) {
    let status = if !world.is_warm {
        "unknown"
    } else if world.offline.contains(&node.name) {
        "offline"
    } else {
        "online"
    };
    entry["status"] = json!(status);
    if status == "online" && acl::has(world, &c.who, &format!("/nodes/{}", node.name), "Sys.Audit")
    {
        entry["level"] = json!("");
        if let (Value::Object(entry), Value::Object(load)) = (entry, load(&c.sim, world, node)) {
            entry.extend(load);
        }
    }
}

fn status(c: &Context) -> Handled {
    let node = c.sim.config.nodes.iter().find(|node| node.name == c.node);
    let node = node.ok_or_else(|| Failure::die("no such node"))?;
    let load = load(&c.sim, &c.sim.world(), node);
    let used = load["mem"].as_u64().unwrap_or_default();
    Ok(json!({
        "cpu": load["cpu"], "wait": 0, "idle": 0, "uptime": load["uptime"],
        "loadavg": ["0.42", "0.31", "0.18"],
        "pveversion": format!("pve-manager/{VERSION}/{REPOID}"),
        "kversion": "Linux 6.14.11-4-pve #1 SMP PREEMPT_DYNAMIC PMX 6.14.11-4",
        "current-kernel": {
            "sysname": "Linux", "release": "6.14.11-4-pve", "machine": "x86_64",
            "version": "#1 SMP PREEMPT_DYNAMIC PMX 6.14.11-4",
        },
        "boot-info": {"mode": "legacy-bios"},
        "ksm": {"shared": 0},
        "swap": {"free": 0, "total": 0, "used": 0},
        "memory": {
            "total": node.memory, "used": used, "free": node.memory.saturating_sub(used),
            "available": node.memory.saturating_sub(used),
        },
        "rootfs": {"total": 94_000_000_000_u64, "used": 8_000_000_000_u64, "free": 86_000_000_000_u64, "avail": 81_000_000_000_u64},
        "cpuinfo": {
            "model": "Simulated Processor", "vendor": "GenuineIntel", "family": "6", "sockets": 1, "cores": node.cpus,
            "cpus": node.cpus, "mhz": "2300.000", "user_hz": 100, "hvm": "1", "flags": "fpu vme de pse tsc msr vmx",
        },
    })
    .into())
}

fn networks(c: &Context) -> Reply {
    let wanted = c.params.get("type");
    let mut items = Vec::new();
    let world = c.sim.world();
    for (at, bridge) in c.sim.config.bridges.iter().enumerate() {
        let ports = world.bridge_ports.get(bridge);
        let ip = format!("192.0.2.{}", at + 2);
        items.push(json!({
            "iface": bridge, "type": "bridge", "method": "static", "method6": "manual", "families": ["inet"],
            "address": ip, "netmask": "24", "cidr": format!("{ip}/24"), "autostart": 1, "active": 1,
            "bridge_ports": ports.map_or("", String::as_str), "bridge_stp": "off", "bridge_fd": 0, "priority": at + 4,
        }));
    }
    items.push(json!({
        "iface": "eth0", "type": "eth", "method": "manual", "method6": "manual", "families": ["inet"],
        "exists": 1, "active": 1, "priority": 3,
    }));
    items.retain(|item| match wanted {
        None => true,
        Some("any_bridge" | "any_local_bridge" | "bridge") => item["type"] == "bridge",
        Some(kind) => item["type"] == kind,
    });
    items.into()
}

fn rrddata(c: &Context) -> Reply {
    let now = c.sim.clock.now() / 60 * 60;
    let points = (0..60).map(|at| {
        json!({
            "time": now - (59 - at) * 60, "maxcpu": 16, "cpu": 0.02, "iowait": 0.0, "loadavg": 0.3,
            "memtotal": 64_u64 << 30, "memused": 4_u64 << 30, "netin": 1000.0, "netout": 900.0,
        })
    });
    points.collect::<Vec<Value>>().into()
}

/// As the schema has it, with what anybody needs of it: the cluster's authority, and what the node made with it.
fn certificates(c: &Context) -> Reply {
    const YEAR: i64 = 365 * 24 * 3600;
    let now = c.sim.clock.now();
    let ends = c.sim.world().certificate_ends.get(&c.node).copied();
    let issuer = "/CN=Proxmox Virtual Environment/OU=simulator/O=PVE Cluster Manager CA";
    let one = |filename: &str, subject: String, notafter: i64| {
        json!({
            "filename": filename, "subject": subject, "issuer": issuer, "notbefore": now - YEAR,
            "notafter": notafter, "san": [c.node],
        })
    };
    let node = format!(
        "/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN={}",
        c.node
    );
    json!([
        one("pve-root-ca.pem", issuer.to_owned(), now + 9 * YEAR),
        one("pve-ssl.pem", node, ends.unwrap_or(now + YEAR)),
    ])
    .into()
}
