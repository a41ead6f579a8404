//! Moving guests between nodes and disks between storages.

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Failure, Handled};
use crate::disks::{self, Drive};
use crate::dispatch::Context;
use crate::locks::CONFIG_WAIT;
use crate::model::{Guest, World};
use crate::pace::Work;
use crate::tasks::spawn;

fn local_disks(world: &World, guest: &Guest) -> Vec<(String, Drive, u64)> {
    let mut found = Vec::new();
    for (key, drive) in disks::drives(&guest.config) {
        let is_local = drive
            .volid
            .split_once(':')
            .and_then(|(storage, _)| world.storages.get(storage))
            .is_some_and(|storage| !storage.shared);
        if is_local && (!drive.is_cdrom() || drive.is_cloudinit()) {
            let size = world
                .volume(&guest.node, &drive.volid)
                .map_or(0, |volume| volume.size);
            found.push((key, drive, size));
        }
    }
    found
}

pub(super) fn preconditions(c: &Context) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    guest.check_lock()?;
    let disks: Vec<Value> = local_disks(&world, guest)
        .into_iter()
        .map(|(key, drive, size)| {
            json!({"volid": drive.volid, "size": size, "cdrom": u8::from(drive.is_cdrom()), "is_unused": 0, "drivename": key})
        })
        .collect();
    let others: Vec<&str> = c
        .sim
        .config
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .filter(|name| *name != c.node)
        .collect();
    Ok(json!({
        "running": u8::from(guest.is_running()), "allowed_nodes": others, "not_allowed_nodes": {}, "local_disks": disks,
        "local_resources": [], "mapped-resources": [], "mapped-resource-info": {}, "has-dbus-vmstate": 1,
    })
    .into())
}

pub(super) fn migrate(c: &Context) -> Handled {
    let vmid = c.vmid();
    let (node, target) = (c.node.clone(), c.params.text("target"));
    let with_disks = c.params.flag("with-local-disks");
    let target_storage = c.params.get("targetstorage").map(str::to_owned);
    if target == node {
        return Err(Failure::param("target", "target is local node."));
    }
    if !c.sim.has_node(&target) {
        return Err(Failure::die(format!("no such cluster node '{target}'")));
    }
    {
        let world = c.sim.world();
        let guest = world.guest(&node, vmid)?;
        guest.check_lock()?;
        if guest.is_running() && !c.params.flag("online") {
            return Err(Failure::die("can't migrate running VM without --online"));
        }
    }
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "qmigrate",
        &vmid.to_string(),
        move |task| async move {
            let sim = task.sim.clone();
            let _lock = sim
                .locks
                .vm(&sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            let bytes = {
                let mut world = sim.world();
                let guest = world.guest(&node, vmid)?.clone();
                guest.check_lock()?;
                if world.offline.contains(&target) {
                    return Err(format!(
                        "Can't connect to destination address using public key on node '{target}'"
                    ));
                }
                let local = local_disks(&world, &guest);
                if !local.is_empty() && !with_disks && guest.is_running() {
                    return Err(
                        "can't live migrate attached local disks without with-local-disks option"
                            .into(),
                    );
                }
                for (_, drive, _) in &local {
                    let own = drive.volid.split(':').next().unwrap_or_default();
                    let name = target_storage.as_deref().unwrap_or(own);
                    world.storage_on(&target, name)?;
                }
                world
                    .guest_mut(&node, vmid)?
                    .config
                    .insert("lock".into(), "migrate".into());
                local.iter().map(|(_, _, size)| size).sum::<u64>()
            };
            task.log(format!(
                "starting migration of VM {vmid} to node '{target}' (192.0.2.2)"
            ));
            let outcome = task.work(sim.duration(Work::Transfer(bytes))).await;
            {
                let mut world = sim.world();
                world.guest_mut(&node, vmid)?.config.remove("lock");
                outcome?;
                relocate(&mut world, &node, &target, vmid, target_storage.as_deref());
            }
            task.log("migration finished successfully (duration 00:00:01)");
            task.effect("migrate", &target, vmid, format!("from {node}"));
            Ok(())
        },
    );
    Ok(json!(upid).into())
}

