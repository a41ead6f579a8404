//! Snapshots and rollbacks.

use serde_json::{Value, json};

use crate::answer::{Failure, Handled, Reply};
use crate::disks;
use crate::dispatch::Context;
use crate::locks::CONFIG_WAIT;
use crate::model::{Guest, Power, Snapshot, World};
use crate::pace::Work;
use crate::tasks::spawn;

/// Every disk must be able to: raw files cannot.
pub(super) fn is_possible(world: &World, guest: &Guest) -> bool {
    disks::drives(&guest.config)
        .iter()
        .filter(|(_, drive)| !drive.is_cdrom())
        .all(|(_, drive)| {
            let Some(volume) = world.volume(&guest.node, &drive.volid) else {
                return false;
            };
            world.storage(volume.storage()).is_ok_and(|storage| {
                if disks::has_files(storage) {
                    volume.format == "qcow2"
                } else {
                    storage.kind != "lvm"
                }
            })
        })
}

pub(super) fn call(c: &Context, method: &str, path: &str) -> Handled {
    let is_config = path.ends_with("/config");
    match method {
        "GET" if is_config => {
            let world = c.sim.world();
            let guest = world.guest(&c.node, c.vmid())?;
            let name = c.params.text("snapname");
            let snapshot = guest
                .snapshots
                .get(&name)
                .ok_or_else(|| format!("snapshot '{name}' does not exist"))?;
            let mut data = super::config::snapshot_object(&snapshot.config);
            data["snaptime"] = json!(snapshot.snaptime);
            if !snapshot.description.is_empty() {
                data["description"] = json!(snapshot.description);
            }
            if let Some(parent) = &snapshot.parent {
                data["parent"] = json!(parent);
            }
            Ok(data.into())
        }
        "GET" => list(c),
        "POST" if path.ends_with("/rollback") => rollback(c),
        "POST" => create(c),
        _ => delete(c),
    }
}

fn list(c: &Context) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    let mut items: Vec<Value> = guest
        .snapshots
        .iter()
        .map(|(name, snapshot)| {
            let mut item = json!({
                "name": name, "description": snapshot.description, "snaptime": snapshot.snaptime,
                "vmstate": u8::from(snapshot.vmstate),
            });
            if let Some(parent) = &snapshot.parent {
                item["parent"] = json!(parent);
            }
            item
        })
        .collect();
    let mut current = json!({
        "name": "current", "description": "You are here!", "running": u8::from(guest.is_running()), "digest": guest.digest(),
    });
    if let Some(parent) = &guest.parent {
        current["parent"] = json!(parent);
    }
    items.push(current);
    Ok(Reply::from(items))
}

fn create(c: &Context) -> Handled {
    let vmid = c.vmid();
    let name = c.params.text("snapname");
    if matches!(name.as_str(), "current" | "pending") {
        return Err(Failure::die(format!(
            "unable to use snapshot name '{name}' (reserved name)"
        )));
    }
    let description = c.params.text("description");
    let wants_state = c.params.flag("vmstate");
    let node = c.node.clone();
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "qmsnapshot",
        &vmid.to_string(),
        move |task| async move {
            let sim = task.sim.clone();
            let _lock = sim
                .locks
                .vm(&sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            let lines = {
                let mut world = sim.world();
                let guest = world.guest(&node, vmid)?.clone();
                guest.check_lock()?;
                if guest.snapshots.contains_key(&name) {
                    return Err(format!("snapshot name '{name}' already used"));
                }
                if !is_possible(&world, &guest) {
                    return Err("snapshot feature is not available".into());
                }
                let mut lines = Vec::new();
                let has_state = wants_state && guest.is_running();
                if has_state {
                    let drives = disks::drives(&guest.config);
                    let storage = drives
                        .iter()
                        .find(|(_, drive)| !drive.is_cdrom())
                        .and_then(|(_, drive)| drive.volid.split(':').next())
                        .unwrap_or("local")
                        .to_owned();
                    let config = world.storage(&storage)?.clone();
                    let size = super::guests::maxmem(&guest.config) * 2 + (500 << 20);
                    let (_, log) = disks::put(
                        &mut world,
                        &config,
                        sim.clock.now(),
                        &node,
                        vmid,
                        &format!("vm-{vmid}-state-{name}"),
                        size,
                        "raw",
                    );
                    lines.extend(log);
                    lines.push(format!("saving VM state and RAM using storage '{storage}'"));
                    lines.push("232.00 B in 0s".into());
                    lines.push("completed saving the VM state in 0s, saved 1.46 MiB".into());
                }
                for (key, drive) in disks::drives(&guest.config)
                    .into_iter()
                    .filter(|(_, drive)| !drive.is_cdrom())
                {
                    lines.push(format!("snapshotting 'drive-{key}' ({})", drive.volid));
                    if guest.is_running() {
                        lines.push("internal qemu snapshot".into());
                    }
                }
                world
                    .guest_mut(&node, vmid)?
                    .config
                    .insert("lock".into(), "snapshot".into());
                lines
            };
            let outcome = task.work(sim.duration(Work::Snapshot)).await;
            {
                let mut world = sim.world();
                let now = sim.clock.now();
                let guest = world.guest_mut(&node, vmid)?;
                guest.config.remove("lock");
                outcome?;
                let mut config = guest.config.clone();
                config.remove("description");
                let snapshot = Snapshot {
                    config,
                    snaptime: now,
                    description,
                    parent: guest.parent.clone(),
                    vmstate: wants_state && guest.is_running(),
                };
                guest.snapshots.insert(name.clone(), snapshot);
                guest.parent = Some(name.clone());
            }
            lines.into_iter().for_each(|line| task.log(line));
            task.effect("snapshot", &node, vmid, name);
            Ok(())
        },
    );
    Ok(json!(upid).into())
}

