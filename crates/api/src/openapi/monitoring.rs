//! Monitoring in the document.

mod shapes;

use super::operation::{Op, paging, query_number, query_text, query_word, server_id};
use serde_json::{Value, json};
use shapes::{
    AlertList, AlertmanagerMessage, AlertsTaken, FleetMetrics, LatestOrPast, MonitoringStatus,
    TargetGroups, TargetsPublished,
};
use tpm_domain::{AlertRule, AlertState};
use tpm_messages::{Answer, Lang, answer};

fn latest() -> Value {
    json!({
        "server_id": 1,
        "server_name": "web-server-01",
        "metrics": {
            "cpu_usage": 45.2,
            "memory_usage": 67.8,
            "disk_usage": 23.4,
            "network_in": 1024,
            "network_out": 2048,
            "timestamp": "2024-01-15T10:30:00Z",
            "source": "node_exporter",
            "reason": null,
            "reasons": {},
        },
    })
}

pub(super) fn operations() -> Vec<Op> {
    let mut all = vec![status(), fleet(), of_server()];
    all.extend(discovery());
    all.extend(alerts());
    all
}

fn status() -> Op {
    Op::get(
        "/api/monitoring/status",
        "getMonitoringStatus",
        "How Prometheus, Grafana and the exporters are doing",
    )
    .about("Whatever does not answer in time is told as such; the answer is 200 all the same.")
    .answers::<MonitoringStatus>(
        200,
        "How they are doing.",
        json!({
            "prometheus": {
                "status": "running",
                "url": "http://localhost:9090",
                "targets": 5,
                "healthy_targets": 4,
                "reason": null,
            },
            "grafana": {
                "status": "running",
                "url": "http://localhost:3000",
                "dashboards": 3,
                "reason": null,
            },
            "node_exporters": {
                "total": 5,
                "active": 4,
                "inactive": 1,
                "down": [{
                    "server_id": 5,
                    "server_name": "db-server-01",
                    "reason": "port_closed",
                    "error": "Get \"http://192.168.1.105:9100/metrics\": dial tcp: connection refused",
                }],
            },
        }),
    )
}

fn fleet() -> Op {
    Op::get(
        "/api/monitoring/metrics",
        "listServerMetrics",
        "The latest figures of servers",
    )
    .about(
        "Filtered and sorted as the list of servers is. Prometheus is asked once for each figure.",
    )
    .queries(super::servers::filters())
    .queries(paging("servers"))
    .answers::<FleetMetrics>(
        200,
        "A page of servers.",
        json!({ "servers": [latest()], "total": 1 }),
    )
}

fn of_server() -> Op {
    Op::get(
        "/api/monitoring/metrics/{server_id}",
        "getServerMetrics",
        "The figures of a server",
    )
    .about(
        "The latest; with `from`, `to` or `step` those of the past. First what the exporter on the server tells, \
         through Prometheus; second Proxmox VE's own figures.",
    )
    .takes(server_id())
    .queries([
        query_text(
            "from",
            "The first moment, RFC 3339; an hour before `to` when not said.",
            "2024-01-15T10:00:00Z",
        ),
        query_text("to", "The end, RFC 3339; now when not said.", "2024-01-15T11:00:00Z"),
        query_number(
            "step",
            "Seconds from one point to the next, so many that there are at most 2000 points.",
            (1, 604_800),
            None,
            60,
        ),
    ])
    .answers::<LatestOrPast>(
        200,
        "The latest figures; with `from`, `to` or `step` those of the past.",
        latest(),
    )
    .refuses(&["NOT_FOUND"])
}

fn discovery() -> Vec<Op> {
    vec![
        Op::get(
            "/api/monitoring/targets",
            "listTargets",
            "What Prometheus is to scrape",
        )
        .about(
            "For `http_sd_configs`, with an API key as bearer token. Servers join when their guest is made, and leave \
             when they are deleted.",
        )
        .answers::<TargetGroups>(
            200,
            "The targets, a group for each server.",
            json!([{
                "targets": ["192.168.1.101:9100"],
                "labels": {
                    "engine": "direct",
                    "manager": "3f9c0a7b1d2e",
                    "node": "pve1",
                    "project": "default",
                    "role": "web",
                    "server_id": "1",
                    "server_name": "web-server-01",
                },
            }]),
        ),
        Op::post(
            "/api/monitoring/prometheus/update",
            "updatePrometheus",
            "Publish the targets, and see what Prometheus has taken up",
        )
        .about(
            "Nothing is written behind anybody's back: Prometheus asks for the targets, or reads the file that a worker \
             writes. Told is what changed since they were published last.",
        )
        .asks_nothing()
        .answers::<TargetsPublished>(
            200,
            "Published.",
            json!({
                "success": true,
                "message": answer(Lang::En, Answer::TargetsPublished(1)),
                "published_at": "2024-01-15T10:30:00Z",
                "targets": 1,
                "added": ["web-server-01"],
                "removed": [],
                "changed": [],
                "prometheus": {
                    "taken_up": ["web-server-01"],
                    "pending": [],
                    "reason": null,
                    "reload": "not_asked",
                },
            }),
        )
        .refuses(&["INVALID_IDEMPOTENCY_KEY"]),
    ]
}

fn alerts() -> Vec<Op> {
    vec![
        Op::get("/api/monitoring/alerts", "listAlerts", "List alerts")
            .about("Pending ones are only listed when they are asked for.")
            .queries([
                query_word(
                    "status",
                    "Of this status.",
                    AlertState::ALL.map(AlertState::as_str),
                    None,
                ),
                query_word("rule", "Of this rule.", AlertRule::ALL.map(AlertRule::as_str), None),
                query_number("server_id", "About this server.", (i64::MIN, i64::MAX), None, 1),
            ])
            .queries(paging("alerts"))
            .answers::<AlertList>(
                200,
                "A page of alerts, the newest first.",
                json!({
                    "alerts": [{
                        "id": 1,
                        "rule": "disk_nearly_full",
                        "status": "firing",
                        "severity": "warning",
                        "subject": "web-server-01",
                        "server_id": 1,
                        "detail": "91.3 %",
                        "since": "2024-01-15T10:30:00Z",
                        "fired_at": "2024-01-15T10:35:00Z",
                        "resolved_at": null,
                    }],
                    "total": 1,
                }),
            ),
        Op::post(
            "/api/monitoring/alerts",
            "takeAlerts",
            "Take in what Alertmanager sends",
        )
        .about(
            "A `webhook_config` with an API key as bearer token. People are told once of each alert, by its fingerprint, \
             and once of its end, however often it is sent.",
        )
        .asks::<AlertmanagerMessage>(json!({
            "version": "4",
            "status": "firing",
            "receiver": "manager",
            "alerts": [{
                "status": "firing",
                "fingerprint": "c0ffee0000000001",
                "labels": { "alertname": "HighLoad", "severity": "warning", "server_id": "1" },
                "annotations": { "summary": "load is above 20" },
                "startsAt": "2024-01-15T10:30:00Z",
            }],
        }))
        .answers::<AlertsTaken>(
            200,
            "Taken in.",
            json!({
                "success": true,
                "message": answer(Lang::En, Answer::AlertsTaken(1)),
                "raised": 1,
                "resolved": 0,
            }),
        )
        .refuses(&["INVALID_IDEMPOTENCY_KEY"]),
    ]
}
