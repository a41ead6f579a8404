//! Reading and changing a guest's configuration: digest, pending values, drives, cloud-init.

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Failure, Handled, Reply};
use crate::disks::{self, Drive, is_drive, is_net, is_unused};
use crate::dispatch::Context;
use crate::locks::CONFIG_WAIT;
use crate::model::{Guest, Options};
use crate::pace::Work;
use crate::params::split_list;
use crate::schema::{self, split_index};
use crate::sim::Sim;
use crate::tasks::{Task, spawn};

/// Parameters that steer the call and are no options.
const STEERING: [&str; 9] = [
    "node",
    "vmid",
    "digest",
    "delete",
    "revert",
    "force",
    "skiplock",
    "background_delay",
    "import-working-storage",
];
/// Options of a running guest that take effect at once.
const IMMEDIATE: [&str; 18] = [
    "description",
    "hookscript",
    "lock",
    "migrate_downtime",
    "migrate_speed",
    "name",
    "onboot",
    "protection",
    "shares",
    "startup",
    "tags",
    "vmstatestorage",
    "balloon",
    "cpuunits",
    "cpulimit",
    "tablet",
    "template",
    "vmgenid",
];

/// An option's value with the JSON type PVE gives it.
pub(super) fn typed(key: &str, text: &str) -> Value {
    let kind = schema::guest_options()
        .and_then(|endpoint| endpoint.param(key))
        .and_then(|spec| spec["type"].as_str());
    match kind {
        Some("integer" | "boolean") => text
            .parse::<i64>()
            .map_or_else(|_| json!(text), |number| json!(number)),
        _ if key == "template" || key == "snaptime" => text
            .parse::<i64>()
            .map_or_else(|_| json!(text), |number| json!(number)),
        _ => json!(text),
    }
}

fn object(options: &Options) -> Value {
    options
        .iter()
        .map(|(key, text)| {
            let value = if key == "cipassword" {
                json!("**********")
            } else {
                typed(key, text)
            };
            (key.clone(), value)
        })
        .collect::<serde_json::Map<String, Value>>()
        .into()
}

pub(super) fn get(c: &Context) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    let mut options = guest.config.clone();
    if let Some(name) = c.params.get("snapshot") {
        let snapshot = guest
            .snapshots
            .get(name)
            .ok_or_else(|| format!("snapshot '{name}' does not exist"))?;
        options = snapshot.config.clone();
    } else if !c.params.flag("current") {
        for (key, value) in &guest.pending {
            match value {
                Some(value) => options.insert(key.clone(), value.clone()),
                None => options.remove(key),
            };
        }
    }
    let mut data = object(&options);
    data["digest"] = json!(guest.digest());
    Ok(data.into())
}

pub(super) fn snapshot_object(options: &Options) -> Value {
    object(options)
}

pub(super) fn pending(c: &Context) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    let mut items: Vec<Value> = Vec::new();
    if let Value::Object(current) = object(&guest.config) {
        for (key, value) in current {
            let mut item = json!({"key": key, "value": value});
            match guest.pending.get(&key) {
                Some(Some(text)) => item["pending"] = typed(&key, text),
                Some(None) => item["delete"] = json!(1),
                None => {}
            }
            items.push(item);
        }
    }
    for (key, value) in guest
        .pending
        .iter()
        .filter(|(key, _)| !guest.config.contains_key(*key))
    {
        if let Some(text) = value {
            items.push(json!({"key": key, "pending": typed(key, text)}));
        }
    }
    items.push(json!({"key": "digest", "value": guest.digest()}));
    Ok(items.into())
}

/// What a request wants changed.
struct Change {
    set: Vec<(String, String)>,
    delete: Vec<String>,
    revert: Vec<String>,
    force: bool,
    skiplock: bool,
}

