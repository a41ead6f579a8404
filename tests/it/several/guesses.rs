//! Wrong passwords behind a proxy: counted by whom the proxy names, when it is one of ours.

use anyhow::ensure;
use serde_json::json;
use tpm_test_support::Stack;

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
