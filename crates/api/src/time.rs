//! Moments on the wire: RFC 3339 in UTC, to the second, as in `2024-01-15T10:30:00Z`.

use chrono::{DateTime, SecondsFormat, Utc};
use tpm_domain::Timestamp;

pub(crate) fn text(at: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// This moment.
pub(crate) fn now() -> Timestamp {
    Timestamp(Utc::now().timestamp_millis())
}

/// A moment in RFC 3339 form, with any offset.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let moment = DateTime::parse_from_rfc3339(text).ok()?;
    Some(Timestamp(moment.timestamp_millis()))
}

/// To the millisecond, where durations of steps matter.
pub(crate) fn fine(at: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(
            parse("2024-01-15T19:30:00+09:00"),
            Some(Timestamp(1_705_314_600_000))
        );
        assert_eq!(parse("tomorrow"), None);
        assert_eq!(text(Timestamp(1_705_314_600_999)), "2024-01-15T10:30:00Z");
        assert_eq!(
            fine(Timestamp(1_705_314_600_999)),
            "2024-01-15T10:30:00.999Z"
        );
    }
}
