//! The tables, and the checks that hold whatever the code above does.

use crate::table::Table;
use std::net::Ipv4Addr;
use tpm_domain::job::Width;
use tpm_domain::{
    Alert, AlertId, Backup, BackupId, Channel, ChannelId, DEFAULT_PROJECT, Delivery, DeliveryId,
    Drill, DrillId, Event, Exporter, ForeignAddress, Network, NetworkId, NodeName, NodeView,
    NotificationId, Permissions, Project, ProjectId, Quota, RunId, RunItem, RunItemId, Schedule,
    ScheduleId, ScheduleRun, Server, ServerFigures, ServerId, ServerName, Severity, StepRecord,
    StorageView, Task, TaskId, TemplateView, Timestamp, Usage, UserId, Vmid,
};
use tpm_store::{
    ApiKey, AuditHead, AuditRow, Changed, LogLine, Process, Publication, Remembered, Result,
    SecretKey, SecretVersion, StoreError, Throttle, User,
};

/// A constraint that was about to be broken.
pub(crate) fn constraint(what: impl std::fmt::Display) -> StoreError {
    StoreError::Constraint(anyhow::anyhow!("{what}"))
}

/// Something that cannot be.
pub(crate) fn broken(what: impl std::fmt::Display) -> StoreError {
    StoreError::Broken(anyhow::anyhow!("{what}"))
}

#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    pub(crate) user: i64,
    pub(crate) address: String,
    pub(crate) agent: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct ServerRow {
    pub(crate) server: Server,
    /// Whether it takes room and keeps its name, addresses and VMID.
    pub(crate) holds: bool,
    pub(crate) deleted: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct TaskRow {
    /// As people see it; of a bulk without its children.
    pub(crate) task: Task,
    pub(crate) undoes: Option<TaskId>,
    pub(crate) undoing: bool,
    pub(crate) turn: u32,
    pub(crate) owner: Option<String>,
    pub(crate) epoch: i64,
    pub(crate) lease_until: Option<Timestamp>,
    pub(crate) next_run: Option<Timestamp>,
    pub(crate) waiting_slot: Option<String>,
}

impl TaskRow {
    /// Whether it is parked for a place and was not made due for one yet.
    pub(crate) fn waits_for(&self, slot: &str, now: Timestamp) -> bool {
        self.waiting_slot.as_deref() == Some(slot)
            && self.owner.is_none()
            && self.next_run.is_some_and(|due| due > now)
    }

    /// Whether people see no difference: who is at work on it, and when somebody looked, is not seen.
    fn looks_like(&self, other: &Self) -> bool {
        let (one, two) = (&self.task, &other.task);
        self.undoing == other.undoing
            && one.state == two.state
            && one.progress == two.progress
            && one.note == two.note
            && one.failure == two.failure
            && one.cancel_requested == two.cancel_requested
            && one.server == two.server
            && one.server_name == two.server_name
    }

    /// The bulk it belongs to, or it itself.
    pub(crate) fn bulk(&self) -> TaskId {
        self.task.parent.unwrap_or(self.task.id)
    }
}

/// What can be held for one server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    Name(ServerName),
    Address(Ipv4Addr),
    Vmid(Vmid),
}