/// Moves configuration and local volumes to another node.
pub(crate) fn relocate(
    world: &mut World,
    node: &str,
    target: &str,
    vmid: u32,
    storage: Option<&str>,
) {
    let Ok(guest) = world.guest(node, vmid).cloned() else {
        return;
    };
    let mut config = guest.config.clone();
    for (key, mut drive, _) in local_disks(world, &guest) {
        if let Some(volume) = world.volume_mut(node, &drive.volid) {
            target.clone_into(&mut volume.node);
            if let (Some(storage), Some((_, name))) = (storage, drive.volid.clone().split_once(':'))
            {
                volume.volid = format!("{storage}:{name}");
                drive.volid.clone_from(&volume.volid);
            }
        }
        config.insert(key, drive.print());
    }
    if let Ok(guest) = world.guest_mut(node, vmid) {
        guest.config = config;
        target.clone_into(&mut guest.node);
    }
}

pub(super) fn move_disk(c: &Context) -> Handled {
    let vmid = c.vmid();
    let (node, key, storage) = (
        c.node.clone(),
        c.params.text("disk"),
        c.params.text("storage"),
    );
    let format = c.params.get("format").map(str::to_owned);
    let is_deleted = c.params.flag("delete");
    {
        let world = c.sim.world();
        let guest = world.guest(&node, vmid)?;
        guest.check_lock()?;
        acl::require(
            &world,
            &c.who,
            &format!("/storage/{storage}"),
            &["Datastore.AllocateSpace"],
        )?;
        world.storage_on(&node, &storage)?;
        let text = guest
            .config
            .get(&key)
            .ok_or_else(|| format!("disk '{key}' does not exist"))?;
        let drive = Drive::read(text);
        if drive.is_cdrom() {
            return Err(Failure::die("you can't move a cdrom"));
        }
        let volume = world.volume(&node, &drive.volid);
        let same_format = volume.is_some_and(|volume| {
            format
                .as_ref()
                .is_none_or(|format| *format == volume.format)
        });
        if drive.volid.split(':').next() == Some(storage.as_str()) && same_format {
            return Err(Failure::die(
                "you can't move to the same storage with same format",
            ));
        }
        if is_deleted && !guest.snapshots.is_empty() {
            return Err(Failure::die(
                "you can't move a disk with snapshots and delete the source",
            ));
        }
    }
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "qmmove",
        &vmid.to_string(),
        move |task| async move {
            let sim = task.sim.clone();
            let _lock = sim
                .locks
                .vm(&sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            let source = {
                let world = sim.world();
                let drive = Drive::read(world.guest(&node, vmid)?.option(&key));
                world
                    .volume(&node, &drive.volid)
                    .cloned()
                    .ok_or_else(|| format!("volume '{}' does not exist", drive.volid))?
            };
            task.log(format!(
                "create full clone of drive {key} ({})",
                source.volid
            ));
            task.work(sim.duration(Work::Transfer(source.size))).await?;
            {
                let mut world = sim.world();
                let format = format.as_deref().unwrap_or(&source.format);
                let (volume, lines) = disks::allocate(
                    &mut world,
                    sim.clock.now(),
                    &node,
                    &storage,
                    vmid,
                    source.size,
                    Some(format),
                )?;
                if let Some(stored) = world.volume_mut(&node, &volume.volid) {
                    stored.bootable = source.bootable;
                }
                let guest = world.guest_mut(&node, vmid)?;
                let mut drive = Drive::read(guest.option(&key));
                drive.volid = volume.volid;
                guest.config.insert(key.clone(), drive.print());
                if is_deleted {
                    world.remove_volume(&node, &source.volid);
                } else {
                    disks::add_unused(&mut guest.config, &source.volid);
                }
                drop(world);
                lines.into_iter().for_each(|line| task.log(line));
            }
            task.effect("move-disk", &node, vmid, format!("{key} to {storage}"));
            Ok(())
        },
    );
    Ok(json!(upid).into())
}
