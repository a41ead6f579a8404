//! Power: start, stop, shutdown, reboot, reset, suspend, resume.
//!
//! Whether a guest reacts to a request to shut down depends on what it is: a disk with a system
//! that has booted, and not declared deaf.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::answer::{Failure, Handled};
use crate::disks::{self, is_net};
use crate::dispatch::Context;
use crate::locks::CONFIG_WAIT;
use crate::model::{Guest, Power, World};
use crate::pace::Work;
use crate::property;
use crate::sim::Sim;
use crate::tasks::{Task, spawn};

/// When the cleanup of a stopped process runs, and how long it waits for another one.
const CLEANUP_DELAY: Duration = Duration::from_secs(1);
const CLEANUP_PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn call(c: &Context, path: &str) -> Handled {
    let vmid = c.vmid();
    let node = c.node.clone();
    for option in ["skiplock", "keepActive", "nocheck"] {
        if c.params.flag(option) && !c.who.is_root() {
            return Err(Failure::param(option, "Only root may use this option."));
        }
    }
    let action = path.trim_start_matches("/status/").to_owned();
    {
        let world = c.sim.world();
        let power = world.guest(&node, vmid).map(|guest| guest.power);
        match (action.as_str(), power) {
            ("reboot" | "reset" | "suspend" | "resume", Err(_)) => {
                return Err(Failure::die(format!(
                    "unable to find configuration file for VM {vmid} on node '{node}'"
                )));
            }
            ("reboot" | "reset" | "suspend" | "resume", Ok(Power::Stopped)) => {
                return Err(Failure::die(format!("VM {vmid} not running")));
            }
            ("shutdown" | "reboot", Ok(Power::Paused)) => {
                return Err(Failure::die("VM is paused - cannot shutdown"));
            }
            _ => {}
        }
    }
    let kind = match action.as_str() {
        "suspend" if !c.params.flag("todisk") => "qmpause".to_owned(),
        other => format!("qm{other}"),
    };
    let seconds = c
        .params
        .number("timeout")
        .and_then(|n| u64::try_from(n).ok())
        .unwrap_or(60);
    let patience = Duration::from_secs(seconds);
    let force = c.params.flag("forceStop");
    let skiplock = c.params.flag("skiplock");
    let overrule = c.params.flag("overrule-shutdown");
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        &kind,
        &vmid.to_string(),
        move |task| async move {
            if action == "stop" && overrule {
                task.sim.tasks.with(|records| {
                    let shutdowns = records.iter().filter(|record| {
                        record.exit.is_none()
                            && record.kind == "qmshutdown"
                            && record.id == vmid.to_string()
                    });
                    shutdowns.for_each(|record| record.cancel.cancel());
                });
            }
            let _lock = task
                .sim
                .locks
                .vm(&task.sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            if !skiplock {
                task.sim.world().guest(&node, vmid)?.check_lock()?;
            }
            match action.as_str() {
                "start" => start(&task, &node, vmid).await,
                "stop" => stop(&task, &node, vmid).await,
                "shutdown" => shutdown(&task, &node, vmid, patience, force).await,
                "reboot" => {
                    shutdown(&task, &node, vmid, patience, false).await?;
                    start(&task, &node, vmid).await
                }
                "reset" => {
                    task.work(Duration::ZERO).await?;
                    let boot = boot_at(&task.sim);
                    if let Ok(guest) = task.sim.world().guest_mut(&node, vmid) {
                        guest.booted_at = guest.booted_at.map(|_| boot);
                    }
                    task.effect("reset", &node, vmid, "");
                    Ok(())
                }
                "suspend" => set_power(&task, &node, vmid, Power::Paused, "suspend").await,
                _ => set_power(&task, &node, vmid, Power::Running, "resume").await,
            }
        },
    );
    Ok(json!(upid).into())
}

fn boot_at(sim: &Sim) -> u64 {
    let boot = sim.clock.scaled(sim.duration(Work::Boot));
    sim.clock.up_millis() + u64::try_from(boot.as_millis()).unwrap_or_default()
}

