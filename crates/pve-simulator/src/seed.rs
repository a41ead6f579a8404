//! Builds the first state from the configuration, or reads a saved one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock::Random;
use crate::config::{SimulatorConfig, TemplateConfig, UserConfig};
use crate::disks;
use crate::model::{AclEntry, Guest, Options, Token, User, World};
use crate::tasks::Record;

/// What the state file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) world: World,
    pub(crate) tasks: Vec<Record>,
}

/// The saved state; `None` when there is no file yet.
pub(crate) fn load(path: &Path) -> std::io::Result<Option<Saved>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a new file and moves it into place, so that a crash leaves the old one.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, bytes)?;
    std::fs::rename(fresh, path)
}

/// The state a configuration describes.
pub(crate) fn world(config: &SimulatorConfig) -> World {
    let mut world = World {
        roles: serde_json::from_str::<BTreeMap<String, String>>(include_str!("../data/roles.json"))
            .unwrap_or_default(),
        storages: config
            .storages
            .iter()
            .map(|storage| (storage.name.clone(), storage.clone()))
            .collect(),
        ..World::default()
    };
    for role in &config.roles {
        world.roles.insert(role.roleid.clone(), role.privs.clone());
    }
    for user in &config.users {
        add_user(&mut world, user);
    }
    let random = Random::new(config.seed.wrapping_add(7));
    for template in &config.templates {
        add_guest(&mut world, &random, template);
    }
    world
}

fn add_user(world: &mut World, config: &UserConfig) {
    let grant = |world: &mut World, kind: &str, ugid: &str, roles: &[(String, String)]| {
        for (path, roleid) in roles {
            world.acl.push(AclEntry {
                path: path.clone(),
                kind: kind.to_owned(),
                ugid: ugid.to_owned(),
                roleid: roleid.clone(),
                propagate: true,
            });
        }
    };
    let mut user = User {
        password: config.password.clone(),
        enable: true,
        ..User::default()
    };
    for token in &config.tokens {
        let entry = Token {
            secret: token.secret.clone(),
            privsep: token.privsep,
            ..Token::default()
        };
        user.tokens.insert(token.tokenid.clone(), entry);
        grant(
            world,
            "token",
            &format!("{}!{}", config.userid, token.tokenid),
            &token.roles,
        );
    }
    grant(world, "user", &config.userid, &config.roles);
    world.users.insert(config.userid.clone(), user);
}

/// A machine with one disk, a cloud-init drive and a network device.
pub(crate) fn add_guest(world: &mut World, random: &Random, config: &TemplateConfig) {
    let now = chrono::Utc::now().timestamp();
    let Some(storage) = world.storages.get(&config.storage).cloned() else {
        return;
    };
    let size = config.disk_gib << 30;
    let format = if disks::has_files(&storage) {
        "qcow2"
    } else {
        "raw"
    };
    let stem = format!("vm-{}-disk-0", config.vmid);
    let (disk, _) = disks::put(
        world,
        &storage,
        now,
        &config.node,
        config.vmid,
        &stem,
        size,
        format,
    );
    if let Some(volume) = world.volume_mut(&config.node, &disk.volid) {
        volume.bootable = true;
        volume.used = 2 << 30;
    }
    let stem = format!("vm-{}-cloudinit", config.vmid);
    let (seed, _) = disks::put(
        world,
        &storage,
        now,
        &config.node,
        config.vmid,
        &stem,
        disks::CLOUDINIT_SIZE,
        format,
    );
    let mut options: Options = [
        ("name", config.name.clone()),
        ("agent", "1".into()),
        ("boot", "order=scsi0;ide2;net0".into()),
        ("cores", "2".into()),
        ("cpu", "x86-64-v2-AES".into()),
        ("memory", "2048".into()),
        ("scsihw", "virtio-scsi-single".into()),
        ("ostype", "l26".into()),
        ("serial0", "socket".into()),
        ("vga", "serial0".into()),
        ("scsi0", format!("{},size={}G", disk.volid, config.disk_gib)),
        ("ide2", format!("{},media=cdrom,size=4M", seed.volid)),
        (
            "net0",
            format!("virtio={},bridge=vmbr0", random.mac("BC:24:11")),
        ),
        ("smbios1", format!("uuid={}", random.uuid())),
        ("vmgenid", random.uuid()),
        ("meta", format!("creation-qemu=10.2.2,ctime={now}")),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    options.extend(config.options.iter().cloned());
    let mut guest = Guest {
        vmid: config.vmid,
        node: config.node.clone(),
        config: options,
        ..Guest::default()
    };
    guest.broadcast = Some(crate::api::broadcast(&guest));
    world.guests.insert(config.vmid, guest);
    if config.template {
        let _ = crate::api::convert(world, &config.node, config.vmid);
    }
}
