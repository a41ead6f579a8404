//! Backups and restores, with the logs that clients read progress and file names from.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::acl;
use crate::answer::{Failure, Handled};
use crate::clock::local;
use crate::disks::{self, Drive};
use crate::dispatch::Context;
use crate::model::{Archive, Guest, Volume, file_text};
use crate::pace::Work;
use crate::tasks::{Task, spawn};
use crate::validate::print_size;

pub(super) fn call(c: &Context, method: &str, path: &str) -> Handled {
    match (method, path.rsplit('/').next()) {
        ("POST", _) => vzdump(c),
        ("GET", Some("extractconfig")) => extract(c),
        _ => Ok(json!({"mode": "snapshot", "storage": "local", "compress": "0"}).into()),
    }
}

/// How long a backup in stop mode waits for the guest to shut down.
const STOP_WAIT: Duration = Duration::from_secs(600);

/// What a backup job was asked to do.
#[derive(Debug, Clone)]
struct Job {
    node: String,
    storage: String,
    mode: String,
    extension: String,
    notes: Option<String>,
    protected: bool,
    vmids: Vec<u32>,
    command: String,
}

fn vzdump(c: &Context) -> Handled {
    let p = &c.params;
    let storage = p.get("storage").unwrap_or("local").to_owned();
    let vmids: Vec<u32> = {
        let world = c.sim.world();
        if p.flag("all") {
            let excluded = p.list("exclude");
            let here = world.guests.values().filter(|guest| guest.node == c.node);
            here.map(|guest| guest.vmid)
                .filter(|vmid| !excluded.contains(&vmid.to_string()))
                .collect()
        } else if let Some(pool) = p.get("pool") {
            let pool = world
                .pools
                .get(pool)
                .ok_or_else(|| Failure::die(format!("pool '{pool}' does not exist")))?;
            pool.vms
                .iter()
                .copied()
                .filter(|vmid| world.guest(&c.node, *vmid).is_ok())
                .collect()
        } else {
            let named: Vec<u32> = p
                .list("vmid")
                .iter()
                .filter_map(|id| id.parse().ok())
                .collect();
            if named.is_empty() {
                return Err(Failure::param(
                    "vmid",
                    "property is missing and it is not optional",
                ));
            }
            named
                .into_iter()
                .filter(|vmid| {
                    world
                        .guests
                        .get(vmid)
                        .is_none_or(|guest| guest.node == c.node)
                })
                .collect()
        }
    };
    if vmids.is_empty() {
        return Ok(json!("OK").into());
    }
    {
        let world = c.sim.world();
        acl::require(
            &world,
            &c.who,
            &format!("/storage/{storage}"),
            &["Datastore.AllocateSpace"],
        )?;
        for vmid in &vmids {
            acl::require(&world, &c.who, &format!("/vms/{vmid}"), &["VM.Backup"])?;
        }
        if ["bwlimit", "ionice", "performance"]
            .iter()
            .any(|key| p.get(key).is_some())
        {
            acl::require(&world, &c.who, "/", &["Sys.Modify"])?;
        }
    }
    let extension = match p.get("compress") {
        Some("zstd") => "vma.zst",
        Some("1" | "lzo") => "vma.lzo",
        Some("gzip") => "vma.gz",
        _ => "vma",
    };
    let options: Vec<String> = [
        "storage",
        "mode",
        "compress",
        "node",
        "notes-template",
        "protected",
        "prune-backups",
    ]
    .iter()
    .filter_map(|key| p.get(key).map(|value| (key, value)))
    .map(|(key, value)| {
        if value.contains(|c: char| c.is_whitespace() || c == '{') {
            format!("--{key} '{value}'")
        } else {
            format!("--{key} {value}")
        }
    })
    .collect();
    let ids: Vec<String> = vmids.iter().map(u32::to_string).collect();
    let job = Job {
        node: c.node.clone(),
        storage,
        mode: p.get("mode").unwrap_or("snapshot").to_owned(),
        extension: extension.to_owned(),
        notes: p.get("notes-template").map(str::to_owned),
        protected: p.flag("protected"),
        command: format!("vzdump {} {}", ids.join(" "), options.join(" ")),
        vmids,
    };
    let id = if ids.len() == 1 {
        ids[0].clone()
    } else {
        String::new()
    };
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "vzdump",
        &id,
        move |task| async move {
            let places = places(&task, &job);
            task.sim.ledger.backup_began(&places);
            let outcome = run(&task, &job).await;
            task.sim.ledger.backup_ended(&places);
            outcome
        },
    );
    Ok(json!(upid).into())
}

