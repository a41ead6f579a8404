//! Channels, and what is sent to them.

use super::on_all;
use anyhow::{Context, ensure};
use std::time::Duration;
use tpm_domain::{
    Channel, ChannelFormat, ChannelLanguage, ChannelSpec, DeliveryState, Event, EventKind, HookUrl,
    Outcome, ServerName, Severity,
};
use tpm_store::{DeliveryQuery, Store, StoreError};

const WHILE: Duration = Duration::from_secs(30);

fn spec(name: &str, types: &[Severity]) -> anyhow::Result<ChannelSpec> {
    Ok(ChannelSpec {
        name: ServerName::new(name).context("a name")?,
        url: HookUrl::new(format!("https://{name}.example.com/a")),
        types: types.iter().copied().collect(),
        format: ChannelFormat::Text,
        language: ChannelLanguage::En,
        enabled: true,
    })
}

async fn happens(store: &dyn Store, kinds: &[EventKind]) -> anyhow::Result<()> {
    let tx = store.begin().await?;
    for kind in kinds {
        let event = Event {
            kind: kind.clone(),
            server: None,
            server_name: "web-1".into(),
            task: None,
        };
        tx.add_event(&event).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn made(store: &dyn Store, spec: &ChannelSpec) -> anyhow::Result<Channel> {
    let tx = store.begin().await?;
    let id = tx.insert_channel(spec, "salt").await?;
    let channel = tx.channel(id).await?.context("the channel")?;
    tx.commit().await?;
    Ok(channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_told_what_it_wants_once() -> anyhow::Result<()> {
    on_all(|store| async move {
        let store = &*store;
        let good = made(store, &spec("good", &[Severity::Success])?).await?;
        let all = made(store, &spec("all", &Severity::ALL)?).await?;
        let mut off = made(store, &spec("off", &Severity::ALL)?).await?;
        off.spec.enabled = false;
        off.generation = 3;
        let tx = store.begin().await?;
        off.rotated_at = Some(tx.now());
        tx.save_channel(&off).await?;
        tx.commit().await?;
        let stored = store.reads().channel(off.id).await?.context("off")?;
        ensure!(stored.spec == off.spec && stored.generation == 3);
        ensure!(stored.rotated_at == off.rotated_at && stored.salt == "salt");
        let names = store.reads().channels().await?;
        let names: Vec<&str> = names.iter().map(|one| one.spec.name.as_str()).collect();
        ensure!(names == ["all", "good", "off"], "{names:?}");
        ensure!(!store.reads().is_delivery_due().await?);

        // Of the three, the first is told to nobody.
        let kinds = [
            EventKind::CreateRequested,
            EventKind::Created,
            EventKind::GuestMissing,
        ];
        happens(store, &kinds).await?;
        let waiting = |channel: &Channel| DeliveryQuery {
            channel: channel.id,
            state: None,
            limit: None,
            offset: 0,
        };
        for (channel, expected) in [(&good, 1), (&all, 2), (&off, 0)] {
            let page = store.reads().deliveries(&waiting(channel)).await?;
            ensure!(page.total == expected, "{channel:?} {page:?}");
        }
        let page = store.reads().deliveries(&waiting(&all)).await?.items;
        let told = page[0].notification.as_ref().context("told")?;
        ensure!(told.event.kind == EventKind::GuestMissing, "{told:?}");
        ensure!(store.reads().is_delivery_due().await?);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_taken_by_one_and_its_end_written_by_whoever_has_it() -> anyhow::Result<()> {
    on_all(|store| async move {
        let store = &*store;
        let all = made(store, &spec("all", &Severity::ALL)?).await?;
        let other = made(store, &spec("other", &Severity::ALL)?).await?;
        happens(store, &vec![EventKind::Created; 5]).await?;

        let tx = store.begin().await?;
        let taken = tx.take_deliveries(100, 2, WHILE).await?;
        ensure!(taken.len() == 4, "two of each channel: {}", taken.len());
        let first = taken[0].clone();
        ensure!(first.claim == 1 && first.stamp.is_some() && first.body.is_none());
        tx.keep_body(first.id, "one").await?;
        tx.keep_body(first.id, "two").await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        let rest = tx.take_deliveries(100, 100, WHILE).await?;
        ensure!(
            rest.len() == 6,
            "nobody else has the others: {}",
            rest.len()
        );
        let later = tx.now().plus(WHILE);
        tx.commit().await?;

        let outcome = |state, due_at| Outcome {
            state,
            status: Some(503),
            error: Some("HTTP 503".into()),
            due_at,
        };
        let tx = store.begin().await?;
        let again = outcome(DeliveryState::Pending, tx.now());
        ensure!(!tx.end_attempt(first.id, 7, &again).await?, "not its claim");
        ensure!(tx.end_attempt(first.id, 1, &again).await?);
        let dead = outcome(DeliveryState::Dead, later);
        ensure!(tx.end_attempt(taken[1].id, 1, &dead).await?);
        ensure!(
            !tx.end_attempt(taken[1].id, 1, &dead).await?,
            "it has ended"
        );
        tx.commit().await?;

        let tx = store.begin().await?;
        let taken = tx.take_deliveries(100, 100, WHILE).await?;
        ensure!(taken.len() == 1 && taken[0].id == first.id, "{taken:?}");
        ensure!(taken[0].claim == 2 && taken[0].attempts == 1);
        ensure!(taken[0].body.as_deref() == Some("one"));
        ensure!(taken[0].status == Some(503) && taken[0].error.is_some());
        // Trimmed is what ended, and nothing else.
        ensure!(tx.trim_deliveries(later).await? == 1);
        tx.commit().await?;
        let backlogs = store.reads().backlogs().await?;
        ensure!(backlogs[&other.id].pending + backlogs[&all.id].pending == 9);

        let tx = store.begin().await?;
        ensure!(tx.delete_channel(all.id).await?);
        ensure!(!tx.delete_channel(all.id).await?);
        tx.commit().await?;
        let left = store.reads().backlogs().await?;
        ensure!(left.len() == 1 && left.contains_key(&other.id), "{left:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_of_which_nothing_is_known_keeps_its_stamp() -> anyhow::Result<()> {
    on_all(|store| async move {
        let store = &*store;
        made(store, &spec("all", &Severity::ALL)?).await?;
        happens(store, &[EventKind::Created]).await?;
        let at_once = Duration::ZERO;
        let tx = store.begin().await?;
        let first = tx.take_deliveries(1, 1, WHILE / 30).await?;
        tx.commit().await?;
        let first = first.first().context("taken")?.clone();
        // Whoever took it is gone.
        let again = loop {
            let tx = store.begin().await?;
            let taken = tx.take_deliveries(1, 1, WHILE).await?;
            tx.commit().await?;
            if let Some(again) = taken.into_iter().next() {
                break again;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        ensure!(again.claim == 2 && again.stamp == first.stamp, "{again:?}");
        let tx = store.begin().await?;
        let outcome = Outcome {
            state: DeliveryState::Pending,
            status: None,
            error: Some("none".into()),
            due_at: tx.now(),
        };
        ensure!(tx.end_attempt(again.id, 2, &outcome).await?);
        tx.commit().await?;
        let tx = store.begin().await?;
        let third = tx.take_deliveries(1, 1, at_once).await?;
        let third = third.first().context("taken")?;
        ensure!(third.stamp == Some(tx.now()), "{third:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_once_and_a_test_goes_to_a_channel_that_is_off() -> anyhow::Result<()> {
    on_all(|store| async move {
        let store = &*store;
        let mut off = spec("off", &Severity::ALL)?;
        off.enabled = false;
        let off = made(store, &off).await?;
        let tx = store.begin().await?;
        let twice = tx.insert_channel(&off.spec, "other").await;
        ensure!(matches!(twice, Err(StoreError::Constraint(_))), "{twice:?}");
        drop(tx);
        let tx = store.begin().await?;
        let test = tx.add_test(off.id).await?;
        tx.commit().await?;
        ensure!(store.reads().is_delivery_due().await?);
        let tx = store.begin().await?;
        let taken = tx.take_deliveries(1, 1, WHILE).await?;
        ensure!(taken.len() == 1 && taken[0].id == test);
        ensure!(taken[0].notification.is_none());
        Ok(())
    })
    .await
}
