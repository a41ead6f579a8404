//! Apis and workers as shipped, each a process, beside a stack that gives them a cluster and a database.

use anyhow::Context;
use std::process::{Command, Stdio};
use tpm_test_support::{Program, Stack, free_port};

/// An api process that keeps its address over restarts.
pub(crate) struct Api {
    name: String,
    port: u16,
    process: Program,
}

impl Api {
    /// Starts one; comes back when it is ready.
    pub(crate) fn start(stack: &Stack, name: &str) -> anyhow::Result<Self> {
        Self::start_with(stack, name, &[])
    }

    /// The same, with settings of its own.
    pub(crate) fn start_with(
        stack: &Stack,
        name: &str,
        own: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let port = free_port()?;
        let process = Self::process(stack, name, port, own)?;
        let name = name.to_owned();
        Ok(Self {
            name,
            port,
            process,
        })
    }

    fn process(
        stack: &Stack,
        name: &str,
        port: u16,
        own: &[(&str, String)],
    ) -> anyhow::Result<Program> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_killable-api"));
        command
            .env("TPM__API__LISTEN", format!("127.0.0.1:{port}"))
            .env("TPM__API__DRAIN_SECS", "1")
            .envs(own.iter().map(|(key, value)| (key, value)));
        start(stack, command, name)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn process_mut(&mut self) -> &mut Program {
        &mut self.process
    }

    /// Asks it to stop, waits, and starts another one in its place.
    pub(crate) fn restart(&mut self, stack: &Stack) -> anyhow::Result<()> {
        stopped(&mut self.process).with_context(|| self.name.clone())?;
        self.process = Self::process(stack, &self.name, self.port, &[])?;
        Ok(())
    }
}

/// A worker process.
pub(crate) struct Worker {
    name: String,
    process: Program,
}

impl Worker {
    /// Starts one; comes back when it is ready.
    pub(crate) fn start(stack: &Stack, name: &str) -> anyhow::Result<Self> {
        Self::start_with(stack, name, &[])
    }

    /// The same, with settings of its own.
    pub(crate) fn start_with(
        stack: &Stack,
        name: &str,
        own: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let process = Self::process(stack, name, own)?;
        let name = name.to_owned();
        Ok(Self { name, process })
    }

    fn process(stack: &Stack, name: &str, own: &[(&str, String)]) -> anyhow::Result<Program> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stoppable-worker"));
        // A place that no step ever comes to: it works like the one that is shipped.
        command
            .env("TPM_STOP_AT", "nowhere")
            .env("TPM_STOPPED_FILE", stack.dir.path().join("never"))
            .envs(own.iter().map(|(key, value)| (key, value)));
        start(stack, command, name)
    }

    pub(crate) fn process_mut(&mut self) -> &mut Program {
        &mut self.process
    }

    /// Asks it to stop, waits, and starts another one in its place.
    pub(crate) fn restart(&mut self, stack: &Stack) -> anyhow::Result<()> {
        stopped(&mut self.process).with_context(|| self.name.clone())?;
        self.process = Self::process(stack, &self.name, &[])?;
        Ok(())
    }
}

/// Asks a process to stop and sees it end as it should.
pub(crate) fn stopped(process: &mut Program) -> anyhow::Result<()> {
    process.signal("TERM")?;
    let status = process.wait()?;
    anyhow::ensure!(status.success(), "ended with {status}");
    Ok(())
}

fn start(stack: &Stack, mut command: Command, name: &str) -> anyhow::Result<Program> {
    let ready = stack.dir.path().join(format!("{name}.ready"));
    std::fs::remove_file(&ready).ok();
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(stack.dir.path().join(format!("{name}.log")))?;
    // What is set on the command already goes before what the stack says.
    let own: Vec<_> = command
        .get_envs()
        .map(|(key, value)| (key.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    command.envs(&stack.environment);
    for (key, value) in own {
        command.env(key, value.unwrap_or_default());
    }
    command
        .arg("--ready-file")
        .arg(&ready)
        .current_dir(stack.dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    let mut process = Program::start(&mut command)?;
    process.wait_for_file(&ready)?;
    Ok(process)
}