/// What a backup is counted under.
fn places(task: &Task, job: &Job) -> Vec<String> {
    let world = task.sim.world();
    let shared = world
        .storage(&job.storage)
        .is_ok_and(|storage| storage.shared);
    let storage = match shared {
        true => job.storage.clone(),
        false => format!("{}/{}", job.node, job.storage),
    };
    vec![job.node.clone(), storage]
}

async fn run(task: &Task, job: &Job) -> Result<(), String> {
    if task.sim.world().storage(&job.storage).is_err() {
        let name = &job.storage;
        task.log(String::new());
        return Err(format!(
            "could not activate storage '{name}': storage '{name}' does not exist could not get storage information for \
             '{name}': storage '{name}' does not exist"
        ));
    }
    let lock = task.sim.locks.vzdump(&job.node);
    let _guard = match lock.clone().try_write_owned() {
        Ok(guard) => guard,
        Err(_) => {
            task.log("INFO: trying to get global lock - waiting...");
            let guard = tokio::select! {
                guard = lock.write_owned() => guard,
                () = task.interrupted() => return Err("received interrupt".into()),
            };
            task.log("INFO: got global lock");
            guard
        }
    };
    task.log(format!("INFO: starting new backup job: {}", job.command));
    let mut has_errors = false;
    for vmid in &job.vmids {
        task.log(format!("INFO: Starting Backup of VM {vmid} (qemu)"));
        let started = task.sim.clock.now();
        task.log(format!(
            "INFO: Backup started at {}",
            local(started).format("%Y-%m-%d %H:%M:%S")
        ));
        if let Err(text) = one(task, job, *vmid, started).await {
            if text == "received interrupt" {
                return Err(text);
            }
            task.log(format!("ERROR: Backup of VM {vmid} failed - {text}"));
            task.log(format!(
                "INFO: Failed at {}",
                local(task.sim.clock.now()).format("%Y-%m-%d %H:%M:%S")
            ));
            has_errors = true;
        }
    }
    if has_errors {
        task.log("INFO: Backup job finished with errors");
        task.log(String::new());
        return Err("job errors".into());
    }
    task.log("INFO: Backup job finished successfully");
    task.log(String::new());
    Ok(())
}

