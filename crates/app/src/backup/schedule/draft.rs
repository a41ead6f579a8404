//! What is said of a schedule before it is believed, and what is wrong with it: all of it at once.

use super::super::create::{is_storage, said, word};
use super::super::drill::DrillDraft;
use super::reaches;
use crate::{App, AppError, Ctx, Result};
use std::collections::BTreeSet;
use tpm_calendar::{Calendar, Zone};
use tpm_domain::{
    BackupMode, Compression, Error, FieldErrors, Permission, ProjectId, Reach, Reason, Retention,
    ScheduleSpec, ServerId, ServerName, ServerSelector, ServerSpec,
};
use tpm_store::Reads;

/// Which servers, before it is believed: one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetDraft {
    /// All of them.
    pub all: Option<bool>,
    /// By number.
    pub servers: Option<Vec<i64>>,
    /// By role.
    pub role: Option<String>,
    /// By tag.
    pub tag: Option<String>,
}

/// What is kept, before it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionDraft {
    /// The newest ones, then one of so many hours, days, weeks, months and years.
    pub counts: [Option<i64>; 6],
}

/// A schedule as asked for; `None` stays as it is, or is the default of a new one. `Some(None)` takes a bound away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleDraft {
    /// Its name.
    pub name: Option<String>,
    /// Whose servers.
    pub project: Option<Option<i64>>,
    /// Whether it is followed.
    pub enabled: Option<bool>,
    /// When.
    pub calendar: Option<String>,
    /// In which time zone.
    pub time_zone: Option<String>,
    /// Which servers.
    pub target: Option<TargetDraft>,
    /// Whether backups are tried instead of made, and how.
    pub drill: Option<Option<DrillDraft>>,
    /// How running guests are treated.
    pub mode: Option<String>,
    /// Where backups go.
    pub storage: Option<String>,
    /// How they are packed.
    pub compress: Option<String>,
    /// What is written on them.
    pub notes: Option<String>,
    /// How far the beginnings are spread, in seconds.
    pub jitter_secs: Option<i64>,
    /// How late a part of a run may begin, in minutes.
    pub window_minutes: Option<Option<i64>>,
    /// What is kept.
    pub retention: Option<RetentionDraft>,
    /// How old the newest backup of a server may become, in hours.
    pub max_age_hours: Option<Option<i64>>,
    /// Within how many days one has to be proved to restore.
    pub verified_within_days: Option<Option<i64>>,
    /// Most at once on a node.
    pub per_node: Option<Option<i64>>,
    /// Most at once to a storage.
    pub per_storage: Option<Option<i64>>,
}

/// A number within bounds.
fn bounded(wanted: i64, field: &str, min: u32, max: u32, errors: &mut FieldErrors) -> u32 {
    match u32::try_from(wanted) {
        Ok(number) if (min..=max).contains(&number) => number,
        _ => {
            let (min, max) = (i64::from(min), i64::from(max));
            errors.add(field, Reason::Range { min, max });
            u32::try_from(min).unwrap_or(0)
        }
    }
}

/// A bound that stays, goes, or becomes.
fn bound(
    wanted: Option<Option<i64>>,
    before: Option<u32>,
    field: &str,
    max: u32,
    errors: &mut FieldErrors,
) -> Option<u32> {
    match wanted {
        None => before,
        Some(None) => None,
        Some(Some(number)) => Some(bounded(number, field, 1, max, errors)),
    }
}

impl RetentionDraft {
    /// The fields, in the order of the counts.
    pub const FIELDS: [&'static str; 6] = [
        "keep_last",
        "keep_hourly",
        "keep_daily",
        "keep_weekly",
        "keep_monthly",
        "keep_yearly",
    ];

    pub(crate) fn understand(&self, at: &str, errors: &mut FieldErrors) -> Retention {
        let mut counts = [0; 6];
        for ((count, wanted), field) in counts.iter_mut().zip(self.counts).zip(Self::FIELDS) {
            let field = format!("{at}{field}");
            *count = wanted.map_or(0, |n| bounded(n, &field, 0, Retention::MOST, errors));
        }
        let [last, hourly, daily, weekly, monthly, yearly] = counts;
        Retention {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
        }
    }
}

