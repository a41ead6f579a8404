//! How an engine says no, and what is to be done about it.

use std::time::Duration;
use thiserror::Error;
use tpm_domain::{Failure, FailureCode};

/// What the worker does after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing happened for sure; again after a while, without counting.
    NotSent,
    /// Somebody holds a lock; again after a while, without counting.
    Busy,
    /// What happened is not known: look, and only act again if the effect is not there. Counted.
    Ask,
    /// The credentials are refused; again after a long while, because each attempt costs.
    Auth,
    /// No, and it will stay no: undo.
    Refused,
    /// The VMID belongs to a stranger: take another number and begin the step anew.
    VmidTaken,
    /// The node that the server was to be made on is not there: choose another one and begin the step
    /// anew, under another number when something may have been begun under this one.
    NodeLost,
}

/// An engine's error.
#[derive(Debug, Error)]
#[error("{}: {}", .failure.code.as_str(), .failure.detail.as_deref().unwrap_or("-"))]
pub struct ProvisionError {
    /// What the worker does about it.
    pub fate: Fate,
    /// What people are told.
    pub failure: Failure,
    /// Wait at least so long before the next attempt.
    pub retry_after: Option<Duration>,
    /// Whether what the last act began has ended, so that its handle says nothing more.
    pub settled: bool,
    /// For the log.
    #[source]
    pub cause: Option<anyhow::Error>,
}

impl ProvisionError {
    /// An error without a cause beyond its text.
    #[must_use]
    pub fn new(fate: Fate, code: FailureCode, detail: impl Into<String>) -> Self {
        Self {
            fate,
            failure: Failure::new(code, detail),
            retry_after: None,
            settled: false,
            cause: None,
        }
    }

    /// The same, about something begun that has ended.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.settled = true;
        self
    }

    /// The same with a least wait before the next attempt.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}
