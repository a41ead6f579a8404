//! From settings to what may be called, and who calls.

use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use tpm_app::Channels;
use tpm_jobs::Courier;
use tpm_notify::{Certificate, HttpOutgoing, Policy, SystemLookup};
use tpm_settings::Settings;

/// Which URLs may be called.
pub(crate) fn policy(settings: &Settings) -> anyhow::Result<Policy> {
    let notify = &settings.notify;
    let ports = notify.ports.iter().map(|port| port.parse());
    let networks = notify.networks.iter().map(|network| network.parse());
    Ok(Policy {
        http: notify.http,
        ports: ports.collect::<Result<_, _>>().context("notify.ports")?,
        networks: networks
            .collect::<Result<_, _>>()
            .context("notify.networks")?,
    })
}

/// Who calls them.
pub(crate) fn courier(settings: &Settings, channels: Channels) -> anyhow::Result<Courier> {
    let roots = roots(&settings.notify.ca_file)?;
    let outgoing = HttpOutgoing::new(channels.policy, roots, Arc::new(SystemLookup));
    Ok(Courier {
        outgoing: Arc::new(outgoing.context("notify.ca_file")?),
        keys: channels.keys,
    })
}

fn roots(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    if file.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let pem = std::fs::read(file).with_context(|| format!("notify.ca_file: {}", file.display()))?;
    Certificate::from_pem_bundle(&pem).context("notify.ca_file")
}
