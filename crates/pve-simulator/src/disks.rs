//! Drives and the volumes behind them: naming, allocation, freeing, as each storage type does it.
//!
//! Works on the state only; locks and durations are the callers' business.

use crate::clock::Random;
use crate::config::StorageConfig;
use crate::model::{Guest, Options, Volume, World};
use crate::property::{self, Properties};
use crate::schema::split_index;
use crate::validate::{parse_size, print_size};

/// Size of every cloud-init image.
pub(crate) const CLOUDINIT_SIZE: u64 = 4 << 20;

/// `scsi0`, `ide2`, `efidisk0`...: keys that hold a drive.
pub(crate) fn is_drive(key: &str) -> bool {
    split_index(key).is_some_and(|(base, _)| {
        matches!(
            base,
            "scsi" | "virtio" | "sata" | "ide" | "efidisk" | "tpmstate"
        )
    })
}

pub(crate) fn is_unused(key: &str) -> bool {
    split_index(key).is_some_and(|(base, _)| base == "unused")
}

pub(crate) fn is_net(key: &str) -> bool {
    split_index(key).is_some_and(|(base, _)| base == "net")
}

/// A stored drive, read.
#[derive(Debug, Clone)]
pub(crate) struct Drive {
    pub(crate) volid: String,
    pub(crate) properties: Properties,
}

impl Drive {
    pub(crate) fn read(text: &str) -> Self {
        let properties = property::read(text, "file");
        Self {
            volid: properties.get("file").cloned().unwrap_or_default(),
            properties,
        }
    }

    pub(crate) fn is_cdrom(&self) -> bool {
        self.properties
            .get("media")
            .is_some_and(|media| media == "cdrom")
    }

    pub(crate) fn is_cloudinit(&self) -> bool {
        self.volid.contains("-cloudinit")
    }

    pub(crate) fn size(&self) -> u64 {
        self.properties
            .get("size")
            .and_then(|text| parse_size(text))
            .unwrap_or_default()
    }

    pub(crate) fn print(&self) -> String {
        let mut properties = self.properties.clone();
        properties.insert("file".into(), self.volid.clone());
        property::print(&properties, "file")
    }

    pub(crate) fn set_size(&mut self, bytes: u64) {
        self.properties.insert("size".into(), print_size(bytes));
    }
}

/// The drives of a configuration in PVE's order.
pub(crate) fn drives(config: &Options) -> Vec<(String, Drive)> {
    let rank = |key: &str| {
        let (base, index) = split_index(key).unwrap_or((key, 0));
        let order = ["ide", "scsi", "virtio", "sata", "efidisk", "tpmstate"];
        (
            order
                .iter()
                .position(|name| *name == base)
                .unwrap_or(order.len()),
            index,
        )
    };
    let mut found: Vec<(String, Drive)> = config
        .iter()
        .filter(|(key, _)| is_drive(key))
        .map(|(key, text)| (key.clone(), Drive::read(text)))
        .collect();
    found.sort_by_key(|(key, _)| rank(key));
    found
}

/// Images as files in a directory, or as block volumes.
pub(crate) fn has_files(storage: &StorageConfig) -> bool {
    matches!(
        storage.kind.as_str(),
        "dir" | "nfs" | "cifs" | "cephfs" | "btrfs"
    )
}

pub(crate) fn path_of(storage: &StorageConfig, volname: &str) -> String {
    let root = if storage.kind == "dir" && storage.name == "local" {
        "/var/lib/vz".to_owned()
    } else {
        format!("/mnt/pve/{}", storage.name)
    };
    format!("{root}/images/{volname}")
}

pub(crate) fn node_of(storage: &StorageConfig, node: &str) -> String {
    if storage.shared {
        String::new()
    } else {
        node.to_owned()
    }
}

/// A new, empty volume for a guest. Returns it with the lines the allocation logs.
pub(crate) fn allocate(
    world: &mut World,
    now: i64,
    node: &str,
    storage: &str,
    vmid: u32,
    size: u64,
    format: Option<&str>,
) -> Result<(Volume, Vec<String>), String> {
    let config = world.storage_on(node, storage)?.clone();
    let format = if has_files(&config) {
        format.unwrap_or("raw")
    } else {
        "raw"
    };
    let number = (0..)
        .find(|number| {
            let stem = format!("vm-{vmid}-disk-{number}");
            !world.volumes.iter().any(|volume| {
                volume.storage() == storage
                    && (volume.node.is_empty() || volume.node == node)
                    && (names(&volume.volid, &stem)
                        || names(&volume.volid, &format!("base-{vmid}-disk-{number}")))
            })
        })
        .unwrap_or_default();
    let stem = format!("vm-{vmid}-disk-{number}");
    Ok(put(world, &config, now, node, vmid, &stem, size, format))
}

/// The cloud-init image of a guest.
pub(crate) fn allocate_cloudinit(
    world: &mut World,
    now: i64,
    node: &str,
    storage: &str,
    vmid: u32,
) -> Result<(Volume, Vec<String>), String> {
    let config = world.storage_on(node, storage)?.clone();
    let format = if has_files(&config) { "qcow2" } else { "raw" };
    Ok(put(
        world,
        &config,
        now,
        node,
        vmid,
        &format!("vm-{vmid}-cloudinit"),
        CLOUDINIT_SIZE,
        format,
    ))
}

