//! A schedule: which servers are backed up when, what is kept of it, and how its runs stand.
//!
//! What a calendar expression means is not known here; moments are given.

use crate::{
    BackupId, BackupMode, Compression, DrillWish, NodeName, ProjectId, Retention, Server, ServerId,
    ServerName, ServerState, Timestamp, UserId,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

numbers! {
    /// A schedule's number.
    ScheduleId,
    /// The number of a run of a schedule.
    RunId,
    /// The number of one server's part in a run.
    RunItemId,
}

/// Which servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerSelector {
    /// Every server.
    All,
    /// These.
    Servers(BTreeSet<ServerId>),
    /// Every server of a role.
    Role(String),
    /// Every server with a tag, its own or its role's.
    Tag(String),
}

/// What can be said of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// Its name: one label, unique among schedules.
    pub name: ServerName,
    /// Only servers of this project; of all when `None`.
    #[serde(default)]
    pub project: Option<ProjectId>,
    /// Whether it is followed.
    pub enabled: bool,
    /// When: an expression of minute, hour, day, month and weekday.
    pub calendar: String,
    /// In which time zone, by the IANA's name.
    pub time_zone: String,
    /// Which servers.
    pub selector: ServerSelector,
    /// When it is about trying: the newest backup of each server is restored and looked at; none is made.
    #[serde(default)]
    pub drill: Option<DrillWish>,
    /// How running guests are treated.
    pub mode: BackupMode,
    /// Where backups go.
    pub storage: String,
    /// How they are packed.
    pub compression: Compression,
    /// What is written on them.
    #[serde(default)]
    pub notes: String,
    /// Each server's part begins up to so many seconds later.
    #[serde(default)]
    pub jitter_secs: u32,
    /// What was not begun so long after it was due is not begun any more; always when `None`.
    #[serde(default)]
    pub window_minutes: Option<u32>,
    /// What is kept of the schedule's backups.
    #[serde(default)]
    pub retention: Retention,
    /// How old the newest backup of a server may become before people are told; any age when `None`.
    #[serde(default)]
    pub max_age_hours: Option<u32>,
    /// Within how many days a backup of each server has to be proved to restore before people are told.
    #[serde(default)]
    pub verified_within_days: Option<u32>,
    /// None begins on a node while so many backups run there; that of the settings when `None`.
    #[serde(default)]
    pub per_node: Option<u32>,
    /// None begins while so many backups run to its storage; that of the settings when `None`.
    #[serde(default)]
    pub per_storage: Option<u32>,
}

impl ScheduleSpec {
    /// Longest jitter: a day.
    pub const MOST_JITTER_SECS: u32 = 86_400;
    /// Longest window: a week.
    pub const MOST_WINDOW_MINUTES: u32 = 7 * 24 * 60;
    /// Most servers that are named one by one.
    pub const MOST_SERVERS: usize = 1000;
    /// Largest number of days or hours of a policy: ten years.
    pub const MOST_DAYS: u32 = 3650;
    /// Most backups at once.
    pub const MOST_AT_ONCE: u32 = 100;

    /// The last moment at which a part of a run may begin.
    #[must_use]
    pub fn begin_before(&self, due_at: Timestamp) -> Option<Timestamp> {
        let minutes = self.window_minutes?;
        Some(due_at.plus(Duration::from_secs(u64::from(minutes) * 60)))
    }

    /// What a server lacks by its policy, when it lacks something: `since` is from when on it could have had it.
    #[must_use]
    pub fn lacks(&self, fresh: Freshness, since: Timestamp, now: Timestamp) -> Option<Lack> {
        let late = |last: Option<Timestamp>, hours: u64| {
            let bound = Duration::from_secs(hours * 3600);
            now.since(last.map_or(since, |last| last.max(since))) > bound
                && last.is_none_or(|last| now.since(last) > bound)
        };
        let old = self.max_age_hours;
        let old = old.filter(|hours| late(fresh.made_at, u64::from(*hours)));
        if let Some(hours) = old {
            return Some(Lack::Young { hours });
        }
        let days = self.verified_within_days;
        let days = days.filter(|days| late(fresh.verified_at, u64::from(*days) * 24))?;
        Some(Lack::Verified { days })
    }

    /// Whether a server is one of those it backs up. `role_tags` are the tags of roles by name.
    #[must_use]
    pub fn covers(&self, server: &Server, role_tags: &BTreeMap<String, Vec<String>>) -> bool {
        let within = self.project.is_none_or(|project| server.project == project);
        let gone = server.state == ServerState::Deleting;
        within && !gone && self.selector.covers(server, role_tags)
    }
}

/// How new what is there of a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// When the newest backup that can be restored was begun.
    pub made_at: Option<Timestamp>,
    /// When one of them was proved to restore last.
    pub verified_at: Option<Timestamp>,
}

