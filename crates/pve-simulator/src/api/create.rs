//! Creating guests from scratch, and turning them into templates. Restores live in `backup`.

use serde_json::json;

use crate::acl;
use crate::answer::{Failure, Handled};
use crate::disks::{self, Drive, is_drive, is_net};
use crate::dispatch::Context;
use crate::locks::CONFIG_WAIT;
use crate::model::{Guest, Options};
use crate::pace::Work;
use crate::params::Params;
use crate::tasks::spawn;

/// Parameters of the call that are no options of the guest.
const STEERING: [&str; 12] = [
    "node",
    "vmid",
    "archive",
    "bwlimit",
    "force",
    "pool",
    "start",
    "storage",
    "unique",
    "live-restore",
    "ha-managed",
    "import-working-storage",
];

pub(super) fn options(params: &Params) -> Vec<(String, String)> {
    params
        .0
        .keys()
        .filter(|key| !STEERING.contains(&key.as_str()))
        .map(|key| (key.clone(), params.text(key)))
        .collect()
}

/// `VM.Allocate` on the guest, or on the pool it shall belong to.
pub(super) fn may_allocate(c: &Context) -> Result<(), Failure> {
    let world = c.sim.world();
    let on_guest = acl::has(&world, &c.who, &format!("/vms/{}", c.vmid()), "VM.Allocate");
    let on_pool = c
        .params
        .get("pool")
        .is_some_and(|pool| acl::has(&world, &c.who, &format!("/pool/{pool}"), "VM.Allocate"));
    if on_guest || on_pool {
        Ok(())
    } else {
        Err(Failure::forbidden(""))
    }
}

pub(super) async fn create(c: &Context) -> Handled {
    may_allocate(c)?;
    if c.params.get("archive").is_some() {
        return super::restore::restore(c);
    }
    let vmid = c.vmid();
    let options = options(&c.params);
    let keys: Vec<String> = options.iter().map(|(key, _)| key.clone()).collect();
    super::privileges::check_options(c, &keys, &c.params)?;
    if let Some((_, keys)) = options.iter().find(|(key, _)| key == "sshkeys") {
        super::cloudinit::check_ssh_keys(keys)?;
    }
    let pool = c.params.get("pool").map(str::to_owned);
    {
        let mut world = c.sim.world();
        if let Some(pool) = &pool
            && !world.pools.contains_key(pool)
        {
            return Err(Failure::die(format!("pool '{pool}' does not exist")));
        }
        for (_, value) in options.iter().filter(|(key, _)| is_drive(key)) {
            if let Some((storage, _)) = Drive::read(value).volid.split_once(':') {
                world.storage(storage)?;
                acl::require(
                    &world,
                    &c.who,
                    &format!("/storage/{storage}"),
                    &["Datastore.AllocateSpace"],
                )?;
            }
        }
        if let Some(other) = world.guests.get(&vmid) {
            return Err(Failure::die(format!(
                "unable to create VM {vmid} - VM {vmid} already exists on node '{}'",
                other.node
            )));
        }
        let stub = Guest {
            vmid,
            node: c.node.clone(),
            config: Options::from([("lock".to_owned(), "create".to_owned())]),
            ..Guest::default()
        };
        world.guests.insert(vmid, stub);
    }
    let node = c.node.clone();
    let is_started = c.params.flag("start");
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "qmcreate",
        &vmid.to_string(),
        move |task| async move {
            let sim = task.sim.clone();
            let lock = sim
                .locks
                .vm(&sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            let mut guest = Guest {
                vmid,
                node: node.clone(),
                ..Guest::default()
            };
            let outcome = match task.work(sim.duration(Work::Create)).await {
                Ok(()) => fill(&task, &mut guest, &options),
                Err(text) => Err(text),
            };
            if let Err(text) = outcome {
                let mut world = sim.world();
                for volid in disks::owned_volumes(&guest) {
                    world.remove_volume(&node, &volid);
                }
                world.guests.remove(&vmid);
                return Err(format!("unable to create VM {vmid} - {text}"));
            }
            {
                let mut world = sim.world();
                world.guests.insert(vmid, guest);
                if let Some(pool) = pool.and_then(|pool| world.pools.get_mut(&pool)) {
                    pool.vms.insert(vmid);
                }
            }
            task.effect("create", &node, vmid, "");
            drop(lock);
            if is_started {
                super::power::start(&task, &node, vmid).await?;
            }
            Ok(())
        },
    );
    Ok(json!(upid).into())
}

