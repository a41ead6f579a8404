//! The guest agent: silent until the system is up, then truthful about its addresses.

use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::{Failure, Handled};
use crate::dispatch::Context;
use crate::model::{Guest, GuestCommand};
use crate::params::Raw;
use crate::property;

/// How long a ping waits for an agent that is not there.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn call(c: &Context, path: &str) -> Handled {
    let vmid = c.vmid();
    let guest = c.sim.world().guest(&c.node, vmid)?.clone();
    if !guest.config.contains_key("agent") {
        return Err(Failure::die("No QEMU guest agent configured"));
    }
    if !guest.is_running() {
        return Err(Failure::die(format!("VM {vmid} is not running")));
    }
    if !guest.has_agent() || guest.mute || !guest.is_booted(c.sim.clock.up_millis()) {
        c.sim.clock.sleep(PING_TIMEOUT).await;
        return Err(Failure::die("QEMU guest agent is not running"));
    }
    let command = path.trim_start_matches("/agent/");
    let result = match command {
        "ping" => json!({}),
        "network-get-interfaces" => interfaces(&guest),
        "get-host-name" => json!({"host-name": guest.name().split('.').next()}),
        "get-osinfo" => json!({
            "id": "ubuntu", "name": "Ubuntu", "pretty-name": "Ubuntu 24.04 LTS", "version": "24.04 LTS (Noble Numbat)",
            "version-id": "24.04", "machine": "x86_64", "kernel-release": "6.8.0-31-generic",
            "kernel-version": "#31-Ubuntu SMP PREEMPT_DYNAMIC",
        }),
        "get-fsinfo" => {
            let total = super::guests::maxdisk(&guest.config);
            json!([{
                "name": "sda1", "mountpoint": "/", "type": "ext4", "total-bytes": total, "used-bytes": total / 5,
                "disk": [{"dev": "/dev/sda1", "bus-type": "scsi", "bus": 0, "target": 0, "unit": 0}],
            }])
        }
        "info" => json!({"version": "8.2.2", "supported_commands": [
            {"name": "guest-ping", "enabled": true, "success-response": true},
            {"name": "guest-network-get-interfaces", "enabled": true, "success-response": true},
        ]}),
        "set-user-password" => json!({}),
        "exec" => return exec(c, vmid),
        "exec-status" => return exec_status(c, vmid),
        _ => {
            return Err(Failure::die(format!(
                "Agent error: The command {command} has not been found"
            )));
        }
    };
    Ok(json!({"result": result}).into())
}

/// Begins a command; it comes out as scripted.
fn exec(c: &Context, vmid: u32) -> Handled {
    let words = match c.params.0.get("command") {
        Some(Raw::One(word)) => vec![word.clone()],
        _ => c.params.list("command"),
    };
    if words.is_empty() {
        return Err(Failure::die("No command or input-data given"));
    }
    let now = c.sim.clock.up_millis();
    let mut world = c.sim.world();
    let everywhere = world.scripts.clone();
    let guest = world.guest_mut(&c.node, vmid)?;
    let text = words.join(" ");
    let mut rules = guest.scripts.iter().chain(&everywhere);
    let script = rules.find(|one| text.contains(&one.part));
    let script = script.cloned().unwrap_or_default();
    let pid = guest
        .commands
        .last_key_value()
        .map_or(1000, |(pid, _)| pid + 1);
    let command = GuestCommand {
        words,
        ends_at: now + script.millis,
        script,
        told: false,
    };
    guest.commands.insert(pid, command);
    Ok(json!({ "pid": pid }).into())
}

/// How a command is doing. Its end is told once; then the agent has forgotten it.
fn exec_status(c: &Context, vmid: u32) -> Handled {
    let pid = c.params.number("pid").unwrap_or_default();
    let now = c.sim.clock.up_millis();
    let mut world = c.sim.world();
    let guest = world.guest_mut(&c.node, vmid)?;
    let known = guest.commands.get_mut(&pid).filter(|one| !one.told);
    let Some(command) = known else {
        return Err(Failure::die(format!(
            "Agent error: PID {pid} does not exist"
        )));
    };
    if now < command.ends_at {
        return Ok(json!({ "exited": 0 }).into());
    }
    command.told = true;
    let mut answer = json!({ "exited": 1, "exitcode": command.script.exit_code });
    for (key, text) in [
        ("out-data", &command.script.out),
        ("err-data", &command.script.err),
    ] {
        if !text.is_empty() {
            answer[key] = json!(text);
        }
    }
    Ok(answer.into())
}

fn statistics() -> Value {
    let mut counters = json!({});
    for way in ["rx", "tx"] {
        for what in ["bytes", "packets", "errs", "dropped"] {
            counters[format!("{way}-{what}")] = json!(0);
        }
    }
    counters
}

fn interfaces(guest: &Guest) -> Value {
    let mut list = vec![json!({
        "name": "lo", "hardware-address": "00:00:00:00:00:00", "statistics": statistics(),
        "ip-addresses": [
            {"ip-address-type": "ipv4", "ip-address": "127.0.0.1", "prefix": 8},
            {"ip-address-type": "ipv6", "ip-address": "::1", "prefix": 128},
        ],
    })];
    for (key, address) in &guest.addresses {
        let mac = property::read_net(guest.option(key))
            .get("macaddr")
            .cloned()
            .unwrap_or_default()
            .to_lowercase();
        let (ip, prefix) = address.split_once('/').unwrap_or((address, "24"));
        let tail: Vec<&str> = mac.split(':').collect();
        let local = match tail.as_slice() {
            [a, b, c, d, e, f] => {
                let first = u8::from_str_radix(a, 16).unwrap_or_default() ^ 2;
                format!("fe80::{first:02x}{b}:{c}ff:fe{d}:{e}{f}")
            }
            _ => "fe80::1".to_owned(),
        };
        list.push(json!({
            "name": format!("eth{}", key.trim_start_matches("net")), "hardware-address": mac, "statistics": statistics(),
            "ip-addresses": [
                {"ip-address-type": "ipv4", "ip-address": ip, "prefix": prefix.parse::<u8>().unwrap_or(24)},
                {"ip-address-type": "ipv6", "ip-address": local, "prefix": 64},
            ],
        }));
    }
    json!(list)
}
