//! Rows to domain and back. A row that cannot be understood is an error, never a default.

use crate::entity::{
    api_keys, audit, events, networks, notifications, projects, servers, sessions, steps, tasks,
    users,
};
use crate::error::broken;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tpm_domain::{
    AuditEntry, BulkPolicy, ChildSummary, Event, Expiry, ExpiryStage, Ipv4Range, Network,
    NetworkId, NetworkSpec, Notification, NotificationId, OnExpiry, Project, ProjectId, Quota,
    Server, ServerId, ServerName, ServerSpec, ServerState, Severity, StepRecord, StepState, Task,
    TaskId, TaskKind, TaskState, TaskToken, Timestamp, Usage, UserId, Vmid,
};
use tpm_store::{ApiKey, AuditRow, Factor, KeyId, Result, Session, User};

/// `events.server_id` of what happened to no server of ours.
pub(crate) const NO_SERVER: i64 = 0;
/// `events.task_token` of what no task did.
pub(crate) const NO_TASK: &str = "";

pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(broken)
}

pub(crate) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| broken(format!("{what}: {error}")))
}

fn from_json_opt<T: DeserializeOwned>(what: &str, text: Option<&str>) -> Result<Option<T>> {
    text.map(|text| from_json(what, text)).transpose()
}

fn small(what: &str, number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| broken(format!("{what}: {number}")))
}

/// A count or size, which the schema keeps from being negative.
pub(crate) fn size(what: &str, number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| broken(format!("{what}: {number}")))
}

/// A number of ours as the database keeps it.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn project(row: projects::Model) -> Result<Project> {
    let bound = |limit: Option<i64>| limit.map(|n| size("projects.max", n)).transpose();
    Ok(Project {
        id: ProjectId(row.id),
        name: ServerName::new(&row.name).ok_or_else(|| broken("projects.name"))?,
        description: row.description,
        quota: Quota {
            servers: bound(row.max_servers)?,
            cpu: bound(row.max_cpu)?,
            memory_mb: bound(row.max_memory_mb)?,
            disk_gb: bound(row.max_disk_gb)?,
        },
        usage: Usage {
            servers: size("projects.used", row.used_servers)?,
            cpu: size("projects.used", row.used_cpu)?,
            memory_mb: size("projects.used", row.used_memory_mb)?,
            disk_gb: size("projects.used", row.used_disk_gb)?,
        },
        created_at: Timestamp(row.created_ms),
        updated_at: Timestamp(row.updated_ms),
    })
}

pub(crate) fn network(row: networks::Model) -> Result<Network> {
    let address = |text: &str| text.parse().map_err(|_| broken("networks: address"));
    let range = Ipv4Range::new(address(&row.first)?, address(&row.last)?);
    Ok(Network {
        id: NetworkId(row.id),
        name: ServerName::new(&row.name).ok_or_else(|| broken("networks.name"))?,
        spec: NetworkSpec {
            range: range.map_err(broken)?,
            prefix: u8::try_from(row.prefix).map_err(broken)?,
            gateway: row.gateway.as_deref().map(address).transpose()?,
            dns: from_json("networks.dns", &row.dns)?,
            bridge: row.bridge,
            vlan: row.vlan.map(u16::try_from).transpose().map_err(broken)?,
            exclusions: from_json("networks.exclusions", &row.exclusions)?,
        },
        created_at: Timestamp(row.created_ms),
        updated_at: Timestamp(row.updated_ms),
    })
}

pub(crate) fn server(row: servers::Model) -> Result<Server> {
    Ok(Server {
        id: ServerId(row.id),
        name: ServerName::new(&row.name).ok_or_else(|| broken("servers.name"))?,
        spec: ServerSpec {
            role: row.role,
            cpu: small("servers.cpu", row.cpu)?,
            memory_mb: small("servers.memory_mb", row.memory_mb)?,
            disk_gb: small("servers.disk_gb", row.disk_gb)?,
            nics: from_json("servers.nics", &row.nics)?,
            tags: from_json_opt("servers.tags", row.tags.as_deref())?,
            description: row.description,
        },
        project: ProjectId(row.project_id),
        placement: from_json_opt("servers.placement", row.placement.as_deref())?,
        expiry: Expiry {
            at: row.expires_ms.map(Timestamp),
            action: OnExpiry::parse(&row.on_expiry).ok_or_else(|| broken("servers.on_expiry"))?,
            stage: ExpiryStage::parse(&row.expiry_stage)
                .ok_or_else(|| broken("servers.expiry_stage"))?,
        },
        drift: from_json("servers.drift", &row.drift)?,
        kept: from_json("servers.kept", &row.kept)?,
        state: ServerState::parse(&row.state).ok_or_else(|| broken("servers.state"))?,
        engine: row.engine,
        vmid: small("servers.vmid", row.vmid).map(Vmid)?,
        node: row.node.map(tpm_domain::NodeName),
        identity: from_json_opt("servers.identity", row.identity.as_deref())?,
        created_by: TaskToken(row.created_by),
        ip_address: row
            .ip_address
            .map(|text| text.parse().map_err(|_| broken("servers.ip_address")))
            .transpose()?,
        problem: from_json_opt("servers.problem", row.problem.as_deref())?,
        readiness: from_json("servers.readiness", &row.readiness)?,
        created_at: Timestamp(row.created_ms),
        updated_at: Timestamp(row.updated_ms),
    })
}

