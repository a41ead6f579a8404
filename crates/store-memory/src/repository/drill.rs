//! Restore drills.

use super::page;
use crate::rows::{Tables, constraint};
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use std::collections::BTreeMap;
use tpm_domain::{Drill, DrillId, DrillState, DrillToken, ServerId, TaskToken, Timestamp};
use tpm_store::{DrillQuery, DrillReads, DrillWrites, NewDrill, Page, Result};

fn check(tables: &Tables, drill: &Drill) -> Result<()> {
    let twice = |one: &Drill| one.id != drill.id && one.token == drill.token;
    if tables.drills.values().any(twice) {
        return Err(constraint(format!("drills: {} twice", drill.token)));
    }
    for server in [Some(drill.server), drill.guest].into_iter().flatten() {
        if !tables.servers.contains(&server) {
            return Err(constraint(format!("drills: no server {server}")));
        }
    }
    Ok(())
}

#[async_trait]
impl<S: Source> DrillReads for Session<S> {
    async fn drill(&self, id: DrillId) -> Result<Option<Drill>> {
        Ok(self.0.look().await?.drills.get(&id).cloned())
    }

    async fn drill_named(&self, token: &DrillToken) -> Result<Option<Drill>> {
        let tables = self.0.look().await?;
        let mut all = tables.drills.values();
        Ok(all.find(|drill| drill.token == *token).cloned())
    }

    async fn drills(&self, query: &DrillQuery) -> Result<Page<Drill>> {
        let tables = self.0.look().await?;
        let within = |drill: &Drill| match &query.within {
            None => true,
            Some(projects) => tables
                .project_of(drill.server)
                .is_some_and(|project| projects.contains(&project)),
        };
        let fits = |drill: &&Drill| {
            query.server.is_none_or(|id| drill.server == id)
                && query
                    .backup
                    .as_ref()
                    .is_none_or(|b| drill.backup_token == *b)
                && query.state.is_none_or(|state| drill.state == state)
                && query.item.is_none_or(|item| drill.item == Some(item))
                && within(drill)
        };
        let mut found: Vec<Drill> = tables.drills.values().filter(fits).cloned().collect();
        found.reverse();
        Ok(page(found, query.limit, query.offset))
    }
}

#[async_trait]
impl DrillWrites for Session<Transaction> {
    async fn insert_drill(&self, new: &NewDrill) -> Result<DrillId> {
        let now = self.0.now();
        self.0.change(|tables| {
            let over = new.failure.as_ref().map(|_| now);
            let drill = Drill {
                id: DrillId(tables.next_id()),
                token: new.token.clone(),
                backup: new.backup,
                backup_token: new.backup_token.clone(),
                server: new.server,
                server_name: new.server_name.clone(),
                guest: None,
                task: None,
                spec: new.spec.clone(),
                item: new.item,
                schedule: new.schedule,
                asked_by: new.asked_by,
                state: match new.failure {
                    None => DrillState::Running,
                    Some(_) => DrillState::Failed,
                },
                failure: new.failure.clone(),
                evidence: None,
                digest: None,
                created_at: now,
                decided_at: over,
                cleared_at: over,
            };
            check(tables, &drill)?;
            let id = drill.id;
            tables.drills.set(id, drill);
            Ok(id)
        })
    }

    async fn begin_drill(&self, id: DrillId, guest: ServerId, task: &TaskToken) -> Result<()> {
        self.0.change(|tables| {
            if let Some(row) = tables.drills.get_mut(&id) {
                row.guest = Some(guest);
                row.task = Some(task.clone());
            }
            Ok(())
        })
    }

    async fn decide_drill(&self, drill: &Drill) -> Result<bool> {
        let now = self.0.now();
        self.0
            .change(|tables| match tables.drills.get_mut(&drill.id) {
                Some(row) if row.state == DrillState::Running => {
                    row.state = drill.state;
                    row.failure.clone_from(&drill.failure);
                    row.evidence.clone_from(&drill.evidence);
                    row.digest.clone_from(&drill.digest);
                    row.decided_at = Some(now);
                    Ok(true)
                }
                _ => Ok(false),
            })
    }

    async fn clear_drill(&self, id: DrillId) -> Result<()> {
        let now = self.0.now();
        self.0.change(|tables| {
            if let Some(row) = tables.drills.get_mut(&id) {
                row.cleared_at.get_or_insert(now);
            }
            Ok(())
        })
    }

    async fn trim_drills(&self, before: Timestamp) -> Result<u64> {
        self.0.change(|tables| {
            let mut last: BTreeMap<ServerId, DrillId> = BTreeMap::new();
            for drill in tables.drills.values() {
                last.insert(drill.server, drill.id);
            }
            let kept = |drill: &Drill| {
                drill.decided_at.is_none_or(|at| at >= before)
                    || last.get(&drill.server) == Some(&drill.id)
            };
            Ok(tables.drills.retain(|_, drill| kept(drill)) as u64)
        })
    }
}
