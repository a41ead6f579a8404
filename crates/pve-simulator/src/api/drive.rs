//! Setting a drive: allocating, importing or attaching what the value asks for.

use crate::answer::Failure;
use crate::disks::{self, Drive, is_unused};
use crate::model::{Guest, World};
use crate::tasks::Task;
use crate::validate::{parse_size, print_size};

/// Returns the drive as it is stored, with size and volume filled in.
pub(super) fn set_drive(
    world: &mut World,
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
    let Some((storage, what)) = drive
        .volid
        .clone()
        .split_once(':')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
    else {
        drive
            .properties
            .entry("media".into())
            .or_insert_with(|| "cdrom".into());
        return Ok(drive.print());
    };
    world.storage_on(&node, &storage)?;
    let previous = guest.config.get(key).map(|text| Drive::read(text));
    if what == "cloudinit" {
        let other = disks::drives(&guest.config)
            .into_iter()
            .find(|(name, drive)| name != key && drive.is_cloudinit());
        if let Some((other, _)) = other {
            return Err(Failure::die(format!(
                "{key} - cloud-init drive is already attached at '{other}'"
            )));
        }
        let (volume, lines) = disks::allocate_cloudinit(world, now, &node, &storage, guest.vmid)?;
        drive.volid = volume.volid;
        drive.properties.insert("media".into(), "cdrom".into());
        log(lines);
        if let Some(task) = task {
            task.log(format!(
                "{key}: successfully created disk '{}'",
                drive.print()
            ));
        }
    } else if let Some(size) = gibibytes(&what) {
        let import = drive.properties.remove("import-from");
        let format = drive.properties.remove("format");
        let source = match &import {
            Some(source) => Some(
                world
                    .volume(&node, source)
                    .cloned()
                    .ok_or_else(|| format!("volume '{source}' does not exist"))?,
            ),
            None => None,
        };
        let size = source
            .as_ref()
            .map_or(size, |volume| volume.size.max(size).max(1 << 30));
        let (volume, lines) = disks::allocate(
            world,
            now,
            &node,
            &storage,
            guest.vmid,
            size,
            format.as_deref(),
        )?;
        if let (Some(source), Some(stored)) = (source, world.volume_mut(&node, &volume.volid)) {
            stored.bootable = source.bootable;
        }
        drive.volid = volume.volid;
        drive.set_size(size);
        log(lines);
        if let Some(task) = task {
            task.log(format!(
                "{key}: successfully created disk '{}'",
                drive.print()
            ));
        }
    } else {
        let is_same = previous
            .as_ref()
            .is_some_and(|old| old.volid == drive.volid);
        let Some(volume) = world.volume(&node, &drive.volid) else {
            return Err(Failure::die(format!(
                "volume '{}' does not exist",
                drive.volid
            )));
        };
        if !drive.is_cdrom() || volume.content == "iso" {
            drive
                .properties
                .insert("size".into(), print_size(volume.size));
        }
        guest
            .config
            .retain(|name, text| !(is_unused(name) && Drive::read(text).volid == drive.volid));
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
