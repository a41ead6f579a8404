//! Logging in, and staying so.

use crate::peer::{PASSWORD, Peer, data, password, path, token_of};
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tpm_secrets::{SecretError, SecretStore, Vault, VaultAuth};

/// A secret that is there; read for so long that a token of two seconds has ended more than once.
async fn read_across_ends(vault: &Vault) -> anyhow::Result<()> {
    let at = path("secret/kept");
    vault.write(&at, &data("kept"), None).await?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        assert_eq!(token_of(&vault.read(&at, None).await?), "kept");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::test]
async fn each_way_of_logging_in_reads() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{}\n", peer.token().await?))?;
    let at = path("secret/shared");
    let ways = [
        password(PASSWORD),
        peer.role("some", json!({ "token_ttl": "1h" })).await?,
        VaultAuth::TokenFile(file),
    ];
    for (version, auth) in (0..).zip(ways) {
        let name = auth.name();
        let vault = peer.vault(auth)?;
        let written = vault.write(&at, &data(name), Some(version)).await;
        assert_eq!(written, Ok(version + 1), "{name}");
        assert_eq!(token_of(&vault.read(&at, None).await?), name);
        let status = vault.status().await;
        assert_eq!(status.auth_method, name);
        assert!(status.token_ttl_secs > Some(3000), "{status:?}");
        assert!(!format!("{vault:?}").contains("marked"));
    }
    Ok(())
}

#[tokio::test]
async fn wrong_credentials_are_refused_and_not_repeated() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    std::fs::write(&file, "marked-token")?;
    let wrong = [
        password("marked-wrong"),
        VaultAuth::AppRole {
            mount: "approle".into(),
            role_id: "marked-role".into(),
            secret_id: "marked-id".into(),
        },
        VaultAuth::TokenFile(file),
        VaultAuth::TokenFile(folder.path().join("none")),
    ];
    for auth in wrong {
        let name = auth.name();
        let vault = peer.vault(auth)?;
        let error = vault.read(&path("secret/any"), None).await.unwrap_err();
        assert!(
            matches!(error, SecretError::Forbidden(_)),
            "{name}: {error:?}"
        );
        let status = vault.status().await;
        assert!(status.reachable && !status.is_usable(), "{status:?}");
        assert!(!format!("{error} {error:?} {status:?}").contains("marked"));
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    // It can log in once only.
    let role = json!({ "token_ttl": "2s", "secret_id_num_uses": 1 });
    let vault = peer.vault(peer.role("short", role).await?)?;
    read_across_ends(&vault).await?;
    assert!(vault.status().await.token_ttl_secs <= Some(2));
    Ok(())
}

#[tokio::test]
async fn a_token_is_kept_good_while_nothing_is_asked() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let role = json!({ "token_ttl": "2s", "secret_id_num_uses": 1 });
    let vault = Arc::new(peer.vault(peer.role("kept", role).await?)?);
    let keeper = tokio::spawn({
        let vault = vault.clone();
        async move { vault.keep().await }
    });
    // Nothing is asked until the token would have ended more than once.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    vault
        .write(&path("secret/late"), &data("late"), None)
        .await?;
    keeper.abort();
    Ok(())
}

#[tokio::test]
async fn where_a_token_cannot_be_renewed_for_long_another_one_is_got() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let role = json!({ "token_ttl": "2s", "token_max_ttl": "3s" });
    let vault = peer.vault(peer.role("ending", role).await?)?;
    read_across_ends(&vault).await?;
    let role = json!({ "token_ttl": "2s", "token_type": "batch" });
    let vault = peer.vault(peer.role("batch", role).await?)?;
    read_across_ends(&vault).await
}

#[tokio::test]
async fn a_token_that_was_revoked_is_replaced_once() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let vault = peer.by_password()?;
    let at = path("secret/some");
    vault.write(&at, &data("some"), None).await?;
    assert_eq!(peer.revoke("userpass").await?, 1);
    assert_eq!(token_of(&vault.read(&at, None).await?), "some");
    assert_eq!(peer.revoke("userpass").await?, 1);
    assert_eq!(vault.write(&at, &data("other"), Some(1)).await, Ok(2));

    // What it may not do does not cost a login.
    let before = peer.accessors("userpass").await?;
    for _ in 0..3 {
        let closed = vault.read(&path("secret/closed"), None).await;
        assert!(matches!(closed, Err(SecretError::Forbidden(_))));
    }
    assert_eq!(peer.accessors("userpass").await?, before);

    peer.revoke("userpass").await?;
    peer.bao
        .call(Method::DELETE, "auth/userpass/users/user", None)
        .await?;
    let refused = vault.read(&at, None).await;
    assert!(matches!(refused, Err(SecretError::Forbidden(_))));
    Ok(())
}

#[tokio::test]
async fn a_file_with_another_token_is_read_anew() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    let token = peer.token().await?;
    std::fs::write(&file, &token)?;
    let vault = peer.vault(VaultAuth::TokenFile(file.clone()))?;
    let at = path("secret/some");
    vault.write(&at, &data("some"), None).await?;
    peer.post("auth/token/revoke", json!({ "token": token }))
        .await?;
    assert!(matches!(
        vault.read(&at, None).await,
        Err(SecretError::Forbidden(_))
    ));
    std::fs::write(&file, peer.token().await?)?;
    assert_eq!(token_of(&vault.read(&at, None).await?), "some");
    Ok(())
}

#[tokio::test]
async fn many_who_ask_at_once_log_in_once() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let vault = Arc::new(peer.by_password()?);
    let asked = (0..20).map(|number| {
        let vault = vault.clone();
        tokio::spawn(async move {
            let at = path(&format!("secret/many/{number}"));
            vault.write(&at, &data("many"), Some(0)).await
        })
    });
    for written in asked.collect::<Vec<_>>() {
        assert_eq!(written.await?, Ok(1));
    }
    assert_eq!(peer.accessors("userpass").await?.len(), 1);
    Ok(())
}
