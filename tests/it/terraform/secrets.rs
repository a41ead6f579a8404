//! No secret in any file, log, state, plan, task or process list. Searched for by value.

use super::{changed, completed, running, stack};
use crate::fleet::{hand, is};
use anyhow::{Context, ensure};
use serde_json::json;
use std::fs::{self, Permissions};
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tpm_pve_simulator::DEFAULT_SECRET;
use tpm_test_support::{Stack, Terraform};

/// A `terraform` that keeps what every run was given: its command line, its folder, its credential.
fn watched(terraform: &Terraform, to: &Path) -> anyhow::Result<Terraform> {
    let script = to.join("terraform");
    let (binary, out) = (terraform.binary.display(), to.display());
    let text = format!(
        "#!/bin/sh\n\
         tr '\\0' ' ' < /proc/$$/cmdline >> \"{out}/commands\"\n\
         [ -n \"$TF_HTTP_PASSWORD\" ] && echo \"$TF_HTTP_PASSWORD\" >> \"{out}/passwords\"\n\
         [ \"$1\" = apply ] && cp -r . \"{out}/run-$$\"\n\
         exec \"{binary}\" \"$@\"\n"
    );
    fs::write(&script, text)?;
    fs::set_permissions(&script, Permissions::from_mode(0o700))?;
    Ok(Terraform {
        binary: script,
        mirror: terraform.mirror.clone(),
    })
}

/// Every file below, archives opened too; links to the provider are passed over.
fn files(dir: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            files(&path, found)?;
        } else if kind.is_file() {
            let bytes = fs::read(&path)?;
            if let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(&bytes)) {
                for n in 0..archive.len() {
                    let mut inside = Vec::new();
                    archive.by_index(n)?.read_to_end(&mut inside)?;
                    found.push((path.join(n.to_string()), inside));
                }
            }
            found.push((path, bytes));
        }
    }
    Ok(())
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes
        .windows(secret.len())
        .any(|part| part == secret.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere() -> anyhow::Result<()> {
    let Some((_, terraform)) = stack()? else {
        return Ok(());
    };
    let seen = tempfile::tempdir()?;
    let terraform = watched(&terraform, seen.path())?;
    let stack = Stack::builder().terraform(&terraform).start().await?;
    let (id, _) = running(&stack, "web-1").await?;
    let task = changed(&stack, id, &json!({ "cpu": 4 })).await?;
    ensure!(task["status"] == "completed", "{task:#}");
    let answer = stack.client.delete(&format!("/api/servers/{id}")).await?;
    hand(&stack)?.drain().await?;
    completed(&stack, answer.body["task_id"].as_str().context("task_id")?).await?;

    let passwords = fs::read_to_string(seen.path().join("passwords"))?;
    let mut secrets: Vec<&str> = passwords.lines().collect();
    ensure!(secrets.len() > 3, "{} runs", secrets.len());
    secrets.push(DEFAULT_SECRET);

    let mut found = Vec::new();
    files(stack.dir.path(), &mut found)?;
    files(seen.path(), &mut found)?;
    let plans = found
        .iter()
        .filter(|(path, _)| path.to_string_lossy().contains("plan.bin"));
    ensure!(plans.count() > 0, "no plan was looked into");
    for path in ["/api/tasks".to_owned(), format!("/api/servers/{id}/state")] {
        let body = stack.client.get(&path).await?.body;
        found.push((path.into(), body.to_string().into_bytes()));
    }
    let tasks = is(stack.client.get("/api/tasks").await?, 200)?;
    for task in tasks["tasks"].as_array().into_iter().flatten() {
        let task = task["task_id"].as_str().context("task_id")?;
        for part in ["", "/log?limit=500", "/plan"] {
            let path = format!("/api/tasks/{task}{part}");
            let body = stack.client.get(&path).await?.body;
            found.push((path.into(), body.to_string().into_bytes()));
        }
    }
    for (path, bytes) in &found {
        if path.ends_with("passwords") {
            continue;
        }
        for secret in &secrets {
            ensure!(!holds(bytes, secret), "a secret is in {}", path.display());
        }
    }
    // The state is not readable as it lies there.
    let sealed = found
        .iter()
        .filter(|(path, _)| path.to_string_lossy().contains(".db"));
    for (path, bytes) in sealed {
        ensure!(
            !holds(bytes, "\"lineage\""),
            "{} is in clear",
            path.display()
        );
    }
    stack.stop().await
}
