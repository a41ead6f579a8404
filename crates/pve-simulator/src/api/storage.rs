//! Storages: definitions, usage, content, pruning, downloads.

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Failure, Handled, Reply};
use crate::config::StorageConfig;
use crate::disks;
use crate::dispatch::Context;
use crate::model::{Volume, World};
use crate::pace::Work;
use crate::tasks::spawn;

const SPACE: &str = "Datastore.AllocateSpace";

pub(super) fn call(c: &Context, method: &str, path: &str) -> Handled {
    let rest = path
        .strip_prefix("/nodes/{node}/storage")
        .unwrap_or_default();
    match (method, rest.strip_prefix("/{storage}").unwrap_or(rest)) {
        ("GET", "") => Ok(list(c)),
        ("GET", "/status") => status(c),
        ("GET", "/content") => content(c),
        ("POST", "/content") => allocate(c),
        ("GET", "/content/{volume}") => volume(c),
        ("PUT", "/content/{volume}") => update_volume(c),
        ("DELETE", "/content/{volume}") => delete_volume(c),
        ("GET", "/prunebackups") => Ok(super::prune::list(c)),
        ("DELETE", "/prunebackups") => super::prune::prune(c),
        ("POST", "/download-url") => download(c),
        _ => Ok(json!([]).into()),
    }
}

fn sees(c: &Context, world: &World, storage: &str) -> bool {
    let have = acl::privileges(world, &c.who, &format!("/storage/{storage}"));
    have.contains_key("Datastore.Audit") || have.contains_key(SPACE)
}

fn used(world: &World, node: &str, storage: &StorageConfig) -> u64 {
    let here = world.volumes.iter().filter(|volume| {
        volume.storage() == storage.name && (volume.node.is_empty() || volume.node == node)
    });
    (1 << 30) + here.map(|volume| volume.used).sum::<u64>()
}

fn numbers(world: &World, node: &str, storage: &StorageConfig) -> Value {
    let used = used(world, node, storage);
    json!({
        "type": storage.kind, "content": storage.content.join(","), "shared": u8::from(storage.shared),
        "enabled": 1, "active": 1, "total": storage.total, "used": used, "avail": storage.total.saturating_sub(used),
    })
}

fn on_node(storage: &StorageConfig, node: &str) -> bool {
    storage.nodes.is_empty() || storage.nodes.iter().any(|name| name == node)
}

fn list(c: &Context) -> Reply {
    let kinds = c.params.list("content");
    let world = c.sim.world();
    let visible = world.storages.values().filter(|storage| {
        on_node(storage, &c.node)
            && sees(c, &world, &storage.name)
            && c.params
                .get("storage")
                .is_none_or(|wanted| wanted == storage.name)
            && (kinds.is_empty() || kinds.iter().any(|kind| storage.content.contains(kind)))
    });
    visible
        .map(|storage| {
            let mut entry = numbers(&world, &c.node, storage);
            entry["storage"] = json!(storage.name);
            #[expect(clippy::cast_precision_loss, reason = "a fraction")]
            let fraction = used(&world, &c.node, storage) as f64 / storage.total as f64;
            entry["used_fraction"] = json!(fraction);
            entry
        })
        .collect::<Vec<Value>>()
        .into()
}

fn status(c: &Context) -> Handled {
    let world = c.sim.world();
    let name = c.params.text("storage");
    let storage = world
        .storages
        .get(&name)
        .ok_or_else(|| Failure::param("storage", "No such storage."))?;
    world.storage_on(&c.node, &name)?;
    Ok(numbers(&world, &c.node, storage).into())
}

pub(super) fn resources(c: &Context, world: &World) -> Vec<Value> {
    let mut items = Vec::new();
    for node in &c.sim.config.nodes {
        for storage in world.storages.values() {
            if on_node(storage, &node.name) && sees(c, world, &storage.name) {
                items.push(json!({
                    "id": format!("storage/{}/{}", node.name, storage.name), "type": "storage",
                    "storage": storage.name, "node": node.name, "plugintype": storage.kind,
                    "status": if world.offline.contains(&node.name) { "unknown" } else { "available" },
                    "content": storage.content.join(","), "shared": u8::from(storage.shared),
                    "disk": used(world, &node.name, storage), "maxdisk": storage.total,
                }));
            }
        }
    }
    items
}

fn define(storage: &StorageConfig) -> Value {
    let mut entry = json!({
        "storage": storage.name, "type": storage.kind, "content": storage.content.join(","),
        "digest": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    });
    if disks::has_files(storage) {
        let path = disks::path_of(storage, "");
        entry["path"] = json!(path.trim_end_matches("/images/"));
        entry["prune-backups"] = json!("keep-all=1");
        entry["priority"] = json!(0);
    }
    if storage.shared {
        entry["shared"] = json!(1);
    }
    if !storage.nodes.is_empty() {
        entry["nodes"] = json!(storage.nodes.join(","));
    }
    entry
}

