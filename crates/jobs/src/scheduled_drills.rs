//! Drills by the calendar: the newest backup of each server is tried. What a drill needs is reserved as for who asks
//! for one; when it is not there, the drill is written down as failed, with why.

use crate::schedules::Begun;
use crate::worker::Worker;
use std::time::Duration;
use tpm_app::{Booking, NotBooked, book_drill};
use tpm_domain::{
    Backup, BackupState, DrillState, DrillToken, DrillWish, Error, Event, EventKind, Failure,
    FailureCode, RunItem, RunItemId, RunItemState, Schedule, Server, TaskToken, Timestamp,
};
use tpm_store::{BackupQuery, DrillQuery, NewDrill, StoreError, UnitOfWork};

/// Drills are kept for so long after it was known how they came out, the latest of a server for ever.
const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

type Tx = Box<dyn UnitOfWork + Send + Sync>;

impl Worker {
    /// Has the newest backup of a server tried.
    pub(crate) async fn begin_drill(
        &self,
        tx: Tx,
        item: &RunItem,
        schedule: &Schedule,
        wish: &DrillWish,
        server: &Server,
    ) -> Result<Begun, StoreError> {
        let Some(backup) = newest_good(&*tx, server).await? else {
            let (from, to) = (RunItemState::Waiting, RunItemState::Skipped);
            if tx.move_item(item.id, from, to, None).await? {
                tx.commit().await?;
            }
            return Ok(Begun::Never);
        };
        let settings = self.settings();
        let booking = Booking {
            policy: &settings.schedules.drill,
            placement: &settings.placement,
            vmids: settings.vmids,
            by: schedule.created_by,
            drill: self.new_drill_token(),
            task: TaskToken(format!("task_schedule_{}_{}", item.id, tx.now().0)),
            spec: wish.of(server),
            scheduled: Some((schedule.id, item.id)),
        };
        let (from, to) = (RunItemState::Waiting, RunItemState::Started);
        if !tx.move_item(item.id, from, to, Some(backup.id)).await? {
            return Ok(Begun::NotNow);
        }
        match book_drill(&*tx, &booking, &backup, server).await {
            Ok(_) => {
                tx.commit().await?;
                Ok(Begun::Yes)
            }
            // Nobody looked for a while, or somebody else reserved at the same time.
            Err(
                NotBooked::Refused(Error::ClusterUnseen { .. } | Error::Overloaded { .. })
                | NotBooked::Store(StoreError::Crossed(_) | StoreError::Constraint(_)),
            ) => Ok(Begun::NotNow),
            Err(NotBooked::Refused(error)) => {
                drop(tx);
                self.no_room(item, &booking, &backup, &error).await
            }
            Err(NotBooked::Store(error)) => Err(error),
            Err(NotBooked::Fault(error)) => Err(StoreError::Broken(error)),
        }
    }

    /// A drill that cannot begin is one that failed.
    async fn no_room(
        &self,
        item: &RunItem,
        booking: &Booking<'_>,
        backup: &Backup,
        error: &Error,
    ) -> Result<Begun, StoreError> {
        let failure = Failure::new(FailureCode::NoRoom, error.to_string());
        let tx = self.store().begin().await?;
        let (from, to) = (RunItemState::Waiting, RunItemState::Failed);
        if !tx.move_item(item.id, from, to, Some(backup.id)).await? {
            return Ok(Begun::NotNow);
        }
        let (schedule, part) = booking.scheduled.unzip();
        tx.insert_drill(&NewDrill {
            token: booking.drill.clone(),
            backup: backup.id,
            backup_token: backup.token.clone(),
            server: backup.server,
            server_name: backup.server_name.clone(),
            spec: booking.spec.clone(),
            item: part,
            schedule,
            asked_by: booking.by,
            failure: Some(failure.clone()),
        })
        .await?;
        tx.add_event(&Event {
            kind: EventKind::DrillFailed {
                backup: backup.token.0.clone(),
                failure,
            },
            server: Some(backup.server),
            server_name: backup.server_name.clone(),
            task: None,
        })
        .await?;
        tx.commit().await?;
        Ok(Begun::Never)
    }

    fn new_drill_token(&self) -> DrillToken {
        let backup = self.new_backup_token();
        DrillToken(backup.0.replace("backup_", "drill_"))
    }

    /// Forgets drills that came out long ago.
    pub(crate) async fn trim_drills(&self) -> Result<u64, StoreError> {
        let tx = self.store().begin().await?;
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let before = Timestamp(tx.now().0.saturating_sub(kept));
        let gone = tx.trim_drills(before).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

/// What a part of a run is over with by its drill, `Some(None)` while that goes on; `None` when it has none.
pub(crate) async fn drill_over(
    tx: &(dyn UnitOfWork + Send + Sync),
    item: RunItemId,
) -> Result<Option<Option<RunItemState>>, StoreError> {
    let query = DrillQuery {
        item: Some(item),
        limit: Some(1),
        ..DrillQuery::default()
    };
    let Some(drill) = tx.drills(&query).await?.items.into_iter().next() else {
        return Ok(None);
    };
    // Until nothing is left of its guest, or nobody is at it any more.
    if let (None, Some(task)) = (drill.cleared_at, &drill.task)
        && tx
            .task(task)
            .await?
            .is_some_and(|task| !task.state.is_final())
    {
        return Ok(Some(None));
    }
    Ok(Some(match drill.state {
        DrillState::Running => None,
        DrillState::Passed => Some(RunItemState::Completed),
        DrillState::Failed => Some(RunItemState::Failed),
        DrillState::Cancelled => Some(RunItemState::Skipped),
    }))
}

/// Whether a drill reads its archive.
pub(crate) async fn is_tried(
    tx: &(dyn UnitOfWork + Send + Sync),
    backup: &Backup,
) -> Result<bool, StoreError> {
    let query = DrillQuery {
        backup: Some(backup.token.clone()),
        state: Some(DrillState::Running),
        limit: Some(1),
        ..DrillQuery::default()
    };
    Ok(tx.drills(&query).await?.total > 0)
}

/// The newest backup of a server that can be restored.
async fn newest_good(
    tx: &(dyn UnitOfWork + Send + Sync),
    server: &Server,
) -> Result<Option<Backup>, StoreError> {
    let query = BackupQuery {
        server: Some(server.id),
        state: Some(BackupState::Completed),
        limit: Some(1),
        ..BackupQuery::default()
    };
    let all = tx.backups(&query).await?.items;
    Ok(all.into_iter().find(Backup::is_good))
}
