//! Key pairs for SSH, in the text that OpenSSH reads and writes. Only ed25519; it reads no private keys of others.

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use secrecy::SecretString;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey};
use std::fmt;
use thiserror::Error;

/// Longest comment in bytes.
const MAX_COMMENT: usize = 128;

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SshKeyError {
    /// The comment is too long, or is no plain text of one line.
    #[error("not a comment of a key")]
    Comment,
    /// It is no public key as OpenSSH writes it.
    #[error("not a public key")]
    Public,
    /// The machine made none.
    #[error("no key could be made")]
    Make,
}

/// A key pair that was just made.
pub struct SshKeyPair {
    /// The private half, `-----BEGIN OPENSSH PRIVATE KEY-----` and on; without a passphrase.
    pub private: SecretString,
    /// The public half, one line: `ssh-ed25519 AAAA… comment`.
    pub public: String,
    /// The public half's digest, as `ssh-keygen -l` shows it: `SHA256:…`.
    pub fingerprint: String,
}

impl fmt::Debug for SshKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshKeyPair")
            .field("private", &"***")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

fn is_comment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    text.len() <= MAX_COMMENT && text.trim() == text && text.bytes().all(plain)
}

impl SshKeyPair {
    /// A new one. The comment is for people: whose it is.
    ///
    /// # Errors
    /// [`SshKeyError::Comment`]; [`SshKeyError::Make`] when there is no randomness.
    pub fn generate(comment: &str) -> Result<Self, SshKeyError> {
        if !is_comment(comment) {
            return Err(SshKeyError::Comment);
        }
        let made = Ed25519KeyPair::generate().map_err(|_| SshKeyError::Make)?;
        Self::written(&made, comment).ok_or(SshKeyError::Make)
    }

    fn written(made: &Ed25519KeyPair, comment: &str) -> Option<Self> {
        let seed = made.seed().ok()?.as_be_bytes().ok()?;
        let private = Ed25519PrivateKey::from_bytes(seed.as_ref().try_into().ok()?);
        let public = Ed25519PublicKey(made.public_key().as_ref().try_into().ok()?);
        let pair = KeypairData::Ed25519(Ed25519Keypair { public, private });
        let key = PrivateKey::new(pair, comment).ok()?;
        Some(Self {
            private: key.to_openssh(LineEnding::LF).ok()?.to_string().into(),
            public: key.public_key().to_openssh().ok()?,
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        })
    }
}

/// The digest of a public key, as `ssh-keygen -l` shows it.
///
/// # Errors
/// [`SshKeyError::Public`] when it is none, or has options before it or more than one line.
pub fn fingerprint(public: &str) -> Result<String, SshKeyError> {
    let line = public.trim();
    if line.contains(['\n', '\r']) {
        return Err(SshKeyError::Public);
    }
    let key = PublicKey::from_openssh(line).map_err(|_| SshKeyError::Public)?;
    Ok(key.fingerprint(HashAlg::Sha256).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;
    use std::process::Command;

    #[test]
    fn a_pair_is_read_again_and_is_one_pair() {
        let made = SshKeyPair::generate("web-01 of shop").unwrap();
        let read = PrivateKey::from_openssh(made.private.expose_secret()).unwrap();
        assert_eq!(read.public_key().to_openssh().unwrap(), made.public);
        assert_eq!(read.comment(), "web-01 of shop");
        assert!(made.public.starts_with("ssh-ed25519 AAAA"));
        assert!(made.public.ends_with(" web-01 of shop"));
        assert_eq!(fingerprint(&made.public), Ok(made.fingerprint));
    }

    #[test]
    fn no_two_are_the_same_and_none_is_printed() {
        let (one, two) = ("a", "b");
        let one = SshKeyPair::generate(one).unwrap();
        let two = SshKeyPair::generate(two).unwrap();
        assert_ne!(one.fingerprint, two.fingerprint);
        let printed = format!("{one:?}");
        assert!(printed.contains("***") && !printed.contains("PRIVATE KEY"));
    }

    #[test]
    fn comments_stay_on_their_line() {
        for comment in ["a\nssh-ed25519 AAAA", "a\r", "tab\t", "\u{0}", " a", "열쇠"] {
            let refused = SshKeyPair::generate(comment).err();
            assert_eq!(refused, Some(SshKeyError::Comment), "{comment:?}");
        }
        assert!(SshKeyPair::generate(&"c".repeat(129)).is_err());
        assert!(SshKeyPair::generate("").is_ok());
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let key = SshKeyPair::generate("k").unwrap().public;
        for text in [
            String::new(),
            "ssh-ed25519".into(),
            "ssh-ed25519 AAAA".into(),
            format!("command=\"sh\" {key}"),
            format!("{key}\n{key}"),
            key.replace("ssh-ed25519", "ssh-rsa"),
        ] {
            assert_eq!(fingerprint(&text), Err(SshKeyError::Public), "{text}");
        }
    }

    /// The tool that people have takes what is made, and says the same of it.
    #[test]
    fn openssh_agrees() {
        let made = SshKeyPair::generate("seen by openssh").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, made.private.expose_secret()).unwrap();
        let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, only_mine).unwrap();
        let asked = |what: &str| {
            Command::new("ssh-keygen")
                .arg(what)
                .arg("-f")
                .arg(&file)
                .output()
        };
        let derived = match asked("-y") {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                assert!(std::env::var_os("CI").is_none(), "ssh-keygen is missing");
                eprintln!("skipped: no ssh-keygen");
                return;
            }
            other => other.unwrap(),
        };
        assert_eq!(String::from_utf8_lossy(&derived.stdout).trim(), made.public);
        let listed = asked("-l").unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.contains(&made.fingerprint), "{listed}");
    }
}
