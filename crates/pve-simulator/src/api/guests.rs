//! Reading guests: lists, current status, charts.

use serde_json::{Map, Value, json};

use crate::acl;
use crate::answer::Handled;
use crate::disks::{drives, is_net};
use crate::dispatch::Context;
use crate::model::{Guest, Options, Power};
use crate::schema::split_index;
use crate::sim::Sim;

pub(super) fn cpus(config: &Options) -> u64 {
    let number = |key: &str| config.get(key).and_then(|text| text.parse::<u64>().ok());
    number("vcpus").unwrap_or_else(|| number("cores").unwrap_or(1) * number("sockets").unwrap_or(1))
}

pub(super) fn maxmem(config: &Options) -> u64 {
    let text = config.get("memory").map_or("512", String::as_str);
    let mebibytes: u64 = text.trim_start_matches("current=").parse().unwrap_or(512);
    mebibytes << 20
}

/// Size of the first disk in the boot order.
pub(super) fn maxdisk(config: &Options) -> u64 {
    let disks: Vec<_> = drives(config)
        .into_iter()
        .filter(|(_, drive)| !drive.is_cdrom())
        .collect();
    let boot = config
        .get("boot")
        .map_or("", String::as_str)
        .trim_start_matches("order=");
    boot.split(';')
        .find_map(|key| disks.iter().find(|(name, _)| name == key))
        .or_else(|| disks.first())
        .map(|(_, drive)| drive.size())
        .unwrap_or_default()
}

/// Bytes a second that a running guest hears.
const RATE_IN: u64 = 1000;
/// Those that it says.
const RATE_OUT: u64 = 800;

fn uptime(sim: &Sim, guest: &Guest) -> u64 {
    if guest.is_running() {
        (sim.clock.up_millis().saturating_sub(guest.started_at)) / 1000
    } else {
        0
    }
}

/// Bytes in and out since it was started: a system that runs says and hears a little all the time.
fn traffic(sim: &Sim, guest: &Guest) -> (u64, u64) {
    if !guest.is_running() {
        return (0, 0);
    }
    let secs = match guest.is_booted(sim.clock.up_millis()) {
        true => uptime(sim, guest),
        false => 0,
    };
    let (more_in, more_out) = guest.traffic;
    let steady = |rate: u64, more: u64| rate * secs + more;
    (steady(RATE_IN, more_in), steady(RATE_OUT, more_out))
}

pub(crate) fn qmp_status(guest: &Guest) -> &'static str {
    match guest.power {
        Power::Stopped => "stopped",
        Power::Running => "running",
        Power::Paused => "paused",
    }
}

/// What lists and the single status have in common.
fn summary(sim: &Sim, guest: &Guest) -> Value {
    let config = &guest.config;
    let (netin, netout) = traffic(sim, guest);
    let mut entry = json!({
        "vmid": guest.vmid, "name": guest.name(),
        "status": if guest.is_running() { "running" } else { "stopped" },
        "cpus": cpus(config), "cpu": 0, "maxmem": maxmem(config), "mem": 0, "memhost": 0,
        "maxdisk": maxdisk(config), "disk": 0, "netin": netin, "netout": netout,
        "uptime": uptime(sim, guest),
    });
    if guest.is_running() {
        entry["pid"] = json!(guest.pid);
        for kind in ["cpu", "io", "memory"] {
            entry[format!("pressure{kind}some")] = json!(0);
            entry[format!("pressure{kind}full")] = json!(0);
        }
        if guest.is_booted(sim.clock.up_millis()) {
            entry["mem"] = json!(maxmem(config) / 3);
            entry["memhost"] = json!(maxmem(config) / 2);
        }
    }
    if guest.is_template() {
        entry["template"] = json!(1);
    }
    for key in ["lock", "tags"] {
        if let Some(value) = config.get(key) {
            entry[key] = json!(value);
        }
    }
    if config
        .keys()
        .any(|key| split_index(key).is_some_and(|(base, _)| base == "serial"))
    {
        entry["serial"] = json!(1);
    }
    entry
}

