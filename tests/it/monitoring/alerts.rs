//! Alerts: raised once, over once, muted by our own work; and those that Alertmanager sends.

use crate::access::{by_key, key};
use crate::fleet::{done, hand, is, refused, running};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tpm_domain::{AlertState, Timestamp};
use tpm_store::Store;
use tpm_test_support::Stack;

/// All that is open began so much earlier, and has been well for so much longer.
async fn later(stack: &Stack, by_secs: i64) -> anyhow::Result<()> {
    let store = stack.service.store();
    let tx = store.begin().await?;
    for row in tx.open_alerts().await? {
        let mut alert = row.alert;
        alert.since = Timestamp(alert.since.0 - by_secs * 1000);
        alert.calm_since = alert.calm_since.map(|at| Timestamp(at.0 - by_secs * 1000));
        tx.save_alert(row.id, &alert).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The cluster is looked at, then judged; how many were raised and are over.
async fn round(stack: &Stack) -> anyhow::Result<(usize, usize)> {
    let worker = hand(stack)?;
    worker.look().await?;
    let done = worker.judge_alerts().await?;
    Ok((done.raised, done.resolved))
}

/// A server that somebody switched off and people were told of; its number.
async fn told_down(stack: &Stack, name: &str) -> anyhow::Result<i64> {
    let (id, vmid) = running(stack, name).await?;
    done(stack.simulator.behind_the_back().power_off(vmid))?;
    round(stack).await?;
    later(stack, 60).await?;
    ensure!(round(stack).await? == (1, 0));
    Ok(id)
}

async fn alerts(stack: &Stack, query: &str) -> anyhow::Result<Vec<Value>> {
    let page = is(
        stack
            .client
            .get(&format!("/api/monitoring/alerts{query}"))
            .await?,
        200,
    )?;
    Ok(page["alerts"].as_array().cloned().unwrap_or_default())
}

async fn told_of(stack: &Stack, event: &str) -> anyhow::Result<Vec<String>> {
    let page = is(stack.client.get("/api/notifications?limit=500").await?, 200)?;
    let all = page["notifications"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let of = all.iter().filter(|one| one["event"] == event);
    Ok(of
        .filter_map(|one| one["message"].as_str().map(str::to_owned))
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_told_once_and_its_return_once() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, vmid) = running(&stack, "web-1").await?;
    ensure!(round(&stack).await? == (0, 0));
    ensure!(alerts(&stack, "?status=pending").await?.is_empty());

    done(stack.simulator.behind_the_back().power_off(vmid))?;
    ensure!(round(&stack).await? == (0, 0), "not for long enough");
    let pending = alerts(&stack, "?status=pending").await?;
    ensure!(
        pending.len() == 1 && pending[0]["rule"] == "server_down",
        "{pending:?}"
    );
    // Followed by the sweep, it is still not what was asked for.
    hand(&stack)?.sweep().await?;
    ensure!(stack.client.server(id).await?["status"] == "stopped");
    later(&stack, 60).await?;
    ensure!(round(&stack).await? == (1, 0));
    ensure!(round(&stack).await? == (0, 0), "told once");
    let firing = alerts(&stack, &format!("?status=firing&server_id={id}")).await?;
    ensure!(
        firing.len() == 1 && firing[0]["severity"] == "error",
        "{firing:?}"
    );
    ensure!(
        firing[0]["detail"] == format!("VM {vmid} is off"),
        "{firing:?}"
    );
    ensure!(
        told_of(&stack, "alert_raised").await?
            == [format!(
                "서버 web-1이(가) 실행되고 있지 않습니다: VM {vmid} is off"
            )]
    );

    done(stack.simulator.behind_the_back().power_on(vmid))?;
    ensure!(round(&stack).await? == (0, 0), "not well for long enough");
    later(&stack, 30).await?;
    ensure!(round(&stack).await? == (0, 1));
    ensure!(round(&stack).await? == (0, 0));
    ensure!(told_of(&stack, "alert_resolved").await?.len() == 1);
    let all = alerts(&stack, "").await?;
    ensure!(all.len() == 1 && all[0]["status"] == "resolved", "{all:?}");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_do_ourselves_is_no_alert() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let (id, vmid) = running(&stack, "web-1").await?;
    // Being worked on: what is seen means nothing.
    done(stack.simulator.behind_the_back().power_off(vmid))?;
    ensure!(round(&stack).await? == (0, 0));
    let off = json!({ "status": "stopped" });
    is(
        client
            .put(&format!("/api/servers/{id}/status"), &off)
            .await?,
        200,
    )?;
    later(&stack, 600).await?;
    ensure!(round(&stack).await? == (0, 0), "muted");
    hand(&stack)?.drain().await?;
    // It is off because it was asked to be.
    ensure!(round(&stack).await? == (0, 0));
    later(&stack, 600).await?;
    ensure!(round(&stack).await? == (0, 0));
    ensure!(alerts(&stack, "?status=pending").await?.is_empty());

    // One that was told ends when somebody asks for it to be off.
    let id = told_down(&stack, "web-2").await?;
    is(
        client
            .put(&format!("/api/servers/{id}/status"), &off)
            .await?,
        200,
    )?;
    hand(&stack)?.drain().await?;
    round(&stack).await?;
    later(&stack, 60).await?;
    ensure!(round(&stack).await? == (0, 1));
    // A server that is deleted takes its alerts along.
    let id = told_down(&stack, "web-3").await?;
    is(client.delete(&format!("/api/servers/{id}")).await?, 200)?;
    hand(&stack)?.drain().await?;
    ensure!(round(&stack).await? == (0, 1));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_away_is_told() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    stack.simulator.behind_the_back().set_offline("pve2", true);
    round(&stack).await?;
    later(&stack, 60).await?;
    ensure!(round(&stack).await? == (1, 0));
    let firing = alerts(&stack, "?rule=node_offline").await?;
    ensure!(
        firing[0]["subject"] == "pve2" && firing[0]["server_id"].is_null(),
        "{firing:?}"
    );
    stack.simulator.behind_the_back().set_offline("pve2", false);
    round(&stack).await?;
    later(&stack, 30).await?;
    ensure!(round(&stack).await? == (0, 1));
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanager_is_taken_in_once() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let base = stack.client.base().to_owned();
    let (id, _) = running(&stack, "web-1").await?;
    let (_, text) = key(&stack.client, json!({ "scopes": ["monitoring:write"] })).await?;
    let path = "/api/monitoring/alerts";
    let send = async |body: Value| by_key(&base, &text, Method::POST, path, Some(body)).await;
    let message = |status: &str| {
        json!({
            "version": "4", "groupKey": "{}", "status": status, "receiver": "manager", "truncatedAlerts": 0,
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
            "alerts": [{
                "status": status, "fingerprint": "c0ffee", "startsAt": "2026-01-15T10:30:00Z",
                "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus",
                "labels": { "alertname": "HighLoad", "severity": "critical", "server_id": id.to_string() },
                "annotations": { "summary": "load is above 20" },
            }],
        })
    };
    for (status, raised, resolved) in [
        ("resolved", 0, 0),
        ("firing", 1, 0),
        ("firing", 0, 0),
        ("resolved", 0, 1),
        ("resolved", 0, 0),
        ("firing", 1, 0),
    ] {
        let done = is(send(message(status)).await?, 200)?;
        ensure!(
            done["raised"] == raised && done["resolved"] == resolved,
            "{status}: {done:#}"
        );
    }
    let told = told_of(&stack, "alert_raised").await?;
    ensure!(
        told == vec!["경보 HighLoad: load is above 20"; 2],
        "{told:?}"
    );
    let all = alerts(&stack, "?rule=external&status=firing").await?;
    ensure!(
        all.len() == 1 && all[0]["server_id"] == id && all[0]["severity"] == "error",
        "{all:?}"
    );
    // What a round does not know of it leaves alone.
    ensure!(round(&stack).await? == (0, 0));
    let open = stack.service.store().reads().open_alerts().await?;
    let open = open.first().context("an alert")?;
    ensure!(open.alert.state == AlertState::Firing);

    let wrong = json!({ "alerts": [{ "status": "odd" }, 7] });
    let details = refused(send(wrong).await?, 400, "INVALID_REQUEST")?.to_string();
    for field in ["alerts[0].status", "alerts[0].fingerprint", "alerts[1]"] {
        ensure!(details.contains(field), "{details}");
    }
    let (_, reads) = key(&stack.client, json!({ "scopes": ["monitoring:read"] })).await?;
    let answer = by_key(&base, &reads, Method::POST, path, Some(message("firing"))).await?;
    refused(answer, 403, "FORBIDDEN")?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_end_is_told_before_it_has_ended() -> anyhow::Result<()> {
    const DAY: i64 = 24 * 3600;
    let stack = Stack::builder().start().await?;
    let behind = stack.simulator.behind_the_back();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    ensure!(round(&stack).await? == (0, 0));
    ensure!(alerts(&stack, "").await?.is_empty());

    behind.set_certificate_end("pve1", now + 5 * DAY + 3600);
    ensure!(round(&stack).await? == (0, 0), "not for long enough");
    later(&stack, 60).await?;
    ensure!(round(&stack).await? == (1, 0));
    ensure!(round(&stack).await? == (0, 0), "told once");
    let told = told_of(&stack, "alert_raised").await?;
    ensure!(
        told == ["pve1의 인증서 만료가 가깝습니다: pve-ssl.pem, 5 days left"],
        "{told:?}"
    );
    let firing = alerts(&stack, "?rule=certificate_ends&status=firing").await?;
    ensure!(
        firing.len() == 1 && firing[0]["severity"] == "warning",
        "{firing:?}"
    );

    // Who cannot be asked has not renewed anything.
    behind.set_offline("pve1", true);
    ensure!(round(&stack).await?.1 == 0);
    behind.set_offline("pve1", false);

    behind.set_certificate_end("pve1", now - DAY);
    round(&stack).await?;
    let firing = alerts(&stack, "?rule=certificate_ends&status=firing").await?;
    ensure!(firing.len() == 1, "{firing:?}");

    behind.set_certificate_end("pve1", now + 700 * DAY);
    round(&stack).await?;
    let over = alerts(&stack, "?rule=certificate_ends").await?;
    ensure!(
        over.len() == 1 && over[0]["status"] == "resolved",
        "{over:?}"
    );
    stack.stop().await
}
