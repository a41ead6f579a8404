//! A server that answers every request with the same bytes, or not at all.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// What it does with a request.
#[derive(Clone)]
pub(crate) enum Doing {
    /// Sends this and closes.
    Say(String),
    /// Sends this and then the second part, again and again, until nobody listens.
    Forever(String, String),
    /// Sends this and keeps the connection open.
    Stall(String),
    /// Closes without a byte.
    Drop,
}

pub(crate) struct Raw {
    address: std::net::SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Raw {
    pub(crate) async fn start(doing: Doing) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, doing.clone(), Arc::clone(&kept)));
            }
        });
        Self { address, heads }
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// The heads of all requests.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// An address nobody listens on.
pub(crate) async fn nobody() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap()
}

async fn serve(mut stream: TcpStream, doing: Doing, heads: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut seen).await.ok()? == 0 {
            return None;
        }
    }
    heads
        .lock()
        .unwrap()
        .push(String::from_utf8_lossy(&seen).into_owned());
    match doing {
        Doing::Say(bytes) => {
            stream.write_all(bytes.as_bytes()).await.ok()?;
            stream.shutdown().await.ok()
        }
        Doing::Forever(head, piece) => {
            stream.write_all(head.as_bytes()).await.ok()?;
            loop {
                stream.write_all(piece.as_bytes()).await.ok()?;
            }
        }
        Doing::Stall(bytes) => {
            stream.write_all(bytes.as_bytes()).await.ok()?;
            std::future::pending().await
        }
        Doing::Drop => None,
    }
}

/// A whole answer.
pub(crate) fn answer(status: &str, kind: &str, body: &str) -> Doing {
    let length = body.len();
    Doing::Say(format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}
