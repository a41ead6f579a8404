//! Secrets: one table of requests that every store answers alike, paths that want to be others, a master key that is
//! replaced while people read and write, and a key that is missing or another.

mod peer;

use crate::access::{by_key, key, person};
use crate::fleet::{is, refused};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tpm_secrets::{SecretData, SecretError, SecretPath, SecretStore};
use tpm_secrets_embedded::{EmbeddedSecrets, MasterSource};
use tpm_store::{SecretName, Store};
use tpm_test_support::{Client, Stack};

const SSH: &str = "/api/vault/secrets/secret/ssh";

/// The same table for every store.
pub(crate) async fn table(client: &Client) -> anyhow::Result<()> {
    refused(client.get(SSH).await?, 404, "NOT_FOUND")?;
    refused(
        client.get(&format!("{SSH}?versions=true")).await?,
        404,
        "NOT_FOUND",
    )?;
    // The reference's own example.
    let first = json!({
        "private_key": "-----BEGIN OPENSSH PRIVATE KEY-----",
        "public_key": "ssh-rsa AAAAB3NzaC1yc2E...",
    });
    let made = is(client.post(SSH, &first).await?, 201)?;
    ensure!(
        made["version"] == 1 && made["path"] == "secret/ssh",
        "{made}"
    );
    let read = client.get(SSH).await?;
    let store = read.headers.get("cache-control");
    ensure!(store.is_some_and(|value| value == "no-store"), "{read:?}");
    let read = is(read, 200)?;
    ensure!(read["data"] == first && read["version"] == 1, "{read}");
    ensure!(read["created_at"].is_string(), "{read}");

    // Only on top of what was seen.
    let second =
        json!({ "public_key": "ssh-ed25519 AAAA", "n": 7, "list": [1, { "x": null }], "빈": "" });
    for (cas, current) in [(0, 1), (2, 1)] {
        let reply = client.post(&format!("{SSH}?cas={cas}"), &second).await?;
        let details = refused(reply, 409, "VERSION_CHANGED")?;
        ensure!(details["current"] == current, "{details}");
    }
    let made = is(client.post(&format!("{SSH}?cas=1"), &second).await?, 201)?;
    ensure!(made["version"] == 2, "{made}");
    ensure!(is(client.get(SSH).await?, 200)?["data"] == second);
    let old = is(client.get(&format!("{SSH}?version=1")).await?, 200)?;
    ensure!(old["data"] == first && old["version"] == 1, "{old}");
    refused(
        client.get(&format!("{SSH}?version=3")).await?,
        404,
        "NOT_FOUND",
    )?;
    let none = client
        .post("/api/vault/secrets/secret/new?cas=1", &second)
        .await?;
    ensure!(refused(none, 409, "VERSION_CHANGED")?["current"] == 0);

    // Names, never values.
    for name in ["servers/web-1/root", "servers/web-2/root", "servers/all"] {
        let path = format!("/api/vault/secrets/secret/{name}");
        is(client.post(&path, &json!({ "password": "x" })).await?, 201)?;
    }
    let names = is(
        client.get("/api/vault/secrets/secret?list=true").await?,
        200,
    )?;
    ensure!(names["keys"] == json!(["servers/", "ssh"]), "{names}");
    let names = is(
        client
            .get("/api/vault/secrets/secret/servers?list=true")
            .await?,
        200,
    )?;
    ensure!(
        names["keys"] == json!(["all", "web-1/", "web-2/"]),
        "{names}"
    );
    ensure!(!names.to_string().contains("password"));
    let none = client
        .get("/api/vault/secrets/secret/nothing?list=true")
        .await?;
    refused(none, 404, "NOT_FOUND")?;

    // Deleted is gone; other versions stay.
    is(client.delete(SSH).await?, 200)?;
    refused(client.get(SSH).await?, 404, "NOT_FOUND")?;
    refused(
        client.get(&format!("{SSH}?version=2")).await?,
        404,
        "NOT_FOUND",
    )?;
    is(client.get(&format!("{SSH}?version=1")).await?, 200)?;
    let all = is(client.get(&format!("{SSH}?versions=true")).await?, 200)?;
    let versions = all["versions"].as_array().context("versions")?;
    let shown = |n: usize, field: &str| versions.get(n).map(|one| one[field].clone());
    ensure!(
        shown(0, "version") == Some(json!(1)) && shown(0, "deleted_at") == Some(Value::Null),
        "{all}"
    );
    ensure!(
        shown(1, "deleted_at").is_some_and(|at| at.is_string()),
        "{all}"
    );
    // The number goes on.
    let made = is(client.post(&format!("{SSH}?cas=2"), &first).await?, 201)?;
    ensure!(made["version"] == 3, "{made}");
    is(client.delete(&format!("{SSH}?version=1")).await?, 200)?;
    refused(
        client.get(&format!("{SSH}?version=1")).await?,
        404,
        "NOT_FOUND",
    )?;
    is(client.delete(&format!("{SSH}?all=true")).await?, 200)?;
    refused(
        client.get(&format!("{SSH}?versions=true")).await?,
        404,
        "NOT_FOUND",
    )?;
    refused(
        client.delete(&format!("{SSH}?all=true")).await?,
        404,
        "NOT_FOUND",
    )?;

    // What makes no sense.
    for (path, body) in [
        (SSH.to_owned(), json!({})),
        (format!("{SSH}?cas=-1"), first.clone()),
        (format!("{SSH}?cas=x"), first.clone()),
        (format!("{SSH}?other=1"), first.clone()),
    ] {
        refused(client.post(&path, &body).await?, 400, "INVALID_REQUEST")?;
    }
    for query in [
        "version=0",
        "list=true&version=1",
        "list=true&versions=true",
        "list=maybe",
    ] {
        let reply = client.get(&format!("{SSH}?{query}")).await?;
        refused(reply, 400, "INVALID_REQUEST")?;
    }
    let large = json!({ "text": "x".repeat(64 * 1024) });
    refused(client.post(SSH, &large).await?, 400, "INVALID_REQUEST")?;
    Ok(())
}

