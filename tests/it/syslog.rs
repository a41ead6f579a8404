//! What is logged goes to another system as well, which is known by its certificate.

use crate::several::fleet::Api;
use anyhow::{Context, ensure};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tpm_test_support::{Client, Stack};

/// How long something may take before it counts as stuck.
const STUCK: Duration = Duration::from_secs(60);

/// A receiver: its address, its certificate, and what takes a connection.
async fn receiver() -> anyhow::Result<(TcpListener, String, TlsAcceptor)> {
    let names = ["127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok((listener, cert.pem(), TlsAcceptor::from(Arc::new(config))))
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_to_another_system_and_to_nobody_else() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let (listener, certificate, acceptor) = receiver().await?;
    let (_, other, _) = receiver().await?;
    let file = |name: &str| stack.dir.path().join(name).display().to_string();
    std::fs::write(file("ca.pem.right"), certificate)?;
    std::fs::write(file("ca.pem.wrong"), other)?;
    let place = listener.local_addr()?.to_string();
    let own = |ca: &str| {
        let place = place.clone();
        [
            ("TPM__LOG__SYSLOG", place),
            ("TPM__LOG__SYSLOG_CA_FILE", file(ca)),
        ]
    };
    // Somebody else in its place is told nothing.
    let doubting = Api::start_with(&stack, "doubting", &own("ca.pem.wrong"))?;
    let (stream, _) = tokio::time::timeout(STUCK, listener.accept()).await??;
    ensure!(acceptor.accept(stream).await.is_err(), "believed");
    drop(doubting);
    let said = std::fs::read_to_string(file("doubting.log"))?;
    ensure!(said.contains("is ready"), "{said}");

    let api = Api::start_with(&stack, "api", &own("ca.pem.right"))?;
    let mut stream = loop {
        // What the other one left behind is not the right one's.
        let (stream, _) = tokio::time::timeout(STUCK, listener.accept()).await??;
        if let Ok(stream) = acceptor.accept(stream).await {
            break stream;
        }
    };
    let nobody = reqwest::Client::builder().no_proxy().build()?;
    let unknown = nobody.get(format!("{}/api/servers", api.url()));
    let answer = unknown.bearer_auth("guessed-key").send().await?;
    ensure!(answer.status() == 401);
    let mut told = String::new();
    let mut buffer = vec![0; 4096];
    while !(told.contains("is ready") && told.contains("\"code\":\"UNAUTHENTICATED\"")) {
        let read = tokio::time::timeout(STUCK, stream.read(&mut buffer));
        let read = read.await.with_context(|| told.clone())??;
        ensure!(read > 0, "{told}");
        told.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    ensure!(
        told.contains(">1 ") && !told.contains("guessed-key"),
        "{told}"
    );
    // The service goes on without it.
    drop((stream, listener));
    let client = Client::new(api.url())?;
    ensure!(client.get("/healthz").await?.status == 200);
    stack.stop().await
}
