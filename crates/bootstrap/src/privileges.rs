//! What we may on Proxmox VE, held against what is needed: a worker tells at its start what is missing and what is too much.

use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tpm_pve_client::{Client, Permissions};

/// What everything that the service does takes. The README says it as one command.
const NEEDED: [&str; 17] = [
    "VM.Audit",
    "VM.Allocate",
    "VM.Clone",
    "VM.PowerMgmt",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Disk",
    "VM.Config.Network",
    "VM.Config.Cloudinit",
    "VM.Config.Options",
    "VM.GuestAgent.Audit",
    "VM.Backup",
    "VM.Config.HWType",
    "Datastore.Audit",
    "Datastore.AllocateSpace",
    "SDN.Use",
    "Sys.Audit",
];
/// What roles take whose guests are asked for their exporters.
const FOR_EXPORTERS: &str = "VM.GuestAgent.Unrestricted";
/// How long to wait before a cluster that was away is asked again.
const AGAIN: Duration = Duration::from_secs(60);

/// What is missing everywhere, and what is somewhere and nobody needs.
fn compared(have: &Permissions, exporters: bool) -> (Vec<&'static str>, Vec<String>) {
    let mut needed = NEEDED.to_vec();
    if exporters {
        needed.push(FOR_EXPORTERS);
    }
    let have: BTreeSet<&str> = have
        .0
        .values()
        .flat_map(|all| all.keys().map(String::as_str))
        .collect();
    let missing = needed.iter().copied().filter(|one| !have.contains(one));
    let excess = have.iter().filter(|one| !needed.contains(one));
    (
        missing.collect(),
        excess.map(|one| (*one).to_owned()).collect(),
    )
}

/// Asks once, as soon as somebody answers, and tells.
pub(crate) async fn tell(client: Client, exporters: bool, stop: CancellationToken) {
    loop {
        match client.permissions(None).await {
            Ok(have) => {
                let (missing, excess) = compared(&have, exporters);
                let (missing, excess) = (missing.join(" "), excess.join(" "));
                if !missing.is_empty() {
                    tracing::warn!(
                        missing,
                        "privileges on Proxmox VE that are needed and missing"
                    );
                }
                if !excess.is_empty() {
                    tracing::warn!(
                        excess,
                        "privileges on Proxmox VE that nobody needs: take them away"
                    );
                }
                if missing.is_empty() && excess.is_empty() {
                    tracing::info!("the privileges on Proxmox VE are those needed");
                }
                return;
            }
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the privileges on Proxmox VE are not known yet"
            ),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(paths: &[(&str, &[&str])]) -> Permissions {
        let of = |all: &[&str]| all.iter().map(|one| ((*one).to_owned(), true)).collect();
        Permissions(
            paths
                .iter()
                .map(|(path, all)| ((*path).to_owned(), of(all)))
                .collect(),
        )
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_is_told() {
        let exact = on(&[("/vms", &NEEDED[..13]), ("/storage", &NEEDED[13..])]);
        assert_eq!(compared(&exact, false), (vec![], vec![]));
        assert_eq!(compared(&exact, true), (vec![FOR_EXPORTERS], vec![]));
        let other = on(&[
            ("/vms", &NEEDED[1..]),
            ("/", &["Sys.Modify", FOR_EXPORTERS]),
        ]);
        let excess = vec!["Sys.Modify".to_owned(), FOR_EXPORTERS.to_owned()];
        assert_eq!(compared(&other, false), (vec!["VM.Audit"], excess));
    }

    #[test]
    fn the_readme_asks_for_exactly_these() {
        let readme = include_str!("../../../README.md");
        let command = readme
            .split("-privs \"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let asked: BTreeSet<&str> = command
            .into_iter()
            .flat_map(str::split_whitespace)
            .collect();
        assert_eq!(asked, BTreeSet::from(NEEDED));
    }
}
