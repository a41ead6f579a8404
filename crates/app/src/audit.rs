//! Who did what: written in the transaction of what is done, each row bound to the one before it by a key
//! that is not in the database.

use crate::{App, AppError, Ctx, Origin, Result};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;
use tpm_domain::{AuditEntry, AuditTarget, Conflict, Error, Permission, UserId};
use tpm_store::{AuditHead, AuditQuery, AuditRow, Page, RESTORED, UnitOfWork};

type Tx = dyn UnitOfWork + Send + Sync;

/// Rows that are checked at once.
const PORTION: u64 = 1000;

/// How the chain was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCheck {
    /// Rows that were read.
    pub rows: i64,
    /// The place of the first row that is not as it was written, or is missing.
    pub broken_at: Option<i64>,
}

impl App {
    fn mac(&self, parts: &[&[u8]]) -> String {
        let key = self.parts().audit_key.expose_secret();
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            return String::new();
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        hex::encode(mac.finalize().into_bytes())
    }

    fn link(&self, before: &str, row: &AuditRow) -> String {
        let entry = serde_json::to_string(&row.entry).unwrap_or_default();
        self.mac(&[
            b"row",
            before.as_bytes(),
            &row.seq.to_be_bytes(),
            &row.at.0.to_be_bytes(),
            entry.as_bytes(),
        ])
    }

    fn seal(&self, seq: i64, link: &str) -> String {
        self.mac(&[b"end", &seq.to_be_bytes(), link.as_bytes()])
    }

    async fn append(&self, tx: &Tx, entry: AuditEntry) -> Result<()> {
        let head = tx.lock_audit().await?;
        let mut row = AuditRow {
            seq: head.seq + 1,
            at: tx.now(),
            entry,
            link: String::new(),
        };
        row.link = self.link(&head.link, &row);
        let head = AuditHead {
            seq: row.seq,
            link: row.link.clone(),
            seal: self.seal(row.seq, &row.link),
        };
        tx.append_audit(&row, &head).await?;
        Ok(())
    }

    /// Makes what was done durable, with who did it: both or neither. Nothing is changed in a copy that nobody has
    /// accepted.
    pub(crate) async fn commit(&self, ctx: &Ctx, tx: Box<Tx>, target: AuditTarget) -> Result<()> {
        if tx.run_time_setting(RESTORED).await?.is_some() {
            let conflict = Conflict::RestoredCopy;
            return Err(AppError::Refused(Error::Conflict(conflict)));
        }
        self.commit_in_a_copy(ctx, tx, target).await
    }

    /// The same for what may be done in such a copy, too.
    pub(crate) async fn commit_in_a_copy(
        &self,
        ctx: &Ctx,
        tx: Box<Tx>,
        target: AuditTarget,
    ) -> Result<()> {
        let actor = (Some(ctx.actor.id), ctx.actor.username.as_str());
        self.record(&*tx, &ctx.origin, actor, target).await?;
        tx.commit().await?;
        ctx.origin.tell();
        Ok(())
    }

    pub(crate) async fn record(
        &self,
        tx: &Tx,
        origin: &Origin,
        actor: (Option<UserId>, &str),
        target: AuditTarget,
    ) -> Result<()> {
        let entry = AuditEntry {
            target_kind: target.kind.to_owned(),
            target: target.id,
            project: target.project,
            ..entry(origin, actor)
        };
        self.append(tx, entry).await
    }

    /// Writes down a request that changed nothing: refused for the reason of that code, or already so.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn tell_audit(
        &self,
        origin: &Origin,
        actor: Option<(UserId, String)>,
        name: &str,
        refused: Option<String>,
    ) -> Result<()> {
        let known = actor.as_ref().map(|(id, name)| (Some(*id), name.as_str()));
        let entry = AuditEntry {
            refused,
            ..entry(origin, known.unwrap_or((None, name)))
        };
        let tx = self.store().begin().await?;
        self.append(&*tx, entry).await?;
        tx.commit().await?;
        origin.tell();
        Ok(())
    }

    /// A page of the audit, newest first.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn audit(&self, ctx: &Ctx, query: &AuditQuery) -> Result<Page<AuditRow>> {
        ctx.authorize(Permission::ReadAudit)?;
        Ok(self.store().reads().audit(query).await?)
    }

    /// Whether every row is as it was written and none is missing.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn verify_audit(&self, ctx: &Ctx) -> Result<AuditCheck> {
        ctx.authorize(Permission::ReadAudit)?;
        // The end first: rows that are added meanwhile are not looked at.
        let head = self.store().reads().audit_head().await?;
        let broken = |rows: i64, at: i64| AuditCheck {
            rows,
            broken_at: Some(at),
        };
        let (mut rows, mut before) = (0, String::new());
        while rows < head.seq {
            let portion = self.store().reads().audit_after(rows, PORTION).await?;
            if portion.is_empty() {
                return Ok(broken(rows, rows + 1));
            }
            for row in portion.into_iter().take_while(|row| row.seq <= head.seq) {
                if row.seq != rows + 1 || row.link != self.link(&before, &row) {
                    return Ok(broken(rows, rows + 1));
                }
                rows += 1;
                before = row.link;
            }
        }
        let begun = head.seq > 0 || !head.seal.is_empty();
        if begun && (head.link != before || head.seal != self.seal(head.seq, &head.link)) {
            return Ok(broken(rows, rows));
        }
        // Rows behind an end that was put back.
        let beyond = self.store().reads().audit_after(head.seq, 1).await?;
        let now = self.store().reads().audit_head().await?;
        if !beyond.is_empty() && now.seq == head.seq {
            return Ok(broken(rows, rows + 1));
        }
        Ok(AuditCheck {
            rows,
            broken_at: None,
        })
    }
}

fn entry(origin: &Origin, (actor, name): (Option<UserId>, &str)) -> AuditEntry {
    AuditEntry {
        actor,
        actor_name: name.to_owned(),
        via: origin.via.clone(),
        address: origin.address.clone(),
        action: origin.action.clone(),
        request_id: origin.request_id.clone(),
        ..AuditEntry::default()
    }
}
