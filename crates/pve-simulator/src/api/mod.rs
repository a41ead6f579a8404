//! The handlers, one file per part of the API. A handler trusts that permissions and parameters
//! were checked before it runs, and checks what only it can know.

mod access;
mod agent;
mod backup;
mod clone;
mod cloudinit;
mod cluster;
mod config;
mod create;
mod destroy;
mod drive;
mod guests;
mod migrate;
mod nodes;
mod pools;
mod power;
mod privileges;
mod prune;
mod resize;
mod restore;
mod snapshots;
mod storage;
mod tasks;

use serde_json::{Value, json};

use crate::answer::{Failure, Handled, Reply};
use crate::dispatch::Context;
use crate::schema::Endpoint;

pub(crate) use create::convert;
pub(crate) use destroy::remove;
pub(crate) use guests::{broadcast, broadcast_all, qmp_status};
pub(crate) use migrate::relocate;
pub(crate) use power::{power_off, power_on};

/// Runs the handler of an endpoint.
pub(crate) async fn call(endpoint: &'static Endpoint, c: Context) -> Handled {
    match (endpoint.method.as_str(), endpoint.path.as_str()) {
        ("GET", "/version") => nodes::version(),
        ("POST", "/access/ticket") => access::ticket(&c),
        (_, path) if path.starts_with("/access/") => access::call(endpoint, &c),
        (_, path) if path.starts_with("/cluster/") => cluster::call(endpoint, &c),
        (_, path) if path.starts_with("/pools") => pools::call(endpoint, &c),
        ("GET", "/storage") => storage::definitions(&c),
        ("GET", "/storage/{storage}") => storage::definition(&c),
        (method, path) => match path.strip_prefix("/nodes/{node}/qemu/{vmid}") {
            Some(rest) => guest(method, rest, c).await,
            None => node(method, path, c).await,
        },
    }
}

async fn guest(method: &str, rest: &str, c: Context) -> Handled {
    match (method, rest) {
        ("DELETE", "") => destroy::destroy(&c),
        ("POST", "/clone") => clone::clone(&c).await,
        ("GET", "/config") => config::get(&c),
        ("PUT", "/config") => config::put(&c).await,
        ("POST", "/config") => config::post(&c).await,
        ("GET", "/pending") => config::pending(&c),
        ("PUT", "/resize") => resize::resize(&c),
        ("PUT", "/unlink") => config::unlink(&c).await,
        ("GET" | "PUT", "/cloudinit") => cloudinit::view(&c, method == "PUT"),
        ("GET", "/cloudinit/dump") => cloudinit::dump(&c),
        ("POST", "/move_disk") => migrate::move_disk(&c),
        ("GET", "/status/current") => guests::current(&c),
        ("POST", "/monitor") => guests::monitor(&c),
        ("GET", "/feature") => guests::feature(&c),
        ("GET", "/rrddata") => guests::rrddata(&c),
        ("GET", "/firewall/options" | "/firewall/rules") => {
            Ok(Reply::from(if rest.ends_with("rules") {
                json!([])
            } else {
                json!({})
            }))
        }
        ("POST", "/template") => create::template(&c),
        ("GET", "/migrate") => migrate::preconditions(&c),
        ("POST", "/migrate") => migrate::migrate(&c),
        (_, rest) if rest.starts_with("/status/") => power::call(&c, rest),
        (_, rest) if rest.starts_with("/agent/") => agent::call(&c, rest).await,
        (method, rest) if rest.starts_with("/snapshot") => snapshots::call(&c, method, rest),
        (method, rest) => Err(Failure::not_implemented(method, rest)),
    }
}

async fn node(method: &str, path: &str, c: Context) -> Handled {
    match (method, path) {
        ("GET", "/nodes/{node}/qemu") => guests::list(&c),
        ("POST", "/nodes/{node}/qemu") => create::create(&c).await,
        (_, path) if path.starts_with("/nodes/{node}/tasks") => tasks::call(&c, method, path),
        (_, path) if path.starts_with("/nodes/{node}/vzdump") => backup::call(&c, method, path),
        (_, path) if path.starts_with("/nodes/{node}/storage") => storage::call(&c, method, path),
        ("GET", path) => nodes::call(&c, path),
        (method, path) => Err(Failure::not_implemented(method, path)),
    }
}

/// The list of names below a path.
pub(crate) fn index(segments: &[String], names: &[&str]) -> Reply {
    let key = if segments.len() == 2 && segments[0] == "nodes" {
        "name"
    } else {
        "subdir"
    };
    let items: Vec<Value> = if segments.is_empty() {
        // this order is fixed in PVE
        ["version", "cluster", "nodes", "storage", "access", "pools"]
            .iter()
            .map(|name| json!({"subdir": name}))
            .collect()
    } else {
        names.iter().map(|name| json!({key: name})).collect()
    };
    Reply::from(items)
}
