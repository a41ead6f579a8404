//! What Prometheus discovers servers by: the document of HTTP service discovery, which is also that of a file.
//!
//! Source of the shape: [HTTP SD](https://prometheus.io/docs/prometheus/latest/http_sd/).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;
use tpm_domain::ServerId;

/// The labels of every target.
pub mod label {
    /// Which installation it belongs to.
    pub const MANAGER: &str = "manager";
    /// The server's number.
    pub const SERVER_ID: &str = "server_id";
    /// The server's name.
    pub const SERVER_NAME: &str = "server_name";
    /// What it is for.
    pub const ROLE: &str = "role";
    /// The node it is on.
    pub const NODE: &str = "node";
    /// The engine that made it.
    pub const ENGINE: &str = "engine";
    /// Whose it is.
    pub const PROJECT: &str = "project";
}

/// A server to be scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: String,
    /// The node it is on.
    pub node: Option<String>,
    /// The engine that made it.
    pub engine: String,
    /// Whose it is.
    pub project: String,
    /// Its address.
    pub address: IpAddr,
}

/// Addresses that have their labels in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// `address:port`.
    pub targets: Vec<String>,
    /// Their labels.
    pub labels: BTreeMap<String, String>,
}

/// The document, a group for each server, in the order of their numbers.
#[must_use]
pub fn document(manager: &str, port: u16, targets: &[Target]) -> Vec<TargetGroup> {
    let mut sorted: Vec<&Target> = targets.iter().collect();
    sorted.sort_by_key(|target| target.server);
    let group = |target: &Target| {
        let labels = [
            (label::MANAGER, manager.to_owned()),
            (label::SERVER_ID, target.server.to_string()),
            (label::SERVER_NAME, target.name.clone()),
            (label::ROLE, target.role.clone()),
            (label::NODE, target.node.clone().unwrap_or_default()),
            (label::ENGINE, target.engine.clone()),
            (label::PROJECT, target.project.clone()),
        ];
        TargetGroup {
            targets: vec![std::net::SocketAddr::new(target.address, port).to_string()],
            labels: labels
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    };
    sorted.into_iter().map(group).collect()
}

/// Writes the document into a file that Prometheus watches; `false` when it stands there already. Whoever reads
/// meanwhile reads the old one or the new one.
///
/// # Errors
/// When the folder is not there, or cannot be written to.
pub fn write_file(path: &Path, groups: &[TargetGroup]) -> io::Result<bool> {
    let mut text = serde_json::to_vec_pretty(groups)?;
    text.push(b'\n');
    if std::fs::read(path).is_ok_and(|old| old == text) {
        return Ok(false);
    }
    let no_folder = || io::Error::new(io::ErrorKind::InvalidInput, "a path without a folder");
    let folder = path.parent().ok_or_else(no_folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".targets-")
        .permissions(readable())
        .tempfile_in(folder)?;
    file.write_all(&text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(true)
}

/// Prometheus is somebody else and must be able to read it.
#[cfg(unix)]
fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(id: i64, address: &str) -> Target {
        Target {
            server: ServerId(id),
            name: format!("web-{id}"),
            role: "web".into(),
            node: Some("pve1".into()),
            engine: "direct".into(),
            project: "default".into(),
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn the_document_is_what_prometheus_reads() {
        let groups = document("3f9c", 9100, &[target(2, "fd00::5"), target(1, "10.0.0.5")]);
        let text = serde_json::to_string(&groups).unwrap();
        assert_eq!(
            text,
            r#"[{"targets":["10.0.0.5:9100"],"labels":{"engine":"direct","manager":"3f9c","node":"pve1","project":"default","role":"web","server_id":"1","server_name":"web-1"}},{"targets":["[fd00::5]:9100"],"labels":{"engine":"direct","manager":"3f9c","node":"pve1","project":"default","role":"web","server_id":"2","server_name":"web-2"}}]"#
        );
    }

    #[test]
    fn a_file_is_replaced_at_once_and_only_when_it_differs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("targets.json");
        let groups = document("m", 9100, &[target(1, "10.0.0.5")]);
        assert!(write_file(&path, &groups).unwrap());
        assert!(!write_file(&path, &groups).unwrap());
        assert!(write_file(&path, &[]).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[]\n");
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o644);
        // Nothing else is left in the folder.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_file(&dir.path().join("gone/targets.json"), &groups).is_err());
    }
}
