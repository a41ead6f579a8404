//! One request, one running server.

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
    stack.stop().await
}
