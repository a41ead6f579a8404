//! The layers.

use crate::{Problem, Settings, shown};
use config::{Config, Environment, File, FileFormat};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// The documented defaults, part of the binary.
pub const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// Why there are no settings.
#[derive(Debug)]
pub enum LoadError {
    /// A file or variable that cannot be read or has the wrong type.
    Unreadable(config::ConfigError),
    /// Everything that is wrong with what was read.
    Invalid(Vec<Problem>),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "settings: {error}"),
            Self::Invalid(problems) => {
                writeln!(f, "settings: {} problem(s)", problems.len())?;
                for problem in problems {
                    writeln!(f, "  {problem}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Loads from the file given (`config/local.toml` when it exists and none is given) and the process's
/// environment.
///
/// # Errors
/// [`LoadError`] with every problem.
pub fn load(file: Option<&Path>) -> Result<Settings, LoadError> {
    load_from(file, std::env::vars().collect())
}

/// The same with an environment of the caller's.
///
/// # Errors
/// [`LoadError`] with every problem.
pub fn load_from(
    file: Option<&Path>,
    environment: HashMap<String, String>,
) -> Result<Settings, LoadError> {
    let source = match file {
        Some(path) => File::from(path).format(FileFormat::Toml).required(true),
        None => File::from(Path::new("config/local.toml"))
            .format(FileFormat::Toml)
            .required(false),
    };
    // Not parsed here: a password that looks like a number must stay what it is.
    let variables = Environment::with_prefix("TPM")
        .prefix_separator("__")
        .separator("__")
        .source(Some(environment));
    let read = || {
        let from_file = Config::builder().add_source(source.clone()).build()?;
        let from_environment = Config::builder().add_source(variables.clone()).build()?;
        let defaults = File::from_str(DEFAULTS, FileFormat::Toml);
        let whole = Config::builder()
            .add_source(defaults)
            .add_source(source)
            .add_source(variables)
            .build()?;
        let shown = shown::shown(&whole, &from_file, &from_environment)?;
        let settings: Settings = whole.try_deserialize()?;
        Ok(Settings { shown, ..settings })
    };
    let settings = read().map_err(LoadError::Unreadable)?;
    let problems = settings.problems();
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(LoadError::Invalid(problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, ShownValue};
    use secrecy::ExposeSecret;

    fn with(pairs: &[(&str, &str)]) -> Result<Settings, LoadError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let environment = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        load_from(Some(file.path()), environment)
    }

    #[test]
    fn the_defaults_only_lack_what_nobody_can_know() {
        let Err(LoadError::Invalid(problems)) = with(&[]) else {
            panic!("valid without a cluster")
        };
        let keys: Vec<_> = problems
            .iter()
            .map(|problem| problem.key.as_str())
            .collect();
        assert_eq!(keys, ["proxmox.token_id", "proxmox.ca_file"]);
    }

    #[test]
    fn the_environment_overrides_and_all_problems_are_told_at_once() {
        let base = [
            ("TPM__PROXMOX__TOKEN_ID", "a@pve!b"),
            ("TPM__PROXMOX__TOKEN_SECRET", "s3cret"),
            (
                "TPM__PROXMOX__FINGERPRINT",
                &"ab:".repeat(31).replace("ab:ab", "ab:cd"),
            ),
            ("TPM__PROXMOX__ENDPOINTS", "https://a:8006, https://b:8006"),
            ("TPM__AUTH__ADMIN_PASSWORD", "00000007"),
        ];
        let mut good = base.to_vec();
        let pin = format!("{}ab", "ab:".repeat(31));
        good[2].1 = &pin;
        let settings = with(&good).unwrap();
        assert_eq!(
            settings.proxmox.endpoints,
            ["https://a:8006", "https://b:8006"]
        );
        assert_eq!(settings.auth.admin_password.expose_secret(), "00000007");
        assert!(!format!("{settings:?}").contains("s3cret"));
        let shown = |key: &str| {
            let one = settings.shown.iter().find(|one| one.key == key);
            one.map(|one| (one.value.clone(), one.origin)).unwrap()
        };
        let secret = ShownValue::Secret(true);
        assert_eq!(shown("proxmox.token_secret"), (secret, Origin::Environment));
        assert_eq!(
            shown("security.mark_key"),
            (ShownValue::Secret(false), Origin::Default)
        );
        let format = ShownValue::Text("text".into());
        assert_eq!(shown("log.format"), (format, Origin::Default));

        let mut bad = good.clone();
        bad.extend([
            ("TPM__PROXMOX__VMID_FIRST", "50"),
            ("TPM__NETWORK__POOL", "10.1.0.5-10.1.0.9"),
            ("TPM__NETWORK__GATEWAY", "10.0.0.1"),
            ("TPM__WORKER__CONCURRENCY", "0"),
            ("TPM__WORKER__METRICS_LISTEN", "0.0.0.0:9465"),
            ("TPM__ROLES__WEB__TEMPLATE", "1"),
            ("TPM__LOG__FORMAT", "xml"),
        ]);
        let Err(LoadError::Invalid(problems)) = with(&bad) else {
            panic!("accepted")
        };
        let keys: Vec<_> = problems
            .iter()
            .map(|problem| problem.key.as_str())
            .collect();
        assert_eq!(
            keys,
            [
                "worker.concurrency",
                "worker.metrics_token",
                "worker.metrics_listen",
                "proxmox.vmid_first",
                "network.gateway",
                "roles.web.template",
                "log.format",
            ]
        );
    }

    #[test]
    fn a_worker_tells_its_metrics_to_others_only_with_a_token() {
        let asked = |listen: &str, token: &str| {
            let pairs = [
                ("TPM__WORKER__METRICS_LISTEN", listen),
                ("TPM__WORKER__METRICS_TOKEN", token),
            ];
            let Err(LoadError::Invalid(problems)) = with(&pairs) else {
                panic!("valid without a cluster")
            };
            let of_worker = problems.into_iter().map(|problem| problem.key);
            of_worker
                .filter(|key| key.starts_with("worker."))
                .collect::<Vec<_>>()
        };
        for fine in ["", "127.0.0.1:9465", "[::1]:0"] {
            assert!(asked(fine, "").is_empty(), "{fine}");
        }
        let unencrypted = ["worker.metrics_listen"];
        assert_eq!(asked("0.0.0.0:9465", "long enough"), unencrypted);
        for open in ["0.0.0.0:9465", "192.0.2.1:1", "[::]:9465"] {
            let both = ["worker.metrics_token", "worker.metrics_listen"];
            assert_eq!(asked(open, ""), both, "{open}");
        }
        for wrong in ["localhost:9465", "127.0.0.1", "9465"] {
            assert_eq!(asked(wrong, "x"), ["worker.metrics_listen"], "{wrong}");
        }
    }

    /// What goes to other machines, or comes from them, is encrypted, unless it is said that it need not be.
    #[test]
    fn nothing_leaves_this_machine_in_the_clear_unless_that_is_said() {
        let wrong = |pairs: &[(&str, &str)]| {
            let Err(LoadError::Invalid(problems)) = with(pairs) else {
                panic!("valid without a cluster")
            };
            let keys = problems.into_iter().map(|problem| problem.key);
            keys.filter(|key| !key.starts_with("proxmox."))
                .collect::<Vec<_>>()
        };
        let token = ("TPM__WORKER__METRICS_TOKEN", "long enough");
        for (section, key, open, fine) in [
            (
                "api",
                "api.tls_certificate",
                "TPM__API__LISTEN=0.0.0.0:5000",
                "TPM__API__LISTEN=[::1]:5000",
            ),
            (
                "worker",
                "worker.metrics_listen",
                "TPM__WORKER__METRICS_LISTEN=192.0.2.1:9465",
                "TPM__WORKER__METRICS_LISTEN=127.0.0.1:9465",
            ),
            (
                "monitoring",
                "monitoring.prometheus_url",
                "TPM__MONITORING__PROMETHEUS_URL=http://prometheus:9090",
                "TPM__MONITORING__PROMETHEUS_URL=https://prometheus:9090",
            ),
            (
                "monitoring",
                "monitoring.grafana_url",
                "TPM__MONITORING__GRAFANA_URL=http://127.0.0.1.example:3000",
                "TPM__MONITORING__GRAFANA_URL=http://127.0.0.1:3000",
            ),
            (
                "vault",
                "vault.url",
                "TPM__VAULT__URL=http://10.0.0.1:8200",
                "TPM__VAULT__URL=http://localhost:8200",
            ),
        ] {
            let pair = |text: &'static str| text.split_once('=').unwrap();
            assert_eq!(wrong(&[token, pair(open)]), [key], "{open}");
            assert!(wrong(&[token, pair(fine)]).is_empty(), "{fine}");
            let said = ("TPM__SECURITY__UNENCRYPTED", section);
            assert!(wrong(&[token, pair(open), said]).is_empty(), "{open}");
            let other = ("TPM__SECURITY__UNENCRYPTED", "database");
            assert_eq!(wrong(&[token, pair(open), other]), [key], "{open}");
        }
        let unknown = ("TPM__SECURITY__UNENCRYPTED", "api, everything");
        assert_eq!(wrong(&[unknown]), ["security.unencrypted"]);
        // A certificate, and there is nothing to be said.
        let tls = [
            ("TPM__API__LISTEN", "0.0.0.0:5000"),
            ("TPM__API__TLS_CERTIFICATE", "/a.pem"),
            ("TPM__API__TLS_KEY", "/b.pem"),
        ];
        assert!(wrong(&tls).is_empty());
    }

    #[test]
    fn the_example_for_several_machines_lacks_only_its_secrets() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let file = root.join("config/several-nodes/manager.toml");
        let secrets = [
            ("TPM__DATABASE__URL", "postgres://tpm:x@db.example:5432/tpm"),
            ("TPM__SECURITY__MARK_KEY", &"ab".repeat(32)),
            ("TPM__PROXMOX__TOKEN_SECRET", "s3cret"),
        ];
        let secrets = secrets.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let settings = load_from(Some(&file), secrets.into()).unwrap();
        assert_eq!(settings.trusted_proxies().len(), 2);
        assert!(settings.proxmox.endpoints.len() > 1);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = with(&[("TPM__API__LISTENN", "x")]).unwrap_err().to_string();
        assert!(error.contains("listenn"), "{error}");
    }
}
