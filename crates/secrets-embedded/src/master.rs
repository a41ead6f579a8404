//! The master key: given, or in a file that is made on the first start. While it is being replaced, the file has the old
//! one and the new one, a line each.

use crate::OpenError;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tpm_secrets::KEY_BYTES;
use zeroize::Zeroizing;

/// Where the master key comes from.
#[derive(Clone, Debug)]
pub enum MasterSource {
    /// This file, mode 0600; made when there are no secrets yet.
    File(PathBuf),
    /// Given: 32 bytes in hex. It is replaced by whoever gives it.
    Given(SecretString),
}

/// A master key.
#[derive(Clone)]
pub(crate) struct Master {
    /// The first half of its digest.
    pub(crate) id: String,
    pub(crate) key: SecretSlice<u8>,
}

impl Master {
    pub(crate) fn new(key: &[u8]) -> Self {
        let digest = Sha256::digest(key);
        Self {
            id: hex::encode(&digest[..8]),
            key: key.to_vec().into(),
        }
    }

    pub(crate) fn random() -> Self {
        let key = Zeroizing::new(rand::random::<[u8; KEY_BYTES]>());
        Self::new(&*key)
    }

    fn parse(text: &str) -> Result<Self, OpenError> {
        let key = hex::decode(text.trim()).map(Zeroizing::new);
        match key {
            Ok(key) if key.len() == KEY_BYTES => Ok(Self::new(&key)),
            _ => Err(OpenError::NotAKey),
        }
    }
}

impl MasterSource {
    /// The keys there are, none when the file is missing.
    pub(crate) fn read(&self) -> Result<Vec<Master>, OpenError> {
        match self {
            Self::Given(text) => Ok(vec![Master::parse(text.expose_secret())?]),
            Self::File(path) => match fs::read_to_string(path).map(Zeroizing::new) {
                Ok(text) => {
                    check_mode(path)?;
                    let lines = text.lines().filter(|line| !line.trim().is_empty());
                    lines.map(Master::parse).collect()
                }
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(OpenError::File(path.clone(), error)),
            },
        }
    }

    /// Makes the first key; of several processes that do so at once, one wins and all go on with that one.
    pub(crate) fn make(&self) -> Result<Vec<Master>, OpenError> {
        let Self::File(path) = self else {
            return self.read();
        };
        let fault = |error| OpenError::File(path.clone(), error);
        let draft = draft(path, &[Master::random()]).map_err(fault)?;
        match fs::hard_link(draft.path(), path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(fault(error)),
            _ => self.read(),
        }
    }

    /// Writes these keys instead of those that are there, at once.
    pub(crate) fn write(&self, masters: &[Master]) -> Result<(), OpenError> {
        let Self::File(path) = self else {
            return Ok(());
        };
        let fault = |error| OpenError::File(path.clone(), error);
        let draft = draft(path, masters).map_err(fault)?;
        draft.persist(path).map_err(|error| fault(error.error))?;
        // The name, too, is to be there after a power cut.
        let folder = path.parent().map(fs::File::open);
        if let Some(Ok(folder)) = folder {
            folder.sync_all().map_err(fault)?;
        }
        Ok(())
    }
}

/// A file beside the one that is meant, with these keys.
fn draft(path: &Path, masters: &[Master]) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let draft = tempfile::Builder::new()
        .prefix(".secrets-")
        .make_in(folder, |path| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(path)
        })?;
    let mut file = draft.as_file();
    for master in masters {
        let line = Zeroizing::new(hex::encode(master.key.expose_secret()));
        writeln!(file, "{}", *line)?;
    }
    file.sync_all()?;
    Ok(draft)
}

/// A key that others can read is none.
fn check_mode(path: &Path) -> Result<(), OpenError> {
    let found = fs::metadata(path).map_err(|error| OpenError::File(path.to_owned(), error))?;
    match found.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => Err(OpenError::Readable(path.to_owned())),
    }
}
