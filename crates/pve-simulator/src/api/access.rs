//! Logins, users, tokens, roles and access control lists.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::acl::{self, Who};
use crate::answer::{Failure, Handled, Reply};
use crate::auth;
use crate::dispatch::Context;
use crate::model::{AclEntry, Token, User, World};
use crate::schema::Endpoint;

const PROFILE: [&str; 6] = [
    "firstname",
    "lastname",
    "email",
    "comment",
    "groups",
    "keys",
];

pub(super) fn ticket(c: &Context) -> Handled {
    let mut user = c.params.text("username");
    if let Some(realm) = c.params.get("realm")
        && !user.contains('@')
    {
        user = format!("{user}@{realm}");
    }
    if !auth::check_password(&c.sim, &user, c.params.get("password").unwrap_or_default()) {
        return Err(Failure::new(401, "authentication failure"));
    }
    let who = Who {
        user: user.clone(),
        token: None,
    };
    let mut data = json!({
        "username": user,
        "ticket": auth::issue_ticket(&c.sim, &user),
        "CSRFPreventionToken": auth::issue_csrf(&c.sim, &user),
        "cap": capabilities(&c.sim.world(), &who),
    });
    if c.sim.is_cluster() {
        data["clustername"] = json!(c.sim.config.cluster);
    }
    Ok(data.into())
}

/// The rights the web interface wants to know, by area.
fn capabilities(world: &World, who: &Who) -> Value {
    let mut result = Map::new();
    for (area, path, prefixes) in [
        ("vms", "/vms", &["VM."][..]),
        ("dc", "/", &["SDN.", "Sys.Audit", "Sys.Modify"]),
        ("nodes", "/nodes", &["Sys."]),
        ("sdn", "/sdn", &["SDN."]),
        ("access", "/access", &["User.", "Group."]),
        ("mapping", "/mapping", &["Mapping."]),
        ("storage", "/storage", &["Datastore."]),
    ] {
        let have: Map<String, Value> = acl::privileges(world, who, path)
            .into_keys()
            .filter(|name| {
                prefixes.iter().any(|prefix| name.starts_with(prefix))
                    || (area != "dc" && name == "Permissions.Modify")
            })
            .map(|name| (name, json!(1)))
            .collect();
        if !have.is_empty() {
            result.insert(area.into(), Value::Object(have));
        }
    }
    Value::Object(result)
}

pub(super) fn call(endpoint: &Endpoint, c: &Context) -> Handled {
    let reply = match (endpoint.method.as_str(), endpoint.path.as_str()) {
        ("GET", "/access/domains") => json!([
            {"realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication"},
            {"realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server"},
        ])
        .into(),
        ("GET", "/access/permissions") => permissions(c)?,
        ("GET", "/access/acl") => read_acl(c),
        ("PUT", "/access/acl") => write_acl(c)?,
        ("GET", "/access/users") => users(c),
        ("POST", "/access/users") => create_user(c)?,
        (method, "/access/users/{userid}") => user(c, method)?,
        ("GET", "/access/users/{userid}/token") => tokens(c)?,
        (method, "/access/users/{userid}/token/{tokenid}") => token(c, method)?,
        ("GET", "/access/roles") => roles(c),
        (method, path) if path.starts_with("/access/roles") => role(c, method)?,
        _ => json!([]).into(),
    };
    if endpoint.method != "GET" {
        c.sim.mark_changed();
    }
    Ok(reply)
}

fn permissions(c: &Context) -> Handled {
    let world = c.sim.world();
    let who = match c.params.get("userid") {
        Some(other) if other != c.who.full() => {
            acl::require(&world, &c.who, "/access", &["Sys.Audit"])?;
            let (user, token) = other
                .split_once('!')
                .map_or((other, None), |(user, token)| (user, Some(token)));
            Who {
                user: user.to_owned(),
                token: token.map(str::to_owned),
            }
        }
        _ => c.who.clone(),
    };
    let paths: Vec<String> = match c.params.get("path") {
        Some(path) => vec![path.to_owned()],
        None => {
            let named = world.acl.iter().map(|entry| entry.path.clone());
            acl::TOP_PATHS
                .iter()
                .map(|path| (*path).to_owned())
                .chain(named)
                .collect()
        }
    };
    let mut result = Map::new();
    for path in paths {
        let privileges = acl::privileges(&world, &who, &path);
        if !privileges.is_empty() {
            let entry: BTreeMap<String, u8> = privileges
                .into_iter()
                .map(|(name, propagates)| (name, u8::from(propagates)))
                .collect();
            result.insert(path, json!(entry));
        }
    }
    Ok(Value::Object(result).into())
}

