//! One process that must not outlive us, however we end.
//!
//! Asked to stop with its signal when all goes well, killed when dropped, and stopped by its watcher when
//! this process is gone without a word (`kill -9`).

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
kill "-$2" "$1" 2>/dev/null || exit
for second in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    kill -0 "$1" 2>/dev/null || exit
done
kill -KILL "$1""#;

/// A running process, its log beside its data.
pub(super) struct Child {
    name: String,
    process: Process,
    watcher: Process,
    stop_signal: &'static str,
    /// It was asked to, so that it is no fault that it is gone.
    stopped: bool,
    ready_file: PathBuf,
    log: PathBuf,
}

impl Child {
    /// Starts a program of ours, which writes `--ready-file` when it is ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(
        name: &str,
        program: &Path,
        flags: &[OsString],
        environment: &[(&str, &str)],
        outer_settings: bool,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let ready_file = ready_file(name, folder);
        let mut command = Command::new(program);
        command.args(flags).arg("--ready-file").arg(&ready_file);
        let outer = std::env::vars_os().map(|(key, _)| key);
        for key in outer.filter(|key| key.to_string_lossy().starts_with("TPM__")) {
            if !outer_settings {
                command.env_remove(key);
            }
        }
        command.envs(environment.iter().copied());
        Self::spawn(name, command, "TERM", folder)
    }

    /// Starts any program; `stop_signal` is the one it ends well on.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn spawn(
        name: &str,
        mut command: Command,
        stop_signal: &'static str,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let ready_file = ready_file(name, folder);
        let _ = fs::remove_file(&ready_file);
        let log = folder.join(format!("{name}.log"));
        let output =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true);
        let process = command
            .spawn()
            .with_context(|| format!("cannot start the {name} ({:?})", command.as_std()))?;
        let id = process.id().unwrap_or_default().to_string();
        let watcher = Command::new("sh")
            .args(["-c", WATCHER, "watcher", &id, stop_signal])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start a shell")?;
        Ok(Self {
            name: name.to_owned(),
            process,
            watcher,
            stop_signal,
            stopped: false,
            ready_file,
            log,
        })
    }

    /// What it wrote when it was ready.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub(super) async fn ready(&mut self) -> anyhow::Result<Value> {
        let file = self.ready_file.clone();
        let said = || serde_json::from_str(&fs::read_to_string(&file).ok()?).ok();
        self.until(said).await
    }

    /// Comes back when its log holds this text.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub(super) async fn says(&mut self, text: &str) -> anyhow::Result<()> {
        let log = self.log.clone();
        let said = || fs::read_to_string(&log).ok()?.contains(text).then_some(());
        self.until(said).await
    }

    /// Waits until there is an answer, or it ends.
    ///
    /// # Errors
    /// When it ends first, or takes too long.
    pub(super) async fn until<T>(
        &mut self,
        mut look: impl FnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            if let Some(found) = look() {
                return Ok(found);
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

    /// As it was named when it was started.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Why it is not there any more, when it is not and nobody asked it to stop.
    pub(super) async fn gone(&mut self) -> Option<anyhow::Error> {
        if self.stopped {
            return None;
        }
        match self.process.try_wait() {
            Ok(None) => None,
            _ => Some(self.ended().await),
        }
    }

    /// Comes back when it ends by itself.
    async fn ended(&mut self) -> anyhow::Error {
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
        if self.stopped {
            return Ok(());
        }
        self.stopped = true;
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
                .args([format!("-{}", self.stop_signal), id.to_string()])
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

fn ready_file(name: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{name}.ready.json"))
}