async fn one(task: &Task, job: &Job, vmid: u32, started: i64) -> Result<(), String> {
    let sim = &task.sim;
    let guest = sim.world().guest(&job.node, vmid)?.clone();
    let is_running = guest.is_running();
    task.log(format!(
        "INFO: status = {}",
        if is_running { "running" } else { "stopped" }
    ));
    let mode = if is_running {
        job.mode.as_str()
    } else {
        "stop"
    };
    guest.check_lock()?;
    let drives: Vec<(String, Drive)> = disks::drives(&guest.config)
        .into_iter()
        .filter(|(_, drive)| !drive.is_cdrom())
        .collect();
    let header = || {
        task.log(format!("INFO: VM Name: {}", guest.name()));
        for (key, drive) in &drives {
            task.log(format!(
                "INFO: include disk '{key}' '{}' {}",
                drive.volid,
                print_size(drive.size())
            ));
        }
    };
    if mode == "snapshot" {
        header();
    }
    task.log(format!("INFO: backup mode: {mode}"));
    task.log("INFO: ionice priority: 7");
    if mode != "snapshot" {
        header();
    }
    match mode {
        "suspend" => task.log("INFO: suspending guest"),
        "stop" if is_running => {
            task.log("INFO: stopping virtual guest");
            super::power::shutdown(task, &job.node, vmid, STOP_WAIT, false).await?;
        }
        _ => {}
    }
    let (file, ctime) = free_name(task, job, vmid, started)?;
    let is_pbs = is_backup_server(task, job)?;
    task.log(if is_pbs {
        format!("INFO: creating Proxmox Backup Server archive '{file}'")
    } else {
        format!("INFO: creating vzdump archive '/var/lib/vz/dump/{file}'")
    });
    if is_running {
        task.log("INFO: skipping guest filesystem freeze - disabled in VM options");
    } else {
        task.log("INFO: starting kvm to execute backup task");
        if disks::drives(&guest.config)
            .iter()
            .any(|(_, drive)| drive.is_cloudinit())
        {
            task.log("generating cloud-init ISO");
        }
    }
    task.log("INFO: starting backup via QMP command");
    task.log(format!("INFO: started backup task '{}'", sim.random.uuid()));
    if is_running {
        let text = if mode == "suspend" {
            "INFO: resuming VM again after 2 seconds"
        } else {
            "INFO: resuming VM again"
        };
        task.log(text);
    }
    set_lock(task, &job.node, vmid, Some("backup"))?;
    let size: u64 = drives.iter().map(|(_, drive)| drive.size()).sum();
    let outcome = task.work(sim.duration(Work::Transfer(size))).await;
    set_lock(task, &job.node, vmid, None)?;
    outcome?;
    let total = super::clone::human(size);
    task.log(format!(
        "INFO: 100% ({total} of {total}) in 2s, read: 512.0 MiB/s, write: 0 B/s"
    ));
    #[expect(clippy::cast_precision_loss, reason = "printed with two digits")]
    let gib = size as f64 / f64::from(1_u32 << 30);
    task.log(format!(
        "INFO: backup is sparse: {gib:.2} GiB (100%) total zero data"
    ));
    task.log(format!(
        "INFO: transferred {gib:.2} GiB in 2 seconds (512.0 MiB/s)"
    ));
    if !is_running {
        task.log("INFO: stopping kvm after backup task");
    }
    let stored = 35_000 + size / 10_000;
    room_for(task, job, stored)?;
    if !is_pbs {
        task.log(format!("INFO: archive file size: {}KB", stored / 1024));
    }
    if job.notes.is_some() {
        task.log("INFO: adding notes to backup");
    }
    if mode == "suspend" {
        task.log("INFO: resume vm");
    }
    store(task, job, &guest, &file, stored, ctime)?;
    if mode == "stop" && is_running {
        task.log("INFO: restarting vm");
        super::power::power_on(sim, &job.node, vmid)?;
    }
    let seconds = sim.clock.now() - started;
    task.log(format!(
        "INFO: Finished Backup of VM {vmid} (00:{:02}:{:02})",
        seconds / 60,
        seconds % 60
    ));
    task.log(format!(
        "INFO: Backup finished at {}",
        local(sim.clock.now()).format("%Y-%m-%d %H:%M:%S")
    ));
    task.effect("backup", &job.node, vmid, file);
    Ok(())
}

fn is_backup_server(task: &Task, job: &Job) -> Result<bool, String> {
    let world = task.sim.world();
    Ok(world.storage_on(&job.node, &job.storage)?.kind == "pbs")
}

/// An archive is called after the second it was begun in. Here two may be begun in one, which takes longer in the
/// original.
fn free_name(task: &Task, job: &Job, vmid: u32, started: i64) -> Result<(String, i64), String> {
    let is_pbs = is_backup_server(task, job)?;
    let world = task.sim.world();
    let mut at = started;
    loop {
        let file = if is_pbs {
            let moment = chrono::DateTime::from_timestamp(at, 0).unwrap_or_default();
            format!("vm/{vmid}/{}", moment.format("%Y-%m-%dT%H:%M:%SZ"))
        } else {
            let moment = local(at).format("%Y_%m_%d-%H_%M_%S");
            format!("vzdump-qemu-{vmid}-{moment}.{}", job.extension)
        };
        let volid = format!("{}:backup/{file}", job.storage);
        if world.volumes.iter().all(|volume| volume.volid != volid) {
            return Ok((file, at));
        }
        at += 1;
    }
}

