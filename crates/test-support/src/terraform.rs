//! The real Terraform and the real provider, where they are.

use crate::Stack;
use anyhow::bail;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tpm_provisioner_terraform::PROVIDER_VERSION;

/// Where the provider's mirror is: set by `cargo xtask test`, which builds it.
const VARIABLE: &str = "TPM_PROVIDER_MIRROR";
/// Which program it is when not the first of `terraform` and `tofu` in PATH.
const PROGRAM: &str = "TPM_TERRAFORM";

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
            "neither terraform nor tofu is in PATH or named by {PROGRAM}, or {VARIABLE} names no mirror with the \
             provider (`cargo xtask test` builds what is missing)"
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
        let in_path = ["terraform", "tofu"]
            .iter()
            .flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)));
        let named = std::env::var_os(PROGRAM).map(PathBuf::from);
        let binary = named.into_iter().chain(in_path).find(|file| file.is_file());
        let mirror = std::env::var_os(VARIABLE)
            .map(PathBuf::from)
            .or_else(|| {
                let home = std::env::var_os("HOME").map(PathBuf::from)?;
                let folder =
                    format!(".cache/terraform-proxmox-manager/bpg-{PROVIDER_VERSION}/mirror");
                Some(home.join(folder))
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

    /// Runs the command line in `dir` as a person would who has our provider, and a token of the simulated
    /// cluster; what it printed.
    ///
    /// # Errors
    /// When it fails; with what it printed.
    pub fn by_hand(&self, stack: &Stack, dir: &Path, args: &[&str]) -> anyhow::Result<String> {
        let rc = dir.join("person.tfrc");
        let mirror = self.mirror.display();
        let text = format!(
            "provider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n  }}\n}}\n"
        );
        std::fs::write(&rc, text)?;
        let done = Command::new(&self.binary)
            .args(args)
            .current_dir(dir)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", dir)
            .env("TF_CLI_CONFIG_FILE", &rc)
            .env("CHECKPOINT_DISABLE", "1")
            .env("SSL_CERT_FILE", stack.dir.path().join("ca.pem"))
            .env("PROXMOX_VE_ENDPOINT", stack.simulator.url())
            .env("PROXMOX_VE_API_TOKEN", stack.simulator.token())
            .output()?;
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        if !done.status.success() {
            let errors = String::from_utf8_lossy(&done.stderr);
            bail!("{args:?}: {printed}\n{errors}");
        }
        Ok(printed)
    }
}
