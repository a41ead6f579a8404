//! Everything that can be wrong with settings that were read, found in one pass.

mod encrypted;
mod outward;

use crate::{
    Backups, Limits, Network, Proxmox, Role, SecretStoreKind, Settings, Terraform, TerraformMode,
    Worker,
};
use ipnet::IpNet;
use secrecy::ExposeSecret;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, `section.key`.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn within<T: PartialOrd + fmt::Display>(
        &mut self,
        range: RangeInclusive<T>,
        value: &T,
        key: impl Into<String>,
    ) {
        let (min, max) = (range.start(), range.end());
        let text = format!("must be between {min} and {max}");
        self.unless(range.contains(value), key, text);
    }

    fn unless(&mut self, fine: bool, key: impl Into<String>, text: impl Into<String>) {
        if !fine {
            self.0.push(Problem {
                key: key.into(),
                text: text.into(),
            });
        }
    }
}

fn is_url(text: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| {
        text.strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"))
            .is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
    })
}

/// Whether a secret is named that is filled in before anything is built.
fn is_reference(text: &str) -> bool {
    text.starts_with("vault:")
}

/// A network, or one address as a network of itself.
fn proxy_network(text: &str) -> Option<IpNet> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    one.or_else(|_| text.parse()).ok()
}

impl Settings {
    /// The proxies that are believed; those that are no network are told by
    /// [`problems`](Self::problems).
    #[must_use]
    pub fn trusted_proxies(&self) -> Vec<IpNet> {
        let proxies = &self.api.trusted_proxies;
        proxies
            .iter()
            .filter_map(|text| proxy_network(text))
            .collect()
    }

    /// Everything that is wrong, in the order of the sections.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        let named = |file: &Path| !file.as_os_str().is_empty();
        let public = &self.api.public_url;
        problems.unless(
            public.is_empty() || is_url(public, &["http", "https"]),
            "api.public_url",
            "must be an http or https URL, or empty",
        );
        problems.unless(
            (1024..=64 << 20).contains(&self.api.max_body_bytes),
            "api.max_body_bytes",
            "must be between 1024 and 67108864",
        );
        problems.within(
            1..=600,
            &self.api.request_timeout_secs,
            "api.request_timeout_secs",
        );
        problems.unless(
            self.api
                .trusted_proxies
                .iter()
                .all(|proxy| proxy_network(proxy).is_some()),
            "api.trusted_proxies",
            "must list IP addresses or networks (10.0.0.0/24)",
        );
        problems.unless(
            self.api.drain_secs <= 60,
            "api.drain_secs",
            "must be between 0 and 60",
        );
        problems.within(
            1..=1_000_000,
            &self.api.max_connections,
            "api.max_connections",
        );
        problems.within(
            1..=600,
            &self.api.header_timeout_secs,
            "api.header_timeout_secs",
        );
        problems.unless(
            named(&self.api.tls_certificate) == named(&self.api.tls_key),
            "api.tls_key",
            "must be set when api.tls_certificate is, and only then",
        );
        let name = &self.auth.admin_name;
        problems.unless(
            (1..=64).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "._@-".contains(c)),
            "auth.admin_name",
            "must be 1 to 64 letters, digits, '.', '_', '@' and '-', and begin with a letter or digit",
        );
        let password = self.auth.admin_password.expose_secret();
        problems.unless(
            password.is_empty() || password.chars().count() >= 8,
            "auth.admin_password",
            "must have at least 8 characters, or be empty",
        );
        let database = self.database.url.expose_secret();
        problems.unless(
            database.is_empty()
                || database.starts_with("sqlite:")
                || (is_reference(database) && self.secrets.store == SecretStoreKind::Vault)
                || is_url(database, &["postgres", "postgresql"]),
            "database.url",
            "must be a sqlite: or postgres: URL, or empty; it may name a secret of a Vault",
        );
        worker(&self.worker, &mut problems);
        let key = self.security.mark_key.expose_secret();
        problems.unless(
            key.is_empty()
                || is_reference(key)
                || (key.len() >= 32 && key.bytes().all(|b| b.is_ascii_hexdigit())),
            "security.mark_key",
            "must be at least 32 hex digits, or empty",
        );
        let key = self.security.state_key.expose_secret();
        problems.unless(
            key.is_empty()
                || is_reference(key)
                || (key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit())),
            "security.state_key",
            "must be 64 hex digits, or empty",
        );
        self.encrypted(&mut problems);
        proxmox(&self.proxmox, &mut problems);
        terraform(&self.terraform, &self.proxmox, &mut problems);
        backups(&self.backups, &mut problems);
        network(&self.network, &mut problems);
        outward::monitoring(&self.monitoring, &mut problems);
        outward::notify(&self.notify, &mut problems);
        outward::secrets(&self.secrets, &mut problems);
        if self.secrets.store == SecretStoreKind::Vault {
            outward::vault(&self.vault, &mut problems);
        }
        limits(&self.limits, &mut problems);
        problems.unless(
            !self.roles.is_empty(),
            "roles",
            "must name at least one role",
        );
        for (name, settings) in &self.roles {
            role(name, settings, &mut problems);
        }
        outward::log(&self.log, &mut problems);
        problems.0
    }
}

