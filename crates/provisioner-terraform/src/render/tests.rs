//! The same server gives the same code, and no text in it becomes more than a text.

use super::*;

fn values() -> Values {
    Values {
        agent: true,
        agent_timeout: None,
        cloud_init: Some(CloudInitValues {
            interface: Some("ide2".into()),
            storage: "ceph".into(),
            user: Some("ubuntu".into()),
            ssh_keys: vec!["ssh-ed25519 AAAA key".into()],
            dns_servers: vec!["192.0.2.53".into()],
            search_domain: None,
        }),
        cores: 2,
        cpu_type: "x86-64-v2-AES".into(),
        description: "tpm:v1 i=1 s=1 o=task_1 v=10000 h=00".into(),
        disk: DiskValues {
            interface: "scsi0".into(),
            storage: "ceph".into(),
            size_gb: 20,
            cache: "none".into(),
            discard: "on".into(),
            iothread: true,
            ssd: false,
        },
        full_clone: false,
        memory_mb: 2048,
        name: "web-1".into(),
        networks: vec![NetworkValues {
            bridge: "vmbr0".into(),
            vlan: Some(7),
            model: "virtio".into(),
            mac_address: None,
            firewall: false,
            address: Some("192.0.2.10/24".into()),
            gateway: Some("192.0.2.1".into()),
        }],
        node_name: "pve1".into(),
        on_boot: false,
        sockets: 1,
        started: false,
        tags: vec!["web".into()],
        template: Some(Template {
            vm_id: 9000,
            node_name: "pve1".into(),
        }),
        vm_id: 10_000,
    }
}

/// Compared with what is kept; `UPDATE_GOLDEN=1` writes it anew.
fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("writable");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, text, "{name}: UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn the_same_server_gives_the_same_code() {
    golden("values.json", &pretty(&values()));
    golden("root.json", &pretty(&root(&values(), false)));
    golden("root-of-a-run.json", &pretty(&root(&values(), true)));
    golden("import.json", &pretty(&import(&values())));
}

#[test]
fn the_module_pins_the_same_provider() {
    let pinned = format!("version = \"{PROVIDER_VERSION}\"");
    assert!(MODULE[3].1.contains(&pinned), "{}", MODULE[3].1);
}

/// What a person could write never stands where Terraform reads templates.
#[test]
fn hostile_texts_stay_texts() {
    for text in [
        "a\"; rm -rf /",
        "${file(\"/etc/passwd\")}",
        "%{ for x in y }",
        "\u{0}\n\\",
    ] {
        let hostile = Values {
            name: text.into(),
            description: text.into(),
            tags: vec![text.into()],
            ..values()
        };
        for code in [
            root(&hostile, true),
            root(&hostile, false),
            import(&hostile),
        ] {
            let kept = pretty(&code);
            let plain = [
                pretty(&root(&values(), true)),
                pretty(&root(&values(), false)),
                pretty(&import(&values())),
            ];
            assert!(plain.contains(&kept), "{kept}");
        }
        let back: Values = serde_json::from_str(&pretty(&hostile)).expect("JSON");
        assert_eq!(back.name, text);
    }
}
