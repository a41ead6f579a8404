//! The audit.

use super::page;
use crate::rows::constraint;
use crate::session::{Session, Source, Transaction};
use async_trait::async_trait;
use tpm_store::{AuditHead, AuditQuery, AuditReads, AuditRow, AuditWrites, Page, Result};

fn is<T: PartialEq>(wanted: Option<&T>, found: &T) -> bool {
    wanted.is_none_or(|wanted| wanted == found)
}

fn matches(query: &AuditQuery, row: &AuditRow) -> bool {
    let entry = &row.entry;
    let action = query.action.as_deref().unwrap_or_default();
    is(query.actor.map(Some).as_ref(), &entry.actor)
        && entry.action.contains(action)
        && is(query.target_kind.as_ref(), &entry.target_kind)
        && is(query.target.as_ref(), &entry.target)
        && is(query.project.map(Some).as_ref(), &entry.project)
        && is(query.refused.as_ref(), &entry.refused.is_some())
        && query.from.is_none_or(|from| row.at >= from)
        && query.to.is_none_or(|to| row.at < to)
        && query.below.is_none_or(|below| row.seq < below)
}

#[async_trait]
impl<S: Source> AuditReads for Session<S> {
    async fn audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>> {
        let tables = self.0.look().await?;
        let all = tables.audit.values().rev();
        let all = all.filter(|row| matches(query, row)).cloned().collect();
        Ok(page(all, query.limit, query.offset))
    }

    async fn audit_after(&self, after: i64, limit: u64) -> Result<Vec<AuditRow>> {
        let tables = self.0.look().await?;
        let rows = tables.audit.values().filter(|row| row.seq > after);
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(rows.take(most).cloned().collect())
    }

    async fn audit_head(&self) -> Result<AuditHead> {
        Ok(self.0.look().await?.audit_head.clone())
    }
}

#[async_trait]
impl AuditWrites for Session<Transaction> {
    async fn lock_audit(&self) -> Result<AuditHead> {
        // The transaction is the only writer already.
        Ok(self.0.look().await?.audit_head.clone())
    }

    async fn append_audit(&self, row: &AuditRow, head: &AuditHead) -> Result<()> {
        self.0.change(|tables| {
            if tables.audit.contains(&row.seq) {
                return Err(constraint(format!("audit {} twice", row.seq)));
            }
            tables.audit.set(row.seq, row.clone());
            tables.audit_head = head.clone();
            Ok(())
        })
    }
}