fn fill(
    task: &crate::tasks::Task,
    guest: &mut Guest,
    options: &[(String, String)],
) -> Result<(), String> {
    let sim = &task.sim;
    let now = sim.clock.now();
    let mut world = sim.world();
    // plain options first: the boot order speaks of devices
    let mut ordered: Vec<&(String, String)> = options.iter().collect();
    ordered.sort_by_key(|(key, _)| (key == "boot", disks_order(key)));
    for (key, value) in ordered {
        super::config::set_option(sim, &mut world, guest, now, key, value, Some(task))
            .map_err(|failure| failure.reason())?;
    }
    if !guest.config.contains_key("boot") {
        guest
            .config
            .insert("boot".into(), boot_order(&guest.config));
    }
    guest
        .config
        .entry("smbios1".into())
        .or_insert_with(|| format!("uuid={}", sim.random.uuid()));
    guest
        .config
        .entry("vmgenid".into())
        .or_insert_with(|| sim.random.uuid());
    guest
        .config
        .insert("meta".into(), format!("creation-qemu=10.2.2,ctime={now}"));
    Ok(())
}

fn disks_order(key: &str) -> (u8, String) {
    let rank = if key.starts_with("ide") {
        1
    } else {
        u8::from(is_drive(key)) * 2
    };
    (rank, key.to_owned())
}

/// First disk, first CD, first network device.
pub(crate) fn boot_order(config: &Options) -> String {
    let drives = disks::drives(config);
    let disk = drives
        .iter()
        .find(|(_, drive)| !drive.is_cdrom())
        .map(|(key, _)| key.clone());
    let cdrom = drives
        .iter()
        .find(|(_, drive)| drive.is_cdrom())
        .map(|(key, _)| key.clone());
    let net = config.keys().find(|key| is_net(key)).cloned();
    let order: Vec<String> = [disk, cdrom, net].into_iter().flatten().collect();
    format!("order={}", order.join(";"))
}

pub(super) fn template(c: &Context) -> Handled {
    let vmid = c.vmid();
    let node = c.node.clone();
    {
        let world = c.sim.world();
        let guest = world.guest(&node, vmid)?;
        guest.check_lock()?;
        if !guest.snapshots.is_empty() {
            return Err(Failure::die(
                "unable to create template, because VM contains snapshots",
            ));
        }
        if guest.is_template() {
            return Err(Failure::die("you can't convert a template to a template"));
        }
        if guest.is_running() {
            return Err(Failure::die(
                "you can't convert a VM to template if VM is running",
            ));
        }
    }
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "qmtemplate",
        &vmid.to_string(),
        move |task| async move {
            let _lock = task
                .sim
                .locks
                .vm(&task.sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            task.work(task.sim.duration(Work::Template)).await?;
            convert(&mut task.sim.world(), &node, vmid)?;
            task.effect("template", &node, vmid, "");
            Ok(())
        },
    );
    Ok(json!(upid).into())
}

/// Renames every disk to a base volume and marks the guest.
pub(crate) fn convert(
    world: &mut crate::model::World,
    node: &str,
    vmid: u32,
) -> Result<(), String> {
    let mut config = world.guest(node, vmid)?.config.clone();
    for (key, mut drive) in disks::drives(&config) {
        if drive.is_cdrom() {
            continue;
        }
        let base = drive
            .volid
            .replace(&format!("vm-{vmid}-disk"), &format!("base-{vmid}-disk"));
        if let Some(volume) = world.volume_mut(node, &drive.volid) {
            volume.volid.clone_from(&base);
        }
        drive.volid = base;
        config.insert(key, drive.print());
    }
    config.insert("template".into(), "1".into());
    world.guest_mut(node, vmid)?.config = config;
    Ok(())
}
