//! Reads server-sent events as a browser does.

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::time::Duration;
use tpm_test_support::Client;

/// How long a test waits for an event before it counts as stuck.
const STUCK: Duration = Duration::from_secs(90);

/// An event.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) data: Value,
}

/// What comes over the connection.
enum Piece {
    Event(Told),
    Comment,
    End,
}

pub(super) struct Reader {
    response: reqwest::Response,
    text: String,
}

pub(super) async fn follow(client: &Client, after: Option<&str>) -> anyhow::Result<Reader> {
    follow_by(client.http(), client.base(), after, None).await
}

pub(super) async fn follow_by(
    http: &reqwest::Client,
    base: &str,
    after: Option<&str>,
    language: Option<&str>,
) -> anyhow::Result<Reader> {
    let mut request = http.get(format!("{base}/api/events"));
    if let Some(id) = after {
        request = request.header("Last-Event-ID", id);
    }
    if let Some(language) = language {
        request = request.header("Accept-Language", language);
    }
    opened(request).await
}

pub(super) async fn follow_with_key(
    http: &reqwest::Client,
    base: &str,
    key: &str,
) -> anyhow::Result<Reader> {
    opened(http.get(format!("{base}/api/events")).bearer_auth(key)).await
}

async fn opened(request: reqwest::RequestBuilder) -> anyhow::Result<Reader> {
    let response = request.send().await?;
    ensure!(response.status() == 200, "{}", response.status());
    let media = response.headers()["content-type"].to_str()?;
    ensure!(media == "text/event-stream", "{media}");
    Ok(Reader {
        response,
        text: String::new(),
    })
}

impl Reader {
    async fn piece(&mut self) -> anyhow::Result<Piece> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let piece: String = self.text.drain(..end + 2).collect();
                if piece.starts_with(':') {
                    return Ok(Piece::Comment);
                }
                let field = |name: &str| {
                    let mut lines = piece.lines();
                    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                };
                let field = |name: &str| field(name).with_context(|| format!("{name}: {piece}"));
                return Ok(Piece::Event(Told {
                    id: field("id")?.to_owned(),
                    kind: field("event")?.to_owned(),
                    data: serde_json::from_str(field("data")?)?,
                }));
            }
            let chunk = tokio::time::timeout(STUCK, self.response.chunk());
            match chunk.await.context("nothing comes")? {
                Ok(Some(bytes)) => self.text.push_str(std::str::from_utf8(&bytes)?),
                Ok(None) => return Ok(Piece::End),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next event.
    pub(super) async fn next(&mut self) -> anyhow::Result<Told> {
        loop {
            match self.piece().await? {
                Piece::Event(told) => return Ok(told),
                Piece::Comment => {}
                Piece::End => bail!("it ended"),
            }
        }
    }

    /// Events up to one, that one included.
    pub(super) async fn until(
        &mut self,
        last: impl Fn(&Told) -> bool,
    ) -> anyhow::Result<Vec<Told>> {
        let mut all = Vec::new();
        loop {
            let told = self.next().await?;
            let over = last(&told);
            all.push(told);
            if over {
                return Ok(all);
            }
        }
    }

    /// Waits for the end.
    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        while !matches!(self.piece().await?, Piece::End) {}
        Ok(())
    }

    /// Waits for a sign that the connection stands.
    pub(super) async fn heartbeat(&mut self) -> anyhow::Result<()> {
        loop {
            match self.piece().await? {
                Piece::Comment => return Ok(()),
                Piece::Event(_) => {}
                Piece::End => bail!("it ended"),
            }
        }
    }
}
