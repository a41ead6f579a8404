//! Which backups of one server a rule keeps, and why: as Proxmox VE's own pruning decides, slot by slot.
//!
//! Rules are taken in the order last, hourly, daily, weekly, monthly, yearly. Each keeps the newest backup of so many
//! hours, days, … that no rule before it has kept one of. Times are the node's own, by a given offset. Deletes
//! nothing; and whatever the rule, the newest backup that can be restored is kept.

use crate::{BackupId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How many are kept of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// The newest ones.
    pub last: u32,
    /// One of each of so many hours.
    pub hourly: u32,
    /// One of each of so many days.
    pub daily: u32,
    /// One of each of so many weeks, which begin on Monday.
    pub weekly: u32,
    /// One of each of so many months.
    pub monthly: u32,
    /// One of each of so many years.
    pub yearly: u32,
}

/// A backup, as a rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prunable {
    /// Which.
    pub id: BackupId,
    /// When it was made.
    pub at: Timestamp,
    /// Whether it is kept from deletion.
    pub protected: bool,
    /// Whether it can be restored.
    pub good: bool,
}

/// The rule that keeps a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keeps {
    /// Without any number nothing goes.
    All,
    /// Among the newest ones.
    Last,
    /// The newest of its hour.
    Hourly,
    /// The newest of its day.
    Daily,
    /// The newest of its week.
    Weekly,
    /// The newest of its month.
    Monthly,
    /// The newest of its year.
    Yearly,
    /// It is protected, and counts for no rule.
    Protected,
    /// It is the newest one that can be restored.
    NewestGood,
}

/// What becomes of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It stays.
    Keep(Keeps),
    /// It would go.
    Remove,
}

/// A moment by the calendar.
#[derive(Clone, Copy)]
struct Civil {
    /// Days since 1970-01-01.
    day: i64,
    hour: i64,
    year: i64,
    month: i64,
}

fn civil(at: Timestamp, offset_secs: i64) -> Civil {
    let secs = at.0.div_euclid(1000) + offset_secs;
    let day = secs.div_euclid(86_400);
    // Howard Hinnant's `civil_from_days`: years begin in March.
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    Civil {
        day,
        hour: secs.rem_euclid(86_400) / 3600,
        year: yoe + era * 400 + i64::from(month <= 2),
        month,
    }
}

impl Keeps {
    /// The slot that a backup falls into; two backups of one slot are one to the rule.
    fn slot(self, backup: &Prunable, offset_secs: i64) -> (i64, i64) {
        let at = civil(backup.at, offset_secs);
        match self {
            Self::Hourly => (at.day, at.hour),
            Self::Daily => (at.day, 0),
            // 1970-01-01 was a Thursday.
            Self::Weekly => ((at.day + 3).div_euclid(7), 0),
            Self::Monthly => (at.year, at.month),
            Self::Yearly => (at.year, 0),
            _ => (backup.at.0, backup.id.0),
        }
    }
}

impl Keeps {
    /// All of them, in the order above.
    pub const KINDS: [Self; 9] = [
        Self::All,
        Self::Last,
        Self::Hourly,
        Self::Daily,
        Self::Weekly,
        Self::Monthly,
        Self::Yearly,
        Self::Protected,
        Self::NewestGood,
    ];

    /// The rule on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "keep_all",
            Self::Last => "keep_last",
            Self::Hourly => "keep_hourly",
            Self::Daily => "keep_daily",
            Self::Weekly => "keep_weekly",
            Self::Monthly => "keep_monthly",
            Self::Yearly => "keep_yearly",
            Self::Protected => "protected",
            Self::NewestGood => "newest_good",
        }
    }
}

impl Retention {
    /// Largest number of a rule.
    pub const MOST: u32 = 10_000;

    /// Whether everything is kept.
    #[must_use]
    pub fn keeps_all(&self) -> bool {
        self.rules().iter().all(|(_, count)| *count == 0)
    }

