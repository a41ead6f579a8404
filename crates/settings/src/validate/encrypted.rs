//! Nothing leaves this machine in the clear, unless that is said.

use super::Problems;
use crate::Settings;
use std::net::{IpAddr, SocketAddr};

/// The sections that connect to other machines and may be let off.
const UNENCRYPTED: [&str; 5] = ["api", "database", "monitoring", "worker", "vault"];
const UNLESS: &str = ", unless security.unencrypted names the section";

/// Whether a URL is plain HTTP to another machine.
fn leaves_unencrypted(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match place.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next(),
        None => place.split(':').next(),
    };
    let host = host.unwrap_or_default();
    let here = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    !here && host != "localhost"
}

impl Settings {
    /// Whether what a section connects to other machines need not be encrypted.
    #[must_use]
    pub fn may_be_unencrypted(&self, section: &str) -> bool {
        let names = &self.security.unencrypted;
        names.iter().any(|name| name == section)
    }

    /// Nothing is sent to other machines, or told them, in the clear. The database is seen to where it is connected to.
    pub(super) fn encrypted(&self, problems: &mut Problems) {
        let known = |name: &String| UNENCRYPTED.contains(&name.as_str());
        problems.unless(
            self.security.unencrypted.iter().all(known),
            "security.unencrypted",
            format!("must list some of {}", UNENCRYPTED.join(", ")),
        );
        let certificate = !self.api.tls_certificate.as_os_str().is_empty();
        problems.unless(
            self.api.listen.ip().is_loopback() || certificate || self.may_be_unencrypted("api"),
            "api.tls_certificate",
            format!("must be set when api.listen is not an address of this machine alone{UNLESS}"),
        );
        let monitoring = &self.monitoring;
        for (section, key, url) in [
            ("monitoring", "prometheus_url", &monitoring.prometheus_url),
            ("monitoring", "grafana_url", &monitoring.grafana_url),
            ("vault", "url", &self.vault.url),
        ] {
            problems.unless(
                !leaves_unencrypted(url) || self.may_be_unencrypted(section),
                format!("{section}.{key}"),
                format!("must be an https URL, or one of this machine alone{UNLESS}"),
            );
        }
        let listen = self.worker.metrics_listen.parse::<SocketAddr>();
        problems.unless(
            !listen.is_ok_and(|address| !address.ip().is_loopback())
                || self.may_be_unencrypted("worker"),
            "worker.metrics_listen",
            format!("must be an address of this machine alone{UNLESS}"),
        );
    }
}
