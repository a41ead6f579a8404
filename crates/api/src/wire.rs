//! What goes over the wire. Field names and shapes are the public contract.

use crate::time;
use serde_json::{Value, json};
use tpm_app::{
    Accepted, ApiKey, AuditRow, ClusterView, ConfigView, HostUse, LogLevel, LogLine, NetworkView,
    NotificationView, PlanView, PlannedServer, ProcessView, RunLine, ServerView, ServiceState,
    Session, SettingValue, SettingView, SystemStatus, TaskView, UserView, session_id,
};
use tpm_domain::{
    Failure, Nic, Notification, Placement, PlannedField, Project, Role, RungReached, Server,
    ServerState, StepRecord, Task, TaskToken,
};
use tpm_messages::Lang;

fn failure(lang: Lang, failure: &Failure) -> Value {
    json!({
        "code": failure.code.as_str(),
        "message": tpm_messages::failure(lang, failure),
        "details": { "step": failure.step, "proxmox": failure.detail },
    })
}

fn nic(nic: &Nic) -> Value {
    json!({
        "bridge": nic.bridge,
        "vlan": nic.vlan,
        "ip_address": nic.address.map(|a| a.ip),
        "subnet": nic.address.map(|a| a.prefix),
        "gateway": nic.address.and_then(|a| a.gateway),
        "dhcp": nic.address.is_none(),
    })
}

fn placement(lang: Lang, placement: &Placement) -> Value {
    let reason = &placement.reason;
    json!({
        "node": placement.node,
        "template": placement.template,
        "storage": placement.storage,
        "spread": placement.wish.spread.as_str(),
        "pinned": reason.pinned,
        "reason": tpm_messages::placement(lang, placement),
        "candidates": reason.candidates,
        "same_role": reason.same_role,
        "free_memory": reason.free_memory_mb,
        "free_cpu": reason.free_cpu,
        "free_disk": reason.free_disk_gb,
        "instead_of": reason.instead_of,
    })
}

/// A project.
pub(crate) fn project(project: &Project) -> Value {
    let (quota, used) = (&project.quota, &project.usage);
    json!({
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "quota": {
            "servers": quota.servers,
            "cpu": quota.cpu,
            "memory": quota.memory_mb,
            "disk_size": quota.disk_gb,
        },
        "usage": {
            "servers": used.servers,
            "cpu": used.cpu,
            "memory": used.memory_mb,
            "disk_size": used.disk_gb,
        },
        "created_at": time::text(project.created_at),
        "updated_at": time::text(project.updated_at),
    })
}

/// A network in a list.
pub(crate) fn network(view: &NetworkView) -> Value {
    let (network, spec) = (&view.network, &view.network.spec);
    let exclusions: Vec<String> = spec.exclusions.iter().map(ToString::to_string).collect();
    json!({
        "id": network.id,
        "name": network.name,
        "range": spec.range.to_string(),
        "prefix": spec.prefix,
        "gateway": spec.gateway,
        "dns": spec.dns,
        "bridge": spec.bridge,
        "vlan": spec.vlan,
        "exclusions": exclusions,
        "size": spec.range.size(),
        "held": view.held.len(),
        "foreign": view.foreign.len(),
        "free": view.free,
        "created_at": time::text(network.created_at),
        "updated_at": time::text(network.updated_at),
    })
}

/// A network by itself, with who holds what.
pub(crate) fn network_view(view: &NetworkView) -> Value {
    let mut value = network(view);
    let held = view
        .held
        .iter()
        .map(|(ip, id, name)| json!({ "ip_address": ip, "server_id": id, "server_name": name }));
    let foreign = view
        .foreign
        .iter()
        .map(|it| json!({ "ip_address": it.ip, "vmid": it.vmid, "name": it.name }));
    value["addresses"] = held.chain(foreign).collect();
    value
}

