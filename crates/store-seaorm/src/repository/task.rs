//! Tasks and steps as people see them.

use crate::entity::{steps, tasks};
use crate::error::store_error;
use crate::repository::servers_of;
use crate::rows;
use crate::session::Session;
use async_trait::async_trait;
use sea_orm::sea_query::Query;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use std::collections::BTreeSet;
use tpm_domain::{
    BulkPolicy, ChildSummary, ServerId, StepRecord, Task, TaskId, TaskKind, TaskNote, TaskState,
    TaskToken, UserId,
};
use tpm_store::{NewTask, Page, Result, TaskQuery, TaskReads, TaskWrites};

/// Finished tasks of the bulk `$1` whose server is there as they made it and that no task takes back.
pub(crate) const TO_TAKE_BACK: &str = "FROM tasks t
     WHERE parent_id = $1 AND undoes IS NULL AND state = 'completed'
       AND NOT EXISTS (SELECT 1 FROM tasks u WHERE u.parent_id = $1 AND u.undoes = t.id)
       AND EXISTS (SELECT 1 FROM servers s WHERE s.id = t.server_id AND s.created_by = t.token
                   AND s.deleted_ms IS NULL)";

/// How the children of a bulk stand.
pub(crate) async fn children_of<C: ConnectionTrait>(
    session: &Session<C>,
    parent: i64,
) -> Result<ChildSummary> {
    let row = session
        .first(
            "SELECT COUNT(CASE WHEN undoes IS NULL THEN 1 END) AS total,
                    COUNT(CASE WHEN undoes IS NULL AND state = 'completed' THEN 1 END) AS completed,
                    COUNT(CASE WHEN undoes IS NULL AND state = 'failed' THEN 1 END) AS failed,
                    COUNT(CASE WHEN undoes IS NULL AND state = 'cancelled' THEN 1 END) AS cancelled,
                    COUNT(CASE WHEN undoes IS NOT NULL AND state = 'completed' THEN 1 END) AS undone,
                    COUNT(CASE WHEN undoes IS NOT NULL AND state IN ('pending', 'running')
                          THEN 1 END) AS undoing,
                    COUNT(CASE WHEN undoes IS NOT NULL AND state IN ('failed', 'cancelled')
                          THEN 1 END) AS undo_failed,
                    CAST(COALESCE(SUM(CASE WHEN undoes IS NULL THEN progress END), 0) AS BIGINT)
                        AS progress,
                    COALESCE((SELECT policy FROM tasks WHERE id = $1), '') AS policy
             FROM tasks WHERE parent_id = $1",
            [parent.into()],
        )
        .await?;
    let Some(row) = row else {
        return Ok(ChildSummary::default());
    };
    let count = |name: &str| -> Result<u32> {
        let number: i64 = row.try_get("", name).map_err(store_error)?;
        u32::try_from(number).map_err(crate::error::broken)
    };
    let (undone, mut undoing, undo_failed) =
        (count("undone")?, count("undoing")?, count("undo_failed")?);
    let policy: String = row.try_get("", "policy").map_err(store_error)?;
    if policy == BulkPolicy::AllOrNothing.as_str() && count("failed")? + count("cancelled")? > 0 {
        let waiting = format!("SELECT COUNT(*) AS waiting {TO_TAKE_BACK}");
        if let Some(row) = session.first(&waiting, [parent.into()]).await? {
            let waiting: i64 = row.try_get("", "waiting").map_err(store_error)?;
            undoing += u32::try_from(waiting).map_err(crate::error::broken)?;
        }
    }
    Ok(ChildSummary {
        total: count("total")?,
        // What is or was taken back had completed before.
        completed: count("completed")?.saturating_sub(undone + undoing + undo_failed),
        failed: count("failed")?,
        cancelled: count("cancelled")?,
        undone,
        undoing,
        undo_failed,
        progress_sum: count("progress")?,
    })
}

/// A row with what a bulk knows of its children.
pub(crate) async fn with_children<C: ConnectionTrait>(
    session: &Session<C>,
    row: tasks::Model,
) -> Result<Task> {
    let bulk = TaskKind::parse(&row.kind).is_some_and(TaskKind::is_bulk);
    let children = if bulk {
        Some(children_of(session, row.id).await?)
    } else {
        None
    };
    rows::task(row, children)
}