fn read_acl(c: &Context) -> Reply {
    let world = c.sim.world();
    let visible = world.acl.iter().filter(|entry| {
        let have = acl::privileges(&world, &c.who, &entry.path);
        have.contains_key("Permissions.Modify") || have.contains_key("Sys.Audit")
    });
    visible
        .map(|entry| {
            json!({
                "path": entry.path, "type": entry.kind, "ugid": entry.ugid, "roleid": entry.roleid,
                "propagate": u8::from(entry.propagate),
            })
        })
        .collect::<Vec<Value>>()
        .into()
}

fn write_acl(c: &Context) -> Handled {
    let path = c.params.text("path");
    if !path.starts_with('/') {
        return Err(Failure::param("path", format!("invalid ACL path '{path}'")));
    }
    let mut world = c.sim.world();
    for role in c.params.list("roles") {
        if !world.roles.contains_key(&role) {
            return Err(Failure::die(format!("role '{role}' does not exist")));
        }
        for (option, kind) in [("users", "user"), ("groups", "group"), ("tokens", "token")] {
            for ugid in c.params.list(option) {
                if kind == "user" && !world.users.contains_key(&ugid) {
                    return Err(Failure::die(format!("user '{ugid}' does not exist")));
                }
                let entry = AclEntry {
                    path: path.clone(),
                    kind: kind.to_owned(),
                    ugid,
                    roleid: role.clone(),
                    propagate: c.params.get("propagate") != Some("0"),
                };
                world.acl.retain(|old| {
                    (&old.path, &old.ugid, &old.roleid) != (&entry.path, &entry.ugid, &entry.roleid)
                });
                if !c.params.flag("delete") {
                    world.acl.push(entry);
                }
            }
        }
    }
    Ok(Reply::null())
}

fn describe(userid: &str, user: &User) -> Value {
    let realm = userid.rsplit('@').next().unwrap_or_default();
    let mut entry = json!({
        "userid": userid, "enable": u8::from(user.enable), "expire": user.expire, "realm-type": realm,
    });
    for (key, value) in &user.profile {
        entry[key] = json!(value);
    }
    // the file format writes the empty fields in front of a comment
    if user.profile.contains_key("comment") && entry.get("email").is_none() {
        entry["email"] = json!("");
    }
    entry
}

fn users(c: &Context) -> Reply {
    let world = c.sim.world();
    let have = acl::privileges(&world, &c.who, "/access/groups");
    let sees_all = have.contains_key("User.Modify") || have.contains_key("Sys.Audit");
    world
        .users
        .iter()
        .filter(|(userid, _)| sees_all || (c.who.token.is_none() && **userid == c.who.user))
        .map(|(userid, user)| describe(userid, user))
        .collect::<Vec<Value>>()
        .into()
}

fn create_user(c: &Context) -> Handled {
    let userid = c.params.text("userid");
    let mut world = c.sim.world();
    if world.users.contains_key(&userid) {
        return Err(Failure::die(format!(
            "create user failed: user '{userid}' already exists"
        )));
    }
    let mut user = User {
        password: c.params.get("password").map(str::to_owned),
        enable: c.params.get("enable") != Some("0"),
        expire: c.params.number("expire").unwrap_or_default(),
        ..User::default()
    };
    apply_profile(c, &mut user);
    world.users.insert(userid, user);
    Ok(Reply::null())
}

fn apply_profile(c: &Context, user: &mut User) {
    for key in PROFILE {
        if let Some(value) = c.params.get(key) {
            user.profile.insert(key.to_owned(), value.to_owned());
        }
    }
}

fn user(c: &Context, method: &str) -> Handled {
    let userid = c.params.text("userid");
    let mut world = c.sim.world();
    let Some(user) = world.users.get_mut(&userid) else {
        return Err(Failure::die(format!("no such user ('{userid}')")));
    };
    match method {
        "GET" => {
            let tokens: BTreeMap<&String, Value> = user
                .tokens
                .iter()
                .map(|(name, token)| (name, token_info(token)))
                .collect();
            let mut entry = describe(&userid, user);
            entry["tokens"] = json!(tokens);
            Ok(entry.into())
        }
        "PUT" => {
            apply_profile(c, user);
            if let Some(enable) = c.params.get("enable") {
                user.enable = enable == "1";
            }
            if let Some(expire) = c.params.number("expire") {
                user.expire = expire;
            }
            Ok(Reply::null())
        }
        _ => {
            world.users.remove(&userid);
            world.acl.retain(|entry| {
                entry.ugid != userid && !entry.ugid.starts_with(&format!("{userid}!"))
            });
            Ok(Reply::null())
        }
    }
}

fn token_info(token: &Token) -> Value {
    let mut info = json!({"privsep": u8::from(token.privsep), "expire": token.expire});
    if let Some(comment) = &token.comment {
        info["comment"] = json!(comment);
    }
    info
}