/// A thing that is held, or a VMID that rests. What was let go of has no row.
#[derive(Clone, Debug)]
pub(crate) struct Reservation {
    pub(crate) server: ServerId,
    /// Since when it rests.
    pub(crate) quarantined_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(crate) struct NotificationRow {
    pub(crate) event: Event,
    pub(crate) severity: Severity,
    pub(crate) created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct NodeRow {
    pub(crate) view: NodeView,
    pub(crate) cpu_limit: u64,
    pub(crate) memory_limit_mb: u64,
}

/// Everything there is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    /// The last number given, over all tables: an id of one kind is none of another.
    pub(crate) last_id: i64,
    /// The last VMID given.
    pub(crate) last_vmid: u32,
    /// Those that were taken out too, as they were.
    pub(crate) users: Table<i64, (User, bool)>,
    pub(crate) roles: Table<String, Permissions>,
    pub(crate) keys: Table<i64, (String, ApiKey)>,
    pub(crate) audit: Table<i64, AuditRow>,
    pub(crate) audit_head: AuditHead,
    pub(crate) sessions: Table<String, SessionRow>,
    pub(crate) throttles: Table<String, Throttle>,
    pub(crate) servers: Table<ServerId, ServerRow>,
    pub(crate) tasks: Table<TaskId, TaskRow>,
    pub(crate) steps: Table<(TaskId, u32), StepRecord>,
    pub(crate) slots: Table<(TaskId, u32, String), ()>,
    pub(crate) widths: Table<String, Width>,
    pub(crate) turns: Table<String, Timestamp>,
    pub(crate) reservations: Table<Thing, Reservation>,
    pub(crate) burnt: Table<Vmid, ()>,
    pub(crate) events: Table<i64, Event>,
    pub(crate) notifications: Table<NotificationId, NotificationRow>,
    /// Their usage is counted when asked for.
    pub(crate) projects: Table<ProjectId, Project>,
    pub(crate) networks: Table<NetworkId, Network>,
    pub(crate) seen_at: Option<Timestamp>,
    pub(crate) nodes: Table<NodeName, NodeRow>,
    pub(crate) storages: Table<(NodeName, String), StorageView>,
    pub(crate) templates: Table<Vmid, TemplateView>,
    pub(crate) foreign_read: Table<Vmid, Timestamp>,
    pub(crate) foreign_addresses: Table<(Vmid, Ipv4Addr), ForeignAddress>,
    pub(crate) sightings: Table<Vmid, (String, Timestamp)>,
    pub(crate) remembered: Table<(i64, String), (Remembered, Timestamp)>,
    /// When somebody read a notification, and whether it is removed from what they have.
    pub(crate) marks: Table<(UserId, NotificationId), (Option<Timestamp>, bool)>,
    /// What changed, and when, by its place.
    pub(crate) feed: Table<i64, (Timestamp, Changed)>,
    pub(crate) feed_last: i64,
    pub(crate) feed_floor: i64,
    pub(crate) figures: Table<ServerId, ServerFigures>,
    pub(crate) publication: Option<Publication>,
    pub(crate) alerts: Table<AlertId, Alert>,
    pub(crate) secret_keys: Table<String, SecretKey>,
    /// By mount, key and version.
    pub(crate) secrets: Table<(String, String, u64), SecretVersion>,
    pub(crate) backups: Table<BackupId, Backup>,
    pub(crate) drills: Table<DrillId, Drill>,
    pub(crate) schedules: Table<ScheduleId, Schedule>,
    /// Their tally is counted when asked for.
    pub(crate) runs: Table<RunId, ScheduleRun>,
    /// Their node is looked up when asked for.
    pub(crate) run_items: Table<RunItemId, RunItem>,
    pub(crate) exporters: Table<ServerId, Exporter>,
    pub(crate) channels: Table<ChannelId, Channel>,
    pub(crate) deliveries: Table<DeliveryId, Delivery>,
    pub(crate) processes: Table<String, Process>,
    pub(crate) logs: Table<i64, LogLine>,
    pub(crate) run_time_settings: Table<String, String>,
    /// The latest version of each server's state.
    pub(crate) serials: Table<ServerId, u64>,
}

impl Tables {
    /// With the project that always exists.
    pub(crate) fn new(now: Timestamp) -> Self {
        let mut tables = Self {
            last_id: 1,
            ..Self::default()
        };
        let project = Project {
            id: ProjectId(1),
            name: ServerName::new(DEFAULT_PROJECT).expect("a constant that is a name"),
            description: String::new(),
            quota: Quota::default(),
            usage: Usage::default(),
            created_at: now,
            updated_at: now,
        };
        tables.projects.set(project.id, project);
        tables
    }

    /// Whose a server is or was.
    pub(crate) fn project_of(&self, server: ServerId) -> Option<ProjectId> {
        self.servers.get(&server).map(|row| row.server.project)
    }

    /// Writes down what differs from before, as people see it.
    pub(crate) fn feed_changes_since(&mut self, before: &Self, at: Timestamp) {
        let servers = self.servers.changed_since(&before.servers);
        let mut changed: Vec<Changed> = servers.map(|(id, ..)| Changed::Server(*id)).collect();
        let tasks = self.tasks.changed_since(&before.tasks);
        changed.extend(
            tasks
                .filter(|(_, old, new)| old.is_none_or(|old| !old.looks_like(new)))
                .map(|(id, ..)| Changed::Task(*id)),
        );
        let notifications = self.notifications.changed_since(&before.notifications);
        changed.extend(notifications.map(|(id, ..)| Changed::Notification(*id)));
        for one in changed {
            self.feed_last += 1;
            self.feed.set(self.feed_last, (at, one));
        }
    }

