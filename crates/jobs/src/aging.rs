//! Servers whose backups are older, or less lately proved to restore, than their schedules ask for.

use crate::alerts::Look;
use crate::worker::Worker;
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{AlertRule, Freshness, Lack, Schedule, Seen, Server, ServerId, Timestamp};
use tpm_store::{Reads, StoreError};

/// The schedules that ask for something, and what there is.
pub(crate) struct Policies<'a> {
    schedules: Vec<Schedule>,
    fresh: BTreeMap<ServerId, Freshness>,
    role_tags: &'a BTreeMap<String, Vec<String>>,
}

impl Worker {
    pub(crate) async fn policies(
        &self,
        reads: &(dyn Reads + Send + Sync),
    ) -> Result<Policies<'_>, StoreError> {
        let mut schedules = reads.schedules().await?;
        schedules.retain(|one| {
            let spec = &one.spec;
            spec.enabled && (spec.max_age_hours.is_some() || spec.verified_within_days.is_some())
        });
        let fresh = match schedules.is_empty() {
            true => BTreeMap::new(),
            false => reads.freshness().await?,
        };
        Ok(Policies {
            schedules,
            fresh,
            role_tags: &self.settings().schedules.role_tags,
        })
    }
}

impl Policies<'_> {
    /// One look at each server that a schedule asks something of.
    pub(crate) fn looks(
        &self,
        servers: &[Server],
        busy: &BTreeSet<ServerId>,
        now: Timestamp,
    ) -> Vec<Look> {
        let look = |server: &Server| {
            let covering = self
                .schedules
                .iter()
                .filter(|one| one.spec.covers(server, self.role_tags));
            let mut covering = covering.peekable();
            covering.peek()?;
            let fresh = self.fresh.get(&server.id).copied().unwrap_or_default();
            let lack = covering.find_map(|one| {
                let since = server.created_at.max(one.created_at);
                Some((one, one.spec.lacks(fresh, since, now)?))
            });
            let detail = lack.map(|(one, lack)| told(one, lack));
            Some(Look {
                rule: AlertRule::BackupOld,
                key: server.id.to_string(),
                server: Some(server.id),
                subject: server.name.to_string(),
                seen: match detail {
                    _ if busy.contains(&server.id) => Seen::Muted,
                    Some(_) => Seen::Bad,
                    None => Seen::Good,
                },
                detail: detail.unwrap_or_default(),
            })
        };
        servers.iter().filter_map(look).collect()
    }
}

fn told(schedule: &Schedule, lack: Lack) -> String {
    let name = &schedule.spec.name;
    match lack {
        Lack::Young { hours } => format!("{name}: > {hours} h"),
        Lack::Verified { days } => format!("{name}: not verified, > {days} d"),
    }
}