/// The part that comes from the running process.
fn live(sim: &Sim, guest: &Guest, entry: &mut Value) {
    entry["qmpstatus"] = json!(qmp_status(guest));
    if !guest.is_running() {
        return;
    }
    let memory = maxmem(&guest.config);
    entry["running-qemu"] = json!("10.2.2");
    entry["running-machine"] = json!("pc-i440fx-10.2+pve0");
    entry["diskread"] = json!(0);
    entry["diskwrite"] = json!(0);
    entry["balloon"] = json!(memory);
    entry["ballooninfo"] = json!({"actual": memory, "max_mem": memory});
    entry["proxmox-support"] = json!({
        "backup-access-api": true, "backup-fleecing": true, "backup-max-workers": true, "pbs-dirty-bitmap": true,
        "pbs-dirty-bitmap-migration": true, "pbs-dirty-bitmap-savevm": true, "pbs-library-version": "1.5.1",
        "pbs-masterkey": true, "query-bitmap-info": true,
    });
    let blocks: Map<String, Value> = drives(&guest.config)
        .into_iter()
        .map(|(key, _)| (key, block_statistics()))
        .collect();
    entry["blockstat"] = Value::Object(blocks);
    // All of it through each: the simulated guests have one.
    let (netin, netout) = traffic(sim, guest);
    let nics: Map<String, Value> = guest
        .config
        .keys()
        .filter(|key| is_net(key))
        .filter_map(|key| split_index(key))
        .map(|(_, index)| {
            (
                format!("tap{}i{index}", guest.vmid),
                json!({"netin": netin, "netout": netout}),
            )
        })
        .collect();
    if !nics.is_empty() {
        entry["nics"] = Value::Object(nics);
    }
}

fn block_statistics() -> Value {
    let mut counters = json!({"account_failed": true, "account_invalid": true, "timed_stats": [], "wr_highest_offset": 0});
    for kind in ["rd", "wr", "unmap", "zone_append"] {
        for what in ["bytes", "operations", "merged", "total_time_ns"] {
            counters[format!("{kind}_{what}")] = json!(0);
        }
    }
    for kind in ["rd", "wr", "unmap", "zone_append", "flush"] {
        counters[format!("failed_{kind}_operations")] = json!(0);
        counters[format!("invalid_{kind}_operations")] = json!(0);
    }
    counters["flush_operations"] = json!(0);
    counters["flush_total_time_ns"] = json!(0);
    counters
}

pub(super) fn list(c: &Context) -> Handled {
    let is_full = c.params.flag("full");
    let world = c.sim.world();
    let guests = world
        .guests
        .values()
        .filter(|guest| guest.node == c.node)
        .filter(|guest| acl::has(&world, &c.who, &format!("/vms/{}", guest.vmid), "VM.Audit"));
    let entries = guests.map(|guest| {
        let mut entry = summary(&c.sim, guest);
        if is_full {
            live(&c.sim, guest, &mut entry);
        }
        entry
    });
    Ok(entries.collect::<Vec<Value>>().into())
}

pub(super) fn current(c: &Context) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    let mut entry = summary(&c.sim, guest);
    live(&c.sim, guest, &mut entry);
    entry["ha"] = json!({"managed": 0});
    if guest.has_agent() {
        entry["agent"] = json!(1);
    }
    if guest.config.contains_key("vga") {
        entry["clipboard"] = Value::Null;
    }
    Ok(entry.into())
}

pub(super) fn monitor(c: &Context) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    if !guest.is_running() {
        return Err(format!("VM {} not running", guest.vmid).into());
    }
    match c.params.get("command") {
        Some("info status") => Ok(json!(format!("VM status: {}\r\n", qmp_status(guest))).into()),
        _ => Ok(json!("").into()),
    }
}

pub(super) fn feature(c: &Context) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    let has_feature = match c.params.get("feature") {
        Some("snapshot") => super::snapshots::is_possible(&world, guest),
        Some("clone") => guest.is_template(),
        _ => true,
    };
    let nodes: Vec<&str> = c
        .sim
        .config
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    Ok(json!({"hasFeature": u8::from(has_feature), "nodes": nodes}).into())
}

