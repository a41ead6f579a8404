//! The key that marks are signed with: from the settings, or a file made on the first start.

use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tpm_settings::Settings;

const FILE: &str = "mark.key";

/// The key's bytes. Several processes may start at once on one directory: the first one makes the file,
/// the others read it.
pub(crate) fn mark_key(settings: &Settings) -> anyhow::Result<Vec<u8>> {
    let given = settings.security.mark_key.expose_secret();
    if !given.is_empty() {
        return hex::decode(given).context("security.mark_key is not hex");
    }
    let path = settings.data_dir.join(FILE);
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
            Err(error) if error.kind() == ErrorKind::NotFound => make(&settings.data_dir, &path)?,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
}

/// Writes a key under a name of its own and links it into place, so that nobody reads half a file.
fn make(dir: &Path, path: &Path) -> anyhow::Result<()> {
    let draft = dir.join(format!("{FILE}.{}", hex::encode(rand::random::<[u8; 8]>())));
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
