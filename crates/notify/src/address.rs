//! Which addresses may be connected to: those of the open internet, and what an admin allowed by name of a network.
//!
//! Source of the lists: the [IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry) and
//! [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry) special-purpose address registries.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// What is not the open internet.
const CLOSED_V4: [Ipv4Net; 16] = [
    // this host, on this network
    v4(0, 0, 0, 0, 8),
    // private use
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    // shared by carriers
    v4(100, 64, 0, 0, 10),
    // loopback
    v4(127, 0, 0, 0, 8),
    // link-local, among it the metadata of clouds
    v4(169, 254, 0, 0, 16),
    // protocol assignments, documentation, relays, benchmarks
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 31, 196, 0, 24),
    v4(192, 52, 193, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    // multicast, reserved, broadcast
    v4(224, 0, 0, 0, 3),
];

/// All that is handed out to the open internet; loopback, link-local, unique local, multicast, and every form that
/// carries an IPv4 address (mapped, compatible, NAT64) lies outside.
const OPEN_V6: Ipv6Net = v6(0x2000, 0, 3);

/// Parts of it that are something else.
const CLOSED_V6: [Ipv6Net; 4] = [
    // protocol assignments, among them Teredo and ORCHID
    v6(0x2001, 0, 23),
    // documentation
    v6(0x2001, 0x0db8, 32),
    v6(0x3fff, 0, 20),
    // 6to4 carries an IPv4 address
    v6(0x2002, 0, 16),
];

/// Whether an address is of the open internet.
fn is_open(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => !CLOSED_V4.iter().any(|net| net.contains(&ip)),
        IpAddr::V6(ip) => OPEN_V6.contains(&ip) && !CLOSED_V6.iter().any(|net| net.contains(&ip)),
    }
}

/// Whether an address may be connected to.
pub(crate) fn may_connect(address: IpAddr, allowed: &[IpNet]) -> bool {
    // One written as IPv6 is the IPv4 address it stands for.
    let address = address.to_canonical();
    is_open(address) || allowed.iter().any(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_open_internet_is_open() {
        for open in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
        ] {
            assert!(is_open(open.parse().unwrap()), "{open}");
        }
        for closed in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.170",
            "192.168.1.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "5f00::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_open(closed.parse().unwrap()), "{closed}");
        }
    }

    #[test]
    fn a_network_is_allowed_by_name() {
        let allowed = ["10.1.0.0/16".parse().unwrap()];
        assert!(may_connect("10.1.2.3".parse().unwrap(), &allowed));
        assert!(may_connect("::ffff:10.1.2.3".parse().unwrap(), &allowed));
        assert!(!may_connect("10.2.0.1".parse().unwrap(), &allowed));
        assert!(may_connect("1.1.1.1".parse().unwrap(), &allowed));
    }

    proptest! {
        /// What the standard library knows to be closed is closed here, too.
        #[test]
        fn nothing_that_is_known_to_be_closed_is_open(bits: u32) {
            let ip = Ipv4Addr::from(bits);
            let closed = ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_documentation()
                || ip.is_unspecified();
            prop_assert!(!closed || !is_open(ip.into()));
            prop_assert!(!is_open(ip.to_ipv6_mapped().into()));
            prop_assert!(!is_open(ip.to_ipv6_compatible().into()));
        }
    }
}