async fn set_power(
    task: &Task,
    node: &str,
    vmid: u32,
    power: Power,
    kind: &str,
) -> Result<(), String> {
    task.work(Duration::ZERO).await?;
    task.sim.world().guest_mut(node, vmid)?.power = power;
    task.effect(kind, node, vmid, "");
    Ok(())
}

/// Applies what waited for a power cycle.
fn apply_pending(world: &mut World, guest: &mut Guest) {
    for (key, value) in std::mem::take(&mut guest.pending) {
        match value {
            Some(value) => {
                guest.config.insert(key, value);
            }
            None => {
                if let Some(text) = guest.config.remove(&key)
                    && disks::is_drive(&key)
                {
                    let drive = disks::Drive::read(&text);
                    if drive.is_cloudinit() {
                        world.remove_volume(&guest.node, &drive.volid);
                    } else if !drive.is_cdrom() {
                        disks::add_unused(&mut guest.config, &drive.volid);
                    }
                }
            }
        }
    }
}

pub(super) async fn start(task: &Task, node: &str, vmid: u32) -> Result<(), String> {
    let sim = &task.sim;
    let (has_cloudinit, loose) = {
        let mut world = sim.world();
        let mut guest = world.guest(node, vmid)?.clone();
        if guest.is_running() {
            return Err(format!("VM {vmid} already running"));
        }
        if guest.is_template() {
            return Err("you can't start a vm if it's a template".into());
        }
        apply_pending(&mut world, &mut guest);
        let drives = disks::drives(&guest.config);
        let mut loose = Vec::new();
        for (key, text) in guest.config.iter().filter(|(key, _)| is_net(key)) {
            match property::read_net(text).get("bridge") {
                Some(bridge) if !sim.config.bridges.contains(bridge) => {
                    return Err(format!("bridge '{bridge}' does not exist"));
                }
                Some(_) => {}
                None => loose.push(format!("tap{vmid}i{}", key.trim_start_matches("net"))),
            }
        }
        let absent = drives.iter().find(|(_, drive)| {
            drive.volid.contains(':') && world.volume(node, &drive.volid).is_none()
        });
        if let Some((_, drive)) = absent {
            return Err(format!("volume '{}' does not exist", drive.volid));
        }
        let has_cloudinit = drives.iter().any(|(_, drive)| drive.is_cloudinit());
        world.guests.insert(vmid, guest);
        (has_cloudinit, loose)
    };
    if has_cloudinit {
        task.log("generating cloud-init ISO");
    }
    task.work(sim.duration(Work::Start)).await?;
    for interface in loose {
        task.warn(&format!(
            "Interface '{interface}' not attached to any bridge."
        ));
    }
    power_on(sim, node, vmid)?;
    task.effect("start", node, vmid, "");
    Ok(())
}

/// Turns a guest on and lets its system boot.
pub(crate) fn power_on(sim: &Sim, node: &str, vmid: u32) -> Result<(), String> {
    let boot = boot_at(sim);
    let pid = sim.next_pid();
    let now = sim.clock.up_millis();
    let mut world = sim.world();
    let guest = world.guest(node, vmid)?;
    let is_bootable = disks::drives(&guest.config).iter().any(|(_, drive)| {
        world
            .volume(node, &drive.volid)
            .is_some_and(|volume| volume.bootable)
    });
    let addresses = addresses(&mut world, node, vmid, &sim.config.dhcp_prefix)?;
    let guest = world.guest_mut(node, vmid)?;
    guest.power = Power::Running;
    guest.pid = pid;
    guest.started_at = now;
    guest.booted_at = is_bootable.then_some(boot);
    guest.addresses = addresses;
    drop(world);
    sim.mark_changed();
    Ok(())
}

