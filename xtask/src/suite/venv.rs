//! Pythons of their own in the cache folder, each with pinned packages from PyPI.

use crate::workspace::{self, in_path};
use anyhow::{Context as _, bail};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Fails unless exactly those versions are installed.
const PROBE: &str = "import sys; from importlib.metadata import version\n\
    for pin in sys.argv[1:]:\n    \
        name, wanted = pin.split('==')\n    \
        assert version(name) == wanted, pin";

/// A Python and what it is to have.
pub(super) struct Venv<'p> {
    /// What it is made for, as people are told.
    pub(super) name: &'p str,
    /// Below `terraform-proxmox-manager` in the cache folder; another version has another one.
    pub(super) folder: &'p str,
    /// As pip reads them: lines of `name==version`, each with its digests or none with any.
    pub(super) requirements: &'p str,
}

impl Venv<'_> {
    /// Its Python, made when it is not there; or what is missing for making it.
    ///
    /// # Errors
    /// When it cannot be given its packages.
    pub(super) fn python(&self) -> anyhow::Result<Result<PathBuf, String>> {
        let name = self.name;
        let Some(system) = in_path("python3") else {
            return Ok(Err(format!("{name} (no python3)")));
        };
        let cache = workspace::cache()?.join("terraform-proxmox-manager");
        let folder = cache.join(self.folder);
        let python = folder.join("bin/python");
        if self.is_in(&python) {
            return Ok(Ok(python));
        }
        // Half-made by a run that was interrupted, or of another Python: made anew.
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot clear {}", folder.display()))?;
        }
        println!("{name}: making {}", folder.display());
        let mut venv = Command::new(system);
        if let Err(error) = workspace::output(venv.args(["-m", "venv"]).arg(&folder)) {
            return Ok(Err(format!(
                "{name} (python3 makes no venv; on Debian: python3-venv: {error})"
            )));
        }
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, self.requirements)?;
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--requirement",
        ]);
        workspace::output(pip.arg(&requirements).stdin(Stdio::null()))?;
        if !self.is_in(&python) {
            bail!(
                "{} does not have {}",
                python.display(),
                pins(self.requirements).join(" and ")
            );
        }
        Ok(Ok(python))
    }

    fn is_in(&self, python: &PathBuf) -> bool {
        let mut command = Command::new(python);
        command.args(["-c", PROBE]).args(pins(self.requirements));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

/// `name==version` of each line.
fn pins(requirements: &str) -> Vec<&str> {
    let lines = requirements.lines().map(str::trim);
    lines
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_without_digests() {
        let text = "# why\na==1 --hash=sha256:00\n\nb==2.0\n";
        assert_eq!(pins(text), ["a==1", "b==2.0"]);
    }
}