/// What a server does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// A backup of the last so many hours.
    Young {
        /// How many.
        hours: u32,
    },
    /// A backup that was proved to restore in the last so many days.
    Verified {
        /// How many.
        days: u32,
    },
}

impl ServerSelector {
    fn covers(&self, server: &Server, role_tags: &BTreeMap<String, Vec<String>>) -> bool {
        match self {
            Self::All => true,
            Self::Servers(ids) => ids.contains(&server.id),
            Self::Role(role) => server.spec.role == *role,
            Self::Tag(tag) => {
                let own = server.spec.tags.as_ref();
                let tags = own.or_else(|| role_tags.get(&server.spec.role));
                tags.is_some_and(|tags| tags.iter().any(|one| one.eq_ignore_ascii_case(tag)))
            }
        }
    }
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its number.
    pub id: ScheduleId,
    /// What was said of it.
    pub spec: ScheduleSpec,
    /// When it is due next; `None` while it is not followed.
    pub next_at: Option<Timestamp>,
    /// Who made it, and in whose name its tasks run.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $kind:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$each])* $kind),+
        }

        impl $name {
            /// All of them, in the order above.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The word on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text),+
                }
            }

            /// What a word means.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

words! {
    /// How far a run is.
    RunState {
        /// Some of its servers are not done.
        Running = "running",
        /// All are.
        Done = "done",
        /// Nobody began it inside its window: nothing was done.
        Missed = "missed",
    }
}

words! {
    /// How far one server's part in a run is.
    RunItemState {
        /// It was not begun.
        Waiting = "waiting",
        /// Its backup is being made.
        Started = "started",
        /// Its backup is whole.
        Completed = "completed",
        /// It could not be made.
        Failed = "failed",
        /// It was not begun inside the window.
        Missed = "missed",
        /// The server had no guest, or its task was cancelled.
        Skipped = "skipped",
    }
}

impl RunItemState {
    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Started)
    }
}

/// A run of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRun {
    /// Its number.
    pub id: RunId,
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// When it was due.
    pub due_at: Timestamp,
    /// When somebody saw to it.
    pub fired_at: Timestamp,
    /// How many times before it were passed over, because nobody saw to them.
    pub passed_over: u32,
    /// Who asked for it outside of the calendar.
    pub asked_by: Option<UserId>,
    /// How far it is.
    pub state: RunState,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How many of its servers are how far; states without any are not in it.
    pub tally: BTreeMap<RunItemState, u64>,
}

/// One server's part in a run that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunItem {
    /// Its number.
    pub id: RunItemId,
    /// Of which run.
    pub run: RunId,
    /// Of which schedule.
    pub schedule: ScheduleId,
    /// Which server.
    pub server: ServerId,
    /// When it may begin.
    pub due_at: Timestamp,
    /// When it may not begin any more.
    pub begin_before: Option<Timestamp>,
    /// How far it is.
    pub state: RunItemState,
    /// Its backup, once that is asked for.
    pub backup: Option<BackupId>,
    /// The node that the server's guest is on.
    pub node: Option<NodeName>,
}

/// What may run at once, as waiting parts of runs are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// On one node.
    pub per_node: u32,
    /// To one storage.
    pub per_storage: u32,
}

