//! Restoring a guest from an archive, as a new one or over an existing one.

use serde_json::json;

use crate::acl;
use crate::answer::{Failure, Handled};
use crate::clock::local;
use crate::disks;
use crate::dispatch::Context;
use crate::locks::CONFIG_WAIT;
use crate::model::{Archive, Guest, Options, file_text};
use crate::pace::Work;
use crate::tasks::{Task, spawn};

/// `POST .../qemu` with an archive.
pub(super) fn restore(c: &Context) -> Handled {
    let vmid = c.vmid();
    let p = &c.params;
    let volid = p.text("archive");
    let overrides = super::create::options(p);
    if let Some((key, _)) = overrides.iter().find(|(key, _)| disks::is_drive(key)) {
        return Err(Failure::param(
            key,
            "option conflicts with option 'archive'",
        ));
    }
    let keys: Vec<String> = overrides.iter().map(|(key, _)| key.clone()).collect();
    super::privileges::check_options(c, &keys, p)?;
    let node = c.node.clone();
    let archive = {
        let mut world = c.sim.world();
        let found = world.volume(&node, &volid).cloned();
        let volume =
            found.ok_or_else(|| Failure::die(format!("volume '{volid}' does not exist")))?;
        let owner = volume.vmid.unwrap_or_default();
        acl::require(&world, &c.who, &format!("/vms/{owner}"), &["VM.Backup"])?;
        if let Some(name) = p.get("storage") {
            world.storage_on(&node, name)?;
            acl::require(
                &world,
                &c.who,
                &format!("/storage/{name}"),
                &["Datastore.AllocateSpace"],
            )?;
        }
        match world.guests.get(&vmid) {
            Some(other) if !p.flag("force") => {
                let text = format!(
                    "unable to restore VM {vmid} - VM {vmid} already exists on node '{}'",
                    other.node
                );
                return Err(Failure::die(text));
            }
            Some(other) => {
                let locked = other.check_lock();
                locked.map_err(|text| {
                    Failure::die(format!("unable to restore VM {vmid} - {text}"))
                })?;
                if let Some(guest) = world.guests.get_mut(&vmid) {
                    guest.config.insert("lock".into(), "create".into());
                }
            }
            None => {
                let config = Options::from([("lock".to_owned(), "create".to_owned())]);
                world.guests.insert(
                    vmid,
                    Guest {
                        vmid,
                        node: node.clone(),
                        config,
                        ..Guest::default()
                    },
                );
            }
        }
        volume
            .archive
            .ok_or_else(|| Failure::die(format!("unable to read '{volid}'")))?
    };
    let storage = p.get("storage").map(str::to_owned);
    let unique = p.flag("unique");
    let is_started = p.flag("start");
    let pool = p.get("pool").map(str::to_owned);
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "qmrestore",
        &vmid.to_string(),
        move |task| async move {
            let sim = task.sim.clone();
            let unlock = |text: String| {
                if let Ok(guest) = sim.world().guest_mut(&node, vmid) {
                    guest.config.remove("lock");
                }
                text
            };
            let lock = sim
                .locks
                .vm(&sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await
                .map_err(unlock)?;
            let problem = {
                let world = sim.world();
                let guest = world.guest(&node, vmid)?;
                if guest.is_running() {
                    Some("vm is running")
                } else if guest.option("protection") == "1" {
                    Some("- protection mode enabled")
                } else {
                    None
                }
            };
            if let Some(problem) = problem {
                task.log(format!(
                    "error before or during data restore, some or all disks were not completely restored. VM {vmid} state is NOT cleaned up."
                ));
                return Err(unlock(format!("unable to restore VM {vmid} - {problem}")));
            }
            let bytes: u64 = archive.disks.values().map(|(size, ..)| size).sum();
            extract_log(&task, &volid, &archive, bytes);
            let outcome = task.work(sim.duration(Work::Transfer(bytes))).await;
            if let Err(text) = outcome {
                let mut world = sim.world();
                let is_stub = world
                    .guest(&node, vmid)
                    .is_ok_and(|guest| guest.config.keys().all(|key| key == "lock"));
                if is_stub {
                    world.guests.remove(&vmid);
                }
                drop(world);
                return Err(unlock(text));
            }
            let lines = unpack(
                &task,
                &node,
                vmid,
                &archive,
                storage.as_deref(),
                unique,
                &overrides,
            )?;
            lines.into_iter().for_each(|line| task.log(line));
            if let Some(pool) = pool.and_then(|pool| {
                sim.world()
                    .pools
                    .get_mut(&pool)
                    .map(|found| found.vms.insert(vmid))
            }) {
                let _ = pool;
            }
            progress_log(&task, bytes);
            task.effect("restore", &node, vmid, volid);
            drop(lock);
            if is_started {
                super::power::start(&task, &node, vmid).await?;
            }
            Ok(())
        },
    );
    Ok(json!(upid).into())
}