fn worker(worker: &Worker, problems: &mut Problems) {
    problems.within(1..=1024, &worker.concurrency, "worker.concurrency");
    problems.within(500..=600_000, &worker.lease_ms, "worker.lease_ms");
    problems.within(10..=60_000, &worker.scan_ms, "worker.scan_ms");
    problems.within(1..=100, &worker.max_attempts, "worker.max_attempts");
    for (name, value) in [
        ("worker.look_ms", worker.look_ms),
        ("worker.sweep_ms", worker.sweep_ms),
        ("worker.orphan_ms", worker.orphan_ms),
    ] {
        problems.within(100..=86_400_000, &value, name);
    }
    let listen = &worker.metrics_listen;
    let address = listen.parse::<SocketAddr>().ok();
    problems.unless(
        listen.is_empty() || address.is_some(),
        "worker.metrics_listen",
        "must be an IP address with a port (127.0.0.1:9465), or empty",
    );
    problems.unless(
        address.is_none_or(|address| address.ip().is_loopback())
            || !worker.metrics_token.expose_secret().is_empty(),
        "worker.metrics_token",
        "must be set when worker.metrics_listen is not an address of this machine alone",
    );
}

fn proxmox(proxmox: &Proxmox, problems: &mut Problems) {
    problems.unless(
        proxmox.endpoints.iter().all(|url| is_url(url, &["https"])),
        "proxmox.endpoints",
        "must list https URLs",
    );
    if !proxmox.endpoints.is_empty() {
        access(proxmox, problems);
    }
    bounds(proxmox, problems);
}

fn backups(backups: &Backups, problems: &mut Problems) {
    problems.unless(
        !backups.storage.is_empty(),
        "backups.storage",
        "must name a storage",
    );
    problems.unless(
        !backups.drill_network.is_empty(),
        "backups.drill_network",
        "must name a network",
    );
    problems.within(1..=64, &backups.max_per_node, "backups.max_per_node");
    problems.within(1..=256, &backups.max_per_storage, "backups.max_per_storage");
    problems.within(
        1..=10_080,
        &backups.timeout_minutes,
        "backups.timeout_minutes",
    );
    problems.within(100..=86_400_000, &backups.look_ms, "backups.look_ms");
}

