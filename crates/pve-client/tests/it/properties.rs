//! Property strings: what is built can be read, and what is read is not lost.

use std::{
    fmt::{Debug, Display},
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use proptest::{option, prelude::*};
use tpm_pve_client::{
    AgentOption, Disk, IpConfig, MacAddr, Net, PropertyError,
    property::{AgentKind, Ipv6Setting},
};

#[track_caller]
fn same<T: FromStr<Err = PropertyError> + Display + Debug + PartialEq>(value: &T) {
    assert_eq!(
        value.to_string().parse::<T>().as_ref(),
        Ok(value),
        "{value}"
    );
}

/// Reads and prints; the result must be `expected`.
#[track_caller]
fn prints<T: FromStr<Err = PropertyError> + Display>(text: &str, expected: &str) {
    assert_eq!(text.parse::<T>().unwrap().to_string(), expected);
}

#[test]
fn every_key_survives_reading_and_printing() {
    prints::<Net>(
        "virtio=BC:24:11:F6:D8:B8,bridge=vmbr0,firewall=0,queues=4,trunks=10;20,host-tunnel=1",
        "virtio=BC:24:11:F6:D8:B8,bridge=vmbr0,firewall=0,queues=4,trunks=10;20,host-tunnel=1",
    );
    prints::<Net>(
        "model=e1000,macaddr=bc:24:11:f6:d8:b8,tag=5,",
        "e1000=BC:24:11:F6:D8:B8,tag=5",
    );
    prints::<Net>("virtio,bridge=vmbr0", "model=virtio,bridge=vmbr0");
    prints::<Disk>(
        "local:100/vm-100-disk-0.raw,discard=on,iothread=1,size=10752M",
        "local:100/vm-100-disk-0.raw,discard=on,iothread=1,size=10752M",
    );
    prints::<Disk>("file=none,media=cdrom", "none,media=cdrom");
    prints::<Disk>("size=1024M,file=a:b", "a:b,size=1G");
    prints::<IpConfig>("ip=dhcp,gw=10.0.0.1,new=1", "ip=dhcp,gw=10.0.0.1,new=1");
    prints::<IpConfig>(
        "gw6=fe80::1,ip6=2001:db8::5/64",
        "ip6=2001:db8::5/64,gw6=fe80::1",
    );
    prints::<AgentOption>("1", "enabled=1");
    prints::<AgentOption>(
        "0,freeze-fs-on-backup=0,type=isa,fstrim_cloned_disks=on",
        "enabled=0,fstrim_cloned_disks=1,type=isa,freeze-fs-on-backup=0",
    );
}

#[test]
fn broken_strings_are_refused() {
    fn refused<T: FromStr<Err = PropertyError> + Debug>(text: &str) {
        assert!(text.parse::<T>().is_err(), "{text:?}");
    }
    for text in [
        "",
        "bridge=vmbr0",
        "virtio=BC:24:11",
        "virtio=01:00:5E:00:00:01",
        "virtio,virtio",
        "virtio,tag=x",
        "virtio,bridge=a b",
        "virtio,firewall=maybe",
        "virtio,bridge=a\nb",
        "virtio,bridge=a,bridge=b",
        "nic=1",
        "virtio=",
    ] {
        refused::<Net>(text);
    }
    for text in [
        "",
        "size=1G",
        "a:b,size=1X",
        "a:b,size=",
        "a:b,c:d",
        "a:b,size=99999999999999T",
        "=a",
    ] {
        refused::<Disk>(text);
    }
    for text in [
        "ip",
        "ip=10.0.0.5",
        "ip=10.0.0.5/33",
        "ip=10.0.0/24",
        "gw=10.0.0.1",
        "ip6=::1/129",
        "ip=auto",
        "ip=1.1.1.1/+8",
        "gw6=::1,ip=dhcp",
    ] {
        refused::<IpConfig>(text);
    }
    for text in ["", "2", "type=isa", "1,type=serial", "enabled=1,1"] {
        refused::<AgentOption>(text);
    }
}

#[test]
fn builders_refuse_what_would_become_another_key() {
    for bad in ["", "a,b=c", "a=b", "a\nb", "a\0", " a"] {
        assert!(Net::virtio().with_bridge(bad).is_err(), "{bad:?}");
        assert!(Disk::new(bad).is_err(), "{bad:?}");
        assert!(
            Disk::new("a:b").unwrap().with("serial", bad).is_err(),
            "{bad:?}"
        );
        assert!(Disk::new("a:b").unwrap().with(bad, "x").is_err(), "{bad:?}");
        assert!(Net::of_model(bad).is_err(), "{bad:?}");
    }
    assert!(Disk::new("a:b").unwrap().with("size", "1G").is_err());
    for tag in [0, 4095] {
        assert!(Net::virtio().with_tag(tag).is_err());
    }
    for mtu in [0, 65521] {
        assert!(Net::virtio().with_mtu(mtu).is_err());
    }
    for rate in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Net::virtio().with_rate(rate).is_err());
    }
    let group = MacAddr::new([1, 0, 0x5E, 0, 0, 1]);
    assert!(Net::virtio().with_mac(group).is_err());
    let ip = Ipv4Addr::new(10, 0, 0, 1);
    assert!(IpConfig::static_v4(ip, 33, None).is_err());
    assert!(IpConfig::static_v4(ip, 24, Some(ip)).is_err());
    assert!(
        IpConfig::dhcp()
            .with_v6(Ipv6Setting::Auto, Some(Ipv6Addr::LOCALHOST))
            .is_err()
    );
    assert!(
        IpConfig::dhcp()
            .with_v6(Ipv6Setting::Static(Ipv6Addr::LOCALHOST, 129), None)
            .is_err()
    );
}

