//! The tools of Prometheus, where they are.

use anyhow::{Context, bail, ensure};
use std::fmt;
use std::io::Write;
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
