//! Keys: from the settings, or files made on the first start.

use anyhow::{Context, bail};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tpm_settings::Settings;

/// The file of the key of marks in the data directory.
pub(crate) const MARK: &str = "mark.key";
/// That of Terraform's states.
pub(crate) const STATE: &str = "state.key";

/// What marks on guests are signed with.
pub(crate) fn mark_key(settings: &Settings) -> anyhow::Result<Vec<u8>> {
    key(settings, &settings.security.mark_key, MARK)
}

/// What binds the rows of the audit.
pub(crate) fn audit_key(settings: &Settings) -> anyhow::Result<SecretSlice<u8>> {
    derived(settings, b"the audit")
}

/// What the signing keys of channels are made from.
pub(crate) fn channel_key(settings: &Settings) -> anyhow::Result<SecretSlice<u8>> {
    derived(settings, b"channels")
}

/// Made from the key of the marks, so that there is one to keep.
fn derived(settings: &Settings, what: &[u8]) -> anyhow::Result<SecretSlice<u8>> {
    let key = mark_key(settings)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).context("mark.key")?;
    mac.update(what);
    Ok(mac.finalize().into_bytes().to_vec().into())
}

/// What Terraform states and plans are sealed with.
pub(crate) fn state_key(settings: &Settings) -> anyhow::Result<Vec<u8>> {
    key(settings, &settings.security.state_key, STATE)
}

/// A key's bytes. Several processes may start at once on one directory: the first one makes the file,
/// the others read it.
fn key(settings: &Settings, given: &SecretString, file: &str) -> anyhow::Result<Vec<u8>> {
    let given = given.expose_secret();
    if !given.is_empty() {
        return hex::decode(given).with_context(|| format!("the given {file} is not hex"));
    }
    let path = settings.data_dir.join(file);
    loop {
        match fs::read_to_string(&path) {
            Ok(text) => {
                let key = hex::decode(text.trim());
                let key = key.with_context(|| format!("{} is not hex", path.display()))?;
                if key.len() < 16 {
                    bail!("{} is too short", path.display());
                }
                return Ok(key);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make(&settings.data_dir, file, &path)?
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
}

/// Writes a key under a name of its own and links it into place, so that nobody reads half a file.
fn make(dir: &Path, name: &str, path: &Path) -> anyhow::Result<()> {
    let draft = dir.join(format!("{name}.{}", hex::encode(rand::random::<[u8; 8]>())));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .with_context(|| format!("cannot write {}", draft.display()))?;
    writeln!(file, "{}", hex::encode(rand::random::<[u8; 32]>()))?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot write {}", path.display()))
        }
        _ => Ok(()),
    }
}
