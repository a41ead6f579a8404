//! Which servers are trusted: a CA, a pinned certificate, or the system's roots.
//!
//! There is no way to connect unverified. A pin replaces the chain, the name and the validity dates (the
//! certificate itself is the identity), but the handshake signature is still checked, so that showing
//! somebody else's certificate is not enough.

use std::{fmt, str::FromStr, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::config::ConfigError;

/// The SHA-256 of a certificate in DER, as PVE shows it under `ssl_fingerprint`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// From the 32 bytes of the hash.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl FromStr for Fingerprint {
    type Err = ConfigError;

    /// Reads 64 hexadecimal digits, with or without colons between the bytes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        let plain = text.trim().replace(':', "");
        hex::decode_to_slice(&plain, &mut bytes).map_err(|_| ConfigError::Fingerprint)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let lead = if i == 0 { "" } else { ":" };
            write!(f, "{lead}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Whom to trust on the other side.
#[derive(Clone, Debug)]
pub enum TlsTrust {
    /// The CA certificates in this PEM text and no others, usually `/etc/pve/pve-root-ca.pem`. The name
    /// or address in the endpoint must stand in the certificate.
    Ca(Vec<u8>),
    /// Exactly these certificates, one for each endpoint. Names and dates are not looked at.
    Fingerprints(Vec<Fingerprint>),
    /// The roots of the operating system, for a PVE with a publicly trusted certificate.
    System,
}

impl TlsTrust {
    /// `None` leaves the choice to reqwest's own platform verifier.
    pub(crate) fn client_config(&self) -> Result<Option<ClientConfig>, ConfigError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::Tls(error.to_string()))?;
        match self {
            Self::System => Ok(None),
            Self::Ca(pem) => {
                let roots = roots(pem)?;
                Ok(Some(
                    builder.with_root_certificates(roots).with_no_client_auth(),
                ))
            }
            Self::Fingerprints(pins) if pins.is_empty() => Err(ConfigError::Fingerprint),
            Self::Fingerprints(pins) => {
                let verifier = Arc::new(PinnedCertificates {
                    pins: pins.clone(),
                    provider,
                });
                let builder = builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier);
                Ok(Some(builder.with_no_client_auth()))
            }
        }
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| ConfigError::Ca(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| ConfigError::Ca(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(ConfigError::Ca("no certificate found".to_owned()));
    }
    Ok(roots)
}

/// Accepts a server that holds the key of one of the pinned certificates.
#[derive(Debug)]
struct PinnedCertificates {
    pins: Vec<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = Fingerprint::of(end_entity);
        if self.pins.contains(&seen) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(format!(
            "the certificate {seen} is not a pinned one"
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
