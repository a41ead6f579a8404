//! When a schedule is due: calendar expressions of five fields, read in a time zone.
//!
//! A time that the clocks pass over in spring is due right after; one that they show twice in autumn is due once, but
//! expressions with `*` or steps in hours or minutes go on through both. Reads no clock: moments are given.

use chrono::{DateTime, Offset as _, TimeZone as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use tpm_domain::Timestamp;

/// No more occurrences are counted: whoever slept longer knows that it was long.
const MOST_COUNTED: u32 = 10_000;

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    /// The one of that name in the IANA's database, `Asia/Seoul`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// How many seconds its clocks are ahead of UTC at a moment.
    #[must_use]
    pub fn offset_secs(self, at: Timestamp) -> i64 {
        let at = moment(at).naive_utc();
        let offset = self.0.offset_from_utc_datetime(&at);
        i64::from(offset.fix().local_minus_utc())
    }
}

/// A calendar expression in a time zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    cron: Cron,
    zone: Zone,
}

/// What is due of a calendar now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The latest time that has come.
    pub at: Timestamp,
    /// How many came before it and were not seen to.
    pub passed_over: u32,
    /// When it is due again.
    pub next: Option<Timestamp>,
}

impl Calendar {
    /// `None` when the text is no expression of minute, hour, day, month and weekday, or never comes true.
    #[must_use]
    pub fn parse(expression: &str, zone: Zone) -> Option<Self> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(expression).ok()?;
        let calendar = Self { cron, zone };
        // From a day on which every date of a leap year lies ahead.
        calendar.next_after(Timestamp(0)).map(|_| calendar)
    }

    /// The first time after a moment.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let from = moment(at).with_timezone(&self.zone.0);
        let found = self.cron.find_next_occurrence(&from, false).ok()?;
        Some(Timestamp(found.timestamp_millis())).filter(|found| *found > at)
    }

    /// The next times after a moment, at most so many.
    #[must_use]
    pub fn upcoming(&self, after: Timestamp, most: usize) -> Vec<Timestamp> {
        let next = |at: &Timestamp| self.next_after(*at);
        let all = std::iter::successors(self.next_after(after), next);
        all.take(most).collect()
    }

    /// What has become due at `now` of a calendar whose next time was `next`: of all the times since then only the
    /// latest, so that whoever slept catches up once. `None` before `next`.
    #[must_use]
    pub fn due(&self, next: Timestamp, now: Timestamp) -> Option<Due> {
        if now < next {
            return None;
        }
        let (mut at, mut passed_over) = (next, 0);
        while let Some(later) = self.next_after(at).filter(|later| *later <= now) {
            if passed_over == MOST_COUNTED {
                at = self.latest(now).unwrap_or(later).max(later);
                break;
            }
            at = later;
            passed_over += 1;
        }
        Some(Due {
            at,
            passed_over,
            next: self.next_after(now),
        })
    }

    fn latest(&self, now: Timestamp) -> Option<Timestamp> {
        let from = moment(now).with_timezone(&self.zone.0);
        let found = self.cron.find_previous_occurrence(&from, true).ok()?;
        Some(Timestamp(found.timestamp_millis()))
    }
}

