//! Lists the guests of a cluster.
//!
//! Reads `PVE_ENDPOINTS` (comma-separated `https://host:8006`), `PVE_TOKEN_ID`, `PVE_TOKEN_SECRET`, and one
//! of `PVE_FINGERPRINTS` (comma-separated) or `PVE_CA_FILE`; with neither, the system's roots are trusted.

use std::{env, error::Error, fs};

use tpm_pve_client::{Client, ClientConfig, Credentials, ResourceKind, TlsTrust};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoints = env::var("PVE_ENDPOINTS")?
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let credentials = Credentials::Token {
        id: env::var("PVE_TOKEN_ID")?,
        secret: env::var("PVE_TOKEN_SECRET")?.into(),
    };
    let tls = match (env::var("PVE_FINGERPRINTS"), env::var("PVE_CA_FILE")) {
        (Ok(pins), _) => {
            TlsTrust::Fingerprints(pins.split(',').map(str::parse).collect::<Result<_, _>>()?)
        }
        (_, Ok(file)) => TlsTrust::Ca(fs::read(file)?),
        _ => TlsTrust::System,
    };
    let client = Client::new(ClientConfig::new(endpoints, credentials, tls))?;
    let mut guests = client.cluster_resources(Some(ResourceKind::Vm)).await?;
    guests.sort_by_key(|guest| guest.vmid);
    for guest in guests {
        let vmid = guest.vmid.map(|vmid| vmid.to_string()).unwrap_or_default();
        println!(
            "{vmid:>9}  {:<10}  {:<12}  {}",
            guest.status.as_deref().unwrap_or("?"),
            guest.node.as_deref().unwrap_or("?"),
            guest.name.as_deref().unwrap_or("?"),
        );
    }
    Ok(())
}
