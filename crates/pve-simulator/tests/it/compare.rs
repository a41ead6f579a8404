//! Compares a recorded answer with a simulated one: exactly where the host is deterministic,
//! by type where it is not.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::client::Answer;

/// Values that differ on every run; their types are still compared.
const VOLATILE: [&str; 53] = [
    "pid",
    "pstart",
    "starttime",
    "endtime",
    "uptime",
    "digest",
    "meta",
    "smbios1",
    "vmgenid",
    "ctime",
    "snaptime",
    "used",
    "avail",
    "total",
    "used_fraction",
    "disk",
    "maxdisk-storage",
    "cpu",
    "mem",
    "memhost",
    "netin",
    "netout",
    "diskread",
    "diskwrite",
    "ssl_fingerprint",
    "ticket",
    "CSRFPreventionToken",
    "value",
    "idle_time_ns",
    "loadavg",
    "release",
    "version-kernel",
    "pveversion",
    "kversion",
    "flags",
    "model",
    "mhz",
    "cores-host",
    "cpus-host",
    "free",
    "available",
    "family",
    "hvm",
    "machine",
    "size",
    "ip",
    "address",
    "cidr",
    "pbs-library-version",
    "rd_bytes",
    "wr_highest_offset",
    "rd_operations",
    "rd_total_time_ns",
];

/// Objects whose keys depend on the host or the moment.
const SUBSET: [&str; 2] = ["blockstat", "nics"];

/// Everything that differs; empty means the answers match.
pub(crate) fn differences(
    recorded: &Answer,
    simulated: &Answer,
    lists_of_tasks: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    if recorded.status != simulated.status {
        found.push(format!(
            "status {} instead of {}",
            simulated.status, recorded.status
        ));
    }
    if text(&recorded.reason) != text(&simulated.reason) {
        found.push(format!(
            "reason '{}' instead of '{}'",
            simulated.reason, recorded.reason
        ));
    }
    for header in [
        "Content-Type",
        "Content-Length",
        "Connection",
        "Server",
        "Pragma",
        "Cache-Control",
    ] {
        let (old, new) = (recorded.header(header), simulated.header(header));
        let same = if header == "Content-Length" {
            old.is_some() == new.is_some()
        } else {
            old == new
        };
        if !same {
            found.push(format!("header {header}: {new:?} instead of {old:?}"));
        }
    }
    // the blanking of secrets took an element out of one list and left its comma
    let repaired = recorded.body.replace("[,{", "[{");
    match (
        serde_json::from_str(&repaired),
        serde_json::from_str(&simulated.body),
    ) {
        (Ok(old), Ok(new)) => values("", &old, &new, lists_of_tasks, &mut found),
        (Err(_), Err(_)) if text(&recorded.body) == text(&simulated.body) => {}
        _ => found.push(format!(
            "body '{}' instead of '{}'",
            simulated.body, recorded.body
        )),
    }
    found
}

fn values(path: &str, old: &Value, new: &Value, lists_of_tasks: bool, found: &mut Vec<String>) {
    let key = path.rsplit('.').next().unwrap_or_default();
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let inner = format!("{path}.{key}");
                match new.get(key) {
                    Some(other) => values(&inner, value, other, lists_of_tasks, found),
                    None if key == "idle_time_ns" => {}
                    None => found.push(format!("{inner} is missing")),
                }
            }
            let extra = new.keys().filter(|key| !old.contains_key(*key));
            found.extend(
                extra
                    .filter(|_| !SUBSET.contains(&key))
                    .map(|key| format!("{path}.{key} is too much")),
            );
        }
        (Value::Array(_), Value::Array(_)) if VOLATILE.contains(&key) => {}
        (Value::Array(old), Value::Array(new)) if is_log(old) => log(path, old, new, found),
        (Value::Array(old), Value::Array(new)) if lists_of_tasks => {
            if let (Some(old), Some(new)) = (old.first(), new.first()) {
                kinds(path, old, new, found);
            }
        }
        (Value::Array(old), Value::Array(new)) => list(path, old, new, found),
        (Value::String(old), Value::String(new)) => {
            let same = if key == "content" && old.contains(',') {
                let sorted = |text: &str| {
                    let mut items: Vec<String> = text.split(',').map(str::to_owned).collect();
                    items.sort();
                    items
                };
                sorted(old) == sorted(new)
            } else {
                text(old) == text(new)
            };
            let is_kernel = path.ends_with("current-kernel.version");
            if !VOLATILE.contains(&key) && !is_kernel && !same {
                found.push(format!("{path}: '{new}' instead of '{old}'"));
            }
        }
        (Value::Number(_), Value::Number(_)) if VOLATILE.contains(&key) || lists_of_tasks => {}
        (old, new) if old == new => {}
        (old, new) => found.push(format!("{path}: {new} instead of {old}")),
    }
}

