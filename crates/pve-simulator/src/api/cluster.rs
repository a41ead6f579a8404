//! What the cluster knows as a whole: resources, free ids, status, recent tasks, options, jobs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Failure, Handled, Reply};
use crate::dispatch::Context;
use crate::schema::Endpoint;

pub(super) fn call(endpoint: &Endpoint, c: &Context) -> Handled {
    match (endpoint.method.as_str(), endpoint.path.as_str()) {
        ("GET", "/cluster/resources") => Ok(resources(c)),
        ("GET", "/cluster/nextid") => nextid(c),
        ("GET", "/cluster/status") => Ok(status(c)),
        ("GET", "/cluster/tasks") => Ok(tasks(c)),
        ("GET", "/cluster/options") => Ok(options(c)),
        ("PUT", "/cluster/options") => Ok(set_options(c)),
        ("GET", "/cluster/ha/status/current") => Ok(json!([
            {"id": "quorum", "type": "quorum", "node": c.node, "status": "OK", "quorate": 1},
            {"id": "fencing", "type": "fencing", "node": c.node, "status": "standby (CRM watchdog standby)", "armed-state": "standby"},
        ])
        .into()),
        ("GET", "/cluster/firewall/options") => Ok(json!({}).into()),
        ("GET", "/cluster/metrics/export") => Ok(json!({"data": []}).into()),
        (method, path) if path.starts_with("/cluster/backup") => jobs(c, method, path),
        _ => Ok(json!([]).into()),
    }
}

fn resources(c: &Context) -> Reply {
    let wanted = c.params.get("type");
    let world = c.sim.world();
    let mut items = Vec::new();
    if matches!(wanted, None | Some("vm")) {
        for guest in world.guests.values() {
            if acl::has(&world, &c.who, &format!("/vms/{}", guest.vmid), "VM.Audit") {
                items.push(super::guests::resource(
                    &c.sim,
                    guest,
                    world.pool_of(guest.vmid),
                ));
            }
        }
    }
    if matches!(wanted, None | Some("node")) {
        for node in &c.sim.config.nodes {
            let mut entry =
                json!({"id": format!("node/{}", node.name), "type": "node", "node": node.name});
            super::nodes::fill(c, &world, node, &mut entry);
            if entry.get("maxcpu").is_some() {
                entry["cgroup-mode"] = json!(2);
            }
            items.push(entry);
        }
    }
    if wanted.is_none() {
        for name in world.pools.keys() {
            if acl::has(&world, &c.who, &format!("/pool/{name}"), "Pool.Audit") {
                items.push(json!({"id": format!("/pool/{name}"), "type": "pool", "pool": name}));
            }
        }
    }
    if matches!(wanted, None | Some("storage")) {
        items.extend(super::storage::resources(c, &world));
    }
    if wanted.is_none() && acl::has(&world, &c.who, "/sdn/zones/localnetwork", "SDN.Audit") {
        for node in &c.sim.config.nodes {
            items.push(json!({
                "id": format!("network/{}/zone/localnetwork", node.name), "type": "network", "network-type": "zone",
                "network": "localnetwork", "node": node.name, "status": "ok",
            }));
        }
    }
    items.into()
}

