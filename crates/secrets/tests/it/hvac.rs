//! A client of others reads what we wrote, and we read what it wrote.

use crate::peer::{Peer, data, path};
use anyhow::{bail, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use tpm_secrets::SecretStore;

/// Reads `ours` and prints it, writes it as `theirs`.
const SCRIPT: &str = r"
import hvac, json, os
client = hvac.Client(url=os.environ['BAO'], token=os.environ['TOKEN'])
v2, v1 = client.secrets.kv.v2, client.secrets.kv.v1
two = v2.read_secret_version(path='ours', mount_point='secret', raise_on_deleted_version=True)['data']
one = v1.read_secret(path='ours', mount_point='kv1')['data']
v2.create_or_update_secret(path='theirs', secret=two['data'], cas=0, mount_point='secret')
v1.create_or_update_secret(path='theirs', secret=one, mount_point='kv1')
print(json.dumps([two['data'], two['metadata']['version'], one]))
";

/// The Python that has `hvac`.
fn python() -> anyhow::Result<Option<PathBuf>> {
    use std::io::Write;
    let named = std::env::var_os("TPM_HVAC_PYTHON").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| {
        PathBuf::from(home).join(".cache/terraform-proxmox-manager/openbao-2.7.2/bin/python")
    });
    let missing = "no Python with hvac (`cargo xtask test --only outside` installs it)";
    match named.into_iter().chain(home).find(|file| file.is_file()) {
        Some(python) => Ok(Some(python)),
        None if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            bail!("{missing}, and CI may not skip it")
        }
        None => {
            let _ = writeln!(std::io::stderr(), "skipped: {missing}");
            Ok(None)
        }
    }
}

#[tokio::test]
async fn hvac_and_we_read_each_other() -> anyhow::Result<()> {
    let (Some(python), Some(peer)) = (python()?, Peer::start().await?) else {
        return Ok(());
    };
    let vault = peer.by_password()?;
    let ours = data("ours");
    vault.write(&path("secret/ours"), &ours, Some(0)).await?;
    vault.write(&path("kv1/ours"), &ours, None).await?;
    let done = Command::new(python)
        .args(["-c", SCRIPT])
        .env("BAO", peer.bao.url())
        .env("TOKEN", peer.token().await?)
        .output()?;
    let errors = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{errors}");
    let read: Value = serde_json::from_slice(&done.stdout)?;
    let ours = Value::Object(ours.fields());
    assert_eq!(read, serde_json::json!([ours, 1, ours]));
    for theirs in ["secret/theirs", "kv1/theirs"] {
        let theirs = vault.read(&path(theirs), None).await?;
        assert_eq!(Value::Object(theirs.data.fields()), ours);
    }
    Ok(())
}
