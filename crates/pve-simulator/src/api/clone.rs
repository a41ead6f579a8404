//! Cloning: everything that is checked before the task, and the task itself.
//!
//! The target exists from the first moment as a locked stub; its name, description and pool only
//! come at the end, and a failure takes it away again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::acl;
use crate::answer::{Failure, Handled, Reply};
use crate::config::Profile;
use crate::disks::{self, Drive, is_drive, is_net, is_unused};
use crate::dispatch::Context;
use crate::locks::CLONE_WAIT;
use crate::model::{Guest, Options, World};
use crate::pace::{self, Work};
use crate::property;
use crate::tasks::{Task, spawn};

/// Above this many clones at once a worker now and then fails to start.
const CROWDED: usize = 4;
const CROWDED_FAILURE: f64 = 0.02;

/// A clone that was accepted.
#[derive(Debug, Clone)]
struct Plan {
    source: u32,
    newid: u32,
    node: String,
    target: String,
    is_full: bool,
    storage: Option<String>,
    format: Option<String>,
    name: Option<String>,
    description: Option<String>,
    pool: Option<String>,
    config: Options,
}

pub(super) async fn clone(c: &Context) -> Handled {
    let plan = check(c)?;
    let storage = first_storage(&plan);
    let width = c.sim.clone_width(&storage);
    if c.sim.config.profile == Profile::Realistic
        && width.load(Ordering::SeqCst) >= CROWDED
        && c.sim.random.unit() < CROWDED_FAILURE
    {
        return Err(Failure::die("got no worker upid - start worker failed"));
    }
    let newid = plan.newid;
    {
        let mut world = c.sim.world();
        if let Some(other) = world.guests.get(&newid) {
            if other.node != plan.node {
                drop(world);
                return Ok(collide(c, &plan));
            }
            return Err(exists(newid));
        }
        let stub = Guest {
            vmid: newid,
            node: plan.node.clone(),
            config: Options::from([
                ("lock".to_owned(), "clone".to_owned()),
                (
                    "description".to_owned(),
                    " qmclone temporary file".to_owned(),
                ),
            ]),
            ..Guest::default()
        };
        world.guests.insert(newid, stub);
    }
    let source = plan.source.to_string();
    let node = plan.node.clone();
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &node,
        "qmclone",
        &source,
        move |task| async move {
            let _counted = Counted::new(width);
            let mut created = Vec::new();
            let outcome = run(&task, &plan, &storage, &mut created).await;
            outcome.map_err(|reason| {
                let mut world = task.sim.world();
                for volid in &created {
                    world.remove_volume(&plan.node, volid);
                }
                let is_ours = |guest: &Guest| guest.option("lock") == "clone";
                if world.guest(&plan.node, plan.newid).is_ok_and(is_ours) {
                    world.guests.remove(&plan.newid);
                }
                let reason = if reason == "received interrupt" {
                    "interrupted by signal".to_owned()
                } else {
                    reason
                };
                format!("clone failed: {reason}")
            })
        },
    );
    Ok(json!(upid).into())
}

/// Counts a clone as under way for as long as it lives, also when its task is killed.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(width: Arc<AtomicUsize>) -> Self {
        width.fetch_add(1, Ordering::SeqCst);
        Self(width)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn exists(newid: u32) -> Failure {
    Failure::die(format!(
        "unable to create VM {newid}: config file already exists"
    ))
}

/// An id that is taken on another node is only noticed when the file is written.
fn collide(c: &Context, plan: &Plan) -> Reply {
    let text = format!(
        "clone failed: close (rename) atomic file '/etc/pve/nodes/{}/qemu-server/{}.conf' failed: File exists",
        plan.node, plan.newid
    );
    let source = plan.source.to_string();
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &plan.node,
        "qmclone",
        &source,
        |task| async move {
            task.work(Duration::ZERO).await?;
            Err(text)
        },
    );
    json!(upid).into()
}

fn first_storage(plan: &Plan) -> String {
    let own = disks::drives(&plan.config)
        .into_iter()
        .find(|(_, drive)| !drive.is_cdrom());
    plan.storage.clone().unwrap_or_else(|| {
        own.and_then(|(_, drive)| drive.volid.split(':').next().map(str::to_owned))
            .unwrap_or_default()
    })
}