pub(super) fn definitions(c: &Context) -> Handled {
    let world = c.sim.world();
    let visible = world
        .storages
        .values()
        .filter(|storage| sees(c, &world, &storage.name));
    Ok(visible.map(define).collect::<Vec<Value>>().into())
}

pub(super) fn definition(c: &Context) -> Handled {
    let world = c.sim.world();
    Ok(define(world.storage(&c.params.text("storage"))?).into())
}

fn entry(volume: &Volume) -> Value {
    let mut entry = json!({
        "volid": volume.volid, "content": volume.content, "format": volume.format, "size": volume.size,
        "ctime": volume.ctime,
    });
    if let Some(vmid) = volume.vmid {
        entry["vmid"] = json!(vmid);
    }
    if volume.content == "images" {
        entry["parent"] = json!(volume.parent);
        entry["used"] = json!(volume.used);
    }
    if volume.content == "backup" {
        entry["subtype"] = json!("qemu");
        if let Some(state) = &volume.verified {
            entry["verification"] = json!({ "state": state });
        }
    }
    if let Some(notes) = &volume.notes {
        entry["notes"] = json!(notes.lines().next().unwrap_or_default());
    }
    if volume.protected {
        entry["protected"] = json!(1);
    }
    entry
}

/// May the caller see (or, with `to_change`, touch) this volume?
fn may(c: &Context, world: &World, volume: &Volume) -> bool {
    let on_storage = acl::privileges(world, &c.who, &format!("/storage/{}", volume.storage()));
    if on_storage.contains_key("Datastore.Allocate") {
        return true;
    }
    let on_guest = |privilege: &str| {
        volume
            .vmid
            .is_some_and(|vmid| acl::has(world, &c.who, &format!("/vms/{vmid}"), privilege))
    };
    match volume.content.as_str() {
        "backup" => on_storage.contains_key(SPACE) && on_guest("VM.Backup"),
        "images" => on_storage.contains_key("Datastore.Audit") && on_guest("VM.Config.Disk"),
        _ => on_storage.contains_key("Datastore.Audit") || on_storage.contains_key(SPACE),
    }
}

fn content(c: &Context) -> Handled {
    let world = c.sim.world();
    let name = c.params.text("storage");
    world.storage_on(&c.node, &name)?;
    let vmid = c.params.get("vmid").map(|_| c.vmid());
    let found = world.volumes.iter().filter(|volume| {
        volume.storage() == name
            && (volume.node.is_empty() || volume.node == c.node)
            && vmid.is_none_or(|vmid| volume.vmid == Some(vmid))
            && c.params
                .get("content")
                .is_none_or(|kind| kind == volume.content)
            && may(c, &world, volume)
    });
    let mut items: Vec<Value> = found.map(entry).collect();
    items.sort_by(|a, b| a["volid"].as_str().cmp(&b["volid"].as_str()));
    Ok(items.into())
}

fn allocate(c: &Context) -> Handled {
    let name = c.params.text("storage");
    let size = c.params.text("size");
    let size = crate::validate::parse_size(&size).map(|n| {
        if size.ends_with(|c: char| c.is_ascii_digit()) {
            n << 10
        } else {
            n
        }
    });
    let mut world = c.sim.world();
    let storage = world.storage_on(&c.node, &name)?.clone();
    let filename = c.params.text("filename");
    let stem = filename.split('.').next().unwrap_or_default();
    let format = c.params.get("format").unwrap_or("raw");
    let size = size.unwrap_or_default();
    let (volume, _) = disks::put(
        &mut world,
        &storage,
        c.sim.clock.now(),
        &c.node,
        c.vmid(),
        stem,
        size,
        format,
    );
    c.sim.mark_changed();
    Ok(json!(volume.volid).into())
}

/// `volume` may be given with or without the storage in front.
fn volid(c: &Context) -> String {
    let volume = c.params.text("volume");
    if volume.contains(':') {
        volume
    } else {
        format!("{}:{volume}", c.params.text("storage"))
    }
}

fn volume(c: &Context) -> Handled {
    let world = c.sim.world();
    let id = volid(c);
    let volume = world
        .volume(&c.node, &id)
        .ok_or_else(|| Failure::die(format!("volume '{id}' does not exist")))?;
    if !may(c, &world, volume) {
        return Err(Failure::forbidden(&format!(
            "/storage/{}, Datastore.Allocate",
            volume.storage()
        )));
    }
    let storage = world.storage(volume.storage())?;
    let name = id.split_once(':').map_or("", |(_, name)| name);
    let mut data = json!({
        "path": disks::path_of(storage, name), "size": volume.size, "used": volume.used, "format": volume.format,
    });
    if let Some(notes) = &volume.notes {
        data["notes"] = json!(notes);
    }
    if volume.content == "backup" {
        data["protected"] = json!(u8::from(volume.protected));
    }
    Ok(data.into())
}

