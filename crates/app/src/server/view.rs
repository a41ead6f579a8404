//! Seeing servers.

use crate::{App, Ctx, Result};
use tpm_domain::{
    FieldErrors, Permission, Project, ProjectId, Reach, Reason, Server, ServerId, Task,
};
use tpm_store::{Page, ServerQuery};

/// A server and the task at work on it.
#[derive(Clone, Debug)]
pub struct ServerView {
    /// The server.
    pub server: Server,
    /// The name of its project.
    pub project: String,
    /// The task that is at work on it now.
    pub task: Option<Task>,
}

impl App {
    /// A page of servers, only of the project of that name when one is given.
    ///
    /// # Errors
    /// Forbidden, invalid when there is no such project, or the store does not answer.
    pub async fn servers(
        &self,
        ctx: &Ctx,
        query: &ServerQuery,
        project: Option<&str>,
    ) -> Result<Page<ServerView>> {
        let reach = ctx.reach(Permission::ReadServers)?;
        self.servers_within(&reach, query, project).await
    }

    pub(crate) async fn servers_within(
        &self,
        reach: &Reach,
        query: &ServerQuery,
        project: Option<&str>,
    ) -> Result<Page<ServerView>> {
        let reads = self.store().reads();
        let projects = reads.projects().await?;
        let mut query = query.clone();
        query.within = reach.bound().cloned();
        if let Some(name) = project {
            let found = projects
                .iter()
                .find(|project| project.name.as_str() == name)
                .filter(|project| reach.covers(project.id));
            let mut errors = FieldErrors::default();
            if found.is_none() {
                errors.add("project", Reason::NoSuch);
            }
            query.project = errors.into_result(found)?.map(|project| project.id);
        }
        let page = reads.servers(&query).await?;
        let named = |server: Server| ServerView {
            project: name_of(&projects, server.project),
            server,
            task: None,
        };
        Ok(Page {
            items: page.items.into_iter().map(named).collect(),
            total: page.total,
        })
    }

    /// One server.
    ///
    /// # Errors
    /// Forbidden, not found, or the store does not answer.
    pub async fn server(&self, ctx: &Ctx, id: ServerId) -> Result<ServerView> {
        let reads = self.store().reads();
        let server = reads.server(id).await?;
        let server = ctx.may(Permission::ReadServers, id, server)?;
        let task = reads.active_task(id).await?;
        let project = reads.project(server.project).await?;
        Ok(ServerView {
            project: project.map(|it| it.name.to_string()).unwrap_or_default(),
            server,
            task,
        })
    }
}

fn name_of(projects: &[Project], id: ProjectId) -> String {
    let found = projects.iter().find(|project| project.id == id);
    found.map(|it| it.name.to_string()).unwrap_or_default()
}