pub(crate) fn task(row: tasks::Model, children: Option<ChildSummary>) -> Result<Task> {
    Ok(Task {
        id: TaskId(row.id),
        token: TaskToken(row.token),
        kind: TaskKind::parse(&row.kind).ok_or_else(|| broken("tasks.kind"))?,
        server: row.server_id.map(ServerId),
        server_name: row.server_name,
        parent: row.parent_id.map(TaskId),
        policy: BulkPolicy::parse(&row.policy).ok_or_else(|| broken("tasks.policy"))?,
        payload: row.payload,
        requested_by: UserId(row.requested_by),
        state: TaskState::parse(&row.state).ok_or_else(|| broken("tasks.state"))?,
        progress: u8::try_from(row.progress).map_err(|_| broken("tasks.progress"))?,
        note: from_json("tasks.note", &row.note)?,
        failure: from_json_opt("tasks.failure", row.failure.as_deref())?,
        cancel_requested: row.cancel_requested,
        children,
        created_at: Timestamp(row.created_ms),
        updated_at: Timestamp(row.updated_ms),
    })
}

pub(crate) fn step(row: steps::Model) -> Result<StepRecord> {
    Ok(StepRecord {
        seq: small("steps.seq", row.seq)?,
        undo: row.undo,
        name: row.name,
        state: StepState::parse(&row.state).ok_or_else(|| broken("steps.state"))?,
        attempt: small("steps.attempt", row.attempt)?,
        intent: row.intent,
        handle: row.handle,
        evidence: row.evidence,
        started_at: row.started_ms.map(Timestamp),
        finished_at: row.finished_ms.map(Timestamp),
    })
}

pub(crate) fn user(row: users::Model) -> Result<User> {
    Ok(User {
        id: UserId(row.id),
        username: row.username,
        password_hash: row.password_hash,
        assignments: from_json("users.assignments", &row.assignments)?,
        disabled: row.disabled,
        language: row.language,
        password_ends_at: row.password_ends_ms.map(Timestamp),
        factor: row.factor.as_deref().map(factor).transpose()?,
        created_at: Timestamp(row.created_ms),
        updated_at: Timestamp(row.updated_ms),
    })
}

/// How a second factor stands in its column.
#[derive(Serialize, Deserialize)]
struct FactorRow {
    sealed: String,
    confirmed: bool,
    used: i64,
    recovery: Vec<String>,
}

fn factor(text: &str) -> Result<Factor> {
    let FactorRow {
        sealed,
        confirmed,
        used,
        recovery,
    } = from_json("users.factor", text)?;
    Ok(Factor {
        sealed,
        confirmed,
        used,
        recovery,
    })
}

/// The text of a second factor: always the same for the same one.
pub(crate) fn factor_text(factor: &Factor) -> Result<String> {
    to_json(&FactorRow {
        sealed: factor.sealed.clone(),
        confirmed: factor.confirmed,
        used: factor.used,
        recovery: factor.recovery.clone(),
    })
}

pub(crate) fn session(row: sessions::Model, user: User) -> Session {
    Session {
        digest: row.token_digest,
        user,
        address: row.address,
        agent: row.agent,
        created_at: Timestamp(row.created_ms),
        last_seen_at: Timestamp(row.last_seen_ms),
    }
}

pub(crate) fn api_key(row: api_keys::Model) -> Result<ApiKey> {
    Ok(ApiKey {
        id: KeyId(row.id),
        user: UserId(row.user_id),
        name: row.name,
        prefix: row.prefix,
        scopes: from_json("api_keys.scopes", &row.scopes)?,
        networks: from_json("api_keys.networks", &row.networks)?,
        expires_at: row.expires_ms.map(Timestamp),
        last_used_at: row.last_used_ms.map(Timestamp),
        last_address: row.last_address,
        created_at: Timestamp(row.created_ms),
    })
}

/// A row that contradicts itself, or cannot be read, has no link: whoever checks the chain finds it.
pub(crate) fn audit(row: audit::Model) -> AuditRow {
    let entry = serde_json::from_str::<AuditEntry>(&row.entry);
    let sound = entry.as_ref().is_ok_and(|entry| {
        entry.actor.map(|id| id.0) == row.actor_id
            && entry.action == row.action
            && entry.target_kind == row.target_kind
            && entry.target == row.target
            && entry.project.map(|id| id.0) == row.project_id
            && entry.refused == row.refused
            && serde_json::to_string(entry).is_ok_and(|text| text == row.entry)
    });
    AuditRow {
        seq: row.seq,
        at: Timestamp(row.at_ms),
        entry: entry.unwrap_or_default(),
        link: if sound { row.link } else { String::new() },
    }
}

pub(crate) fn notification(
    row: notifications::Model,
    event: events::Model,
) -> Result<Notification> {
    let severity = [
        Severity::Success,
        Severity::Info,
        Severity::Warning,
        Severity::Error,
    ]
    .into_iter()
    .find(|severity| severity.as_str() == row.severity)
    .ok_or_else(|| broken("notifications.severity"))?;
    Ok(Notification {
        id: NotificationId(row.id),
        event: Event {
            kind: from_json("events.kind", &event.kind)?,
            server: (event.server_id != NO_SERVER).then_some(ServerId(event.server_id)),
            server_name: event.server_name,
            task: (event.task_token != NO_TASK).then_some(TaskToken(event.task_token)),
        },
        severity,
        created_at: Timestamp(row.created_ms),
    })
}
