//! Who measures, where notifications are sent to, and where secrets are kept.

use super::{Problems, is_url};
use crate::{Log, Monitoring, Notify, SecretSettings, Vault, VaultLogin};
use ipnet::IpNet;
use secrecy::ExposeSecret;

pub(super) fn notify(notify: &Notify, problems: &mut Problems) {
    let is_port = |port: &String| port.parse::<u16>().is_ok_and(|port| port > 0);
    problems.unless(
        !notify.ports.is_empty() && notify.ports.iter().all(is_port),
        "notify.ports",
        "must be port numbers, at least one",
    );
    for network in &notify.networks {
        problems.unless(
            network.parse::<IpNet>().is_ok(),
            "notify.networks",
            format!("{network:?} is not a network (CIDR)"),
        );
    }
    let file = &notify.ca_file;
    problems.unless(
        file.as_os_str().is_empty() || file.is_absolute(),
        "notify.ca_file",
        "must be an absolute path, or empty",
    );
}

pub(super) fn vault(vault: &Vault, problems: &mut Problems) {
    problems.unless(
        is_url(&vault.url, &["http", "https"]) && !vault.url.contains('@'),
        "vault.url",
        "must be an http or https URL without a password",
    );
    let is_set = |secret: &secrecy::SecretString| !secret.expose_secret().is_empty();
    let file = !vault.token_file.as_os_str().is_empty();
    let (given, key, needed) = match vault.auth {
        VaultLogin::Approle => (
            !vault.role_id.is_empty() && is_set(&vault.secret_id),
            "vault.role_id",
            "and vault.secret_id are needed for approle",
        ),
        VaultLogin::TokenFile => (file, "vault.token_file", "is needed for token_file"),
        VaultLogin::Kubernetes => (
            file && !vault.role_id.is_empty(),
            "vault.role_id",
            "and vault.token_file are needed for kubernetes",
        ),
        VaultLogin::Userpass => (
            !vault.username.is_empty() && is_set(&vault.password),
            "vault.username",
            "and vault.password are needed for userpass",
        ),
    };
    problems.unless(given, key, needed);
    problems.within(100..=60_000, &vault.timeout_ms, "vault.timeout_ms");
}

pub(super) fn secrets(secrets: &SecretSettings, problems: &mut Problems) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    problems.unless(
        !secrets.mounts.is_empty()
            && secrets.mounts.iter().all(|mount| {
                !mount.is_empty()
                    && mount.bytes().all(plain)
                    && !["sys", "auth", "identity", "cubbyhole"].contains(&mount.as_str())
            }),
        "secrets.mounts",
        "must be words of letters, digits, '_' and '-', at least one, and none of Vault's own",
    );
    let key = secrets.master_key.expose_secret();
    problems.unless(
        key.is_empty() || (key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit())),
        "secrets.master_key",
        "must be 64 hex digits, or empty",
    );
}

pub(super) fn monitoring(monitoring: &Monitoring, problems: &mut Problems) {
    for (name, url) in [
        ("prometheus_url", &monitoring.prometheus_url),
        ("grafana_url", &monitoring.grafana_url),
        ("grafana_prometheus_url", &monitoring.grafana_prometheus_url),
    ] {
        // It is shown to people who ask how monitoring is doing.
        problems.unless(
            url.is_empty() || (is_url(url, &["http", "https"]) && !url.contains('@')),
            format!("monitoring.{name}"),
            "must be an http or https URL without a password, or empty",
        );
    }
    for (name, url, token) in [
        (
            "prometheus_token",
            &monitoring.prometheus_url,
            &monitoring.prometheus_token,
        ),
        (
            "grafana_token",
            &monitoring.grafana_url,
            &monitoring.grafana_token,
        ),
    ] {
        problems.unless(
            token.expose_secret().is_empty() || !url.is_empty(),
            format!("monitoring.{name}"),
            "needs the URL beside it",
        );
    }
    problems.unless(
        !monitoring.prometheus_reload || !monitoring.prometheus_url.is_empty(),
        "monitoring.prometheus_reload",
        "needs monitoring.prometheus_url",
    );
    let file = &monitoring.targets_file;
    problems.unless(
        file.as_os_str().is_empty() || (file.is_absolute() && file.file_name().is_some()),
        "monitoring.targets_file",
        "must be an absolute path, or empty",
    );
    problems.within(
        1..=u16::MAX,
        &monitoring.exporter_port,
        "monitoring.exporter_port",
    );
    problems.within(10..=3600, &monitoring.window_secs, "monitoring.window_secs");
    problems.within(
        100..=60_000,
        &monitoring.timeout_ms,
        "monitoring.timeout_ms",
    );
}

pub(super) fn log(log: &Log, problems: &mut Problems) {
    problems.unless(
        matches!(log.format.as_str(), "text" | "json"),
        "log.format",
        "must be text or json",
    );
    let syslog = &log.syslog;
    let (host, port) = syslog.rsplit_once(':').unwrap_or_default();
    problems.unless(
        syslog.is_empty() || (!host.is_empty() && port.parse::<u16>().is_ok_and(|it| it > 0)),
        "log.syslog",
        "must be a host and a port (logs.example:6514), or empty",
    );
    problems.unless(
        syslog.is_empty() == log.syslog_ca_file.as_os_str().is_empty(),
        "log.syslog_ca_file",
        "must be set when log.syslog is, and only then",
    );
}
