//! Where a secret is. A path that could become another one is refused here, before any store sees it.

use std::collections::BTreeSet;
use std::fmt;
use thiserror::Error;

/// Longest path in bytes.
pub const MAX_PATH: usize = 512;
/// Longest part of a path in bytes.
pub const MAX_PART: usize = 128;
/// Parts that mean something in Vault's own paths (KV version 2).
const RESERVED: [&str; 7] = [
    "data", "metadata", "delete", "undelete", "destroy", "subkeys", "config",
];

/// Why a path is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadPath {
    /// Not `mount/key`, or a part of it is empty, too long, or has other letters than `A-Z a-z 0-9 _ . -`.
    #[error("not a path of a secret")]
    Form,
    /// The mount is none of those that are allowed.
    #[error("mount not allowed")]
    Mount,
}

/// A mount and a key below it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretPath {
    mount: String,
    key: String,
}

/// A mount, or a folder below it, whose names are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    mount: String,
    /// Empty, or ends with a slash.
    prefix: String,
}

fn is_part(part: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    // What is all dots is a step in the file system of somebody.
    !part.is_empty()
        && part.len() <= MAX_PART
        && part.bytes().all(letter)
        && !part.bytes().all(|byte| byte == b'.')
}

fn parts<'t>(text: &'t str, mounts: &BTreeSet<String>) -> Result<Vec<&'t str>, BadPath> {
    if text.len() > MAX_PATH {
        return Err(BadPath::Form);
    }
    let parts: Vec<&str> = text.split('/').collect();
    if !parts.iter().all(|part| is_part(part)) {
        return Err(BadPath::Form);
    }
    let Some((mount, key)) = parts.split_first() else {
        return Err(BadPath::Form);
    };
    if !mounts.contains(*mount) {
        return Err(BadPath::Mount);
    }
    if key.first().is_some_and(|first| RESERVED.contains(first)) {
        return Err(BadPath::Form);
    }
    Ok(parts)
}

impl SecretPath {
    /// From `mount/key`, where the key may have slashes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, mounts: &BTreeSet<String>) -> Result<Self, BadPath> {
        let parts = parts(text, mounts)?;
        match parts.split_first() {
            Some((mount, key)) if !key.is_empty() => Ok(Self {
                mount: (*mount).to_owned(),
                key: key.join("/"),
            }),
            _ => Err(BadPath::Form),
        }
    }

    /// The mount.
    #[must_use]
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// What stands below the mount.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mount, self.key)
    }
}

impl fmt::Debug for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Folder {
    /// From `mount` or `mount/folder`, with or without a slash at the end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, mounts: &BTreeSet<String>) -> Result<Self, BadPath> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let parts = parts(text, mounts)?;
        let mut below = parts.into_iter();
        let mount = below.next().ok_or(BadPath::Form)?.to_owned();
        let prefix = below.map(|part| format!("{part}/")).collect();
        Ok(Self { mount, prefix })
    }

    /// The mount.
    #[must_use]
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// What stands below the mount: empty, or with a slash at the end.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The name in this folder that a key of the mount shows as: its own, or its folder's with a slash.
    #[must_use]
    pub fn name_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        let rest = key.strip_prefix(&self.prefix)?;
        match rest.find('/') {
            Some(at) => Some(&rest[..=at]),
            None => Some(rest),
        }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mount, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mounts() -> BTreeSet<String> {
        ["secret", "kv"].map(str::to_owned).into()
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        for (text, mount, key) in [
            ("secret/ssh", "secret", "ssh"),
            (
                "secret/servers/web-01/root",
                "secret",
                "servers/web-01/root",
            ),
            ("kv/a.b_c-D9", "kv", "a.b_c-D9"),
            ("secret/a/data", "secret", "a/data"),
            ("secret/.hidden", "secret", ".hidden"),
        ] {
            let path = SecretPath::parse(text, &mounts()).unwrap();
            assert_eq!((path.mount(), path.key()), (mount, key));
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn folders_show_names_and_folders() {
        let folder = Folder::parse("secret/servers/", &mounts()).unwrap();
        assert_eq!((folder.mount(), folder.prefix()), ("secret", "servers/"));
        assert_eq!(folder.name_of("servers/web"), Some("web"));
        assert_eq!(folder.name_of("servers/web/root"), Some("web/"));
        assert_eq!(folder.name_of("serversx"), None);
        let top = Folder::parse("secret", &mounts()).unwrap();
        assert_eq!(top.prefix(), "");
        assert_eq!(top.name_of("ssh"), Some("ssh"));
        assert!(Folder::parse("sys", &mounts()).is_err());
        assert!(Folder::parse("secret//", &mounts()).is_err());
    }

    proptest! {
        /// What is taken is only ever letters, in parts that are no steps.
        #[test]
        fn whatever_is_taken_is_harmless(text in "(secret|kv|sys|[a-z]{0,3})/?[a-zA-Z0-9./%\\\\ _\\-\u{0}-\u{ff}]{0,40}") {
            if let Ok(path) = SecretPath::parse(&text, &mounts()) {
                prop_assert_eq!(path.to_string(), text);
                prop_assert!(path.key().split('/').all(is_part));
                prop_assert!(["secret", "kv"].contains(&path.mount()));
            }
        }
    }
}
