//! Programs of others that tests speak to: PostgreSQL, Prometheus, `proxmoxer`, Schemathesis and OpenBao with
//! `hvac`, each in a Python of its own, Newman, Terraform with its provider.
//!
//! What is missing is said in one line and its tests skip themselves; with `CI=true` it is an error.

use super::in_ci;
use super::newman;
use super::venv::Venv;
use crate::provider::{self, Peers};
use crate::workspace;
use anyhow::bail;
use std::path::{Path, PathBuf};

/// The Proxmox VE client of others that speaks to the simulator.
const PROXMOXER: Venv<'_> = Venv {
    name: "proxmoxer",
    folder: "proxmoxer-2.3.0",
    requirements: "proxmoxer==2.3.0\nrequests==2.32.5\n",
};
const SCHEMATHESIS: &str = include_str!("../../../tests/peers/schemathesis/requirements.txt");
/// The store of secrets, and a client of others for it.
const OPENBAO: Venv<'_> = Venv {
    name: "OpenBao with hvac",
    folder: "openbao-2.7.2",
    requirements: include_str!("../../../tests/peers/openbao/requirements.txt"),
};

/// What was found and made.
#[derive(Default)]
pub(super) struct Outside {
    postgres: bool,
    python: Option<PathBuf>,
    schemathesis: Option<PathBuf>,
    newman: Option<PathBuf>,
    /// The server, and the Python that has `hvac`.
    openbao: Option<(PathBuf, PathBuf)>,
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
        match PROXMOXER.python()? {
            Ok(python) => {
                println!("proxmoxer: {}", python.display());
                outside.python = Some(python);
            }
            Err(missing) => outside.missing.push(missing),
        }
        let schemathesis = Venv {
            name: "schemathesis",
            folder: "schemathesis-4.32.5",
            requirements: SCHEMATHESIS,
        };
        match schemathesis.python()? {
            Ok(python) => {
                println!("schemathesis: {}", python.display());
                outside.schemathesis = Some(python.with_file_name("st"));
            }
            Err(missing) => outside.missing.push(missing),
        }
        match newman::program()? {
            Ok(program) => {
                println!("Newman: {}", program.display());
                outside.newman = Some(program);
            }
            Err(missing) => outside.missing.push(missing),
        }
        match OPENBAO.python()? {
            Ok(python) => {
                let server = python.with_file_name("bao");
                println!("OpenBao: {}", server.display());
                outside.openbao = Some((server, python));
            }
            Err(missing) => outside.missing.push(missing),
        }
        let monitors = ["prometheus", "promtool", "prometheus-node-exporter"];
        let gone: Vec<_> = monitors
            .into_iter()
            .filter(|name| workspace::in_path(name).is_none())
            .collect();
        if gone.is_empty() {
            println!("Prometheus: {}", monitors.join(", "));
        } else {
            let gone = gone.join(", ");
            outside.missing.push(format!("{gone} (not in PATH)"));
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

    /// The program of Schemathesis.
    pub(super) fn schemathesis(&self) -> Option<&Path> {
        self.schemathesis.as_deref()
    }

    /// The program of Newman.
    pub(super) fn newman(&self) -> Option<&Path> {
        self.newman.as_deref()
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
        let openbao = self
            .openbao
            .iter()
            .flat_map(|(server, python)| [("TPM_BAO", &**server), ("TPM_HVAC_PYTHON", &**python)]);
        let peers = self.peers.iter().flat_map(Peers::variables);
        python.into_iter().chain(openbao).chain(peers).collect()
    }
}