/// What a full storage says, once the archive does not fit.
fn room_for(task: &Task, job: &Job, size: u64) -> Result<(), String> {
    let world = task.sim.world();
    let total = world.storage_on(&job.node, &job.storage)?.total;
    let on_it = |volume: &&Volume| {
        volume.storage() == job.storage && (volume.node.is_empty() || volume.node == job.node)
    };
    let used: u64 = world.volumes.iter().filter(on_it).map(|v| v.used).sum();
    if used + size <= total {
        return Ok(());
    }
    task.log("INFO: zstd: error 70 : Write error : cannot write block : No space left on device");
    Err("vma_queue_write: write error - Broken pipe".into())
}

fn set_lock(task: &Task, node: &str, vmid: u32, lock: Option<&str>) -> Result<(), String> {
    let mut world = task.sim.world();
    let guest = world.guest_mut(node, vmid)?;
    match lock {
        Some(lock) => guest.config.insert("lock".into(), lock.to_owned()),
        None => guest.config.remove("lock"),
    };
    Ok(())
}

fn store(
    task: &Task,
    job: &Job,
    guest: &Guest,
    file: &str,
    size: u64,
    ctime: i64,
) -> Result<(), String> {
    let mut world = task.sim.world();
    let storage = world.storage_on(&job.node, &job.storage)?.clone();
    let mut archived = BTreeMap::new();
    for (key, drive) in disks::drives(&guest.config)
        .into_iter()
        .filter(|(_, drive)| !drive.is_cdrom())
    {
        if let Some(volume) = world.volume(&job.node, &drive.volid) {
            archived.insert(key, (volume.size, volume.format.clone(), volume.bootable));
        }
    }
    let notes = job.notes.as_ref().map(|template| {
        template
            .replace("{{guestname}}", &guest.name())
            .replace("{{vmid}}", &guest.vmid.to_string())
            .replace("{{node}}", &job.node)
            .replace("{{cluster}}", &task.sim.config.cluster)
    });
    world.volumes.push(Volume {
        volid: format!("{}:backup/{file}", storage.name),
        node: disks::node_of(&storage, &job.node),
        content: "backup".into(),
        format: if storage.kind == "pbs" {
            "pbs-vm".into()
        } else {
            job.extension.clone()
        },
        size,
        used: size,
        ctime,
        vmid: Some(guest.vmid),
        notes,
        protected: job.protected,
        archive: Some(Archive {
            config: guest.config.clone(),
            disks: archived,
        }),
        ..Volume::default()
    });
    Ok(())
}

fn extract(c: &Context) -> Handled {
    let world = c.sim.world();
    let volid = c.params.text("volume");
    let volume = world
        .volume(&c.node, &volid)
        .ok_or_else(|| Failure::die(format!("volume '{volid}' does not exist")))?;
    let vmid = volume.vmid.unwrap_or_default();
    acl::require(&world, &c.who, &format!("/vms/{vmid}"), &["VM.Backup"])?;
    let Some(archive) = &volume.archive else {
        return Err(Failure::die(format!("unable to read '{volid}'")));
    };
    let mut text = file_text(&archive.config);
    for (key, (_, format, _)) in &archive.disks {
        let storage = archive
            .config
            .get(key)
            .and_then(|drive| drive.split(':').next())
            .unwrap_or_default();
        text.push_str(&format!(
            "#qmdump#map:{key}:drive-{key}:{storage}:{format}:\n"
        ));
    }
    Ok(json!(text).into())
}
