//! The real Terraform and the real provider, where they are.

use anyhow::bail;
use std::fmt;
use std::path::PathBuf;

/// Where the provider's mirror is: set by `cargo xtask test`, which builds it.
const VARIABLE: &str = "TPM_PROVIDER_MIRROR";

/// Terraform with its provider.
#[derive(Clone, Debug)]
pub struct Terraform {
    /// The program.
    pub binary: PathBuf,
    /// The filesystem mirror with the provider.
    pub mirror: PathBuf,
}

/// Terraform or its provider is not there.
#[derive(Clone, Copy, Debug)]
pub struct TerraformMissing;

impl fmt::Display for TerraformMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "terraform is not in PATH, or {VARIABLE} names no mirror with the provider (`cargo xtask test` builds it)"
        )
    }
}

impl Terraform {
    /// Finds both, or says that they are not there. With `CI=true` missing ones are an error.
    ///
    /// # Errors
    /// When they are missing on CI.
    pub fn find() -> anyhow::Result<Result<Self, TerraformMissing>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let binary = ["terraform", "tofu"]
            .iter()
            .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)))
            .find(|file| file.is_file());
        let mirror = std::env::var_os(VARIABLE)
            .map(PathBuf::from)
            .or_else(|| {
                let home = std::env::var_os("HOME").map(PathBuf::from)?;
                Some(home.join(".cache/terraform-proxmox-manager/bpg-0.111.1/mirror"))
            })
            .filter(|mirror| mirror.is_dir());
        match (binary, mirror) {
            (Some(binary), Some(mirror)) => Ok(Ok(Self { binary, mirror })),
            _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                bail!("{TerraformMissing}, and CI may not skip it")
            }
            _ => Ok(Err(TerraformMissing)),
        }
    }
}
