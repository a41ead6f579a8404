//! Carries secrets from one store to another and looks whether they came to be there. It overwrites nothing and deletes
//! nothing: who no longer wants the old store empties it.

use crate::{BadPath, Folder, Secret, SecretData, SecretError, SecretPath, SecretStore};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use std::collections::BTreeSet;
use thiserror::Error;
use zeroize::Zeroizing;

/// What a transfer came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Secrets that were written, and read back the same.
    pub written: Vec<String>,
    /// Secrets that stood there already, the same.
    pub same: Vec<String>,
    /// Secrets that stand there with something else in them; left alone.
    pub different: Vec<String>,
    /// Names that this service would not read by: their letters are not allowed in a path.
    pub unreadable: Vec<String>,
}

/// Why a transfer stopped. What was carried until then stays; starting again goes on from there.
#[derive(Debug, Error)]
pub enum TransferError {
    /// The store it comes from.
    #[error("cannot read {path}")]
    From {
        /// The secret or the folder.
        path: String,
        /// What the store said.
        source: SecretError,
    },
    /// The store it goes to.
    #[error("cannot write {path}")]
    To {
        /// The secret.
        path: String,
        /// What the store said.
        source: SecretError,
    },
    /// It was written, and is another one when it is read.
    #[error("{0} is another one after it was written")]
    Altered(String),
    /// A mount that is not allowed.
    #[error("{0}")]
    Mount(String, #[source] BadPath),
}

/// The digest of what a secret holds, whatever the order of its fields.
#[must_use]
pub fn digest_of(data: &SecretData) -> [u8; 32] {
    // A map of JSON is kept in the order of its names here; the test beside this fails where it is not.
    let text = Zeroizing::new(Value::Object(data.fields()).to_string());
    let mut found = [0; 32];
    found.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    found
}

/// Carries the latest version of every secret of the mounts.
///
/// # Errors
/// The first that a store refuses, or that is another one afterwards.
pub async fn transfer(
    from: &dyn SecretStore,
    to: &dyn SecretStore,
    mounts: &BTreeSet<String>,
) -> Result<Carried, TransferError> {
    let mut carried = Carried::default();
    let mut folders: Vec<String> = mounts
        .iter()
        .rev()
        .map(|mount| format!("{mount}/"))
        .collect();
    while let Some(text) = folders.pop() {
        let folder = match Folder::parse(&text, mounts) {
            Ok(folder) => folder,
            Err(BadPath::Form) => {
                carried.unreadable.push(text);
                continue;
            }
            Err(error) => return Err(TransferError::Mount(text, error)),
        };
        for name in names(from, &folder).await? {
            let path = format!("{text}{name}");
            if name.ends_with('/') {
                folders.push(path);
                continue;
            }
            match SecretPath::parse(&path, mounts) {
                Ok(path) => one(from, to, &path, &mut carried).await?,
                Err(_) => carried.unreadable.push(path),
            }
        }
    }
    Ok(carried)
}

async fn names(from: &dyn SecretStore, folder: &Folder) -> Result<Vec<String>, TransferError> {
    match from.list(folder).await {
        Ok(names) => Ok(names),
        Err(SecretError::NotFound) => Ok(Vec::new()),
        Err(source) => Err(TransferError::From {
            path: folder.to_string(),
            source,
        }),
    }
}

/// The latest version; `None` when there is none, or it was deleted.
async fn latest(store: &dyn SecretStore, path: &SecretPath) -> Result<Option<Secret>, SecretError> {
    match store.read(path, None).await {
        Ok(secret) => Ok(Some(secret)),
        Err(SecretError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn one(
    from: &dyn SecretStore,
    to: &dyn SecretStore,
    path: &SecretPath,
    carried: &mut Carried,
) -> Result<(), TransferError> {
    let cannot_write = |source| TransferError::To {
        path: path.to_string(),
        source,
    };
    let found = latest(from, path).await;
    let found = found.map_err(|source| TransferError::From {
        path: path.to_string(),
        source,
    })?;
    let Some(found) = found else { return Ok(()) };
    let wanted = digest_of(&found.data);
    if let Some(there) = latest(to, path).await.map_err(cannot_write)? {
        let same = digest_of(&there.data) == wanted;
        let list = if same {
            &mut carried.same
        } else {
            &mut carried.different
        };
        list.push(path.to_string());
        return Ok(());
    }
    match to.write(path, &found.data, Some(0)).await {
        Ok(_) => {}
        // Somebody wrote or deleted there: it is theirs.
        Err(SecretError::Changed { .. }) => {
            carried.different.push(path.to_string());
            return Ok(());
        }
        Err(source) => return Err(cannot_write(source)),
    }
    match latest(to, path).await.map_err(cannot_write)? {
        Some(there) if digest_of(&there.data) == wanted => {
            carried.written.push(path.to_string());
            Ok(())
        }
        _ => Err(TransferError::Altered(path.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Deletion;
    use crate::testing::{Shelf, data, mounts};

    async fn put(store: &Shelf, path: &str, value: &str) {
        let path = SecretPath::parse(path, &mounts()).unwrap();
        store
            .write(&path, &data(&[("v", value)]), None)
            .await
            .unwrap();
    }

    async fn carry(from: &Shelf, to: &Shelf) -> Result<Carried, TransferError> {
        transfer(from, to, &mounts()).await
    }

    #[tokio::test]
    async fn everything_is_carried_once_and_nothing_overwritten() {
        let (from, to) = (Shelf::default(), Shelf::default());
        put(&from, "secret/ssh", "1").await;
        put(&from, "secret/ssh", "2").await;
        put(&from, "secret/servers/web/root", "3").await;
        put(&from, "kv/deep/er/than/that", "4").await;
        put(&from, "kv/taken", "5").await;
        put(&to, "kv/taken", "theirs").await;
        let first = carry(&from, &to).await.unwrap();
        let all = [
            "kv/deep/er/than/that",
            "secret/servers/web/root",
            "secret/ssh",
        ];
        let mut written = first.written.clone();
        written.sort();
        assert_eq!(written, all);
        assert_eq!(first.different, ["kv/taken"]);
        let ssh = SecretPath::parse("secret/ssh", &mounts()).unwrap();
        let there = to.read(&ssh, None).await.unwrap().data;
        assert_eq!(digest_of(&there), digest_of(&data(&[("v", "2")])));
        let again = carry(&from, &to).await.unwrap();
        assert_eq!((again.written.len(), again.same.len()), (0, 3));
        assert_eq!(again.different, ["kv/taken"]);
        // And back: the old store has it all, nothing is written.
        let back = carry(&to, &from).await.unwrap();
        assert_eq!((back.written.len(), back.same.len()), (0, 3));
    }

    #[tokio::test]
    async fn what_was_deleted_there_is_not_brought_back() {
        let (from, to) = (Shelf::default(), Shelf::default());
        put(&from, "secret/a", "1").await;
        put(&to, "secret/a", "2").await;
        let path = SecretPath::parse("secret/a", &mounts()).unwrap();
        to.delete(&path, Deletion::Latest).await.unwrap();
        let carried = carry(&from, &to).await.unwrap();
        assert_eq!(carried.different, ["secret/a"]);
        assert!(to.read(&path, None).await.is_err());
    }

    #[tokio::test]
    async fn a_store_that_alters_is_found_out() {
        let (from, to) = (Shelf::default(), Shelf::default());
        put(&from, "secret/a", "1").await;
        to.alter(true);
        let error = carry(&from, &to).await.unwrap_err();
        assert!(matches!(error, TransferError::Altered(path) if path == "secret/a"));
    }

    #[tokio::test]
    async fn a_sealed_store_stops_it_and_it_goes_on_later() {
        let (from, to) = (Shelf::default(), Shelf::default());
        put(&from, "secret/a", "1").await;
        to.seal(true);
        let error = carry(&from, &to).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot write secret/a");
        to.seal(false);
        assert_eq!(carry(&from, &to).await.unwrap().written, ["secret/a"]);
        from.seal(true);
        let error = carry(&from, &to).await.unwrap_err();
        assert!(matches!(error, TransferError::From { .. }));
    }

    #[tokio::test]
    async fn names_of_others_are_told_and_left() {
        let (from, to) = (Shelf::default(), Shelf::default());
        put(&from, "secret/a", "1").await;
        from.show("secret/", &["with space", "folder of others/"]);
        let carried = carry(&from, &to).await.unwrap();
        assert_eq!(carried.written, ["secret/a"]);
        let told = ["secret/with space", "secret/folder of others/"];
        assert_eq!(carried.unreadable, told);
    }

    #[test]
    fn the_order_of_fields_does_not_matter_and_values_do() {
        let parse = |text: &str| SecretData::parse(text.to_owned().into()).unwrap();
        let one = parse(r#"{"a":{"x":1,"y":[{"p":1,"q":2}]},"b":"2"}"#);
        let two = parse(r#"{"b":"2","a":{"y":[{"q":2,"p":1}],"x":1}}"#);
        assert_eq!(digest_of(&one), digest_of(&two));
        let other = parse(r#"{"a":{"x":1,"y":[{"p":1,"q":3}]},"b":"2"}"#);
        assert_ne!(digest_of(&one), digest_of(&other));
    }
}
