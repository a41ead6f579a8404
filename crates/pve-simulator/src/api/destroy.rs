//! Destroying a guest with its volumes, access rights and pool membership.

use serde_json::json;

use crate::answer::{Failure, Handled};
use crate::disks;
use crate::dispatch::Context;
use crate::locks::CONFIG_WAIT;
use crate::pace::Work;
use crate::sim::Sim;
use crate::tasks::spawn;

pub(super) fn destroy(c: &Context) -> Handled {
    let vmid = c.vmid();
    let node = c.node.clone();
    if c.params.flag("skiplock") && !c.who.is_root() {
        return Err(Failure::param("skiplock", "Only root may use this option."));
    }
    {
        let world = c.sim.world();
        let guest = world.guest(&node, vmid)?;
        if guest.option("protection") == "1" {
            return Err(Failure::die(format!(
                "can't remove VM {vmid} - protection mode enabled"
            )));
        }
        if guest.is_running() {
            return Err(Failure::die(format!(
                "VM {vmid} is running - destroy failed"
            )));
        }
    }
    let purge = c.params.flag("purge");
    let unreferenced = c.params.flag("destroy-unreferenced-disks");
    let skiplock = c.params.flag("skiplock");
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &node.clone(),
        "qmdestroy",
        &vmid.to_string(),
        move |task| async move {
            let _lock = task
                .sim
                .locks
                .vm(&task.sim.clock, Some(&task), vmid, CONFIG_WAIT)
                .await?;
            {
                let mut world = task.sim.world();
                let guest = world.guest(&node, vmid)?;
                if !skiplock {
                    guest.check_lock()?;
                }
                if guest.is_running() {
                    return Err(format!("VM {vmid} is running - destroy failed"));
                }
                for volid in disks::owned_volumes(guest) {
                    if let Some(volume) = world.volume(&node, &volid)
                        && disks::has_children(&world, volume)
                    {
                        return Err(format!(
                            "base volume '{volid}' is still in use by linked cloned"
                        ));
                    }
                }
                let guest = world.guest_mut(&node, vmid)?;
                guest.config.insert("lock".into(), "destroyed".into());
            }
            let outcome = task.work(task.sim.duration(Work::Destroy)).await;
            if outcome.is_err() {
                if let Ok(guest) = task.sim.world().guest_mut(&node, vmid) {
                    guest.config.remove("lock");
                }
                return outcome;
            }
            remove(&task.sim, &node, vmid, unreferenced)?;
            if purge {
                task.log(format!("purging VM {vmid} from related configurations.."));
            }
            task.effect("destroy", &node, vmid, "");
            Ok(())
        },
    );
    Ok(json!(upid).into())
}

/// Takes the guest and everything that belongs to it out of the world.
pub(crate) fn remove(sim: &Sim, node: &str, vmid: u32, unreferenced: bool) -> Result<(), String> {
    let mut world = sim.world();
    let volids = disks::owned_volumes(world.guest(node, vmid)?);
    for volid in volids {
        world.remove_volume(node, &volid);
    }
    if unreferenced {
        world.volumes.retain(|volume| {
            !(volume.vmid == Some(vmid)
                && volume.content == "images"
                && (volume.node.is_empty() || volume.node == node))
        });
    }
    world.guests.remove(&vmid);
    let path = format!("/vms/{vmid}");
    world.acl.retain(|entry| entry.path != path);
    for pool in world.pools.values_mut() {
        pool.vms.remove(&vmid);
    }
    drop(world);
    sim.mark_changed();
    Ok(())
}
