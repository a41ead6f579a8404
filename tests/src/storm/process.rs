//! A process of the product: started, killed, paused, and started again when it ended by itself.

use anyhow::Context;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tpm_test_support::Program;

/// One place for a process; what stands there changes with every kill.
pub(crate) struct Process {
    /// `api-0`, `worker-3`.
    pub(crate) name: String,
    binary: PathBuf,
    environment: HashMap<String, String>,
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    program: Option<Program>,
    began: Instant,
    starts: u32,
}

/// What a kill hit.
pub(crate) struct Killed {
    /// The worker's name for itself; `None` when it had not come so far.
    pub(crate) owner: Option<String>,
}

impl Process {
    pub(crate) fn new(
        name: String,
        binary: PathBuf,
        environment: HashMap<String, String>,
        dir: &Path,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(binary.exists(), "{} is not built", binary.display());
        let state = State {
            program: None,
            began: Instant::now(),
            starts: 0,
        };
        Ok(Self {
            name,
            binary,
            environment,
            dir: dir.to_owned(),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready_file(&self) -> PathBuf {
        self.dir.join(format!("{}.ready", self.name))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    pub(crate) fn start(&self) -> anyhow::Result<()> {
        self.start_in(&mut self.state())
    }

    fn start_in(&self, state: &mut State) -> anyhow::Result<()> {
        std::fs::remove_file(self.ready_file()).ok();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .with_context(|| format!("cannot open {}", self.log().display()))?;
        let mut command = Command::new(&self.binary);
        command
            .envs(&self.environment)
            .env("RUST_BACKTRACE", "0")
            .arg("--ready-file")
            .arg(self.ready_file())
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        state.program = Some(Program::start(&mut command)?);
        state.began = Instant::now();
        state.starts += 1;
        Ok(())
    }

    /// Kills it (SIGKILL), whatever it is doing, and starts it again at once.
    pub(crate) fn kill(&self) -> anyhow::Result<Killed> {
        let mut state = self.state();
        let mut program = state.program.take().context("nothing runs there")?;
        program.kill()?;
        let owner = self.ready()["owner"].as_str().map(str::to_owned);
        self.start_in(&mut state)?;
        Ok(Killed { owner })
    }

    /// Stops it (SIGSTOP); the number of the start that was stopped.
    pub(crate) fn pause(&self) -> anyhow::Result<u32> {
        let state = self.state();
        if let Some(program) = &state.program {
            program.signal("STOP")?;
        }
        Ok(state.starts)
    }

    /// Lets it go on (SIGCONT), unless another one stands there by now.
    pub(crate) fn resume(&self, starts: u32) -> anyhow::Result<()> {
        let state = self.state();
        match &state.program {
            Some(program) if state.starts == starts => program.signal("CONT"),
            _ => Ok(()),
        }
    }

    /// What it wrote when it was ready; `null` before.
    pub(crate) fn ready(&self) -> Value {
        let text = std::fs::read(self.ready_file()).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or(Value::Null)
    }

    /// Starts it again when it ended by itself; what it ended with, and whether it was ready before.
    pub(crate) fn supervise(&self) -> anyhow::Result<Option<(bool, String)>> {
        let mut state = self.state();
        let Some(program) = &mut state.program else {
            return Ok(None);
        };
        if program.is_running()? {
            return Ok(None);
        }
        let said = format!("{} after {:?}", program.wait()?, state.began.elapsed());
        let ready = !self.ready().is_null();
        self.start_in(&mut state)?;
        Ok(Some((ready, said)))
    }

    /// Asks it to end (SIGTERM) and waits; how it ended.
    pub(crate) fn stop(&self) -> anyhow::Result<(std::process::ExitStatus, Duration)> {
        let mut program = self.state().program.take().context("nothing runs there")?;
        let began = Instant::now();
        program.signal("TERM")?;
        Ok((program.wait()?, began.elapsed()))
    }
}