#[test]
fn drives_say_what_they_are() {
    let disk: Disk = "local-lvm:vm-100-disk-0,size=32G".parse().unwrap();
    assert_eq!(
        (disk.storage(), disk.size_bytes()),
        (Some("local-lvm"), Some(32 << 30))
    );
    assert!(!disk.is_cdrom() && !disk.is_cloudinit());
    for text in [
        "local:100/vm-100-cloudinit.qcow2,media=cdrom",
        "lvm:vm-100-cloudinit,media=cdrom,size=4M",
        "lvm:cloudinit",
    ] {
        assert!(text.parse::<Disk>().unwrap().is_cloudinit(), "{text}");
    }
    let sizes = [
        ("1.5G", 1_610_612_736),
        ("512", 512),
        ("4M", 4 << 20),
        ("2T", 2 << 40),
        ("0", 0),
    ];
    for (text, bytes) in sizes {
        let disk: Disk = format!("a:b,size={text}").parse().unwrap();
        assert_eq!(disk.size_bytes(), Some(bytes), "{text}");
        same(&disk);
    }
}

prop_compose! {
    fn mac()(mut bytes in any::<[u8; 6]>()) -> MacAddr {
        bytes[0] &= !1;
        MacAddr::new(bytes)
    }
}

prop_compose! {
    fn net()(
        model in prop::sample::select(vec!["virtio", "e1000", "rtl8139", "vmxnet3"]),
        mac in option::of(mac()),
        bridge in option::of("[a-zA-Z0-9._-]{1,15}"),
        flags in any::<(Option<bool>, Option<bool>)>(),
        tag in option::of(1u16..=4094),
        mtu in option::of(1u16..=65520),
        rate in option::of(0.0f64..1e6),
    ) -> Net {
        let mut net = Net::of_model(model).unwrap();
        if let Some(mac) = mac { net = net.with_mac(mac).unwrap(); }
        if let Some(bridge) = bridge { net = net.with_bridge(&bridge).unwrap(); }
        if let Some(on) = flags.0 { net = net.with_firewall(on); }
        if let Some(down) = flags.1 { net = net.with_link_down(down); }
        if let Some(tag) = tag { net = net.with_tag(tag).unwrap(); }
        if let Some(mtu) = mtu { net = net.with_mtu(mtu).unwrap(); }
        if let Some(rate) = rate { net = net.with_rate(rate).unwrap(); }
        net
    }
}

fn v6() -> impl Strategy<Value = (Ipv6Setting, Option<Ipv6Addr>)> {
    prop_oneof![
        Just((Ipv6Setting::Dhcp, None)),
        Just((Ipv6Setting::Auto, None)),
        (any::<Ipv6Addr>(), 0u8..=128, any::<Option<Ipv6Addr>>()).prop_map(|(ip, prefix, gw)| (
            Ipv6Setting::Static(ip, prefix),
            gw.filter(|gw| *gw != ip)
        )),
    ]
}

proptest! {
    #[test]
    fn a_network_device_reads_as_built(net in net()) {
        same(&net);
    }

    #[test]
    fn a_disk_reads_as_built(
        volume in "[a-z][a-z0-9-]{0,8}:[a-zA-Z0-9/._-]{1,20}",
        serial in option::of("[A-Za-z0-9]{1,20}"),
        size in option::of(0u64..1 << 50),
    ) {
        let mut disk = Disk::new(&volume).unwrap();
        if let Some(serial) = serial { disk = disk.with("serial", &serial).unwrap(); }
        same(&disk);
        if let Some(size) = size {
            let sized: Disk = format!("{disk},size={size}").parse().unwrap();
            prop_assert_eq!(sized.size_bytes(), Some(size));
            same(&sized);
        }
    }

    #[test]
    fn addresses_read_as_built(
        ip in any::<Ipv4Addr>(), prefix in 0u8..=32, gw in any::<Option<Ipv4Addr>>(), dhcp: bool,
        six in option::of(v6()),
    ) {
        let gw = gw.filter(|gw| *gw != ip);
        let mut config =
            if dhcp { IpConfig::dhcp() } else { IpConfig::static_v4(ip, prefix, gw).unwrap() };
        if let Some((setting, gw6)) = six { config = config.with_v6(setting, gw6).unwrap(); }
        same(&config);
    }

    #[test]
    fn agent_settings_read_as_built(enabled: bool, fstrim: Option<bool>, isa: Option<bool>) {
        let mut agent = AgentOption::new(enabled);
        agent.fstrim_cloned_disks = fstrim;
        agent.kind = isa.map(|isa| if isa { AgentKind::Isa } else { AgentKind::Virtio });
        same(&agent);
    }

    #[test]
    fn reading_never_panics_and_what_is_read_stays(
        text in "\\PC{0,30}|((virtio|file|ip|gw|ip6|size|enabled|tag|rate|x)?=?[a-z0-9:./]{0,12},?){0,5}"
    ) {
        if let Ok(value) = text.parse::<Net>() { same(&value); }
        if let Ok(value) = text.parse::<Disk>() { same(&value); }
        if let Ok(value) = text.parse::<IpConfig>() { same(&value); }
        if let Ok(value) = text.parse::<AgentOption>() { same(&value); }
    }
}
