//! The certificates of the nodes.

use crate::ProxmoxProvisioner;
use async_trait::async_trait;
use tpm_domain::Timestamp;
use tpm_provisioner::{Certificate, Certificates, CertificatesUnknown};

fn told(certificate: tpm_pve_client::Certificate) -> Option<Certificate> {
    let ends = i64::try_from(certificate.notafter?).ok()?;
    Some(Certificate {
        name: certificate.filename?,
        ends: Timestamp(ends.checked_mul(1000)?),
    })
}

#[async_trait]
impl Certificates for ProxmoxProvisioner {
    fn places(&self, nodes: &[String]) -> Vec<String> {
        nodes.to_vec()
    }

    async fn of(&self, place: &str) -> Result<Vec<Certificate>, CertificatesUnknown> {
        let all = self.client.node_certificates(place).await;
        let all = all.map_err(|error| CertificatesUnknown(error.to_string()))?;
        Ok(all.into_iter().filter_map(told).collect())
    }
}
