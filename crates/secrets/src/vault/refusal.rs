//! Why the store did not do what it was asked, without a word of what it said: that may carry anything.

use crate::SecretError;
use serde::Deserialize;
use std::error::Error;
use vaultrs::error::ClientError;

/// Why there is no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It said no.
    Code {
        /// With this HTTP code.
        code: u16,
        /// Because of what.
        why: Why,
    },
    /// It is as the port has it.
    Known(SecretError),
}

/// What it said, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Sealed,
    /// The version that was to be the latest is not.
    Changed,
    /// The mount wants to be told which version is to be the latest.
    VersionWanted,
    /// The mount is becoming one of KV version 2.
    Upgrading,
    Other,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    errors: Vec<String>,
}

impl Why {
    fn of(errors: &[String]) -> Self {
        let said = |words: &str| errors.iter().any(|error| error.contains(words));
        if said("is sealed") || said("not initialized") {
            Self::Sealed
        } else if said("check-and-set parameter did not match") {
            Self::Changed
        } else if said("check-and-set parameter required") {
            Self::VersionWanted
        } else if said("Upgrading from non-versioned") {
            Self::Upgrading
        } else {
            Self::Other
        }
    }
}

impl Refusal {
    /// From an answer that is not well.
    pub(super) fn answered(code: u16, body: &[u8]) -> Self {
        let said = serde_json::from_slice::<Said>(body);
        let why = said.map_or(Why::Other, |said| Why::of(&said.errors));
        Self::Code { code, why }
    }

    /// What it cannot be made sense of.
    pub(super) fn broken(what: &str) -> Self {
        Self::Known(SecretError::Broken(what.to_owned()))
    }

    /// Whether the token may not do it, or is none any more.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Code { code: 403, .. })
    }

    /// The same for the port; `what` was asked for.
    pub(super) fn into_error(self, what: &str) -> SecretError {
        let (code, why) = match self {
            Self::Known(error) => return error,
            Self::Code { code, why } => (code, why),
        };
        match (code, why) {
            (_, Why::Sealed) => SecretError::Sealed,
            (_, Why::Upgrading) => SecretError::Away("its mount is being upgraded".into()),
            (404, _) => SecretError::NotFound,
            (403, _) => SecretError::Forbidden(what.to_owned()),
            (_, Why::VersionWanted) => SecretError::Unsupported(
                "writing there without saying which version is to be the latest",
            ),
            (405, _) => SecretError::Unsupported("this, on this mount"),
            (300..400, _) => {
                SecretError::Away("it sends elsewhere, where this service does not follow".into())
            }
            (412 | 429 | 472 | 473 | 500.., _) => {
                SecretError::Away(format!("it answers with HTTP {code}"))
            }
            _ => SecretError::Broken(format!("{what} was refused with HTTP {code}")),
        }
    }
}

impl From<SecretError> for Refusal {
    fn from(error: SecretError) -> Self {
        Self::Known(error)
    }
}

/// Why the other side could not be spoken to.
fn away(error: &reqwest::Error) -> &'static str {
    let about_tls = |cause: &(dyn Error + 'static)| {
        let said = cause.to_string();
        said.contains("certificate") || said.contains("InvalidContentType")
    };
    if error.is_timeout() {
        "no answer in time"
    } else if causes(error).any(about_tls) {
        "its certificate is not trusted, or it speaks no TLS"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

impl From<reqwest::Error> for Refusal {
    fn from(error: reqwest::Error) -> Self {
        Self::Known(SecretError::Away(away(&error).into()))
    }
}

impl From<ClientError> for Refusal {
    fn from(error: ClientError) -> Self {
        if let ClientError::APIError { code, errors } = error {
            let why = Why::of(&errors);
            return Self::Code { code, why };
        }
        let is_form = |cause: &(dyn Error + 'static)| cause.is::<serde_json::Error>();
        match causes(&error).find_map(|cause| cause.downcast_ref::<reqwest::Error>()) {
            Some(http) => Self::Known(SecretError::Away(away(http).into())),
            None if causes(&error).any(is_form) => {
                Self::broken("the store's answer has another form than known")
            }
            None => Self::Known(SecretError::Away(
                "what answers there does not answer as Vault does".into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u16, body: &str) -> SecretError {
        Refusal::answered(code, body.as_bytes()).into_error("reading")
    }

    #[test]
    fn codes_become_what_they_mean() {
        let sealed = r#"{"errors":["Vault is sealed"]}"#;
        assert_eq!(error(503, sealed), SecretError::Sealed);
        let upgrading = r#"{"errors":["Upgrading from non-versioned to versioned data."]}"#;
        assert!(error(400, upgrading).is_passing());
        assert_eq!(error(404, ""), SecretError::NotFound);
        assert_eq!(error(403, "{}"), SecretError::Forbidden("reading".into()));
        for code in [307, 412, 429, 473, 500, 502, 503] {
            assert!(error(code, "<html>").is_passing(), "{code}");
        }
        assert!(matches!(error(400, "{}"), SecretError::Broken(_)));
        assert!(matches!(error(405, "{}"), SecretError::Unsupported(_)));
    }

    #[test]
    fn what_it_says_is_not_repeated() {
        for code in [400, 403, 404, 405, 500, 503] {
            let error = error(code, r#"{"errors":["hvs.marked-token"]}"#);
            assert!(!format!("{error:?} {error}").contains("marked"));
        }
    }
}
