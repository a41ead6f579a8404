//! Servers as code: to take away, to look back at, and what tasks were planned to do.

use crate::{App, AppError, Ctx, Result};
use std::sync::Arc;
use tpm_domain::{
    AuditTarget, Conflict, Error, Permission, ResourceKind, Server, ServerId, TaskToken,
};
use tpm_provisioner::{
    CodeError, CodeFile, PlanView, RunLine, ServerCode, StateChange, StateVersion,
};

impl From<CodeError> for AppError {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::Unavailable(cause) => {
                tracing::warn!(
                    error = &*cause as &dyn std::error::Error,
                    "store unavailable"
                );
                Self::Refused(Error::Unavailable {
                    retry_after_secs: 2,
                })
            }
            CodeError::Unreachable(cause) => {
                tracing::warn!(
                    error = &*cause as &dyn std::error::Error,
                    "a guest could not be looked at"
                );
                Self::Refused(Error::ClusterUnreachable {
                    retry_after_secs: 5,
                })
            }
            CodeError::NotRenderable(why) => {
                Self::Refused(Error::Conflict(Conflict::NotRenderable { why }))
            }
            CodeError::Broken(cause) => Self::Fault(cause),
        }
    }
}

impl App {
    fn code(&self) -> Option<&Arc<dyn ServerCode>> {
        self.parts().code.as_ref()
    }

    async fn coded(
        &self,
        ctx: &Ctx,
        permission: Permission,
        id: ServerId,
    ) -> Result<(Server, &Arc<dyn ServerCode>)> {
        let server = self.store().reads().server(id).await?;
        let server = ctx.may(permission, id, server)?;
        let code = self.code();
        Ok((server, code.ok_or_else(|| no_code(id))?))
    }

    /// Everything that a person needs to go on with a server by Terraform alone, and the server's name.
    ///
    /// # Errors
    /// Forbidden, not found (also when there is no guest), a guest that cannot be told as code, or the store or
    /// the cluster does not answer.
    pub async fn eject_server(&self, ctx: &Ctx, id: ServerId) -> Result<(String, Vec<CodeFile>)> {
        // A state may hold what the reader of servers is not to see.
        let (server, code) = self.coded(ctx, Permission::WriteServers, id).await?;
        let files = code.eject(&server).await?.ok_or_else(|| no_code(id))?;
        Ok((server.name.to_string(), files))
    }

    /// The versions of a server's state, the latest first.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn server_states(&self, ctx: &Ctx, id: ServerId) -> Result<Vec<StateVersion>> {
        let (_, code) = self.coded(ctx, Permission::ReadServers, id).await?;
        Ok(code.states(id).await?)
    }

    /// One version as Terraform wrote it.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn server_state(&self, ctx: &Ctx, id: ServerId, serial: u64) -> Result<String> {
        let (_, code) = self.coded(ctx, Permission::WriteServers, id).await?;
        let state = code.state(id, serial).await?;
        Ok(state.ok_or_else(|| Error::not_found(ResourceKind::State, serial))?)
    }

    /// How a version differs from an earlier one: the one that is named, or the one before it; the first version
    /// from nothing. Also tells which that is.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn state_differences(
        &self,
        ctx: &Ctx,
        id: ServerId,
        earlier: Option<u64>,
        serial: u64,
    ) -> Result<(Option<u64>, Vec<StateChange>)> {
        let (_, code) = self.coded(ctx, Permission::WriteServers, id).await?;
        let earlier = match earlier {
            Some(earlier) => Some(earlier),
            None => {
                let all = code.states(id).await?;
                let all = all.iter().map(|version| version.serial);
                all.filter(|one| *one < serial).max()
            }
        };
        let found = code.differences(id, earlier, serial).await?;
        let found = found.ok_or_else(|| Error::not_found(ResourceKind::State, serial))?;
        Ok((earlier, found))
    }

    /// Puts the content of an older version on top, as a version of its own; returns its serial. What the
    /// guest is does not change by it: the next run looks at both.
    ///
    /// # Errors
    /// Forbidden, not found, conflict while a task is at work, or the store does not answer.
    pub async fn restore_state(&self, ctx: &Ctx, id: ServerId, serial: u64) -> Result<u64> {
        let older = async {
            let (_, code) = self.coded(ctx, Permission::WriteServers, id).await?;
            Ok::<_, AppError>(code.older(id, serial).await?)
        };
        let older = older.await;
        let tx = self.store().begin().await?;
        if let Some(done) = ctx.replay(&*tx).await? {
            return Ok(done);
        }
        let older = older?.ok_or_else(|| Error::not_found(ResourceKind::State, serial))?;
        if tx.idle_server(id).await?.is_none() {
            return Err(match tx.active_task(id).await? {
                Some(task) => Error::Conflict(Conflict::ServerBusy { task: task.token }),
                None => Error::not_found(ResourceKind::Server, id),
            }
            .into());
        }
        if !tx.add_state(id, older.serial, &older.sealed).await? {
            // A task that has ended since, or somebody else restored at the same moment.
            return Err(Error::Unavailable {
                retry_after_secs: 1,
            }
            .into());
        }
        ctx.remember(&*tx, &older.serial).await?;
        let about = AuditTarget::new("server", id);
        self.commit(ctx, tx, about).await?;
        Ok(older.serial)
    }

    /// What a task was planned to do.
    ///
    /// # Errors
    /// Forbidden, not found (also when the task's engine makes no plans), or the store does not answer.
    pub async fn task_plan(&self, ctx: &Ctx, token: &TaskToken) -> Result<PlanView> {
        self.task_seen(ctx, token).await?;
        let plan = match self.code() {
            Some(code) => code.plan(token).await?,
            None => None,
        };
        Ok(plan.ok_or_else(|| Error::not_found(ResourceKind::Plan, token))?)
    }

    /// What a task's runs printed.
    ///
    /// # Errors
    /// Forbidden, or the store does not answer.
    pub async fn task_runs(&self, ctx: &Ctx, token: &TaskToken) -> Result<Vec<RunLine>> {
        self.task_seen(ctx, token).await?;
        match self.code() {
            Some(code) => Ok(code.log(token).await?),
            None => Ok(Vec::new()),
        }
    }
}

fn no_code(id: ServerId) -> Error {
    Error::not_found(ResourceKind::Code, id)
}
