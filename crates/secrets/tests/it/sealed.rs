//! A store that is not set up, sealed, open, or gone.

use crate::bao::Bao;
use crate::peer::{data, path, program, token_of, vault};
use reqwest::Method;
use serde_json::json;
use tpm_secrets::{SecretError, SecretStore, VaultAuth};

#[tokio::test]
async fn sealed_is_told_and_unsealed_it_works_again() -> anyhow::Result<()> {
    let Some(program) = program()? else {
        return Ok(());
    };
    let mut bao = Bao::new(program).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    std::fs::write(&file, "none-yet")?;
    let vault = vault(bao.url(), VaultAuth::TokenFile(file.clone()))?;
    let at = path("secret/some");

    let status = vault.status().await;
    assert!(status.reachable && !status.is_usable(), "{status:?}");
    assert_eq!(status.initialized, Some(false));
    assert_eq!(
        vault.read(&at, None).await.unwrap_err(),
        SecretError::Sealed
    );

    bao.set_up().await?;
    std::fs::write(&file, bao.root_token())?;
    let status = vault.status().await;
    assert_eq!(
        (status.initialized, status.sealed, status.is_usable()),
        (Some(true), Some(true), false)
    );
    assert_eq!(
        vault.read(&at, None).await.unwrap_err(),
        SecretError::Sealed
    );

    bao.unseal().await?;
    let kv = json!({ "type": "kv", "options": { "version": "2" } });
    bao.call(Method::POST, "sys/mounts/secret", Some(kv))
        .await?;
    // The mount is made ready after it is there.
    let mut written = vault.write(&at, &data("some"), Some(0)).await;
    while written.as_ref().is_err_and(SecretError::is_passing) {
        written = vault.write(&at, &data("some"), Some(0)).await;
    }
    assert_eq!(written, Ok(1));
    assert!(vault.status().await.is_usable());

    bao.seal().await?;
    let sealed = vault.read(&at, None).await.unwrap_err();
    assert_eq!(sealed, SecretError::Sealed);
    assert!(sealed.is_passing());
    assert_eq!(
        vault.write(&at, &data("x"), None).await,
        Err(SecretError::Sealed)
    );
    assert_eq!(vault.status().await.sealed, Some(true));
    bao.unseal().await?;
    assert_eq!(token_of(&vault.read(&at, None).await?), "some");

    bao.kill()?;
    let away = vault.read(&at, None).await.unwrap_err();
    assert!(matches!(away, SecretError::Away(_)), "{away:?}");
    let away = vault.write(&at, &data("x"), None).await.unwrap_err();
    assert!(matches!(away, SecretError::Away(_)), "{away:?}");
    let status = vault.status().await;
    assert!(!status.reachable && !status.is_usable(), "{status:?}");
    assert_eq!((status.initialized, status.sealed), (None, None));
    Ok(())
}