/// How to get in, and how to know that it is the right cluster.
fn terraform(terraform: &Terraform, proxmox: &Proxmox, problems: &mut Problems) {
    let on = terraform.mode == TerraformMode::On;
    problems.unless(
        !on || !proxmox.endpoints.is_empty(),
        "terraform.mode",
        "needs proxmox.endpoints",
    );
    problems.unless(
        !on || !proxmox.ca_file.is_empty(),
        "terraform.mode",
        "needs proxmox.ca_file: the provider cannot check a fingerprint",
    );
    problems.within(1..=64, &terraform.max_runs, "terraform.max_runs");
    problems.within(128..=65_536, &terraform.memory_mb, "terraform.memory_mb");
    problems.within(
        10..=86_400,
        &terraform.run_timeout_secs,
        "terraform.run_timeout_secs",
    );
}

fn access(proxmox: &Proxmox, problems: &mut Problems) {
    let by_token = proxmox.token_id.contains('@')
        && proxmox.token_id.contains('!')
        && !proxmox.token_secret.expose_secret().is_empty();
    let by_password =
        proxmox.username.contains('@') && !proxmox.password.expose_secret().is_empty();
    problems.unless(
        by_token || (proxmox.token_id.is_empty() && by_password),
        "proxmox.token_id",
        "give token_id (user@realm!name) and token_secret, or username and password",
    );
    problems.unless(
        !(proxmox.ca_file.is_empty() && proxmox.fingerprint.is_empty()),
        "proxmox.ca_file",
        "give ca_file or fingerprint: connections are never left unverified",
    );
    let digits: Vec<char> = proxmox.fingerprint.chars().filter(|c| *c != ':').collect();
    problems.unless(
        digits.is_empty() || (digits.len() == 64 && digits.iter().all(char::is_ascii_hexdigit)),
        "proxmox.fingerprint",
        "must be a SHA-256 fingerprint: 64 hex digits, with or without colons",
    );
}

fn bounds(proxmox: &Proxmox, problems: &mut Problems) {
    problems.unless(
        proxmox.vmid_first >= 100,
        "proxmox.vmid_first",
        "must be at least 100",
    );
    problems.unless(
        (proxmox.vmid_first..=999_999_999).contains(&proxmox.vmid_last),
        "proxmox.vmid_last",
        "must not lie before vmid_first nor beyond 999999999",
    );
    problems.within(1..=256, &proxmox.max_clones, "proxmox.max_clones");
    problems.within(
        1..=256,
        &proxmox.max_clones_per_node,
        "proxmox.max_clones_per_node",
    );
    for (name, value) in [
        ("cpu_overcommit_percent", proxmox.cpu_overcommit_percent),
        (
            "memory_overcommit_percent",
            proxmox.memory_overcommit_percent,
        ),
        (
            "storage_overcommit_percent",
            proxmox.storage_overcommit_percent,
        ),
    ] {
        problems.unless(
            (1..=10_000).contains(&value),
            format!("proxmox.{name}"),
            "must be between 1 and 10000",
        );
    }
    problems.unless(
        proxmox.storage_reserve_percent <= 99,
        "proxmox.storage_reserve_percent",
        "must be between 0 and 99",
    );
    problems.unless(
        proxmox.vmid_quarantine_days <= 36_500,
        "proxmox.vmid_quarantine_days",
        "must be between 0 and 36500",
    );
    problems.within(
        1..=86_400,
        &proxmox.node_patience_secs,
        "proxmox.node_patience_secs",
    );
    problems.within(
        1..=3600,
        &proxmox.shutdown_timeout_secs,
        "proxmox.shutdown_timeout_secs",
    );
    problems.within(
        1..=86_400,
        &proxmox.agent_timeout_secs,
        "proxmox.agent_timeout_secs",
    );
    problems.within(
        10..=86_400,
        &proxmox.step_timeout_secs,
        "proxmox.step_timeout_secs",
    );
}

