//! Projects and their quotas.

use super::{is, refused, server, with};
use anyhow::ensure;
use futures::future::try_join_all;
use serde_json::json;
use tpm_test_support::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_bounds_a_project_and_names_every_bound() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let client = &stack.client;
    let body = json!({ "name": "shop", "description": "상점",
        "quota": { "servers": 3, "memory": 2048 } });
    let made = is(client.post("/api/projects", &body).await?, 201)?;
    let id = made["project_id"].as_i64().unwrap_or_default();
    refused(
        client.post("/api/projects", &body).await?,
        409,
        "NAME_TAKEN",
    )?;
    let of_shop = |name: &str, memory: u32| {
        with(server(name), json!({ "project": "shop", "memory": memory }))
    };
    let bulk = json!({ "servers": [of_shop("a", 1024), of_shop("b", 1024), of_shop("c", 512),
        of_shop("d", 512)] });
    let details = refused(
        client.post("/api/servers/bulk-create", &bulk).await?,
        409,
        "QUOTA_EXCEEDED",
    )?;
    ensure!(
        details
            == json!({ "project": "shop", "bounds": [
                { "resource": "servers", "limit": 3, "used": 0, "requested": 4 },
                { "resource": "memory", "limit": 2048, "used": 0, "requested": 3072 },
            ] }),
        "{details:#}"
    );
    is(
        client
            .post("/api/servers/create", &of_shop("a", 1024))
            .await?,
        201,
    )?;
    let shop = is(client.get(&format!("/api/projects/{id}")).await?, 200)?;
    ensure!(
        shop["usage"] == json!({ "servers": 1, "cpu": 1, "memory": 1024, "disk_size": 12 }),
        "{shop:#}"
    );
    let lower = json!({ "quota": { "memory": 1000 } });
    let path = format!("/api/projects/{id}");
    refused(client.patch(&path, &lower).await?, 409, "QUOTA_BELOW_USE")?;
    let freed = json!({ "quota": { "memory": null, "servers": 1 } });
    let shop = is(client.patch(&path, &freed).await?, 200)?;
    ensure!(
        shop["quota"]["memory"].is_null() && shop["quota"]["servers"] == 1,
        "{shop:#}"
    );
    let list = is(client.get("/api/servers?project=shop").await?, 200)?;
    ensure!(
        list["total"] == 1 && list["servers"][0]["project"] == "shop",
        "{list:#}"
    );
    let list = is(client.get("/api/servers?project=default").await?, 200)?;
    ensure!(list["total"] == 0, "{list:#}");
    let body = with(server("x"), json!({ "project": "nowhere" }));
    let unknown = client.post("/api/servers/create", &body);
    let details = refused(unknown.await?, 400, "INVALID_REQUEST")?;
    ensure!(details["fields"][0]["field"] == "project", "{details}");
    stack.stop().await
}

/// Many at once never pass the bound.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_at_once() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let body = json!({ "name": "shop", "quota": { "servers": 5 } });
    is(stack.client.post("/api/projects", &body).await?, 201)?;
    let requests = (0..20).map(|n| {
        let client = stack.client.clone();
        let body = with(server(&format!("s{n}")), json!({ "project": "shop" }));
        async move { client.post("/api/servers/create", &body).await }
    });
    let replies = try_join_all(requests).await?;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    ensure!(made == 5, "{made} were accepted");
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        refused(reply, 409, "QUOTA_EXCEEDED")?;
    }
    stack.stop().await
}
