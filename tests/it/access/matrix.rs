//! Every operation for everybody: the status each is answered with, held against a file. The operations are
//! those of the served document, which are those of the route table; one without a row fails.

use super::{GOOD, by_key, key, log_in, person, project};
use crate::fleet::{hand, is, server};
use anyhow::{Context, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;
use tpm_domain::{
    Backup, BackupOrigin, BackupState, BackupToken, Event, EventKind, Permission, Permissions,
    ServerId, Timestamp, UserId, Vmid,
};
use tpm_store::{KeyId, NewApiKey, NewBackup, Store};
use tpm_test_support::{Client, Stack};

/// By what somebody is known.
enum By {
    Session(Client),
    Key(String),
    Nothing,
}

struct Principal {
    name: String,
    by: By,
}

impl Principal {
    fn new(name: impl Into<String>, by: By) -> Self {
        Self {
            name: name.into(),
            by,
        }
    }
}

/// An operation of the document.
struct Operation {
    method: Method,
    path: String,
    has_body: bool,
}

async fn operations(client: &Client) -> anyhow::Result<Vec<Operation>> {
    let document = is(client.get("/api/openapi.json").await?, 200)?;
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for (method, operation) in item.as_object().context("a path")? {
            all.push(Operation {
                method: method.to_uppercase().parse()?,
                path: path.clone(),
                has_body: method != "get" && !operation["requestBody"].is_null(),
            });
        }
    }
    all.sort_by(|a, b| (&a.path, a.method.as_str()).cmp(&(&b.path, b.method.as_str())));
    Ok(all)
}

/// What the operations are done to: all of it in the project `default`.
struct Things<'s> {
    stack: &'s Stack,
    made: u32,
    /// A server and the task that creates it, as long as nobody was let do anything to them.
    server: Option<(String, String)>,
}

impl Things<'_> {
    fn fresh(&mut self) -> String {
        self.made += 1;
        format!("thing-{}", self.made)
    }

    /// The path, with things that are there now.
    async fn path(&mut self, template: &str) -> anyhow::Result<String> {
        let admin = &self.stack.client;
        let mut path = template.to_owned();
        let number = |reply: &Value, name: &str| -> anyhow::Result<String> {
            Ok(reply[name]
                .as_i64()
                .with_context(|| name.to_owned())?
                .to_string())
        };
        let on_server = ["{server_id}", "{task_id}", "{backup_id}"];
        if on_server.iter().any(|part| path.contains(part)) {
            let (server, task) = match self.server.take() {
                Some(known) => known,
                None => {
                    let body = json!({ "name": self.fresh(), "role": "web", "cpu": 1, "memory": 512,
                        "disk_size": 12 });
                    let made = is(admin.post("/api/servers/create", &body).await?, 201)?;
                    let task = made["task_id"].as_str().context("a task")?;
                    (number(&made, "server_id")?, task.to_owned())
                }
            };
            if path.contains("{backup_id}") {
                let backup = self.backup(server.parse()?).await?;
                path = path.replace("{backup_id}", &backup);
            }
            path = path
                .replace("{server_id}", &server)
                .replace("{task_id}", &task);
            self.server = Some((server, task));
        }
        if path.contains("{user_id}") {
            let name = self.fresh();
            let body = json!({ "username": name, "password": GOOD, "roles": [] });
            let made = is(admin.post("/api/users", &body).await?, 201)?;
            path = path.replace("{user_id}", &number(&made, "user_id")?);
        }
        if path.contains("{role}") {
            let name = self.fresh();
            let body = json!({ "name": name, "permissions": ["servers:read"] });
            is(admin.post("/api/roles", &body).await?, 201)?;
            path = path.replace("{role}", &name);
        }
        if path.contains("{network_id}") {
            let name = self.fresh();
            let third = self.made;
            let body = json!({ "name": name, "range": format!("10.77.{third}.10-10.77.{third}.20"),
                "prefix": 24, "bridge": "vmbr0" });
            let made = is(admin.post("/api/networks", &body).await?, 201)?;
            path = path.replace("{network_id}", &number(&made, "network_id")?);
        }
        if path.contains("{*path}") || path.contains("vault/secrets/{path}") {
            let name = self.fresh();
            let at = format!("/api/vault/secrets/secret/{name}");
            is(admin.post(&at, &json!({ "a": "b" })).await?, 201)?;
            path = at;
        }
        if path.contains("{channel_id}") {
            let name = self.fresh();
            let body = json!({ "name": name, "url": "https://hooks.example.com/a" });
            let made = is(admin.post("/api/notifications/channels", &body).await?, 201)?;
            path = path.replace("{channel_id}", &number(&made, "channel_id")?);
        }
        if path.contains("{notification_id}") {
            let store = self.stack.service.store();
            let store: &dyn Store = &*store;
            let tx = store.begin().await?;
            tx.add_event(&Event {
                kind: EventKind::Created,
                server: Some(ServerId(1)),
                server_name: "one".into(),
                task: None,
            })
            .await?;
            tx.commit().await?;
            let latest = is(admin.get("/api/notifications/latest").await?, 200)?;
            let id = number(&latest["notification"], "id")?;
            path = path.replace("{notification_id}", &id);
        }
        for (name, value) in [
            ("{project_id}", "1"),
            ("{serial}", "1"),
            ("{schedule_id}", "1"),
            ("{drill_id}", "drill_none"),
            ("{key_id}", "999"),
            ("{session_id}", "0123456789abcdef"),
            ("{file}", "swagger-ui.css"),
        ] {
            path = path.replace(name, value);
        }
        ensure!(!path.contains('{'), "{template}: what stands for {path}?");
        Ok(path)
    }
}