fn rollback(c: &Context) -> Handled {
    let vmid = c.vmid();
    let name = c.params.text("snapname");
    let node = c.node.clone();
    let wants_start = c.params.flag("start");
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "qmrollback",
        &vmid.to_string(),
        move |task| async move {
            let sim = task.sim.clone();
            let lock = sim
                .locks
                .vm(&sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            let snapshot = {
                let world = sim.world();
                let guest = world.guest(&node, vmid)?;
                let found = guest
                    .snapshots
                    .get(&name)
                    .cloned()
                    .ok_or_else(|| format!("snapshot '{name}' does not exist"))?;
                guest.check_lock()?;
                found
            };
            task.work(sim.duration(Work::Snapshot)).await?;
            {
                let mut world = sim.world();
                let genid = sim.random.uuid();
                let guest = world.guest_mut(&node, vmid)?;
                let description = guest.config.remove("description");
                guest.config.clone_from(&snapshot.config);
                if let Some(description) = description {
                    guest.config.insert("description".into(), description);
                }
                if guest.config.contains_key("vmgenid") {
                    guest.config.insert("vmgenid".into(), genid);
                }
                guest.pending.clear();
                guest.parent = Some(name.clone());
                guest.power = Power::Stopped;
            }
            task.effect("rollback", &node, vmid, name);
            if snapshot.vmstate {
                let (has_cloudinit, nets) = {
                    let world = sim.world();
                    let guest = world.guest(&node, vmid)?;
                    let nets: Vec<String> = guest
                        .config
                        .keys()
                        .filter(|key| disks::is_net(key))
                        .cloned()
                        .collect();
                    (
                        disks::drives(&guest.config)
                            .iter()
                            .any(|(_, drive)| drive.is_cloudinit()),
                        nets,
                    )
                };
                if has_cloudinit {
                    task.log("generating cloud-init ISO");
                }
                for net in nets {
                    task.log(format!(
                        "netdev {net}: using 'host_mtu=1500' for migration compat"
                    ));
                }
                super::power::power_on(&sim, &node, vmid)?;
            } else if wants_start {
                super::power::start(&task, &node, vmid).await?;
            }
            drop(lock);
            Ok(())
        },
    );
    Ok(json!(upid).into())
}

fn delete(c: &Context) -> Handled {
    let vmid = c.vmid();
    let name = c.params.text("snapname");
    let node = c.node.clone();
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "qmdelsnapshot",
        &vmid.to_string(),
        move |task| async move {
            let sim = task.sim.clone();
            let _lock = sim
                .locks
                .vm(&sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            {
                let world = sim.world();
                let guest = world.guest(&node, vmid)?;
                if !guest.snapshots.contains_key(&name) {
                    return Err(format!("snapshot '{name}' does not exist"));
                }
                guest.check_lock()?;
            }
            task.work(sim.duration(Work::Snapshot)).await?;
            {
                let mut world = sim.world();
                let guest = world.guest_mut(&node, vmid)?;
                let parent = guest
                    .snapshots
                    .remove(&name)
                    .and_then(|snapshot| snapshot.parent);
                for other in guest.snapshots.values_mut() {
                    if other.parent.as_deref() == Some(name.as_str()) {
                        other.parent.clone_from(&parent);
                    }
                }
                if guest.parent.as_deref() == Some(name.as_str()) {
                    guest.parent = parent;
                }
                let stem = format!("vm-{vmid}-state-{name}");
                world
                    .volumes
                    .retain(|volume| !(volume.vmid == Some(vmid) && volume.volid.contains(&stem)));
            }
            task.effect("delete-snapshot", &node, vmid, name);
            Ok(())
        },
    );
    Ok(json!(upid).into())
}