/// Which of the waiting parts begins next: one that fits, of the run that has the fewest at work on its node, of these
/// the one that has been due for longest. `place` says where a part goes and what may run there at once; `None` when
/// it may not begin now.
#[must_use]
pub fn next_to_begin(
    items: &[RunItem],
    now: Timestamp,
    place: impl Fn(&RunItem) -> Option<(String, Ways)>,
) -> Option<&RunItem> {
    let mut of_node: BTreeMap<(ScheduleId, &NodeName), u32> = BTreeMap::new();
    let mut of_storage: BTreeMap<(ScheduleId, String), u32> = BTreeMap::new();
    let mut of_run: BTreeMap<(RunId, Option<&NodeName>), u32> = BTreeMap::new();
    for item in items
        .iter()
        .filter(|one| one.state == RunItemState::Started)
    {
        if let Some(node) = &item.node {
            *of_node.entry((item.schedule, node)).or_default() += 1;
        }
        if let Some((storage, _)) = place(item) {
            *of_storage.entry((item.schedule, storage)).or_default() += 1;
        }
        *of_run.entry((item.run, item.node.as_ref())).or_default() += 1;
    }
    let fits = |item: &&RunItem| {
        if item.state != RunItemState::Waiting || item.due_at > now {
            return false;
        }
        let Some((storage, ways)) = place(item) else {
            return false;
        };
        let on_node = item.node.as_ref().map_or(0, |node| {
            of_node.get(&(item.schedule, node)).copied().unwrap_or(0)
        });
        let to_storage = of_storage.get(&(item.schedule, storage));
        on_node < ways.per_node && to_storage.copied().unwrap_or(0) < ways.per_storage
    };
    let at_work = |item: &RunItem| of_run.get(&(item.run, item.node.as_ref())).copied();
    items
        .iter()
        .filter(fits)
        .min_by_key(|item| (at_work(item).unwrap_or(0), item.due_at, item.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: i64, run: i64, node: &str, due: i64) -> RunItem {
        RunItem {
            id: RunItemId(id),
            run: RunId(run),
            schedule: ScheduleId(run),
            server: ServerId(id),
            due_at: Timestamp(due),
            begin_before: None,
            state: RunItemState::Waiting,
            backup: None,
            node: Some(NodeName(node.into())),
        }
    }

    /// The order in which all begin when none ends.
    fn order(mut items: Vec<RunItem>, now: i64, ways: Ways) -> Vec<i64> {
        let mut begun = Vec::new();
        loop {
            let place = |item: &RunItem| Some((format!("{:?}/local", item.node), ways));
            let Some(next) = next_to_begin(&items, Timestamp(now), place) else {
                return begun;
            };
            let id = next.id;
            begun.push(id.0);
            for one in items.iter_mut().filter(|one| one.id == id) {
                one.state = RunItemState::Started;
            }
        }
    }

    fn nightly() -> ScheduleSpec {
        ScheduleSpec {
            name: ServerName::new("nightly").expect("a name"),
            project: None,
            enabled: true,
            calendar: "0 2 * * *".into(),
            time_zone: "Asia/Seoul".into(),
            selector: ServerSelector::All,
            drill: None,
            mode: BackupMode::Snapshot,
            storage: "local".into(),
            compression: Compression::Zstd,
            notes: String::new(),
            jitter_secs: 0,
            window_minutes: None,
            retention: Retention::default(),
            max_age_hours: None,
            verified_within_days: None,
            per_node: None,
            per_storage: None,
        }
    }

    #[test]
    fn limits_hold_and_what_waits_for_a_node_keeps_nobody_else() {
        let ways = Ways {
            per_node: 2,
            per_storage: 9,
        };
        let all = vec![
            item(1, 1, "a", 0),
            item(2, 1, "a", 0),
            item(3, 1, "a", 0),
            item(4, 1, "b", 0),
            item(5, 1, "b", 50),
        ];
        assert_eq!(order(all.clone(), 10, ways), [1, 4, 2]);
        assert_eq!(order(all.clone(), 50, ways), [1, 4, 2, 5]);
        let narrow = Ways {
            per_storage: 1,
            ..ways
        };
        assert_eq!(order(all, 50, narrow), [1, 4]);
    }

    #[test]
    fn a_small_run_does_not_wait_for_all_of_a_large_one() {
        let ways = Ways {
            per_node: 3,
            per_storage: 9,
        };
        let mut all: Vec<RunItem> = (1..=9).map(|n| item(n, 1, "a", 0)).collect();
        all.extend((10..=12).map(|n| item(n, 2, "a", 5)));
        assert_eq!(order(all, 10, ways), [1, 10, 2, 11, 3, 12]);
    }

    #[test]
    fn a_policy_is_held_against_what_is_there() {
        const HOUR: i64 = 3_600_000;
        let spec = ScheduleSpec {
            max_age_hours: Some(24),
            verified_within_days: Some(7),
            ..nightly()
        };
        let since = Timestamp(0);
        let check = |made: Option<i64>, verified: Option<i64>, now: i64, wanted: Option<Lack>| {
            let at = |hours: Option<i64>| hours.map(|hours| Timestamp(hours * HOUR));
            let fresh = Freshness {
                made_at: at(made),
                verified_at: at(verified),
            };
            let lacks = spec.lacks(fresh, since, Timestamp(now * HOUR));
            assert_eq!(lacks, wanted, "{made:?} {verified:?} {now}");
        };
        let young = Some(Lack::Young { hours: 24 });
        let verified = Some(Lack::Verified { days: 7 });
        // Nobody could have made one so far.
        check(None, None, 24, None);
        check(None, None, 25, young);
        check(Some(10), None, 34, None);
        check(Some(10), None, 35, young);
        check(Some(160), None, 168, None);
        check(Some(160), None, 169, verified);
        check(Some(160), Some(100), 169, None);
        // One that is older than the schedule is one all the same.
        check(Some(-5), Some(-5), 19, None);
        check(Some(-5), Some(-5), 25, young);
        assert_eq!(
            nightly().lacks(Freshness::default(), since, Timestamp(i64::MAX)),
            None
        );
    }

    #[test]
    fn a_window_ends_after_so_many_minutes() {
        let mut spec = nightly();
        assert_eq!(spec.begin_before(Timestamp(0)), None);
        spec.window_minutes = Some(90);
        assert_eq!(spec.begin_before(Timestamp(5)), Some(Timestamp(5_400_005)));
        assert!(spec.retention.keeps_all());
    }
}
