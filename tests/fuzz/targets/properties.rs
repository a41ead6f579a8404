//! Proxmox VE's property strings, task ids and fingerprints: what is read is written so that it is read the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fmt::{Debug, Display};
use std::str::FromStr;
use tpm_pve_client::{AgentOption, Disk, Fingerprint, IpConfig, MacAddr, Net, TaskStatus, Upid};

/// Reads, writes, reads again.
fn there_and_back<T>(text: &str) -> Option<T>
where
    T: FromStr + Display + PartialEq + Debug,
    T::Err: Debug,
{
    let first: T = text.parse().ok()?;
    let written = first.to_string();
    let again = written.parse::<T>();
    assert!(
        again.as_ref().is_ok_and(|again| *again == first),
        "{text:?} was read as {first:?}, written as {written:?}, and read as {again:?}"
    );
    Some(first)
}

fuzz_target!(|text: &str| {
    if let Some(disk) = there_and_back::<Disk>(text) {
        assert!(!disk.volume().is_empty());
        let _ = (disk.is_cdrom(), disk.is_cloudinit(), disk.storage());
    }
    if let Some(net) = there_and_back::<Net>(text) {
        assert!(net.mac().is_none_or(MacAddr::is_unicast));
    }
    there_and_back::<IpConfig>(text);
    there_and_back::<AgentOption>(text);
    there_and_back::<MacAddr>(text);
    there_and_back::<Fingerprint>(text);
    if let Some(upid) = there_and_back::<Upid>(text) {
        assert_eq!(upid.as_str(), text);
        // It is part of a path.
        assert!(!text.contains(['/', '\n', ' ']));
    }
    if let TaskStatus::Failed(why) = TaskStatus::from_exit(text) {
        assert!(!why.contains('\n'));
    }
});
