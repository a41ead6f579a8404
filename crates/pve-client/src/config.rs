//! What a client needs to know before its first call, and what it refuses to start with.

use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use crate::tls::TlsTrust;

/// Where the cluster is, who we are, and whom we trust.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Base addresses of nodes of *one* cluster, such as `https://pve1.example:8006`, in order of
    /// preference. No path, query or user information. Plain `http` is taken for loopback addresses only.
    pub endpoints: Vec<Url>,
    /// Who calls.
    pub credentials: Credentials,
    /// Which servers are believed.
    pub tls: TlsTrust,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

impl ClientConfig {
    /// A configuration with the default time limits.
    #[must_use]
    pub fn new(endpoints: Vec<Url>, credentials: Credentials, tls: TlsTrust) -> Self {
        Self {
            endpoints,
            credentials,
            tls,
            timeouts: Timeouts::default(),
        }
    }
}

/// Who calls. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An API token. It needs no renewal and no CSRF header, and is never quite `root@pam`.
    Token {
        /// `user@realm!name`.
        id: String,
        /// The UUID PVE showed once when the token was made.
        secret: SecretString,
    },
    /// A user name and password, exchanged for a ticket that lives two hours. Accounts with a second
    /// factor are refused.
    Password {
        /// `user@realm`.
        username: String,
        /// The password.
        password: SecretString,
    },
}

/// Time limits of a client.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// For the TCP connection and the TLS handshake. Default 5 s.
    pub connect: Duration,
    /// For one request from start to the last byte of the answer. Default 35 s: PVE's own proxy gives up
    /// after 30 s and says so.
    pub request: Duration,
    /// Age at which a ticket is renewed. Default 50 min; a ticket lives 2 h.
    pub renew_ticket: Duration,
    /// How long an endpoint that failed, or could not reach the node in question, is asked after the
    /// others. Default 10 s.
    pub cooldown: Duration,
    /// How long an endpoint is left alone after three failed connections in a row. Each probe that fails
    /// doubles it; a random part of up to half is taken off. Default 1 s.
    pub first_pause: Duration,
    /// Longest time an endpoint is left alone between two probes. Default 30 s.
    pub longest_pause: Duration,
    /// How long nobody asks again after credentials were refused. Default 60 s: every refusal takes PVE
    /// three seconds.
    pub refused_pause: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(35),
            renew_ticket: Duration::from_secs(50 * 60),
            cooldown: Duration::from_secs(10),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            refused_pause: Duration::from_secs(60),
        }
    }
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The list of endpoints is empty.
    #[error("no endpoint given")]
    NoEndpoint,
    /// An endpoint is not a bare `https://host[:port]`.
    #[error("endpoint {0} is not a bare https address (plain http is for loopback only)")]
    Endpoint(String),
    /// Not `user@realm!name` and a secret, or not `user@realm`.
    #[error("the credentials are not well-formed: {0}")]
    Credentials(&'static str),
    /// Not 32 bytes in hexadecimal, or no pin at all.
    #[error("a certificate fingerprint is 32 bytes in hexadecimal, and at least one is needed")]
    Fingerprint,
    /// The PEM text holds no usable CA certificate.
    #[error("the CA certificate cannot be used: {0}")]
    Ca(String),
    /// The TLS library refused its settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

pub(crate) fn check_endpoints(endpoints: &[Url]) -> Result<(), ConfigError> {
    if endpoints.is_empty() {
        return Err(ConfigError::NoEndpoint);
    }
    for url in endpoints {
        let bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let scheme = match url.scheme() {
            "https" => true,
            "http" => is_loopback(url),
            _ => false,
        };
        if !(bare && scheme && url.has_host()) {
            // the address may carry a password: show the host only
            let host = url.host_str().unwrap_or("without a host").to_owned();
            return Err(ConfigError::Endpoint(host));
        }
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}