fn moment(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000;

    fn calendar(expression: &str, zone: &str) -> Calendar {
        let zone = Zone::parse(zone).expect("a zone");
        Calendar::parse(expression, zone).expect("an expression")
    }

    fn at(text: &str) -> Timestamp {
        let at = DateTime::parse_from_rfc3339(text).expect("a moment");
        Timestamp(at.timestamp_millis())
    }

    fn check(expression: &str, zone: &str, after: &str, expected: &[&str]) {
        let found = calendar(expression, zone).upcoming(at(after), expected.len());
        let expected: Vec<Timestamp> = expected.iter().map(|text| at(text)).collect();
        assert_eq!(found, expected, "{expression} in {zone} after {after}");
    }

    #[test]
    fn what_is_no_calendar_is_none() {
        let seoul = Zone::parse("Asia/Seoul").expect("a zone");
        for text in [
            "",
            "* * * *",
            "60 2 * * *",
            "0 0 2 * * *",
            "0 2 30 2 *",
            "soon",
            "0 2 * * * 2030",
        ] {
            assert!(Calendar::parse(text, seoul).is_none(), "{text}");
        }
        assert!(Calendar::parse("0 2 29 2 *", seoul).is_some());
        assert!(Calendar::parse("0 2 * * MON-FRI", seoul).is_some());
        for name in ["", "Seoul", "Asia/Pyongyang2", "+09:00"] {
            assert!(Zone::parse(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_time_that_is_passed_over_in_spring_is_due_right_after() {
        check(
            "30 2 * * *",
            "Europe/Berlin",
            "2027-03-27T00:00:00Z",
            &[
                "2027-03-27T02:30:00+01:00",
                "2027-03-28T03:00:00+02:00",
                "2027-03-29T02:30:00+02:00",
            ],
        );
        check(
            "30 2 * * *",
            "America/New_York",
            "2027-03-13T12:00:00Z",
            &["2027-03-14T03:00:00-04:00", "2027-03-15T02:30:00-04:00"],
        );
        // Every hour is an hour, whatever the clocks say.
        check(
            "0 * * * *",
            "Europe/Berlin",
            "2027-03-28T00:30:00+01:00",
            &[
                "2027-03-28T01:00:00+01:00",
                "2027-03-28T03:00:00+02:00",
                "2027-03-28T04:00:00+02:00",
            ],
        );
    }

    #[test]
    fn a_time_that_comes_twice_in_autumn_is_due_once() {
        check(
            "30 2 * * *",
            "Europe/Berlin",
            "2027-10-30T12:00:00Z",
            &["2027-10-31T02:30:00+02:00", "2027-11-01T02:30:00+01:00"],
        );
        check(
            "30 1 * * *",
            "America/New_York",
            "2027-11-06T12:00:00Z",
            &["2027-11-07T01:30:00-04:00", "2027-11-08T01:30:00-05:00"],
        );
        check(
            "0 * * * *",
            "America/New_York",
            "2027-11-07T00:30:00-04:00",
            &[
                "2027-11-07T01:00:00-04:00",
                "2027-11-07T01:00:00-05:00",
                "2027-11-07T02:00:00-05:00",
            ],
        );
    }

    #[test]
    fn where_clocks_are_left_alone_days_are_days() {
        let all = calendar("0 2 * * *", "Asia/Seoul").upcoming(at("2027-01-01T00:00:00Z"), 365);
        assert_eq!(all[0], at("2027-01-02T02:00:00+09:00"));
        assert!(all.windows(2).all(|pair| pair[1].0 - pair[0].0 == DAY));
    }

    #[test]
    fn who_slept_for_three_days_catches_up_once() {
        let daily = calendar("0 2 * * *", "Asia/Seoul");
        let next = at("2027-05-01T02:00:00+09:00");
        assert_eq!(daily.due(next, at("2027-05-01T01:59:59+09:00")), None);
        let due = daily.due(next, at("2027-05-04T01:00:00+09:00"));
        let due = due.expect("due");
        assert_eq!(due.at, at("2027-05-03T02:00:00+09:00"));
        assert_eq!(due.passed_over, 2);
        assert_eq!(due.next, Some(at("2027-05-04T02:00:00+09:00")));
        // Across the change of clocks, and what is left is as if nobody had slept.
        let berlin = calendar("30 2 * * *", "Europe/Berlin");
        let due = berlin.due(
            at("2027-03-27T02:30:00+01:00"),
            at("2027-03-29T12:00:00+02:00"),
        );
        let due = due.expect("due");
        assert_eq!(due.at, at("2027-03-29T02:30:00+02:00"));
        assert_eq!(due.passed_over, 2);
        // Every minute of ten weeks: counted so far, and the latest all the same.
        let minutes = calendar("* * * * *", "UTC");
        let due = minutes.due(Timestamp(0), Timestamp(70 * DAY + 59_999));
        let due = due.expect("due");
        assert_eq!(
            (due.at, due.passed_over),
            (Timestamp(70 * DAY), MOST_COUNTED)
        );
    }

    #[test]
    fn offsets_are_those_of_the_moment() {
        let berlin = Zone::parse("Europe/Berlin").expect("a zone");
        assert_eq!(berlin.offset_secs(at("2027-03-28T00:59:59Z")), 3600);
        assert_eq!(berlin.offset_secs(at("2027-03-28T01:00:00Z")), 7200);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whenever somebody looks, each time is seen to once or counted as passed over, and none comes back.
        #[test]
        fn looks_at_any_moments_miss_nothing_and_see_nothing_twice(
            expression in prop::sample::select(vec!["30 2 * * *", "0 */6 * * *", "15,45 1-3 * * *", "0 2 * * 1"]),
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Asia/Seoul", "Australia/Lord_Howe"]),
            start in 1_798_000_000_i64..1_830_000_000,
            naps in prop::collection::vec(60..400_000_i64, 1..30),
        ) {
            let calendar = calendar(expression, zone);
            let begin = Timestamp(start * 1000);
            let mut next = calendar.next_after(begin).expect("a time");
            let (mut now, mut seen, mut latest) = (begin, 0_u32, begin);
            for nap in naps {
                now = Timestamp(now.0 + nap * 1000);
                if let Some(due) = calendar.due(next, now) {
                    prop_assert!(due.at > latest && due.at <= now);
                    latest = due.at;
                    seen += 1 + due.passed_over;
                    next = due.next.expect("a time");
                }
                prop_assert!(next > now);
            }
            let all = std::iter::successors(calendar.next_after(begin), |at| calendar.next_after(*at));
            let come = all.take_while(|at| *at <= now).count();
            prop_assert_eq!(u32::try_from(come).expect("few"), seen);
        }
    }
}
