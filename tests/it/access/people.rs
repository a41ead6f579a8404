//! People, roles, projects, sessions.

use super::{GOOD, by_key, key, log_in, person, project};
use crate::fleet::{hand, is, refused, server, with};
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::json;
use tpm_test_support::{Client, Stack};

/// What is another project's is as if it were not there; a bulk with one of it is refused as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_all_that_its_people_see() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    project(&stack, "red").await?;
    project(&stack, "blue").await?;
    let roles = json!([{ "role": "operator", "project": "red" }]);
    let (_, red) = person(&stack, "red", roles).await?;
    let roles = json!([{ "role": "viewer", "project": "blue" }]);
    let (_, blue) = person(&stack, "blue", roles).await?;
    let made = red
        .post(
            "/api/servers/create",
            &with(server("ours"), json!({ "project": "red" })),
        )
        .await?;
    let made = is(made, 201)?;
    let (task, ours) = (&made["task_id"], made["server_id"].as_i64().context("id")?);
    let theirs = with(server("theirs"), json!({ "project": "blue" }));
    let made = is(
        stack.client.post("/api/servers/create", &theirs).await?,
        201,
    )?;
    let (their_task, theirs) = (&made["task_id"], made["server_id"].as_i64().context("id")?);
    hand(&stack)?.drain().await?;

    for (client, id, task) in [(&red, ours, task), (&blue, theirs, their_task)] {
        let list = is(client.get("/api/servers").await?, 200)?;
        ensure!(
            list["total"] == 1 && list["servers"][0]["id"] == id,
            "{list:#}"
        );
        let list = is(client.get("/api/tasks").await?, 200)?;
        ensure!(
            list["total"] == 1 && list["tasks"][0]["task_id"] == *task,
            "{list:#}"
        );
        let list = is(client.get("/api/notifications").await?, 200)?;
        ensure!(list["total"] == 1, "{list:#}");
        let list = is(client.get("/api/projects").await?, 200)?;
        ensure!(list["total"] == 1, "{list:#}");
        refused(client.get("/api/users").await?, 403, "FORBIDDEN")?;
    }
    // Another's and nobody's are the same answer.
    let paths = |id: i64| {
        let of = |rest: &str| format!("/api/servers/{id}{rest}");
        [of(""), of("/drift"), of("/state"), of("/terraform")]
    };
    for (foreign, absent) in paths(theirs).iter().zip(&paths(999_999)) {
        let (foreign, absent) = (red.get(foreign).await?, red.get(absent).await?);
        let text =
            |body: &serde_json::Value, id: i64| body.to_string().replace(&id.to_string(), "N");
        ensure!(
            foreign.status == 404
                && absent.status == 404
                && text(&foreign.body, theirs) == text(&absent.body, 999_999),
            "{foreign:?} {absent:?}"
        );
    }
    let path = format!("/api/servers/{theirs}");
    refused(red.delete(&path).await?, 404, "NOT_FOUND")?;
    refused(
        red.patch(&path, &json!({ "cpu": 2 })).await?,
        404,
        "NOT_FOUND",
    )?;
    let task = format!("/api/tasks/{}", their_task.as_str().context("task")?);
    refused(red.get(&task).await?, 404, "NOT_FOUND")?;
    refused(
        red.post(&format!("{task}/cancel"), &json!({})).await?,
        404,
        "NOT_FOUND",
    )?;
    // Seen, but not theirs to change.
    refused(blue.delete(&path).await?, 403, "FORBIDDEN")?;
    // Neither made elsewhere nor moved there.
    let elsewhere = with(server("more"), json!({ "project": "blue" }));
    let details = refused(
        red.post("/api/servers/create", &elsewhere).await?,
        400,
        "INVALID_REQUEST",
    )?;
    ensure!(details["field"] == "project", "{details:#}");
    refused(
        red.post("/api/servers/create", &server("more")).await?,
        403,
        "FORBIDDEN",
    )?;
    let path = format!("/api/servers/{ours}");
    refused(
        red.patch(&path, &json!({ "project": "blue" })).await?,
        400,
        "INVALID_REQUEST",
    )?;
    let both = json!({ "server_ids": [ours, theirs] });
    refused(
        red.post("/api/servers/bulk-delete", &both).await?,
        404,
        "NOT_FOUND",
    )?;
    let server = stack.client.server(ours).await?;
    ensure!(server["status"] == "running", "{server:#}");
    stack.stop().await
}

