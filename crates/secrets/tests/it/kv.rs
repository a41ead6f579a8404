//! Both versions of KV, with everything that the port has.

use crate::peer::{Peer, data, folder, path, token_of};
use reqwest::Method;
use serde_json::json;
use tpm_secrets::{Deletion, SecretError, SecretStore, VaultAuth};

#[tokio::test]
async fn version_2_does_everything() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let vault = peer.by_password()?;
    let at = path("secret/proxmox/pve-1");
    assert_eq!(
        vault.read(&at, None).await.unwrap_err(),
        SecretError::NotFound
    );
    assert_eq!(
        vault.versions(&at).await.unwrap_err(),
        SecretError::NotFound
    );
    assert_eq!(
        vault.delete(&at, Deletion::Latest).await,
        Err(SecretError::NotFound)
    );

    // Only when there is none; only upon what was read.
    let changed = |current| Err(SecretError::Changed { current });
    assert_eq!(vault.write(&at, &data("first"), Some(7)).await, changed(0));
    assert_eq!(vault.write(&at, &data("first"), Some(0)).await, Ok(1));
    assert_eq!(vault.write(&at, &data("other"), Some(0)).await, changed(1));
    assert_eq!(vault.write(&at, &data("second"), Some(1)).await, Ok(2));
    assert_eq!(vault.write(&at, &data("other"), Some(1)).await, changed(2));
    assert_eq!(
        vault.write(&at, &data("other"), Some(u64::MAX)).await,
        changed(2)
    );
    assert_eq!(vault.write(&at, &data("third"), None).await, Ok(3));

    let latest = vault.read(&at, None).await?;
    assert_eq!((latest.version, token_of(&latest)), (3, "third".to_owned()));
    assert_eq!(latest.data.fields(), data("third").fields());
    assert!(latest.created_at.is_some());
    assert_eq!(token_of(&vault.read(&at, Some(1)).await?), "first");
    for none in [0, 4] {
        let read = vault.read(&at, Some(none)).await;
        assert_eq!(read.unwrap_err(), SecretError::NotFound);
    }

    // What is deleted is there no more, and it is known that it was.
    vault.delete(&at, Deletion::Latest).await?;
    for version in [None, Some(3)] {
        let read = vault.read(&at, version).await;
        assert_eq!(read.unwrap_err(), SecretError::NotFound);
    }
    assert_eq!(token_of(&vault.read(&at, Some(2)).await?), "second");
    vault.delete(&at, Deletion::Version(1)).await?;
    for gone in [Deletion::Latest, Deletion::Version(1), Deletion::Version(9)] {
        assert_eq!(vault.delete(&at, gone).await, Err(SecretError::NotFound));
    }
    peer.post("secret/destroy/proxmox/pve-1", json!({ "versions": [2] }))
        .await?;
    let known = vault.versions(&at).await?;
    let told: Vec<_> = known
        .iter()
        .map(|one| (one.version, one.deleted_at.is_some()))
        .collect();
    assert_eq!(told, [(1, true), (2, true), (3, true)]);
    assert!(known.is_sorted_by_key(|one| one.created_at));
    assert_eq!(vault.write(&at, &data("fourth"), Some(3)).await, Ok(4));
    assert!(vault.versions(&at).await?[3].deleted_at.is_none());

    vault.delete(&at, Deletion::Everything).await?;
    assert_eq!(
        vault.versions(&at).await.unwrap_err(),
        SecretError::NotFound
    );
    assert_eq!(vault.write(&at, &data("anew"), Some(0)).await, Ok(1));
    assert!(matches!(
        vault.rotate().await,
        Err(SecretError::Unsupported(_))
    ));
    Ok(())
}

#[tokio::test]
async fn version_1_does_what_it_can() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let vault = peer.by_password()?;
    let at = path("kv1/servers/web-1");
    assert_eq!(
        vault.read(&at, None).await.unwrap_err(),
        SecretError::NotFound
    );
    assert_eq!(vault.write(&at, &data("first"), None).await, Ok(0));
    let read = vault.read(&at, None).await?;
    assert_eq!((read.version, read.created_at), (0, None));
    assert_eq!(read.data.fields(), data("first").fields());
    let unsupported = |error: SecretError| assert!(matches!(error, SecretError::Unsupported(_)));
    unsupported(vault.write(&at, &data("x"), Some(0)).await.unwrap_err());
    unsupported(vault.read(&at, Some(1)).await.unwrap_err());
    unsupported(vault.versions(&at).await.unwrap_err());
    unsupported(vault.delete(&at, Deletion::Version(1)).await.unwrap_err());
    assert_eq!(token_of(&vault.read(&at, None).await?), "first");
    vault.delete(&at, Deletion::Latest).await?;
    assert_eq!(
        vault.read(&at, None).await.unwrap_err(),
        SecretError::NotFound
    );
    for what in [Deletion::Latest, Deletion::Everything] {
        assert_eq!(vault.delete(&at, what).await, Err(SecretError::NotFound));
    }
    Ok(())
}

#[tokio::test]
async fn names_are_listed_sorted() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let vault = peer.by_password()?;
    for mount in ["secret", "kv1"] {
        for key in ["b", "a/x", "a/y/z", "a"] {
            let at = path(&format!("{mount}/{key}"));
            vault.write(&at, &data("some"), None).await?;
        }
        assert_eq!(vault.list(&folder(mount)).await?, ["a", "a/", "b"]);
        let below = folder(&format!("{mount}/a"));
        assert_eq!(vault.list(&below).await?, ["x", "y/"]);
        let none = vault.list(&folder(&format!("{mount}/none"))).await;
        assert_eq!(none.unwrap_err(), SecretError::NotFound);
    }
    Ok(())
}

#[tokio::test]
async fn mounts_are_looked_at() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    let vault = peer.by_password()?;
    let status = vault.status().await;
    assert!(status.is_usable(), "{status:?}");
    assert_eq!(
        (status.store, status.auth_method, status.initialized),
        ("vault", "userpass", Some(true))
    );
    assert!(status.version.is_some() && status.token_ttl_secs.is_some());
    let told: Vec<_> = status
        .mounts
        .iter()
        .map(|mount| (mount.name.as_str(), mount.version, mount.trouble.is_some()))
        .collect();
    assert_eq!(
        told,
        [
            ("kv1", Some(1), false),
            ("nowhere", None, true),
            ("secret", Some(2), false)
        ]
    );
    let nowhere = vault.read(&path("nowhere/a"), None).await;
    assert!(matches!(nowhere, Err(SecretError::Forbidden(_))));

    // Once it is mounted it is found, as what it is mounted.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    std::fs::write(&file, peer.bao.root_token())?;
    let root = peer.vault(VaultAuth::TokenFile(file))?;
    for version in [1, 2] {
        let kv = json!({ "type": "kv", "options": { "version": version.to_string() } });
        peer.post("sys/mounts/nowhere", kv).await?;
        let status = root.status().await;
        assert_eq!(status.mounts[1].version, Some(version));
        assert_eq!(status.token_ttl_secs, None);
        peer.bao
            .call(Method::DELETE, "sys/mounts/nowhere", None)
            .await?;
    }
    Ok(())
}