/// The address of every network device once the system is up: configured, or leased by MAC.
fn addresses(
    world: &mut World,
    node: &str,
    vmid: u32,
    prefix: &str,
) -> Result<BTreeMap<String, String>, String> {
    let config = world.guest(node, vmid)?.config.clone();
    let mut result = BTreeMap::new();
    for (key, text) in config.iter().filter(|(key, _)| is_net(key)) {
        let index = key.trim_start_matches("net");
        let ip = property::read(
            config
                .get(&format!("ipconfig{index}"))
                .map_or("", String::as_str),
            "ip",
        );
        let address = match ip.get("ip").map(String::as_str) {
            Some(address) if address != "dhcp" => address.to_owned(),
            None if config.contains_key(&format!("ipconfig{index}")) => continue,
            _ => {
                let mac = property::read_net(text)
                    .get("macaddr")
                    .cloned()
                    .unwrap_or_default();
                let taken: Vec<u8> = world.leases.values().copied().collect();
                let free = (10..250)
                    .find(|suffix| !taken.contains(suffix))
                    .unwrap_or(250);
                let suffix = *world.leases.entry(mac).or_insert(free);
                format!("{prefix}.{suffix}/24")
            }
        };
        result.insert(key.clone(), address);
    }
    Ok(result)
}

/// The old process's cleanup: it waits for a process to end that has been replaced by a new one.
fn clean_up(sim: &std::sync::Arc<Sim>, node: &str, vmid: u32) {
    if !sim.config.cleanup_trap {
        return;
    }
    let (sim, node) = (std::sync::Arc::clone(sim), node.to_owned());
    tokio::spawn(async move {
        sim.clock.sleep(CLEANUP_DELAY).await;
        let lock = sim.locks.vm(&sim.clock, None, vmid, CLEANUP_PATIENCE).await;
        let is_running = sim.world().guest(&node, vmid).is_ok_and(Guest::is_running);
        if lock.is_ok() && is_running {
            sim.clock.sleep(CLEANUP_PATIENCE).await;
        }
        drop(lock);
    });
}

/// Turns a guest off, whatever it was doing. Returns whether it was on.
pub(crate) fn power_off(sim: &Sim, node: &str, vmid: u32) -> Result<bool, String> {
    let mut world = sim.world();
    let guest = world.guest_mut(node, vmid)?;
    let was_running = guest.is_running();
    guest.power = Power::Stopped;
    guest.booted_at = None;
    guest.addresses.clear();
    drop(world);
    sim.mark_changed();
    Ok(was_running)
}

pub(super) async fn stop(task: &Task, node: &str, vmid: u32) -> Result<(), String> {
    let is_running = task.sim.world().guest(node, vmid)?.is_running();
    let duration = if is_running {
        task.sim.duration(Work::Stop)
    } else {
        Duration::ZERO
    };
    task.work(duration).await?;
    if power_off(&task.sim, node, vmid)? {
        task.effect("stop", node, vmid, "");
        clean_up(&task.sim, node, vmid);
    }
    Ok(())
}

pub(super) async fn shutdown(
    task: &Task,
    node: &str,
    vmid: u32,
    patience: Duration,
    force: bool,
) -> Result<(), String> {
    let sim = &task.sim;
    if !sim.world().guest(node, vmid)?.is_running() {
        return task.work(Duration::ZERO).await;
    }
    let step = sim
        .clock
        .scaled(Duration::from_millis(200))
        .max(Duration::from_millis(1));
    let deadline = tokio::time::Instant::now() + sim.clock.scaled(patience);
    let reacts = loop {
        let (is_gone, is_listening) = {
            let world = sim.world();
            let guest = world.guest(node, vmid)?;
            (
                !guest.is_running(),
                !guest.deaf && guest.is_booted(sim.clock.up_millis()),
            )
        };
        if is_gone {
            break true;
        }
        if is_listening {
            let needed = sim.duration(Work::Shutdown);
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if sim.clock.scaled(needed) <= left || needed.is_zero() {
                task.sleep(needed).await?;
                break true;
            }
        }
        if tokio::time::Instant::now() >= deadline {
            break false;
        }
        tokio::select! {
            () = tokio::time::sleep(step) => {}
            () = task.interrupted() => return Err("received interrupt".into()),
        }
    };
    if !reacts {
        task.pause().await?;
        if !force {
            return Err("VM quit/powerdown failed - got timeout".into());
        }
        task.log("VM still running - terminating now with SIGTERM");
    }
    task.work(Duration::ZERO).await?;
    if power_off(sim, node, vmid)? {
        task.effect(
            "stop",
            node,
            vmid,
            if reacts { "shutdown" } else { "terminated" },
        );
    }
    Ok(())
}