impl Things<'_> {
    /// A backup of a server, which was not made.
    async fn backup(&mut self, server: i64) -> anyhow::Result<String> {
        let store = self.stack.service.store();
        let token = BackupToken(format!("backup_{}", self.fresh()));
        let tx = store.begin().await?;
        let new = NewBackup {
            token: token.clone(),
            server: ServerId(server),
            server_name: "one".into(),
            vmid: Vmid(10_000),
            storage: "local".into(),
            origin: BackupOrigin::Asked,
            schedule: None,
            mode: None,
            compression: None,
            notes: String::new(),
            protected: false,
        };
        let id = tx.insert_backup(&new).await?;
        let made = tx.backup(id).await?.context("no backup")?;
        tx.save_backup(&Backup {
            state: BackupState::Failed,
            ..made
        })
        .await?;
        tx.commit().await?;
        Ok(token.0)
    }

    /// Whether what a request was about is as it was before.
    fn after(&mut self, operation: &Operation, status: u16) {
        if operation.method != Method::GET && status < 300 {
            self.server = None;
        }
    }
}

/// The status alone: some answers go on for as long as they are read.
async fn status(
    base: &str,
    principal: &Principal,
    operation: &Operation,
    path: &str,
) -> anyhow::Result<u16> {
    let fresh;
    let http = match &principal.by {
        By::Session(client) => client.http(),
        By::Key(_) | By::Nothing => {
            fresh = reqwest::Client::builder().no_proxy().build()?;
            &fresh
        }
    };
    let mut request = http.request(operation.method.clone(), format!("{base}{path}"));
    if let By::Key(text) = &principal.by {
        request = request.bearer_auth(text);
    }
    if operation.has_body {
        request = request.json(&json!({}));
    }
    Ok(request.send().await?.status().as_u16())
}

async fn session(base: &str, name: &str) -> anyhow::Result<Client> {
    let client = Client::new(base)?;
    is(log_in(&client, name, GOOD).await?, 200)?;
    Ok(client)
}

