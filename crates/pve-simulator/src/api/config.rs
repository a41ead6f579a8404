//! Reading and changing a guest's configuration: digest, pending values, drives, cloud-init.

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Failure, Handled, Reply};
use crate::disks::{self, Drive, is_drive, is_net, is_unused};
use crate::dispatch::Context;
use crate::locks::CONFIG_WAIT;
use crate::model::{Guest, Options};
use crate::pace::Work;
use crate::params::{Params, split_list};
use crate::schema::{self, split_index};
use crate::sim::Sim;
use crate::tasks::{Task, spawn};
use crate::validate::{parse_size, print_size};

/// Parameters that steer the call and are no options.
const STEERING: [&str; 9] =
    ["node", "vmid", "digest", "delete", "revert", "force", "skiplock", "background_delay", "import-working-storage"];
const ROOT_ONLY: [&str; 13] = [
    "affinity", "amd-sev", "arch", "args", "hookscript", "hugepages", "intel-tdx", "ivshmem", "keephugepages", "lock",
    "spice_enhancements", "vmgenid", "parallel0",
];
/// Options of a running guest that take effect at once.
const IMMEDIATE: [&str; 18] = [
    "description", "hookscript", "lock", "migrate_downtime", "migrate_speed", "name", "onboot", "protection", "shares",
    "startup", "tags", "vmstatestorage", "balloon", "cpuunits", "cpulimit", "tablet", "template", "vmgenid",
];
const CLOUDINIT: [&str; 8] =
    ["cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver", "searchdomain", "sshkeys"];

/// An option's value with the JSON type PVE gives it.
fn typed(key: &str, text: &str) -> Value {
    let segments: Vec<String> =
        ["nodes", "x", "qemu", "100", "config"].iter().map(|part| (*part).to_owned()).collect();
    let kind = schema::find("PUT", &segments)
        .and_then(|(endpoint, _)| endpoint.param(key))
        .and_then(|spec| spec["type"].as_str());
    match kind {
        Some("integer" | "boolean") => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        _ if key == "template" || key == "snaptime" => {
            text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
        }
        _ => json!(text),
    }
}