#[expect(
    clippy::too_many_arguments,
    reason = "all of them describe the one volume"
)]
pub(crate) fn put(
    world: &mut World,
    storage: &StorageConfig,
    now: i64,
    node: &str,
    vmid: u32,
    stem: &str,
    size: u64,
    format: &str,
) -> (Volume, Vec<String>) {
    let volname = if has_files(storage) {
        format!("{vmid}/{stem}.{format}")
    } else {
        stem.to_owned()
    };
    let volume = Volume {
        volid: format!("{}:{volname}", storage.name),
        node: node_of(storage, node),
        content: "images".into(),
        format: format.to_owned(),
        size,
        used: if format == "qcow2" { 643_072 } else { 4096 },
        ctime: now,
        vmid: Some(vmid),
        ..Volume::default()
    };
    world
        .volumes
        .retain(|other| !(other.volid == volume.volid && other.node == volume.node));
    world.volumes.push(volume.clone());
    let log = match storage.kind.as_str() {
        _ if has_files(storage) => {
            vec![formatting(&path_of(storage, &volname), format, size, None)]
        }
        "lvmthin" | "lvm" => vec![format!("  Logical volume \"{stem}\" created.")],
        _ => Vec::new(),
    };
    (volume, log)
}

fn formatting(path: &str, format: &str, size: u64, base: Option<&str>) -> String {
    match (format, base) {
        ("qcow2", None) => format!(
            "Formatting '{path}', fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata \
             compression_type=zlib size={size} lazy_refcounts=off refcount_bits=16"
        ),
        ("qcow2", Some(base)) => format!(
            "Formatting '{path}', fmt=qcow2 cluster_size=131072 extended_l2=on preallocation=metadata \
             compression_type=zlib size={size} backing_file={base} backing_fmt=qcow2 lazy_refcounts=off refcount_bits=16"
        ),
        _ => format!("Formatting '{path}', fmt={format} size={size} preallocation=off"),
    }
}

/// A copy-on-write child of a base volume.
pub(crate) fn allocate_linked(
    world: &mut World,
    now: i64,
    node: &str,
    base: &Volume,
    vmid: u32,
) -> Result<(Volume, Vec<String>), String> {
    let storage = world.storage_on(node, base.storage())?.clone();
    let (mut volume, _) = allocate(
        world,
        now,
        node,
        &storage.name,
        vmid,
        base.size,
        Some(&base.format),
    )?;
    world.remove_volume(node, &volume.volid);
    let base_name = base.volid.split_once(':').map_or("", |(_, name)| name);
    let own_name = volume
        .volid
        .split_once(':')
        .map_or("", |(_, name)| name)
        .to_owned();
    let mut log = Vec::new();
    match storage.kind.as_str() {
        _ if has_files(&storage) => {
            let file = own_name.rsplit('/').next().unwrap_or_default();
            log.push(format!(
                "clone {base_name}: images, {file}, {vmid} to {file} (base=../{base_name})"
            ));
            let path = path_of(&storage, &own_name);
            log.push(formatting(
                &path,
                "qcow2",
                base.size,
                Some(&format!("../{base_name}")),
            ));
            volume.volid = format!("{}:{base_name}/{own_name}", storage.name);
        }
        "lvmthin" => log.push(format!("  Logical volume \"{own_name}\" created.")),
        _ => volume.volid = format!("{}:{base_name}/{own_name}", storage.name),
    }
    if storage.kind != "lvmthin" {
        volume.parent = Some(base_name.to_owned());
    }
    volume.bootable = base.bootable;
    world.volumes.push(volume.clone());
    Ok((volume, log))
}

/// Linked children of a base volume.
pub(crate) fn has_children(world: &World, volume: &Volume) -> bool {
    let name = volume.volid.split_once(':').map_or("", |(_, name)| name);
    world
        .volumes
        .iter()
        .any(|other| other.storage() == volume.storage() && other.parent.as_deref() == Some(name))
}

/// Every volume a guest's configuration and snapshots refer to, without CD images.
pub(crate) fn owned_volumes(guest: &Guest) -> Vec<String> {
    let mut volids: Vec<String> = drives(&guest.config)
        .into_iter()
        .filter(|(_, drive)| {
            drive.volid.contains(':') && (!drive.is_cdrom() || drive.is_cloudinit())
        })
        .map(|(_, drive)| drive.volid)
        .collect();
    volids.extend(
        guest
            .config
            .iter()
            .filter(|(key, _)| is_unused(key))
            .map(|(_, text)| Drive::read(text).volid),
    );
    volids
}

/// Stores a volume as the first free `unusedN`.
pub(crate) fn add_unused(config: &mut Options, volid: &str) {
    if let Some(key) = (0..256)
        .map(|n| format!("unused{n}"))
        .find(|key| !config.contains_key(key))
    {
        config.insert(key, volid.to_owned());
    }
}

/// Fills in a MAC address and prints a network device.
pub(crate) fn normalize_net(
    random: &Random,
    prefix: &str,
    text: &str,
    previous: Option<&str>,
) -> String {
    let mut net = property::read_net(text);
    net.entry("model".into()).or_insert_with(|| "virtio".into());
    if let Some(mac) = net.get_mut("macaddr") {
        *mac = mac.to_uppercase();
    } else {
        let _ = previous;
        net.insert("macaddr".into(), random.mac(prefix));
    }
    property::print_net(&net)
}

fn names(volid: &str, stem: &str) -> bool {
    let name = volid.rsplit([':', '/']).next().unwrap_or_default();
    name == stem || name.split('.').next() == Some(stem)
}
