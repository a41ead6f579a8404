//! The collection, run by Newman as a reader of Postman runs it: every request once, in order, each answer with
//! a status that is documented. What has to go well for the rest to mean anything has to go well.

use crate::stack::Plan;
use crate::workspace::{self, in_path};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MANIFEST: &str = include_str!("../../../tests/peers/newman/package.json");
const LOCK: &str = include_str!("../../../tests/peers/newman/package-lock.json");
/// Below `terraform-proxmox-manager` in the cache folder; another version has another one.
const FOLDER: &str = "newman-6.2.2";
const COLLECTION: &str = "crates/api/docs/postman_collection.json";
/// Of a hundred requests, so many are to be answered with success: one whose login failed has hardly any.
const SUCCEEDED: usize = 70;

/// Its program, installed when it is not there; or what is missing for that.
///
/// # Errors
/// When npm does not install it.
pub(super) fn program() -> anyhow::Result<Result<PathBuf, String>> {
    let Some(npm) = in_path("npm") else {
        return Ok(Err("Newman (no npm)".into()));
    };
    let cache = workspace::cache()?.join("terraform-proxmox-manager");
    let folder = cache.join(FOLDER);
    let program = folder.join("node_modules/.bin/newman");
    // Written last, so that an installation that was interrupted is made again.
    let whole = folder.join("whole");
    if fs::read_to_string(&whole).is_ok_and(|lock| lock == LOCK) {
        return Ok(Ok(program));
    }
    println!("Newman: making {}", folder.display());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), MANIFEST)?;
    fs::write(folder.join("package-lock.json"), LOCK)?;
    let mut command = Command::new(npm);
    command.current_dir(&folder).stdin(Stdio::null());
    command.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    workspace::output(&mut command).context("Newman")?;
    fs::write(whole, LOCK)?;
    Ok(Ok(program))
}

/// Runs all of it against a service.
///
/// # Errors
/// When an answer is not a documented one, or too few are good ones.
pub(super) fn run(program: &Path, url: &str, plan: &Plan) -> anyhow::Result<()> {
    let report = plan.folder.join("newman.json");
    let mut command = Command::new(program);
    command.current_dir(&plan.folder).stdin(Stdio::null());
    command.arg("run").arg(workspace::root().join(COLLECTION));
    // A file, since anybody on the machine reads the words of a command.
    let environment = plan.folder.join("newman-environment.json");
    let value = |key: &str, value: &str| serde_json::json!({ "key": key, "value": value });
    let values = [
        value("baseUrl", url),
        value("password", &plan.admin_password),
    ];
    fs::write(
        &environment,
        serde_json::json!({ "name": "test", "values": values }).to_string(),
    )?;
    command.arg("--environment").arg(&environment);
    command.args(["--color", "off", "--reporters", "cli,json"]);
    command.args(["--reporter-cli-silent", "--reporter-json-export"]);
    command.arg(&report);
    let ran = workspace::output(&mut command);
    let report = fs::read_to_string(&report)
        .map_err(anyhow::Error::from)
        .and_then(|text| Ok(serde_json::from_str::<Value>(&text)?));
    // What it found says more than that it ended badly, which is an error all the same.
    if let Ok(report) = &report {
        judge(report)?;
    }
    ran?;
    report.context("the report of Newman").map(|_| ())
}

fn judge(report: &Value) -> anyhow::Result<()> {
    let run = report.get("run").context("a report without a run")?;
    let failures = run
        .pointer("/failures")
        .and_then(Value::as_array)
        .context("failures")?;
    let told: Vec<_> = failures
        .iter()
        .map(|failure| {
            let text = |pointer| failure.pointer(pointer).and_then(Value::as_str);
            let (name, why) = (text("/source/name"), text("/error/message"));
            format!(
                "{}: {}",
                name.unwrap_or("a request"),
                why.unwrap_or("failed")
            )
        })
        .collect();
    ensure!(told.is_empty(), "Newman: {}", told.join("; "));
    let executions = run
        .pointer("/executions")
        .and_then(Value::as_array)
        .context("executions")?;
    let good = executions
        .iter()
        .filter_map(|one| one.pointer("/response/code")?.as_u64())
        .filter(|code| (200..300).contains(code))
        .count();
    ensure!(!executions.is_empty(), "Newman: nothing was asked");
    println!(
        "Newman: {} requests, {good} of them answered with success",
        executions.len()
    );
    ensure!(
        good * 100 >= executions.len() * SUCCEEDED,
        "Newman: only {good} of {} requests were answered with success",
        executions.len()
    );
    Ok(())
}
