//! Ranges, networks and addresses as people write them: what is read is written the same, and a range holds what
//! it says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::Ipv4Addr;
use tpm_domain::{Ipv4Range, StaticAddress, in_subnet, subnet_size};
use tpm_store::FeedPlace;

fuzz_target!(|text: &str| {
    if let Ok(range) = text.parse::<Ipv4Range>() {
        assert_eq!(range.to_string().parse(), Ok(range));
        assert!(range.first() <= range.last());
        assert!(range.contains(range.first()) && range.contains(range.last()));
        assert!(range.overlaps(&range));
        assert_eq!(range.addresses().next(), Some(range.first()));
        let size = u64::from(u32::from(range.last())) + 1 - u64::from(u32::from(range.first()));
        assert_eq!(range.size(), size);
        for prefix in 0..=32 {
            check(range.first(), range.last(), prefix);
        }
    }
    // Where a follower of the events goes on.
    if let Ok(place) = text.parse::<FeedPlace>() {
        assert_eq!(place.to_string().parse(), Ok(place));
        assert!(place.transaction >= 0 && place.row >= 0);
    }
});

fn check(a: Ipv4Addr, b: Ipv4Addr, prefix: u8) {
    let size = subnet_size(prefix);
    let network = |ip: Ipv4Addr| u64::from(u32::from(ip)) / size;
    assert_eq!(in_subnet(a, b, prefix), network(a) == network(b));
    let host = u64::from(u32::from(a)) % size;
    let usable = size <= 2 || (host != 0 && host != size - 1);
    assert_eq!(StaticAddress::usable(a, prefix), usable);
}
