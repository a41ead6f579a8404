//! Programs in Rust that others wrote, built from crates.io at a pinned version into the cache folder, once.
//!
//! They are built without optimizing: each is used for seconds, and optimizing takes minutes.

use crate::workspace::{self, in_path};
use anyhow::Context as _;
use std::fs;
use std::path::PathBuf;

/// A package with one program of the same name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    /// The package on crates.io, and the program.
    pub(crate) name: &'static str,
    /// Exactly this one is built.
    pub(crate) version: &'static str,
}

impl Tool {
    /// The program as it was built here, otherwise the one in `PATH`, at whatever version.
    ///
    /// # Errors
    /// When the environment names no cache folder.
    pub(crate) fn find(self) -> anyhow::Result<Option<PathBuf>> {
        let built = self.folder()?.join(self.name);
        Ok(Some(built)
            .filter(|program| program.is_file())
            .or_else(|| in_path(self.name)))
    }

    /// The program, built when it is nowhere.
    ///
    /// # Errors
    /// When it cannot be built.
    pub(crate) fn program(self) -> anyhow::Result<PathBuf> {
        match self.find()? {
            Some(program) => Ok(program),
            None => self.build(),
        }
    }

    fn folder(self) -> anyhow::Result<PathBuf> {
        let folder = format!("terraform-proxmox-manager/{}-{}", self.name, self.version);
        Ok(workspace::cache()?.join(folder))
    }

    fn build(self) -> anyhow::Result<PathBuf> {
        let Self { name, version } = self;
        println!("building {name} {version}, once; this takes some minutes");
        let folder = self.folder()?;
        let draft = folder.join(format!("draft-{}", std::process::id()));
        let mut cargo = workspace::cargo();
        cargo
            .args(["install", name, "--version", &format!("={version}")])
            .args(["--locked", "--debug", "--root"])
            .arg(&draft)
            .arg("--target-dir")
            .arg(draft.join("target"))
            .env("CARGO_PROFILE_DEV_DEBUG", "false");
        workspace::run(&mut cargo)?;
        let program = folder.join(name);
        // Others may build at the same time: what is in place is whole.
        fs::rename(draft.join("bin").join(name), &program)
            .with_context(|| format!("{name} {version} brought no program {name}"))?;
        fs::remove_dir_all(&draft)?;
        Ok(program)
    }
}
