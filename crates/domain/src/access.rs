//! Who may do what: permissions, roles as sets of them, and on which projects a person has which role.
//! Asked on the first line of every use case.

use crate::{ProjectId, Server};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The database's number of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Something a use case does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $($(#[$doc])* $name),+
        }

        impl Permission {
            /// Every permission.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The permission on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

permissions! {
    /// See servers, their drift, states and code.
    ReadServers = "servers:read",
    /// Create, change, switch, import and delete servers.
    WriteServers = "servers:write",
    /// See tasks, their plans and logs.
    ReadTasks = "tasks:read",
    /// Cancel tasks and try them again.
    WriteTasks = "tasks:write",
    /// See notifications.
    ReadNotifications = "notifications:read",
    /// Remove notifications.
    WriteNotifications = "notifications:write",
    /// See channels, and what became of what was sent to them.
    ReadChannels = "channels:read",
    /// Create, change, test and remove channels: what is told to them leaves the house.
    WriteChannels = "channels:write",
    /// Read secrets, and their names.
    ReadSecrets = "secrets:read",
    /// Write and delete secrets.
    WriteSecrets = "secrets:write",
    /// Replace the master key of secrets.
    RotateSecrets = "secrets:rotate",
    /// See projects and what they have.
    ReadProjects = "projects:read",
    /// Create and change projects.
    WriteProjects = "projects:write",
    /// See networks and who holds which address.
    ReadNetworks = "networks:read",
    /// Create, change and remove networks.
    WriteNetworks = "networks:write",
    /// See how the service and what it depends on are doing.
    ReadSystem = "system:read",
    /// Change the log level.
    WriteSystem = "system:write",
    /// See what is measured, and alerts.
    ReadMonitoring = "monitoring:read",
    /// Publish scrape targets, and send alerts.
    WriteMonitoring = "monitoring:write",
    /// See backups and their schedules.
    ReadBackups = "backups:read",
    /// Make, restore, schedule and delete backups.
    WriteBackups = "backups:write",
    /// See the settings.
    ReadConfig = "config:read",
    /// See what the processes log.
    ReadLogs = "logs:read",
    /// See people and roles.
    ReadUsers = "users:read",
    /// Create, change and remove people and roles.
    WriteUsers = "users:write",
    /// See who did what.
    ReadAudit = "audit:read",
}

impl Permission {
    /// The permission of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == text)
    }

    /// Whether it is about things that belong to a project: it may be given for one project alone.
    #[must_use]
    pub fn is_of_projects(self) -> bool {
        matches!(
            self,
            Self::ReadServers
                | Self::WriteServers
                | Self::ReadTasks
                | Self::WriteTasks
                | Self::ReadNotifications
                | Self::ReadProjects
                | Self::ReadMonitoring
                | Self::ReadBackups
                | Self::WriteBackups
        )
    }
}

/// A set of permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Permissions(BTreeSet<Permission>);

impl Permissions {
    /// Every permission.
    #[must_use]
    pub fn all() -> Self {
        Self(Permission::ALL.iter().copied().collect())
    }

    /// From words: `servers:read`, `servers:*`, `*`. The words that mean nothing, when there are some.
    ///
    /// # Errors
    /// With their places.
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, Vec<usize>> {
        let mut set = BTreeSet::new();
        let mut wrong = Vec::new();
        for (n, word) in words.iter().enumerate() {
            let found: Vec<Permission> = match word.as_ref() {
                "*" => Permission::ALL.to_vec(),
                word => match word.strip_suffix('*') {
                    Some(group) if group.ends_with(':') => {
                        let all = Permission::ALL.iter().copied();
                        all.filter(|it| it.as_str().starts_with(group)).collect()
                    }
                    _ => Permission::parse(word).into_iter().collect(),
                },
            };
            if found.is_empty() {
                wrong.push(n);
            }
            set.extend(found);
        }
        if wrong.is_empty() {
            Ok(Self(set))
        } else {
            Err(wrong)
        }
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn has(&self, permission: Permission) -> bool {
        self.0.contains(&permission)
    }

    /// Whether all of them are among `others`.
    #[must_use]
    pub fn within(&self, others: &Self) -> bool {
        self.0.is_subset(&others.0)
    }

    /// Those that both have.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Permission> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl From<Permissions> for Vec<String> {
    fn from(set: Permissions) -> Self {
        set.iter().map(|it| it.as_str().to_owned()).collect()
    }
}

impl TryFrom<Vec<String>> for Permissions {
    type Error = &'static str;

