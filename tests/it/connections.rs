//! What the api's connections are bound to: TLS, time and number.

use anyhow::{Context, ensure};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tpm_bootstrap::Service;
use tpm_bootstrap::embed::settings;
use tpm_test_support::Stack;

/// How long something may take before it counts as stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Writes a new certificate for this machine; its PEM.
fn certificate(folder: &Path) -> anyhow::Result<String> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
    // The key first: it is the certificate that is looked at last.
    std::fs::write(folder.join("key.pem"), signing_key.serialize_pem())?;
    std::fs::write(folder.join("cert.pem"), cert.pem())?;
    Ok(cert.pem())
}

fn trusting(pem: &str) -> anyhow::Result<reqwest::Client> {
    let root = reqwest::Certificate::from_pem(pem.as_bytes())?;
    Ok(reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .build()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_speaks_tls_and_takes_up_a_new_certificate() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let first = certificate(folder.path())?;
    let stack = Stack::builder().start().await?;
    let mut environment = stack.environment.clone();
    for (key, file) in [("CERTIFICATE", "cert.pem"), ("KEY", "key.pem")] {
        let file = folder.path().join(file).display().to_string();
        environment.insert(format!("TPM__API__TLS_{key}"), file);
    }
    let empty = tempfile::Builder::new().suffix(".toml").tempfile()?;
    let settings = settings::load_from(Some(empty.path()), environment)?;
    let api = Service::open(settings).await?.api().await?;
    let base = api.url().to_owned();
    ensure!(base.starts_with("https://"), "{base}");
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api.serve(stop.clone()));
    let alive = format!("{base}/healthz");
    let answer = trusting(&first)?.get(&alive).send().await?;
    ensure!(answer.status() == 200 && answer.version() == reqwest::Version::HTTP_2);
    let told = &answer.headers()["strict-transport-security"];
    ensure!(told == "max-age=31536000; includeSubDomains", "{told:?}");
    // The cookies are for HTTPS and for this host alone, as their names say.
    let body = serde_json::json!({ "username": "admin", "password": tpm_test_support::PASSWORD });
    let login = trusting(&first)?
        .post(format!("{base}/api/auth/login"))
        .json(&body);
    let login = login.send().await?;
    ensure!(login.status() == 200, "{login:?}");
    let cookies = login.headers().get_all("set-cookie").iter();
    let cookies: Vec<&str> = cookies.filter_map(|it| it.to_str().ok()).collect();
    let names = ["__Host-tpm_session=", "__Host-tpm_device="];
    ensure!(cookies.len() == names.len(), "{cookies:?}");
    for (cookie, name) in cookies.iter().zip(names) {
        let said: Vec<&str> = cookie.split("; ").skip(1).collect();
        ensure!(
            cookie.starts_with(name)
                && said.contains(&"Secure")
                && said.contains(&"Path=/")
                && !cookie.contains("Domain"),
            "{cookie}"
        );
    }
    // Under the name without the prefix, which others could have set, it is nobody's.
    let session = cookies[0].split(';').next().context("a cookie")?;
    let plainly = session.trim_start_matches("__Host-");
    for (cookie, status) in [(session, 200), (plainly, 401)] {
        let me = trusting(&first)?.get(format!("{base}/api/auth/me"));
        let me = me.header("cookie", cookie).send().await?;
        ensure!(me.status() == status, "{cookie}: {me:?}");
    }
    // Not without TLS, and not with a certificate that nobody knows.
    let plain = reqwest::Client::builder().no_proxy().build()?;
    ensure!(
        plain
            .get(alive.replace("https", "http"))
            .send()
            .await
            .is_err()
    );
    ensure!(plain.get(&alive).send().await.is_err());

    // A broken file changes nothing; a good one is taken up.
    std::fs::write(folder.path().join("cert.pem"), "no certificate")?;
    ensure!(trusting(&first)?.get(&alive).send().await?.status() == 200);
    let second = certificate(folder.path())?;
    let since = Instant::now();
    while trusting(&second)?.get(&alive).send().await.is_err() {
        ensure!(
            since.elapsed() < STUCK,
            "the new certificate is not taken up"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(trusting(&first)?.get(&alive).send().await.is_err());
    stop.cancel();
    serving.await??;
    stack.stop().await
}

/// The first words of a TLS client: up to this version, with these ciphers.
fn hello(version: u16, ciphers: &[u16]) -> Vec<u8> {
    let words = |all: &[u16]| {
        all.iter()
            .flat_map(|one| one.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    // A length of two bytes before.
    let long = |body: Vec<u8>| {
        let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
        [length.to_vec(), body].concat()
    };
    let extension = |kind: u16, all: &[u16]| [words(&[kind]), long(long(words(all)))].concat();
    let groups = extension(10, &[0x001d, 0x0017]);
    let signatures = extension(13, &[0x0403, 0x0804, 0x0401, 0x0203, 0x0201]);
    let body = [
        words(&[version]),
        vec![7; 32],
        vec![0],
        long(words(ciphers)),
        vec![1, 0],
        long([groups, signatures].concat()),
    ]
    .concat();
    let handshake = [vec![1, 0], long(body)].concat();
    [vec![0x16, 3, 1], long(handshake)].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_tls_and_weak_ciphers_are_refused() -> anyhow::Result<()> {
    const ALERT: u8 = 0x15;
    const HANDSHAKE: u8 = 0x16;
    let folder = tempfile::tempdir()?;
    certificate(folder.path())?;
    let stack = Stack::builder().start().await?;
    let mut environment = stack.environment.clone();
    for (key, file) in [("CERTIFICATE", "cert.pem"), ("KEY", "key.pem")] {
        let file = folder.path().join(file).display().to_string();
        environment.insert(format!("TPM__API__TLS_{key}"), file);
    }
    let empty = tempfile::Builder::new().suffix(".toml").tempfile()?;
    let settings = settings::load_from(Some(empty.path()), environment)?;
    let api = Service::open(settings).await?.api().await?;
    let address = api.url().trim_start_matches("https://").to_owned();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api.serve(stop.clone()));
    // ECDHE with AES-GCM; the same with CBC and SHA-1; without forward secrecy; 3DES; RC4; none at all; export.
    let (good, weak) = (
        0xc02b,
        [
            0xc009, 0xc023, 0x009c, 0x002f, 0x000a, 0x0005, 0xc006, 0x0008,
        ],
    );
    let mut cases = vec![
        (0x0303, vec![good], HANDSHAKE),
        (0x0303, weak.to_vec(), ALERT),
    ];
    cases.extend(weak.map(|cipher| (0x0303, vec![cipher], ALERT)));
    // TLS 1.1, TLS 1.0, SSL 3.
    cases.extend(
        [0x0302, 0x0301, 0x0300].map(|version| (version, vec![good, 0xc009, 0x002f], ALERT)),
    );
    for (version, ciphers, wanted) in cases {
        let mut stream = TcpStream::connect(&address).await?;
        stream.write_all(&hello(version, &ciphers)).await?;
        let mut first = [0];
        let read = tokio::time::timeout(STUCK, stream.read_exact(&mut first));
        read.await.context("no answer")??;
        ensure!(
            first == [wanted],
            "{version:04x} {ciphers:04x?}: {first:02x?}"
        );
    }
    stop.cancel();
    serving.await??;
    stack.stop().await
}

/// A database elsewhere is not even spoken to when it could be anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_on_another_machine_is_not_trusted_blindly() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let empty = tempfile::Builder::new().suffix(".toml").tempfile()?;
    // Nobody answers there, and nobody is asked.
    let opened = async |url: &str, unencrypted: &str| {
        let mut environment = stack.environment.clone();
        environment.insert("TPM__DATABASE__URL".into(), url.into());
        environment.insert("TPM__SECURITY__UNENCRYPTED".into(), unencrypted.into());
        let settings = settings::load_from(Some(empty.path()), environment)?;
        let opened = Service::open(settings).await.map(|_| ());
        let error = opened.err().context("opened")?;
        anyhow::Ok(format!("{error:#}"))
    };
    for url in [
        "postgres://tpm:secret-word@192.0.2.1:1/tpm",
        "postgres://tpm:secret-word@192.0.2.1:1/tpm?sslmode=require",
        "postgres://tpm:secret-word@localhost:1/tpm?host=192.0.2.1",
    ] {
        let told = opened(url, "").await?;
        ensure!(told.contains("sslmode=verify-full"), "{told}");
        ensure!(!told.contains("secret-word"), "{told}");
    }
    // On this machine, or where somebody said so, it is tried.
    for (url, said) in [
        ("postgres://tpm@127.0.0.1:1/tpm", ""),
        ("postgres://tpm@127.0.0.1:1/tpm?sslmode=disable", "database"),
    ] {
        let told = opened(url, said).await?;
        ensure!(!told.contains("sslmode"), "{told}");
    }
    stack.stop().await
}

/// Reads until the other end closes; what came.
async fn rest(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(STUCK, stream.read_to_end(&mut all));
    // A reset is an end, too.
    let _ = read.await.context("the connection stays open")?;
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_slowly_or_too_often_is_cut_off() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("API__HEADER_TIMEOUT_SECS", 1)
        .set("API__MAX_CONNECTIONS", 8)
        .start()
        .await?;
    let api = stack.service.api().await?;
    let address = api.url().trim_start_matches("http://").to_owned();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(api.serve(stop.clone()));
    // Nothing, nothing more after a first request, half a head, and half of a second one.
    for (before, half) in [
        ("", ""),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", ""),
        ("", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        (
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /healthz HTTP/1.1\r\n",
        ),
    ] {
        let mut slow = TcpStream::connect(&address).await?;
        slow.write_all(before.as_bytes()).await?;
        if !before.is_empty() {
            let mut head = [0; 12];
            slow.read_exact(&mut head).await?;
            ensure!(head == *b"HTTP/1.1 200", "{head:?}");
        }
        slow.write_all(half.as_bytes()).await?;
        rest(&mut slow)
            .await
            .with_context(|| format!("{before}{half}"))?;
    }
    // As many as there are places stay; one more is closed without a word, and the others go on.
    let mut open = Vec::new();
    for n in 0..8 {
        let mut stream = TcpStream::connect(&address).await?;
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await?;
        let mut head = [0; 12];
        stream
            .read_exact(&mut head)
            .await
            .with_context(|| n.to_string())?;
        open.push(stream);
    }
    let mut more = TcpStream::connect(&address).await?;
    more.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .ok();
    ensure!(
        rest(&mut more).await?.is_empty(),
        "one too many was answered"
    );
    drop(open);
    let since = Instant::now();
    let client = reqwest::Client::builder().no_proxy().build()?;
    while client
        .get(format!("http://{address}/healthz"))
        .send()
        .await
        .is_err()
    {
        ensure!(since.elapsed() < STUCK, "places are not given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    serving.await??;
    stack.stop().await
}
