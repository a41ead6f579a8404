//! Guests that others made become servers, and nothing is changed on them.

use super::{hand, is, latest, refused, running};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tpm_test_support::Stack;

/// Asks for an import and carries it out; the task as it ended.
pub(crate) async fn imported(stack: &Stack, body: &Value) -> anyhow::Result<Value> {
    let answer = is(stack.client.post("/api/servers/import", body).await?, 201)?;
    hand(stack)?.drain().await?;
    let task = answer["task_id"].as_str().context("task_id")?;
    stack.client.ended(task).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_of_others_becomes_a_server_as_it_is() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let behind = stack.simulator.behind_the_back();
    behind.create_foreign(105, "pve2", "legacy");
    for (key, value) in [
        ("cores", "2"),
        ("sockets", "2"),
        ("description", "bought in 2019"),
        ("tags", "old;db"),
    ] {
        behind
            .set_option(105, key, Some(value))
            .map_err(anyhow::Error::msg)?;
    }
    let before = stack.simulator.guest(105).context("the guest")?;
    let task = imported(&stack, &json!({ "vmid": 105 })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let id = task["server_id"].as_i64().context("server_id")?;
    let server = stack.client.server(id).await?;
    ensure!(
        server["name"] == "legacy"
            && server["vmid"] == 105
            && server["node"] == "pve2"
            && server["cpu"] == 4
            && server["status"] == "stopped"
            && server["imported"] == true
            && server["engine"] == "direct",
        "{server:#}"
    );
    let (text, kind) = latest(&stack).await?;
    ensure!(kind == "success" && text.contains("105"), "{text}");
    ensure!(
        stack.simulator.guest(105) == Some(before.clone()),
        "touched"
    );
    // Its room counts, and it is no stranger any more.
    let nodes = is(stack.client.get("/api/nodes").await?, 200)?;
    ensure!(nodes["nodes"][1]["reserved_cpu"] == 4, "{nodes:#}");
    let swept = hand(&stack)?.sweep().await?;
    ensure!(
        (swept.expected, swept.drifted, swept.conflicts) == (1, 0, 0),
        "{swept:?}"
    );
    // Twice is told.
    let details = refused(
        stack
            .client
            .post("/api/servers/import", &json!({ "vmid": 105 }))
            .await?,
        409,
        "GUEST_KNOWN",
    )?;
    ensure!(details["server"] == "legacy", "{details:#}");

    // A change touches what it is about and nothing else.
    let path = format!("/api/servers/{id}");
    let body = json!({ "memory": 4096, "description": "ours\nnow" });
    is(stack.client.patch(&path, &body).await?, 200)?;
    hand(&stack)?.drain().await?;
    let after = stack.simulator.guest(105).context("the guest")?;
    let mut expected = before.config.clone();
    expected.insert("memory".into(), "4096".into());
    let strip = |mut config: std::collections::BTreeMap<String, String>| {
        config.remove("description");
        config
    };
    ensure!(strip(after.config.clone()) == strip(expected), "{after:#?}");
    ensure!(after.description.trim_end() == "ours\nnow", "{after:#?}");
    // It starts, and it goes when that is asked for.
    is(
        stack
            .client
            .put(&format!("{path}/status"), &json!({ "status": "running" }))
            .await?,
        200,
    )?;
    hand(&stack)?.drain().await?;
    ensure!(stack.client.server(id).await?["status"] == "running");
    is(stack.client.delete(&path).await?, 200)?;
    hand(&stack)?.drain().await?;
    ensure!(stack.simulator.guest(105).is_none(), "still there");
    stack.stop().await
}

/// Another guest under the number of an imported one is told by uuid and vmgenid: there is no mark.
#[tokio::test(flavor = "multi_thread")]
async fn an_imported_guest_that_was_replaced_is_not_touched() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let behind = stack.simulator.behind_the_back();
    behind.create_foreign(105, "pve2", "legacy");
    let task = imported(&stack, &json!({ "vmid": 105 })).await?;
    let id = task["server_id"].as_i64().context("server_id")?;
    behind.destroy(105).map_err(anyhow::Error::msg)?;
    behind.create_foreign(105, "pve2", "legacy");
    let stranger = stack.simulator.guest(105).context("the stranger")?;
    let answer = is(
        stack.client.delete(&format!("/api/servers/{id}")).await?,
        200,
    )?;
    hand(&stack)?.drain().await?;
    let task = answer["task_id"].as_str().context("task_id")?;
    let task = stack.client.ended(task).await?;
    ensure!(task["error"]["code"] == "IDENTITY_CONFLICT", "{task:#}");
    ensure!(stack.simulator.guest(105) == Some(stranger), "touched");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_is_told_and_nothing_is_left() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let behind = stack.simulator.behind_the_back();
    behind.create_foreign(105, "pve2", "Not A Name");
    let (_, ours) = running(&stack, "one").await?;
    let client = &stack.client;
    let names = async |body: Value| {
        let reply = client.post("/api/servers/import", &body).await?;
        let details = refused(reply, 400, "INVALID_REQUEST")?;
        let fields: Vec<String> = details["fields"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|field| Some(field["field"].as_str()?.to_owned()))
            .collect();
        anyhow::Ok(fields)
    };
    let wrong = json!({
        "vmid": 5, "name": "-", "role": "none", "engine": "none", "project": "none", "more": 1,
    });
    let mut told = names(wrong).await?;
    told.sort();
    ensure!(
        told == ["engine", "more", "name", "project", "role", "vmid"],
        "{told:?}"
    );
    ensure!(names(json!({})).await? == ["vmid"]);
    let reply = stack
        .client
        .post("/api/servers/import", &json!({ "vmid": ours }))
        .await?;
    refused(reply, 409, "GUEST_KNOWN")?;
    for (body, code, text) in [
        (json!({ "vmid": 105 }), "NOT_IMPORTABLE", "Not A Name"),
        (json!({ "vmid": 106 }), "GUEST_MISSING", "106"),
        (json!({ "vmid": 9000 }), "NOT_IMPORTABLE", "template"),
    ] {
        let task = imported(&stack, &body).await?;
        let said = task["error"]["message"].as_str().unwrap_or_default();
        ensure!(
            task["status"] == "failed" && task["error"]["code"] == code && said.contains(text),
            "{task:#}"
        );
    }
    let list = is(stack.client.get("/api/servers").await?, 200)?;
    ensure!(list["total"] == 1, "{list:#}");
    // A name of our own, and it works.
    let task = imported(&stack, &json!({ "vmid": 105, "name": "named" })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    stack.stop().await
}

/// What was changed by hand: taken over, left, put back.
#[tokio::test(flavor = "multi_thread")]
async fn drift_is_decided_upon_option_by_option() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, vmid) = running(&stack, "one").await?;
    let behind = stack.simulator.behind_the_back();
    for (key, value) in [
        ("memory", "8192"),
        ("tags", "by;hand"),
        ("ciuser", "somebody"),
        ("protection", "1"),
    ] {
        behind
            .set_option(vmid, key, Some(value))
            .map_err(anyhow::Error::msg)?;
    }
    hand(&stack)?.sweep().await?;
    let path = format!("/api/servers/{id}/drift");
    let told = |reply| -> anyhow::Result<Vec<String>> {
        let details = refused(reply, 400, "INVALID_REQUEST")?;
        let fields = details["fields"].as_array().cloned().unwrap_or_default();
        Ok(fields
            .iter()
            .filter_map(|field| Some(field["field"].as_str()?.to_owned()))
            .collect())
    };
    // A role's affair cannot be taken over by one server; putting back is of the whole guest.
    let body = json!({ "fields": { "ciuser": "adopt", "memory": "revert", "cores": "adopt" } });
    let wrong = told(stack.client.post(&path, &body).await?)?;
    ensure!(
        wrong
            == [
                "fields.ciuser",
                "fields.cores",
                "fields.protection",
                "fields.tags"
            ],
        "{wrong:?}"
    );
    let body = json!({ "fields": {
        "memory": "adopt", "tags": "adopt", "ciuser": "ignore", "protection": "revert",
    } });
    let answer = is(stack.client.post(&path, &body).await?, 200)?;
    hand(&stack)?.drain().await?;
    let task = answer["task_id"].as_str().context("task_id")?;
    let task = stack.client.ended(task).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let server = stack.client.server(id).await?;
    ensure!(
        server["memory"] == 8192 && server["tags"] == json!(["by", "hand"]),
        "{server:#}"
    );
    let guest = stack.simulator.guest(vmid).context("the guest")?;
    ensure!(
        guest.config.get("ciuser").map(String::as_str) == Some("somebody")
            && guest.config.get("protection").map(String::as_str) != Some("1")
            && guest.config.get("memory").map(String::as_str) == Some("8192"),
        "{guest:#?}"
    );
    let swept = hand(&stack)?.sweep().await?;
    ensure!(swept.drifted == 0, "{swept:?}");
    let drift = is(stack.client.get(&path).await?, 200)?;
    ensure!(
        drift["drift"] == "none" && drift["ignored"] == json!(["ciuser"]),
        "{drift:#}"
    );
    // Watched again, it is told again.
    let body = json!({ "fields": { "ciuser": "watch" } });
    let answer = is(stack.client.post(&path, &body).await?, 200)?;
    ensure!(answer["task_id"].is_null(), "{answer:#}");
    let swept = hand(&stack)?.sweep().await?;
    ensure!(swept.drifted == 1, "{swept:?}");
    stack.stop().await
}
