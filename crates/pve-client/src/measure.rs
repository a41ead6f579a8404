//! What is counted of calls. Neither paths nor texts become labels.

use crate::{Access, Error, ErrorClass};
use std::time::Duration;

fn access_word(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

fn class_word(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::NotSent => "not_sent",
        ErrorClass::Rejected => "rejected",
        ErrorClass::Exists => "exists",
        ErrorClass::Busy => "busy",
        ErrorClass::Ambiguous => "ambiguous",
        ErrorClass::Auth => "auth",
        ErrorClass::Missing => "missing",
    }
}

/// A request went to an endpoint, or was to.
pub(crate) fn sent(access: Access, error: Option<&Error>, took: Duration) {
    let access = access_word(access);
    let outcome = error.map_or("ok", |error| class_word(error.class()));
    metrics::counter!("tpm_pve_requests_total", "access" => access, "outcome" => outcome)
        .increment(1);
    metrics::histogram!("tpm_pve_request_duration_seconds", "access" => access).record(took);
}

/// A call was not sent, because earlier ones failed.
pub(crate) fn withheld(reason: &'static str) {
    metrics::counter!("tpm_pve_withheld_total", "reason" => reason).increment(1);
}
