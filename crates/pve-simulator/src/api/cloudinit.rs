//! Cloud-init: what the generated drive would contain, and what may go into it.

use serde_json::{Value, json};

use super::config::typed;
use crate::answer::{Failure, Handled, Reply};
use crate::disks::is_net;
use crate::dispatch::Context;
use crate::model::Guest;
use crate::schema::split_index;

/// Options that end up on the drive, besides `ipconfigN`.
pub(super) const OPTIONS: [&str; 8] = [
    "cicustom",
    "cipassword",
    "citype",
    "ciuser",
    "ciupgrade",
    "nameserver",
    "searchdomain",
    "sshkeys",
];

pub(super) fn view(c: &Context, is_rebuild: bool) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    if is_rebuild {
        guest.check_lock()?;
        return Ok(Reply::null());
    }
    let items = guest.config.iter().filter(|(key, _)| {
        OPTIONS.contains(&key.as_str()) || key.starts_with("ipconfig") || key.as_str() == "name"
    });
    let items = items.map(|(key, value)| {
        json!({"key": key, "value": if key == "cipassword" { json!("**********") } else { typed(key, value) }})
    });
    Ok(items.collect::<Vec<Value>>().into())
}

pub(super) fn dump(c: &Context) -> Handled {
    let world = c.sim.world();
    let guest = world.guest(&c.node, c.vmid())?;
    let name = match guest.option("name") {
        "" => format!("VM{}", guest.vmid),
        name => name.to_owned(),
    };
    let host = name.split('.').next().unwrap_or_default().to_owned();
    let text = match c.params.get("type") {
        Some("network") => network_data(guest),
        Some("meta") => format!("instance-id: {}\n", guest.digest()),
        _ => user_data(guest, &host, &name),
    };
    Ok(json!(text).into())
}

fn user_data(guest: &Guest, host: &str, name: &str) -> String {
    let mut text = format!("#cloud-config\nhostname: {host}\nmanage_etc_hosts: true\n");
    text.push_str(&format!("fqdn: {name}\n"));
    if let Some(user) = guest.config.get("ciuser") {
        text.push_str(&format!("user: {user}\n"));
    }
    if let Some(password) = guest.config.get("cipassword") {
        text.push_str(&format!("password: {password}\n"));
    }
    if let Some(keys) = guest.config.get("sshkeys") {
        text.push_str("ssh_authorized_keys:\n");
        let keys = percent_encoding::percent_decode_str(keys)
            .decode_utf8_lossy()
            .into_owned();
        for key in keys.lines().filter(|key| !key.trim().is_empty()) {
            text.push_str(&format!("  - {}\n", key.trim()));
        }
    }
    text.push_str("chpasswd:\n  expire: False\n");
    if !guest.config.contains_key("ciuser") {
        text.push_str("users:\n  - default\n");
    }
    let upgrade = guest.option("ciupgrade") != "0";
    text.push_str(&format!("package_upgrade: {upgrade}\n"));
    text
}

fn network_data(guest: &Guest) -> String {
    let mut text = "version: 1\nconfig:\n".to_owned();
    for (key, net) in guest.config.iter().filter(|(key, _)| is_net(key)) {
        let index = split_index(key).map_or(0, |(_, index)| index);
        let mac = crate::property::read_net(net)
            .get("macaddr")
            .cloned()
            .unwrap_or_default()
            .to_lowercase();
        text.push_str(&format!("    - type: physical\n      name: eth{index}\n      mac_address: '{mac}'\n      subnets:\n"));
        let ip = crate::property::read(guest.option(&format!("ipconfig{index}")), "ip");
        match ip.get("ip").map(String::as_str) {
            Some("dhcp") => text.push_str("      - type: dhcp4\n"),
            Some(address) => {
                text.push_str(&format!(
                    "      - type: static\n        address: '{address}'\n"
                ));
                if let Some(gateway) = ip.get("gw") {
                    text.push_str(&format!("        gateway: '{gateway}'\n"));
                }
            }
            None => {}
        }
    }
    text
}

/// Every key must look like one: type, base64 of the right kind, optional comment.
pub(super) fn check_ssh_keys(encoded: &str) -> Result<(), Failure> {
    use base64::Engine as _;
    let text = percent_encoding::percent_decode_str(encoded)
        .decode_utf8_lossy()
        .into_owned();
    let is_key = |line: &str| {
        let mut parts = line.split_whitespace();
        let (Some(kind), Some(data)) = (parts.next(), parts.next()) else {
            return false;
        };
        let Ok(blob) = base64::engine::general_purpose::STANDARD.decode(data) else {
            return false;
        };
        let length = blob.get(..4).map_or(0, |n| {
            usize::try_from(u32::from_be_bytes([n[0], n[1], n[2], n[3]])).unwrap_or(0)
        });
        // an ed25519 key is exactly type and 32 bytes; others are longer
        blob.get(4..4 + length)
            .is_some_and(|name| name == kind.as_bytes())
            && (kind != "ssh-ed25519" || blob.len() == 51)
            && blob.len() > length + 8
    };
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    if lines.iter().all(|line| is_key(line)) {
        Ok(())
    } else {
        Err(Failure::die("SSH public key validation error"))
    }
}
