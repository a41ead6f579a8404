//! Which privilege a change of each option needs, and which options only root may touch.

use crate::acl;
use crate::answer::Failure;
use crate::disks::is_drive;
use crate::dispatch::Context;
use crate::model::World;
use crate::params::Params;
use crate::property;
use crate::schema::split_index;

const ROOT_ONLY: [&str; 13] = [
    "affinity",
    "amd-sev",
    "arch",
    "args",
    "hookscript",
    "hugepages",
    "intel-tdx",
    "ivshmem",
    "keephugepages",
    "lock",
    "spice_enhancements",
    "vmgenid",
    "parallel0",
];

/// The privilege each option needs beyond entering the call.
pub(super) fn check_options(c: &Context, keys: &[String], params: &Params) -> Result<(), Failure> {
    let world = c.sim.world();
    let path = format!("/vms/{}", c.vmid());
    let pool = params.get("pool").map(|pool| format!("/pool/{pool}"));
    for key in keys {
        let key = key.as_str();
        let base = split_index(key).map_or(key, |(base, _)| base);
        if (ROOT_ONLY.contains(&key) || base == "parallel") && !c.who.is_root() {
            return Err(Failure::die(format!("only root can set '{key}' config")));
        }
        let value = params.get(key).unwrap_or_default();
        let wanted: &[&str] = match base {
            "cores" | "cpu" | "cpulimit" | "cpuunits" | "numa" | "smp" | "sockets" | "vcpus" => {
                &["VM.Config.CPU"]
            }
            "memory" | "balloon" | "shares" | "allow-ksm" => &["VM.Config.Memory"],
            "net" => &["VM.Config.Network"],
            "ipconfig" => &["VM.Config.Cloudinit", "VM.Config.Network"],
            _ if super::cloudinit::OPTIONS.contains(&key) => {
                &["VM.Config.Cloudinit", "VM.Config.Network"]
            }
            _ if is_drive(key) && value.contains("cloudinit") => &["VM.Config.Cloudinit"],
            _ if is_drive(key) && value.contains("media=cdrom") => &["VM.Config.CDROM"],
            "boot" | "bootdisk" | "vmstatestorage" | "unused" => &["VM.Config.Disk"],
            _ if is_drive(key) => &["VM.Config.Disk", "VM.Config.CDROM"],
            "acpi" | "audio" | "hotplug" | "kvm" | "machine" | "rng" | "scsihw" | "smbios1"
            | "tablet" | "vga" | "watchdog" | "serial" | "usb" | "hostpci" => &["VM.Config.HWType"],
            "freeze" => &["VM.PowerMgmt"],
            _ => &["VM.Config.Options"],
        };
        let in_pool = pool
            .as_ref()
            .is_some_and(|pool| acl::require_any(&world, &c.who, pool, wanted).is_ok());
        if !in_pool {
            acl::require_any(&world, &c.who, &path, wanted)?;
        }
        if base == "net" {
            may_use_bridge(&world, c, value)?;
        }
        if key == "startup" {
            acl::require(&world, &c.who, "/", &["Sys.Modify"])?;
        }
    }
    Ok(())
}

/// Bridges, and VLANs on them, are granted one by one.
pub(super) fn may_use_bridge(world: &World, c: &Context, net: &str) -> Result<(), Failure> {
    let net = property::read_net(net);
    let Some(bridge) = net.get("bridge") else {
        return Ok(());
    };
    let mut path = format!("/sdn/zones/localnetwork/{bridge}");
    if let Some(tag) = net.get("tag") {
        path = format!("{path}/{tag}");
    }
    acl::require(world, &c.who, &path, &["SDN.Use"])
}