/// Nodes with their storages and the room on them.
pub(crate) fn cluster(view: &ClusterView) -> Value {
    let (picture, promised) = (&view.picture, &view.promised);
    let nodes: Vec<Value> = picture
        .nodes
        .iter()
        .map(|node| {
            let (cpu, memory) = promised.nodes.get(&node.name).copied().unwrap_or_default();
            let storages: Vec<Value> = picture
                .storages
                .iter()
                .filter(|storage| storage.node == node.name)
                .map(|storage| {
                    let key = (node.name.clone(), storage.name.clone());
                    json!({
                        "name": storage.name,
                        "shared": storage.shared,
                        "usable": storage.usable,
                        "total": storage.total_gb,
                        "used": storage.used_gb,
                        "reserved": promised.storages.get(&key).copied().unwrap_or(0),
                    })
                })
                .collect();
            json!({
                "name": node.name,
                "status": if node.online { "online" } else { "offline" },
                "cpu": node.cpus,
                "memory": node.memory_mb,
                "reserved_cpu": cpu,
                "reserved_memory": memory,
                "foreign_cpu": node.foreign_cpu,
                "foreign_memory": node.foreign_memory_mb,
                "storages": storages,
            })
        })
        .collect();
    json!({
        "nodes": nodes,
        "total": picture.nodes.len(),
        "seen_at": picture.seen_at.map(time::fine),
    })
}

fn rung(rung: &RungReached) -> Value {
    json!({
        "rung": rung.rung.as_str(),
        "reached": rung.at.is_some(),
        "at": rung.at.map(time::fine),
        "took_ms": rung.took_ms,
    })
}

/// A server in a list.
pub(crate) fn server(lang: Lang, view: &ServerView) -> Value {
    let server = &view.server;
    json!({
        "id": server.id,
        "name": server.name,
        "ip_address": server.address(),
        "role": server.spec.role,
        "status": server.state.as_str(),
        "cpu": server.spec.cpu,
        "memory": server.spec.memory_mb,
        "disk_size": server.spec.disk_gb,
        "created_at": time::text(server.created_at),
        "updated_at": time::text(server.updated_at),
        "vmid": server.vmid,
        "node": server.node,
        "engine": server.engine,
        "project": view.project,
        "expires_at": server.expiry.at.map(time::text),
        "on_expiry": server.expiry.at.map(|_| server.expiry.action.as_str()),
        "drift": server.drift.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tags": server.spec.tags,
        "description": server.spec.description,
        "imported": server.kept.imported,
        "error": server.problem.as_ref().map(|why| failure(lang, why)),
    })
}

/// A server by itself.
pub(crate) fn server_view(lang: Lang, view: &ServerView) -> Value {
    let mut value = server(lang, view);
    if let Some(map) = value.as_object_mut() {
        let nics: Vec<Value> = view.server.spec.nics.iter().map(nic).collect();
        let ladder: Vec<Value> = view.server.readiness.iter().map(rung).collect();
        map.insert("network_config".into(), Value::Array(nics));
        map.insert("readiness".into(), Value::Array(ladder));
        let differs = planned_fields(lang, &view.server.kept.differs);
        map.insert("import_differences".into(), Value::Array(differs));
        let place = view.server.placement.as_ref();
        map.insert(
            "placement".into(),
            json!(place.map(|it| placement(lang, it))),
        );
        map.insert(
            "task_id".into(),
            json!(view.task.as_ref().map(|task| &task.token)),
        );
    }
    value
}

/// How a server and its guest differ: `missing` and `replaced` with the reason, `changed` option by option.
/// A guest that was moved is followed and is no drift.
pub(crate) fn drift(lang: Lang, server: &Server) -> Value {
    let kind = match server.state {
        ServerState::Missing => "missing",
        ServerState::IdentityConflict => "replaced",
        _ if !server.drift.is_empty() => "changed",
        _ => "none",
    };
    let changes: Vec<Value> = server
        .drift
        .iter()
        .map(
            |drift| json!({ "option": drift.option, "wanted": drift.wanted, "found": drift.found }),
        )
        .collect();
    json!({
        "server_id": server.id,
        "drift": kind,
        "node": server.node,
        "changes": changes,
        "ignored": server.kept.options,
        "problem": server.problem.as_ref().map(|why| failure(lang, why)),
    })
}

