//! HTTP/1.1 by hand, because PVE's server breaks rules that libraries keep.
//!
//! Answers without length that end with the connection, free-text status lines, a header limit
//! that closes without a word. It speaks to API clients, not to browsers: no pipelining, no
//! chunked requests, no HTTP/2.

use std::io::Write as _;
use std::time::Duration;

use chrono::Utc;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::answer::Wire;

const MAX_HEADER: usize = 8192;
const MAX_LINES: usize = 64;
/// Larger bodies are refused.
pub(crate) const MAX_BODY: usize = 512 << 10;
/// Silent connections are closed after this.
const IDLE: Duration = Duration::from_secs(5);
const MAX_REQUESTS: usize = 100;

/// A request with its head; the body is read when it is known to be wanted.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    keep_alive: bool,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn content_length(&self) -> Option<usize> {
        self.header("content-length")?.trim().parse().ok()
    }
}

/// What becomes of a request.
pub(crate) enum Outcome {
    Answer(Wire),
    /// The connection closes without an answer.
    Drop,
}

/// A connection and what was read ahead on it.
pub(crate) struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Serves requests until the peer, an error or a limit ends it.
    pub(crate) async fn serve<F, Fut>(mut self, handle: F)
    where
        F: Fn(Request) -> Fut,
        Fut: Future<Output = Outcome>,
    {
        for served in 1..=MAX_REQUESTS {
            let Ok(Some(head)) = tokio::time::timeout(IDLE, self.read_head()).await else {
                break;
            };
            let Some(mut request) = parse_head(&head) else {
                break;
            };
            let length = request.content_length().unwrap_or_default();
            if length <= MAX_BODY && request.header("transfer-encoding").is_none() {
                match self.read_body(length).await {
                    Some(body) => request.body = body,
                    None => break,
                }
            }
            let keep_alive = request.keep_alive && served < MAX_REQUESTS;
            let takes_gzip = request
                .header("accept-encoding")
                .is_some_and(|text| text.contains("gzip"));
            let Outcome::Answer(wire) = handle(request).await else {
                break;
            };
            let keep_alive = keep_alive && wire.status < 400 && wire.body.is_some();
            if self
                .stream
                .write_all(&encode(wire, keep_alive, takes_gzip))
                .await
                .is_err()
            {
                break;
            }
            let _ = self.stream.flush().await;
            if !keep_alive {
                let _ = self.stream.shutdown().await;
                // the client may still be sending a body that nobody reads
                let _ = tokio::time::timeout(IDLE, self.drain()).await;
                break;
            }
        }
    }

    async fn drain(&mut self) {
        let mut chunk = [0_u8; 4096];
        while matches!(self.stream.read(&mut chunk).await, Ok(n) if n > 0) {}
    }

    async fn read_head(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self
                .buffer
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                let head = self.buffer.drain(..end + 4).collect::<Vec<u8>>();
                return (head.len() <= MAX_HEADER).then_some(head);
            }
            if self.buffer.len() > MAX_HEADER || !self.fill().await {
                return None;
            }
        }
    }

    async fn read_body(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !tokio::time::timeout(IDLE, self.fill())
                .await
                .unwrap_or_default()
            {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    async fn fill(&mut self) -> bool {
        let mut chunk = [0_u8; 16_384];
        match self.stream.read(&mut chunk).await {
            Ok(n) if n > 0 => {
                self.buffer.extend_from_slice(&chunk[..n]);
                true
            }
            _ => false,
        }
    }
}

fn parse_head(head: &[u8]) -> Option<Request> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
    let mut first = lines.next()?.split(' ');
    let method = first.next()?.to_owned();
    let target = first.next()?;
    let version = first.next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    if headers.len() > MAX_LINES {
        return None;
    }
    let connection = headers
        .iter()
        .find(|(name, _)| name == "connection")
        .map(|(_, value)| value.to_ascii_lowercase())
        .unwrap_or_default();
    Some(Request {
        keep_alive: if version == "HTTP/1.1" {
            connection != "close"
        } else {
            connection == "keep-alive"
        },
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
    })
}

/// Smaller bodies are not worth compressing.
const MIN_GZIP: usize = 1024;

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn encode(mut wire: Wire, keep_alive: bool, takes_gzip: bool) -> Vec<u8> {
    let squeezed = match &wire.body {
        Some(body) if takes_gzip && body.len() > MIN_GZIP => gzip(body),
        _ => None,
    };
    if squeezed.is_some() {
        wire.body = squeezed;
        return encode_as(&wire, keep_alive, "Content-Encoding: gzip\r\n");
    }
    encode_as(&wire, keep_alive, "")
}

fn encode_as(wire: &Wire, keep_alive: bool, encoding: &str) -> Vec<u8> {
    let date = Utc::now().format("%a, %d %b %Y %H:%M:%S GMT");
    let reason: String = wire.reason.chars().filter(|c| !c.is_control()).collect();
    let mut head = format!(
        "HTTP/1.1 {} {reason}\r\nCache-Control: max-age=0\r\n",
        wire.status
    );
    head.push_str(if keep_alive {
        "Connection: Keep-Alive\r\n"
    } else {
        "Connection: close\r\n"
    });
    head.push_str(&format!(
        "Date: {date}\r\nPragma: no-cache\r\nServer: pve-api-daemon/3.0\r\n"
    ));
    if let Some(body) = &wire.body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    if let Some(content_type) = wire.content_type {
        head.push_str(&format!("Content-Type: {content_type}\r\n"));
    }
    head.push_str(encoding);
    head.push_str(&format!("Expires: {date}\r\n\r\n"));
    let mut bytes = head.into_bytes();
    if let Some(body) = &wire.body {
        bytes.extend_from_slice(body);
    }
    bytes
}
