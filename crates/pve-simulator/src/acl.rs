//! Who may do what: roles, access control lists, and the check expressions of the schema.
//!
//! A deeper path replaces what it inherits; a token with separated privileges gets the
//! intersection of its own and its user's. Authentication happens elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::answer::Failure;
use crate::model::World;
use crate::params::Params;

/// Privilege → does it propagate.
pub(crate) type Privileges = BTreeMap<String, bool>;

/// The authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// `user@realm`.
    pub(crate) user: String,
    pub(crate) token: Option<String>,
}

impl Who {
    /// What stands in task ids: `user@realm` or `user@realm!token`.
    pub(crate) fn full(&self) -> String {
        match &self.token {
            Some(token) => format!("{}!{token}", self.user),
            None => self.user.clone(),
        }
    }

    /// Tokens of root are not root.
    pub(crate) fn is_root(&self) -> bool {
        self.user == "root@pam" && self.token.is_none()
    }
}

/// The paths whose privileges `/access/permissions` reports in any case.
pub(crate) const TOP_PATHS: [&str; 8] = [
    "/",
    "/access",
    "/access/groups",
    "/nodes",
    "/pool",
    "/sdn",
    "/storage",
    "/vms",
];

/// Effective privileges of `who` on `path`.
pub(crate) fn privileges(world: &World, who: &Who, path: &str) -> Privileges {
    let user = if who.user == "root@pam" {
        all_privileges(world)
    } else {
        with_pool(world, path, |path| granted(world, &who.user, "user", path))
    };
    let Some(token) = &who.token else { return user };
    let privsep = world
        .users
        .get(&who.user)
        .and_then(|entry| entry.tokens.get(token))
        .is_none_or(|token| token.privsep);
    if !privsep {
        return user;
    }
    let own = with_pool(world, path, |path| {
        granted(world, &who.full(), "token", path)
    });
    own.into_iter()
        .filter(|(privilege, _)| user.contains_key(privilege))
        .collect()
}

pub(crate) fn has(world: &World, who: &Who, path: &str, privilege: &str) -> bool {
    privileges(world, who, path).contains_key(privilege)
}

/// All of `wanted`; the error names the first one that is missing.
pub(crate) fn require(
    world: &World,
    who: &Who,
    path: &str,
    wanted: &[&str],
) -> Result<(), Failure> {
    let have = privileges(world, who, path);
    match wanted
        .iter()
        .find(|privilege| !have.contains_key(**privilege))
    {
        Some(privilege) => Err(Failure::forbidden(&format!("{path}, {privilege}"))),
        None => Ok(()),
    }
}

/// Any of `wanted`; the error lists them all.
pub(crate) fn require_any(
    world: &World,
    who: &Who,
    path: &str,
    wanted: &[&str],
) -> Result<(), Failure> {
    let have = privileges(world, who, path);
    if wanted.iter().any(|privilege| have.contains_key(*privilege)) {
        Ok(())
    } else {
        Err(Failure::forbidden(&format!("{path}, {}", wanted.join("|"))))
    }
}

/// Evaluates a check expression of the schema.
pub(crate) fn check(
    world: &World,
    who: &Who,
    expression: &Value,
    params: &Params,
) -> Result<(), Failure> {
    let Some(items) = expression.as_array() else {
        return Ok(());
    };
    match items.first().and_then(Value::as_str).unwrap_or_default() {
        "and" => items[1..]
            .iter()
            .try_for_each(|item| check(world, who, item, params)),
        "or" => {
            if items[1..]
                .iter()
                .any(|item| check(world, who, item, params).is_ok())
            {
                Ok(())
            } else {
                Err(Failure::forbidden(""))
            }
        }
        "perm" => {
            let options: Vec<&Value> = items.iter().skip(3).collect();
            if let Some(at) = options.iter().position(|option| *option == "require_param")
                && let Some(name) = options.get(at + 1).and_then(|name| name.as_str())
                && params.get(name).is_none()
            {
                return Err(Failure::forbidden(""));
            }
            let path = fill(items.get(1).and_then(Value::as_str).unwrap_or("/"), params);
            let wanted: Vec<&str> = items[2].as_array().map_or_else(Vec::new, |list| {
                list.iter().filter_map(Value::as_str).collect()
            });
            if options.iter().any(|option| *option == "any") {
                require_any(world, who, &path, &wanted)
            } else {
                require(world, who, &path, &wanted)
            }
        }
        "userid-param" => {
            let userid = params.text("userid");
            match items.get(1).and_then(Value::as_str).unwrap_or_default() {
                "self" if userid == who.user => Ok(()),
                "self" => Err(Failure::forbidden("")),
                privilege => {
                    let realm = userid.rsplit('@').next().unwrap_or_default();
                    require(world, who, &format!("/access/realm/{realm}"), &[privilege])
                }
            }
        }
        "userid-group" => {
            let wanted: Vec<&str> = items[1].as_array().map_or_else(Vec::new, |list| {
                list.iter().filter_map(Value::as_str).collect()
            });
            require_any(world, who, "/access/groups", &wanted)
        }
        "perm-modify" => {
            let path = fill(items.get(1).and_then(Value::as_str).unwrap_or("/"), params);
            let specific = match path.split('/').nth(1) {
                Some("vms") => "VM.Allocate",
                Some("storage") => "Datastore.Allocate",
                Some("pool") => "Pool.Allocate",
                _ => "Permissions.Modify",
            };
            require_any(world, who, &path, &["Permissions.Modify", specific])
        }
        _ => Err(Failure::forbidden("user != root@pam")),
    }
}

