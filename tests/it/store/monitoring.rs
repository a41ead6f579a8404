//! What was measured, what was published, and alerts.

use super::{new_server, on_all};
use anyhow::ensure;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tpm_domain::{
    Alert, AlertRule, AlertState, Counted, ProjectId, ServerFigures, ServerId, Timestamp,
};
use tpm_store::{AlertQuery, StoreError};

fn figures(at: Timestamp, cpu: Option<f64>) -> ServerFigures {
    ServerFigures {
        at,
        running: cpu.map(|_| true),
        cpu,
        memory: cpu,
        counted: vec![Counted {
            at,
            net_in: 1 << 60,
            net_out: 7,
        }],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_replaced_and_old_ones_forgotten() -> anyhow::Result<()> {
    on_all(|store| async move {
        let tx = store.begin().await?;
        let mut servers = Vec::new();
        for n in 0..3_u32 {
            let name = ["one", "two", "three"][n as usize];
            servers.push(tx.insert_server(&new_server(name, 1000 + n)).await?);
        }
        let now = tx.now();
        let old = Timestamp(now.0 - 7_200_000);
        let all: BTreeMap<ServerId, ServerFigures> = [
            (servers[0], figures(now, Some(12.5))),
            (servers[1], figures(now, None)),
            (servers[2], figures(old, Some(1.0))),
        ]
        .into();
        let hour = Duration::from_secs(3600);
        tx.save_figures(&all, hour).await?;
        tx.commit().await?;
        let kept = store.reads().figures(None).await?;
        ensure!(kept.keys().eq(&servers[..2]), "{kept:?}");
        ensure!(kept[&servers[0]] == all[&servers[0]]);

        let tx = store.begin().await?;
        let later = figures(Timestamp(now.0 + 10_000), Some(99.9));
        tx.save_figures(&[(servers[0], later.clone())].into(), hour)
            .await?;
        tx.commit().await?;
        let one = store.reads().figures(Some(servers[0])).await?;
        ensure!(one == [(servers[0], later)].into(), "{one:?}");
        ensure!(store.reads().figures(None).await?.len() == 2);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_replaces_what_was() -> anyhow::Result<()> {
    on_all(|store| async move {
        ensure!(store.reads().publication().await?.is_none());
        for body in ["[]", "[1]"] {
            let tx = store.begin().await?;
            tx.publish(body).await?;
            let now = tx.now();
            tx.commit().await?;
            let told = store.reads().publication().await?;
            ensure!(told.is_some_and(|told| told.body == body && told.at == now));
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_thing_is_wrong_once() -> anyhow::Result<()> {
    on_all(|store| async move {
        let tx = store.begin().await?;
        let server = tx.insert_server(&new_server("one", 1000)).await?;
        let now = tx.now();
        let begun =
            |rule: AlertRule, key: &str| Alert::begun(rule, key.to_owned(), "one".to_owned(), now);
        let down = Alert {
            server: Some(server),
            ..begun(AlertRule::ServerDown, "1")
        };
        let id = tx.insert_alert(&down).await?;
        tx.insert_alert(&begun(AlertRule::ServerDown, "2")).await?;
        let node = tx.insert_alert(&begun(AlertRule::NodeOffline, "1")).await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        let twice = tx.insert_alert(&down).await;
        ensure!(matches!(twice, Err(StoreError::Constraint(_))), "{twice:?}");
        drop(tx);

        // Pending ones are no alerts for people yet, unless they ask.
        let query = AlertQuery::default();
        ensure!(store.reads().alerts(&query).await?.total == 0);
        ensure!(store.reads().open_alerts().await?.len() == 3);
        let fires = Alert {
            state: AlertState::Firing,
            fired_at: Some(now),
            detail: "VM 1000 is off".to_owned(),
            ..down.clone()
        };
        let tx = store.begin().await?;
        tx.save_alert(id, &fires).await?;
        tx.drop_alert(id).await?;
        tx.drop_alert(node).await?;
        tx.commit().await?;
        let told = store.reads().alerts(&query).await?;
        ensure!(told.total == 1 && told.items[0].alert == fires, "{told:?}");
        let of = |projects: &[i64]| AlertQuery {
            within: Some(
                projects
                    .iter()
                    .copied()
                    .map(ProjectId)
                    .collect::<BTreeSet<_>>(),
            ),
            state: Some(AlertState::Firing),
            rule: Some(AlertRule::ServerDown),
            server: Some(server),
            ..AlertQuery::default()
        };
        ensure!(store.reads().alerts(&of(&[1])).await?.total == 1);
        ensure!(store.reads().alerts(&of(&[7])).await?.total == 0);

        let over = Alert {
            state: AlertState::Resolved,
            resolved_at: Some(now),
            ..fires.clone()
        };
        let tx = store.begin().await?;
        tx.save_alert(id, &over).await?;
        // The same may go wrong again.
        tx.insert_alert(&down).await?;
        tx.commit().await?;
        ensure!(store.reads().open_alerts().await?.len() == 2);
        let tx = store.begin().await?;
        ensure!(tx.trim_alerts(now).await? == 0);
        ensure!(tx.trim_alerts(Timestamp(now.0 + 1)).await? == 1);
        tx.commit().await?;
        ensure!(store.reads().alerts(&query).await?.total == 0);
        Ok(())
    })
    .await
}
