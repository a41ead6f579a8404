//! A store on a shelf, for the tests of what is built on the port. It keeps versions as KV version 2 does, and can be
//! sealed, or alter what it is given.

use crate::{
    Deletion, Folder, Rotated, Secret, SecretData, SecretError, SecretPath, SecretStore,
    StoreStatus, VersionInfo,
};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) fn mounts() -> BTreeSet<String> {
    ["secret", "kv"].map(str::to_owned).into()
}

pub(crate) fn data(fields: &[(&str, &str)]) -> SecretData {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), Value::from(*value));
    SecretData::new(&fields.iter().map(pair).collect::<Map<_, _>>())
}

#[derive(Default)]
pub(crate) struct Shelf {
    /// Versions by path; `None` was deleted.
    held: Mutex<BTreeMap<String, Vec<Option<SecretData>>>>,
    /// Names that stand in a folder beside those.
    shown: Mutex<BTreeMap<String, Vec<String>>>,
    sealed: AtomicBool,
    alters: AtomicBool,
}

impl Shelf {
    pub(crate) fn seal(&self, sealed: bool) {
        self.sealed.store(sealed, Ordering::SeqCst);
    }

    pub(crate) fn alter(&self, alters: bool) {
        self.alters.store(alters, Ordering::SeqCst);
    }

    pub(crate) fn show(&self, folder: &str, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.shown.lock().unwrap().insert(folder.to_owned(), names);
    }

    fn open(&self) -> Result<(), SecretError> {
        if self.sealed.load(Ordering::SeqCst) {
            return Err(SecretError::Sealed);
        }
        Ok(())
    }
}

#[async_trait]
impl SecretStore for Shelf {
    async fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }

    async fn read(&self, path: &SecretPath, version: Option<u64>) -> Result<Secret, SecretError> {
        self.open()?;
        let held = self.held.lock().unwrap();
        let versions = held.get(&path.to_string()).ok_or(SecretError::NotFound)?;
        let version = version.unwrap_or(versions.len() as u64);
        let at = usize::try_from(version)
            .ok()
            .and_then(|at| at.checked_sub(1));
        let found = at.and_then(|at| versions.get(at)).cloned().flatten();
        Ok(Secret {
            data: found.ok_or(SecretError::NotFound)?,
            version,
            created_at: None,
        })
    }

    async fn write(
        &self,
        path: &SecretPath,
        data: &SecretData,
        expected: Option<u64>,
    ) -> Result<u64, SecretError> {
        self.open()?;
        let mut held = self.held.lock().unwrap();
        let versions = held.entry(path.to_string()).or_default();
        let current = versions.len() as u64;
        if expected.is_some_and(|expected| expected != current) {
            return Err(SecretError::Changed { current });
        }
        let altered = self.alters.load(Ordering::SeqCst);
        let kept = if altered {
            self::data(&[("v", "altered")])
        } else {
            data.clone()
        };
        versions.push(Some(kept));
        Ok(current + 1)
    }

    async fn delete(&self, path: &SecretPath, _: Deletion) -> Result<(), SecretError> {
        self.open()?;
        let mut held = self.held.lock().unwrap();
        let versions = held.get_mut(&path.to_string());
        let last = versions.and_then(|versions| versions.last_mut());
        *last.ok_or(SecretError::NotFound)? = None;
        Ok(())
    }

    async fn list(&self, folder: &Folder) -> Result<Vec<String>, SecretError> {
        self.open()?;
        let held = self.held.lock().unwrap();
        let below = |path: &String| {
            let key = path.strip_prefix(folder.mount())?.strip_prefix('/')?;
            folder.name_of(key).map(str::to_owned)
        };
        let mut names: BTreeSet<String> = held.keys().filter_map(below).collect();
        let shown = self.shown.lock().unwrap();
        names.extend(
            shown
                .get(&folder.to_string())
                .into_iter()
                .flatten()
                .cloned(),
        );
        if names.is_empty() {
            return Err(SecretError::NotFound);
        }
        Ok(names.into_iter().collect())
    }

    async fn versions(&self, _: &SecretPath) -> Result<Vec<VersionInfo>, SecretError> {
        Err(SecretError::NotFound)
    }

    async fn rotate(&self) -> Result<Rotated, SecretError> {
        Err(SecretError::Unsupported("it is a shelf"))
    }
}