fn extract_log(task: &Task, volid: &str, archive: &Archive, _bytes: u64) {
    let file = volid.rsplit('/').next().unwrap_or_default();
    let fifo = format!("/var/tmp/vzdumptmp{}", task.sim.next_pid());
    let path = format!("/var/lib/vz/dump/{file}");
    let unpack = match file.rsplit('.').next() {
        Some("zst") => format!("zstd -q -d -c {path}"),
        Some("gz") => format!("zcat {path}"),
        Some("lzo") => format!("lzop -d -c {path}"),
        _ => format!("cat {path}"),
    };
    task.log(format!(
        "restore vma archive: {unpack} | vma extract -v -r {fifo}.fifo - {fifo}"
    ));
    task.log(format!(
        "CFG: size: {} name: qemu-server.conf",
        file_text(&archive.config).len()
    ));
    for (at, (key, (size, ..))) in archive.disks.iter().enumerate() {
        task.log(format!(
            "DEV: dev_id={} size: {size} devname: drive-{key}",
            at + 1
        ));
    }
    task.log(format!(
        "CTIME: {}",
        local(task.sim.clock.now()).format("%a %b %e %H:%M:%S %Y")
    ));
}

fn progress_log(task: &Task, bytes: u64) {
    for percent in 1..=100_u64 {
        task.log(format!(
            "progress {percent}% (read {} bytes, duration 0 sec)",
            (bytes * percent / 100) & !0xFFFF
        ));
    }
    task.log(format!(
        "total bytes read {bytes}, sparse bytes {bytes} (100%)"
    ));
    task.log("rescan volumes...");
}

fn unpack(
    task: &Task,
    node: &str,
    vmid: u32,
    archive: &Archive,
    storage: Option<&str>,
    unique: bool,
    overrides: &[(String, String)],
) -> Result<Vec<String>, String> {
    let sim = &task.sim;
    let now = sim.clock.now();
    let mut config = archive.config.clone();
    config.retain(|key, _| {
        !disks::is_unused(key) && !matches!(key.as_str(), "lock" | "template" | "parent")
    });
    let macs: Vec<(String, String)> = if unique {
        config
            .keys()
            .filter(|key| disks::is_net(key))
            .map(|key| (key.clone(), sim.mac()))
            .collect()
    } else {
        Vec::new()
    };
    let mut world = sim.world();
    let old = disks::owned_volumes(world.guest(node, vmid)?);
    for volid in old {
        world.remove_volume(node, &volid);
    }
    let mut lines = Vec::new();
    let mut maps = Vec::new();
    for (key, mut drive) in disks::drives(&archive.config) {
        let own = drive.volid.split(':').next().unwrap_or_default().to_owned();
        let destination = storage.unwrap_or(&own);
        let volume = if drive.is_cloudinit() {
            let (volume, log) =
                disks::allocate_cloudinit(&mut world, now, node, destination, vmid)?;
            lines.extend(log);
            volume
        } else if let Some((size, format, bootable)) = archive.disks.get(&key) {
            let (volume, log) = disks::allocate(
                &mut world,
                now,
                node,
                destination,
                vmid,
                *size,
                Some(format),
            )?;
            lines.extend(log);
            if let Some(stored) = world.volume_mut(node, &volume.volid) {
                stored.bootable = *bootable;
            }
            let name = volume.volid.split_once(':').map_or("", |(_, name)| name);
            let path = disks::path_of(world.storage(destination)?, name);
            maps.push(format!("map 'drive-{key}' to '{path}' (write zeros = 0)"));
            volume
        } else {
            continue;
        };
        lines.push(format!("new volume ID is '{}'", volume.volid));
        drive.volid = volume.volid;
        config.insert(key, drive.print());
    }
    lines.extend(maps);
    for (key, mac) in macs {
        if let Some(text) = config.get_mut(&key) {
            let mut net = crate::property::read_net(text);
            net.insert("macaddr".into(), mac);
            *text = crate::property::print_net(&net);
        }
    }
    if unique {
        super::clone::regenerate(sim, &mut config);
    } else if config.contains_key("vmgenid") {
        config.insert("vmgenid".into(), sim.random.uuid());
    }
    let mut guest = Guest {
        vmid,
        node: node.to_owned(),
        config,
        ..Guest::default()
    };
    for (key, value) in overrides {
        super::config::set_option(sim, &mut world, &mut guest, now, key, value, None)
            .map_err(|failure| failure.reason())?;
    }
    world.guests.insert(vmid, guest);
    Ok(lines)
}
