//! Runs every example of the workspace that needs nothing from outside, each within a deadline.

use crate::workspace;
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Examples that need a cluster; tests run them against a simulated one.
const NEED_OUTSIDE: [&str; 1] = ["list_guests"];
const DONE_WITHIN: Duration = Duration::from_secs(120);

/// # Errors
/// When one fails or does not end.
pub(super) fn run() -> anyhow::Result<Option<String>> {
    let metadata = workspace::metadata()?;
    workspace::run(workspace::cargo().args([
        "build",
        "--workspace",
        "--bins",
        "--tests",
        "--examples",
    ]))?;
    for (package, example) in found(&metadata) {
        println!("example {example} of {package}");
        // As the whole workspace builds it: run by its package alone, cargo would build half of it anew.
        let target = metadata["target_directory"]
            .as_str()
            .context("target_directory")?;
        let built = Path::new(target).join("debug/examples").join(&example);
        run_within(&mut Command::new(built))
            .with_context(|| format!("example {example} of {package}"))?;
    }
    Ok(None)
}

fn found(metadata: &Value) -> Vec<(String, String)> {
    let mut examples = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        for target in package["targets"].as_array().into_iter().flatten() {
            let name = target["name"].as_str().unwrap_or_default();
            if target["kind"][0] == "example" && !NEED_OUTSIDE.contains(&name) {
                let package = package["name"].as_str().unwrap_or_default();
                examples.push((package.to_owned(), name.to_owned()));
            }
        }
    }
    examples
}

fn run_within(command: &mut Command) -> anyhow::Result<()> {
    let mut child = command.stdin(Stdio::null()).spawn()?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() {
                Ok(())
            } else {
                bail!("ended with {status}")
            };
        }
        if begun.elapsed() > DONE_WITHIN {
            child.kill()?;
            child.wait()?;
            bail!("did not end within {DONE_WITHIN:?}");
        }
        sleep(Duration::from_millis(50));
    }
}
