//! The service's own keys, kept where secrets are kept.

use crate::fleet::is;
use anyhow::{Context, ensure};
use serde_json::json;
use std::collections::HashMap;
use tokio_util::sync::CancellationToken;
use tpm_bootstrap::Service;
use tpm_bootstrap::embed::settings;
use tpm_test_support::{Bao, Client, PASSWORD, Stack, bao};

fn load(environment: HashMap<String, String>) -> anyhow::Result<settings::Settings> {
    let empty = tempfile::Builder::new().suffix(".toml").tempfile()?;
    Ok(settings::load_from(Some(empty.path()), environment)?)
}

/// Whether the audit is whole for an api that is started so: it is bound with a key made from that of the marks.
async fn is_whole(environment: HashMap<String, String>) -> anyhow::Result<bool> {
    let api = Service::open(load(environment)?).await?.api().await?;
    let (client, stop) = (Client::new(api.url())?, CancellationToken::new());
    let serving = tokio::spawn(api.serve(stop.clone()));
    client.login(PASSWORD).await?;
    let found = is(client.get("/api/audit/verify").await?, 200)?;
    stop.cancel();
    serving.await??;
    Ok(found["valid"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_taken_from_the_embedded_store_and_no_file_is_made() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let folder = stack.dir.path();
    let (mark, state) = (folder.join("mark.key"), folder.join("state.key"));
    let text = |file| anyhow::Ok(std::fs::read_to_string(file)?.trim().to_owned());
    let other = "ab".repeat(32);
    let keys =
        json!({ "mark": text(&mark)?, "state": text(&state)?, "other": other, "short": "abcd" });
    is(
        stack
            .client
            .post("/api/vault/secrets/secret/keys", &keys)
            .await?,
        201,
    )?;
    std::fs::remove_file(&mark)?;
    std::fs::remove_file(&state)?;
    let with = |field: &str| {
        let mut environment = stack.environment.clone();
        for (key, field) in [("MARK", field), ("STATE", "state")] {
            let named = format!("vault:secret/keys#{field}");
            environment.insert(format!("TPM__SECURITY__{key}_KEY"), named);
        }
        environment
    };
    ensure!(is_whole(with("mark")).await?);
    ensure!(!mark.exists() && !state.exists(), "a key was made anew");
    // It is that key and no other that counts, and one that is none is no start.
    ensure!(!is_whole(with("other")).await?);
    for (field, wanted) in [
        ("short", "security.mark_key"),
        ("none", "security.mark_key"),
    ] {
        let refused = Service::open(load(with(field))?).await.err();
        let told = format!("{:#}", refused.context("opened")?);
        ensure!(told.contains(wanted), "{told}");
        ensure!(!told.contains("abcd"), "{told}");
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_and_the_keys_are_named_by_a_vault_alone() -> anyhow::Result<()> {
    let Ok(program) = bao()? else {
        return Ok(());
    };
    let mut bao = Bao::new(program).await?;
    bao.set_up().await?;
    bao.unseal().await?;
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("elsewhere.db");
    let mount = json!({ "type": "kv", "options": { "version": "2" } });
    bao.call(reqwest::Method::POST, "sys/mounts/secret", Some(mount))
        .await?;
    let data = json!({ "data": {
        "database": format!("sqlite://{}", database.display()),
        "mark": "cd".repeat(32),
        "state": "ef".repeat(32),
        "token": tpm_pve_simulator::DEFAULT_SECRET,
        "password": PASSWORD,
    } });
    bao.call(reqwest::Method::POST, "secret/data/manager", Some(data))
        .await?;
    let token = folder.path().join("token");
    std::fs::write(&token, bao.root_token())?;
    let named = |field: &str| format!("vault:secret/manager#{field}");
    let stack = Stack::builder()
        .set("SECRETS__STORE", "vault")
        .set("VAULT__URL", bao.url())
        .set("VAULT__AUTH", "token_file")
        .set("VAULT__TOKEN_FILE", token.display())
        .set("PROXMOX__TOKEN_SECRET", named("token"))
        .set("AUTH__ADMIN_PASSWORD", named("password"))
        .set("DATABASE__URL", named("database"))
        .set("SECURITY__MARK_KEY", named("mark"))
        .set("SECURITY__STATE_KEY", named("state"))
        .start()
        .await?;
    stack.client.create("web-1", json!({})).await?;
    crate::fleet::hand(&stack)?.drain().await?;
    ensure!(stack.client.server(1).await?["status"] == "running");
    ensure!(database.exists(), "another database");
    // Nothing of it lies on this machine's disk.
    for entry in std::fs::read_dir(stack.dir.path())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(!name.ends_with(".key") && name != "manager.db", "{name}");
    }
    stack.stop().await
}