#[async_trait]
impl<C: ConnectionTrait + Send + Sync> TaskReads for Session<C> {
    async fn task(&self, token: &TaskToken) -> Result<Option<Task>> {
        let row = tasks::Entity::find()
            .filter(tasks::Column::Token.eq(&token.0))
            .one(&self.db)
            .await
            .map_err(store_error)?;
        match row {
            Some(row) => with_children(self, row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn task_by_id(&self, id: TaskId) -> Result<Option<Task>> {
        let row = tasks::Entity::find_by_id(id.0)
            .one(&self.db)
            .await
            .map_err(store_error)?;
        match row {
            Some(row) => with_children(self, row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn requester(&self, token: &TaskToken) -> Result<Option<UserId>> {
        let row = self
            .first(
                "SELECT requested_by FROM tasks WHERE token = $1",
                [token.0.clone().into()],
            )
            .await?;
        row.map(|row| {
            row.try_get("", "requested_by")
                .map(UserId)
                .map_err(store_error)
        })
        .transpose()
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<Page<Task>> {
        use tasks::Column;
        let mut select = tasks::Entity::find();
        if let Some(state) = query.state {
            select = select.filter(Column::State.eq(state.as_str()));
        }
        if let Some(kind) = query.kind {
            select = select.filter(Column::Kind.eq(kind.as_str()));
        }
        if let Some(server) = query.server {
            select = select.filter(Column::ServerId.eq(server.0));
        }
        if let Some((projects, person)) = &query.within {
            let theirs = servers_of(projects);
            let bulks = Query::select()
                .column(Column::ParentId)
                .from(tasks::Entity)
                .and_where(Column::ParentId.is_not_null())
                .and_where(Column::ServerId.in_subquery(theirs.clone()))
                .to_owned();
            let unborn = Condition::all()
                .add(Column::ServerId.is_null())
                .add(Column::Kind.eq(TaskKind::ImportServer.as_str()))
                .add(Column::RequestedBy.eq(person.0));
            let within = Condition::any()
                .add(Column::ServerId.in_subquery(theirs))
                .add(Column::Id.in_subquery(bulks))
                .add(unborn);
            select = select.filter(within);
        }
        select = match query.parent {
            Some(parent) => select.filter(Column::ParentId.eq(parent.0)),
            // A server's own tasks are shown whether or not a bulk asked for them.
            None if query.server.is_some() => select,
            None => select.filter(Column::ParentId.is_null()),
        };
        let total = select.clone().count(&self.db).await.map_err(store_error)?;
        let select = match query.parent {
            Some(_) => select.order_by_asc(Column::Id),
            None => select.order_by_desc(Column::Id),
        };
        let found = select
            .limit(query.limit.unwrap_or(i64::MAX as u64))
            .offset(query.offset)
            .all(&self.db)
            .await
            .map_err(store_error)?;
        let mut items = Vec::with_capacity(found.len());
        for row in found {
            items.push(with_children(self, row).await?);
        }
        Ok(Page { items, total })
    }

    async fn steps(&self, id: TaskId) -> Result<Vec<StepRecord>> {
        steps::Entity::find()
            .filter(steps::Column::TaskId.eq(id.0))
            .order_by_asc(steps::Column::Seq)
            .all(&self.db)
            .await
            .map_err(store_error)?
            .into_iter()
            .map(rows::step)
            .collect()
    }

    async fn active_task(&self, server: ServerId) -> Result<Option<Task>> {
        tasks::Entity::find()
            .filter(tasks::Column::ServerId.eq(server.0))
            .filter(tasks::Column::State.is_in(["pending", "running"]))
            .one(&self.db)
            .await
            .map_err(store_error)?
            .map(|row| rows::task(row, None))
            .transpose()
    }

    async fn busy_servers(&self) -> Result<BTreeSet<ServerId>> {
        let ids: Vec<Option<i64>> = tasks::Entity::find()
            .select_only()
            .column(tasks::Column::ServerId)
            .filter(tasks::Column::State.is_in(["pending", "running"]))
            .into_tuple()
            .all(&self.db)
            .await
            .map_err(store_error)?;
        Ok(ids.into_iter().flatten().map(ServerId).collect())
    }
}

#[async_trait]
impl TaskWrites for Session<DatabaseTransaction> {
    async fn insert_task(&self, task: &NewTask) -> Result<TaskId> {
        // A bulk is never due: it moves when its children do.
        let next_run = if task.kind.is_bulk() {
            None
        } else {
            Some(self.now_ms)
        };
        let row = tasks::ActiveModel {
            token: Set(task.token.0.clone()),
            kind: Set(task.kind.as_str().into()),
            server_id: Set(task.server.as_ref().map(|(id, _)| id.0)),
            server_name: Set(task.server.as_ref().map(|(_, name)| name.clone())),
            parent_id: Set(task.parent.map(|id| id.0)),
            requested_by: Set(task.requested_by.0),
            policy: Set(task.policy.as_str().into()),
            turn: Set(task.turn.into()),
            payload: Set(task.payload.clone()),
            undoes: Set(task.undoes.map(|id| id.0)),
            state: Set(TaskState::Pending.as_str().into()),
            progress: Set(0),
            note: Set(rows::to_json(&TaskNote::Queued)?),
            undoing: Set(false),
            cancel_requested: Set(false),
            epoch: Set(0),
            next_run_ms: Set(next_run),
            created_ms: Set(self.now_ms),
            updated_ms: Set(self.now_ms),
            ..Default::default()
        };
        let inserted = tasks::Entity::insert(row)
            .exec(&self.db)
            .await
            .map_err(store_error)?;
        Ok(TaskId(inserted.last_insert_id))
    }

    async fn request_cancel(&self, id: TaskId) -> Result<u64> {
        // Who waits for a place or for a timer is made due, so that the cancel is noticed at once.
        let done = self
            .run(
                "UPDATE tasks SET cancel_requested = $1, updated_ms = $2,
                        next_run_ms = CASE WHEN next_run_ms IS NULL THEN NULL ELSE $2 END
                 WHERE (id = $3 OR (parent_id = $3 AND undoes IS NULL))
                   AND state IN ('pending', 'running')",
                [true.into(), self.now_ms.into(), id.0.into()],
            )
            .await?;
        Ok(done.rows_affected())
    }
}
