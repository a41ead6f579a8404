//! Programs that a test starts and that do not outlive it.

use anyhow::{Context, bail};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
}

impl Program {
    /// Starts a program.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended by itself.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Kills it at once (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().ok();
        self.child.wait()?;
        Ok(())
    }

    /// Sends it a signal by name: `TERM`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        signal(self.child.id(), name).with_context(|| self.name.clone())
    }

    /// Waits until a file is there, or the program has ended.
    ///
    /// # Errors
    /// When the program ends first, or half a minute has passed.
    pub fn wait_for_file(&mut self, file: &Path) -> anyhow::Result<()> {
        let began = Instant::now();
        while !file.exists() {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended with {status} before {} was there",
                    self.name,
                    file.display()
                );
            }
            if began.elapsed() > Duration::from_secs(30) {
                bail!("{} does not write {}", self.name, file.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for, or half a minute has passed.
    pub fn wait(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > Duration::from_secs(30) {
                bail!("{} does not end", self.name);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Sends a process a signal by name: `TERM`, `KILL`.
///
/// # Errors
/// When it cannot be sent.
pub fn signal(id: u32, name: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill")
        .args([format!("-{name}"), id.to_string()])
        .stderr(std::process::Stdio::null())
        .status()?;
    if !sent.success() {
        bail!("cannot send {name} to process {id}");
    }
    Ok(())
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A port that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
