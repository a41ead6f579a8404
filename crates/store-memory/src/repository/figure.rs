//! Counting over whole tables.

use super::reservation::is_blocked;
use crate::session::{Session, Source};
use async_trait::async_trait;
use std::collections::BTreeMap;
use tpm_domain::Vmid;
use tpm_store::{FigureReads, Result, Supplies, TaskFigure, VmidRange};

#[async_trait]
impl<S: Source> FigureReads for Session<S> {
    async fn task_figures(&self) -> Result<Vec<TaskFigure>> {
        let tables = self.0.look().await?;
        let now = self.0.moment();
        let mut figures: BTreeMap<(&str, &str), TaskFigure> = BTreeMap::new();
        for row in tables.tasks.values() {
            let (kind, state) = (row.task.kind, row.task.state);
            let oldest = now.since(row.task.created_at);
            let one = figures
                .entry((kind.as_str(), state.as_str()))
                .or_insert(TaskFigure {
                    kind,
                    state,
                    count: 0,
                    oldest,
                });
            one.count += 1;
            one.oldest = one.oldest.max(oldest);
        }
        Ok(figures.into_values().collect())
    }

    async fn supplies(&self, range: VmidRange) -> Result<Supplies> {
        let tables = self.0.look().await?;
        let now = self.0.moment();
        let free = (range.first.0..=range.last.0)
            .filter(|vmid| !is_blocked(&tables, Vmid(*vmid), range, now))
            .count();
        Ok(Supplies {
            vmids_free: free as u64,
            picture_age: tables.seen_at.map(|seen| now.since(seen)),
        })
    }
}
