//! Wrong passwords behind a proxy: counted by whom the proxy names, when it is one of ours.

use crate::access::person;
use anyhow::ensure;
use serde_json::json;
use tpm_test_support::{Client, PASSWORD, Stack};

/// More than one address may guess wrong.
const GUESSES: usize = 25;

/// Guesses from one address until it has to wait, then one from another address: its status.
async fn second_address(stack: &Stack) -> anyhow::Result<u16> {
    let guess = |n: usize, from: &'static str| {
        let url = format!("{}/api/auth/login", stack.client.base());
        let body = json!({ "username": format!("u{from}{n}"), "password": "nonsense" });
        let sent = stack.client.http().post(url).json(&body);
        sent.header("x-forwarded-for", from).send()
    };
    let mut slowed = false;
    for n in 0..GUESSES {
        slowed |= guess(n, "198.51.100.7").await?.status() == 429;
    }
    ensure!(slowed, "never slowed down");
    Ok(guess(0, "198.51.100.8").await?.status().as_u16())
}

/// Whoever has an account cannot try others for ever by logging in to it in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_does_not_clear_its_address() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    person(&stack, "mallory", json!(["viewer"])).await?;
    let log_in = async |name: &str, password: &str| -> anyhow::Result<u16> {
        let client = Client::new(stack.client.base())?;
        let body = json!({ "username": name, "password": password });
        Ok(client.post("/api/auth/login", &body).await?.status)
    };
    for n in 0..GUESSES {
        let status = log_in(&format!("u{n}"), "nonsense").await?;
        if status == 429 {
            return stack.stop().await;
        }
        ensure!(status == 401, "{status}");
        if n % 5 == 4 {
            ensure!(log_in("mallory", "seven green bicycles").await? == 200);
        }
    }
    anyhow::bail!("never slowed down")
}

/// Somebody who guesses makes everybody wait who was not there before, and nobody else: not the person, on a
/// device the person has logged in with.
#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_cannot_lock_the_admin_out() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    person(&stack, "other", json!(["viewer"])).await?;
    let log_in = async |client: &Client, name: &str, password: &str| -> anyhow::Result<u16> {
        let body = json!({ "username": name, "password": password });
        Ok(client.post("/api/auth/login", &body).await?.status)
    };
    let base = stack.client.base();
    let stranger = Client::new(base)?;
    let mut slowed = false;
    for n in 0..GUESSES {
        slowed |= log_in(&stranger, "admin", &format!("guess {n}")).await? == 429;
    }
    ensure!(slowed, "never slowed down");
    ensure!(log_in(&stranger, "admin", PASSWORD).await? == 429);
    // A device of somebody else is a stranger's, and so is a made-up one.
    let sent = |device: String| {
        let body = json!({ "username": "admin", "password": PASSWORD });
        let url = format!("{base}/api/auth/login");
        let request = stranger.http().post(url).json(&body);
        request
            .header("cookie", format!("tpm_device={device}"))
            .send()
    };
    for made_up in ["", "a.b", &format!("{}.{}", "0".repeat(32), "0".repeat(64))] {
        ensure!(sent(made_up.to_owned()).await?.status() == 429, "{made_up}");
    }
    ensure!(log_in(&stack.client, "admin", PASSWORD).await? == 200);
    // Guesses on the device itself are slowed down as well.
    let mut slowed = false;
    for n in 0..GUESSES {
        slowed |= log_in(&stack.client, "admin", &format!("guess {n}")).await? == 429;
    }
    ensure!(slowed, "a device may guess for ever");
    stack.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_counted_by_whom_our_proxy_names_and_nobody_else() -> anyhow::Result<()> {
    let proxied = Stack::builder()
        .set("API__TRUSTED_PROXIES", "192.0.2.0/24, 127.0.0.1")
        .start()
        .await?;
    ensure!(
        second_address(&proxied).await? == 401,
        "everybody is the proxy"
    );
    proxied.stop().await?;
    let direct = Stack::builder().start().await?;
    ensure!(
        second_address(&direct).await? == 429,
        "a header is believed"
    );
    direct.stop().await
}
