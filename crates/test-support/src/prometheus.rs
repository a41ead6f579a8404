//! Prometheus, its exporter and its tools, where they are.

use crate::program::Program;
use anyhow::{Context, bail, ensure};
use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program is not on this machine.
#[derive(Clone, Copy, Debug)]
pub struct PromtoolMissing;

impl fmt::Display for PromtoolMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("promtool (of Prometheus) is not installed")
    }
}

/// What checks metrics and rules.
#[derive(Clone, Debug)]
pub struct Promtool {
    program: PathBuf,
}

/// Finds it, or says that it is not there. With `CI=true` a missing one is an error.
///
/// # Errors
/// When it is missing on CI.
pub fn promtool() -> anyhow::Result<Result<Promtool, PromtoolMissing>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("promtool"))
        .find(|file| file.is_file());
    match found {
        Some(program) => Ok(Ok(Promtool { program })),
        None if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            bail!("{PromtoolMissing}, and CI may not skip it")
        }
        None => Ok(Err(PromtoolMissing)),
    }
}

impl Promtool {
    /// Runs it in a folder with a text as its input; what it printed.
    ///
    /// # Errors
    /// When it is not content; with what it printed.
    pub fn run(&self, folder: &Path, args: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new(&self.program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // It reads all of it before it prints anything.
        let mut writer = child.stdin.take().context("its input")?;
        writer.write_all(input.as_bytes())?;
        drop(writer);
        let done = child.wait_with_output()?;
        let printed = [done.stdout, done.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        ensure!(done.status.success(), "promtool {args:?}: {printed}");
        Ok(printed)
    }
}

/// Prometheus or its exporter is not on this machine.
#[derive(Clone, Copy, Debug)]
pub struct MonitorsMissing;

impl fmt::Display for MonitorsMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("prometheus and prometheus-node-exporter are not installed")
    }
}

/// The programs that measure.
#[derive(Clone, Debug)]
pub struct Monitors {
    prometheus: PathBuf,
    exporter: PathBuf,
}

/// Finds them, or says that they are not there. With `CI=true` missing ones are an error.
///
/// # Errors
/// When they are missing on CI.
pub fn monitors() -> anyhow::Result<Result<Monitors, MonitorsMissing>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |name: &str| {
        let mut files = std::env::split_paths(&path).map(|folder| folder.join(name));
        files.find(|file| file.is_file())
    };
    match (find("prometheus"), find("prometheus-node-exporter")) {
        (Some(prometheus), Some(exporter)) => Ok(Ok(Monitors {
            prometheus,
            exporter,
        })),
        _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            bail!("{MonitorsMissing}, and CI may not skip them")
        }
        _ => Ok(Err(MonitorsMissing)),
    }
}

impl Monitors {
    /// Prometheus on a port of loopback, with this configuration, its data in a folder. It may not be ready yet.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn prometheus(&self, folder: &Path, port: u16, config: &str) -> anyhow::Result<Program> {
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config)?;
        let mut command = Command::new(&self.prometheus);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("tsdb").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-lifecycle")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("prometheus.log"))?);
        Program::start(&mut command)
    }

    /// The exporter at an address.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn exporter(&self, address: SocketAddr) -> anyhow::Result<Program> {
        let mut command = Command::new(&self.exporter);
        command
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Program::start(&mut command)
    }
}
