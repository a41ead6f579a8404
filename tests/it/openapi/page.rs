//! The page that shows the document: everything it is made of is served here, and it may ask nobody else.

use anyhow::{Context, ensure};
use tpm_test_support::{Client, Stack};

async fn text(client: &Client, path: &str) -> anyhow::Result<(reqwest::header::HeaderMap, String)> {
    let answer = client
        .http()
        .get(format!("{}{path}", client.base()))
        .send()
        .await?;
    ensure!(answer.status() == 200, "{path}: {}", answer.status());
    let headers = answer.headers().clone();
    Ok((headers, answer.text().await?))
}

/// What `attribute="…"` is set to, everywhere in a page.
fn values<'p>(page: &'p str, attribute: &str) -> Vec<&'p str> {
    let begin = format!("{attribute}=\"");
    page.split(&begin)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_made_of_what_is_served_here() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    // Nobody has to be logged in.
    let client = Client::new(stack.client.base())?;
    let (headers, page) = text(&client, "/api/docs").await?;
    let policy = headers["content-security-policy"].to_str()?;
    for part in [
        "default-src 'none'",
        "script-src 'self';",
        "connect-src 'self';",
    ] {
        ensure!(policy.contains(part), "{policy}");
    }
    ensure!(
        !policy.contains("http") && !policy.contains('*'),
        "{policy}"
    );
    let mut files = values(&page, "src");
    files.extend(values(&page, "href"));
    ensure!(files.len() == 4, "{files:?}");
    for file in files.into_iter().filter(|file| *file != "data:,") {
        ensure!(!file.contains("//") && !file.starts_with('/'), "{file}");
        let (headers, content) = text(&client, &format!("/api/{file}")).await?;
        let kind = if file.ends_with(".css") {
            "text/css"
        } else {
            "text/javascript"
        };
        ensure!(
            headers["content-type"].to_str()?.starts_with(kind),
            "{file}"
        );
        ensure!(content.len() > 100, "{file}: {} bytes", content.len());
    }
    let (_, start) = text(&client, "/api/docs/start.js").await?;
    let url = start
        .split("url: \"")
        .nth(1)
        .context("the document's place")?;
    let document = url.split('"').next().unwrap_or_default();
    let (headers, content) = text(&client, &format!("/api/{document}")).await?;
    ensure!(headers["content-type"] == "application/json", "{headers:?}");
    ensure!(
        content.starts_with("{\"openapi\":\"3.1.0\""),
        "{content:.60}"
    );
    for gone in [
        "index.html",
        "..%2f..%2fetc%2fpasswd",
        "swagger-initializer.js",
    ] {
        let reply = client.get(&format!("/api/docs/{gone}")).await?;
        ensure!(
            reply.status == 404 && reply.body["error"]["code"] == "NOT_FOUND",
            "{gone}: {}",
            reply.status
        );
    }
    stack.stop().await
}