fn update_volume(c: &Context) -> Handled {
    let id = volid(c);
    let mut world = c.sim.world();
    let found = world
        .volume(&c.node, &id)
        .ok_or_else(|| Failure::die(format!("volume '{id}' does not exist")))?;
    if !may(c, &world, found) {
        return Err(Failure::forbidden(&format!(
            "/storage/{}, Datastore.Allocate",
            found.storage()
        )));
    }
    if let Some(volume) = world.volume_mut(&c.node, &id) {
        if let Some(notes) = c.params.get("notes") {
            volume.notes = (!notes.is_empty()).then(|| notes.to_owned());
        }
        if let Some(protected) = c.params.get("protected") {
            volume.protected = protected == "1";
        }
    }
    c.sim.mark_changed();
    Ok(Reply::null())
}

fn delete_volume(c: &Context) -> Handled {
    let id = volid(c);
    let storage = id.split(':').next().unwrap_or_default().to_owned();
    let owner = {
        let world = c.sim.world();
        world.storage_on(&c.node, &storage)?;
        let volume = world.volume(&c.node, &id);
        let vmid = volume
            .and_then(|volume| volume.vmid)
            .or_else(|| archive_owner(&id));
        let on_storage = acl::privileges(&world, &c.who, &format!("/storage/{storage}"));
        let is_backup = id.contains(":backup/");
        let allowed = if is_backup && let Some(vmid) = vmid {
            on_storage.contains_key(SPACE)
                && acl::has(&world, &c.who, &format!("/vms/{vmid}"), "VM.Backup")
        } else {
            on_storage.contains_key("Datastore.Allocate")
        };
        if !allowed {
            let text = if is_backup {
                SPACE
            } else {
                "Datastore.Allocate"
            };
            return Err(Failure::forbidden(&format!("/storage/{storage}, {text}")));
        }
        vmid
    };
    let task_id = owner.map_or_else(|| storage.clone(), |vmid| format!("{vmid}@{storage}"));
    let node = c.node.clone();
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "imgdel",
        &task_id,
        move |task| async move {
            task.work(task.sim.duration(Work::Delete)).await?;
            let removed = {
                let mut world = task.sim.world();
                match world.volume(&node, &id).cloned() {
                    Some(volume) if volume.protected => {
                        let name = id.split_once(':').map_or("", |(_, name)| name);
                        return Err(format!(
                            "cannot remove protected volume '{name}' on '{storage}'"
                        ));
                    }
                    Some(volume) if disks::has_children(&world, &volume) => {
                        return Err(format!(
                            "base volume '{id}' is still in use by linked clones"
                        ));
                    }
                    Some(_) => {
                        world.remove_volume(&node, &id);
                        true
                    }
                    None => {
                        let file = id.rsplit('/').next().unwrap_or_default();
                        task.log(format!(
                            "disk image '/var/lib/vz/dump/{file}' does not exist"
                        ));
                        false
                    }
                }
            };
            task.log(format!("Removed volume '{id}'"));
            if removed {
                task.effect("delete-volume", &node, owner.unwrap_or_default(), id);
            }
            Ok(())
        },
    );
    Ok(json!(upid).into())
}

/// The guest a backup's name speaks of.
fn archive_owner(volid: &str) -> Option<u32> {
    volid
        .split("vzdump-qemu-")
        .nth(1)?
        .split('-')
        .next()?
        .parse()
        .ok()
}

pub(super) fn url_metadata(c: &Context) -> Handled {
    let url = c.params.text("url");
    let filename = url
        .split('?')
        .next()
        .and_then(|path| path.rsplit('/').next())
        .unwrap_or_default();
    Ok(
        json!({"filename": filename, "mimetype": "application/octet-stream", "size": 600_000_000})
            .into(),
    )
}

fn download(c: &Context) -> Handled {
    let storage = c.params.text("storage");
    let kind = c.params.text("content");
    let filename: String = c
        .params
        .text("filename")
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .chars()
        .map(|ch| {
            if ch.is_ascii_alphanumeric() || "_.-".contains(ch) {
                ch
            } else {
                '_'
            }
        })
        .collect();
    {
        let world = c.sim.world();
        let config = world.storage_on(&c.node, &storage)?;
        if !config.content.contains(&kind) {
            return Err(Failure::die(format!(
                "storage '{storage}' is not configured for content-type '{kind}'"
            )));
        }
    }
    let node = c.node.clone();
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "download",
        &filename.clone(),
        move |task| async move {
            let volid = format!("{storage}:{kind}/{filename}");
            let exists = task.sim.world().volume(&node, &volid).is_some();
            if exists {
                return Err(format!("refusing to override existing file '{filename}'"));
            }
            task.work(task.sim.duration(Work::Transfer(1 << 30)))
                .await?;
            {
                let mut world = task.sim.world();
                let config = world.storage_on(&node, &storage)?;
                let volume = Volume {
                    volid: volid.clone(),
                    node: disks::node_of(config, &node),
                    content: kind.clone(),
                    format: filename.rsplit('.').next().unwrap_or("raw").to_owned(),
                    size: 600_000_000,
                    used: 600_000_000,
                    ctime: task.sim.clock.now(),
                    bootable: true,
                    ..Volume::default()
                };
                world.volumes.push(volume);
            }
            task.effect("download", &node, 0, volid);
            Ok(())
        },
    );
    Ok(json!(upid).into())
}
