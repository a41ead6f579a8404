//! Tools of cargo's in the cache folder, each built once from crates.io at a pinned version.

use crate::workspace;
use anyhow::ensure;
use std::path::PathBuf;
use std::process::Stdio;

/// A tool that cargo runs as a command of its own.
pub(crate) struct Tool {
    /// The crate, and its program.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

/// Looks at licences, sources and what is banned.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};
/// Writes a bill of materials.
pub(crate) const CYCLONEDX: Tool = Tool {
    name: "cargo-cyclonedx",
    version: "0.5.9",
};

impl Tool {
    /// Its program, built when it is not there.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn program(&self) -> anyhow::Result<PathBuf> {
        let Self { name, version } = self;
        let cache = workspace::cache()?.join("terraform-proxmox-manager");
        let folder = cache.join(format!("{name}-{version}"));
        let program = folder.join("bin").join(name);
        if program.is_file() {
            return Ok(program);
        }
        println!("{name}: building {}", folder.display());
        let mut cargo = workspace::cargo();
        cargo
            .args(["install", name, "--version", version, "--locked", "--quiet"])
            // It runs for a second: optimizing it takes longer than it will ever run.
            .args(["--debug", "--root"])
            .arg(&folder)
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            // Apart, so that nothing of the product is built again for it; thrown away afterwards.
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .stdin(Stdio::null());
        workspace::run(&mut cargo)?;
        std::fs::remove_dir_all(folder.join("target")).ok();
        ensure!(program.is_file(), "there is no {}", program.display());
        Ok(program)
    }
}
