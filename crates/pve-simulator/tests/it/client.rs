//! A client that shows the raw answer: status text, headers, missing bodies, dropped connections.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tpm_pve_simulator::Simulator;

/// An answer as it came over the wire.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// Reads an answer from its text; `None` when there is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.splitn(3, ' ');
        let _version = first.next()?;
        Some(Self {
            status: first.next()?.parse().ok()?,
            reason: first.next().unwrap_or_default().to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        })
    }
}

/// Sends requests to one simulator, a connection for each.
#[derive(Clone)]
pub(crate) struct Client {
    connector: TlsConnector,
    address: String,
    pub(crate) token: String,
}

impl Client {
    pub(crate) fn new(simulator: &Simulator) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(simulator.ca_pem().as_bytes()).expect("ca");
        roots.add(ca).expect("ca");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            connector: TlsConnector::from(Arc::new(config)),
            address: simulator.url().trim_start_matches("https://").to_owned(),
            token: simulator.token(),
        }
    }

    /// Sends the bytes and reads until the connection ends.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        let stream = TcpStream::connect(&self.address).await.expect("connect");
        let name = ServerName::try_from("localhost").expect("name");
        let mut stream = self
            .connector
            .connect(name, stream)
            .await
            .expect("handshake");
        stream.write_all(bytes).await.expect("send");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Answer::parse(&String::from_utf8_lossy(&answer))
    }

    /// A request with the default token and a form body; `None` when the connection was dropped.
    pub(crate) async fn try_send(&self, method: &str, path: &str, form: &str) -> Option<Answer> {
        let mut head = format!(
            "{method} /api2/json{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: PVEAPIToken={}\r\n",
            self.token
        );
        if matches!(method, "POST" | "PUT") {
            head.push_str(&format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                form.len()
            ));
        }
        self.raw(format!("{head}\r\n{form}").as_bytes()).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, form: &str) -> Answer {
        self.try_send(method, path, form).await.expect("an answer")
    }

    /// Waits for a task and returns its exit status.
    pub(crate) async fn finish(&self, upid: &str) -> String {
        let node = upid.split(':').nth(1).expect("a upid");
        loop {
            let status = self
                .send("GET", &format!("/nodes/{node}/tasks/{upid}/status"), "")
                .await
                .data();
            if status["status"] == "stopped" {
                return status["exitstatus"].as_str().unwrap_or_default().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Starts a task that must be accepted, and waits for it.
    pub(crate) async fn task(&self, method: &str, path: &str, form: &str) -> String {
        let answer = self.send(method, path, form).await;
        let upid = answer.data().as_str().map(str::to_owned);
        self.finish(&upid.unwrap_or_else(|| panic!("{method} {path}: {answer:?}")))
            .await
    }
}
