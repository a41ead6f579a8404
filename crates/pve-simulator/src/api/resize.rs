//! Growing a disk. What is wrong with the request only shows in the task.

use serde_json::json;

use super::config::check_digest;
use crate::acl;
use crate::answer::Handled;
use crate::disks::Drive;
use crate::dispatch::Context;
use crate::locks::CONFIG_WAIT;
use crate::pace::Work;
use crate::tasks::spawn;
use crate::validate::{parse_size, print_size};

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
            acl::require(
                &world,
                &c.who,
                &format!("/storage/{storage}"),
                &["Datastore.AllocateSpace"],
            )?;
        }
    }
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "resize",
        &vmid.to_string(),
        move |task| async move {
            let _lock = task
                .sim
                .locks
                .vm(&task.sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            let target = {
                let world = task.sim.world();
                let guest = world.guest(&node, vmid)?;
                check_digest(guest, digest.as_deref())?;
                guest.check_lock()?;
                let text = guest
                    .config
                    .get(&key)
                    .ok_or_else(|| format!("disk '{key}' does not exist"))?;
                let drive = Drive::read(text);
                if drive.is_cdrom() {
                    return Err("you can't resize a cdrom".into());
                }
                let volume = world
                    .volume(&node, &drive.volid)
                    .ok_or_else(|| format!("disk '{key}' has no associated volume"))?;
                let wanted = match size.strip_prefix('+') {
                    Some(more) => volume.size + parse_size(more).unwrap_or_default(),
                    None => parse_size(&size).unwrap_or_default(),
                };
                if wanted < volume.size {
                    return Err("shrinking disks is not supported".into());
                }
                if wanted == volume.size {
                    return Ok(());
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
            task.effect(
                "resize",
                &node,
                vmid,
                format!("{key}={}", print_size(target)),
            );
            Ok(())
        },
    );
    Ok(json!(upid).into())
}