fn object(options: &Options) -> Value {
    options
        .iter()
        .map(|(key, text)| {
            let value = if key == "cipassword" { json!("**********") } else { typed(key, text) };
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
        let snapshot = guest.snapshots.get(name).ok_or_else(|| format!("snapshot '{name}' does not exist"))?;
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
    for (key, value) in guest.pending.iter().filter(|(key, _)| !guest.config.contains_key(*key)) {
        if let Some(text) = value {
            items.push(json!({"key": key, "pending": typed(key, text)}));
        }
    }
    items.push(json!({"key": "digest", "value": guest.digest()}));
    Ok(items.into())
}

/// The privilege each option needs beyond entering the call.
pub(super) fn check_privileges(c: &Context, keys: &[String], params: &Params) -> Result<(), Failure> {
    let world = c.sim.world();
    let path = format!("/vms/{}", c.vmid());
    let pool = params.get("pool").map(|pool| format!("/pool/{pool}"));
    for key in keys {
        let key = key.as_str();
        let base = split_index(key).map_or(key, |(base, _)| base);
        if (ROOT_ONLY.contains(&key) || base == "parallel") && !c.who.is_root() {
            return Err(Failure::die(format!("only root can set '{key}' config")));
        }
        let value = params.get(key).unwrap_or_default();
        let wanted: &[&str] = match base {
            "cores" | "cpu" | "cpulimit" | "cpuunits" | "numa" | "smp" | "sockets" | "vcpus" => &["VM.Config.CPU"],
            "memory" | "balloon" | "shares" | "allow-ksm" => &["VM.Config.Memory"],
            "net" => &["VM.Config.Network"],
            "ipconfig" => &["VM.Config.Cloudinit", "VM.Config.Network"],
            _ if CLOUDINIT.contains(&key) => &["VM.Config.Cloudinit", "VM.Config.Network"],
            _ if is_drive(key) && value.contains("cloudinit") => &["VM.Config.Cloudinit"],
            _ if is_drive(key) && value.contains("media=cdrom") => &["VM.Config.CDROM"],
            "boot" | "bootdisk" | "vmstatestorage" | "unused" => &["VM.Config.Disk"],
            _ if is_drive(key) => &["VM.Config.Disk", "VM.Config.CDROM"],
            "acpi" | "audio" | "hotplug" | "kvm" | "machine" | "rng" | "scsihw" | "smbios1" | "tablet" | "vga"
            | "watchdog" | "serial" | "usb" | "hostpci" => &["VM.Config.HWType"],
            "freeze" => &["VM.PowerMgmt"],
            _ => &["VM.Config.Options"],
        };
        let in_pool = pool.as_ref().is_some_and(|pool| acl::require_any(&world, &c.who, pool, wanted).is_ok());
        if !in_pool {
            acl::require_any(&world, &c.who, &path, wanted)?;
        }
        if base == "net"
            && let Some(bridge) = value.split(',').find_map(|part| part.strip_prefix("bridge="))
        {
            acl::require(&world, &c.who, &format!("/sdn/zones/localnetwork/{bridge}"), &["SDN.Use"])?;
        }
        if key == "startup" {
            acl::require(&world, &c.who, "/", &["Sys.Modify"])?;
        }
    }
    Ok(())
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
    let segments: Vec<String> =
        ["nodes", "x", "qemu", "100", "config"].iter().map(|part| (*part).to_owned()).collect();
    for key in &delete {
        let is_known = schema::find("PUT", &segments).is_some_and(|(endpoint, _)| endpoint.param(key).is_some());
        if !is_known {
            return Err(Failure::param("delete", format!("unknown option '{key}'")));
        }
        if set.iter().any(|(name, _)| name == key) {
            let text = format!("you can't use '-{key}' and -delete {key}' at the same time");
            return Err(Failure::param("delete", text));
        }
    }
    if let Some((_, keys)) = set.iter().find(|(key, _)| key == "sshkeys") {
        check_ssh_keys(keys)?;
    }
    if set.is_empty() && delete.is_empty() && revert.is_empty() {
        return Err(Failure::die("no options specified"));
    }
    let touched: Vec<String> = set.iter().map(|(key, _)| key.clone()).chain(delete.iter().cloned()).collect();
    check_privileges(c, &touched, &c.params)?;
    for (key, value) in set.iter().filter(|(key, _)| is_drive(key)) {
        let drive = Drive::read(value);
        if let Some((storage, _)) = drive.volid.split_once(':') {
            let world = c.sim.world();
            world.storage(storage)?;
            if !drive.is_cdrom() || drive.volid.ends_with(":cloudinit") {
                acl::require(&world, &c.who, &format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
            }
        } else if !matches!(drive.volid.as_str(), "none" | "cdrom") && !c.who.is_root() {
            return Err(Failure::die(format!("only root can use absolute paths ({key})")));
        }
    }
    Ok(Change { set, delete, revert, force: c.params.flag("force"), skiplock: c.params.flag("skiplock") })
}

/// Every key must look like one: type, base64 of the right kind, optional comment.
pub(super) fn check_ssh_keys(encoded: &str) -> Result<(), Failure> {
    use base64::Engine as _;
    let text = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    let is_key = |line: &str| {
        let mut parts = line.split_whitespace();
        let (Some(kind), Some(data)) = (parts.next(), parts.next()) else { return false };
        let Ok(blob) = base64::engine::general_purpose::STANDARD.decode(data) else { return false };
        let length = blob.get(..4).map_or(0, |n| usize::try_from(u32::from_be_bytes([n[0], n[1], n[2], n[3]])).unwrap_or(0));
        // an ed25519 key is exactly type and 32 bytes; others are longer
        blob.get(4..4 + length).is_some_and(|name| name == kind.as_bytes())
            && (kind != "ssh-ed25519" || blob.len() == 51)
            && blob.len() > length + 8
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    if lines.iter().all(|line| is_key(line)) { Ok(()) } else { Err(Failure::die("SSH public key validation error")) }
}

fn check_digest(guest: &Guest, digest: Option<&str>) -> Result<(), String> {
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
    let _lock = c.sim.locks.vm(&c.sim.clock, None, c.vmid(), CONFIG_WAIT).await?;
    c.sim.clock.sleep(c.sim.duration(Work::Config)).await;
    apply(&c.sim, &c.node, c.vmid(), &change, c.params.get("digest"), None)?;
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
    let upid = spawn(&c.sim, &c.who, &c.effects, &c.node, "qmconfig", &vmid.to_string(), move |task| async move {
        task.log(line);
        let _lock = task.sim.locks.vm(&task.sim.clock, Some(&task), vmid, CONFIG_WAIT).await?;
        task.work(task.sim.duration(Work::Config)).await?;
        apply(&task.sim, &node, vmid, &change, digest.as_deref(), Some(&task)).map_err(|failure| {
            failure.errors.values().next().cloned().unwrap_or_else(|| failure.reason())
        })
    });
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
    let _lock = c.sim.locks.vm(&c.sim.clock, None, c.vmid(), CONFIG_WAIT).await?;
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
    sim.effect("config", node, vmid, task.map(|task| task.upid.as_str()), keys.join(","));
    Ok(())
}

fn takes_effect_at_once(guest: &Guest, key: &str) -> bool {
    let base = split_index(key).map_or(key, |(base, _)| base);
    !guest.is_running()
        || IMMEDIATE.contains(&key)
        || CLOUDINIT.contains(&key)
        || matches!(base, "net" | "ipconfig" | "scsi" | "virtio" | "unused" | "usb")
}

fn remove_option(
    world: &mut crate::model::World,
    guest: &mut Guest,
    key: &str,
    force: bool,
) -> Result<(), Failure> {
    guest.pending.remove(key);
    let Some(text) = guest.config.get(key).cloned() else { return Ok(()) };
    if (is_drive(key) || is_unused(key)) && guest.option("protection") == "1" {
        return Err(Failure::die(format!("can't remove drive '{key}' - protection mode enabled")));
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
        let prefix = world.options.get("mac_prefix").map_or("BC:24:11", String::as_str);
        disks::normalize_net(&sim.random, prefix, value, guest.config.get(key).map(String::as_str))
    } else if is_drive(key) {
        set_drive(world, guest, now, key, value, task)?
    } else {
        match key {
            "tags" => {
                let mut tags: Vec<String> = split_list(value).iter().map(|tag| tag.to_lowercase()).collect();
                tags.sort();
                tags.dedup();
                tags.join(";")
            }
            "cipassword" if !value.starts_with('$') => format!("$5${}${}", &sim.random.uuid()[..8], sim.random.uuid()),
            "boot" => {
                let order = value.trim_start_matches("order=");
                for device in order.split(';').filter(|device| value.starts_with("order=") && !device.is_empty()) {
                    if !guest.config.contains_key(device) {
                        return Err(Failure::die(format!("invalid bootorder: device '{device}' does not exist'")));
                    }
                }
                value.to_owned()
            }
            "balloon" => {
                let memory = guest.option("memory").parse().unwrap_or(512_u64);
                if value.parse::<u64>().is_ok_and(|balloon| balloon > memory) && guest.config.contains_key("memory") {
                    return Err(Failure::die("balloon value too large (must be smaller than assigned memory)"));
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

fn set_drive(
    world: &mut crate::model::World,
    guest: &mut Guest,
    now: i64,
    key: &str,
    value: &str,
    task: Option<&Task>,
) -> Result<String, Failure> {
    let mut drive = Drive::read(value);
    let node = guest.node.clone();
    let log = |lines: Vec<String>| {
        if let Some(task) = task {
            lines.into_iter().for_each(|line| task.log(line));
        }
    };
    let Some((storage, what)) = drive.volid.clone().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())) else {
        drive.properties.entry("media".into()).or_insert_with(|| "cdrom".into());
        return Ok(drive.print());
    };
    world.storage_on(&node, &storage)?;
    let previous = guest.config.get(key).map(|text| Drive::read(text));
    if what == "cloudinit" {
        let other = disks::drives(&guest.config).into_iter().find(|(name, drive)| name != key && drive.is_cloudinit());
        if let Some((other, _)) = other {
            return Err(Failure::die(format!("{key} - cloud-init drive is already attached at '{other}'")));
        }
        let (volume, lines) = disks::allocate_cloudinit(world, now, &node, &storage, guest.vmid)?;
        drive.volid = volume.volid;
        drive.properties.insert("media".into(), "cdrom".into());
        log(lines);
        if let Some(task) = task {
            task.log(format!("{key}: successfully created disk '{}'", drive.print()));
        }
    } else if let Some(size) = gibibytes(&what) {
        let import = drive.properties.remove("import-from");
        let format = drive.properties.remove("format");
        let source = match &import {
            Some(source) => Some(world.volume(&node, source).cloned().ok_or_else(|| format!("volume '{source}' does not exist"))?),
            None => None,
        };
        let size = source.as_ref().map_or(size, |volume| volume.size.max(size).max(1 << 30));
        let (volume, lines) = disks::allocate(world, now, &node, &storage, guest.vmid, size, format.as_deref())?;
        if let (Some(source), Some(stored)) = (source, world.volume_mut(&node, &volume.volid)) {
            stored.bootable = source.bootable;
        }
        drive.volid = volume.volid;
        drive.set_size(size);
        log(lines);
        if let Some(task) = task {
            task.log(format!("{key}: successfully created disk '{}'", drive.print()));
        }
    } else {
        let is_same = previous.as_ref().is_some_and(|old| old.volid == drive.volid);
        let Some(volume) = world.volume(&node, &drive.volid) else {
            return Err(Failure::die(format!("volume '{}' does not exist", drive.volid)));
        };
        if !drive.is_cdrom() || volume.content == "iso" {
            drive.properties.insert("size".into(), print_size(volume.size));
        }
        guest.config.retain(|name, text| !(is_unused(name) && Drive::read(text).volid == drive.volid));
        if is_same {
            return Ok(drive.print());
        }
    }
    if let Some(old) = previous
        && old.volid != drive.volid
        && !old.is_cdrom()
    {
        disks::add_unused(&mut guest.config, &old.volid);
    }
    Ok(drive.print())
}

/// `32` or `0.5`: the size part of `storage:size`, in GiB.
fn gibibytes(text: &str) -> Option<u64> {
    text.parse::<f64>().ok()?;
    parse_size(&format!("{text}G"))
}

pub(super) fn resize(c: &Context) -> Handled {
    let vmid = c.vmid();
    let (key, size) = (c.params.text("disk"), c.params.text("size"));
    let digest = c.params.get("digest").map(str::to_owned);
    let node = c.node.clone();
    {
        let world = c.sim.world();
        let guest = world.guest(&c.node, vmid)?;
        if let Some(text) = guest.config.get(&key) {
            let drive = Drive::read(text);
            let storage = drive.volid.split(':').next().unwrap_or_default();
            acl::require(&world, &c.who, &format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
        }
    }
    let upid = spawn(&c.sim, &c.who, &c.effects, &c.node, "resize", &vmid.to_string(), move |task| async move {
        let _lock = task.sim.locks.vm(&task.sim.clock, Some(&task), vmid, CONFIG_WAIT).await?;
        let target = {
            let world = task.sim.world();
            let guest = world.guest(&node, vmid)?;
            check_digest(guest, digest.as_deref())?;
            guest.check_lock()?;
            let text = guest.config.get(&key).ok_or_else(|| format!("disk '{key}' does not exist"))?;
            let drive = Drive::read(text);
            if drive.is_cdrom() {
                return Err("you can't resize a cdrom".into());
            }
            let volume = world.volume(&node, &drive.volid).ok_or_else(|| format!("disk '{key}' has no associated volume"))?;
            let wanted = match size.strip_prefix('+') {
                Some(more) => volume.size + parse_size(more).unwrap_or_default(),
                None => parse_size(&size).unwrap_or_default(),
            };
            if wanted < volume.size {
                return Err("shrinking disks is not supported".into());
            }
            wanted
        };
        task.work(task.sim.duration(Work::Resize)).await?;
        {
            let mut world = task.sim.world();
            let guest = world.guest_mut(&node, vmid)?;
            let mut drive = Drive::read(guest.option(&key));
            drive.set_size(target);
            guest.config.insert(key.clone(), drive.print());
            if let Some(volume) = world.volume_mut(&node, &drive.volid) {
                volume.size = target;
            }
        }
        task.log("Image resized.");
        task.effect("resize", &node, vmid, format!("{key}={}", print_size(target)));
        Ok(())
    });
    Ok(json!(upid).into())
}

pub(super) fn cloudinit(c: &Context, is_rebuild: bool) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    if is_rebuild {
        guest.check_lock()?;
        return Ok(Reply::null());
    }
    let items = guest.config.iter().filter(|(key, _)| {
        CLOUDINIT.contains(&key.as_str()) || key.starts_with("ipconfig") || key.as_str() == "name"
    });
    let items = items.map(|(key, value)| {
        json!({"key": key, "value": if key == "cipassword" { json!("**********") } else { typed(key, value) }})
    });
    Ok(items.collect::<Vec<Value>>().into())
}

pub(super) fn cloudinit_dump(c: &Context) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    let name = match guest.option("name") {
        "" => format!("VM{}", guest.vmid),
        name => name.to_owned(),
    };
    let host = name.split('.').next().unwrap_or_default().to_owned();
    let text = match c.params.get("type") {
        Some("network") => network_data(guest),
        Some("meta") => format!("instance-id: {}\n", guest.digest()),
        _ => user_data(guest, &host, &name),
    };
    Ok(json!(text).into())
}

fn user_data(guest: &Guest, host: &str, name: &str) -> String {
    let mut text = format!("#cloud-config\nhostname: {host}\nmanage_etc_hosts: true\n");
    text.push_str(&format!("fqdn: {name}\n"));
    if let Some(user) = guest.config.get("ciuser") {
        text.push_str(&format!("user: {user}\n"));
    }
    if let Some(password) = guest.config.get("cipassword") {
        text.push_str(&format!("password: {password}\n"));
    }
    if let Some(keys) = guest.config.get("sshkeys") {
        text.push_str("ssh_authorized_keys:\n");
        let keys = percent_encoding::percent_decode_str(keys).decode_utf8_lossy().into_owned();
        for key in keys.lines().filter(|key| !key.trim().is_empty()) {
            text.push_str(&format!("  - {}\n", key.trim()));
        }
    }
    text.push_str("chpasswd:\n  expire: False\n");
    if !guest.config.contains_key("ciuser") {
        text.push_str("users:\n  - default\n");
    }
    let upgrade = guest.option("ciupgrade") != "0";
    text.push_str(&format!("package_upgrade: {upgrade}\n"));
    text
}

fn network_data(guest: &Guest) -> String {
    let mut text = "version: 1\nconfig:\n".to_owned();
    for (key, net) in guest.config.iter().filter(|(key, _)| is_net(key)) {
        let index = split_index(key).map_or(0, |(_, index)| index);
        let mac = crate::property::read_net(net).get("macaddr").cloned().unwrap_or_default().to_lowercase();
        text.push_str(&format!("    - type: physical\n      name: eth{index}\n      mac_address: '{mac}'\n      subnets:\n"));
        let ip = crate::property::read(guest.option(&format!("ipconfig{index}")), "ip");
        match ip.get("ip").map(String::as_str) {
            Some("dhcp") => text.push_str("      - type: dhcp4\n"),
            Some(address) => {
                text.push_str(&format!("      - type: static\n        address: '{address}'\n"));
                if let Some(gateway) = ip.get("gw") {
                    text.push_str(&format!("        gateway: '{gateway}'\n"));
                }
            }
            None => {}
        }
    }
    text
}