/// Paths that want to be others. Each as it stands in the request.
fn hostile() -> Vec<String> {
    let mut all: Vec<String> = [
        // steps
        "secret/../sys/seal",
        "secret/..",
        "secret/.",
        "secret/...",
        "secret/a/../../sys",
        "../secret/a",
        "./secret/a",
        "secret/a/..",
        "secret/a/.",
        "secret/%2e%2e/sys",
        "secret/%2e%2e%2fsys",
        "secret/%2E%2E/a",
        "secret/.%2e/a",
        "secret/%2e./a",
        "secret/%252e%252e/a",
        "secret/%252e%252e%252fsys",
        "secret/%c0%ae%c0%ae/a",
        "secret/%e0%80%ae/a",
        "secret/..%2f..%2fsys",
        "secret/..;/a",
        "secret/..%00/a",
        "secret/..%5ca",
        "secret/%2e%2e%5csys",
        "secret%2f..%2fsys%2fseal",
        "secret/a%2f..%2f..%2fsys",
        // slashes
        "secret//a",
        "secret/a//b",
        "secret/a/",
        "secret/",
        "//secret/a",
        "secret/%2f",
        "secret/a%2f%2fb",
        "secret/%2fa",
        "secret/a%2f",
        "secret%2f%2fa",
        "secret/%5c",
        "secret/a%5cb",
        "secret\\a",
        // nothing, spaces, control characters
        "secret/%00",
        "secret/a%00b",
        "secret/%0a",
        "secret/a%0d%0aX-Vault-Token:%20x",
        "secret/%09",
        "secret/%7f",
        "secret/%1b[2J",
        "secret/%20",
        "secret/a%20b",
        "secret/%c2%85",
        "secret/%e2%80%8b",
        "secret/%e2%80%ae",
        "secret/%ef%bb%bf",
        "%00secret/a",
        "secret%00/a",
        // what means something in Vault's own paths
        "secret/data/a",
        "secret/metadata/a",
        "secret/delete/a",
        "secret/undelete/a",
        "secret/destroy/a",
        "secret/subkeys/a",
        "secret/config",
        "secret/data",
        "secret/metadata",
        "secret/%64ata/a",
        "secret/config/a",
        // mounts of others
        "sys/seal",
        "sys/unseal",
        "sys/raw/x",
        "sys/init",
        "sys/mounts/secret",
        "sys/policies/acl/x",
        "sys/rotate",
        "sys/rekey/init",
        "sys/audit/x",
        "sys/health",
        "auth/token/create",
        "auth/token/lookup-self",
        "auth/approle/login",
        "auth/userpass/login/x",
        "identity/entity",
        "identity/oidc/token/x",
        "cubbyhole/a",
        "transit/keys/x",
        "pki/issue/x",
        "aws/creds/x",
        "database/creds/x",
        "ssh/creds/x",
        "kv/a",
        "v1/sys/seal",
        "v1/secret/data/a",
        "SECRET/a",
        "Secret/a",
        "secret2/a",
        "secre/a",
        "se%63ret2/a",
        // letters that look like others, or are something elsewhere
        "ѕecret/a",
        "secret/ａ",
        "secret/é",
        "secret/한글",
        "secret/a%3Flist=true",
        "secret/a%23b",
        "secret/a;b",
        "secret/a,b",
        "secret/a&b",
        "secret/a=b",
        "secret/a+b",
        "secret/a*b",
        "secret/*",
        "secret/+",
        "secret/{a}",
        "secret/${a}",
        "secret/$(id)",
        "secret/`id`",
        "secret/a|b",
        "secret/a'b",
        "secret/a%22b",
        "secret/<a>",
        "secret/a:b",
        "secret/a@b",
        "secret/a!b",
        "secret/~",
        "secret/%25",
        "secret/a%",
    ]
    .map(str::to_owned)
    .into();
    all.push(format!("secret/{}", "a".repeat(129)));
    all.push(format!("secret/{}", "a".repeat(4096)));
    all.push(format!("secret/{}", "a/".repeat(2048) + "a"));
    all.push("a/".repeat(300) + "a");
    all
}

