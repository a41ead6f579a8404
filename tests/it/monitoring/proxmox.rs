//! Without Prometheus: Proxmox VE's own figures.

use super::FIGURES;
use crate::fleet::{done, hand, is, refused, running};
use anyhow::ensure;
use serde_json::{Value, json};
use tpm_domain::ServerFigures;
use tpm_pve_simulator::{Fault, FaultKind};
use tpm_test_support::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn without_prometheus_everything_is_told_from_proxmox() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let status = is(client.get("/api/monitoring/status").await?, 200)?;
    for part in ["prometheus", "grafana"] {
        ensure!(status[part]["status"] == "not_configured", "{status:#}");
        ensure!(status[part]["url"].is_null(), "{status:#}");
    }
    ensure!(status["prometheus"]["targets"].is_null(), "{status:#}");

    let (task, making) = client.create("making", json!({})).await?;
    let path = |id: i64| format!("/api/monitoring/metrics/{id}");
    let metrics = is(client.get(&path(making)).await?, 200)?;
    let told = &metrics["metrics"];
    ensure!(
        told["reason"] == "no_guest" && told["source"].is_null(),
        "{metrics:#}"
    );
    for figure in FIGURES {
        ensure!(
            told[figure].is_null() && told["reasons"][figure] == "no_guest",
            "{metrics:#}"
        );
    }
    client
        .post(&format!("/api/tasks/{task}/cancel"), &json!({}))
        .await?;

    let (id, vmid) = running(&stack, "web-1").await?;
    let metrics = is(client.get(&path(id)).await?, 200)?;
    ensure!(
        metrics["metrics"]["reason"] == "not_measured_yet",
        "{metrics:#}"
    );
    hand(&stack)?.look().await?;
    let metrics = is(client.get(&path(id)).await?, 200)?;
    let told = &metrics["metrics"];
    ensure!(
        metrics["server_name"] == "web-1" && metrics["server_id"] == id,
        "{metrics:#}"
    );
    // As the simulated cluster has them; the network only after a second look.
    ensure!(
        told["cpu_usage"] == 2.0 && told["memory_usage"] == 33.3,
        "{metrics:#}"
    );
    ensure!(
        told["source"] == "proxmox" && told["reason"] == "not_configured",
        "{metrics:#}"
    );
    ensure!(told["timestamp"].is_string(), "{metrics:#}");
    ensure!(
        told["reasons"]
            == json!({ "disk_usage": "not_told_by_proxmox", "network_in": "not_measured_yet",
                       "network_out": "not_measured_yet" }),
        "{metrics:#}"
    );
    // What an earlier look had counted makes a rate.
    let store = stack.service.store();
    let before = tpm_store::Store::reads(&*store).figures(None).await?;
    let shifted = before.into_iter().map(|(id, mut one): (_, ServerFigures)| {
        for counted in &mut one.counted {
            counted.at.0 -= 30_000;
        }
        (id, one)
    });
    let tx = tpm_store::Store::begin(&*store).await?;
    tx.save_figures(&shifted.collect(), std::time::Duration::from_secs(3600))
        .await?;
    tx.commit().await?;
    let heard = stack.simulator.behind_the_back();
    done(heard.add_traffic(vmid, 3_000_000, 600_000))?;
    hand(&stack)?.look().await?;
    let metrics = is(client.get(&path(id)).await?, 200)?;
    // Those, in a little more than half a minute, and the little that there always is.
    let within = |field: &str, least: u64, most: u64| {
        let rate = metrics["metrics"][field].as_u64();
        rate.is_some_and(|rate| (least..=most).contains(&rate))
    };
    ensure!(
        within("network_in", 20_000, 101_000) && within("network_out", 4_000, 21_000),
        "{metrics:#}"
    );
    let fleet = is(client.get("/api/monitoring/metrics?role=web").await?, 200)?;
    let mut all = fleet["servers"].as_array().cloned().unwrap_or_default();
    all.retain(|one| one["server_id"] == id);
    ensure!(all == [metrics], "{fleet:#}");

    let off = json!({ "status": "stopped" });
    is(
        client
            .put(&format!("/api/servers/{id}/status"), &off)
            .await?,
        200,
    )?;
    hand(&stack)?.drain().await?;
    hand(&stack)?.look().await?;
    let metrics = is(client.get(&path(id)).await?, 200)?;
    ensure!(metrics["metrics"]["reason"] == "stopped", "{metrics:#}");
    ensure!(metrics["metrics"]["cpu_usage"].is_null(), "{metrics:#}");
    refused(client.get(&path(999)).await?, 404, "NOT_FOUND")?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_told_from_proxmox() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let (id, _) = running(&stack, "web-1").await?;
    let path = |query: &str| format!("/api/monitoring/metrics/{id}?{query}");
    let asked = || {
        let requests = stack.simulator.counters().requests;
        let history = requests
            .iter()
            .filter(|(path, _)| path.ends_with("/rrddata"));
        history.map(|(_, times)| times).sum::<u64>()
    };
    let before = asked();
    let past = is(client.get(&path("step=60")).await?, 200)?;
    ensure!(
        past["source"] == "proxmox" && past["reason"] == "not_configured",
        "{past:#}"
    );
    let points = past["points"].as_array().cloned().unwrap_or_default();
    ensure!(points.len() == 61 || points.len() == 60, "{}", points.len());
    let known: Vec<&Value> = points
        .iter()
        .filter(|one| !one["cpu_usage"].is_null())
        .collect();
    ensure!(!known.is_empty() && known.len() < points.len(), "{past:#}");
    for one in known {
        ensure!(
            one["memory_usage"] == 33.3 && one["disk_usage"].is_null(),
            "{one:#}"
        );
        ensure!(
            one["network_in"].as_i64().is_some_and(|rate| rate >= 1000),
            "{one:#}"
        );
    }
    ensure!(asked() == before + 1, "{}", asked());
    // Whoever looks again at once is told the same without a question.
    is(client.get(&path("step=60")).await?, 200)?;
    ensure!(asked() == before + 1, "{}", asked());

    for (query, field, code) in [
        ("from=yesterday", "from", "INVALID_TIME"),
        (
            "from=2026-01-15T11:00:00Z&to=2026-01-15T10:00:00Z",
            "to",
            "NOT_AFTER",
        ),
        (
            "from=2025-01-15T10:00:00Z&to=2026-01-15T10:00:00Z&step=60",
            "step",
            "OUT_OF_RANGE",
        ),
        ("step=0", "step", "OUT_OF_RANGE"),
        ("until=now", "until", "UNKNOWN_FIELD"),
    ] {
        let answer = client.get(&path(query)).await?;
        let details = refused(answer, 400, "INVALID_REQUEST")?;
        let fields = details["fields"].to_string();
        ensure!(
            fields.contains(field) && fields.contains(code),
            "{query}: {fields}"
        );
    }
    // A cluster that does not answer is told as such.
    let broken = FaultKind::Status {
        code: 500,
        reason: "something odd".into(),
        body: None,
        applied: false,
    };
    let fault = Fault::once("GET", "/nodes/*/qemu/*/rrddata", broken);
    stack.simulator.faults().inject(fault);
    let past = is(client.get(&path("from=2026-01-01T00:00:00Z")).await?, 200)?;
    ensure!(
        past["reason"] == "proxmox_unreachable" && past["points"] == json!([]),
        "{past:#}"
    );
    stack.stop().await
}
