//! Whom the client believes.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tpm_pve_client::{Client, ClientConfig, Error, ErrorClass, Fingerprint, Origin, TlsTrust};

use crate::{
    server::{Server, data},
    token,
};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: Vec<u8>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem().into_bytes();
    Authority {
        issuer: Issuer::new(params, key),
        pem,
    }
}

impl Authority {
    fn issue(&self, name: &str) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (
            params.signed_by(&key, &self.issuer).unwrap().der().clone(),
            key,
        )
    }
}

/// Shows a certificate with any key, its own or not.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

async fn server(certificate: &CertificateDer<'static>, key: &KeyPair) -> Server {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = CertifiedKey::new(vec![certificate.clone()], key);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(Arc::new(shown))));
    Server::with_tls(TlsAcceptor::from(Arc::new(config)), |_| {
        data(r#"{"version":"9.2.11"}"#)
    })
    .await
}

async fn ask(server: &Server, tls: TlsTrust) -> Result<String, Error> {
    let client = Client::new(ClientConfig::new(vec![server.url()], token(), tls)).unwrap();
    client.version().await.map(|version| version.version)
}

#[track_caller]
fn refused(result: Result<String, Error>, server: &Server) {
    let error = result.unwrap_err();
    assert_eq!(
        (error.origin(), error.class()),
        (Origin::Tls, ErrorClass::NotSent),
        "{error:?}"
    );
    assert!(
        server.seen().is_empty(),
        "no request byte may reach an untrusted server"
    );
}

#[tokio::test]
async fn the_configured_ca_is_believed_and_no_other() {
    let (ca, other) = (authority(), authority());
    let (certificate, key) = ca.issue("127.0.0.1");
    let server = server(&certificate, &key).await;
    refused(ask(&server, TlsTrust::Ca(other.pem)).await, &server);
    refused(ask(&server, TlsTrust::System).await, &server);
    assert_eq!(ask(&server, TlsTrust::Ca(ca.pem)).await.unwrap(), "9.2.11");
}

#[tokio::test]
async fn under_a_ca_the_name_must_fit() {
    let ca = authority();
    let (certificate, key) = ca.issue("other.example");
    let server = server(&certificate, &key).await;
    refused(ask(&server, TlsTrust::Ca(ca.pem)).await, &server);
}

#[tokio::test]
async fn a_pinned_certificate_is_believed_whatever_its_name_and_no_other() {
    let ca = authority();
    let (certificate, key) = ca.issue("other.example");
    let (another, _) = ca.issue("127.0.0.1");
    let server = server(&certificate, &key).await;
    let (right, wrong) = (Fingerprint::of(&certificate), Fingerprint::of(&another));
    refused(
        ask(&server, TlsTrust::Fingerprints(vec![wrong])).await,
        &server,
    );
    assert_eq!(
        ask(&server, TlsTrust::Fingerprints(vec![wrong, right]))
            .await
            .unwrap(),
        "9.2.11"
    );
}

#[tokio::test]
async fn showing_the_pinned_certificate_without_its_key_is_not_enough() {
    let ca = authority();
    let (certificate, _) = ca.issue("127.0.0.1");
    let (_, stolen) = ca.issue("127.0.0.1");
    let server = server(&certificate, &stolen).await;
    let pin = Fingerprint::of(&certificate);
    refused(
        ask(&server, TlsTrust::Fingerprints(vec![pin])).await,
        &server,
    );
}

#[tokio::test]
async fn an_untrusted_endpoint_is_passed_over() {
    let ca = authority();
    let (certificate, key) = ca.issue("127.0.0.1");
    let good = server(&certificate, &key).await;
    let (certificate, key) = authority().issue("127.0.0.1");
    let bad = server(&certificate, &key).await;
    let urls = vec![bad.url(), good.url()];
    let client = Client::new(ClientConfig::new(urls, token(), TlsTrust::Ca(ca.pem))).unwrap();
    assert_eq!(client.version().await.unwrap().version, "9.2.11");
    assert!(bad.seen().is_empty());
}

#[test]
fn fingerprints_read_what_they_print() {
    let pin = Fingerprint::of(b"anything");
    let text = pin.to_string();
    assert_eq!((text.len(), text.parse().ok()), (95, Some(pin)));
    assert_eq!(text.replace(':', "").to_lowercase().parse().ok(), Some(pin));
    for bad in [
        "",
        "AB",
        &text[..92],
        &text.replace('A', "G"),
        &format!("{text}:00"),
    ] {
        if *bad != *text {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