/// A server that would be made.
pub(crate) fn planned(lang: Lang, planned: &PlannedServer) -> Value {
    let server = &planned.server;
    let nics: Vec<Value> = server.spec.nics.iter().map(nic).collect();
    json!({
        "dry_run": true,
        "name": server.name.as_str(),
        "engine": server.engine,
        "vmid": server.vmid,
        "cpu": server.spec.cpu,
        "memory": server.spec.memory_mb,
        "disk_size": server.spec.disk_gb,
        "network_config": nics,
        "placement": server.placement.as_ref().map(|it| placement(lang, it)),
    })
}

fn planned_fields(lang: Lang, fields: &[PlannedField]) -> Vec<Value> {
    let shown = |field: &PlannedField| {
        json!({
            "field": field.field,
            "before": field.before,
            "after": field.after,
            "effect": field.effect,
            "text": tpm_messages::planned_field(lang, field),
        })
    };
    fields.iter().map(shown).collect()
}

/// What a task was planned to do, in words too.
pub(crate) fn plan(lang: Lang, task: &TaskToken, plan: &PlanView) -> Value {
    let changes = planned_fields(lang, &plan.change.fields);
    json!({
        "task_id": task,
        "hash": plan.hash,
        "base_serial": plan.base_serial,
        "action": plan.change.action,
        "imports": plan.change.imports,
        "destructive": plan.change.is_destructive(),
        "summary": tpm_messages::planned(lang, &plan.change),
        "changes": changes,
    })
}

/// A person.
pub(crate) fn user(view: &UserView) -> Value {
    let roles: Vec<Value> = view
        .roles
        .iter()
        .map(|(role, project)| json!({ "role": role, "project": project }))
        .collect();
    let everywhere = view.roles.iter().find(|(_, project)| project.is_none());
    json!({
        "id": view.user.id,
        "username": view.user.username,
        "role": everywhere.or(view.roles.first()).map(|(role, _)| role),
        "roles": roles,
        "disabled": view.user.disabled,
        "language": view.user.language,
        "second_factor": view.user.has_factor(),
        "password_ends_at": view.user.password_ends_at.map(time::text),
        "created_at": time::text(view.user.created_at),
        "updated_at": time::text(view.user.updated_at),
    })
}

/// A role.
pub(crate) fn role(role: &Role) -> Value {
    json!({
        "name": role.name,
        "permissions": Vec::<String>::from(role.permissions.clone()),
        "built_in": role.built_in,
    })
}

/// A session, without anything to log in with.
pub(crate) fn session(session: &Session) -> Value {
    json!({
        "id": session_id(session),
        "address": session.address,
        "agent": session.agent,
        "created_at": time::text(session.created_at),
        "last_seen_at": time::text(session.last_seen_at),
    })
}

/// A key, without its text.
pub(crate) fn key(key: &ApiKey) -> Value {
    json!({
        "id": key.id.0,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": Vec::<String>::from(key.scopes.clone()),
        "networks": key.networks,
        "expires_at": key.expires_at.map(time::text),
        "last_used_at": key.last_used_at.map(time::text),
        "last_address": key.last_address,
        "created_at": time::text(key.created_at),
    })
}