fn check(c: &Context) -> Result<Plan, Failure> {
    let p = &c.params;
    let vmid = c.vmid();
    let newid = u32::try_from(p.number("newid").unwrap_or_default()).unwrap_or_default();
    let world = c.sim.world();
    let Ok(source) = world.guest(&c.node, vmid) else {
        return Err(Failure::die(format!(
            "unable to find configuration file for VM {vmid} on node '{}'",
            c.node
        )));
    };
    let pool = p.get("pool").map(str::to_owned);
    if let Some(pool) = &pool
        && !world.pools.contains_key(pool)
    {
        return Err(Failure::forbidden(&format!("pool '{pool}' does not exist")));
    }
    let target = p.get("target").unwrap_or(&c.node).to_owned();
    if !c.sim.has_node(&target) {
        return Err(Failure::die(format!("no such cluster node '{target}'")));
    }
    let storage = p.get("storage").map(str::to_owned);
    if let Some(name) = &storage {
        let config = world.storage_on(&c.node, name)?;
        if !config.content.iter().any(|kind| kind == "images") {
            return Err(Failure::param(
                "storage",
                format!("storage '{name}' does not support vm images"),
            ));
        }
        if target != c.node && !config.shared {
            return Err(Failure::die(format!(
                "can't clone to non-shared storage '{name}'"
            )));
        }
    }
    source.check_lock()?;
    let config = match p.get("snapname") {
        Some(name) => match source.snapshots.get(name) {
            Some(snapshot) => snapshot.config.clone(),
            None => return Err(Failure::die(format!("snapshot '{name}' does not exist"))),
        },
        None => source.config.clone(),
    };
    let is_full = p
        .get("full")
        .map_or(!source.is_template(), |full| full == "1");
    if !is_full {
        if storage.is_some() {
            return Err(Failure::die(
                "parameter 'storage' not allowed for linked clones",
            ));
        }
        if p.get("format").is_some() {
            return Err(Failure::die(
                "parameter 'format' not allowed for linked clones",
            ));
        }
    }
    for (_, text) in config.iter().filter(|(key, _)| is_net(key)) {
        super::privileges::may_use_bridge(&world, c, text)?;
    }
    check_drives(c, &world, &config, &target, storage.as_deref(), is_full)?;
    if world.guest(&c.node, newid).is_ok() {
        return Err(exists(newid));
    }
    Ok(Plan {
        source: vmid,
        newid,
        node: c.node.clone(),
        target,
        is_full,
        storage,
        format: p.get("format").map(str::to_owned),
        name: p
            .get("name")
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
        description: p
            .get("description")
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        pool,
        config,
    })
}

fn check_drives(
    c: &Context,
    world: &World,
    config: &Options,
    target: &str,
    storage: Option<&str>,
    is_full: bool,
) -> Result<(), Failure> {
    for (key, drive) in disks::drives(config) {
        let Some((own, _)) = drive.volid.split_once(':') else {
            continue;
        };
        let own_config = world.storage(own)?;
        if target != c.node && !own_config.shared {
            return Err(Failure::die(format!(
                "can't clone VM to node '{target}' (VM uses local storage)"
            )));
        }
        if drive.is_cdrom() && !drive.is_cloudinit() {
            continue;
        }
        let destination = storage.unwrap_or(own);
        acl::require(
            world,
            &c.who,
            &format!("/storage/{destination}"),
            &["Datastore.AllocateSpace"],
        )?;
        if !is_full && !drive.is_cloudinit() && !drive.volid.contains("base-") {
            return Err(Failure::die(format!(
                "Linked clone feature is not supported for '{}' ({key})",
                drive.volid
            )));
        }
    }
    Ok(())
}

async fn run(
    task: &Task,
    plan: &Plan,
    storage: &str,
    created: &mut Vec<String>,
) -> Result<(), String> {
    let sim = &task.sim;
    let _source = sim
        .locks
        .vm_shared(&sim.clock, plan.source, CLONE_WAIT)
        .await?;
    let _target = sim
        .locks
        .vm(&sim.clock, None, plan.newid, CLONE_WAIT)
        .await?;
    {
        let world = sim.world();
        world.guest(&plan.node, plan.source)?.check_lock()?;
    }
    task.log(format!(
        "creating a clone of VM {} with ID {}",
        plan.source, plan.newid
    ));
    let mut config = plan.config.clone();
    config.retain(|key, _| {
        !is_unused(key) && !matches!(key.as_str(), "template" | "lock" | "snaptime" | "parent")
    });
    for (_, text) in config.iter_mut().filter(|(key, _)| is_net(key)) {
        let mut net = property::read_net(text);
        net.insert("macaddr".into(), sim.mac());
        *text = property::print_net(&net);
    }
    regenerate(sim, &mut config);
    config.insert("name".into(), final_name(plan));
    if let Some(text) = &plan.description {
        config.insert("description".into(), text.clone());
    }
    // the stub grows drive by drive
    let mut partial = config.clone();
    partial.retain(|key, text| !is_drive(key) || !is_copied(&Drive::read(text)));
    partial.insert("lock".into(), "clone".into());
    for (key, drive) in disks::drives(&plan.config) {
        if !is_copied(&drive) {
            continue;
        }
        let copied = copy_drive(task, plan, storage, &key, drive, created).await?;
        config.insert(key.clone(), copied.clone());
        partial.insert(key, copied);
        let mut world = sim.world();
        if let Ok(guest) = world.guest_mut(&plan.node, plan.newid) {
            guest.config.clone_from(&partial);
        }
    }
    // an injected failure strikes here, after the copying and before the clone is a machine
    task.work(Duration::ZERO).await?;
    {
        let mut world = sim.world();
        let guest = world.guest_mut(&plan.node, plan.newid)?;
        guest.config = config;
        guest.node.clone_from(&plan.target);
        if let Some(pool) = plan
            .pool
            .as_ref()
            .and_then(|pool| world.pools.get_mut(pool))
        {
            pool.vms.insert(plan.newid);
        }
    }
    task.effect(
        "clone",
        &plan.target,
        plan.newid,
        format!("from {} as {}", plan.source, final_name(plan)),
    );
    Ok(())
}

