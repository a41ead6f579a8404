//! The walk through what sets a second factor up and takes it away.

use super::Checked;
use crate::access::factors::shown;
use anyhow::Context;
use reqwest::Method;
use serde_json::json;

pub(super) async fn walk(checked: &Checked<'_>) -> anyhow::Result<()> {
    let (begin, confirm) = ("/api/auth/factor", "/api/auth/factor/confirm");
    let remove = "/api/auth/factor/remove";
    checked.example(Method::POST, confirm).await?;
    checked.example(Method::POST, remove).await?;
    let begun = checked.send(Method::POST, begin, None).await?;
    let secret = begun["secret"].as_str().context("secret")?;
    checked.example(Method::POST, confirm).await?;
    let code = json!({ "code": shown(secret).await? });
    let set = checked.post(confirm, &code).await?;
    let recovery = set["recovery_codes"][0].clone();
    checked.send(Method::POST, begin, None).await?;
    checked.example(Method::POST, "/api/auth/login").await?;
    checked.example(Method::POST, remove).await?;
    checked.post(remove, &json!({ "code": recovery })).await?;
    Ok(())
}
