//! The data of Proxmox VE's answers, read as everything that we read: it is read or refused, never more.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tpm_pve_client::{
    Access, ErrorClass, GuestConfig, GuestStatus, GuestSummary, LogLine, Node, Reply, Resource,
    Storage, StorageStatus, Upid, Version, Volume,
};

/// As the type and as a list of it; an answer that is not understood leaves open what was done.
macro_rules! read {
    ($data:expr, $($kind:ty),+) => {$(
        let reply = || Reply { data: $data.clone(), total: None };
        let one = reply().read::<$kind>(Access::Write).err();
        let many = reply().read::<Vec<$kind>>(Access::Write).err();
        for error in one.into_iter().chain(many) {
            assert_eq!(error.class(), ErrorClass::Ambiguous, "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    )+};
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(data) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    read!(
        data,
        GuestConfig,
        GuestStatus,
        GuestSummary,
        LogLine,
        Node,
        Resource,
        Storage,
        StorageStatus,
        Upid,
        Version,
        Volume
    );
    let reply = Reply { data, total: None };
    if let Ok(config) = reply.read::<GuestConfig>(Access::Read) {
        let _ = (config.nets(), config.disks(), config.agent(), config.tags());
        let _ = (config.memory_mb(), config.cores(), config.sockets());
        let _ = (config.smbios_uuid(), config.ctime(), config.sshkeys());
        let _ = config.unused_volumes().count();
        if let Ok(Some((name, disk))) = config.boot_disk() {
            assert!(
                config
                    .disks()
                    .is_ok_and(|all| all.get(&name) == Some(&disk))
            );
        }
        for n in 0..32 {
            let _ = config.ipconfig(n);
        }
    }
});