impl App {
    /// The schedule that a draft makes of `before`; `None` when something is wrong.
    pub(super) async fn understand_schedule(
        &self,
        ctx: &Ctx,
        reads: &(dyn Reads + Send + Sync),
        before: Option<&ScheduleSpec>,
        draft: &ScheduleDraft,
        errors: &mut FieldErrors,
    ) -> Result<Option<ScheduleSpec>> {
        let noted = errors.len();
        let policy = &self.policy().backup;
        let name = match &draft.name {
            None => before.map(|spec| spec.name.clone()),
            Some(text) => ServerName::new(text).or_else(|| {
                errors.add("name", Reason::ServerName);
                None
            }),
        };
        let project = match draft.project {
            None => before.and_then(|spec| spec.project),
            Some(project) => project.map(ProjectId),
        };
        // What belongs to no project is everybody's.
        let reach = ctx.reach(Permission::WriteBackups)?;
        if !reaches(&reach, project) {
            match project {
                Some(_) => errors.add("project_id", Reason::NoSuch),
                None => return Err(AppError::Refused(Error::Forbidden)),
            }
        } else if let Some(id) = project
            && reads.project(id).await?.is_none()
        {
            errors.add("project_id", Reason::NoSuch);
        }
        let (calendar, time_zone) = times(before, draft, errors);
        let selector = match &draft.target {
            None => before.map(|spec| spec.selector.clone()),
            Some(wanted) => {
                self.understand_target(reads, wanted, &reach, project, errors)
                    .await?
            }
        };
        let drill = match &draft.drill {
            None => before.and_then(|spec| spec.drill.clone()),
            Some(wanted) => wanted
                .as_ref()
                .map(|wanted| wanted.understand("drill.", errors)),
        };
        // What is tried is a server for a while.
        if drill.is_some() {
            ctx.reach(Permission::WriteServers)?;
        }
        let (all, name_of) = (BackupMode::ALL, BackupMode::as_str);
        let mode = before.map_or(policy.mode, |spec| spec.mode);
        let mode = word(draft.mode.as_ref(), "mode", mode, all, name_of, errors);
        let (all, name_of) = (Compression::ALL, Compression::as_str);
        let packed = before.map_or(policy.compression, |spec| spec.compression);
        let wanted = draft.compress.as_ref();
        let compression = word(wanted, "compress", packed, all, name_of, errors);
        let storage = draft.storage.clone();
        let storage = storage.or_else(|| before.map(|spec| spec.storage.clone()));
        let storage = storage.unwrap_or_else(|| policy.storage.clone());
        if !is_storage(&storage) {
            errors.add("storage", Reason::NoSuch);
        }
        let notes = match &draft.notes {
            Some(notes) => said(notes, errors),
            None => before.map_or_else(String::new, |spec| spec.notes.clone()),
        };
        let jitter_secs = match draft.jitter_secs {
            None => before.map_or(0, |spec| spec.jitter_secs),
            Some(n) => bounded(
                n,
                "jitter_seconds",
                0,
                ScheduleSpec::MOST_JITTER_SECS,
                errors,
            ),
        };
        let was = |of: fn(&ScheduleSpec) -> Option<u32>| before.and_then(of);
        let window_minutes = bound(
            draft.window_minutes,
            was(|spec| spec.window_minutes),
            "window_minutes",
            ScheduleSpec::MOST_WINDOW_MINUTES,
            errors,
        );
        if let Some(minutes) = window_minutes
            && jitter_secs > minutes.saturating_mul(60)
            && errors.len() == noted
        {
            let (min, max) = (0, i64::from(minutes) * 60);
            errors.add("jitter_seconds", Reason::Range { min, max });
        }
        let retention = match &draft.retention {
            None => before.map(|spec| spec.retention).unwrap_or_default(),
            Some(wanted) => wanted.understand("retention.", errors),
        };
        let max_age_hours = bound(
            draft.max_age_hours,
            was(|spec| spec.max_age_hours),
            "max_age_hours",
            ScheduleSpec::MOST_DAYS * 24,
            errors,
        );
        let verified_within_days = bound(
            draft.verified_within_days,
            was(|spec| spec.verified_within_days),
            "verified_within_days",
            ScheduleSpec::MOST_DAYS,
            errors,
        );
        let most = ScheduleSpec::MOST_AT_ONCE;
        let per_node = bound(
            draft.per_node,
            was(|s| s.per_node),
            "max_per_node",
            most,
            errors,
        );
        let per_storage = bound(
            draft.per_storage,
            was(|spec| spec.per_storage),
            "max_per_storage",
            most,
            errors,
        );
        let (Some(name), Some(selector), true) = (name, selector, errors.len() == noted) else {
            return Ok(None);
        };
        Ok(Some(ScheduleSpec {
            name,
            project,
            enabled: draft
                .enabled
                .or(before.map(|spec| spec.enabled))
                .unwrap_or(true),
            calendar,
            time_zone,
            selector,
            drill,
            mode,
            storage,
            compression,
            notes,
            jitter_secs,
            window_minutes,
            retention,
            max_age_hours,
            verified_within_days,
            per_node,
            per_storage,
        }))
    }

