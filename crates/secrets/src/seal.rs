//! Sealing what is kept in the database: AES-256-GCM with a fresh nonce, bound to what it belongs to.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use std::fmt;
use thiserror::Error;

/// Length of a key.
pub const KEY_BYTES: usize = 32;

/// Why something could not be sealed or opened.
#[derive(Debug, Error)]
pub enum SealError {
    /// The key is not 32 bytes long.
    #[error("a key has {KEY_BYTES} bytes")]
    Key,
    /// It was sealed with another key, belongs to something else, or was altered.
    #[error("what is sealed cannot be opened with this key")]
    Opaque,
}

/// Seals and opens.
pub struct Seal(RandomizedNonceKey);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(***)")
    }
}

impl Seal {
    /// With this key.
    ///
    /// # Errors
    /// When it is not [`KEY_BYTES`] long.
    pub fn new(key: &[u8]) -> Result<Self, SealError> {
        RandomizedNonceKey::new(&AES_256_GCM, key)
            .map(Self)
            .map_err(|_| SealError::Key)
    }

    /// Seals `plain`, which can be opened again only as `what`.
    ///
    /// # Errors
    /// When the library refuses: something far too long.
    pub fn seal(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(what), &mut sealed)
            .map_err(|_| SealError::Opaque)?;
        let mut whole = nonce.as_ref().to_vec();
        whole.append(&mut sealed);
        Ok(whole)
    }

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// [`SealError::Opaque`] when it was sealed with another key or as something else, or was altered.
    pub fn open(&self, what: &str, whole: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, sealed) = whole.split_at_checked(NONCE_LEN).ok_or(SealError::Opaque)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Opaque)?;
        let mut sealed = sealed.to_vec();
        let plain = self
            .0
            .open_in_place(nonce, Aad::from(what), &mut sealed)
            .map_err(|_| SealError::Opaque)?;
        Ok(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_with_its_key_and_as_what_it_is() -> Result<(), SealError> {
        let seal = Seal::new(&[7; KEY_BYTES])?;
        let sealed = seal.seal("state/1/4", b"a state")?;
        assert!(!sealed.windows(7).any(|part| part == b"a state"));
        assert_eq!(seal.open("state/1/4", &sealed)?, b"a state");
        assert!(seal.open("state/2/4", &sealed).is_err());
        assert!(
            Seal::new(&[8; KEY_BYTES])?
                .open("state/1/4", &sealed)
                .is_err()
        );
        assert!(seal.open("state/1/4", &sealed[1..]).is_err());
        assert!(Seal::new(&[7; 16]).is_err());
        Ok(())
    }
}
