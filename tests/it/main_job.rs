//! One request, one running server, configured in every respect.

use anyhow::{Context, ensure};
use serde_json::json;
use tpm_test_support::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_a_running_server() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.start_worker()?;
    let client = stack.client.clone();
    let network = json!({ "network_config":
        { "ip_address": "192.168.0.22", "subnet": "24", "gateway": "192.168.0.1" } });
    let (task, id) = client.create("web-server-02", network).await?;
    let task = client.ended(&task).await?;
    assert_eq!(task["status"], "completed", "{task:#}");
    let server = client.server(id).await?;
    assert_eq!(server["status"], "running", "{server:#}");
    assert_eq!(server["ip_address"], "192.168.0.22");
    let rungs: Vec<_> = server["readiness"]
        .as_array()
        .context("ladder")?
        .iter()
        .map(|rung| {
            (
                rung["rung"].as_str().unwrap_or_default(),
                rung["at"].is_string(),
            )
        })
        .collect();
    let all = ["created", "configured", "started", "agent", "address"].map(|rung| (rung, true));
    assert_eq!(rungs, all);
    stack.stop().await
}

/// Full clone, two interfaces, a VLAN, keys with awkward characters, DNS, tags: all of it arrives, and
/// what the template has beyond it goes.
#[tokio::test(flavor = "multi_thread")]
async fn everything_asked_for_arrives() -> anyhow::Result<()> {
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPv/+//7//v/+//7//v/+//7//v/+//7//v/+//7//v/ 운영자=ops@host;a&b%20c";
    let mut stack = Stack::builder()
        .set("PROXMOX__CLONE_MODE", "full")
        .set("ROLES__DB__SSH_KEYS", KEY)
        .set("ROLES__DB__TAGS", "db,Prod")
        .set("ROLES__DB__USER", "admin")
        .set("NETWORK__DNS", "9.9.9.9, 1.1.1.1")
        .set("NETWORK__SEARCH_DOMAIN", "example.test")
        .start()
        .await?;
    stack.start_worker()?;
    let body = json!({ "role": "db", "cpu": 6, "memory": 6144, "disk_size": 33, "network_config": [
        { "ip_address": "10.5.0.7", "subnet": 16, "gateway": "10.5.0.1", "vlan": 42 },
        { "ip_address": "dhcp", "bridge": "vmbr1" } ] });
    let (task, id) = stack.client.create("db-7", body).await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let server = stack.client.server(id).await?;
    let guest = stack
        .simulator
        .guests()
        .into_iter()
        .find(|guest| server["vmid"] == guest.vmid);
    let guest = guest.context("the guest")?;
    let option = |key: &str| guest.config.get(key).cloned().unwrap_or_default();
    ensure!(
        option("cores") == "6" && option("memory") == "6144",
        "{guest:#?}"
    );
    ensure!(
        option("ciuser") == "admin" && option("tags") == "db;prod",
        "{guest:#?}"
    );
    ensure!(
        option("nameserver") == "9.9.9.9 1.1.1.1",
        "{}",
        option("nameserver")
    );
    ensure!(option("searchdomain") == "example.test");
    ensure!(
        option("ipconfig0") == "ip=10.5.0.7/16,gw=10.5.0.1",
        "{}",
        option("ipconfig0")
    );
    ensure!(option("ipconfig1") == "ip=dhcp", "{}", option("ipconfig1"));
    ensure!(
        option("net0").contains("bridge=vmbr0") && option("net0").contains("tag=42"),
        "{}",
        option("net0")
    );
    ensure!(
        option("net1").contains("bridge=vmbr1") && !option("net1").contains("tag="),
        "{}",
        option("net1")
    );
    ensure!(option("scsi0").contains("size=33G"), "{}", option("scsi0"));
    ensure!(
        !option("scsi0").contains("base-"),
        "a linked clone: {}",
        option("scsi0")
    );
    let key = option("sshkeys");
    ensure!(
        !key.contains(' ') && key.contains("%2B") && key.contains("%3Dops%40host%3Ba%26b%2520c"),
        "{key}"
    );
    ensure!(
        guest.description.starts_with("tpm:v1 "),
        "{}",
        guest.description
    );
    stack.stop().await
}

/// Without a pool and without a wish, the address is the DHCP server's, and the one that is shown.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_pool_the_address_comes_by_dhcp() -> anyhow::Result<()> {
    let mut stack = Stack::builder()
        .set("NETWORK__POOL", "")
        .set("NETWORK__GATEWAY", "")
        .start()
        .await?;
    stack.start_worker()?;
    let (task, id) = stack.client.create("one", json!({})).await?;
    let before = stack.client.server(id).await?;
    ensure!(before["network_config"][0]["dhcp"] == true, "{before:#}");
    ensure!(stack.client.ended(&task).await?["status"] == "completed");
    let server = stack.client.server(id).await?;
    let address = server["ip_address"].as_str().context("address")?;
    ensure!(address.starts_with("192.168.77."), "{address}");
    stack.stop().await
}