fn read_change(c: &Context) -> Result<Change, Failure> {
    let set: Vec<(String, String)> = c
        .params
        .0
        .keys()
        .filter(|key| !STEERING.contains(&key.as_str()))
        .map(|key| (key.clone(), c.params.text(key)))
        .collect();
    let delete = c.params.list("delete");
    let revert = c.params.list("revert");
    if c.params.flag("skiplock") && !c.who.is_root() {
        return Err(Failure::param("skiplock", "Only root may use this option."));
    }
    for key in &delete {
        let is_known =
            schema::guest_options().is_some_and(|endpoint| endpoint.param(key).is_some());
        if !is_known {
            return Err(Failure::param("delete", format!("unknown option '{key}'")));
        }
        if set.iter().any(|(name, _)| name == key) {
            let text = format!("you can't use '-{key}' and -delete {key}' at the same time");
            return Err(Failure::param("delete", text));
        }
    }
    if let Some((_, keys)) = set.iter().find(|(key, _)| key == "sshkeys") {
        super::cloudinit::check_ssh_keys(keys)?;
    }
    if set.is_empty() && delete.is_empty() && revert.is_empty() {
        return Err(Failure::die("no options specified"));
    }
    let touched: Vec<String> = set
        .iter()
        .map(|(key, _)| key.clone())
        .chain(delete.iter().cloned())
        .collect();
    super::privileges::check_options(c, &touched, &c.params)?;
    for (key, value) in set.iter().filter(|(key, _)| is_drive(key)) {
        let drive = Drive::read(value);
        if let Some((storage, _)) = drive.volid.split_once(':') {
            let world = c.sim.world();
            world.storage(storage)?;
            if !drive.is_cdrom() || drive.volid.ends_with(":cloudinit") {
                acl::require(
                    &world,
                    &c.who,
                    &format!("/storage/{storage}"),
                    &["Datastore.AllocateSpace"],
                )?;
            }
        } else if !matches!(drive.volid.as_str(), "none" | "cdrom") && !c.who.is_root() {
            return Err(Failure::die(format!(
                "only root can use absolute paths ({key})"
            )));
        }
    }
    Ok(Change {
        set,
        delete,
        revert,
        force: c.params.flag("force"),
        skiplock: c.params.flag("skiplock"),
    })
}

pub(super) fn check_digest(guest: &Guest, digest: Option<&str>) -> Result<(), String> {
    match digest {
        Some(digest) if !digest.is_empty() && digest != guest.digest() => {
            Err("checksum mismatch (file change by other user?)".into())
        }
        _ => Ok(()),
    }
}

pub(super) async fn put(c: &Context) -> Handled {
    c.sim.world().guest(&c.node, c.vmid())?;
    let change = read_change(c)?;
    let _lock = c
        .sim
        .locks
        .vm(&c.sim.clock, None, c.vmid(), CONFIG_WAIT)
        .await?;
    c.sim.clock.sleep(c.sim.duration(Work::Config)).await;
    apply(
        &c.sim,
        &c.node,
        c.vmid(),
        &change,
        c.params.get("digest"),
        None,
    )?;
    Ok(Reply::null())
}

pub(super) async fn post(c: &Context) -> Handled {
    c.sim.world().guest(&c.node, c.vmid())?;
    let change = read_change(c)?;
    let vmid = c.vmid();
    let digest = c.params.get("digest").map(str::to_owned);
    {
        let world = c.sim.world();
        let guest = world.guest(&c.node, vmid)?;
        check_digest(guest, digest.as_deref())?;
    }
    let node = c.node.clone();
    let line = format!("update VM {vmid}: {}", describe(&change));
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "qmconfig",
        &vmid.to_string(),
        move |task| async move {
            task.log(line);
            let _lock = task
                .sim
                .locks
                .vm(&task.sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            task.work(task.sim.duration(Work::Config)).await?;
            apply(
                &task.sim,
                &node,
                vmid,
                &change,
                digest.as_deref(),
                Some(&task),
            )
            .map_err(|failure| {
                failure
                    .errors
                    .values()
                    .next()
                    .cloned()
                    .unwrap_or_else(|| failure.reason())
            })
        },
    );
    if let Some(delay) = c.params.number("background_delay") {
        let delay = std::time::Duration::from_secs(u64::try_from(delay).unwrap_or(1));
        c.sim.clock.sleep(delay).await;
        match c.sim.tasks.find(&upid).and_then(|record| record.exit) {
            Some((exit, _)) if exit == "OK" => return Ok(Reply::null()),
            Some((exit, _)) => return Err(Failure::die(exit)),
            None => {}
        }
    }
    Ok(json!(upid).into())
}

fn describe(change: &Change) -> String {
    let mut parts: Vec<String> = change
        .set
        .iter()
        .map(|(key, value)| match key.as_str() {
            "cipassword" => format!("-{key} <hidden>"),
            _ => format!("-{key} {value}"),
        })
        .collect();
    if !change.delete.is_empty() {
        parts.push(format!("-delete {}", change.delete.join(",")));
    }
    parts.join(" ")
}

pub(super) async fn unlink(c: &Context) -> Handled {
    let change = Change {
        set: Vec::new(),
        delete: c.params.list("idlist"),
        revert: Vec::new(),
        force: c.params.flag("force"),
        skiplock: false,
    };
    let _lock = c
        .sim
        .locks
        .vm(&c.sim.clock, None, c.vmid(), CONFIG_WAIT)
        .await?;
    apply(&c.sim, &c.node, c.vmid(), &change, None, None)?;
    Ok(Reply::null())
}