    /// Exactly one way to say which servers.
    async fn understand_target(
        &self,
        reads: &(dyn Reads + Send + Sync),
        draft: &TargetDraft,
        reach: &Reach,
        project: Option<ProjectId>,
        errors: &mut FieldErrors,
    ) -> Result<Option<ServerSelector>> {
        const WAYS: &[&str] = &["all", "server_ids", "role", "tag"];
        let given = [
            draft.all == Some(true),
            draft.servers.is_some(),
            draft.role.is_some(),
            draft.tag.is_some(),
        ];
        let mut said = WAYS.iter().zip(given).filter(|(_, given)| *given);
        let Some((first, _)) = said.next() else {
            errors.add("target", Reason::OneNeeded { of: WAYS });
            return Ok(None);
        };
        for (way, _) in said {
            errors.add(format!("target.{way}"), Reason::Excludes { other: first });
        }
        if let Some(ids) = &draft.servers {
            return self
                .understand_servers(reads, ids, reach, project, errors)
                .await;
        }
        if let Some(role) = &draft.role {
            if !self.policy().roles.contains_key(role) {
                let allowed = self.policy().roles.keys().cloned().collect();
                errors.add("target.role", Reason::OneOf { allowed });
            }
            return Ok(Some(ServerSelector::Role(role.clone())));
        }
        if let Some(tag) = &draft.tag {
            if !ServerSpec::is_tag(tag) {
                errors.add("target.tag", Reason::Type { expected: "tag" });
            }
            return Ok(Some(ServerSelector::Tag(tag.to_ascii_lowercase())));
        }
        Ok(Some(ServerSelector::All))
    }

    async fn understand_servers(
        &self,
        reads: &(dyn Reads + Send + Sync),
        ids: &[i64],
        reach: &Reach,
        project: Option<ProjectId>,
        errors: &mut FieldErrors,
    ) -> Result<Option<ServerSelector>> {
        let (min, max) = (1, ScheduleSpec::MOST_SERVERS);
        if !(min..=max).contains(&ids.len()) {
            errors.add("target.server_ids", Reason::Count { min, max });
            return Ok(None);
        }
        let mut all = BTreeSet::new();
        for (n, id) in ids.iter().enumerate() {
            let field = format!("target.server_ids[{n}]");
            let server = reads.server(ServerId(*id)).await?;
            let there = server.is_some_and(|server| {
                reach.covers(server.project) && project.is_none_or(|it| it == server.project)
            });
            if !there {
                errors.add(field, Reason::NoSuch);
            } else if !all.insert(ServerId(*id)) {
                errors.add(field, Reason::Duplicate);
            }
        }
        Ok(Some(ServerSelector::Servers(all)))
    }
}

/// Calendar and time zone, both looked at even when one of them is wrong.
fn times(
    before: Option<&ScheduleSpec>,
    draft: &ScheduleDraft,
    errors: &mut FieldErrors,
) -> (String, String) {
    let or = |wanted: &Option<String>, of: fn(&ScheduleSpec) -> &String| {
        let wanted = wanted.clone();
        wanted.or_else(|| before.map(|spec| of(spec).clone()))
    };
    let calendar = or(&draft.calendar, |spec| &spec.calendar).unwrap_or_default();
    let time_zone = or(&draft.time_zone, |spec| &spec.time_zone).unwrap_or_default();
    let zone = Zone::parse(&time_zone);
    if zone.is_none() && draft.time_zone.is_some() {
        errors.add("time_zone", Reason::NoSuch);
    }
    let anywhere = zone.or_else(|| Zone::parse("UTC"));
    let understood = anywhere.and_then(|zone| Calendar::parse(&calendar, zone));
    if understood.is_none() && draft.calendar.is_some() {
        errors.add("calendar", Reason::Calendar);
    }
    (calendar, time_zone)
}
