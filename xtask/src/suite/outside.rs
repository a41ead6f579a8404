//! Programs of others that tests speak to: PostgreSQL, `proxmoxer` in a Python of its own, Terraform with its
//! provider.
//!
//! What is missing is said in one line and its tests skip themselves; with `CI=true` it is an error.

use super::in_ci;
use crate::provider::{self, Peers};
use crate::workspace::{self, in_path};
use anyhow::{Context as _, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Packages from PyPI, pinned.
const PYTHON_PACKAGES: [&str; 2] = ["proxmoxer==2.3.0", "requests==2.32.5"];
const FOLDER: &str = "terraform-proxmox-manager/proxmoxer-2.3.0";

/// Fails unless exactly those versions are installed.
const PROBE: &str = "import sys; from importlib.metadata import version\n\
    for pin in sys.argv[1:]:\n    \
        name, wanted = pin.split('==')\n    \
        assert version(name) == wanted, pin\n\
    import proxmoxer, requests";

/// What was found and made.
#[derive(Default)]
pub(super) struct Outside {
    postgres: bool,
    python: Option<PathBuf>,
    peers: Option<Peers>,
    missing: Vec<String>,
}

impl Outside {
    /// Looks, and makes what can be made.
    ///
    /// # Errors
    /// When a Python that is there cannot be given its packages.
    pub(super) fn prepare() -> anyhow::Result<Self> {
        let mut outside = Self::default();
        match workspace::postgres() {
            Some(folder) => {
                println!("PostgreSQL: {}", folder.display());
                outside.postgres = true;
            }
            None => outside.missing.push(
                "PostgreSQL (no initdb and postgres in PATH or /usr/lib/postgresql/*/bin)".into(),
            ),
        }
        match python()? {
            Ok(python) => {
                println!("proxmoxer: {}", python.display());
                outside.python = Some(python);
            }
            Err(missing) => outside.missing.push(missing),
        }
        match provider::peers()? {
            Ok(peers) => {
                println!("Terraform: {}", peers.program.display());
                println!("Terraform's provider: {}", peers.mirror.display());
                outside.peers = Some(peers);
            }
            Err(provider::Missing(what)) => {
                outside.missing.push(format!("Terraform ({what})"));
            }
        }
        Ok(outside)
    }

    /// Whether there is a PostgreSQL.
    pub(super) fn has_postgres(&self) -> bool {
        self.postgres
    }

    /// What tests will skip for.
    ///
    /// # Errors
    /// In CI, when anything is missing.
    pub(super) fn left_out(&self) -> anyhow::Result<Option<String>> {
        if self.missing.is_empty() {
            return Ok(None);
        }
        let text = format!("missing: {}", self.missing.join(", "));
        if in_ci() {
            bail!("{text}");
        }
        Ok(Some(format!("{text}: its tests are skipped")))
    }

    /// What tests find the programs by. PostgreSQL they find as we do.
    pub(super) fn variables(&self) -> Vec<(&'static str, &Path)> {
        let python = self.python.as_deref();
        let python = python.map(|python| ("TPM_PROXMOXER_PYTHON", python));
        let peers = self.peers.iter().flat_map(Peers::variables);
        python.into_iter().chain(peers).collect()
    }
}

/// A Python with the packages, in the cache; or what is missing for making one.
fn python() -> anyhow::Result<Result<PathBuf, String>> {
    let Some(system) = in_path("python3") else {
        return Ok(Err("proxmoxer (no python3)".into()));
    };
    let folder = workspace::cache()?.join(FOLDER);
    let python = folder.join("bin/python");
    if probe(&python) {
        return Ok(Ok(python));
    }
    // Half-made by a run that was interrupted, or of another Python: made anew.
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    println!("proxmoxer: making {}", folder.display());
    let mut venv = Command::new(system);
    if let Err(error) = workspace::output(venv.args(["-m", "venv"]).arg(&folder)) {
        return Ok(Err(format!(
            "proxmoxer (python3 makes no venv; on Debian: python3-venv: {error})"
        )));
    }
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    workspace::output(pip.args(PYTHON_PACKAGES).stdin(Stdio::null()))?;
    if !probe(&python) {
        bail!(
            "{} does not have {}",
            python.display(),
            PYTHON_PACKAGES.join(" and ")
        );
    }
    Ok(Ok(python))
}

fn probe(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", PROBE]).args(PYTHON_PACKAGES);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
