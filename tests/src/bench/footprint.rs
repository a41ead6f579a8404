//! The processes as shipped: memory when idle, and the time from start to ready.

use crate::measure::{say, spread};
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tpm_test_support::{Program, Stack};

const STARTS: usize = 10;

/// A binary built beside this one.
pub(crate) fn built(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(
        path.exists(),
        "{} is missing: cargo build --release -p tpm-bin-api -p tpm-bin-worker",
        path.display()
    );
    Ok(path)
}

/// Resident memory in MiB.
pub(crate) fn resident(id: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("VmRSS")?;
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .context("a number")?
        .parse()?;
    Ok(kib / 1024.0)
}

fn start(stack: &Stack, binary: &Path) -> anyhow::Result<(Program, f64)> {
    let ready = stack.dir.path().join("ready");
    std::fs::remove_file(&ready).ok();
    let mut command = Command::new(binary);
    command
        .envs(&stack.environment)
        .arg("--ready-file")
        .arg(&ready)
        .stderr(Stdio::null());
    let began = Instant::now();
    let mut program = Program::start(command.current_dir(stack.dir.path()))?;
    program.wait_for_file(&ready)?;
    Ok((program, began.elapsed().as_secs_f64() * 1000.0))
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    say(
        "| as shipped (release) | start to ready, ms | idle memory, MiB | binary, MiB |\n|---|---|---|---|",
    );
    for name in ["tpm-api", "tpm-worker"] {
        let binary = built(name)?;
        let (mut times, mut memory) = (vec![], vec![]);
        for _ in 0..STARTS {
            let (mut program, took) = start(&stack, &binary)?;
            times.push(took);
            memory.push(resident(program.id())?);
            program.signal("TERM")?;
            program.wait()?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a size shown to one digit")]
        let size = std::fs::metadata(&binary)?.len() as f64 / f64::from(1 << 20);
        say(&format!(
            "| `{name}` | {} | {} | {size:.1} |",
            spread(&times, 0),
            spread(&memory, 1)
        ));
    }
    stack.stop().await
}
