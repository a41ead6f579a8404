//! Requests that no client of good will sends, byte by byte.

use anyhow::{Context, ensure};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tpm_test_support::Stack;

/// How long the other end may take to close.
const STUCK: Duration = Duration::from_secs(30);
/// What is hidden in the body of another request; it would be answered with 200.
const HIDDEN: &str = "GET /healthz?hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Sends these bytes; the statuses of all that is answered until the other end closes.
async fn statuses(stack: &Stack, bytes: &[u8]) -> anyhow::Result<Vec<u16>> {
    let address = stack.client.base().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).await?;
    // It may be closed before everything is sent.
    stream.write_all(bytes).await.ok();
    let mut all = Vec::new();
    let read = tokio::time::timeout(STUCK, stream.read_to_end(&mut all));
    let _ = read.await.context("the connection stays open")?;
    let text = String::from_utf8_lossy(&all);
    let heads = text.split("HTTP/1.1 ").skip(1);
    heads
        .map(|head| head.get(..3).unwrap_or(head).parse().context("a status"))
        .collect()
}

/// Where a request ends must not be in doubt: a proxy in front could see two where we see one.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_can_be_read_in_two_ways_is_refused() -> anyhow::Result<()> {
    let builder = Stack::builder().set("API__HEADER_TIMEOUT_SECS", 1);
    let stack = builder.start().await?;
    let whole = HIDDEN.len();
    let chunked = format!("0\r\n\r\n{HIDDEN}");
    let beyond = chunked.len();
    let login = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let cases = [
        (
            "both lengths",
            format!(
                "{login}Content-Length: {beyond}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"
            ),
        ),
        (
            "both lengths, the other way round",
            format!(
                "{login}Transfer-Encoding: chunked\r\nContent-Length: {beyond}\r\n\r\n{chunked}"
            ),
        ),
        (
            "two lengths",
            format!("{login}Content-Length: 0\r\nContent-Length: {whole}\r\n\r\n{HIDDEN}"),
        ),
        (
            "a list of lengths",
            format!("{login}Content-Length: 0, {whole}\r\n\r\n{HIDDEN}"),
        ),
        (
            "a length with a sign",
            format!("{login}Content-Length: +{whole}\r\n\r\n{HIDDEN}"),
        ),
        (
            "a length in hex",
            format!("{login}Content-Length: 0x0\r\n\r\n{HIDDEN}"),
        ),
        (
            "an encoding that is not chunked",
            format!("{login}Transfer-Encoding: xchunked\r\n\r\n{chunked}"),
        ),
        (
            "chunked and then something else",
            format!("{login}Transfer-Encoding: chunked, identity\r\n\r\n{chunked}"),
        ),
        (
            "a space before the colon",
            format!("{login}Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n{chunked}"),
        ),
        (
            "a folded line",
            format!(
                "{login}Transfer-Encoding:\r\n chunked\r\nContent-Length: {beyond}\r\n\r\n{chunked}"
            ),
        ),
        (
            "a chunk's length with a sign",
            format!("{login}Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n{HIDDEN}"),
        ),
        (
            "a chunk's length beyond 64 bit",
            format!("{login}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n{HIDDEN}"),
        ),
        (
            "a line feed alone in the chunk",
            format!("{login}Transfer-Encoding: chunked\r\n\r\n0\n\n{HIDDEN}"),
        ),
        (
            "NUL in a value",
            format!("{login}X-A: a\0b\r\nContent-Length: 0\r\n\r\n{HIDDEN}"),
        ),
    ];
    for (what, bytes) in cases {
        let found = statuses(&stack, bytes.as_bytes()).await.context(what)?;
        ensure!(
            found.len() <= 1 && found.iter().all(|status| (400..500).contains(status)),
            "{what}: {found:?}"
        );
    }
    // The hidden one is well by itself, and so is what a good client sends one after the other.
    let two = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n{HIDDEN}");
    ensure!(statuses(&stack, two.as_bytes()).await? == [200, 200]);
    stack.stop().await
}

/// A body that does not come costs neither the connection nor a handler for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() -> anyhow::Result<()> {
    let builder = Stack::builder()
        .set("API__HEADER_TIMEOUT_SECS", 1)
        .set("API__REQUEST_TIMEOUT_SECS", 1);
    let stack = builder.start().await?;
    let login = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    for length in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let bytes = format!("{login}{length}\r\n\r\n");
        let found = statuses(&stack, bytes.as_bytes()).await.context(length)?;
        ensure!(found == [503], "{length}: {found:?}");
    }
    stack.stop().await
}

/// What is too large is refused before it is kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused() -> anyhow::Result<()> {
    let builder = Stack::builder().set("API__HEADER_TIMEOUT_SECS", 1);
    let stack = builder.start().await?;
    let big = "a".repeat(600_000);
    let many: String = (0..500).map(|n| format!("X-{n}: 1\r\n")).collect();
    let cases = [
        ("a long path", format!("GET /{big} HTTP/1.1\r\nHost: x\r\n\r\n")),
        ("a large header", format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: {big}\r\n\r\n")),
        ("many headers", format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n")),
        (
            "a body of 1 TB",
            "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n{}"
                .to_owned(),
        ),
    ];
    for (what, bytes) in cases {
        let found = statuses(&stack, bytes.as_bytes()).await.context(what)?;
        ensure!(
            matches!(found[..], [] | [400 | 413 | 414 | 431]),
            "{what}: {found:?}"
        );
    }
    stack.stop().await
}
