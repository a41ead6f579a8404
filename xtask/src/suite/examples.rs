//! Runs every example of the workspace that needs nothing from outside, each within a deadline.

use crate::workspace;
use anyhow::{Context as _, bail};
use serde_json::Value;
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
    for (package, example) in found(&metadata) {
        println!("example {example} of {package}");
        let mut cargo = workspace::cargo();
        cargo.args([
            "run",
            "--quiet",
            "--package",
            &package,
            "--example",
            &example,
        ]);
        run_within(&mut cargo).with_context(|| format!("example {example} of {package}"))?;
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
