//! Addresses: ranges, pools, what a network interface is given, and which addresses may be handed out.
//!
//! IPv4 only; a request for IPv6 is refused where it is parsed, not silently dropped.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An inclusive range, `192.168.0.21-192.168.0.30`; the last address is never before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv4Range {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

/// Why a text is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// Not two IPv4 addresses joined by a hyphen.
    Syntax,
    /// The last address lies before the first.
    Reversed,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "expected FIRST-LAST, two IPv4 addresses",
            Self::Reversed => "the last address lies before the first",
        })
    }
}

impl std::error::Error for RangeError {}

impl Ipv4Range {
    /// A range from `first` to `last`, both included.
    ///
    /// # Errors
    /// [`RangeError::Reversed`] when `last` lies before `first`.
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Result<Self, RangeError> {
        if last < first {
            Err(RangeError::Reversed)
        } else {
            Ok(Self { first, last })
        }
    }

    /// The lowest address.
    #[must_use]
    pub fn first(&self) -> Ipv4Addr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub fn last(&self) -> Ipv4Addr {
        self.last
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, ip: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&ip)
    }

    /// Whether two ranges share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// How many addresses it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::from(u32::from(self.last)) - u64::from(u32::from(self.first)) + 1
    }

    /// Every address, lowest first.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        (u32::from(self.first)..=u32::from(self.last)).map(Ipv4Addr::from)
    }
}

impl FromStr for Ipv4Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (first, last) = text.split_once('-').ok_or(RangeError::Syntax)?;
        let parse = |part: &str| part.trim().parse().map_err(|_| RangeError::Syntax);
        Self::new(parse(first)?, parse(last)?)
    }
}

impl fmt::Display for Ipv4Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix.min(32)))
        .unwrap_or(0)
}

/// Whether `a` and `b` share the network of length `prefix`.
#[must_use]
pub fn in_subnet(a: Ipv4Addr, b: Ipv4Addr, prefix: u8) -> bool {
    u32::from(a) & mask(prefix) == u32::from(b) & mask(prefix)
}

/// How many addresses a network of length `prefix` has, network and broadcast included.
#[must_use]
pub fn subnet_size(prefix: u8) -> u64 {
    1 << (32 - u32::from(prefix.min(32)))
}

/// An address with its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticAddress {
    /// The guest's address.
    pub ip: Ipv4Addr,
    /// Length of the network prefix, 1 to 32.
    pub prefix: u8,
    /// The way out, inside the network.
    pub gateway: Option<Ipv4Addr>,
}

impl StaticAddress {
    /// Whether the address can belong to a guest: not the network's own, not its broadcast.
    #[must_use]
    pub fn usable(ip: Ipv4Addr, prefix: u8) -> bool {
        if prefix >= 31 {
            return true;
        }
        let host = u32::from(ip) & !mask(prefix);
        host != 0 && host != !mask(prefix)
    }
}

/// How one interface gets its address, before anything is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressPlan {
    /// This address and no other.
    Static(StaticAddress),
    /// The next free one of a range.
    FromPool(AddressPool),
    /// Whatever the network's DHCP server gives.
    Dhcp,
}

/// Addresses that may be handed out in one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPool {
    /// Where addresses are taken from.
    pub range: Ipv4Range,
    /// Length of the network prefix.
    pub prefix: u8,
    /// The way out; never handed out.
    pub gateway: Option<Ipv4Addr>,
}

impl AddressPool {
    /// Up to `count` free addresses in order, skipping the network's own address, its broadcast, its
    /// gateway and everything that is taken.
    #[must_use]
    pub fn pick(&self, count: usize, is_taken: impl Fn(Ipv4Addr) -> bool) -> Vec<StaticAddress> {
        self.range
            .addresses()
            .filter(|ip| StaticAddress::usable(*ip, self.prefix))
            .filter(|ip| Some(*ip) != self.gateway && !is_taken(*ip))
            .take(count)
            .map(|ip| StaticAddress {
                ip,
                prefix: self.prefix,
                gateway: self.gateway,
            })
            .collect()
    }
}

/// One network interface of a server, reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// The node's bridge it is plugged into.
    pub bridge: String,
    /// VLAN tag, 1 to 4094.
    pub vlan: Option<u16>,
    /// The reserved address; `None` is DHCP.
    pub address: Option<StaticAddress>,
    /// DNS servers for cloud-init; those of the settings when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Ipv4Addr>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges() {
        let check = |text: &str, expected: Result<usize, RangeError>| {
            let got = text
                .parse::<Ipv4Range>()
                .map(|range| range.addresses().count());
            assert_eq!(got, expected, "{text}");
        };
        check("192.168.0.21-192.168.0.30", Ok(10));
        check("192.168.0.21 - 192.168.0.21", Ok(1));
        check("192.168.0.30-192.168.0.21", Err(RangeError::Reversed));
        check("192.168.0.21", Err(RangeError::Syntax));
        check("192.168.0.21-30", Err(RangeError::Syntax));
        check("192.168.0.21-fe80::1", Err(RangeError::Syntax));
    }

    #[test]
    fn pools_skip_what_cannot_be_given() {
        let pool = AddressPool {
            range: "10.0.0.0-10.0.0.7".parse().unwrap(),
            prefix: 29,
            gateway: Some(ip("10.0.0.1")),
        };
        let taken = BTreeSet::from([ip("10.0.0.3")]);
        let got: Vec<_> = pool
            .pick(9, |ip| taken.contains(&ip))
            .iter()
            .map(|a| a.ip)
            .collect();
        assert_eq!(
            got,
            [
                ip("10.0.0.2"),
                ip("10.0.0.4"),
                ip("10.0.0.5"),
                ip("10.0.0.6")
            ]
        );
    }

    #[test]
    fn subnets() {
        assert!(in_subnet(ip("192.168.0.1"), ip("192.168.0.254"), 24));
        assert!(!in_subnet(ip("192.168.1.1"), ip("192.168.0.254"), 24));
        assert!(in_subnet(ip("1.2.3.4"), ip("200.0.0.1"), 0));
        assert!(!StaticAddress::usable(ip("192.168.0.255"), 24));
        assert!(!StaticAddress::usable(ip("192.168.0.0"), 24));
        assert!(StaticAddress::usable(ip("192.168.0.0"), 31));
        assert_eq!(subnet_size(24), 256);
    }

    proptest! {
        #[test]
        fn a_pick_is_distinct_free_and_inside(
            first: u32, len in 0u32..300, prefix in 1u8..=32, taken: Vec<u8>, count in 0usize..400,
        ) {
            let last = first.saturating_add(len);
            let range = Ipv4Range::new(first.into(), last.into()).unwrap();
            let taken: BTreeSet<_> =
                taken.iter().map(|n| Ipv4Addr::from(first.saturating_add(u32::from(*n)))).collect();
            let pool = AddressPool { range, prefix, gateway: Some(Ipv4Addr::from(first)) };
            let picked = pool.pick(count, |ip| taken.contains(&ip));
            let distinct: BTreeSet<_> = picked.iter().map(|a| a.ip).collect();
            prop_assert_eq!(distinct.len(), picked.len());
            for address in &picked {
                prop_assert!(!taken.contains(&address.ip));
                prop_assert!(address.ip >= range.first() && address.ip <= range.last());
                prop_assert_ne!(Some(address.ip), pool.gateway);
                prop_assert!(StaticAddress::usable(address.ip, prefix));
            }
        }
    }
}
