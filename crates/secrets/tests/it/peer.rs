//! An OpenBao with two mounts, a policy, and ways to log in.

use crate::bao::{Bao, bao};
use anyhow::Context;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tpm_secrets::{Folder, Secret, SecretData, SecretPath, Vault, VaultAuth, VaultSettings};

/// A password that must not be seen anywhere.
pub(crate) const PASSWORD: &str = "marked-password";
const POLICY: &str = r#"
    path "secret/*" { capabilities = ["create", "read", "update", "delete", "list"] }
    path "kv1/*" { capabilities = ["create", "read", "update", "delete", "list"] }
    path "secret/data/closed" { capabilities = ["deny"] }
"#;

/// The program, or a word to whoever watches.
pub(crate) fn program() -> anyhow::Result<Option<PathBuf>> {
    use std::io::Write;
    Ok(match bao()? {
        Ok(program) => Some(program),
        Err(missing) => {
            let _ = writeln!(std::io::stderr(), "skipped: {missing}");
            None
        }
    })
}

pub(crate) struct Peer {
    pub(crate) bao: Bao,
}

impl Peer {
    /// `secret` is KV version 2, `kv1` version 1, `user` may log in by password.
    pub(crate) async fn start() -> anyhow::Result<Option<Self>> {
        let Some(program) = program()? else {
            return Ok(None);
        };
        let peer = Self {
            bao: Bao::dev(program).await?,
        };
        let kv1 = json!({ "type": "kv", "options": { "version": "1" } });
        peer.post("sys/mounts/kv1", kv1).await?;
        peer.post("sys/policies/acl/tpm", json!({ "policy": POLICY }))
            .await?;
        for method in ["approle", "userpass"] {
            peer.post(&format!("sys/auth/{method}"), json!({ "type": method }))
                .await?;
        }
        let user = json!({ "password": PASSWORD, "token_policies": "tpm" });
        peer.post("auth/userpass/users/user", user).await?;
        Ok(Some(peer))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.bao.call(Method::POST, path, Some(body)).await
    }

    /// A role with the policy, and these properties.
    pub(crate) async fn role(&self, name: &str, mut role: Value) -> anyhow::Result<VaultAuth> {
        role["token_policies"] = json!("tpm");
        let path = format!("auth/approle/role/{name}");
        self.post(&path, role).await?;
        let id = self
            .bao
            .call(Method::GET, &format!("{path}/role-id"), None)
            .await?;
        let secret = self.post(&format!("{path}/secret-id"), json!({})).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
        Ok(VaultAuth::AppRole {
            mount: "approle".into(),
            role_id: text(&id["data"]["role_id"])?,
            secret_id: text(&secret["data"]["secret_id"])?.into(),
        })
    }

    /// A token with the policy, good for an hour.
    pub(crate) async fn token(&self) -> anyhow::Result<String> {
        let made = json!({ "policies": ["tpm"], "ttl": "1h" });
        let made = self.post("auth/token/create", made).await?;
        let token = made["auth"]["client_token"].as_str();
        Ok(token.context("a token")?.to_owned())
    }

    /// The accessors of tokens that were got by logging in that way.
    pub(crate) async fn accessors(&self, method: &str) -> anyhow::Result<Vec<String>> {
        let list = Method::from_bytes(b"LIST")?;
        let all = self.bao.call(list, "auth/token/accessors", None).await?;
        let mut found = Vec::new();
        for accessor in all["data"]["keys"].as_array().into_iter().flatten() {
            let asked = json!({ "accessor": accessor });
            // It may have ended meanwhile.
            if let Ok(token) = self.post("auth/token/lookup-accessor", asked).await
                && token["data"]["path"]
                    .as_str()
                    .is_some_and(|path| path.contains(method))
            {
                found.push(accessor.as_str().context("an accessor")?.to_owned());
            }
        }
        Ok(found)
    }

    /// Ends every token that was got by logging in that way; how many.
    pub(crate) async fn revoke(&self, method: &str) -> anyhow::Result<usize> {
        let all = self.accessors(method).await?;
        for accessor in &all {
            let asked = json!({ "accessor": accessor });
            self.post("auth/token/revoke-accessor", asked).await?;
        }
        Ok(all.len())
    }

    pub(crate) fn vault(&self, auth: VaultAuth) -> anyhow::Result<Vault> {
        vault(self.bao.url(), auth)
    }

    pub(crate) fn by_password(&self) -> anyhow::Result<Vault> {
        self.vault(password(PASSWORD))
    }
}

pub(crate) fn password(password: &str) -> VaultAuth {
    VaultAuth::Userpass {
        mount: "userpass".into(),
        username: "user".into(),
        password: password.into(),
    }
}

pub(crate) fn vault(url: &str, auth: VaultAuth) -> anyhow::Result<Vault> {
    Ok(Vault::new(VaultSettings {
        url: url.parse()?,
        namespace: None,
        ca: None,
        mounts: mounts(),
        timeout: Duration::from_secs(30),
        auth,
    })?)
}

fn mounts() -> BTreeSet<String> {
    ["secret", "kv1", "nowhere"].map(str::to_owned).into()
}

pub(crate) fn path(text: &str) -> SecretPath {
    SecretPath::parse(text, &mounts()).expect("a path")
}

pub(crate) fn folder(text: &str) -> Folder {
    Folder::parse(text, &mounts()).expect("a folder")
}

pub(crate) fn data(token: &str) -> SecretData {
    let fields = json!({ "token": token, "port": 8006, "nested": { "a": [1, null, true] } });
    let empty = Map::new();
    SecretData::new(fields.as_object().unwrap_or(&empty))
}

pub(crate) fn token_of(secret: &Secret) -> String {
    let token = secret.data.field("token").expect("a token");
    token.expose_secret().to_owned()
}
