//! Guests that were made by Terraform by hand, or by other hands, and come to us.

use super::{changed, has_no_changes, stack};
use crate::fleet::import::imported;
use crate::fleet::is;
use anyhow::{Context, ensure};
use serde_json::json;
use tpm_test_support::{Stack, Terraform};

/// VM 4001, as the module's example makes it by hand.
fn made_by_hand(stack: &Stack, terraform: &Terraform) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let example = super::eject::example(dir.path())?;
    tokio::task::block_in_place(|| {
        let run = |args: &[&str]| terraform.by_hand(stack, &example, args);
        run(&["init", "-no-color"])?;
        run(&["apply", "-no-color", "-auto-approve"])?;
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_an_empty_trial_plan_is_terraforms() -> anyhow::Result<()> {
    let Some((builder, terraform)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    made_by_hand(&stack, &terraform)?;
    let before = stack.simulator.guest(4001).context("the guest")?;
    let body = json!({ "vmid": 4001, "engine": "terraform" });
    let task = imported(&stack, &body).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(stack.simulator.guest(4001) == Some(before), "touched");
    let id = task["server_id"].as_i64().context("server_id")?;
    let server = stack.client.server(id).await?;
    ensure!(
        server["engine"] == "terraform" && server["import_differences"] == json!([]),
        "{server:#}"
    );
    has_no_changes(&stack, &terraform, id).await?;
    let body = json!({ "memory": 4096, "tags": ["web", "A"], "description": "mine now" });
    let task = changed(&stack, id, &body).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    has_no_changes(&stack, &terraform, id).await?;
    let guest = stack.simulator.guest(4001).context("the guest")?;
    ensure!(
        guest.config.get("tags").map(String::as_str) == Some("a;web")
            && guest.description.trim_end() == "mine now",
        "{guest:#?}"
    );
    stack.stop().await
}

/// What the module cannot say stays untouched, and the direct engine has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_would_be_changed_is_not() -> anyhow::Result<()> {
    let Some((builder, terraform)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    made_by_hand(&stack, &terraform)?;
    let behind = stack.simulator.behind_the_back();
    behind
        .set_option(4001, "balloon", Some("256"))
        .map_err(anyhow::Error::msg)?;
    let before = stack.simulator.guest(4001).context("the guest")?;
    let body = json!({ "vmid": 4001, "engine": "terraform" });
    let task = imported(&stack, &body).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    ensure!(stack.simulator.guest(4001) == Some(before), "touched");
    let id = task["server_id"].as_i64().context("server_id")?;
    let server = stack.client.server(id).await?;
    let differences = server["import_differences"].as_array();
    ensure!(
        server["engine"] == "direct"
            && differences.is_some_and(|all| all
                .iter()
                .any(|one| { one["field"] == "memory.0.floating" && one["before"] == "256" })),
        "{server:#}"
    );
    let states = stack
        .client
        .get(&format!("/api/servers/{id}/state"))
        .await?;
    let states = is(states, 200)?;
    ensure!(states["total"] == 0, "{states:#}");
    let task = changed(&stack, id, &json!({ "cpu": 3 })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    stack.stop().await
}

/// Tags and a description of its own, and a change by hand that is put back through a plan.
#[tokio::test(flavor = "multi_thread")]
async fn drift_is_put_back_by_a_plan() -> anyhow::Result<()> {
    let Some((builder, terraform)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let (id, vmid) = super::running(&stack, "web-1").await?;
    let body = json!({ "tags": ["x"], "description": "of\nours" });
    let task = changed(&stack, id, &body).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    has_no_changes(&stack, &terraform, id).await?;
    let behind = stack.simulator.behind_the_back();
    for (key, value) in [("tags", "y"), ("memory", "8192"), ("ciuser", "somebody")] {
        behind
            .set_option(vmid, key, Some(value))
            .map_err(anyhow::Error::msg)?;
    }
    crate::fleet::hand(&stack)?.sweep().await?;
    let path = format!("/api/servers/{id}/drift");
    let body = json!({ "fields": { "tags": "revert", "memory": "revert", "ciuser": "ignore" } });
    let answer = is(stack.client.post(&path, &body).await?, 200)?;
    crate::fleet::hand(&stack)?.drain().await?;
    let task = answer["task_id"].as_str().context("task_id")?;
    super::completed(&stack, task).await?;
    let guest = stack.simulator.guest(vmid).context("the guest")?;
    let option = |key: &str| guest.config.get(key).map(String::as_str);
    ensure!(
        option("tags") == Some("x") && option("ciuser") == Some("somebody"),
        "{guest:#?}"
    );
    ensure!(guest.description.contains("of\nours"), "{guest:#?}");
    has_no_changes(&stack, &terraform, id).await?;
    stack.stop().await
}