/// A row of the audit.
pub(crate) fn audit(row: &AuditRow) -> Value {
    let entry = &row.entry;
    let about = (!entry.target_kind.is_empty())
        .then(|| json!({ "kind": entry.target_kind, "id": entry.target }));
    json!({
        "seq": row.seq,
        "at": time::fine(row.at),
        "actor_id": entry.actor,
        "actor": entry.actor_name,
        "via": entry.via,
        "address": entry.address,
        "action": entry.action,
        "target": about,
        "project_id": entry.project,
        "result": if entry.refused.is_some() { "refused" } else { "done" },
        "code": entry.refused,
        "request_id": entry.request_id,
    })
}

/// A task in a list.
pub(crate) fn task(lang: Lang, task: &Task) -> Value {
    json!({
        "task_id": task.token,
        "kind": task.kind.as_str(),
        "status": task.state.as_str(),
        "progress": task.progress,
        "message": tpm_messages::task_message(lang, task),
        "server_id": task.server,
        "server_name": task.server_name,
        "cancel_requested": task.cancel_requested,
        "error": task.failure.as_ref().map(|why| failure(lang, why)),
        "created_at": time::text(task.created_at),
        "updated_at": time::text(task.updated_at),
    })
}

fn step(lang: Lang, step: &StepRecord) -> Value {
    json!({
        "step": step.name,
        "title": tpm_messages::step_name(lang, &step.name),
        "undo": step.undo,
        "status": step.state.as_str(),
        "attempts": step.attempt,
        "upid": step.handle,
        "started_at": step.started_at.map(time::fine),
        "finished_at": step.finished_at.map(time::fine),
    })
}

/// A task by itself, with the outcome of each server of a bulk.
pub(crate) fn task_view(lang: Lang, view: &TaskView) -> Value {
    let mut value = task(lang, &view.task);
    if let Some(map) = value.as_object_mut() {
        let steps: Vec<Value> = view.steps.iter().map(|s| step(lang, s)).collect();
        map.insert("steps".into(), Value::Array(steps));
        if let Some(sum) = &view.task.children {
            let children: Vec<Value> = view
                .children
                .iter()
                .map(|child| task(lang, child))
                .collect();
            map.insert("children".into(), Value::Array(children));
            let summary = json!({
                "total": sum.total,
                "completed": sum.completed,
                "failed": sum.failed,
                "cancelled": sum.cancelled,
                "undone": sum.undone,
            });
            map.insert("policy".into(), json!(view.task.policy.as_str()));
            map.insert("summary".into(), summary);
        }
    }
    value
}

/// A task's log: one line per thing that happened to a step.
pub(crate) fn task_log(lang: Lang, view: &TaskView, runs: &[RunLine]) -> Vec<Value> {
    let mut lines = Vec::new();
    for record in &view.steps {
        if let Some(at) = record.started_at {
            lines.push((at, tpm_messages::step_begun(lang, record)));
        }
        if let Some(at) = record.finished_at {
            lines.push((at, tpm_messages::step_ended(lang, record)));
        }
    }
    if let Some(why) = &view.task.failure {
        lines.push((view.task.updated_at, tpm_messages::failure(lang, why)));
    }
    for child in &view.children {
        let name = child.server_name.clone().unwrap_or_default();
        lines.push((
            child.updated_at,
            format!("{name}: {}", tpm_messages::task_message(lang, child)),
        ));
    }
    if !runs.is_empty() {
        lines.extend(runs.iter().map(|line| (line.at, line.text.clone())));
        // Stable: what was printed in one moment stays in its order.
        lines.sort_by_key(|(at, _)| *at);
    }
    lines
        .into_iter()
        .enumerate()
        .map(|(n, (at, text))| json!({ "n": n + 1, "at": time::fine(at), "text": text }))
        .collect()
}

/// A server of a bulk that was accepted.
pub(crate) fn accepted(accepted: &Accepted) -> Value {
    json!({ "server_id": accepted.server, "task_id": accepted.task })
}