    pub(crate) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn usage(&self, project: ProjectId) -> Usage {
        let mut usage = Usage::default();
        for row in self.servers.values() {
            let server = &row.server;
            if row.holds && server.project == project {
                usage.add(server.spec.cpu, server.spec.memory_mb, server.spec.disk_gb);
            }
        }
        usage
    }

    /// Cores and MiB that our servers take of a node.
    pub(crate) fn taken_of(&self, node: &NodeName) -> (u64, u64) {
        self.servers
            .values()
            .filter(|row| row.holds && row.server.place() == Some(node))
            .fold((0, 0), |(cpu, memory), row| {
                let spec = &row.server.spec;
                (
                    cpu + u64::from(spec.cpu),
                    memory + u64::from(spec.memory_mb),
                )
            })
    }

    /// Whether a project has no more than it may.
    pub(crate) fn check_project(&self, id: ProjectId) -> Result<()> {
        let project = self
            .projects
            .get(&id)
            .ok_or_else(|| constraint(format!("no project {id}")))?;
        let used = self.usage(id);
        let within = |limit: Option<u64>, used: u64| limit.is_none_or(|limit| used <= limit);
        let quota = &project.quota;
        if within(quota.servers, used.servers)
            && within(quota.cpu, used.cpu)
            && within(quota.memory_mb, used.memory_mb)
            && within(quota.disk_gb, used.disk_gb)
        {
            Ok(())
        } else {
            Err(constraint(format!("quota of project {id}: {used:?}")))
        }
    }

    /// Whether a node has room for what is promised of it; nodes that were never seen have.
    pub(crate) fn check_node(&self, node: &NodeName) -> Result<()> {
        let Some(row) = self.nodes.get(node) else {
            return Ok(());
        };
        let (cpu, memory) = self.taken_of(node);
        if cpu <= row.cpu_limit && memory <= row.memory_limit_mb {
            Ok(())
        } else {
            Err(constraint(format!("room of node {node}: {cpu} {memory}")))
        }
    }

    /// Everything the schema demands of a server's row, after a change to it.
    pub(crate) fn check_server(&self, id: ServerId) -> Result<()> {
        let Some(row) = self.servers.get(&id) else {
            return Err(broken(format!("no server {id}")));
        };
        let spec = &row.server.spec;
        if spec.cpu == 0 || spec.memory_mb == 0 || spec.disk_gb == 0 {
            return Err(constraint(format!("size of server {id}")));
        }
        if Vmid::new(row.server.vmid.0).is_none() {
            return Err(constraint(format!("vmid of server {id}")));
        }
        let shares = |other: &ServerRow| {
            other.holds && other.server.id != id && other.server.vmid == row.server.vmid
        };
        if row.holds && self.servers.values().any(shares) {
            return Err(constraint(format!("vmid {} twice", row.server.vmid)));
        }
        self.check_project(row.server.project)?;
        match row.server.place() {
            Some(node) => self.check_node(node),
            None => Ok(()),
        }
    }

    /// Everything the schema demands of a task's row, after a change to it.
    pub(crate) fn check_task(&self, id: TaskId) -> Result<()> {
        let Some(row) = self.tasks.get(&id) else {
            return Ok(());
        };
        if row.owner.is_some() != row.lease_until.is_some() {
            return Err(constraint(format!("lease of task {id}")));
        }
        let ended = row.task.state.is_final();
        if ended && (row.owner.is_some() || row.next_run.is_some()) {
            return Err(constraint(format!("task {id} has ended and is due")));
        }
        let Some(server) = row.task.server else {
            return Ok(());
        };
        let rival = |other: &TaskRow| {
            other.task.id != id && other.task.server == Some(server) && !other.task.state.is_final()
        };
        if !ended && self.tasks.values().any(rival) {
            return Err(constraint(format!("two tasks on server {server}")));
        }
        Ok(())
    }
}