/// CD images are shared; disks and the cloud-init drive are not.
fn is_copied(drive: &Drive) -> bool {
    !drive.is_cdrom() || drive.is_cloudinit()
}

fn final_name(plan: &Plan) -> String {
    plan.name.clone().unwrap_or_else(|| {
        let source = plan
            .config
            .get("name")
            .cloned()
            .unwrap_or_else(|| plan.source.to_string());
        format!("Copy-of-VM-{source}")
    })
}

/// A machine of its own has its own identity.
pub(super) fn regenerate(sim: &crate::sim::Sim, config: &mut Options) {
    let mut smbios = property::read(config.get("smbios1").map_or("", String::as_str), "uuid");
    smbios.insert("uuid".into(), sim.random.uuid());
    config.insert("smbios1".into(), property::print(&smbios, ""));
    if config.contains_key("vmgenid") {
        config.insert("vmgenid".into(), sim.random.uuid());
    }
}

async fn copy_drive(
    task: &Task,
    plan: &Plan,
    work_storage: &str,
    key: &str,
    mut drive: Drive,
    created: &mut Vec<String>,
) -> Result<String, String> {
    let sim = &task.sim;
    let is_full = plan.is_full || drive.is_cloudinit();
    let own = drive.volid.split(':').next().unwrap_or_default().to_owned();
    let destination = plan.storage.clone().filter(|_| is_full).unwrap_or(own);
    let base = {
        let world = sim.world();
        let found = world.volume(&plan.node, &drive.volid).cloned();
        found.ok_or_else(|| format!("volume '{}' does not exist", drive.volid))?
    };
    let kind = if is_full { "full" } else { "linked" };
    task.log(format!(
        "create {kind} clone of drive {key} ({})",
        drive.volid
    ));
    let is_shared = sim.world().storage(&destination)?.shared;
    let work = if drive.is_cloudinit() {
        Work::Call
    } else if is_full {
        Work::FullClone(base.size)
    } else {
        Work::LinkedClone
    };
    let alone = sim.duration(work);
    let width = sim.clone_width(work_storage).load(Ordering::SeqCst);
    let allocating = alone.mul_f64(0.1);
    let copying = alone
        .mul_f64(pace::slowdown(width))
        .saturating_sub(allocating);
    {
        // allocation is serialised by the storage's lock, copying is not
        let _lock = sim
            .locks
            .storage(&sim.clock, &plan.node, &destination, is_shared)
            .await?;
        task.sleep(allocating).await?;
        let now = sim.clock.now();
        let (volume, lines) = {
            let mut world = sim.world();
            let (mut volume, lines) = if drive.is_cloudinit() {
                disks::allocate_cloudinit(&mut world, now, &plan.node, &destination, plan.newid)?
            } else if is_full {
                let format = plan.format.as_deref().unwrap_or(&base.format);
                disks::allocate(
                    &mut world,
                    now,
                    &plan.node,
                    &destination,
                    plan.newid,
                    base.size,
                    Some(format),
                )?
            } else {
                disks::allocate_linked(&mut world, now, &plan.node, &base, plan.newid)?
            };
            volume.bootable = base.bootable;
            if let Some(stored) = world.volume_mut(&plan.node, &volume.volid) {
                stored.bootable = base.bootable;
            }
            (volume, lines)
        };
        created.push(volume.volid.clone());
        lines.into_iter().for_each(|line| task.log(line));
        drive.volid = volume.volid;
    }
    if is_full {
        task.log(format!("allocated target volume '{}'", drive.volid));
    }
    if is_full && !drive.is_cloudinit() {
        let total = human(base.size);
        task.log(format!("transferred 0.0 B of {total} (0.00%)"));
        task.sleep(copying).await?;
        task.log(format!("transferred {total} of {total} (100.00%)"));
    } else {
        task.sleep(copying).await?;
    }
    drive.set_size(base.size);
    Ok(drive.print())
}

/// `1.0 GiB`, as transfer logs print sizes.
pub(super) fn human(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "printed with one digit")]
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}
