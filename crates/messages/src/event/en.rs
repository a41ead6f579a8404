//! Notifications in English.

use super::{expiry, listed, moment, power, with_detail};
use crate::{Lang, failure};
use tpm_domain::{AlertRule, Event, EventKind};

pub(super) fn notification(event: &Event) -> String {
    let name = &event.server_name;
    match &event.kind {
        EventKind::CreateRequested => format!("the creation of server {name} was requested"),
        EventKind::Created => format!("server {name} was created"),
        EventKind::CreatedWithoutAgent => {
            format!("server {name} was created, but its guest agent does not answer")
        }
        EventKind::CreateFailed { failure: why } => {
            format!(
                "server {name} could not be created: {}",
                failure(Lang::En, why)
            )
        }
        EventKind::CreateCancelled => format!("the creation of server {name} was cancelled"),
        EventKind::DeleteRequested => format!("the removal of server {name} was requested"),
        EventKind::Deleted => format!("server {name} was deleted"),
        EventKind::DeleteFailed { failure: why } => {
            format!(
                "server {name} could not be deleted: {}",
                failure(Lang::En, why)
            )
        }
        EventKind::PowerRequested { target } => {
            format!("server {name} was asked to be {}", power(Lang::En, *target))
        }
        EventKind::PowerChanged { target } => {
            format!("server {name} was {}", power(Lang::En, *target))
        }
        EventKind::PowerFailed {
            target,
            failure: why,
        } => {
            format!(
                "server {name} could not be {}: {}",
                power(Lang::En, *target),
                failure(Lang::En, why)
            )
        }
        EventKind::Cancelled => format!("the task on server {name} was cancelled"),
        EventKind::NeedsOperator { failure: why } => {
            format!(
                "something may be left of server {name}; please look: {}",
                failure(Lang::En, why)
            )
        }

        EventKind::ChangeRequested => format!("a change of server {name} was requested"),
        EventKind::Changed { restart: false } => format!("server {name} was changed"),
        EventKind::Changed { restart: true } => {
            format!("server {name} was changed; some of it applies after a restart")
        }
        EventKind::ChangeFailed { failure: why } => format!(
            "server {name} could not be changed: {}",
            failure(Lang::En, why)
        ),
        EventKind::Imported {
            vmid,
            engine,
            other_engine: false,
        } => format!("VM {vmid} was imported as server {name} (engine {engine})"),
        EventKind::Imported {
            vmid,
            engine,
            other_engine: true,
        } => format!(
            "VM {vmid} was imported as server {name}; the engine that was asked for cannot take it as it is, so that the engine {engine} has it"
        ),
        EventKind::ImportFailed { vmid, failure: why } => format!(
            "VM {vmid} could not be imported: {}",
            failure(Lang::En, why)
        ),
        EventKind::DriftDecided { adopted, ignored } => format!(
            "what was changed by hand on server {name} was decided upon (adopted: {}; ignored: {})",
            listed(adopted),
            listed(ignored)
        ),
        EventKind::GuestMissing => format!("the guest of server {name} is gone"),
        EventKind::GuestFound => format!("the guest of server {name} is there again"),
        EventKind::Adopted { vmid } => format!(
            "guest {vmid}, unknown to this database, carries our signature and is server {name} again"
        ),
        EventKind::IdentityConflict { failure: why } => format!(
            "another guest stands under the VMID of server {name}: {}",
            failure(Lang::En, why)
        ),
        EventKind::Moved { from, to } => format!("server {name} has moved from {from} to {to}"),
        EventKind::PowerSeen { running: true } => {
            format!("server {name} was started by somebody else")
        }
        EventKind::PowerSeen { running: false } => {
            format!("server {name} was stopped by somebody else")
        }
        EventKind::Drifted { fields } => format!(
            "server {name} was changed by somebody else: {}",
            fields.join("; ")
        ),
        EventKind::PlacedAgain { from, to } => {
            format!("node {from} is not available; server {name} is made on {to}")
        }
        EventKind::OrphanFound { vmid } => format!(
            "guest {vmid} (server {name}) was left over by a task that is over; it is removed"
        ),
        EventKind::OrphanRemoved { vmid } => {
            format!("the left-over guest {vmid} (server {name}) was removed")
        }
        EventKind::OrphanLeft { vmid, failure: why } => format!(
            "the left-over guest {vmid} (server {name}) could not be removed: {}",
            failure(Lang::En, why)
        ),
        EventKind::ForeignInRange { vmid } => format!(
            "a foreign guest, {name} ({vmid}), stands in our range of VMIDs; the number is not used"
        ),
        EventKind::Forgotten => format!("server {name} was taken off the list"),
        EventKind::RecreateRequested => format!("server {name} was asked to be made again"),
        EventKind::ExpiresSoon { at, action } => format!(
            "the time of server {name} ends at {}; it will be {}",
            moment(*at),
            expiry(Lang::En, *action)
        ),
        EventKind::BackupRequested => format!("a backup of server {name} was requested"),
        EventKind::BackedUp {
            backup,
            warnings: 0,
        } => {
            format!("server {name} was backed up ({backup})")
        }
        EventKind::BackedUp { backup, warnings } => {
            format!("server {name} was backed up with {warnings} warnings ({backup})")
        }
        EventKind::BackupFailed { failure: why, .. } => format!(
            "server {name} could not be backed up: {}",
            failure(Lang::En, why)
        ),
        EventKind::RestoreRequested { backup } => {
            format!("backup {backup} was asked to be restored to server {name}")
        }
        EventKind::Restored { backup } => {
            format!("backup {backup} was restored to server {name}")
        }
        EventKind::RestoreFailed {
            backup,
            safety: None,
            failure: why,
        } => format!(
            "backup {backup} could not be restored to server {name}: {}",
            failure(Lang::En, why)
        ),
        EventKind::RestoreFailed {
            backup,
            safety: Some(safety),
            failure: why,
        } => format!(
            "backup {backup} could not be restored to server {name}: {}; what was there before is in {safety}",
            failure(Lang::En, why)
        ),
        EventKind::DrillRequested { backup } => {
            format!("a restore drill of backup {backup} of server {name} was requested")
        }
        EventKind::Drilled { backup } => {
            format!("backup {backup} of server {name} passed its restore drill")
        }
        EventKind::DrillFailed {
            backup,
            failure: why,
        } => format!(
            "backup {backup} of server {name} did not pass its restore drill: {}",
            failure(Lang::En, why)
        ),
        EventKind::BackupDeleteRequested { backup } => {
            format!("the deletion of backup {backup} of server {name} was requested")
        }
        EventKind::BackupDeleted { backup } => {
            format!("backup {backup} of server {name} was deleted")
        }
        EventKind::BackupDeleteFailed {
            backup,
            failure: why,
        } => format!(
            "backup {backup} of server {name} could not be deleted: {}",
            failure(Lang::En, why)
        ),
        EventKind::BackupMissing { backup } => {
            format!("the archive of backup {backup} of server {name} is no longer on its storage")
        }
        EventKind::RunMissed { due_at, servers } => format!(
            "schedule {name}: {servers} servers were not backed up within the window that was due at {}",
            moment(*due_at)
        ),
        EventKind::AlertRaised { rule, detail, .. } => {
            let what = match rule {
                AlertRule::ServerDown => format!("server {name} does not run"),
                AlertRule::ExporterDown => {
                    format!("node_exporter on server {name} does not answer")
                }
                AlertRule::MemoryHigh => format!("the memory of server {name} is nearly used up"),
                AlertRule::DiskNearlyFull => format!("the disk of server {name} is nearly full"),
                AlertRule::Drift => format!("server {name} is not configured as managed"),
                AlertRule::NodeOffline => format!("node {name} is offline"),
                AlertRule::CertificateEnds => {
                    format!("the certificate of {name} is near its end")
                }
                AlertRule::BackupOld => {
                    format!("server {name} has no backup as its schedule asks for")
                }
                AlertRule::External => format!("alert {name}"),
            };
            with_detail(what, detail)
        }
        EventKind::AlertResolved { rule } => match rule {
            AlertRule::ServerDown => format!("server {name} is well again"),
            AlertRule::ExporterDown => format!("node_exporter on server {name} answers again"),
            AlertRule::MemoryHigh => format!("server {name} has memory to spare again"),
            AlertRule::DiskNearlyFull => format!("the disk of server {name} has room again"),
            AlertRule::Drift => format!("server {name} is configured as managed again"),
            AlertRule::NodeOffline => format!("node {name} is online again"),
            AlertRule::CertificateEnds => {
                format!("the certificate of {name} was renewed")
            }
            AlertRule::BackupOld => {
                format!("server {name} has a backup as its schedule asks for again")
            }
            AlertRule::External => format!("alert {name} is over"),
        },
        EventKind::Expired { action } => format!(
            "the time of server {name} is over; it is {}",
            expiry(Lang::En, *action)
        ),
    }
}