    fn try_from(words: Vec<String>) -> Result<Self, Self::Error> {
        // A permission that this version does not know gives nothing.
        Ok(words
            .iter()
            .filter_map(|word| Permission::parse(word))
            .collect())
    }
}

/// A role: a name for a set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name: one label, as of a server.
    pub name: String,
    /// What it allows.
    pub permissions: Permissions,
    /// Whether it is always there and cannot be changed.
    pub built_in: bool,
}

impl Role {
    /// Everything.
    pub const ADMIN: &'static str = "admin";
    /// Servers and what belongs to them, not the people.
    pub const OPERATOR: &'static str = "operator";
    /// Looks, touches nothing.
    pub const VIEWER: &'static str = "viewer";

    /// The roles that are always there.
    #[must_use]
    pub fn built_in() -> Vec<Self> {
        use Permission::*;
        let reads = [
            ReadServers,
            ReadTasks,
            ReadNotifications,
            ReadProjects,
            ReadNetworks,
            ReadSystem,
            ReadMonitoring,
            ReadBackups,
        ];
        let more = [
            WriteServers,
            WriteTasks,
            WriteNotifications,
            WriteNetworks,
            WriteMonitoring,
            WriteBackups,
            ReadLogs,
        ];
        let role = |name: &str, permissions| Self {
            name: name.to_owned(),
            permissions,
            built_in: true,
        };
        vec![
            role(Self::ADMIN, Permissions::all()),
            role(Self::OPERATOR, reads.into_iter().chain(more).collect()),
            role(Self::VIEWER, reads.into_iter().collect()),
        ]
    }
}

/// A role that a person has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assignment {
    /// The role's name.
    pub role: String,
    /// On this project alone; `None` is everywhere.
    #[serde(default)]
    pub project: Option<ProjectId>,
}

/// Permissions, everywhere or on one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What is allowed.
    pub permissions: Permissions,
    /// Where; `None` is everywhere.
    pub project: Option<ProjectId>,
}

/// How far a permission reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everywhere.
    Everywhere,
    /// On these projects; on none when there are none.
    Projects(BTreeSet<ProjectId>),
}

impl Reach {
    /// Whether it reaches a project's things.
    #[must_use]
    pub fn covers(&self, project: ProjectId) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Projects(projects) => projects.contains(&project),
        }
    }

    /// What both reach.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everywhere, reach) | (reach, Self::Everywhere) => reach,
            (Self::Projects(one), Self::Projects(other)) => Self::Projects(&one & &other),
        }
    }

    /// Whether it reaches nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Projects(projects) if projects.is_empty())
    }

    /// The projects it is bound to; `None` everywhere.
    #[must_use]
    pub fn bound(&self) -> Option<&BTreeSet<ProjectId>> {
        match self {
            Self::Everywhere => None,
            Self::Projects(projects) => Some(projects),
        }
    }
}

/// On whose behalf a use case runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The person's number.
    pub id: UserId,
    /// The name the person logs in with.
    pub username: String,
    /// What the person may do, already within what the key allows that was used.
    pub grants: Vec<Grant>,
}

impl Actor {
    /// A person with these roles. Roles that are no more give nothing.
    #[must_use]
    pub fn new(id: UserId, username: String, of: &[Assignment], roles: &[Role]) -> Self {
        let grants = of
            .iter()
            .filter_map(|one| {
                let role = roles.iter().find(|role| role.name == one.role)?;
                Some(Grant {
                    permissions: role.permissions.clone(),
                    project: one.project,
                })
            })
            .collect();
        Self {
            id,
            username,
            grants,
        }
    }

