//! Networks whose addresses are handed out.

use super::{hand, is, refused, server, with};
use anyhow::{Context, ensure};
use serde_json::json;
use tpm_test_support::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn addresses_come_from_the_network_that_is_named() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let lan = json!({ "name": "lan", "range": "10.1.0.10-10.1.0.20", "prefix": 24,
        "gateway": "10.1.0.1", "dns": ["10.1.0.2"], "vlan": 30, "bridge": "vmbr1",
        "exclusions": ["10.1.0.10", "10.1.0.12-10.1.0.13"] });
    let made = is(client.post("/api/networks", &lan).await?, 201)?;
    let path = format!("/api/networks/{}", made["network_id"]);
    let on_lan = |name: &str| {
        with(
            server(name),
            json!({ "network_config": { "network": "lan" } }),
        )
    };
    let bulk = json!({ "servers": [on_lan("a"), on_lan("b"), on_lan("c")] });
    is(client.post("/api/servers/bulk-create", &bulk).await?, 201)?;
    let list = is(client.get("/api/servers").await?, 200)?;
    let addresses: Vec<_> = list["servers"]
        .as_array()
        .context("servers")?
        .iter()
        .filter_map(|row| row["ip_address"].as_str())
        .collect();
    ensure!(
        addresses == ["10.1.0.11", "10.1.0.14", "10.1.0.15"],
        "{addresses:?}"
    );
    let view = is(client.get(&path).await?, 200)?;
    ensure!(
        view["held"] == 3 && view["free"] == 5 && view["size"] == 11,
        "{view:#}"
    );
    ensure!(view["addresses"][0]["server_name"] == "a", "{view:#}");

    let fixed = |ip: &str| {
        let network = json!({ "network": "lan", "ip_address": ip });
        with(server("d"), json!({ "network_config": network }))
    };
    refused(
        client
            .post("/api/servers/create", &fixed("10.1.0.12"))
            .await?,
        409,
        "ADDRESS_TAKEN",
    )?;
    refused(
        client
            .post("/api/servers/create", &fixed("10.1.0.11"))
            .await?,
        409,
        "ADDRESS_TAKEN",
    )?;
    for (ip, code) in [("10.2.0.1", "OUTSIDE_SUBNET"), ("10.1.0.1", "IS_GATEWAY")] {
        let details = refused(
            client.post("/api/servers/create", &fixed(ip)).await?,
            400,
            "INVALID_REQUEST",
        )?;
        ensure!(details["fields"][0]["code"] == code, "{ip}: {details}");
    }
    refused(client.delete(&path).await?, 409, "NETWORK_IN_USE")?;
    hand(&stack)?.drain().await?;
    let guest = stack
        .simulator
        .guests()
        .into_iter()
        .find(|guest| guest.name == "a")
        .context("no guest")?;
    ensure!(guest.config["net0"].contains("bridge=vmbr1"), "{guest:#?}");
    ensure!(guest.config["net0"].contains("tag=30"), "{guest:#?}");
    ensure!(guest.config["nameserver"] == "10.1.0.2", "{guest:#?}");
    ensure!(
        guest.config["ipconfig0"] == "ip=10.1.0.11/24,gw=10.1.0.1",
        "{guest:#?}"
    );
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_do_not_overlap_and_are_checked_whole() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let bad = json!({ "name": "Bad Name", "range": "10.0.0.9-10.0.0.1", "prefix": 40,
        "gateway": "x", "vlan": 5000, "mtu": 9000 });
    let details = refused(
        client.post("/api/networks", &bad).await?,
        400,
        "INVALID_REQUEST",
    )?;
    let mut fields: Vec<_> = details["fields"]
        .as_array()
        .context("fields")?
        .iter()
        .filter_map(|field| field["field"].as_str())
        .collect();
    fields.sort_unstable();
    ensure!(
        fields == ["gateway", "mtu", "name", "prefix", "range", "vlan"],
        "{fields:?}"
    );
    // The network of the settings is there as `default`.
    let list = is(client.get("/api/networks").await?, 200)?;
    ensure!(list["networks"][0]["name"] == "default", "{list:#}");
    let twice = json!({ "name": "twice", "range": "192.168.0.200-192.168.0.254", "prefix": 24 });
    let details = refused(
        client.post("/api/networks", &twice).await?,
        409,
        "NETWORK_OVERLAPS",
    )?;
    ensure!(details["network"] == "default", "{details}");
    let path = format!("/api/networks/{}", list["networks"][0]["id"]);
    let smaller = json!({ "range": "192.168.0.21-192.168.0.100", "gateway": null });
    let view = is(client.patch(&path, &smaller).await?, 200)?;
    ensure!(view["size"] == 80 && view["gateway"].is_null(), "{view:#}");
    is(client.post("/api/networks", &twice).await?, 201)?;
    is(client.delete(&path).await?, 200)?;
    refused(client.get(&path).await?, 404, "NOT_FOUND")?;
    stack.stop().await
}

/// An address that somebody else's guest has is not handed out.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_seen_on_the_cluster_are_taken() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let behind = stack.simulator.behind_the_back();
    behind.create_foreign(500, "pve2", "printer");
    let fixed = Some("ip=192.168.0.21/24,gw=192.168.0.1");
    behind
        .set_option(500, "ipconfig0", fixed)
        .map_err(anyhow::Error::msg)?;
    hand(&stack)?.look().await?;
    let made = is(
        stack
            .client
            .post("/api/servers/create", &server("one"))
            .await?,
        201,
    )?;
    let id = made["server_id"].as_i64().context("id")?;
    ensure!(stack.client.server(id).await?["ip_address"] == "192.168.0.22");
    let list = is(stack.client.get("/api/networks").await?, 200)?;
    ensure!(list["networks"][0]["foreign"] == 1, "{list:#}");
    stack
        .simulator
        .behind_the_back()
        .destroy(500)
        .map_err(anyhow::Error::msg)?;
    hand(&stack)?.look().await?;
    let made = is(
        stack
            .client
            .post("/api/servers/create", &server("two"))
            .await?,
        201,
    )?;
    let id = made["server_id"].as_i64().context("id")?;
    ensure!(stack.client.server(id).await?["ip_address"] == "192.168.0.21");
    stack.stop().await
}