pub(super) fn rrddata(c: &Context) -> Handled {
    let (cpus, memory, disk, started, is_running) = {
        let world = c.sim.world();
        let guest = world.guest(&c.node, c.vmid())?;
        let config = &guest.config;
        (
            cpus(config),
            maxmem(config),
            maxdisk(config),
            uptime(&c.sim, guest),
            guest.is_running(),
        )
    };
    let (step, count) = match c.params.get("timeframe") {
        Some("day") => (60, 1440),
        Some("week") => (1800, 336),
        Some("month") => (1800, 1440),
        Some("year") => (21_600, 1440),
        Some("decade") => (604_800, 520),
        _ => (60, 60),
    };
    let now = c.sim.clock.now();
    let newest = now / step * step;
    let points = (0..count).map(|at| {
        let time = newest - (count - 1 - at) * step;
        let was_running = is_running && time >= now - i64::try_from(started).unwrap_or_default() - step;
        if !was_running {
            return json!({"time": time});
        }
        let wave = ((time / step) % 10) as f64;
        json!({
            "time": time, "maxcpu": cpus, "cpu": 0.01 + wave / 500.0, "maxmem": memory,
            "mem": memory as f64 / 3.0, "memhost": memory as f64 / 2.0, "maxdisk": disk, "disk": 0.0,
            "netin": RATE_IN as f64 + wave * 10.0, "netout": RATE_OUT as f64 + wave * 10.0, "diskread": 0.0, "diskwrite": 4096.0,
            "pressurecpusome": 0.0, "pressurecpufull": 0.0, "pressureiosome": 0.0, "pressureiofull": 0.0,
            "pressurememorysome": 0.0, "pressurememoryfull": 0.0,
        })
    });
    Ok(points.collect::<Vec<Value>>().into())
}

/// One guest as `/cluster/resources` shows it: partly live, partly as last broadcast.
pub(super) fn resource(sim: &Sim, guest: &Guest, pool: Option<&str>) -> Value {
    let mut entry = json!({
        "id": format!("qemu/{}", guest.vmid), "type": "qemu", "vmid": guest.vmid, "node": guest.node,
        "status": "unknown",
    });
    for key in ["lock", "tags"] {
        if let Some(value) = guest.config.get(key) {
            entry[key] = json!(value);
        }
    }
    if let Some(pool) = pool {
        entry["pool"] = json!(pool);
    }
    let is_always_fresh = sim.config.metrics_interval_secs <= 0.0;
    let seen = if is_always_fresh {
        Some(broadcast(guest))
    } else {
        guest.broadcast.clone()
    };
    if let Some(seen) = seen {
        let is_running = seen.status != "stopped";
        entry["name"] = json!(seen.name);
        entry["status"] = json!(seen.status);
        entry["template"] = json!(u8::from(seen.template));
        entry["uptime"] = json!(if is_running { uptime(sim, guest) } else { 0 });
        entry["maxcpu"] = json!(seen.cpus);
        entry["maxmem"] = json!(seen.maxmem);
        entry["maxdisk"] = json!(seen.maxdisk);
        for key in ["cpu", "mem", "memhost", "disk", "diskread", "diskwrite"] {
            entry[key] = json!(0);
        }
        if is_running && guest.booted_at.is_some() {
            entry["cpu"] = json!(0.02);
            entry["mem"] = json!(seen.maxmem / 3);
            entry["memhost"] = json!(seen.maxmem / 2);
        }
        let (netin, netout) = traffic(sim, guest);
        entry["netin"] = json!(netin);
        entry["netout"] = json!(netout);
    }
    entry
}

/// One round of the status daemon.
pub(crate) fn broadcast_all(sim: &Sim) {
    let mut world = sim.world();
    let offline = world.offline.clone();
    for guest in world
        .guests
        .values_mut()
        .filter(|guest| !offline.contains(&guest.node))
    {
        guest.broadcast = Some(broadcast(guest));
    }
    world.is_warm = true;
}

/// Everything the status daemon would broadcast about a guest right now.
pub(crate) fn broadcast(guest: &Guest) -> crate::model::Broadcast {
    crate::model::Broadcast {
        name: guest.name(),
        status: qmp_status(guest).to_owned(),
        template: guest.is_template(),
        uptime: 0,
        cpus: cpus(&guest.config),
        maxmem: maxmem(&guest.config),
        maxdisk: maxdisk(&guest.config),
    }
}
