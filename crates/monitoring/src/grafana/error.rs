//! Why Grafana gave no answer: a word for programs, a line for people, and nothing that was sent or received.

/// A failed call. `asked` is what it was about: `health`, `dashboards`, `data source`, `folder`, `dashboard`.
///
/// It holds neither the token nor a piece of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrafanaError {
    /// No connection, or one that broke before an answer.
    #[error("Grafana cannot be reached (asked for: {asked})")]
    Unreachable {
        /// What was asked for.
        asked: &'static str,
    },
    /// No whole answer in time.
    #[error("Grafana did not answer in time (asked for: {asked})")]
    Timeout {
        /// What was asked for.
        asked: &'static str,
    },
    /// An answer that is not one of Grafana's API: not JSON, cut off, too long, or about something else.
    #[error("what answered does not speak Grafana's API (asked for: {asked})")]
    BadAnswer {
        /// What was asked for.
        asked: &'static str,
    },
    /// A status that is not success; also a redirect, which is not followed.
    #[error("Grafana refused with status {status} (asked for: {asked})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What was asked for.
        asked: &'static str,
    },
    /// This needs a token, and none is set. Nothing was sent.
    #[error("no token for Grafana is set")]
    NoToken,
    /// These settings cannot work. Nothing was sent.
    #[error("Grafana cannot be asked: {0}")]
    BadSettings(&'static str),
}

impl GrafanaError {
    /// The error in one word, for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::BadAnswer { .. } => "bad_answer",
            Self::Refused { .. } => "refused",
            Self::NoToken => "no_token",
            Self::BadSettings(_) => "bad_settings",
        }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}