    fn rules(&self) -> [(Keeps, u32); 6] {
        [
            (Keeps::Last, self.last),
            (Keeps::Hourly, self.hourly),
            (Keeps::Daily, self.daily),
            (Keeps::Weekly, self.weekly),
            (Keeps::Monthly, self.monthly),
            (Keeps::Yearly, self.yearly),
        ]
    }

    /// What becomes of each, in the order given. `offset_secs` is how far the node's clock is ahead of UTC at a moment.
    #[must_use]
    pub fn judge(&self, backups: &[Prunable], offset_secs: impl Fn(Timestamp) -> i64) -> Vec<Mark> {
        let mut marks: Vec<Option<Mark>> = backups
            .iter()
            .map(|one| one.protected.then_some(Mark::Keep(Keeps::Protected)))
            .collect();
        let mut order: Vec<usize> = (0..backups.len()).collect();
        order.sort_by_key(|n| std::cmp::Reverse((backups[*n].at, backups[*n].id)));
        if self.keeps_all() {
            let all = marks.into_iter();
            return all
                .map(|mark| mark.unwrap_or(Mark::Keep(Keeps::All)))
                .collect();
        }
        for (rule, count) in self.rules() {
            if count == 0 {
                continue;
            }
            let slot = |n: usize| rule.slot(&backups[n], offset_secs(backups[n].at));
            let before: BTreeSet<_> = order
                .iter()
                .filter(|n| matches!(marks[**n], Some(Mark::Keep(by)) if by != Keeps::Protected))
                .map(|n| slot(*n))
                .collect();
            let mut taken = BTreeSet::new();
            for n in &order {
                let slot = slot(*n);
                if marks[*n].is_some() || before.contains(&slot) {
                    continue;
                }
                if taken.contains(&slot) {
                    marks[*n] = Some(Mark::Remove);
                } else if taken.len() < count as usize {
                    taken.insert(slot);
                    marks[*n] = Some(Mark::Keep(rule));
                } else {
                    break;
                }
            }
        }
        let newest = order.iter().find(|n| backups[**n].good);
        if let Some(n) = newest
            && !matches!(marks[*n], Some(Mark::Keep(_)))
        {
            marks[*n] = Some(Mark::Keep(Keeps::NewestGood));
        }
        let all = marks.into_iter();
        all.map(|mark| mark.unwrap_or(Mark::Remove)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    /// 2024-01-15 00:00 UTC, a Monday.
    const MONDAY: i64 = 1_705_276_800_000;

    fn backup(id: i64, at: i64) -> Prunable {
        Prunable {
            id: BackupId(id),
            at: Timestamp(at),
            protected: false,
            good: true,
        }
    }

    fn kept(rule: Retention, backups: &[Prunable]) -> Vec<i64> {
        let marks = rule.judge(backups, |_| 0);
        let kept = backups.iter().zip(marks);
        let kept = kept.filter(|(_, mark)| *mark != Mark::Remove);
        kept.map(|(backup, _)| backup.id.0).collect()
    }

    fn rule(
        last: u32,
        hourly: u32,
        daily: u32,
        weekly: u32,
        monthly: u32,
        yearly: u32,
    ) -> Retention {
        Retention {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
        }
    }

    #[test]
    fn calendars_are_right() {
        for (at, day, hour, year, month) in [
            (0, 0, 0, 1970, 1),
            (MONDAY, 19_737, 0, 2024, 1),
            // The last hour of a leap day, and of a year.
            (1_709_251_199_000, 19_782, 23, 2024, 2),
            (1_735_689_599_000, 20_088, 23, 2024, 12),
            (-1000, -1, 23, 1969, 12),
        ] {
            let it = civil(Timestamp(at), 0);
            assert_eq!(
                (it.day, it.hour, it.year, it.month),
                (day, hour, year, month)
            );
        }
        // A week is one over the turn of a year: 2024-12-30 is the Monday before 2025-01-01.
        let week = |at| Keeps::Weekly.slot(&backup(0, at), 0);
        assert_eq!(week(1_735_516_800_000), week(1_735_689_600_000));
        assert_ne!(week(1_735_516_800_000 - 1000), week(1_735_516_800_000));
    }

    /// What a rule before has kept a backup of is not kept once more by the next.
    #[test]
    fn a_rule_begins_where_the_one_before_ends() {
        // Two a day, for three days; newest first.
        let all: Vec<Prunable> = (0..6)
            .map(|n| backup(n, MONDAY + 2 * DAY + 12 * HOUR - n * 12 * HOUR))
            .collect();
        assert_eq!(kept(rule(1, 0, 0, 0, 0, 0), &all), [0]);
        // 0 and 1 are of one day, which the first rule has one of.
        assert_eq!(kept(rule(1, 0, 1, 0, 0, 0), &all), [0, 2]);
        assert_eq!(kept(rule(0, 0, 2, 0, 0, 0), &all), [0, 2]);
        assert_eq!(kept(rule(3, 0, 2, 0, 0, 0), &all), [0, 1, 2, 4]);
        assert_eq!(kept(rule(0, 3, 0, 0, 0, 0), &all), [0, 1, 2]);
        // All of them are of one week.
        assert_eq!(kept(rule(1, 0, 0, 4, 0, 0), &all), [0]);
        assert_eq!(kept(rule(0, 0, 0, 0, 0, 0), &all).len(), 6);
    }

    #[test]
    fn protected_ones_stay_and_count_for_nothing() {
        let mut all: Vec<Prunable> = (0..4).map(|n| backup(n, MONDAY - n * DAY)).collect();
        all[0].protected = true;
        assert_eq!(kept(rule(2, 0, 0, 0, 0, 0), &all), [0, 1, 2]);
    }

    #[test]
    fn the_newest_good_one_stays_whatever_the_rule() {
        let mut all: Vec<Prunable> = (0..4).map(|n| backup(n, MONDAY - n * DAY)).collect();
        all[0].good = false;
        all[1].good = false;
        let marks = rule(1, 0, 0, 0, 0, 0).judge(&all, |_| 0);
        assert_eq!(marks[0], Mark::Keep(Keeps::Last));
        assert_eq!(marks[2], Mark::Keep(Keeps::NewestGood));
        assert_eq!(marks[3], Mark::Remove);
    }

    prop_compose! {
        fn any_backup()(hours in 0..800 * 24_i64, protected in prop::bool::weighted(0.1), good in prop::bool::weighted(0.7)) -> Prunable {
            Prunable { protected, good, ..backup(0, MONDAY + hours * HOUR) }
        }
    }

    fn any_rule() -> impl Strategy<Value = Retention> {
        prop::array::uniform6(0..4_u32).prop_map(|n| rule(n[0], n[1], n[2], n[3], n[4], n[5]))
    }

    proptest! {
        /// What is kept is kept again, and what is protected or the newest to restore is among it.
        #[test]
        fn what_is_kept_is_kept_again(
            mut all in prop::collection::vec(any_backup(), 0..40),
            rule in any_rule(),
            offset in -12 * 3600..=14 * 3600_i64,
        ) {
            for (one, id) in all.iter_mut().zip(0..) {
                one.id = BackupId(id);
            }
            let marks = rule.judge(&all, |_| offset);
            let kept = all.iter().zip(&marks).filter(|(_, mark)| **mark != Mark::Remove);
            let kept: Vec<Prunable> = kept.map(|(backup, _)| *backup).collect();
            let newest = all.iter().filter(|b| b.good).max_by_key(|b| (b.at, b.id));
            prop_assert!(newest.is_none_or(|newest| kept.contains(newest)));
            prop_assert!(all.iter().all(|b| !b.protected || kept.contains(b)));
            let again = rule.judge(&kept, |_| offset);
            prop_assert!(!again.contains(&Mark::Remove), "{kept:?} {again:?}");
            // No rule keeps more than its number.
            for (by, count) in rule.rules() {
                let of_it = marks.iter().filter(|mark| **mark == Mark::Keep(by)).count();
                prop_assert!(of_it <= count as usize);
            }
        }
    }
}
