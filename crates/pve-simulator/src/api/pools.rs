//! Resource pools, in both path forms.

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Failure, Handled, Reply};
use crate::dispatch::Context;
use crate::model::{Pool, World};
use crate::schema::Endpoint;

pub(super) fn call(endpoint: &Endpoint, c: &Context) -> Handled {
    let name = c.params.get("poolid").map(str::to_owned);
    let has_id_in_path = endpoint.path.ends_with("/{poolid}");
    if endpoint.method != "GET" {
        c.sim.mark_changed();
    }
    let mut world = c.sim.world();
    match (endpoint.method.as_str(), name) {
        ("GET", None) => {
            let visible = world.pools.iter().filter(|(name, _)| {
                acl::has(&world, &c.who, &format!("/pool/{name}"), "Pool.Audit")
            });
            Ok(visible
                .map(|(name, pool)| head(name, pool))
                .collect::<Vec<Value>>()
                .into())
        }
        ("GET", Some(name)) => {
            acl::require(&world, &c.who, &format!("/pool/{name}"), &["Pool.Audit"])?;
            let pool = find(&world, &name)?;
            let mut data = if has_id_in_path {
                json!({})
            } else {
                json!({"poolid": name})
            };
            if let Some(comment) = &pool.comment {
                data["comment"] = json!(comment);
            }
            data["members"] = json!(members(c, &world, pool));
            Ok(if has_id_in_path {
                data.into()
            } else {
                json!([data]).into()
            })
        }
        ("POST", Some(name)) => {
            if world.pools.contains_key(&name) {
                return Err(Failure::die(format!(
                    "create pool failed: pool '{name}' already exists"
                )));
            }
            let comment = c.params.get("comment").map(str::to_owned);
            world.pools.insert(
                name,
                Pool {
                    comment,
                    ..Pool::default()
                },
            );
            Ok(Reply::null())
        }
        ("DELETE", Some(name)) => {
            let pool = find(&world, &name)?;
            if let Some(vmid) = pool.vms.iter().next() {
                return Err(Failure::die(format!(
                    "delete pool failed: pool '{name}' is not empty (contains VM {vmid})"
                )));
            }
            if let Some(storage) = pool.storages.iter().next() {
                return Err(Failure::die(format!(
                    "delete pool failed: pool '{name}' is not empty (contains storage '{storage}')"
                )));
            }
            world.pools.remove(&name);
            Ok(Reply::null())
        }
        (_, Some(name)) => update(c, &mut world, &name),
        (_, None) => Err(Failure::param(
            "poolid",
            "property is missing and it is not optional",
        )),
    }
}

fn find<'a>(world: &'a World, name: &str) -> Result<&'a Pool, Failure> {
    world
        .pools
        .get(name)
        .ok_or_else(|| Failure::die(format!("pool '{name}' does not exist")))
}

fn head(name: &str, pool: &Pool) -> Value {
    let mut entry = json!({"poolid": name});
    if let Some(comment) = &pool.comment {
        entry["comment"] = json!(comment);
    }
    entry
}

fn members(c: &Context, world: &World, pool: &Pool) -> Vec<Value> {
    let guests = pool.vms.iter().filter_map(|vmid| world.guests.get(vmid));
    let mut items: Vec<Value> = guests
        .map(|guest| super::guests::resource(&c.sim, guest, None))
        .collect();
    for storage in &pool.storages {
        for node in &c.sim.config.nodes {
            items.push(json!({
                "id": format!("storage/{}/{storage}", node.name), "type": "storage", "storage": storage, "node": node.name,
                "status": "available",
            }));
        }
    }
    items
}

fn update(c: &Context, world: &mut World, name: &str) -> Handled {
    find(world, name)?;
    let is_removal = c.params.flag("delete");
    for text in c.params.list("vms") {
        let vmid: u32 = text.parse().unwrap_or_default();
        acl::require_any(world, &c.who, &format!("/vms/{vmid}"), &["VM.Allocate"])?;
        let owner = world.pool_of(vmid).map(str::to_owned);
        if is_removal {
            if owner.as_deref() != Some(name) {
                return Err(Failure::die(format!(
                    "update pools failed: VM {vmid} is not a pool member"
                )));
            }
        } else if owner.is_some() && !c.params.flag("allow-move") {
            return Err(Failure::die(format!(
                "update pools failed: VM {vmid} is already a pool member"
            )));
        }
        for pool in world.pools.values_mut() {
            pool.vms.remove(&vmid);
        }
        if let Some(pool) = world.pools.get_mut(name).filter(|_| !is_removal) {
            pool.vms.insert(vmid);
        }
    }
    for storage in c.params.list("storage") {
        acl::require_any(
            world,
            &c.who,
            &format!("/storage/{storage}"),
            &["Datastore.Allocate"],
        )?;
        if let Some(pool) = world.pools.get_mut(name) {
            if is_removal {
                pool.storages.remove(&storage);
            } else {
                pool.storages.insert(storage);
            }
        }
    }
    if let Some(comment) = c.params.get("comment")
        && let Some(pool) = world.pools.get_mut(name)
    {
        pool.comment = Some(comment.to_owned());
    }
    Ok(Reply::null())
}
