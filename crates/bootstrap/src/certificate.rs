//! When the certificate ends that the API shows: as its file says.

use async_trait::async_trait;
use std::path::{Path, PathBuf};
use tpm_domain::Timestamp;
use tpm_provisioner::{Certificate, Certificates, CertificatesUnknown};
use x509_parser::pem::Pem;

/// The place that is ourselves: the setting, which is no node's name.
const API: &str = "api.tls_certificate";

/// The certificate in a file. A worker on another machine than the API may not have it, and says so.
#[derive(Debug)]
pub(crate) struct OwnCertificate(pub(crate) PathBuf);

/// When the first certificate of a file ends.
fn end(path: &Path) -> Result<Timestamp, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let pem = Pem::iter_from_buffer(&text)
        .next()
        .ok_or("no certificate in it")?
        .map_err(|error| error.to_string())?;
    let certificate = pem.parse_x509().map_err(|error| error.to_string())?;
    let seconds = certificate.validity().not_after.timestamp();
    Ok(Timestamp(seconds.saturating_mul(1000)))
}

#[async_trait]
impl Certificates for OwnCertificate {
    fn places(&self, _nodes: &[String]) -> Vec<String> {
        vec![API.into()]
    }

    async fn of(&self, _place: &str) -> Result<Vec<Certificate>, CertificatesUnknown> {
        let path = self.0.display();
        let ends = end(&self.0).map_err(|why| CertificatesUnknown(format!("{path}: {why}")))?;
        let name = self.0.file_name().unwrap_or(self.0.as_os_str());
        Ok(vec![Certificate {
            name: name.to_string_lossy().into_owned(),
            ends,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::{API, OwnCertificate, end};
    use tpm_domain::Timestamp;
    use tpm_provisioner::Certificates;

    #[tokio::test]
    async fn a_file_says_when_its_first_certificate_ends() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("api.pem");
        let of = |year| {
            let mut params = rcgen::CertificateParams::new(vec!["manager.example".into()])?;
            params.not_after = rcgen::date_time_ymd(year, 3, 1);
            params.self_signed(&rcgen::KeyPair::generate()?)
        };
        let chain = [of(2027)?.pem(), of(2040)?.pem()].concat();
        std::fs::write(&path, chain)?;
        let own = OwnCertificate(path.clone());
        let told = own.of(API).await?;
        assert_eq!(own.places(&["pve".into()]), [API]);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].name, "api.pem");
        assert_eq!(told[0].ends, Timestamp(1_803_859_200_000));
        std::fs::write(
            &path,
            "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
        )?;
        assert!(end(&path).is_err());
        std::fs::write(&path, "")?;
        assert!(end(&path).is_err());
        std::fs::remove_file(&path)?;
        let why = own.of(API).await.map_err(|why| why.to_string());
        assert!(why.is_err_and(|why| why.contains("api.pem")));
        Ok(())
    }
}
