//! Which program the product takes by itself.

use super::{asked, completed, stack};
use anyhow::ensure;
use std::path::Path;
use std::process::{Command, Stdio};
use tpm_test_support::{Program, Stack};

/// A worker that finds programs in that folder alone, and is named none.
fn worker(stack: &Stack, path: &Path, ready: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_killable-worker"));
    command
        .arg("--ready-file")
        .arg(ready)
        .envs(&stack.environment)
        .env("PATH", path)
        .env("TPM__TERRAFORM__BINARY", "")
        .env("TPM__LOG__FILTER", "info")
        .current_dir(stack.dir.path());
    command
}

/// Where there is no `terraform`, `tofu` is taken; where there is neither, a worker that must have one says so.
#[tokio::test(flavor = "multi_thread")]
async fn tofu_is_taken_where_there_is_no_terraform() -> anyhow::Result<()> {
    let Some((builder, terraform)) = stack()? else {
        return Ok(());
    };
    let stack = builder.start().await?;
    let folder = stack.dir.path().join("bin");
    std::fs::create_dir(&folder)?;
    let ready = stack.dir.path().join("worker.ready");
    let refused = worker(&stack, &folder, &ready).output()?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        !refused.status.success() && said.contains("neither terraform nor tofu is in PATH"),
        "{said}"
    );

    let tofu = folder.join("tofu");
    std::os::unix::fs::symlink(&terraform.binary, &tofu)?;
    let log = stack.dir.path().join("worker.log");
    let file = std::fs::File::create(&log)?;
    let mut command = worker(&stack, &folder, &ready);
    command.stdout(file.try_clone()?).stderr(Stdio::from(file));
    let mut program = Program::start(&mut command)?;
    let (task, _) = asked(&stack, "web-1").await?;
    completed(&stack, &task).await?;
    program.kill()?;
    let log = std::fs::read_to_string(&log)?;
    ensure!(log.contains(&tofu.display().to_string()), "{log}");
    stack.stop().await
}
