//! Servers made by the real Terraform with the real provider, on the simulated cluster.

use super::fleet::{hand, is};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tpm_test_support::{Stack, StackBuilder, Terraform, say};

/// A stack with the engine; `None`, said aloud, without Terraform.
pub(crate) fn builder() -> anyhow::Result<Option<StackBuilder>> {
    match Terraform::find()? {
        Ok(terraform) => Ok(Some(Stack::builder().terraform(&terraform))),
        Err(missing) => {
            say(&format!("skipped: {missing}"));
            Ok(None)
        }
    }
}

/// A running server of the engine; its number.
async fn running(stack: &Stack, name: &str) -> anyhow::Result<i64> {
    let (task, id) = stack
        .client
        .create(name, json!({ "engine": "terraform" }))
        .await?;
    hand(stack)?.drain().await?;
    let task = stack.client.ended(&task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    Ok(id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_made_changed_and_removed() -> anyhow::Result<()> {
    let Some(builder) = builder()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let id = running(&stack, "web-1").await?;
    let server = stack.client.server(id).await?;
    ensure!(server["status"] == "running", "{server:#}");
    stack.stop().await
}
