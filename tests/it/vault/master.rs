//! The master key of the embedded store: missing, another one, and replaced while people read and write.

use anyhow::{Context, ensure};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tpm_secrets::{SecretData, SecretPath, SecretStore};
use tpm_secrets_embedded::{EmbeddedSecrets, MasterSource};
use tpm_store::Store;

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
