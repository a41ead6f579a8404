//! Paths that want to be others reach no store.

use crate::access::key;
use anyhow::{Context, ensure};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tpm_secrets::{SecretData, SecretError, SecretPath, SecretStore};
use tpm_test_support::Stack;

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
struct Counting(AtomicU64);

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