/// Keys that do not hold, people of each role, and a key of the admin's for each permission.
async fn principals(stack: &Stack) -> anyhow::Result<(Vec<Principal>, Vec<Principal>)> {
    let admin = &stack.client;
    let (_, good) = key(admin, json!({})).await?;
    let mut broken = good.into_bytes();
    broken[20] = if broken[20] == b'x' { b'y' } else { b'x' };
    let (revoked_id, revoked) = key(admin, json!({})).await?;
    is(
        admin
            .delete(&format!("/api/auth/keys/{revoked_id}"))
            .await?,
        200,
    )?;
    // The same key, and its time is over.
    let (expired_id, expired) = key(admin, json!({})).await?;
    let store = stack.service.store();
    let store: &dyn Store = &*store;
    let tx = store.begin().await?;
    tx.delete_api_key(UserId(1), KeyId(expired_id)).await?;
    tx.insert_api_key(&NewApiKey {
        digest: hex::encode(Sha256::digest(expired.as_bytes())),
        user: UserId(1),
        name: "over".into(),
        prefix: expired[..12].to_owned(),
        scopes: Permissions::all(),
        networks: Vec::new(),
        expires_at: Some(Timestamp(1)),
    })
    .await?;
    tx.commit().await?;

    project(stack, "elsewhere").await?;
    let body = json!({ "name": "auditor", "permissions": ["audit:read"] });
    is(admin.post("/api/roles", &body).await?, 201)?;
    person(stack, "operator", json!(["operator"])).await?;
    person(stack, "viewer", json!(["viewer"])).await?;
    person(stack, "auditor", json!(["auditor"])).await?;
    person(stack, "nothing", json!([])).await?;
    person(stack, "second-admin", json!(["admin"])).await?;
    let there = json!([{ "role": "operator", "project": "elsewhere" }]);
    person(stack, "elsewhere", there).await?;
    let mut people = vec![
        Principal::new("nobody", By::Nothing),
        Principal::new("broken", By::Key(String::from_utf8(broken)?)),
        Principal::new("expired", By::Key(expired)),
        Principal::new("revoked", By::Key(revoked)),
    ];
    for name in [
        "nothing",
        "auditor",
        "elsewhere",
        "viewer",
        "operator",
        "second-admin",
    ] {
        let client = session(admin.base(), name).await?;
        people.push(Principal::new(name, By::Session(client)));
    }
    let mut keys = Vec::new();
    for permission in Permission::ALL {
        let scopes = json!({ "scopes": [permission.as_str()] });
        let (_, text) = key(admin, scopes).await?;
        keys.push(Principal::new(permission.as_str(), By::Key(text)));
    }
    Ok((people, keys))
}

const ABOUT: &str = "\
# Every operation, and the status that each principal is answered with. Bodies are empty objects, so 400 is for
# who may. All things are of the project `default`; `elsewhere` is an operator of another one. Keys are an admin's,
# of one scope each: those that are not refused with 403 are named.
";

/// What nobody has to be known for.
const OPEN: [&str; 7] = [
    "POST /api/auth/login",
    "GET /api/docs",
    "GET /api/docs/{file}",
    "GET /api/openapi.json",
    "GET /api/postman_collection.json",
    "GET /healthz",
    "GET /readyz",
];

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_answered_as_the_table_says() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let base = stack.client.base().to_owned();
    hand(&stack)?.look().await?;
    let (mut people, keys) = principals(&stack).await?;
    let mut things = Things {
        stack: &stack,
        made: 0,
        server: None,
    };
    is(
        stack
            .client
            .post("/api/servers/create", &server("first"))
            .await?,
        201,
    )?;
    let mut table = String::from(ABOUT);
    let mut open = Vec::new();
    for operation in operations(&stack.client).await? {
        // It takes longer than a look at the cluster is good for.
        hand(&stack)?.look().await?;
        write!(table, "\n{} {}\n ", operation.method, operation.path)?;
        for principal in &mut people {
            let path = things.path(&operation.path).await?;
            let status = status(&base, principal, &operation, &path).await?;
            things.after(&operation, status);
            write!(table, " {}={status}", principal.name)?;
            if principal.name == "nobody" && status != 401 {
                open.push(format!("{} {}", operation.method, operation.path));
            }
            // Whoever ended a session of their own begins another one.
            if operation.path == "/api/auth/logout"
                && let By::Session(client) = &mut principal.by
            {
                *client = session(&base, &principal.name).await?;
            }
        }
        write!(table, "\n  keys:")?;
        for principal in &keys {
            let path = things.path(&operation.path).await?;
            let status = status(&base, principal, &operation, &path).await?;
            things.after(&operation, status);
            match status {
                403 => {}
                status => write!(table, " {}={status}", principal.name)?,
            }
        }
        table.push('\n');
    }
    ensure!(open == OPEN, "open to nobody: {open:?}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/access/matrix.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &table)?;
    }
    let kept = std::fs::read_to_string(&file).context("UPDATE_GOLDEN=1 writes it")?;
    if kept != table {
        let differs = |(kept, now): &(&str, &str)| kept != now;
        let lines = kept.lines().zip(table.lines()).filter(differs).take(10);
        let lines: Vec<_> = lines.collect();
        bail!(
            "not as in {} (UPDATE_GOLDEN=1 writes it anew): {lines:#?}",
            file.display()
        );
    }
    let by = by_key(&base, "tpm_", Method::GET, "/api/servers", None).await?;
    ensure!(by.status == 401);
    stack.stop().await
}
