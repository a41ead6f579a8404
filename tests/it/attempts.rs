//! Who tries doors is in the log, and so is what could not be trusted.

use crate::several::fleet::{Api, Worker};
use crate::system::until;
use anyhow::ensure;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tpm_test_support::{Client, PASSWORD, Stack};

/// Whether a line says that.
fn says(page: &Value, wanted: impl Fn(&Value) -> bool) -> bool {
    page["logs"].as_array().into_iter().flatten().any(wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_to_get_around_are_logged() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("LIMITS__KEY_REQUESTS_PER_SECOND", 1)
        .start()
        .await?;
    let (_, key) = crate::access::key(&stack.client, json!({})).await?;
    let api = Api::start(&stack, "api")?;
    let client = Client::new(api.url())?;
    client.login(PASSWORD).await?;
    let (known, nobody) = (
        client.http(),
        reqwest::Client::builder().no_proxy().build()?,
    );
    let url = |path: &str| format!("{}{path}", api.url());
    let unknown = format!("tpm_{}", "x".repeat(49));
    for (request, code) in [
        (
            nobody.get(url("/api/servers")).bearer_auth(&unknown),
            "UNAUTHENTICATED",
        ),
        (
            nobody
                .get(url("/api/tasks"))
                .header("cookie", "tpm_session=guessed"),
            "UNAUTHENTICATED",
        ),
        (nobody.post(url("/api/servers/create")), "UNAUTHENTICATED"),
        (
            known
                .delete(url("/api/servers/1"))
                .header("origin", "https://evil.example"),
            "FOREIGN_ORIGIN",
        ),
        (
            known.get(url("/api/nodes")).bearer_auth(&key),
            "TWO_CREDENTIALS",
        ),
    ] {
        let answer = request.send().await?;
        ensure!(answer.status().is_client_error(), "{code}: {answer:?}");
    }
    let mut slowed = false;
    for _ in 0..20 {
        let answer = nobody.get(url("/api/networks")).bearer_auth(&key);
        slowed |= answer.send().await?.status() == 429;
    }
    ensure!(slowed, "a key without a pace");
    // Whoever opens the page is told to log in; that is no attempt.
    ensure!(nobody.get(url("/api/auth/me")).send().await?.status() == 401);
    for (code, action) in [
        ("UNAUTHENTICATED", "GET /api/servers"),
        ("UNAUTHENTICATED", "GET /api/tasks"),
        ("UNAUTHENTICATED", "POST /api/servers/create"),
        ("FOREIGN_ORIGIN", "DELETE /api/servers/{server_id}"),
        ("TWO_CREDENTIALS", "GET /api/nodes"),
        ("RATE_LIMITED", "GET /api/networks"),
    ] {
        until(
            &stack.client,
            "/api/system/logs?text=refused&limit=500",
            |page| {
                says(page, |line| {
                    let fields = &line["fields"];
                    fields["code"] == code
                        && fields["action"] == action
                        && fields["address"] == "127.0.0.1"
                })
            },
        )
        .await?;
    }
    let log = std::fs::read_to_string(stack.dir.path().join("api.log"))?;
    ensure!(!log.contains("/api/auth/me"), "{log}");
    ensure!(!log.contains(&unknown) && !log.contains("guessed"), "{log}");
    stack.stop().await
}

/// Who cannot speak TLS with us, and whom we could not believe.
#[tokio::test(flavor = "multi_thread")]
async fn failed_tls_is_logged() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let file = |name: &str| stack.dir.path().join(name).display().to_string();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(file("key.pem"), signing_key.serialize_pem())?;
    std::fs::write(file("cert.pem"), cert.pem())?;
    let tls = [
        ("TPM__API__TLS_CERTIFICATE", file("cert.pem")),
        ("TPM__API__TLS_KEY", file("key.pem")),
    ];
    let api = Api::start_with(&stack, "api", &tls)?;
    let address = api.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await?;
    // An alert, and the end of it.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    ensure!(!rest.starts_with(b"HTTP"), "{rest:?}");
    let lines = "/api/system/logs?text=not%20taken";
    until(&stack.client, lines, |page| {
        says(page, |line| {
            line["fields"]["error"]
                .to_string()
                .contains("corrupt message")
        })
    })
    .await?;

    // A cluster that shows another certificate than the pinned one.
    let pin = [
        ("TPM__PROXMOX__CA_FILE", String::new()),
        ("TPM__PROXMOX__FINGERPRINT", "ab".repeat(32)),
    ];
    let _worker = Worker::start_with(&stack, "worker", &pin)?;
    let lines = "/api/system/logs?level=warning&limit=500";
    until(&stack.client, lines, |page| {
        page["logs"].to_string().contains("certificate")
    })
    .await?;
    stack.stop().await
}

/// A worker tells what its token may not and need not.
#[tokio::test(flavor = "multi_thread")]
async fn privileges_that_do_not_fit_are_told() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .simulator(|config| {
            for role in &mut config.roles {
                role.privs = format!("{},Sys.Modify", role.privs.replace("VM.Backup,", ""));
            }
        })
        .start()
        .await?;
    let _worker = Worker::start(&stack, "worker")?;
    let lines = "/api/system/logs?level=warning&text=privileges&limit=500";
    until(&stack.client, lines, |page| {
        says(page, |line| {
            line["fields"]["missing"].to_string().contains("VM.Backup")
        }) && says(page, |line| {
            line["fields"]["excess"].to_string().contains("Sys.Modify")
        })
    })
    .await?;
    stack.stop().await
}