fn network(network: &Network, problems: &mut Problems) {
    let bounds = network.pool.split_once('-').and_then(|(first, last)| {
        let first: Ipv4Addr = first.trim().parse().ok()?;
        let last: Ipv4Addr = last.trim().parse().ok()?;
        (first <= last).then_some((first, last))
    });
    problems.unless(
        network.pool.is_empty() || bounds.is_some(),
        "network.pool",
        "must be FIRST-LAST, two IPv4 addresses in order, or empty for DHCP",
    );
    problems.within(1..=32, &network.prefix, "network.prefix");
    let shift = 32 - u32::from(network.prefix.clamp(1, 32));
    let net = |ip: Ipv4Addr| u32::from(ip) >> shift;
    if let Some((first, last)) = bounds {
        problems.unless(
            net(first) == net(last),
            "network.pool",
            "its first and last address lie in different networks",
        );
    }
    let gateway = network.gateway.parse::<Ipv4Addr>();
    let inside = match (&gateway, bounds) {
        (Ok(gateway), Some((first, _))) => net(*gateway) == net(first),
        (Ok(_), None) => true,
        (Err(_), _) => network.gateway.is_empty(),
    };
    problems.unless(
        inside,
        "network.gateway",
        "must be an IPv4 address inside the pool's network, or empty",
    );
    problems.unless(
        !network.bridge.is_empty() && network.bridge.len() <= 15,
        "network.bridge",
        "must be a bridge's name of 1 to 15 characters",
    );
    problems.unless(
        network.vlan <= 4094,
        "network.vlan",
        "must be between 0 (none) and 4094",
    );
    problems.unless(
        network
            .dns
            .iter()
            .all(|ip| ip.parse::<std::net::IpAddr>().is_ok()),
        "network.dns",
        "must list IP addresses",
    );
}

fn limits(limits: &Limits, problems: &mut Problems) {
    problems.within(1..=8192, &limits.max_cpu, "limits.max_cpu");
    problems.unless(
        (16..=limits.max_memory_mb).contains(&limits.min_memory_mb),
        "limits.min_memory_mb",
        "must be at least 16 and not above max_memory_mb",
    );
    problems.unless(
        limits.max_disk_gb >= 1,
        "limits.max_disk_gb",
        "must be at least 1",
    );
    problems.within(1..=5000, &limits.max_bulk, "limits.max_bulk");
    for (name, value) in [
        ("expiry_warning_hours", limits.expiry_warning_hours),
        ("expiry_grace_hours", limits.expiry_grace_hours),
        ("idempotency_hours", limits.idempotency_hours),
    ] {
        problems.unless(
            value <= 8_760,
            format!("limits.{name}"),
            "must be between 0 and 8760",
        );
    }
    problems.within(1..=32, &limits.max_nics, "limits.max_nics");
    for (name, value) in [
        ("key_requests_per_second", limits.key_requests_per_second),
        (
            "session_requests_per_second",
            limits.session_requests_per_second,
        ),
    ] {
        problems.within(1..=1_000_000, &value, format!("limits.{name}"));
    }
}

fn role(name: &str, role: &Role, problems: &mut Problems) {
    let key = |field: &str| format!("roles.{name}.{field}");
    problems.unless(
        role.template >= 100,
        key("template"),
        "must be the VMID of a template",
    );
    problems.unless(
        role.templates.iter().all(|vmid| *vmid >= 100),
        key("templates"),
        "must be VMIDs of templates",
    );
    problems.unless(
        role.min_disk_gb >= 1,
        key("min_disk_gb"),
        "must be at least 1",
    );
    problems.unless(
        !role.user.is_empty(),
        key("user"),
        "must name the cloud-init user",
    );
    let plain = |tag: &String| {
        !tag.is_empty()
            && tag
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    problems.unless(
        role.tags.iter().all(plain),
        key("tags"),
        "must be words of letters, digits, '_', '-' and '.'",
    );
    problems.unless(
        role.ssh_keys
            .iter()
            .all(|key| !key.contains('\n') && key.contains(' ')),
        key("ssh_keys"),
        "must be public keys, one line each",
    );
}
