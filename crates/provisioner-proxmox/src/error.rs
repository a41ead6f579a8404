//! From what Proxmox VE said to what the worker does about it.

use std::time::Duration;
use tpm_domain::{Failure, FailureCode};
use tpm_provisioner::{Fate, ProvisionError};
use tpm_pve_client::{Error, ErrorClass};

/// PVE's text with the refused parameters, on one line.
fn detail(error: &Error) -> String {
    let mut text = error.text().to_owned();
    for (field, reason) in error.fields() {
        text.push_str(&format!("; {field}: {}", reason.trim()));
    }
    text
}

fn convert(error: &Error, fate: Fate, code: FailureCode) -> ProvisionError {
    ProvisionError {
        fate,
        failure: Failure::new(code, detail(error)),
        retry_after: None,
        settled: false,
        cause: Some(anyhow::Error::new(error.clone())),
    }
}

/// A failed read: nothing was changed by it, so all but a clear no is tried again.
pub(crate) fn of_read(error: &Error) -> ProvisionError {
    match error.class() {
        ErrorClass::Rejected => convert(error, Fate::Refused, FailureCode::ProxmoxRefused),
        ErrorClass::Auth => convert(error, Fate::Auth, FailureCode::ProxmoxAuth),
        ErrorClass::Missing => convert(error, Fate::Refused, FailureCode::GuestMissing),
        ErrorClass::Busy => convert(error, Fate::Busy, FailureCode::ProxmoxBusy),
        ErrorClass::NotSent | ErrorClass::Ambiguous | ErrorClass::Exists => {
            convert(error, Fate::NotSent, FailureCode::ProxmoxUnreachable)
        }
    }
}

/// A failed write, or a task that ended badly.
pub(crate) fn of_write(error: &Error) -> ProvisionError {
    match error.class() {
        ErrorClass::NotSent => convert(error, Fate::NotSent, FailureCode::ProxmoxUnreachable),
        ErrorClass::Busy => convert(error, Fate::Busy, FailureCode::ProxmoxBusy),
        ErrorClass::Rejected => convert(error, Fate::Refused, FailureCode::ProxmoxRefused),
        // Only a clone makes something under a number.
        ErrorClass::Exists => convert(error, Fate::VmidTaken, FailureCode::ProxmoxRefused),
        ErrorClass::Ambiguous => convert(error, Fate::Ask, FailureCode::ProxmoxAmbiguous),
        ErrorClass::Auth => convert(error, Fate::Auth, FailureCode::ProxmoxAuth),
        ErrorClass::Missing => convert(error, Fate::Refused, FailureCode::GuestMissing),
    }
}

/// A task that ended badly.
pub(crate) fn of_task(error: &Error) -> ProvisionError {
    of_write(error).settled()
}

/// A value of ours that PVE would not take: found before anything was sent.
pub(crate) fn of_value(error: impl std::fmt::Display) -> ProvisionError {
    ProvisionError::new(Fate::Refused, FailureCode::Internal, error.to_string())
}

/// How long to wait before looking again at something that has been going on for `elapsed`: a fifth of
/// it, so that short things are noticed soon and long ones are not asked about all the time.
pub(crate) fn look_again(elapsed: Duration) -> Duration {
    (elapsed / 5).clamp(Duration::from_millis(100), Duration::from_secs(3))
}