/// Lists of objects are matched by what identifies their elements; order is random in PVE.
fn list(path: &str, old: &[Value], new: &[Value], found: &mut Vec<String>) {
    const NAMES: [&str; 13] = [
        "volid", "vmid", "id", "key", "userid", "roleid", "tokenid", "iface", "storage", "node",
        "name", "subdir", "ugid",
    ];
    let name = |value: &Value| {
        NAMES
            .iter()
            .find_map(|key| value.get(key))
            .map(|value| text(&value.to_string()))
            .unwrap_or_default()
    };
    if old.len() != new.len() {
        found.push(format!(
            "{path}: {} elements instead of {}",
            new.len(),
            old.len()
        ));
    }
    let mut rest: Vec<&Value> = new.iter().collect();
    for value in old {
        if let Some(at) = rest.iter().position(|other| name(other) == name(value)) {
            let other = rest.remove(at);
            values(
                &format!("{path}[{}].", name(value)),
                value,
                other,
                false,
                found,
            );
        } else {
            found.push(format!("{path}: no {}", name(value)));
        }
    }
}

/// Same keys, same types.
fn kinds(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if let (Value::Object(old), Value::Object(new)) = (old, new) {
        for (key, value) in old {
            match new.get(key) {
                Some(other) if std::mem::discriminant(value) == std::mem::discriminant(other) => {}
                other => found.push(format!("{path}.{key}: {other:?} instead of {value}")),
            }
        }
        found.extend(
            new.keys()
                .filter(|key| !old.contains_key(*key))
                .map(|key| format!("{path}.{key} is too much")),
        );
    }
}

fn is_log(list: &[Value]) -> bool {
    list.first()
        .is_some_and(|line| line.get("n").is_some() && line.get("t").is_some())
}

/// Log lines by number; numbers the recording lost are not compared.
fn log(path: &str, old: &[Value], new: &[Value], found: &mut Vec<String>) {
    let shown = |line: &Value| text(line["t"].as_str().unwrap_or_default());
    let keep =
        |line: &&Value| !shown(line).starts_with("INFO:  ") && !shown(line).contains("progress ");
    let lines = |list: &[Value]| {
        let mut lines: Vec<String> = list
            .iter()
            .filter(keep)
            .map(shown)
            .filter(|line| !line.is_empty())
            .collect();
        lines.dedup();
        lines
    };
    let (old, new) = (lines(old), lines(new));
    if old != new {
        let wrong = old.iter().zip(&new).find(|(old, new)| old != new);
        found.push(match wrong {
            Some((old, new)) => format!("{path}: log line '{new}' instead of '{old}'"),
            None => format!("{path}: log {new:?} instead of {old:?}"),
        });
    }
}

/// Blanks what differs from run to run inside texts.
pub(crate) fn text(text: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (
                r"UPID:pve:[0-9A-F]+:[0-9A-F]+:[0-9A-F]+:",
                "UPID:pve:X:X:X:",
            ),
            (
                r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
                "UUID",
            ),
            (r"<token-secret>", "UUID"),
            (r"BC:24:11(:[0-9A-F]{2}){3}", "MAC"),
            (r"ctime=\d+", "ctime=T"),
            (r"\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d", "DATE"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE"),
            (
                r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}",
                "DATE",
            ),
            (r"\(\d\d:\d\d:\d\d\)", "(DURATION)"),
            (r"vzdumptmp\d+", "vzdumptmpN"),
            (r"archive file size: \d+KB", "archive file size: N"),
            (r"CFG: size: \d+", "CFG: size: N"),
            (r"in \d+s, read: .*", "in Ns"),
            (
                r"(transferred \d.*) in \d+ seconds \(.*\)",
                "$1 in N seconds",
            ),
            (r"saved [\d.]+ MiB", "saved N"),
            (r"size=792723456", "size=N"),
            (
                r"(vm-\d+-state-\w+\.raw', fmt=raw) size=(\d+|N)",
                "$1 size=N",
            ),
        ]
        .into_iter()
        .map(|(pattern, blank)| (Regex::new(pattern).expect("pattern"), blank))
        .collect()
    });
    let mut text = text.to_owned();
    for (pattern, blank) in RULES.iter() {
        text = pattern.replace_all(&text, *blank).into_owned();
    }
    // the order of options in this line is random
    if text.contains("starting new backup job") {
        let mut parts: Vec<&str> = text.split(" --").collect();
        parts[1..].sort_unstable();
        text = parts.join(" --");
    }
    text
}
