//! Signing and verifying marks. Only who holds the key can make one that verifies.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;
use tpm_domain::{Mark, Server};

/// Signs marks with HMAC-SHA256, cut to 128 bits.
#[derive(Clone)]
pub struct MarkSigner {
    instance: String,
    key: Vec<u8>,
}

/// The key is shorter than 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a mark key needs at least 16 bytes")]
pub struct WeakKey;

impl fmt::Debug for MarkSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MarkSigner")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

impl MarkSigner {
    /// A signer for one installation.
    ///
    /// # Errors
    /// [`WeakKey`] for a key of fewer than 16 bytes.
    pub fn new(instance: impl Into<String>, key: &[u8]) -> Result<Self, WeakKey> {
        if key.len() < 16 {
            return Err(WeakKey);
        }
        Ok(Self {
            instance: instance.into(),
            key: key.to_vec(),
        })
    }

    /// The mark that a server's guest carries.
    #[must_use]
    pub fn mark(&self, server: &Server) -> Mark {
        let mut mark = Mark {
            instance: self.instance.clone(),
            server: server.id,
            operation: server.created_by.to_string(),
            vmid: server.vmid,
            signature: String::new(),
        };
        mark.signature = self.sign(&mark);
        mark
    }

    /// Whether a mark was made by this installation and not altered since.
    #[must_use]
    pub fn verify(&self, mark: &Mark) -> bool {
        mark.instance == self.instance
            && bool::from(self.sign(mark).as_bytes().ct_eq(mark.signature.as_bytes()))
    }

    fn sign(&self, mark: &Mark) -> String {
        // A key of any length is accepted by HMAC, so the empty fallback is never taken.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return String::new();
        };
        mac.update(mark.signed_text().as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpm_domain::{ServerId, Vmid};

    #[test]
    fn only_untouched_marks_of_this_installation_verify() {
        let signer = MarkSigner::new("i1", &[7; 32]).unwrap();
        let mut mark = Mark {
            instance: "i1".into(),
            server: ServerId(1),
            operation: "task_a".into(),
            vmid: Vmid(10_000),
            signature: String::new(),
        };
        mark.signature = signer.sign(&mark);
        assert!(signer.verify(&mark));
        assert!(!signer.verify(&Mark {
            vmid: Vmid(10_001),
            ..mark.clone()
        }));
        assert!(!signer.verify(&Mark {
            server: ServerId(2),
            ..mark.clone()
        }));
        assert!(!MarkSigner::new("i1", &[8; 32]).unwrap().verify(&mark));
        assert!(!MarkSigner::new("i2", &[7; 32]).unwrap().verify(&mark));
        assert_eq!(MarkSigner::new("i1", &[7; 15]).unwrap_err(), WeakKey);
        assert!(!format!("{signer:?}").contains('7'));
    }
}
