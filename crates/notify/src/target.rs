//! Which URLs may be called: their scheme, port and form, before anybody is asked for an address.

use crate::address::may_connect;
use ipnet::IpNet;
use std::net::IpAddr;
use tpm_domain::UrlFault;
use url::{Host, Url};

/// Longest URL in bytes.
const MAX_URL: usize = 2048;

/// What is allowed beyond HTTPS to the open internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether `http` is, too.
    pub http: bool,
    /// The ports.
    pub ports: Vec<u16>,
    /// Networks that are not of the open internet.
    pub networks: Vec<IpNet>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            http: false,
            ports: vec![443, 8443],
            networks: Vec::new(),
        }
    }
}

/// Names that mean this machine or its network, whatever a name server says.
const LOCAL_NAMES: [&str; 6] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "onion",
];

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    // A name without a dot is looked up in the search domains of this machine.
    !name.contains('.')
        || LOCAL_NAMES.iter().any(|local| {
            name.strip_suffix(local)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

impl Policy {
    /// The URL of a text, when it may be called. A host that is an address is judged here, however it is written;
    /// a name is judged by the addresses it stands for when it is connected to.
    ///
    /// # Errors
    /// What is wrong with it first.
    pub fn check(&self, text: &str) -> Result<Url, UrlFault> {
        let plain = |byte: u8| byte > b' ' && byte != b'\\' && byte != 0x7f;
        if text.len() > MAX_URL || !text.bytes().all(plain) {
            return Err(UrlFault::Form);
        }
        let url = Url::parse(text).map_err(|_| UrlFault::Form)?;
        match url.scheme() {
            "https" => {}
            "http" if self.http => {}
            _ => return Err(UrlFault::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }
        let port = url.port_or_known_default();
        if !port.is_some_and(|port| self.ports.contains(&port)) {
            return Err(UrlFault::Port);
        }
        let literal = |ip: IpAddr| may_connect(ip, &self.networks);
        let fine = match url.host().ok_or(UrlFault::Form)? {
            Host::Ipv4(ip) => literal(ip.into()),
            Host::Ipv6(ip) => literal(ip.into()),
            // In a network of one's own names are one's own, too.
            Host::Domain(name) => !is_local_name(name) || !self.networks.is_empty(),
        };
        if fine {
            Ok(url)
        } else {
            Err(UrlFault::Address)
        }
    }
}
