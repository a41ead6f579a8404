//! Programs in Go that others wrote, built from the Go module proxy at the version that a `go.mod` of ours pins.

use crate::workspace;
use anyhow::{Context as _, bail};
use std::path::Path;
use std::process::Command;

/// Builds `package` as the module in `module` pins it, with one variable of it set, to that file.
///
/// # Errors
/// When it does not build.
pub(crate) fn build(module: &str, package: &str, set: &str, to: &Path) -> anyhow::Result<()> {
    let status = Command::new("go")
        .args(["build", "-C", module, "-trimpath", "-ldflags"])
        .arg(format!("-s -w -X {set}"))
        .arg("-o")
        .arg(to)
        .arg(package)
        .env("CGO_ENABLED", "0")
        .current_dir(workspace::root())
        .status()
        .context("go build")?;
    if !status.success() {
        bail!("{package} could not be built");
    }
    Ok(())
}
