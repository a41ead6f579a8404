//! A server that hands every request to a function and sends back what it says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tpm_pve_client::Url;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What to do with a request.
pub(crate) enum Answer {
    /// Send these bytes and wait for the next request.
    Keep(Vec<u8>),
    /// Send these bytes and close.
    Close(Vec<u8>),
    /// Close without a byte.
    Drop,
    /// Never answer.
    Hang,
}

type Handler = dyn Fn(&Seen) -> Answer + Send + Sync;

pub(crate) struct Server {
    address: SocketAddr,
    tls: bool,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::run(handler, None).await
    }

    pub(crate) async fn with_tls(
        acceptor: TlsAcceptor,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::run(handler, Some(acceptor)).await
    }

    async fn run(
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
        acceptor: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            address,
            tls: acceptor.is_some(),
            seen: Arc::clone(&seen),
        };
        let handler: Arc<Handler> = Arc::new(handler);
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, connection, &*handler, &seen).await,
                        // a client that does not trust us hangs up here
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => serve(stream, connection, &*handler, &seen).await,
                            Err(_) => None,
                        },
                    }
                });
                connection += 1;
            }
        });
        server
    }

    pub(crate) fn url(&self) -> Url {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address).parse().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// An address nobody listens on.
pub(crate) async fn nobody() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap()
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    connection: usize,
    handler: &Handler,
    seen: &Mutex<Vec<Seen>>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let request = read_request(&mut stream, &mut buffer, connection).await?;
        seen.lock().unwrap().push(request.clone());
        match handler(&request) {
            Answer::Keep(bytes) => stream.write_all(&bytes).await.ok()?,
            Answer::Close(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                return stream.shutdown().await.ok();
            }
            Answer::Drop => return None,
            Answer::Hang => std::future::pending().await,
        }
        stream.flush().await.ok()?;
    }
}

async fn read_request<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    connection: usize,
) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut words = head.split(' ');
    let mut seen = Seen {
        connection,
        method: words.next().unwrap().to_owned(),
        target: words.next().unwrap().to_owned(),
        head: head.clone(),
        body: String::new(),
    };
    let length: usize = seen
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    buffer.drain(..head_end + 4);
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = String::from_utf8(buffer.drain(..length).collect()).unwrap();
    Some(seen)
}

/// An answer with a JSON body.
pub(crate) fn json(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json;charset=UTF-8\r\n\
         Connection: Keep-Alive\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An answer with `data` only.
pub(crate) fn data(data: &str) -> Answer {
    Answer::Keep(json("200 OK", &format!(r#"{{"data":{data}}}"#)))
}

/// An error as PVE prints it, text in both places.
pub(crate) fn refused(status: u16, text: &str) -> Answer {
    let body = format!(r#"{{"data":null,"message":"{text}\n"}}"#);
    Answer::Close(json(&format!("{status} {text}"), &body))
}

/// An error without a body, as for 401 and 595.
pub(crate) fn bare(status: u16, text: &str) -> Answer {
    Answer::Close(format!("HTTP/1.1 {status} {text}\r\nConnection: close\r\n\r\n").into_bytes())
}
