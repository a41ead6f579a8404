//! What must not be called is not, however it is written, whatever a name server says, wherever one is sent on to.

use anyhow::{Context, ensure};
use async_trait::async_trait;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tpm_domain::UrlFault;
use tpm_notify::{HttpOutgoing, Lookup, Message, Outgoing as _, Policy, SendError, SystemLookup};

/// Counts who connects, and answers.
struct Canary {
    port: u16,
    hits: Arc<AtomicUsize>,
}

impl Canary {
    /// On every address of this machine, both families: `127.0.0.0/8` and `::1` among them.
    async fn anywhere() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("[::]:0").await?;
        Ok(Self::on(
            listener,
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ))
    }

    fn on(listener: TcpListener, answer: &'static str) -> Self {
        let port = listener.local_addr().map_or(0, |at| at.port());
        let hits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&hits);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut buffer = [0; 4096];
                    let _ = stream.read(&mut buffer).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { port, hits }
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

fn message() -> Message {
    Message {
        id: "m".into(),
        timestamp: 1,
        signature: "v1,x".into(),
        body: "{}".into(),
    }
}

/// Schemes and ports do not matter here: addresses do.
fn lax(port: u16, networks: &[&str]) -> anyhow::Result<Policy> {
    let networks = networks.iter().map(|net| net.parse());
    Ok(Policy {
        http: true,
        ports: vec![port],
        networks: networks.collect::<Result<_, _>>()?,
    })
}

fn client(policy: Policy, lookup: impl Lookup + 'static) -> anyhow::Result<HttpOutgoing> {
    Ok(HttpOutgoing::new(policy, Vec::new(), Arc::new(lookup))?)
}

/// Every name stands for all of these.
struct Says(Vec<IpAddr>);

#[async_trait]
impl Lookup for Says {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

/// First a good address, then a bad one, and so on.
struct Rebinds {
    good: IpAddr,
    bad: IpAddr,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Lookup for Rebinds {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let n = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(vec![if n.is_multiple_of(2) {
            self.good
        } else {
            self.bad
        }])
    }
}

/// Hosts that mean this machine or a private network, written in every way there is.
const HOSTS: &[&str] = &[
    // loopback
    "127.0.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "127.00.0.1",
    "2130706433",
    "2130706434",
    "017700000001",
    "0x7f000001",
    "0x7F000001",
    "0X7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.0x0.0.1",
    "0x7f.0x0.0x0.0x1",
    "127.0.0x1",
    "0000177.0.0.1",
    "127.0.0.1.",
    "127.1.",
    "2130706433.",
    "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "127．0．0．1",
    // this host
    "0",
    "0.0.0.0",
    "0.0.0.1",
    "0x0",
    "00",
    "0.",
    "0.0",
    "000.000.000.000",
    // link-local and the metadata of clouds
    "169.254.169.254",
    "169.254.0.1",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "169.254.169.254.",
    // private, shared, reserved
    "10.0.0.1",
    "10.1",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "0xac100001",
    "192.168.0.1",
    "192.168.1",
    "3232235521",
    "0xc0a80001",
    "0300.0250.0.1",
    "100.64.0.1",
    "100.127.255.254",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    "0xffffffff",
    // IPv6
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::FFFF:7F00:1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001::1]",
    "[2001:0:7f00:1::]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fd12:3456:789a::1]",
    "[fe80::1]",
    "[febf::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
    "[100::1]",
    "[5f00::1]",
    "[4000::1]",
    // names for it
    "localhost",
    "LOCALHOST",
    "LocalHost.",
    "localhost.",
    "foo.localhost",
    "a.b.localhost.",
    "localhost.localdomain",
    "printer.local",
    "nas.internal",
    "router.home.arpa",
    "intranet",
    "metadata.google.internal",
    "ip6-localhost",
    "x.onion",
    "ｌｏｃａｌｈｏｓｔ",
];