    /// The same, never more than `scopes`.
    #[must_use]
    pub fn within(mut self, scopes: &Permissions) -> Self {
        for grant in &mut self.grants {
            grant.permissions = grant.permissions.and(scopes);
        }
        self
    }

    /// How far a permission reaches.
    #[must_use]
    pub fn reach(&self, permission: Permission) -> Reach {
        let with = self
            .grants
            .iter()
            .filter(|grant| grant.permissions.has(permission));
        let mut projects = BTreeSet::new();
        for grant in with {
            match grant.project {
                None => return Reach::Everywhere,
                Some(project) if permission.is_of_projects() => {
                    projects.insert(project);
                }
                Some(_) => {}
            }
        }
        Reach::Projects(projects)
    }

    /// Whether it is allowed everywhere.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.reach(permission) == Reach::Everywhere
    }

    /// Whether it is allowed on a server.
    #[must_use]
    pub fn may_on(&self, permission: Permission, server: &Server) -> bool {
        self.reach(permission).covers(server.project)
    }

    /// What is allowed everywhere, for showing.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        let all = Permission::ALL.iter().copied();
        all.filter(|it| self.may(*it)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(of: &[(&str, Option<i64>)]) -> Actor {
        let of: Vec<Assignment> = of
            .iter()
            .map(|(role, project)| Assignment {
                role: (*role).into(),
                project: project.map(ProjectId),
            })
            .collect();
        Actor::new(UserId(1), "a".into(), &of, &Role::built_in())
    }

    #[test]
    fn words_are_permissions() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.as_str()), Some(*permission));
        }
        let set = Permissions::parse(&["servers:*", "tasks:read"]).expect("known");
        let words: Vec<String> = set.clone().into();
        assert_eq!(words, ["servers:read", "servers:write", "tasks:read"]);
        assert!(set.within(&Permissions::all()) && !Permissions::all().within(&set));
        assert_eq!(Permissions::parse(&["*"]), Ok(Permissions::all()));
        assert_eq!(
            Permissions::parse(&["servers:read", "none", "servers*", ":*"]),
            Err(vec![1, 2, 3])
        );
    }

    #[test]
    fn a_role_on_a_project_reaches_that_project() {
        use Permission::*;
        let both = actor(&[("viewer", Some(1)), ("operator", Some(2)), ("gone", None)]);
        let read = both.reach(ReadServers);
        assert!(read.covers(ProjectId(1)) && read.covers(ProjectId(2)));
        let write = both.reach(WriteServers);
        assert!(!write.covers(ProjectId(1)) && write.covers(ProjectId(2)));
        // What belongs to no project is not given by a role on one.
        assert!(both.reach(WriteNetworks).is_nothing() && !both.may(ReadServers));
        assert!(actor(&[("admin", None)]).may(WriteUsers));
        assert!(!actor(&[("operator", None)]).may(WriteUsers));
        let viewer = actor(&[("viewer", None)]);
        assert!(
            viewer
                .permissions()
                .iter()
                .all(|it| it.as_str().ends_with(":read"))
        );
    }

    #[test]
    fn a_key_never_gives_more_than_its_scopes_nor_than_its_owner() {
        use Permission::*;
        let scopes = Permissions::parse(&["servers:*", "users:write"]).expect("known");
        let key = actor(&[("operator", None)]).within(&scopes);
        assert!(key.may(WriteServers) && !key.may(ReadTasks) && !key.may(WriteUsers));
    }

    #[test]
    fn what_two_permissions_reach_is_what_both_do() {
        let on = |ids: &[i64]| Reach::Projects(ids.iter().copied().map(ProjectId).collect());
        assert_eq!(on(&[1, 2]).and(on(&[2, 3])), on(&[2]));
        assert_eq!(on(&[1]).and(Reach::Everywhere), on(&[1]));
        assert_eq!(Reach::Everywhere.and(on(&[1])), on(&[1]));
        assert_eq!(Reach::Everywhere.and(Reach::Everywhere), Reach::Everywhere);
        assert!(on(&[1]).and(on(&[2])).is_nothing());
    }
}
