//! What a process logs, on its way to another system: syslog (RFC 5424) over TLS (RFC 5425). Lines wait for a receiver that
//! is away, up to a bound; how many were lost is told. Whoever takes this machine over cannot take back what was sent.

use anyhow::Context as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tpm_settings::Log;
use tpm_store::{LogLevel, LogLine};

/// Lines that wait at most.
const WAITING: usize = 10_000;
/// How long to wait before a receiver that was away is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Longest time a connection or a line may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The facility `local0`.
const FACILITY: u8 = 16;

/// Where lines are sent to, and who is believed to be there.
#[derive(Clone)]
pub(crate) struct Receiver {
    place: String,
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({})", self.place)
    }
}

impl Receiver {
    /// The one that is configured, if any.
    ///
    /// # Errors
    /// When its name is none, or the CA's file cannot be read.
    pub(crate) fn new(settings: &Log) -> anyhow::Result<Option<Self>> {
        if settings.syslog.is_empty() {
            return Ok(None);
        }
        let place = settings.syslog.clone();
        let host = place.rsplit_once(':').map_or(&*place, |(host, _)| host);
        let host = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).context("log.syslog")?;
        let file = &settings.syslog_ca_file;
        let about = || format!("log.syslog_ca_file: {}", file.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).with_context(about)? {
            roots
                .add(certificate.with_context(about)?)
                .with_context(about)?;
        }
        anyhow::ensure!(!roots.is_empty(), "{}: there is no certificate", about());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(Self {
            place,
            name,
            connector: TlsConnector::from(Arc::new(config)),
        }))
    }

    async fn connect(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let connected = async {
            let stream = TcpStream::connect(&self.place).await?;
            let name = self.name.clone();
            Ok(self.connector.connect(name, stream).await?)
        };
        tokio::time::timeout(PATIENCE, connected).await?
    }
}

/// Takes lines, and never waits.
#[derive(Debug)]
pub(crate) struct Shipper {
    lines: mpsc::Sender<LogLine>,
    lost: Arc<AtomicU64>,
    sending: tokio::task::JoinHandle<()>,
}

impl Shipper {
    /// Begins to send, as this machine and process.
    pub(crate) fn start(receiver: Receiver, host: String, pid: u32) -> Self {
        let (lines, waiting) = mpsc::channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&lost);
        let sending = tokio::spawn(async move {
            let head = Head { host, pid };
            send(&receiver, &head, waiting, &told).await;
        });
        Self {
            lines,
            lost,
            sending,
        }
    }

    pub(crate) fn take(&self, lines: &[LogLine]) {
        for line in lines {
            if self.lines.try_send(line.clone()).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Sends what waits, as long as somebody waits for it.
    pub(crate) async fn end(self) {
        drop(self.lines);
        let abort = self.sending.abort_handle();
        let _ended = AbortOnDrop(abort);
        // A panic there was told already.
        let _ = self.sending.await;
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What every message says of its process.
struct Head {
    host: String,
    pid: u32,
}

async fn send(
    receiver: &Receiver,
    head: &Head,
    mut waiting: mpsc::Receiver<LogLine>,
    lost: &AtomicU64,
) {
    let mut stream = None;
    let mut away = false;
    while let Some(line) = waiting.recv().await {
        let text = message(head, &line, lost.swap(0, Ordering::Relaxed));
        loop {
            let done = write(receiver, &mut stream, &text).await;
            let Err(error) = done else {
                away = false;
                break;
            };
            stream = None;
            if !away {
                away = true;
                tracing::warn!(
                    receiver = receiver.place,
                    "logs wait for their receiver: {error:#}"
                );
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
    if let Some(mut stream) = stream {
        // It is over anyhow.
        let _ = stream.shutdown().await;
    }
}

async fn write(
    receiver: &Receiver,
    stream: &mut Option<TlsStream<TcpStream>>,
    text: &str,
) -> anyhow::Result<()> {
    let stream = match stream {
        Some(stream) => stream,
        None => stream.insert(receiver.connect().await?),
    };
    let written = async {
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    };
    Ok(tokio::time::timeout(PATIENCE, written).await??)
}

/// A line as one message, with its length before it. What is said is JSON, which has no line breaks.
fn message(head: &Head, line: &LogLine, lost: u64) -> String {
    let severity = match line.level {
        LogLevel::Error => 3,
        LogLevel::Warning => 4,
        LogLevel::Info => 6,
        LogLevel::Debug | LogLevel::Trace => 7,
    };
    let at = chrono::DateTime::from_timestamp_millis(line.at.0).unwrap_or_default();
    let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let fields: Value = serde_json::from_str(&line.fields).unwrap_or_else(|_| json!({}));
    let mut said = json!({
        "level": line.level.as_str(),
        "process": line.process,
        "target": line.target,
        "message": line.message,
        "fields": fields,
    });
    if lost > 0 {
        said["lost_before"] = json!(lost);
    }
    let word = |text: &str| -> String {
        let plain = text.chars().filter(char::is_ascii_graphic).take(48);
        let plain: String = plain.collect();
        if plain.is_empty() { "-".into() } else { plain }
    };
    let priority = FACILITY * 8 + severity;
    let (host, name, pid) = (word(&head.host), word(&line.process), head.pid);
    let text = format!("<{priority}>1 {at} {host} {name} {pid} - - {said}");
    format!("{} {text}", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpm_domain::Timestamp;

    #[test]
    fn a_message_is_one_and_says_all() {
        let head = Head {
            host: "a b\n".into(),
            pid: 7,
        };
        let line = LogLine {
            at: Timestamp(1_700_000_000_123),
            level: LogLevel::Warning,
            process: "api-1".into(),
            target: "tpm_api".into(),
            message: "no\n<0>1 forged".into(),
            fields: "{\"code\":\"X\"}".into(),
        };
        let text = message(&head, &line, 3);
        let (length, rest) = text.split_once(' ').unwrap_or_default();
        assert_eq!(length.parse(), Ok(rest.len()));
        let begins = "<132>1 2023-11-14T22:13:20.123Z ab api-1 7 - - {";
        assert!(rest.starts_with(begins) && !rest.contains('\n'), "{rest}");
        let said: Value = serde_json::from_str(&rest[begins.len() - 1..]).unwrap_or_default();
        assert_eq!(said["message"], "no\n<0>1 forged");
        assert_eq!(
            (&said["lost_before"], &said["fields"]["code"]),
            (&json!(3), &json!("X"))
        );
        assert!(!message(&head, &line, 0).contains("lost_before"));
    }
}
