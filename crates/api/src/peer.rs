//! Where a request comes from: the other end of its connection, or, when that is a proxy of ours, who the
//! proxy says it is. Nobody else is believed: the header can be written by anybody.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// The address that guesses are counted by.
pub(crate) fn address(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let is_ours = |ip: &IpAddr| proxies.iter().any(|proxy| proxy.contains(ip));
    let mut known = peer.to_canonical();
    // Each proxy adds whom it was asked by at the end, so what is believed is read from there, up to the
    // first one that is not ours; what stands before it came with the request.
    let said = headers.get_all("x-forwarded-for");
    let lines: Vec<&str> = said.iter().filter_map(|line| line.to_str().ok()).collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    while is_ours(&known) {
        match hops.next().map(|hop| hop.trim().parse::<IpAddr>()) {
            Some(Ok(hop)) => known = hop.to_canonical(),
            Some(Err(_)) | None => break,
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn seen(peer: &str, lines: &[&str]) -> String {
        let proxies = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().expect("a network"));
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_str(line).expect("a header");
            headers.append("x-forwarded-for", value);
        }
        address(peer.parse().expect("an address"), &headers, &proxies).to_string()
    }

    #[test]
    fn only_proxies_of_ours_are_believed() {
        for (peer, lines, wanted) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            // what came with the request stands first
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            // two proxies in a row
            (
                "10.0.0.1",
                &["203.0.113.9, 198.51.100.7, 10.0.0.2"],
                "198.51.100.7",
            ),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["nonsense"], "10.0.0.1"),
            (
                "10.0.0.1",
                &["198.51.100.7, nonsense, 10.0.0.2"],
                "10.0.0.2",
            ),
        ] {
            assert_eq!(seen(peer, lines), wanted, "{peer} {lines:?}");
        }
    }
}
