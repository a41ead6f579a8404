//! Rows to domain and back. A row that cannot be understood is an error, never a default.

use crate::entity::{events, notifications, servers, steps, tasks, users};
use crate::error::broken;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tpm_domain::{
    ChildSummary, Event, Notification, NotificationId, Server, ServerId, ServerName, ServerSpec,
    ServerState, Severity, StepRecord, StepState, Task, TaskId, TaskKind, TaskState, TaskToken,
    Timestamp, UserId, UserRole, Vmid,
};
use tpm_store::{Result, User};

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
        },
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

pub(crate) fn role_text(role: UserRole) -> &'static str {
    match role {
        UserRole::Admin => "admin",
        UserRole::Operator => "operator",
        UserRole::Viewer => "viewer",
    }
}

pub(crate) fn user(row: users::Model) -> Result<User> {
    let role = match row.role.as_str() {
        "admin" => UserRole::Admin,
        "operator" => UserRole::Operator,
        "viewer" => UserRole::Viewer,
        _ => return Err(broken("users.role")),
    };
    Ok(User {
        id: UserId(row.id),
        username: row.username,
        password_hash: row.password_hash,
        role,
    })
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
            server: ServerId(event.server_id),
            server_name: event.server_name,
            task: TaskToken(event.task_token),
        },
        severity,
        created_at: Timestamp(row.created_ms),
    })
}
