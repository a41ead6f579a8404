//! Who may see what changed.

use super::{LiveEvent, LiveThing};
use crate::{AppError, Result};
use std::collections::BTreeSet;
use tpm_domain::{Actor, Error, Permission, ProjectId, Reach, UserId};

/// Who may see a thing: who may see these projects; of what belongs to none, whoever asked for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sight {
    pub(super) projects: BTreeSet<ProjectId>,
    pub(super) asked_by: Option<UserId>,
}

impl Sight {
    pub(super) fn of(project: Option<ProjectId>) -> Self {
        Self {
            projects: project.into_iter().collect(),
            asked_by: None,
        }
    }

    pub(super) fn is_open_to(&self, reach: &Reach, person: UserId) -> bool {
        let Some(bound) = reach.bound() else {
            return true;
        };
        let theirs = self.projects.is_empty() && self.asked_by == Some(person);
        !bound.is_empty() && (theirs || !self.projects.is_disjoint(bound))
    }
}

/// What a follower may see.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    person: UserId,
    servers: Reach,
    tasks: Reach,
    notifications: Reach,
}

impl Reader {
    pub(super) fn new(actor: &Actor) -> Result<Self> {
        let reader = Self {
            person: actor.id,
            servers: actor.reach(Permission::ReadServers),
            tasks: actor.reach(Permission::ReadTasks),
            notifications: actor.reach(Permission::ReadNotifications),
        };
        let all = [&reader.servers, &reader.tasks, &reader.notifications];
        if all.iter().all(|reach| reach.is_nothing()) {
            return Err(AppError::Refused(Error::Forbidden));
        }
        Ok(reader)
    }

    pub(super) fn sees(&self, event: &LiveEvent) -> bool {
        let reach = match event.thing {
            LiveThing::Server(_) | LiveThing::ServerGone(_) => &self.servers,
            LiveThing::Task(_) => &self.tasks,
            LiveThing::Notification(_) => &self.notifications,
            LiveThing::Resync => return true,
        };
        event.sight.is_open_to(reach, self.person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_no_project_is_seen_by_who_asked_for_it() {
        let mine = Reach::Projects([ProjectId(1)].into());
        let (me, other) = (UserId(1), UserId(2));
        let unborn = Sight {
            projects: BTreeSet::new(),
            asked_by: Some(me),
        };
        assert!(unborn.is_open_to(&mine, me) && !unborn.is_open_to(&mine, other));
        assert!(unborn.is_open_to(&Reach::Everywhere, other));
        let theirs = Sight {
            projects: [ProjectId(2)].into(),
            asked_by: Some(me),
        };
        assert!(!theirs.is_open_to(&mine, me) && theirs.is_open_to(&Reach::Everywhere, me));
        let nothing = Reach::Projects(BTreeSet::new());
        assert!(!unborn.is_open_to(&nothing, me));
        assert!(Sight::of(Some(ProjectId(1))).is_open_to(&mine, other));
    }
}