/// Writes a change. Options are applied one after the other; a failure leaves the earlier ones.
fn apply(
    sim: &Sim,
    node: &str,
    vmid: u32,
    change: &Change,
    digest: Option<&str>,
    task: Option<&Task>,
) -> Result<(), Failure> {
    let now = sim.clock.now();
    let mut keys = Vec::new();
    {
        let mut world = sim.world();
        let guest = world.guest(node, vmid)?;
        check_digest(guest, digest)?;
        if !change.skiplock {
            guest.check_lock()?;
        }
        let mut guest = guest.clone();
        let outcome = (|| -> Result<(), Failure> {
            for key in &change.revert {
                guest.pending.remove(key);
            }
            for key in &change.delete {
                remove_option(&mut world, &mut guest, key, change.force)?;
                keys.push(format!("-{key}"));
            }
            for (key, value) in &change.set {
                set_option(sim, &mut world, &mut guest, now, key, value, task)?;
                keys.push(key.clone());
            }
            Ok(())
        })();
        world.guests.insert(vmid, guest);
        outcome?;
    }
    sim.effect(
        "config",
        node,
        vmid,
        task.map(|task| task.upid.as_str()),
        keys.join(","),
    );
    Ok(())
}

fn takes_effect_at_once(guest: &Guest, key: &str) -> bool {
    let base = split_index(key).map_or(key, |(base, _)| base);
    !guest.is_running()
        || IMMEDIATE.contains(&key)
        || super::cloudinit::OPTIONS.contains(&key)
        || matches!(
            base,
            "net" | "ipconfig" | "scsi" | "virtio" | "unused" | "usb"
        )
}

fn remove_option(
    world: &mut crate::model::World,
    guest: &mut Guest,
    key: &str,
    force: bool,
) -> Result<(), Failure> {
    guest.pending.remove(key);
    let Some(text) = guest.config.get(key).cloned() else {
        return Ok(());
    };
    if (is_drive(key) || is_unused(key)) && guest.option("protection") == "1" {
        return Err(Failure::die(format!(
            "can't remove drive '{key}' - protection mode enabled"
        )));
    }
    if !takes_effect_at_once(guest, key) {
        guest.pending.insert(key.to_owned(), None);
        return Ok(());
    }
    guest.config.remove(key);
    let drive = Drive::read(&text);
    if is_unused(key) || (is_drive(key) && (force || drive.is_cloudinit())) {
        if !drive.is_cdrom() || drive.is_cloudinit() {
            world.remove_volume(&guest.node.clone(), &drive.volid);
        }
    } else if is_drive(key) && !drive.is_cdrom() {
        disks::add_unused(&mut guest.config, &drive.volid);
    }
    Ok(())
}

/// Sets one option: normalised, drives allocated, pending where the guest runs.
pub(super) fn set_option(
    sim: &Sim,
    world: &mut crate::model::World,
    guest: &mut Guest,
    now: i64,
    key: &str,
    value: &str,
    task: Option<&Task>,
) -> Result<(), Failure> {
    let normalized = if is_net(key) {
        let prefix = world
            .options
            .get("mac_prefix")
            .map_or("BC:24:11", String::as_str);
        disks::normalize_net(
            &sim.random,
            prefix,
            value,
            guest.config.get(key).map(String::as_str),
        )
    } else if is_drive(key) {
        super::drive::set_drive(world, guest, now, key, value, task)?
    } else {
        match key {
            "tags" => {
                let mut tags: Vec<String> = split_list(value)
                    .iter()
                    .map(|tag| tag.to_lowercase())
                    .collect();
                tags.sort();
                tags.dedup();
                tags.join(";")
            }
            "cipassword" if !value.starts_with('$') => {
                format!("$5${}${}", &sim.random.uuid()[..8], sim.random.uuid())
            }
            "boot" => {
                let order = value.trim_start_matches("order=");
                for device in order
                    .split(';')
                    .filter(|device| value.starts_with("order=") && !device.is_empty())
                {
                    if !guest.config.contains_key(device) {
                        return Err(Failure::die(format!(
                            "invalid bootorder: device '{device}' does not exist'"
                        )));
                    }
                }
                value.to_owned()
            }
            "balloon" => {
                let memory = guest.option("memory").parse().unwrap_or(512_u64);
                if value.parse::<u64>().is_ok_and(|balloon| balloon > memory)
                    && guest.config.contains_key("memory")
                {
                    return Err(Failure::die(
                        "balloon value too large (must be smaller than assigned memory)",
                    ));
                }
                value.to_owned()
            }
            _ => value.to_owned(),
        }
    };
    if takes_effect_at_once(guest, key) {
        guest.pending.remove(key);
        if (key == "name" || key == "description" || key == "tags") && normalized.is_empty() {
            guest.config.remove(key);
        } else {
            guest.config.insert(key.to_owned(), normalized);
        }
    } else if guest.config.get(key) == Some(&normalized) {
        guest.pending.remove(key);
    } else {
        guest.pending.insert(key.to_owned(), Some(normalized));
    }
    Ok(())
}
