//! The web page: served where the API is, under a policy of its own; where it was not built, a sentence says how.

use anyhow::{Context, ensure};
use reqwest::header::{self, HeaderMap};
use tpm_test_support::Stack;

async fn get(
    stack: &Stack,
    path: &str,
    more: &[(header::HeaderName, &str)],
) -> anyhow::Result<(u16, HeaderMap, Vec<u8>)> {
    let http = reqwest::Client::builder().no_proxy().no_gzip().build()?;
    let mut request = http.get(format!("{}{path}", stack.client.base()));
    for (name, value) in more {
        request = request.header(name, *value);
    }
    let reply = request.send().await?;
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    Ok((status, headers, reply.bytes().await?.to_vec()))
}

fn is(headers: &HeaderMap, name: header::HeaderName, expected: &str) -> bool {
    headers.get(name).is_some_and(|value| value == expected)
}

const HTML: (header::HeaderName, &str) = (header::ACCEPT, "text/html,*/*;q=0.8");

#[tokio::test(flavor = "multi_thread")]
async fn the_page_stands_beside_the_api() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    // What is the API's stays so, whoever asks.
    for path in ["/api/nope", "/healthz/x", "/metrics/x"] {
        let (status, headers, body) = get(&stack, path, &[HTML]).await?;
        ensure!(
            status == 404 && is(&headers, header::CONTENT_TYPE, "application/json"),
            "{path}"
        );
        ensure!(body.starts_with(b"{\"error\""), "{path}");
    }
    let (status, _, _) = get(&stack, "/assets/nothing.js", &[]).await?;
    ensure!(status == 404);
    let (status, headers, body) = get(&stack, "/", &[HTML]).await?;
    ensure!(status == 200);
    if tpm_web::index().is_none() {
        ensure!(String::from_utf8(body)?.contains("npm run build"));
        let (status, _, _) = get(&stack, "/servers", &[HTML]).await?;
        ensure!(status == 404, "there is no page");
        return stack.stop().await;
    }
    ensure!(
        is(&headers, header::CONTENT_TYPE, "text/html; charset=utf-8"),
        "{headers:?}"
    );
    ensure!(
        is(&headers, header::CACHE_CONTROL, "no-cache"),
        "{headers:?}"
    );
    let policy = headers
        .get(header::CONTENT_SECURITY_POLICY)
        .context("a policy")?;
    ensure!(
        policy.to_str()?.contains("script-src 'self';"),
        "{policy:?}"
    );
    let page = String::from_utf8(body)?;
    // Every address of the page is the page.
    let (status, _, deep) = get(&stack, "/servers/1?tab=tasks", &[HTML]).await?;
    ensure!(status == 200 && deep == page.as_bytes());
    let (status, _, _) = get(&stack, "/servers/1", &[]).await?;
    ensure!(status == 404, "a program wants no page");

    let tag = headers.get(header::ETAG).context("a tag")?.to_str()?;
    let (status, _, body) = get(&stack, "/", &[HTML, (header::IF_NONE_MATCH, tag)]).await?;
    ensure!(status == 304 && body.is_empty());
    let script = page
        .split("src=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let script = script.context("a script")?;
    let (status, headers, plain) = get(&stack, script, &[]).await?;
    ensure!(
        status == 200
            && is(
                &headers,
                header::CONTENT_TYPE,
                "text/javascript; charset=utf-8"
            )
    );
    let kept = headers.get(header::CACHE_CONTROL).context("for how long")?;
    ensure!(kept.to_str()?.contains("immutable"), "{kept:?}");
    let gzip = [(header::ACCEPT_ENCODING, "gzip")];
    let (_, headers, packed) = get(&stack, script, &gzip).await?;
    ensure!(is(&headers, header::CONTENT_ENCODING, "gzip") && packed.len() < plain.len());
    ensure!(packed.starts_with(&[0x1f, 0x8b]));
    stack.stop().await
}