/// Asked as it is: a client would tidy it up.
async fn raw(stack: &Stack, key: &str, method: &str, path: &str) -> anyhow::Result<u16> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = stack.client.base().trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let body = if method == "POST" {
        "{\"a\":\"b\"}"
    } else {
        ""
    };
    let request = format!(
        "{method} /api/vault/secrets/{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).context("a status")?;
    Ok(status.parse()?)
}

/// Whatever comes to it is counted.
#[derive(Default)]
pub(crate) struct Counting(AtomicU64);

#[async_trait::async_trait]
impl SecretStore for Counting {
    async fn status(&self) -> tpm_secrets::StoreStatus {
        tpm_secrets::StoreStatus::default()
    }

    async fn read(
        &self,
        _: &SecretPath,
        _: Option<u64>,
    ) -> Result<tpm_secrets::Secret, SecretError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(SecretError::NotFound)
    }

    async fn write(
        &self,
        _: &SecretPath,
        _: &SecretData,
        _: Option<u64>,
    ) -> Result<u64, SecretError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(1)
    }

    async fn delete(&self, _: &SecretPath, _: tpm_secrets::Deletion) -> Result<(), SecretError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn list(&self, _: &tpm_secrets::Folder) -> Result<Vec<String>, SecretError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(vec!["a".into()])
    }

    async fn versions(&self, _: &SecretPath) -> Result<Vec<tpm_secrets::VersionInfo>, SecretError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(SecretError::NotFound)
    }

    async fn rotate(&self) -> Result<tpm_secrets::Rotated, SecretError> {
        Err(SecretError::Unsupported("none"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_store_answers_the_table() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    table(&stack.client).await?;
    let status = is(stack.client.get("/api/vault/status").await?, 200)?;
    ensure!(
        status["status"] == "running" && status["store"] == "embedded" && status["sealed"] == false,
        "{status}"
    );
    let system = is(stack.client.get("/api/system/status").await?, 200)?;
    ensure!(system["services"]["vault"] == "running", "{system}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_paths_reach_no_store() -> anyhow::Result<()> {
    let store = Arc::new(Counting::default());
    let stack = Stack::builder().secrets(store.clone()).start().await?;
    let (_, key) = key(&stack.client, json!({ "scopes": ["secrets:*"] })).await?;
    let all = hostile();
    ensure!(all.len() >= 100, "only {}", all.len());
    for path in &all {
        for method in ["GET", "POST", "DELETE"] {
            let status = raw(&stack, &key, method, path).await?;
            ensure!((400..=404).contains(&status), "{method} {path:?}: {status}");
        }
        if !path.contains('?') {
            let status = raw(&stack, &key, "GET", &format!("{path}?list=true")).await?;
            // A folder may end with a slash, or be a mount.
            let folder = ["secret/", "secret/a/", "secret/a%2f"].contains(&path.as_str());
            ensure!(
                folder || (400..=404).contains(&status),
                "list {path:?}: {status}"
            );
        }
    }
    let lists = 3;
    ensure!(
        store.0.load(Ordering::SeqCst) <= lists,
        "{}",
        store.0.load(Ordering::SeqCst)
    );
    // What is no trick arrives.
    ensure!(raw(&stack, &key, "POST", "secret/a").await? == 201);
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_and_what_is_written_down() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let value = "m4rk3d-v4lu3";
    is(client.post(SSH, &json!({ "password": value })).await?, 201)?;
    is(client.get(SSH).await?, 200)?;
    let (_, operator) = person(&stack, "operator", json!(["operator"])).await?;
    refused(operator.get(SSH).await?, 403, "FORBIDDEN")?;
    let (_, reads) = key(client, json!({ "scopes": ["secrets:read"] })).await?;
    is(
        by_key(client.base(), &reads, Method::GET, SSH, None).await?,
        200,
    )?;
    let body = Some(json!({ "a": "b" }));
    let written = by_key(client.base(), &reads, Method::POST, SSH, body).await?;
    refused(written, 403, "FORBIDDEN")?;
    let rotate = "/api/vault/rotate";
    let rotated = by_key(client.base(), &reads, Method::POST, rotate, None).await?;
    refused(rotated, 403, "FORBIDDEN")?;

    let audit = is(
        client.get("/api/audit?target_kind=secret&limit=50").await?,
        200,
    )?;
    let rows = audit["audit"].as_array().context("rows")?;
    let told = audit.to_string();
    ensure!(
        told.contains("secret/ssh") && !told.contains(value),
        "{audit}"
    );
    ensure!(rows.len() == 3, "{audit}");
    let logs = client.get("/api/system/logs?limit=500").await?;
    ensure!(!logs.body.to_string().contains(value));

    // In the database there is nothing to read.
    let store = stack.service.store();
    let name = SecretName {
        mount: "secret",
        key: "ssh",
    };
    let row = store.reads().secret(name, None).await?.context("a row")?;
    let sealed = row.sealed.context("sealed")?;
    ensure!(
        !sealed
            .windows(value.len())
            .any(|part| part == value.as_bytes())
    );
    stack.stop().await
}

fn mounts() -> BTreeSet<String> {
    ["secret".to_owned()].into()
}

async fn open(store: &Arc<dyn Store>, file: &Path) -> anyhow::Result<EmbeddedSecrets> {
    let source = MasterSource::File(file.to_owned());
    Ok(EmbeddedSecrets::open(Arc::clone(store), source, mounts()).await?)
}

fn data(value: &str) -> SecretData {
    SecretData::new(json!({ "value": value }).as_object().expect("an object"))
}

fn path(text: &str) -> anyhow::Result<SecretPath> {
    Ok(SecretPath::parse(text, &mounts())?)
}

async fn value(store: &dyn SecretStore, of: &str) -> anyhow::Result<String> {
    let found = store.read(&path(of)?, None).await?;
    let fields = found.data.fields();
    Ok(fields["value"].as_str().context("a value")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_other_key_is_refused_and_nothing_is_touched() -> anyhow::Result<()> {
    crate::store::on_all(|store| async move {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("secrets.key");
        let first = open(&store, &file).await?;
        first.write(&path("secret/a")?, &data("one"), None).await?;
        let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{mode:o}");
        // A second process shares it.
        ensure!(value(&open(&store, &file).await?, "secret/a").await? == "one");
        let before = (
            store.reads().secret_keys().await?,
            store.reads().secret_names("secret", "").await?,
        );

        let elsewhere = folder.path().join("other.key");
        let missing = open(&store, &elsewhere).await.err().context("opened")?;
        ensure!(
            missing.to_string().contains("nothing was changed"),
            "{missing:#}"
        );
        ensure!(
            !elsewhere.exists(),
            "no key is made up where there are secrets"
        );
        std::fs::write(&elsewhere, "00".repeat(32))?;
        std::fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o600))?;
        let other = open(&store, &elsewhere).await.err().context("opened")?;
        ensure!(
            other.to_string().contains("is not among those given"),
            "{other:#}"
        );
        std::fs::write(&elsewhere, "not a key")?;
        ensure!(open(&store, &elsewhere).await.is_err());
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644))?;
        let readable = open(&store, &file).await.err().context("opened")?;
        ensure!(readable.to_string().contains("chmod 600"), "{readable:#}");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600))?;

        let after = (
            store.reads().secret_keys().await?,
            store.reads().secret_names("secret", "").await?,
        );
        ensure!(before == after);
        ensure!(value(&open(&store, &file).await?, "secret/a").await? == "one");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_is_replaced_while_200_read_and_write() -> anyhow::Result<()> {
    crate::store::on_databases(|store| async move {
        let store: Arc<dyn Store> = store;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("secrets.key");
        let ours = Arc::new(open(&store, &file).await?);
        // Another process, which is told of nothing.
        let theirs = Arc::new(open(&store, &file).await?);
        for n in 0..100 {
            ours.write(&path(&format!("secret/s/{n}"))?, &data("0"), None)
                .await?;
        }
        let old = std::fs::read_to_string(&file)?;
        let over = Arc::new(AtomicBool::new(false));
        let mut people = Vec::new();
        for n in 0..100_u64 {
            for (writes, store) in [(true, &ours), (false, &theirs)] {
                let (store, over) = (Arc::clone(store), Arc::clone(&over));
                people.push(tokio::spawn(async move {
                    let path = path(&format!("secret/s/{n}"))?;
                    let mut last = 0;
                    while !over.load(Ordering::SeqCst) {
                        if writes {
                            last = store
                                .write(&path, &data(&format!("{}", last + 1)), None)
                                .await?;
                        } else {
                            let found = store.read(&path, None).await?;
                            // Never back in time.
                            ensure!(
                                found.version >= last,
                                "{path}: {} after {last}",
                                found.version
                            );
                            last = found.version;
                        }
                        tokio::task::yield_now().await;
                    }
                    anyhow::Ok((n, writes.then_some(last)))
                }));
            }
        }
        for _ in 0..3 {
            let done = ours.rotate().await?;
            ensure!(done.resealed >= 100, "{done:?}");
        }
        theirs.rotate().await?;
        over.store(true, Ordering::SeqCst);
        for ended in futures::future::join_all(people).await {
            let (n, wrote) = ended??;
            // Nothing that was written is lost.
            let found = theirs.read(&path(&format!("secret/s/{n}"))?, None).await?;
            ensure!(
                wrote.is_none_or(|last| last == 0 || last == found.version),
                "{n}: {wrote:?} {found:?}"
            );
        }
        // The file has one key, and the old one opens nothing.
        let new = std::fs::read_to_string(&file)?;
        ensure!(new.lines().count() == 1 && new != old);
        std::fs::write(&file, &old)?;
        let error = open(&store, &file).await.err().context("opened")?;
        ensure!(
            error.to_string().contains("is not among those given"),
            "{error:#}"
        );
        std::fs::write(&file, &new)?;
        open(&store, &file).await?;
        Ok(())
    })
    .await
}
