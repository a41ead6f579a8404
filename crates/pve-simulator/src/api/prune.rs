//! Pruning backups: what would be kept, and doing it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Handled, Reply};
use crate::dispatch::Context;
use crate::model::Volume;
use crate::pace::Work;
use crate::tasks::spawn;

/// The rules in the order in which they are taken, and how each writes the slot of a moment.
const RULES: [(&str, &str); 6] = [
    ("keep-last", ""),
    ("keep-hourly", "%Y-%m-%d %H"),
    ("keep-daily", "%Y-%m-%d"),
    ("keep-weekly", "%G-%V"),
    ("keep-monthly", "%Y-%m"),
    ("keep-yearly", "%Y"),
];

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
    let keeps_all = keep.is_empty() || keep.get("keep-all") == Some(&1);
    let mut marks: Vec<Option<&str>> = backups
        .iter()
        .map(|volume| match volume.protected {
            true => Some("protected"),
            false if keeps_all => Some("keep"),
            false => None,
        })
        .collect();
    let owners: BTreeSet<Option<u32>> = backups.iter().map(|volume| volume.vmid).collect();
    for owner in owners {
        for (rule, format) in RULES {
            let limit = keep.get(rule).copied().unwrap_or_default();
            let slot = |volume: &Volume| match format {
                "" => volume.volid.clone(),
                format => crate::clock::local(volume.ctime).format(format).to_string(),
            };
            // What a rule before keeps one of is not this rule's; the first of each slot is, as long as there is room.
            let its = || {
                backups
                    .iter()
                    .zip(0..)
                    .filter(|(volume, _)| volume.vmid == owner)
            };
            let before: BTreeSet<String> = its()
                .filter(|(_, n)| marks[*n] == Some("keep"))
                .map(|(volume, _)| slot(volume))
                .collect();
            let mut taken: BTreeSet<String> = BTreeSet::new();
            let mut rest = its().filter(|_| limit > 0);
            for (volume, n) in &mut rest {
                let slot = slot(volume);
                if marks[n].is_some() || before.contains(&slot) {
                    continue;
                }
                if taken.contains(&slot) {
                    marks[n] = Some("remove");
                } else if taken.len() < limit {
                    taken.insert(slot);
                    marks[n] = Some("keep");
                } else {
                    break;
                }
            }
        }
    }
    let marked = backups.into_iter().zip(marks);
    let mut items: Vec<(String, Value)> = marked
        .map(|(volume, mark)| {
            let owner = volume.vmid.unwrap_or_default();
            let mark = mark.unwrap_or("remove");
            let item = json!({"volid": volume.volid, "ctime": volume.ctime, "type": "qemu", "vmid": owner, "mark": mark});
            (volume.volid.clone(), item)
        })
        .collect();
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
