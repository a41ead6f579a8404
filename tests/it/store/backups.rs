//! Backups.

use super::{new_server, on_all};
use anyhow::{Context, ensure};
use tpm_domain::{
    Archive, Backup, BackupId, BackupMode, BackupOrigin, BackupState, BackupToken, Compression,
    Failure, FailureCode, NodeName, ProjectId, ServerId, Timestamp, Verified, Vmid,
};
use tpm_store::{BackupQuery, NewBackup, StoreError};

fn new(token: &str, server: ServerId) -> NewBackup {
    NewBackup {
        token: BackupToken(token.into()),
        server,
        server_name: "one".into(),
        vmid: Vmid(1000),
        storage: "local".into(),
        origin: BackupOrigin::Asked,
        schedule: None,
        mode: Some(BackupMode::Stop),
        compression: Some(Compression::Plain),
        notes: "why not".into(),
        protected: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_kept_found_and_deleted() -> anyhow::Result<()> {
    on_all(|store| async move {
        let tx = store.begin().await?;
        let one = tx.insert_server(&new_server("one", 1000)).await?;
        let two = tx.insert_server(&new_server("two", 1001)).await?;
        let now = tx.now();
        let first = tx.insert_backup(&new("backup_1", one)).await?;
        let second = tx.insert_backup(&new("backup_2", two)).await?;
        tx.commit().await?;
        let reads = store.reads();
        let mut backup = reads.backup(first).await?.context("it is not there")?;
        ensure!(
            backup.state == BackupState::Pending && backup.created_at == now,
            "{backup:?}"
        );
        ensure!(
            backup.mode == Some(BackupMode::Stop) && backup.protected,
            "{backup:?}"
        );
        let archive = Archive {
            node: NodeName("pve1".into()),
            storage: "elsewhere".into(),
            volume: "elsewhere:backup/x".into(),
            vmid: Some(Vmid(1000)),
            size_bytes: Some(1 << 40),
            created_at: None,
            notes: None,
            protected: false,
            verified: None,
            warnings: vec!["careful".into()],
        };
        backup.take(&archive, Timestamp(now.0 + 1));
        backup.verified = Some(Verified {
            at: now,
            how: "pbs".into(),
        });
        let tx = store.begin().await?;
        tx.save_backup(&backup).await?;
        tx.commit().await?;
        let named = reads.backup_named(&backup.token).await?;
        ensure!(named.as_ref() == Some(&backup), "{named:?}");
        let failed = Backup {
            state: BackupState::Failed,
            failure: Some(Failure::new(FailureCode::BackupFailed, "no room")),
            ..reads.backup(second).await?.context("it is not there")?
        };
        let tx = store.begin().await?;
        tx.save_backup(&failed).await?;
        tx.commit().await?;
        // The newest first; the same moment by number.
        let all = reads.backups(&BackupQuery::default()).await?;
        ensure!(
            all.total == 2 && all.items == [failed.clone(), backup.clone()],
            "{all:?}"
        );
        for (query, wanted) in [
            (
                BackupQuery {
                    server: Some(one),
                    ..BackupQuery::default()
                },
                vec![first],
            ),
            (
                BackupQuery {
                    state: Some(BackupState::Failed),
                    ..BackupQuery::default()
                },
                vec![second],
            ),
            (
                BackupQuery {
                    storage: Some("elsewhere".into()),
                    ..BackupQuery::default()
                },
                vec![first],
            ),
            (
                BackupQuery {
                    within: Some([ProjectId(1)].into()),
                    ..BackupQuery::default()
                },
                vec![second, first],
            ),
            (
                BackupQuery {
                    within: Some([ProjectId(9)].into()),
                    ..BackupQuery::default()
                },
                vec![],
            ),
            (
                BackupQuery {
                    limit: Some(1),
                    offset: 1,
                    ..BackupQuery::default()
                },
                vec![first],
            ),
        ] {
            let found = reads.backups(&query).await?.items;
            let found: Vec<BackupId> = found.iter().map(|backup| backup.id).collect();
            ensure!(found == wanted, "{query:?}: {found:?}");
        }
        let tx = store.begin().await?;
        tx.delete_backup(second).await?;
        tx.commit().await?;
        ensure!(reads.backup(second).await?.is_none());
        Ok(())
    })
    .await
}

/// What the schema itself refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_a_name_of_its_own_and_a_place_when_it_is_whole() -> anyhow::Result<()> {
    on_all(|store| async move {
        let tx = store.begin().await?;
        let one = tx.insert_server(&new_server("one", 1000)).await?;
        let id = tx.insert_backup(&new("backup_1", one)).await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        let twice = tx.insert_backup(&new("backup_1", one)).await;
        ensure!(matches!(twice, Err(StoreError::Constraint(_))), "{twice:?}");
        drop(tx);
        let nowhere = Backup {
            state: BackupState::Completed,
            ..store.reads().backup(id).await?.context("it is not there")?
        };
        let tx = store.begin().await?;
        let nowhere = tx.save_backup(&nowhere).await;
        ensure!(
            matches!(nowhere, Err(StoreError::Constraint(_))),
            "{nowhere:?}"
        );
        drop(tx);
        let tx = store.begin().await?;
        let nobodys = tx.insert_backup(&new("backup_2", ServerId(999))).await;
        ensure!(
            matches!(nobodys, Err(StoreError::Constraint(_))),
            "{nobodys:?}"
        );
        drop(tx);
        // A deleted server is found by the number its guest had.
        let tx = store.begin().await?;
        tx.delete_server(one).await?;
        tx.commit().await?;
        let under = store.reads().servers_under(Vmid(1000)).await?;
        ensure!(under.len() == 1 && under[0].id == one, "{under:?}");
        ensure!(store.reads().servers_under(Vmid(1001)).await?.is_empty());
        Ok(())
    })
    .await
}