/// Nobody gives more than they have, and somebody who may do everything is always left.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_themselves_more() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let role = json!({ "name": "people", "permissions": ["users:*", "servers:read"] });
    is(stack.client.post("/api/roles", &role).await?, 201)?;
    let (id, people) = person(&stack, "people", json!(["people"])).await?;
    let admin = json!({ "username": "mallory", "password": GOOD, "roles": ["admin"] });
    refused(people.post("/api/users", &admin).await?, 403, "FORBIDDEN")?;
    let me = format!("/api/users/{id}");
    refused(
        people.patch(&me, &json!({ "roles": ["admin"] })).await?,
        403,
        "FORBIDDEN",
    )?;
    refused(
        people
            .patch("/api/users/1", &json!({ "password": GOOD }))
            .await?,
        403,
        "FORBIDDEN",
    )?;
    let more = json!({ "permissions": ["*"] });
    refused(
        people.patch("/api/roles/people", &more).await?,
        403,
        "FORBIDDEN",
    )?;
    refused(
        stack.client.patch("/api/roles/admin", &more).await?,
        409,
        "BUILT_IN",
    )?;
    refused(
        stack.client.delete("/api/roles/people").await?,
        409,
        "ROLE_IN_USE",
    )?;
    for body in [json!({ "roles": ["viewer"] }), json!({ "disabled": true })] {
        refused(
            stack.client.patch("/api/users/1", &body).await?,
            409,
            "LAST_ADMIN",
        )?;
    }
    refused(
        stack.client.delete("/api/users/1").await?,
        409,
        "LAST_ADMIN",
    )?;
    is(stack.client.get("/api/auth/me").await?, 200)?;
    let weak = json!({ "username": "eve", "password": "password", "roles": ["viewer"] });
    let details = refused(
        stack.client.post("/api/users", &weak).await?,
        400,
        "INVALID_REQUEST",
    )?;
    ensure!(
        details["fields"][0]["code"] == "WEAK_PASSWORD",
        "{details:#}"
    );
    stack.stop().await
}

/// Keeping somebody out ends sessions and keys at once; what they asked for is not done any more.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_kept_out_is_out_at_once() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (id, bob) = person(&stack, "bob", json!(["operator"])).await?;
    let (_, text) = key(&bob, json!({})).await?;
    let made = is(bob.post("/api/servers/create", &server("one")).await?, 201)?;
    let path = format!("/api/users/{id}");
    is(
        stack
            .client
            .patch(&path, &json!({ "disabled": true }))
            .await?,
        200,
    )?;
    refused(bob.get("/api/servers").await?, 401, "UNAUTHENTICATED")?;
    let by = by_key(
        stack.client.base(),
        &text,
        Method::GET,
        "/api/servers",
        None,
    );
    refused(by.await?, 401, "UNAUTHENTICATED")?;
    refused(log_in(&bob, "bob", GOOD).await?, 401, "INVALID_CREDENTIALS")?;
    hand(&stack)?.drain().await?;
    let task = stack
        .client
        .ended(made["task_id"].as_str().context("task")?)
        .await?;
    ensure!(
        task["status"] == "failed" && task["error"]["code"] == "FORBIDDEN",
        "{task:#}"
    );
    let ours = stack.simulator.guests();
    ensure!(
        !ours
            .iter()
            .any(|guest| guest.description.contains("tpm:v1")),
        "made all the same"
    );
    is(
        stack
            .client
            .patch(&path, &json!({ "disabled": false }))
            .await?,
        200,
    )?;
    is(log_in(&bob, "bob", GOOD).await?, 200)?;
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_every_other_session() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (_, bob) = person(&stack, "bob", json!(["viewer"])).await?;
    let phone = Client::new(stack.client.base())?;
    is(log_in(&phone, "bob", GOOD).await?, 200)?;
    let list = is(bob.get("/api/auth/sessions").await?, 200)?;
    ensure!(list["total"] == 2, "{list:#}");
    let new = "nine blue umbrellas";
    let wrong = json!({ "current_password": "wrong", "new_password": new });
    let details = refused(
        bob.post("/api/auth/password", &wrong).await?,
        400,
        "INVALID_REQUEST",
    )?;
    ensure!(
        details["fields"][0]["code"] == "WRONG_PASSWORD",
        "{details:#}"
    );
    let right = json!({ "current_password": GOOD, "new_password": new });
    is(bob.post("/api/auth/password", &right).await?, 200)?;
    is(bob.get("/api/servers").await?, 200)?;
    refused(phone.get("/api/servers").await?, 401, "UNAUTHENTICATED")?;
    refused(
        log_in(&phone, "bob", GOOD).await?,
        401,
        "INVALID_CREDENTIALS",
    )?;
    is(log_in(&phone, "bob", new).await?, 200)?;
    // Its owner ends a session elsewhere.
    let list = is(bob.get("/api/auth/sessions").await?, 200)?;
    let theirs = list["sessions"][0]["id"].as_str().context("id")?;
    is(
        bob.delete(&format!("/api/auth/sessions/{theirs}")).await?,
        200,
    )?;
    refused(phone.get("/api/servers").await?, 401, "UNAUTHENTICATED")?;
    // A session that is planted is not taken on.
    let planted = reqwest::Client::builder().no_proxy().build()?;
    let answer = planted
        .post(format!("{}/api/auth/login", stack.client.base()))
        .header("cookie", "tpm_session=planted")
        .json(&json!({ "username": "bob", "password": new }))
        .send()
        .await?;
    let cookie = answer.headers()["set-cookie"].to_str()?.to_owned();
    ensure!(
        !cookie.contains("planted")
            && cookie.contains("HttpOnly")
            && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    stack.stop().await
}
