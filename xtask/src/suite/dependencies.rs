//! What is built into the product: one of each that there must be one of, none of what is banned.
//!
//! `cargo deny` looks further (licences, sources) where it is installed, and is built where nothing may be left
//! out; the rules that a build can silently break are held here everywhere, because building it takes minutes.

use super::{in_ci, page, shipped};
use crate::tools::Tool;
use crate::workspace;
use anyhow::bail;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Reads licences and sources; its rules are in `.cargo/deny.toml`.
const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
};

/// Two of these would be two connection pools, two TLS stacks, two databases' drivers.
const ONE: [&str; 4] = ["reqwest", "rustls", "sqlx", "libsqlite3-sys"];
/// The only cryptography is aws-lc-rs.
const NONE: [&str; 5] = ["openssl", "openssl-sys", "native-tls", "ring", "schannel"];

/// # Errors
/// When a rule is broken.
pub(super) fn check() -> anyhow::Result<Option<String>> {
    let mut tree = workspace::cargo();
    tree.args([
        "tree",
        "--workspace",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
    ]);
    let wrong = broken(&workspace::output(&mut tree)?);
    if !wrong.is_empty() {
        bail!("{}", wrong.join("; "));
    }
    shipped::check()?;
    page::check()?;
    let deny = if in_ci() {
        DENY.program()?
    } else {
        match DENY.find()? {
            Some(program) => program,
            None => {
                return Ok(Some(
                    "cargo-deny is not installed: licences and sources not checked".into(),
                ));
            }
        }
    };
    let mut command = Command::new(deny);
    command
        .current_dir(workspace::root())
        // Advisories would have to be fetched from elsewhere than crates.io.
        .args(["check", "bans", "licenses", "sources"]);
    workspace::run(&mut command).map(|()| None)
}

/// The rules that the lines of `cargo tree` (`name v1.2.3 …`) break.
fn broken(tree: &str) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    let mut wrong = Vec::new();
    for name in ONE {
        let found = versions
            .get(name)
            .map(|found| found.iter().copied().collect::<Vec<_>>());
        let found = found.unwrap_or_default();
        if found.len() != 1 {
            wrong.push(format!(
                "there must be one {name}, there are [{}]",
                found.join(", ")
            ));
        }
    }
    let banned = NONE.iter().filter(|name| versions.contains_key(**name));
    wrong.extend(banned.map(|name| format!("there must be no {name}: cargo tree -i {name}")));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: &str = "reqwest v0.13.5\nrustls v0.23.46\nrustls v0.23.46 (*)\nsqlx v0.9.0\n\
                        libsqlite3-sys v0.37.0\n\n[dev-dependencies]\nserde v1.0.229\n";

    #[test]
    fn one_of_each_and_none_of_the_banned() {
        assert_eq!(broken(FINE), [""; 0]);
        assert_eq!(
            broken(&format!("{FINE}reqwest v0.12.1\nopenssl-sys v0.9.1\n")),
            [
                "there must be one reqwest, there are [v0.12.1, v0.13.5]",
                "there must be no openssl-sys: cargo tree -i openssl-sys",
            ]
        );
        assert_eq!(broken("sqlx v0.9.0").len(), 3);
    }
}
