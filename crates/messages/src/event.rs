//! Notifications.

mod en;
mod ko;

use crate::Lang;
use tpm_domain::{Event, OnExpiry, PowerTarget, Timestamp};

fn power(lang: Lang, target: PowerTarget) -> &'static str {
    match target {
        PowerTarget::Running => lang.pick("시작", "started"),
        PowerTarget::Stopped => lang.pick("중지", "stopped"),
        PowerTarget::Restarted => lang.pick("재시작", "restarted"),
    }
}

fn moment(at: Timestamp) -> String {
    // Dates are arithmetic, not prose: to the minute, in UTC.
    let minutes = at.0.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    // https://howardhinnant.github.io/date_algorithms.html#civil_from_days
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02} UTC",
        minute / 60,
        minute % 60
    )
}

fn expiry(lang: Lang, action: OnExpiry) -> &'static str {
    match action {
        OnExpiry::Stop => lang.pick("중지", "switched off"),
        OnExpiry::Delete => lang.pick("삭제", "deleted"),
    }
}

fn with_detail(what: String, detail: &str) -> String {
    if detail.is_empty() {
        what
    } else {
        format!("{what}: {detail}")
    }
}

fn listed(options: &[String]) -> String {
    if options.is_empty() {
        "-".to_owned()
    } else {
        options.join(", ")
    }
}

/// What a notification says.
#[must_use]
pub fn notification(lang: Lang, event: &Event) -> String {
    match lang {
        Lang::Ko => ko::notification(event),
        Lang::En => en::notification(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment(Timestamp(0)), "1970-01-01 00:00 UTC");
        assert_eq!(moment(Timestamp(1_709_210_096_000)), "2024-02-29 12:34 UTC");
    }
}
