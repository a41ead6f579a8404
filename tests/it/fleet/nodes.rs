//! Where servers go, and what happens when a node is lost.

use super::{hand, is, refused, server, with};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tpm_pve_simulator::{Fault, FaultKind, HoldAt};
use tpm_test_support::Stack;

async fn nodes_of(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let list = is(stack.client.get("/api/servers?limit=500").await?, 200)?;
    let rows = list["servers"].as_array().context("servers")?;
    let node = |row: &Value| row["node"].as_str().unwrap_or("-").to_owned();
    Ok(rows.iter().map(node).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_spreads_over_the_nodes_and_the_reason_is_told() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let servers: Vec<_> = (0..6).map(|n| server(&format!("s{n}"))).collect();
    let bulk = json!({ "servers": servers });
    is(
        stack.client.post("/api/servers/bulk-create", &bulk).await?,
        201,
    )?;
    let planned = stack.client.server(1).await?;
    ensure!(planned["placement"]["node"] == "pve1", "{planned:#}");
    ensure!(planned["placement"]["candidates"] == 3, "{planned:#}");
    let reason = planned["placement"]["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("pve1") && reason.contains('3'), "{reason}");
    hand(&stack)?.drain().await?;
    let nodes = nodes_of(&stack).await?;
    ensure!(
        nodes == ["pve1", "pve2", "pve3", "pve1", "pve2", "pve3"],
        "{nodes:?}"
    );
    for guest in stack.simulator.guests() {
        if let Some(n) = guest
            .name
            .strip_prefix('s')
            .and_then(|n| n.parse::<usize>().ok())
        {
            ensure!(guest.node == nodes[n], "{guest:#?}");
        }
    }
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_are_kept_or_refused() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let ask = async |name: &str, placement: Value| {
        let body = with(server(name), json!({ "placement": placement }));
        stack.client.post("/api/servers/create", &body).await
    };
    is(ask("a", json!({ "node": "pve3" })).await?, 201)?;
    is(ask("b", json!({ "exclude": ["pve1", "pve3"] })).await?, 201)?;
    is(ask("c", json!({ "spread": "required" })).await?, 201)?;
    let details = refused(
        ask("d", json!({ "spread": "required" })).await?,
        409,
        "NO_CAPACITY",
    )?;
    ensure!(details["nodes"][0]["reason"] == "same_role", "{details:#}");
    let details = refused(
        ask("e", json!({ "node": "pve9" })).await?,
        400,
        "INVALID_REQUEST",
    )?;
    ensure!(
        details["fields"][0]["field"] == "placement.node",
        "{details:#}"
    );
    let details = refused(
        ask("e", json!({ "spread": "wide" })).await?,
        400,
        "INVALID_REQUEST",
    )?;
    ensure!(
        details["fields"][0]["field"] == "placement.spread",
        "{details:#}"
    );
    hand(&stack)?.drain().await?;
    let nodes = nodes_of(&stack).await?;
    ensure!(nodes == ["pve3", "pve2", "pve1"], "{nodes:?}");
    stack.stop().await
}

/// A node that is away takes nothing; one that goes away after it was chosen is given up for another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_lost_before_the_clone_costs_another_choice() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    stack.simulator.behind_the_back().set_offline("pve2", true);
    hand(&stack)?.look().await?;
    let made = is(
        stack
            .client
            .post("/api/servers/create", &server("one"))
            .await?,
        201,
    )?;
    ensure!(stack.client.server(1).await?["placement"]["candidates"] == 2);
    let made_two = is(
        stack
            .client
            .post("/api/servers/create", &server("two"))
            .await?,
        201,
    )?;
    ensure!(stack.client.server(2).await?["placement"]["node"] == "pve3");
    stack.simulator.behind_the_back().set_offline("pve2", false);
    stack.simulator.behind_the_back().set_offline("pve3", true);
    hand(&stack)?.look().await?;
    hand(&stack)?.drain().await?;
    for made in [made, made_two] {
        let task = stack
            .client
            .ended(made["task_id"].as_str().unwrap_or_default())
            .await?;
        ensure!(task["status"] == "completed", "{task:#}");
    }
    let two = stack.client.server(2).await?;
    ensure!(two["placement"]["instead_of"] == "pve3", "{two:#}");
    ensure!(
        two["node"] == two["placement"]["node"] && two["node"] != "pve3",
        "{two:#}"
    );
    stack.stop().await
}

/// A node that is away for a moment, during a clone that has taken long already: nothing is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_away_for_a_moment_costs_nothing() -> anyhow::Result<()> {
    let mut stack = Stack::builder()
        .set("PROXMOX__NODE_PATIENCE_SECS", 2)
        .start()
        .await?;
    let hold = FaultKind::Hold {
        at: HoldAt::TaskEffect,
    };
    let held = stack
        .simulator
        .faults()
        .inject(Fault::once("POST", "/nodes/*/qemu/*/clone", hold));
    stack.start_worker()?;
    let body = with(
        server("one"),
        json!({ "placement": { "exclude": ["pve1"] } }),
    );
    let made = is(stack.client.post("/api/servers/create", &body).await?, 201)?;
    let first = stack.client.server(1).await?;
    let node = first["placement"]["node"].as_str().context("node")?;
    stack.simulator.faults().wait_until_held(held).await;
    // Longer than a node may be away; it is not, yet.
    tokio::time::sleep(std::time::Duration::from_millis(2200)).await;
    let looks = || {
        let requests = stack.simulator.counters().requests;
        requests.get("GET /cluster/resources").copied().unwrap_or(0)
    };
    stack.simulator.behind_the_back().set_offline(node, true);
    let before = looks();
    while looks() == before {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    stack.simulator.behind_the_back().set_offline(node, false);
    stack.simulator.faults().release(held);
    let task = stack
        .client
        .ended(made["task_id"].as_str().unwrap_or_default())
        .await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let second = stack.client.server(1).await?;
    ensure!(
        second["node"] == node && second["vmid"] == first["vmid"],
        "{second:#}"
    );
    stack.stop().await
}

/// A node that goes away in the middle of a clone: the number is given up with it, and when the node comes
/// back with the guest, the sweep removes that.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_lost_during_the_clone_costs_the_number_too() -> anyhow::Result<()> {
    let mut stack = Stack::builder()
        .set("PROXMOX__NODE_PATIENCE_SECS", 1)
        .set("WORKER__ORPHAN_MS", 100)
        .start()
        .await?;
    let hold = FaultKind::Hold {
        at: HoldAt::TaskEffect,
    };
    let held = stack
        .simulator
        .faults()
        .inject(Fault::once("POST", "/nodes/*/qemu/*/clone", hold));
    stack.start_worker()?;
    let body = with(
        server("one"),
        json!({ "placement": { "exclude": ["pve1"] } }),
    );
    let made = is(stack.client.post("/api/servers/create", &body).await?, 201)?;
    let first = stack.client.server(1).await?;
    let lost = first["placement"]["node"]
        .as_str()
        .context("node")?
        .to_owned();
    stack.simulator.faults().wait_until_held(held).await;
    stack.simulator.behind_the_back().set_offline(&lost, true);
    stack.simulator.faults().release(held);
    let task = stack
        .client
        .ended(made["task_id"].as_str().unwrap_or_default())
        .await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let second = stack.client.server(1).await?;
    ensure!(
        second["node"] != lost.as_str() && second["vmid"] != first["vmid"],
        "{second:#}"
    );
    stack.simulator.behind_the_back().set_offline(&lost, false);
    let marked = || {
        let guests = stack.simulator.guests().into_iter();
        guests
            .filter(|guest| guest.description.contains("tpm:v1 "))
            .count()
    };
    if marked() == 2 {
        let worker = hand(&stack)?;
        let mut swept = worker.sweep().await?;
        while swept.orphans == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            swept = worker.sweep().await?;
        }
        let left = async {
            while marked() > 1 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), left).await?;
    }
    ensure!(marked() == 1, "{:#?}", stack.simulator.guests());
    let guest = stack.client.server(1).await?;
    ensure!(guest["status"] == "running", "{guest:#}");
    stack.stop().await
}