/// A notification.
pub(crate) fn notification(lang: Lang, notification: &Notification) -> Value {
    json!({
        "id": notification.id,
        "message": tpm_messages::notification(lang, &notification.event),
        "type": notification.severity.as_str(),
        "event": json!(notification.event.kind)["kind"],
        "created_at": time::text(notification.created_at),
        "server_id": notification.event.server,
        "task_id": notification.event.task,
    })
}

/// A notification, as its reader has it.
pub(crate) fn notification_view(lang: Lang, view: &NotificationView) -> Value {
    let mut shown = notification(lang, &view.notification);
    shown["read"] = json!(view.read_at.is_some());
    shown["read_at"] = json!(view.read_at.map(time::text));
    shown
}

fn service_state(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Running => "running",
        ServiceState::Down => "down",
        ServiceState::NotConfigured => "not_configured",
    }
}

fn host(host: &HostUse) -> Value {
    let shown = |percent: Option<f64>| percent.map(|p| (p * 10.0).round() / 10.0);
    json!({
        "cpu_usage": shown(host.cpu),
        "memory_usage": shown(host.memory),
        "disk_usage": shown(host.disk),
    })
}

fn process(view: &ProcessView) -> Value {
    let process = &view.process;
    json!({
        "name": process.name,
        "host": process.host,
        "pid": process.pid,
        "version": process.version,
        "started_at": time::text(process.started_at),
        "last_heartbeat": time::text(process.seen_at),
        "alive": view.alive,
    })
}

/// Something that was logged.
pub(crate) fn log_line(line: &LogLine) -> Value {
    let fields: Option<Value> = serde_json::from_str(&line.fields).ok();
    json!({
        "timestamp": time::fine(line.at),
        "level": line.level.as_str(),
        "process": line.process,
        "target": line.target,
        "message": line.message,
        "fields": fields.unwrap_or_else(|| json!({})),
    })
}

/// The settings.
pub(crate) fn config(view: &ConfigView) -> Value {
    let setting = |one: &SettingView| {
        let value = match &one.value {
            SettingValue::Text(text) => json!(text),
            SettingValue::List(all) => json!(all),
            SettingValue::Secret(is_set) => json!(if *is_set { "set" } else { "unset" }),
        };
        json!({
            "key": one.key,
            "value": value,
            "secret": matches!(one.value, SettingValue::Secret(_)),
            "source": one.source,
        })
    };
    let settings: Vec<Value> = view.settings.iter().map(setting).collect();
    json!({
        "config": settings,
        "total": view.settings.len(),
        "log_level": view.log_level.map(LogLevel::as_str),
    })
}

/// How everything is doing.
pub(crate) fn system_status(lang: Lang, status: &SystemStatus) -> Value {
    // The reference names the api process `flask`; readers of it find it there too.
    let mut services = json!({ "flask": "running", "api": "running" });
    let (mut reasons, mut latencies) = (json!({}), json!({}));
    for service in &status.services {
        let probed = &service.probed;
        services[service.name] = json!(service_state(probed.state));
        if let Some(reason) = &probed.reason {
            reasons[service.name] = json!(reason);
        }
        if let Some(latency) = probed.latency {
            // To the tenth: most answer within a millisecond.
            latencies[service.name] = json!((latency.as_secs_f64() * 10_000.0).round() / 10.0);
        }
    }
    let of_kind = |kind: &str| -> Vec<Value> {
        let all = status.processes.iter();
        all.filter(|view| view.process.kind == kind)
            .map(process)
            .collect()
    };
    json!({
        "system": {
            "status": if status.healthy { "healthy" } else { "degraded" },
            "uptime": tpm_messages::uptime(lang, status.uptime),
            "uptime_secs": status.uptime.as_secs(),
            "version": status.version,
            "last_updated": time::text(status.measured_at),
            "restored_at": status.restored_at.map(time::text),
        },
        "services": services,
        "reasons": reasons,
        "latency_ms": latencies,
        "apis": of_kind("api"),
        "workers": of_kind("worker"),
        "resources": host(&status.host),
    })
}
