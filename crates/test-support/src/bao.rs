//! OpenBao, a store of secrets that speaks as HashiCorp Vault does, where it is.

use anyhow::{Context, bail, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::fmt;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where the server is: set by `cargo xtask test`, which installs it.
const VARIABLE: &str = "TPM_BAO";
/// Where that is otherwise, below the home folder.
const CACHED: &str = ".cache/terraform-proxmox-manager/openbao-2.7.2/bin/bao";
/// The token of the one who may do everything, in development mode.
const ROOT: &str = "root-token-of-tests";

/// OpenBao is not on this machine.
#[derive(Clone, Copy, Debug)]
pub struct BaoMissing;

impl fmt::Display for BaoMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "OpenBao is not installed, nor named by {VARIABLE} (`cargo xtask test --only outside` installs it)"
        )
    }
}

/// A running OpenBao; killed when dropped.
#[derive(Debug)]
pub struct Bao {
    child: Child,
    url: String,
    root: String,
    /// What opens the seal; empty before it is set up, and in development mode.
    key: String,
    http: Client,
    /// With what it wrote; gone when dropped.
    folder: TempDir,
}

/// Finds the program, or says that it is not there. With `CI=true` a missing one is an error.
///
/// # Errors
/// When it is missing on CI.
pub fn bao() -> anyhow::Result<Result<PathBuf, BaoMissing>> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(CACHED));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("bao"));
    let mut all = named.into_iter().chain(home).chain(in_path);
    match all.find(|file| file.is_file()) {
        Some(program) => Ok(Ok(program)),
        None if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            bail!("{BaoMissing}, and CI may not skip it")
        }
        None => Ok(Err(BaoMissing)),
    }
}

impl Bao {
    /// In development mode: open, in memory, with KV version 2 at `secret`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn dev(program: PathBuf) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(program);
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .arg(format!("-dev-root-token-id={ROOT}"));
        let mut bao = Self::start(command, port, tempfile::tempdir()?)?;
        ROOT.clone_into(&mut bao.root);
        bao.wait(|health| health["sealed"] == false).await?;
        let mounted = || bao.call(Method::GET, "sys/mounts", None);
        let began = Instant::now();
        // It is open before everything is mounted.
        while !mounted()
            .await
            .is_ok_and(|all| all["data"]["secret/"].is_object())
        {
            ensure!(
                began.elapsed() < Duration::from_secs(60),
                "OpenBao mounts nothing"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(bao)
    }

    /// As it is after installing, with its data in memory: not set up.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn new(program: PathBuf) -> anyhow::Result<Self> {
        let port = free_port()?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("bao.json");
        let config = json!({
            "listener": [{ "tcp": { "address": format!("127.0.0.1:{port}"), "tls_disable": true } }],
            "storage": { "inmem": {} },
            "api_addr": format!("http://127.0.0.1:{port}"),
        });
        std::fs::write(&file, config.to_string())?;
        let mut command = Command::new(program);
        command
            .arg("server")
            .arg(format!("-config={}", file.display()));
        let bao = Self::start(command, port, folder)?;
        bao.wait(|health| health["initialized"] == false).await?;
        Ok(bao)
    }

    fn start(mut command: Command, port: u16, folder: TempDir) -> anyhow::Result<Self> {
        let log = std::fs::File::create(folder.path().join("bao.log"))?;
        let child = command
            .env_clear()
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start OpenBao")?;
        Ok(Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
            root: String::new(),
            key: String::new(),
            http: Client::builder().no_proxy().build()?,
            folder,
        })
    }

    /// Sets it up with one key, and leaves it sealed.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn set_up(&mut self) -> anyhow::Result<()> {
        let asked = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let made = self.call(Method::POST, "sys/init", Some(asked)).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        self.key = text(&made["keys_base64"][0]).context("a key")?;
        self.root = text(&made["root_token"]).context("a token")?;
        Ok(())
    }

    /// Opens the seal, and waits until it is at work.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn unseal(&self) -> anyhow::Result<()> {
        let key = json!({ "key": self.key });
        self.call(Method::POST, "sys/unseal", Some(key)).await?;
        self.wait(|health| health["sealed"] == false && health["standby"] == false)
            .await
    }

    /// Seals it. What was in development mode cannot be unsealed again.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn seal(&self) -> anyhow::Result<()> {
        self.call(Method::PUT, "sys/seal", None).await?;
        self.wait(|health| health["sealed"] == true).await
    }

    /// Kills it at once, and waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().ok();
        self.child.wait()?;
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token of the one who may do everything; empty before it is set up.
    #[must_use]
    pub fn root_token(&self) -> &str {
        &self.root
    }

    /// Asks it something as the one who may do everything; its answer, null when that is empty.
    ///
    /// # Errors
    /// When it refuses; with what it said.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, format!("{}/v1/{path}", self.url));
        if !self.root.is_empty() {
            request = request.header("X-Vault-Token", &self.root);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).context("its answer")
    }

    async fn wait(&self, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let codes = "sys/health?standbyok=true&sealedcode=200&uninitcode=200";
        let began = Instant::now();
        loop {
            match self.call(Method::GET, codes, None).await {
                Ok(health) if is_so(&health) => return Ok(()),
                answer if began.elapsed() > Duration::from_secs(60) => {
                    let log = std::fs::read_to_string(self.folder.path().join("bao.log"));
                    bail!(
                        "OpenBao does not get there: {answer:?}\n{}",
                        log.unwrap_or_default()
                    );
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