fn tokens(c: &Context) -> Handled {
    let world = c.sim.world();
    let userid = c.params.text("userid");
    let user = world
        .users
        .get(&userid)
        .ok_or_else(|| Failure::die(format!("no such user ('{userid}')")))?;
    let tokens = user.tokens.iter().map(|(name, token)| {
        let mut info = token_info(token);
        info["tokenid"] = json!(name);
        info
    });
    Ok(tokens.collect::<Vec<Value>>().into())
}

fn token(c: &Context, method: &str) -> Handled {
    let userid = c.params.text("userid");
    let tokenid = c.params.text("tokenid");
    let secret = c.sim.random.uuid();
    let mut world = c.sim.world();
    let user = world
        .users
        .get_mut(&userid)
        .ok_or_else(|| Failure::die(format!("no such user ('{userid}')")))?;
    let existing = user.tokens.get_mut(&tokenid);
    match (method, existing) {
        ("POST", Some(_)) => Err(Failure::param("tokenid", "Token already exists.")),
        ("POST", None) => {
            let privsep = c.params.get("privsep") != Some("0");
            let token = Token {
                secret: secret.clone(),
                privsep,
                expire: c.params.number("expire").unwrap_or_default(),
                comment: c.params.get("comment").map(str::to_owned),
            };
            user.tokens.insert(tokenid.clone(), token);
            let mut info = json!({"privsep": u8::from(privsep).to_string()});
            for key in ["expire", "comment"] {
                if let Some(value) = c.params.get(key) {
                    info[key] = json!(value);
                }
            }
            Ok(json!({"value": secret, "full-tokenid": format!("{userid}!{tokenid}"), "info": info}).into())
        }
        (_, None) => Err(Failure::die(format!(
            "no such token '{tokenid}' for user '{userid}'"
        ))),
        ("GET", Some(token)) => Ok(token_info(token).into()),
        ("PUT", Some(token)) => {
            if let Some(privsep) = c.params.get("privsep") {
                token.privsep = privsep == "1";
            }
            if let Some(expire) = c.params.number("expire") {
                token.expire = expire;
            }
            Ok(token_info(token).into())
        }
        _ => {
            user.tokens.remove(&tokenid);
            world
                .acl
                .retain(|entry| entry.ugid != format!("{userid}!{tokenid}"));
            Ok(Reply::null())
        }
    }
}

/// Roles that PVE brings along.
fn is_builtin(role: &str) -> bool {
    role.starts_with("PVE") || matches!(role, "Administrator" | "NoAccess")
}

fn roles(c: &Context) -> Reply {
    let world = c.sim.world();
    world
        .roles
        .iter()
        .map(|(role, privs)| json!({"roleid": role, "privs": privs, "special": u8::from(is_builtin(role))}))
        .collect::<Vec<Value>>()
        .into()
}

fn role(c: &Context, method: &str) -> Handled {
    let roleid = c.params.text("roleid");
    let mut world = c.sim.world();
    let wanted = c.params.list("privs");
    let known = world
        .roles
        .get("Administrator")
        .cloned()
        .unwrap_or_default();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !known.split(',').any(|known| known == name.as_str()))
    {
        return Err(Failure::param(
            "privs",
            format!("invalid format - invalid privilege '{unknown}'\n"),
        ));
    }
    match (method, world.roles.contains_key(&roleid)) {
        ("POST", true) => return Err(Failure::die(format!("role '{roleid}' already exists"))),
        ("POST", false) if is_builtin(&roleid) => {
            return Err(Failure::param(
                "roleid",
                "cannot use role ID starting with the (case-insensitive) 'PVE' namespace",
            ));
        }
        ("POST", false) => {
            world.roles.insert(roleid, wanted.join(","));
        }
        (_, false) => return Err(Failure::die(format!("role '{roleid}' does not exist"))),
        ("GET", true) => {
            let privs = world.roles.get(&roleid).cloned().unwrap_or_default();
            let map: BTreeMap<&str, u8> = privs
                .split(',')
                .filter(|name| !name.is_empty())
                .map(|name| (name, 1))
                .collect();
            return Ok(json!(map).into());
        }
        (_, true) if is_builtin(&roleid) => {
            return Err(Failure::die(format!(
                "auto-generated role '{roleid}' cannot be modified"
            )));
        }
        ("PUT", true) => {
            let mut privs = wanted;
            if c.params.flag("append") {
                privs.extend(world.roles[&roleid].split(',').map(str::to_owned));
                privs.sort();
                privs.dedup();
            }
            world.roles.insert(roleid, privs.join(","));
        }
        _ => {
            world.roles.remove(&roleid);
        }
    }
    Ok(Reply::null())
}
