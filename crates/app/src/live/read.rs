//! Reads what changed.

use super::LiveThing;
use super::sight::Sight;
use crate::{Result, ServerView};
use std::collections::BTreeMap;
use tpm_domain::{ProjectId, ServerId, Task, TaskId};
use tpm_store::{Changed, Reads, TaskQuery};

/// Bulks whose projects are remembered.
const BULKS: usize = 1024;

async fn project_of(
    reads: &(dyn Reads + Send + Sync),
    server: Option<ServerId>,
) -> Result<Option<ProjectId>> {
    let Some(id) = server else {
        return Ok(None);
    };
    Ok(reads.server_ever(id).await?.map(|server| server.project))
}

/// A thing as it stands, and who may see it; `None` when it is gone without a trace.
pub(super) async fn thing(
    reads: &(dyn Reads + Send + Sync),
    changed: Changed,
    names: &mut BTreeMap<ProjectId, String>,
    bulks: &mut BTreeMap<TaskId, Sight>,
) -> Result<Option<(LiveThing, Sight)>> {
    Ok(match changed {
        Changed::Server(id) => {
            let project = project_of(reads, Some(id)).await?;
            let thing = match reads.server(id).await? {
                Some(server) => {
                    let project = match names.get(&server.project) {
                        Some(name) => name.clone(),
                        None => {
                            let found = reads.project(server.project).await?;
                            let name = found.map(|it| it.name.to_string()).unwrap_or_default();
                            names.entry(server.project).or_insert(name).clone()
                        }
                    };
                    LiveThing::Server(Box::new(ServerView {
                        server,
                        project,
                        task: None,
                    }))
                }
                None => LiveThing::ServerGone(id),
            };
            Some((thing, Sight::of(project)))
        }
        Changed::Task(id) => match reads.task_by_id(id).await? {
            Some(task) => {
                let sight = sight_of(reads, &task, bulks).await?;
                Some((LiveThing::Task(Box::new(task)), sight))
            }
            None => None,
        },
        Changed::Notification(id) => match reads.notification(id).await? {
            Some(found) => {
                let project = project_of(reads, found.event.server).await?;
                let thing = LiveThing::Notification(Box::new(found));
                Some((thing, Sight::of(project)))
            }
            None => None,
        },
    })
}

/// As for who asks for the task itself: a bulk is seen by who sees one of its servers.
async fn sight_of(
    reads: &(dyn Reads + Send + Sync),
    task: &Task,
    bulks: &mut BTreeMap<TaskId, Sight>,
) -> Result<Sight> {
    if let Some(sight) = bulks.get(&task.id) {
        return Ok(sight.clone());
    }
    let mut sight = Sight::of(project_of(reads, task.server).await?);
    sight.asked_by = Some(task.requested_by);
    if task.kind.is_bulk() {
        // What a bulk consists of does not change.
        let query = TaskQuery {
            parent: Some(task.id),
            ..TaskQuery::default()
        };
        for child in reads.tasks(&query).await?.items {
            sight
                .projects
                .extend(project_of(reads, child.server).await?);
        }
        if bulks.len() == BULKS {
            bulks.pop_first();
        }
        bulks.insert(task.id, sight.clone());
    }
    Ok(sight)
}
