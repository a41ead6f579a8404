//! Task status, log, lists and interruption.

use serde_json::{Value, json};

use crate::acl;
use crate::answer::{Failure, Handled, Reply};
use crate::dispatch::Context;
use crate::tasks::Record;

pub(super) fn call(c: &Context, method: &str, path: &str) -> Handled {
    let upid = c.params.text("upid");
    match (method, path.rsplit('/').next()) {
        ("GET", Some("tasks")) => Ok(list(c)),
        ("GET", Some("status")) => status(c, &upid),
        ("GET", Some("log")) => log(c, &upid),
        ("DELETE", _) => interrupt(c, &upid),
        _ => Ok(json!([{"name": "log"}, {"name": "status"}]).into()),
    }
}

/// User and token of a well-formed UPID.
fn parse(upid: &str) -> Result<(String, String), Failure> {
    let parts: Vec<&str> = upid.split(':').collect();
    let is_hex = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let is_valid = parts.len() == 9
        && parts[0] == "UPID"
        && is_hex(parts[2], 8..=8)
        && is_hex(parts[3], 8..=9)
        && is_hex(parts[4], 8..=8)
        && !parts[7].is_empty()
        && parts[8].is_empty();
    if !is_valid {
        return Err(Failure::param("upid", "unable to parse worker upid"));
    }
    Ok((parts[1].to_owned(), parts[7].to_owned()))
}

/// Own tasks are readable; those of others need a privilege on the node.
fn may(c: &Context, owner: &str, privilege: &str) -> Result<(), Failure> {
    let is_own = owner == c.who.full() || owner.split('!').next() == Some(c.who.full().as_str());
    if is_own {
        return Ok(());
    }
    acl::require(
        &c.sim.world(),
        &c.who,
        &format!("/nodes/{}", c.node),
        &[privilege],
    )
}

fn status(c: &Context, upid: &str) -> Handled {
    let (_, owner) = parse(upid)?;
    may(c, &owner, "Sys.Audit")?;
    match c.sim.tasks.find(upid) {
        Some(record) => Ok(record.status().into()),
        None => Err(Failure::param("upid", "no such task")),
    }
}

fn log(c: &Context, upid: &str) -> Handled {
    let (_, owner) = parse(upid)?;
    may(c, &owner, "Sys.Audit")?;
    let lines = match c.sim.tasks.find(upid) {
        Some(record) if record.log.is_empty() => vec!["no content".to_owned()],
        Some(record) => record.log,
        None => vec!["unable to open file - No such file or directory".to_owned()],
    };
    let start = usize::try_from(c.params.number("start").unwrap_or_default()).unwrap_or_default();
    let limit = match c.params.number("limit").unwrap_or(50) {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(50),
    };
    let total = lines.len();
    let page = lines
        .iter()
        .enumerate()
        .skip(start)
        .take(limit)
        .map(|(at, text)| json!({"n": at + 1, "t": text}))
        .collect();
    Ok(Reply::paged(page, total))
}

fn interrupt(c: &Context, upid: &str) -> Handled {
    let (_, owner) = parse(upid)?;
    may(c, &owner, "Sys.Modify")?;
    if let Some(record) = c.sim.tasks.find(upid) {
        record.cancel.cancel();
    }
    Ok(Reply::null())
}

fn list(c: &Context) -> Reply {
    let p = &c.params;
    let sees_all = acl::has(
        &c.sim.world(),
        &c.who,
        &format!("/nodes/{}", c.node),
        "Sys.Audit",
    );
    let source = p.get("source").unwrap_or("archive");
    let vmid = p.get("vmid");
    let kinds = p.list("typefilter");
    let statuses = p.list("statusfilter");
    let is_wanted = |record: &Record| {
        let exit = record.exit.as_ref().map_or("", |(text, _)| text.as_str());
        let class = match exit {
            "OK" => "ok",
            "unexpected status" => "unknown",
            text if text.starts_with("WARNINGS") => "warning",
            _ => "error",
        };
        record.node == c.node
            && (sees_all || record.full_user() == c.who.full())
            && vmid.is_none_or(|vmid| record.id == vmid)
            && (kinds.is_empty() || kinds.contains(&record.kind))
            && p.get("userfilter")
                .is_none_or(|user| record.full_user().contains(user))
            && p.number("since")
                .is_none_or(|since| record.starttime >= since)
            && p.number("until")
                .is_none_or(|until| record.starttime <= until)
            && (!p.flag("errors") || (record.exit.is_some() && !record.is_ok()))
            && (statuses.is_empty() || statuses.iter().any(|status| status == class))
            && match source {
                "active" => record.exit.is_none(),
                "all" => true,
                _ => record.exit.is_some(),
            }
    };
    let found: Vec<Value> = c.sim.tasks.with(|records| {
        let newest_first = records.iter().rev().filter(|record| is_wanted(record));
        newest_first
            .map(|record| {
                if record.exit.is_some() {
                    record.archived()
                } else {
                    record.active()
                }
            })
            .collect()
    });
    let start = usize::try_from(p.number("start").unwrap_or_default()).unwrap_or_default();
    let limit = usize::try_from(p.number("limit").unwrap_or(50)).unwrap_or(50);
    let total = found.len();
    Reply::paged(found.into_iter().skip(start).take(limit).collect(), total)
}
