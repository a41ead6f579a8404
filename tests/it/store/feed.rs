//! What changed, in the order it was committed.

use super::{new_server, on_all, person};
use anyhow::{Context, ensure};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tpm_domain::{
    Event, EventKind, NotificationId, ServerId, TaskKind, TaskToken, Timestamp, UserId,
};
use tpm_store::{Changed, ClaimOrder, FeedPlace, NewTask, NotificationQuery, Store, StoreError};

async fn changed_after(store: &dyn Store, place: FeedPlace) -> anyhow::Result<Vec<Changed>> {
    let rows = store.reads().feed_after(place, 1000).await?;
    let rows = rows.context("rows that are gone")?;
    Ok(rows.into_iter().map(|row| row.changed).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_see_change_is_told_and_nothing_else() -> anyhow::Result<()> {
    on_all(|store| async move {
        let by = person(&*store).await?;
        let begin = store.reads().feed_end().await?;
        let tx = store.begin().await?;
        let server = tx.insert_server(&new_server("one", 1000)).await?;
        let token = TaskToken("task_feed".into());
        let task = NewTask::without_server(TaskKind::ImportServer, token, by);
        let task = tx.insert_task(&task).await?;
        ensure!(
            changed_after(&*store, begin).await?.is_empty(),
            "not committed"
        );
        tx.commit().await?;
        let told = changed_after(&*store, begin).await?;
        ensure!(
            told == [Changed::Server(server), Changed::Task(task)],
            "{told:?}"
        );

        // Taken back is never told.
        let at = store.reads().feed_end().await?;
        let tx = store.begin().await?;
        tx.insert_server(&new_server("two", 1001)).await?;
        drop(tx);
        // Nobody sees who is at work on a task.
        let queue = store.queue();
        let claim = queue
            .claim("w", Duration::from_secs(9), ClaimOrder::OldestFirst)
            .await?;
        let claim = claim.context("a task")?;
        let told = changed_after(&*store, at).await?;
        ensure!(told.is_empty(), "a claim is not seen: {told:?}");
        let at = store.reads().feed_end().await?;
        queue.renew("w", &[task], Duration::from_secs(9)).await?;
        ensure!(
            changed_after(&*store, at).await?.is_empty(),
            "a lease is not seen"
        );
        let tx = store.begin().await?;
        ensure!(tx.fence(&claim.lease).await?);
        tx.save_progress(task, &claim.task.note, 40).await?;
        tx.commit().await?;
        let told = changed_after(&*store, at).await?;
        ensure!(told == [Changed::Task(task)], "{told:?}");

        let at = store.reads().feed_end().await?;
        let tx = store.begin().await?;
        tx.add_event(&Event {
            kind: EventKind::Created,
            server: Some(server),
            server_name: "one".into(),
            task: None,
        })
        .await?;
        tx.commit().await?;
        let told = changed_after(&*store, at).await?;
        ensure!(matches!(told[..], [Changed::Notification(_)]), "{told:?}");
        Ok(())
    })
    .await
}

/// Whoever reads while eight write gets each change once, whatever order their transactions end in.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_between_transactions_that_overlap() -> anyhow::Result<()> {
    const WRITERS: u32 = 8;
    const EACH: u32 = 12;
    on_all(|store| async move {
        let begin = store.reads().feed_end().await?;
        let over = Arc::new(AtomicBool::new(false));
        let reading = tokio::spawn({
            let (store, over) = (Arc::clone(&store), Arc::clone(&over));
            async move {
                let (mut place, mut seen) = (begin, Vec::new());
                loop {
                    let last_look = over.load(Ordering::Acquire);
                    let rows = store.reads().feed_after(place, 5).await?;
                    let rows = rows.context("rows that are gone")?;
                    ensure!(rows.iter().all(|row| row.place > place), "not in order");
                    place = rows.last().map_or(place, |row| row.place);
                    let empty = rows.is_empty();
                    seen.extend(rows.into_iter().map(|row| row.changed));
                    if last_look && empty {
                        return Ok(seen);
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    let mut made = Vec::new();
                    for n in 0..EACH {
                        let vmid = 1000 + writer * EACH + n;
                        let tx = store.begin().await?;
                        made.push(
                            tx.insert_server(&new_server(&format!("s{vmid}"), vmid))
                                .await?,
                        );
                        // Some transactions stay open while others begin and end.
                        let turns = (vmid * 7) % 23;
                        for _ in 0..turns {
                            tx.server(ServerId(1)).await?;
                        }
                        tx.commit().await?;
                    }
                    Ok::<_, StoreError>(made)
                })
            })
            .collect();
        let mut made = BTreeSet::new();
        for writer in writers {
            made.extend(writer.await??);
        }
        over.store(true, Ordering::Release);
        let seen: Vec<Changed> = reading.await??;
        let once: BTreeSet<Changed> = seen.iter().copied().collect();
        ensure!(once.len() == seen.len(), "something came twice");
        let all: BTreeSet<Changed> = made.into_iter().map(Changed::Server).collect();
        ensure!(
            once == all,
            "lost: {:?}",
            all.difference(&once).collect::<Vec<_>>()
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_too_long_is_told() -> anyhow::Result<()> {
    on_all(|store| async move {
        let begin = store.reads().feed_end().await?;
        let tx = store.begin().await?;
        tx.insert_server(&new_server("one", 1000)).await?;
        let now = tx.now();
        tx.commit().await?;
        let trim = async |before| -> anyhow::Result<u64> {
            let tx = store.begin().await?;
            let gone = tx.trim_feed(before).await?;
            tx.commit().await?;
            Ok(gone)
        };
        ensure!(
            trim(now.plus(Duration::ZERO)).await? == 0,
            "young rows stay"
        );
        ensure!(changed_after(&*store, begin).await?.len() == 1);
        let later = Timestamp(now.0 + 60_000);
        ensure!(trim(later).await? == 1);
        let gone = store.reads().feed_after(begin, 10).await?;
        ensure!(gone.is_none(), "{gone:?}");
        let end = store.reads().feed_end().await?;
        ensure!(changed_after(&*store, end).await?.is_empty());
        // A place that this database has not come to yet is not one of its own.
        let future = FeedPlace {
            transaction: end.transaction + 1000,
            row: end.row.saturating_add(1000),
        };
        ensure!(store.reads().feed_after(future, 10).await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_has_notifications_separately() -> anyhow::Result<()> {
    on_all(|store| async move {
        let me = person(&*store).await?;
        let tx = store.begin().await?;
        let other = tx.insert_user("other", "hash", &[]).await?;
        for name in ["one", "two"] {
            tx.add_event(&Event {
                kind: EventKind::Created,
                server: Some(ServerId(1)),
                server_name: name.into(),
                task: None,
            })
            .await?;
        }
        tx.commit().await?;
        let ids = async |reader: UserId, unread| -> anyhow::Result<Vec<NotificationId>> {
            let query = NotificationQuery {
                unread,
                ..NotificationQuery::of(reader)
            };
            let page = store.reads().notifications(&query).await?;
            ensure!(page.total == page.items.len() as u64, "{page:?}");
            Ok(page.items.iter().map(|view| view.notification.id).collect())
        };
        let all = ids(me, None).await?;
        ensure!(all.len() == 2 && ids(other, Some(true)).await? == all);
        let (newer, older) = (all[0], all[1]);
        let tx = store.begin().await?;
        tx.mark_notifications(me, &[older], true).await?;
        tx.hide_notification(me, newer).await?;
        tx.commit().await?;
        ensure!(ids(me, None).await? == [older] && ids(me, Some(true)).await?.is_empty());
        ensure!(ids(me, Some(false)).await? == [older]);
        let reads = store.reads();
        ensure!(reads.notification_of(me, newer).await?.is_none());
        let read = reads.notification_of(me, older).await?.context("it")?;
        ensure!(read.read_at.is_some(), "{read:?}");
        drop(reads);
        ensure!(
            ids(other, Some(true)).await? == all,
            "others have them as before"
        );
        let tx = store.begin().await?;
        tx.mark_notifications(me, &[older, newer], false).await?;
        tx.commit().await?;
        ensure!(
            ids(me, Some(true)).await? == [older],
            "what is removed stays so"
        );
        Ok(())
    })
    .await
}