fn fill(template: &str, params: &Params) -> String {
    let mut path = template.to_owned();
    for name in [
        "vmid", "newid", "node", "storage", "pool", "poolid", "userid", "path",
    ] {
        path = path.replace(&format!("{{{name}}}"), params.get(name).unwrap_or_default());
    }
    path
}

fn all_privileges(world: &World) -> Privileges {
    role_privileges(world, "Administrator")
        .map(|name| (name, true))
        .collect()
}

fn role_privileges<'a>(world: &'a World, role: &str) -> impl Iterator<Item = String> + use<'a> {
    world
        .roles
        .get(role)
        .map_or("", String::as_str)
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// Adds what the guest's or storage's pool grants.
fn with_pool(world: &World, path: &str, grant: impl Fn(&str) -> Privileges) -> Privileges {
    let mut result = grant(path);
    let pool = if let Some(vmid) = path.strip_prefix("/vms/").and_then(|id| id.parse().ok()) {
        world.pool_of(vmid).map(str::to_owned)
    } else if let Some(storage) = path.strip_prefix("/storage/") {
        world
            .pools
            .iter()
            .find(|(_, pool)| pool.storages.contains(storage))
            .map(|(name, _)| name.clone())
    } else {
        None
    };
    if let Some(pool) = pool {
        for (privilege, propagates) in grant(&format!("/pool/{pool}")) {
            result.entry(privilege).or_insert(propagates);
        }
    }
    result
}

fn granted(world: &World, ugid: &str, kind: &str, path: &str) -> Privileges {
    let groups: BTreeSet<String> = world
        .users
        .get(ugid)
        .and_then(|user| user.profile.get("groups"))
        .map(|text| crate::params::split_list(text).into_iter().collect())
        .unwrap_or_default();
    let mut prefixes = vec!["/".to_owned()];
    let mut walked = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        walked = format!("{walked}/{part}");
        prefixes.push(walked.clone());
    }
    let mut roles: BTreeMap<&str, bool> = BTreeMap::new();
    let last = prefixes.len() - 1;
    for (at, prefix) in prefixes.iter().enumerate() {
        let here = |wanted: &dyn Fn(&str, &str) -> bool| -> BTreeMap<&str, bool> {
            world
                .acl
                .iter()
                .filter(|entry| &entry.path == prefix && (at == last || entry.propagate))
                .filter(|entry| wanted(&entry.kind, &entry.ugid))
                .map(|entry| (entry.roleid.as_str(), entry.propagate))
                .collect()
        };
        let mut found = here(&|entry_kind, id| entry_kind == kind && id == ugid);
        if found.is_empty() && kind == "user" {
            found = here(&|entry_kind, id| entry_kind == "group" && groups.contains(id));
        }
        if !found.is_empty() {
            roles = found;
        }
    }
    if roles.contains_key("NoAccess") {
        return Privileges::new();
    }
    let mut result = Privileges::new();
    for (role, propagates) in roles {
        for privilege in role_privileges(world, role) {
            result.insert(privilege, propagates);
        }
    }
    result
}
