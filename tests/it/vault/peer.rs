//! The same endpoints with a real OpenBao behind them; sealed, and away.

use super::{SSH, table};
use crate::fleet::{is, refused};
use anyhow::ensure;
use serde_json::json;
use std::path::Path;
use tpm_test_support::{Bao, Stack, bao};

/// A stack that keeps its secrets there.
async fn stack(bao: &Bao, folder: &tempfile::TempDir) -> anyhow::Result<Stack> {
    let token = folder.path().join("token");
    std::fs::write(&token, bao.root_token())?;
    Stack::builder()
        .set("SECRETS__STORE", "vault")
        .set("VAULT__URL", bao.url())
        .set("VAULT__AUTH", "token_file")
        .set("VAULT__TOKEN_FILE", token.display())
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_answers_the_same_table() -> anyhow::Result<()> {
    let Ok(program) = bao()? else {
        return Ok(());
    };
    let mut bao = Bao::dev(program).await?;
    let folder = tempfile::tempdir()?;
    let stack = stack(&bao, &folder).await?;
    let client = &stack.client;
    table(client).await?;
    let status = is(client.get("/api/vault/status").await?, 200)?;
    ensure!(
        status["status"] == "running" && status["store"] == "vault",
        "{status}"
    );
    ensure!(
        status["auth_method"] == "token_file" && status["sealed"] == false,
        "{status}"
    );
    ensure!(status["mounts"][0]["kv_version"] == 2, "{status}");
    let rotated = client.post("/api/vault/rotate", &json!({})).await?;
    refused(rotated, 409, "SECRETS_REFUSED")?;

    // Sealed is told, and nothing else is asked instead.
    is(client.post(SSH, &json!({ "a": "b" })).await?, 201)?;
    bao.seal().await?;
    let reply = client.get(SSH).await?;
    ensure!(reply.headers.contains_key("retry-after"), "{reply:?}");
    refused(reply, 503, "SECRETS_SEALED")?;
    refused(
        client.post(SSH, &json!({ "a": "b" })).await?,
        503,
        "SECRETS_SEALED",
    )?;
    let status = is(client.get("/api/vault/status").await?, 200)?;
    ensure!(
        status["sealed"] == true && status["status"] == "down",
        "{status}"
    );

    bao.kill()?;
    let reply = client.get(SSH).await?;
    ensure!(reply.headers.contains_key("retry-after"), "{reply:?}");
    refused(reply, 503, "SECRETS_UNAVAILABLE")?;
    let status = is(client.get("/api/vault/status").await?, 200)?;
    ensure!(
        status["reachable"] == false && status["reason"].is_string(),
        "{status}"
    );
    let system = is(client.get("/api/system/status").await?, 200)?;
    ensure!(system["services"]["vault"] == "down", "{system}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_refer_to_secrets_and_a_sealed_store_is_no_start() -> anyhow::Result<()> {
    let Ok(program) = bao()? else {
        return Ok(());
    };
    let mut bao = Bao::new(program).await?;
    bao.set_up().await?;
    bao.unseal().await?;
    let mount = json!({ "type": "kv", "options": { "version": "2" } });
    bao.call(reqwest::Method::POST, "sys/mounts/secret", Some(mount))
        .await?;
    let token = json!({ "data": { "token": tpm_pve_simulator::DEFAULT_SECRET } });
    bao.call(reqwest::Method::POST, "secret/data/proxmox", Some(token))
        .await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    std::fs::write(&file, bao.root_token())?;
    let builder = || {
        Stack::builder()
            .set("SECRETS__STORE", "vault")
            .set("VAULT__URL", bao.url())
            .set("VAULT__AUTH", "token_file")
            .set("VAULT__TOKEN_FILE", file.display())
            .set("PROXMOX__TOKEN_SECRET", "vault:secret/proxmox#token")
    };
    // It has seen the cluster, so it had the token.
    let stack = builder().start().await?;
    stack.client.create("web-1", json!({})).await?;
    crate::fleet::hand(&stack)?.drain().await?;
    ensure!(stack.client.server(1).await?["status"] == "running");
    stack.stop().await?;

    bao.seal().await?;
    let Err(error) = builder().start().await else {
        anyhow::bail!("started");
    };
    let said = format!("{error:#}");
    ensure!(said.contains("proxmox.token_secret"), "{said}");
    ensure!(!said.contains(tpm_pve_simulator::DEFAULT_SECRET), "{said}");
    Ok(())
}

/// What the worker's binary says when it is given something to do once; and whether it was done.
fn once(stack: &Stack, bao: &Bao, token: &Path, words: &[&str]) -> anyhow::Result<(bool, String)> {
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_stoppable-worker"))
        .args(words)
        .envs(&stack.environment)
        .env("TPM__VAULT__URL", bao.url())
        .env("TPM__VAULT__AUTH", "token_file")
        .env("TPM__VAULT__TOKEN_FILE", token)
        .env("TPM_STOP_AT", "nowhere")
        .env("TPM_STOPPED_FILE", stack.dir.path().join("never"))
        .current_dir(stack.dir.path())
        .output()?;
    let said = [done.stdout, done.stderr].concat();
    Ok((done.status.success(), String::from_utf8(said)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_moved_both_ways_and_nothing_is_overwritten() -> anyhow::Result<()> {
    let Ok(program) = bao()? else {
        return Ok(());
    };
    let bao = Bao::dev(program).await?;
    let stack = Stack::builder().start().await?;
    let token = stack.dir.path().join("token");
    std::fs::write(&token, bao.root_token())?;
    let write = async |name: &str, value: &str| {
        let path = format!("/api/vault/secrets/secret/{name}");
        let reply = stack.client.post(&path, &json!({ "v": value })).await?;
        is(reply, 201)
    };
    for (name, value) in [("a", "m4rk3d-1"), ("deep/b", "m4rk3d-2")] {
        write(name, value).await?;
    }
    let (well, said) = once(&stack, &bao, &token, &["secrets", "move", "--to", "vault"])?;
    ensure!(well && said.contains("2 copied"), "{said}");
    let there = bao
        .call(reqwest::Method::GET, "secret/data/deep/b", None)
        .await?;
    ensure!(there["data"]["data"]["v"] == "m4rk3d-2", "{there}");
    // Again: nothing is to be done. Changed on one side: told, and left alone.
    let (well, again) = once(&stack, &bao, &token, &["secrets", "move", "--to", "vault"])?;
    ensure!(well && again.contains("0 copied"), "{again}");
    write("a", "m4rk3d-3").await?;
    let other = json!({ "data": { "v": "theirs" } });
    bao.call(reqwest::Method::POST, "secret/data/c", Some(other))
        .await?;
    let (well, back) = once(
        &stack,
        &bao,
        &token,
        &["secrets", "move", "--to", "embedded"],
    )?;
    ensure!(!well && back.contains("secret/a: left alone"), "{back}");
    ensure!(back.contains("secret/c: copied"), "{back}");
    let read = is(stack.client.get("/api/vault/secrets/secret/c").await?, 200)?;
    ensure!(read["data"]["v"] == "theirs", "{read}");
    let kept = is(stack.client.get("/api/vault/secrets/secret/a").await?, 200)?;
    ensure!(kept["data"]["v"] == "m4rk3d-3", "{kept}");

    // Another master key, while the api goes on.
    let (well, rotated) = once(&stack, &bao, &token, &["secrets", "rotate"])?;
    ensure!(
        well && rotated.contains("versions sealed anew"),
        "{rotated}"
    );
    let kept = is(stack.client.get("/api/vault/secrets/secret/a").await?, 200)?;
    ensure!(kept["data"]["v"] == "m4rk3d-3", "{kept}");
    for said in [said, again, back, rotated] {
        ensure!(
            !said.contains("m4rk3d") && !said.contains("theirs"),
            "{said}"
        );
    }
    stack.stop().await
}