fn nextid(c: &Context) -> Handled {
    let world = c.sim.world();
    let used: BTreeSet<u32> = world.guests.keys().copied().collect();
    if let Some(vmid) = c.params.get("vmid") {
        if used.contains(&c.vmid()) {
            return Err(Failure::param("vmid", format!("VM {vmid} already exists")));
        }
        return Ok(json!(vmid).into());
    }
    let range = world.options.get("next-id").map_or("", String::as_str);
    let limit = |key: &str, default: u32| {
        let given = range
            .split(',')
            .find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
        given.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let free = (limit("lower", 100)..limit("upper", 1_000_000)).find(|id| !used.contains(id));
    free.map(|id| json!(id.to_string()).into())
        .ok_or_else(|| Failure::die("unable to get any free VMID"))
}

fn status(c: &Context) -> Reply {
    let nodes = &c.sim.config.nodes;
    let world = c.sim.world();
    let mut items = Vec::new();
    if c.sim.is_cluster() {
        let online = nodes
            .iter()
            .filter(|node| !world.offline.contains(&node.name))
            .count();
        items.push(json!({
            "type": "cluster", "id": "cluster", "name": c.sim.config.cluster, "nodes": nodes.len(), "version": nodes.len(),
            "quorate": u8::from(online * 2 > nodes.len()),
        }));
    }
    for (at, node) in nodes.iter().enumerate() {
        let ip = node
            .ip
            .clone()
            .unwrap_or_else(|| format!("192.0.2.{}", at + 2));
        items.push(json!({
            "type": "node", "id": format!("node/{}", node.name), "name": node.name, "ip": ip, "level": "",
            "nodeid": if c.sim.is_cluster() { at + 1 } else { 0 },
            "online": u8::from(!world.offline.contains(&node.name)), "local": u8::from(at == 0),
        }));
    }
    items.into()
}

fn tasks(c: &Context) -> Reply {
    let sees_all = acl::has(&c.sim.world(), &c.who, "/", "Sys.Audit");
    let is_visible = |user: &str| sees_all || (c.who.token.is_none() && user == c.who.user);
    c.sim
        .tasks
        .with(|records| {
            let mut recent: Vec<_> = records
                .iter()
                .rev()
                .filter(|record| is_visible(&record.user))
                .collect();
            recent.sort_by_key(|record| record.exit.is_some());
            let active = recent.iter().filter(|record| record.exit.is_none()).count();
            recent.truncate(active.max(25));
            recent
                .into_iter()
                .map(crate::tasks::Record::broadcast)
                .collect::<Vec<Value>>()
        })
        .into()
}

fn options(c: &Context) -> Reply {
    let world = c.sim.world();
    let mut data = json!({"allowed-tags": [], "mac_prefix": "BC:24:11"});
    if acl::has(&world, &c.who, "/", "Sys.Audit") {
        data["description"] = json!("");
        for (key, value) in &world.options {
            data[key] = json!(value);
        }
    }
    data.into()
}

fn set_options(c: &Context) -> Reply {
    let mut world = c.sim.world();
    for key in c.params.list("delete") {
        world.options.remove(&key);
    }
    for name in c.params.0.keys().filter(|name| name.as_str() != "delete") {
        world.options.insert(name.clone(), c.params.text(name));
    }
    c.sim.mark_changed();
    Reply::null()
}

fn jobs(c: &Context, method: &str, path: &str) -> Handled {
    let mut world = c.sim.world();
    if path.ends_with("/not-backed-up") {
        let everything = world
            .backup_jobs
            .values()
            .any(|job| job.get("all").is_some_and(|all| all == "1"));
        let named: Vec<String> = world
            .backup_jobs
            .values()
            .filter_map(|job| job.get("vmid"))
            .flat_map(|list| crate::params::split_list(list))
            .collect();
        let missing = world
            .guests
            .values()
            .filter(|guest| !everything && !named.contains(&guest.vmid.to_string()));
        let items =
            missing.map(|guest| json!({"vmid": guest.vmid, "name": guest.name(), "type": "qemu"}));
        return Ok(items.collect::<Vec<Value>>().into());
    }
    let id = match c.params.get("id") {
        Some(id) => id.to_owned(),
        None => c.sim.random.uuid(),
    };
    if method != "GET" {
        c.sim.mark_changed();
    }
    let missing = || Failure::die(format!("No such job '{id}'"));
    match (method, path) {
        ("GET", "/cluster/backup") => Ok(world
            .backup_jobs
            .iter()
            .map(|(id, job)| describe(id, job))
            .collect::<Vec<Value>>()
            .into()),
        ("GET", _) => {
            let job = world.backup_jobs.get(&id).ok_or_else(missing)?;
            Ok(describe(&id, job).into())
        }
        ("DELETE", _) => {
            world.backup_jobs.remove(&id).ok_or_else(missing)?;
            Ok(Reply::null())
        }
        (method, _) => {
            if method == "POST" && world.backup_jobs.contains_key(&id) {
                return Err(Failure::die(format!("Job '{id}' already exists")));
            }
            if method == "PUT" && !world.backup_jobs.contains_key(&id) {
                return Err(missing());
            }
            let job = world.backup_jobs.entry(id).or_default();
            for key in c.params.list("delete") {
                job.remove(&key);
            }
            for name in c
                .params
                .0
                .keys()
                .filter(|name| !matches!(name.as_str(), "id" | "delete"))
            {
                job.insert(name.clone(), c.params.text(name));
            }
            Ok(Reply::null())
        }
    }
}

fn describe(id: &str, job: &crate::model::Options) -> Value {
    let mut entry = json!({"id": id, "type": "vzdump", "enabled": 1});
    for (key, value) in job {
        entry[key] = match key.as_str() {
            "enabled" | "all" | "remove" | "protected" | "repeat-missed" => {
                json!(u8::from(value == "1"))
            }
            "prune-backups" => {
                let keep: serde_json::Map<String, Value> = value
                    .split(',')
                    .filter_map(|part| part.split_once('='))
                    .map(|(key, value)| (key.to_owned(), json!(value)))
                    .collect();
                Value::Object(keep)
            }
            _ => json!(value),
        };
    }
    entry
}
