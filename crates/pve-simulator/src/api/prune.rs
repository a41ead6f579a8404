//! Pruning backups: what would be kept, and doing it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Handled, Reply};
use crate::dispatch::Context;
use crate::model::Volume;
use crate::pace::Work;
use crate::tasks::spawn;

pub(super) fn list(c: &Context) -> Reply {
    marks(c)
        .into_iter()
        .map(|(_, mark)| mark)
        .collect::<Vec<_>>()
        .into()
}

/// Which backups a prune would keep: by guest, newest first.
fn marks(c: &Context) -> Vec<(String, Value)> {
    let keep: BTreeMap<String, usize> = c
        .params
        .text("prune-backups")
        .split(',')
        .filter_map(|part| part.split_once('='))
        .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
        .collect();
    let world = c.sim.world();
    let name = c.params.text("storage");
    let vmid = c.params.get("vmid").map(|_| c.vmid());
    let mut backups: Vec<&Volume> = world
        .volumes
        .iter()
        .filter(|volume| volume.content == "backup" && volume.storage() == name)
        .filter(|volume| vmid.is_none_or(|vmid| volume.vmid == Some(vmid)))
        .collect();
    backups.reverse();
    backups.sort_by_key(|volume| std::cmp::Reverse(volume.ctime));
    let mut kept: BTreeMap<(u32, &str), Vec<String>> = BTreeMap::new();
    let mut items = Vec::new();
    for volume in backups {
        let owner = volume.vmid.unwrap_or_default();
        let mut mark = if keep.is_empty() || keep.get("keep-all") == Some(&1) {
            "keep"
        } else {
            "remove"
        };
        for (rule, format) in [
            ("keep-last", "%s"),
            ("keep-hourly", "%Y-%m-%d %H"),
            ("keep-daily", "%Y-%m-%d"),
            ("keep-weekly", "%G-%V"),
            ("keep-monthly", "%Y-%m"),
            ("keep-yearly", "%Y"),
        ] {
            let limit = keep.get(rule).copied().unwrap_or_default();
            let mut slot = crate::clock::local(volume.ctime).format(format).to_string();
            if rule == "keep-last" {
                slot.clone_from(&volume.volid);
            }
            let slots = kept.entry((owner, rule)).or_default();
            if mark != "keep" && slots.len() < limit && !slots.contains(&slot) {
                slots.push(slot);
                mark = "keep";
            }
        }
        if volume.protected {
            mark = "protected";
        }
        items.push((
            volume.volid.clone(),
            json!({"volid": volume.volid, "ctime": volume.ctime, "type": "qemu", "vmid": owner, "mark": mark}),
        ));
    }
    items.sort_by_key(|(_, mark)| mark["ctime"].as_i64());
    items
}

pub(super) fn prune(c: &Context) -> Handled {
    let storage = c.params.text("storage");
    {
        let world = c.sim.world();
        let path = format!("/storage/{storage}");
        if c.params.get("vmid").is_some() {
            acl::require(&world, &c.who, &path, &["Datastore.AllocateSpace"])?;
            acl::require(
                &world,
                &c.who,
                &format!("/vms/{}", c.vmid()),
                &["VM.Backup"],
            )?;
        } else {
            acl::require(&world, &c.who, &path, &["Datastore.Allocate"])?;
        }
    }
    let doomed: Vec<String> = marks(c)
        .into_iter()
        .filter(|(_, mark)| mark["mark"] == "remove")
        .map(|(volid, _)| volid)
        .collect();
    let node = c.node.clone();
    let upid = spawn(
        &c.sim,
        &c.who,
        &c.effects,
        &c.node,
        "prunebackups",
        &storage,
        move |task| async move {
            task.work(task.sim.duration(Work::Delete)).await?;
            for volid in doomed {
                task.sim.world().remove_volume(&node, &volid);
                task.log(format!("removing backup 'vm {volid}'"));
                task.effect("delete-volume", &node, 0, volid);
            }
            Ok(())
        },
    );
    Ok(json!(upid).into())
}
