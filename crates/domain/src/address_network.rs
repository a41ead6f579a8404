//! A network whose addresses are handed out: where they come from and what else its guests need.

use crate::{AddressPool, Ipv4Range, NetworkId, ServerName, Timestamp, in_subnet};
use std::net::Ipv4Addr;

/// The network of servers whose request names none, when it exists; DHCP otherwise.
pub const DEFAULT_NETWORK: &str = "default";

/// Most addresses of one network's range.
pub const MAX_NETWORK_SIZE: u64 = 65_536;

/// What can be set of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Where addresses are taken from.
    pub range: Ipv4Range,
    /// Length of the prefix.
    pub prefix: u8,
    /// The way out; never handed out.
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers for cloud-init; those of the settings when empty.
    pub dns: Vec<Ipv4Addr>,
    /// The nodes' bridge.
    pub bridge: String,
    /// VLAN tag, 1 to 4094.
    pub vlan: Option<u16>,
    /// Parts of the range that are not handed out.
    pub exclusions: Vec<Ipv4Range>,
}

impl NetworkSpec {
    /// Its addresses as a pool; exclusions are not in it.
    #[must_use]
    pub fn pool(&self) -> AddressPool {
        AddressPool {
            range: self.range,
            prefix: self.prefix,
            gateway: self.gateway,
        }
    }

    /// Whether an address is one that may never be handed out here.
    #[must_use]
    pub fn excludes(&self, ip: Ipv4Addr) -> bool {
        self.exclusions.iter().any(|range| range.contains(ip))
    }

    /// Whether both ranges lie in one network of the prefix.
    #[must_use]
    pub fn is_one_subnet(&self) -> bool {
        in_subnet(self.range.first(), self.range.last(), self.prefix)
    }
}

/// A network, as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its number.
    pub id: NetworkId,
    /// Its name, unique; the same rule as for servers.
    pub name: ServerName,
    /// What was set.
    pub spec: NetworkSpec,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}
