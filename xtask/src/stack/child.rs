//! One process of ours that must not outlive us, however we end.
//!
//! Stopped with SIGTERM when all goes well, killed when dropped, and stopped by its watcher when this
//! process is gone without a word (`kill -9`).

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child as Process, Command};
use tokio::time::{sleep, timeout};

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(40);

/// Reads one line. When the pipe is closed instead, whoever held it is dead: the process must go too.
const WATCHER: &str = r#"read -r line && exit
kill -TERM "$1" 2>/dev/null || exit
for second in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    kill -0 "$1" 2>/dev/null || exit
done
kill -KILL "$1""#;

/// A running process, its log beside its data.
pub(super) struct Child {
    name: &'static str,
    process: Process,
    watcher: Process,
    ready_file: PathBuf,
    log: PathBuf,
}

impl Child {
    /// Starts a program that writes `--ready-file` when it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        flags: &[OsString],
        secrets: &[(&str, &str)],
        outer_settings: bool,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let ready_file = folder.join(format!("{name}.ready.json"));
        let _ = fs::remove_file(&ready_file);
        let log = folder.join(format!("{name}.log"));
        let output =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        command
            .args(flags)
            .arg("--ready-file")
            .arg(&ready_file)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true);
        let outer = std::env::vars_os().map(|(key, _)| key);
        for key in outer.filter(|key| key.to_string_lossy().starts_with("TPM__")) {
            if !outer_settings {
                command.env_remove(key);
            }
        }
        command.envs(secrets.iter().copied());
        let process = command
            .spawn()
            .with_context(|| format!("cannot start the {name} ({})", program.display()))?;
        let id = process.id().unwrap_or_default().to_string();
        let watcher = Command::new("sh")
            .args(["-c", WATCHER, "watcher", &id])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start a shell")?;
        Ok(Self {
            name,
            process,
            watcher,
            ready_file,
            log,
        })
    }

    /// What it wrote when it was ready.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub(super) async fn ready(&mut self) -> anyhow::Result<Value> {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            if let Ok(text) = fs::read_to_string(&self.ready_file)
                && let Ok(value) = serde_json::from_str(&text)
            {
                return Ok(value);
            }
            if self.process.try_wait()?.is_some() {
                return Err(self.ended().await);
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!(
            "the {} was not ready within {READY_WITHIN:?}{}",
            self.name,
            self.log_end()
        )
    }

    /// Comes back when it ends by itself.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        let how = match self.process.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        anyhow!("the {} ended by itself: {how}{}", self.name, self.log_end())
    }

    /// Asks it to stop and waits for it.
    ///
    /// # Errors
    /// When it had to be killed, or its exit status is not 0.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let result = self.terminate().await;
        if let Some(mut line) = self.watcher.stdin.take() {
            let _ = line.write_all(b"stopped\n").await;
        }
        let _ = self.watcher.wait().await;
        result
    }

    async fn terminate(&mut self) -> anyhow::Result<()> {
        if let Some(id) = self.process.id() {
            let killed = Command::new("kill")
                .args(["-TERM", &id.to_string()])
                .status()
                .await;
            killed.context("cannot run kill")?;
        }
        match timeout(STOPPED_WITHIN, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => bail!("the {} stopped with {status}{}", self.name, self.log_end()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                self.process.kill().await?;
                bail!(
                    "the {} did not stop within {STOPPED_WITHIN:?}{}",
                    self.name,
                    self.log_end()
                )
            }
        }
    }

    fn log_end(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(20)..];
        format!(
            "\n--- the end of {} ---\n{}",
            self.log.display(),
            last.join("\n")
        )
    }
}