/// Whole URLs that try something else than the host.
fn tricks(port: u16) -> Vec<String> {
    vec![
        format!("http://1.1.1.1@127.0.0.1:{port}/"),
        format!("http://user:pw@127.0.0.1:{port}/"),
        format!("http://1.1.1.1%40127.0.0.1:{port}/"),
        format!("http://1.1.1.1\\@127.0.0.1:{port}/"),
        format!("http://1.1.1.1#@127.0.0.1:{port}/"),
        format!("http:\\\\127.0.0.1:{port}\\"),
        format!("http:127.0.0.1:{port}"),
        format!("http:///127.0.0.1:{port}/"),
        format!("http:////127.0.0.1:{port}/"),
        format!("http://127.0.0.1\t:{port}/"),
        format!("http://127.0.0.1\n:{port}/"),
        format!(" http://127.0.0.1:{port}/"),
        format!("ht\ttp://127.0.0.1:{port}/"),
        format!("http://127.0.0.1\u{0}.example.com:{port}/"),
        format!("http://[::1%25lo]:{port}/"),
        format!("//127.0.0.1:{port}/"),
        format!("127.0.0.1:{port}"),
        format!("ftp://127.0.0.1:{port}/"),
        format!("gopher://127.0.0.1:{port}/_x"),
        format!("dict://127.0.0.1:{port}/x"),
        format!("ws://127.0.0.1:{port}/"),
        "file:///etc/passwd".to_owned(),
        "data:text/plain,x".to_owned(),
        format!("javascript:fetch('http://127.0.0.1:{port}')"),
        format!("unix://127.0.0.1:{port}/run/docker.sock"),
        format!("http+unix://127.0.0.1:{port}/"),
        format!("blob:http://127.0.0.1:{port}/"),
        String::new(),
        "http://".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_a_forbidden_address_is_connected_to() -> anyhow::Result<()> {
    let canary = Canary::anywhere().await?;
    let port = canary.port;
    let out = client(lax(port, &[])?, SystemLookup)?;
    let mut urls: Vec<String> = HOSTS
        .iter()
        .map(|host| format!("http://{host}:{port}/"))
        .collect();
    urls.extend(tricks(port));
    ensure!(urls.len() >= 120, "only {} forms", urls.len());
    for url in &urls {
        let sent = out.post(url, &message()).await;
        ensure!(
            matches!(sent, Err(SendError::Forbidden(_))),
            "{url:?}: {sent:?}"
        );
    }
    ensure!(canary.hits() == 0, "{} connections", canary.hits());

    // The canary sings: where it is allowed, all this arrives.
    let open = client(lax(port, &["127.0.0.0/8", "::1/128"])?, SystemLookup)?;
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "[::1]",
        "localhost",
        "[::ffff:127.0.0.1]",
    ] {
        let url = format!("http://{host}:{port}/");
        open.post(&url, &message()).await.with_context(|| url)?;
    }
    ensure!(canary.hits() == 5, "{} connections", canary.hits());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_for_a_forbidden_address_is_not_connected_to() -> anyhow::Result<()> {
    let canary = Canary::anywhere().await?;
    let url = format!("http://hooks.example.com:{}/", canary.port);
    let addresses = [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "10.0.0.1",
        "169.254.169.254",
    ];
    for address in addresses {
        let out = client(lax(canary.port, &[])?, Says(vec![address.parse()?]))?;
        let sent = out.post(&url, &message()).await;
        let expected = Err(SendError::Forbidden(UrlFault::Address));
        ensure!(sent == expected, "{address}: {sent:?}");
    }
    ensure!(canary.hits() == 0, "{} connections", canary.hits());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_addresses_the_good_one_is_taken() -> anyhow::Result<()> {
    let good = Canary::on(
        TcpListener::bind("127.0.0.2:0").await?,
        "HTTP/1.1 204 No Content\r\n\r\n",
    );
    let bad = Canary::on(
        TcpListener::bind(("127.0.0.1", good.port)).await?,
        "HTTP/1.1 204 No Content\r\n\r\n",
    );
    let says = Says(vec!["127.0.0.1".parse()?, "127.0.0.2".parse()?]);
    let out = client(lax(good.port, &["127.0.0.2/32"])?, says)?;
    let url = format!("http://hooks.example.com:{}/", good.port);
    ensure!(out.post(&url, &message()).await?.status == 204);
    ensure!((good.hits(), bad.hits()) == (1, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_answer_a_moment_later_changes_nothing() -> anyhow::Result<()> {
    let good = Canary::on(
        TcpListener::bind("127.0.0.2:0").await?,
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    );
    let bad = Canary::on(
        TcpListener::bind(("127.0.0.1", good.port)).await?,
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    );
    let asked = Arc::new(AtomicUsize::new(0));
    let lookup = Rebinds {
        good: "127.0.0.2".parse()?,
        bad: "127.0.0.1".parse()?,
        asked: Arc::clone(&asked),
    };
    let out = client(lax(good.port, &["127.0.0.2/32"])?, lookup)?;
    let url = format!("http://rebind.example.com:{}/", good.port);
    for round in 0..20 {
        let sent = out.post(&url, &message()).await;
        if round % 2 == 0 {
            ensure!(sent.as_ref().is_ok_and(|it| it.status == 200), "{sent:?}");
        } else {
            ensure!(
                sent == Err(SendError::Forbidden(UrlFault::Address)),
                "{sent:?}"
            );
        }
    }
    // Once for each: what was judged is what was connected to.
    ensure!(asked.load(Ordering::SeqCst) == 20);
    ensure!((good.hits(), bad.hits()) == (10, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_followed_and_no_proxy_is_asked() -> anyhow::Result<()> {
    // What is redirected to would listen here.
    let bad = Canary::on(
        TcpListener::bind("127.0.0.1:0").await?,
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    );
    let answers: [&'static str; 4] = ["301", "302", "307", "308"].map(|status| {
        let text = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n",
            bad.port
        );
        &*text.leak()
    });
    for answer in answers {
        let good = Canary::on(TcpListener::bind("127.0.0.2:0").await?, answer);
        // Even a port that is allowed is not followed to.
        let policy = Policy {
            ports: vec![good.port, bad.port],
            ..lax(good.port, &["127.0.0.2/32"])?
        };
        let out = client(policy, SystemLookup)?;
        let url = format!("http://127.0.0.2:{}/", good.port);
        let sent = out.post(&url, &message()).await?;
        ensure!((300..400).contains(&sent.status), "{sent:?}");
        ensure!(good.hits() == 1);
    }
    ensure!(bad.hits() == 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_is_cut_off_and_a_pause_is_believed_within_bounds() -> anyhow::Result<()>
{
    let listener = TcpListener::bind("127.0.0.2:0").await?;
    let port = listener.local_addr()?.port();
    let sent_bytes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent_bytes);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let head = "HTTP/1.1 429 Slow\r\nretry-after: 999999999\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b'x'; 8192]).await.is_ok() {
                counted.fetch_add(8192, Ordering::SeqCst);
            }
        }
    });
    let out = client(lax(port, &["127.0.0.2/32"])?, SystemLookup)?;
    let url = format!("http://127.0.0.2:{port}/");
    let sent = out.post(&url, &message()).await?;
    ensure!(sent.status == 429);
    ensure!(
        sent.retry_after.is_some_and(|it| it.as_secs() == 6 * 3600),
        "{sent:?}"
    );
    // What lies in the buffers of both sides beyond the bound.
    let read = sent_bytes.load(Ordering::SeqCst);
    ensure!(read < 64 * 1024 * 1024, "{read} bytes");
    Ok(())
}
