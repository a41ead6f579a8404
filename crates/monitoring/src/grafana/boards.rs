//! Our dashboards: the files in `grafana/`, their versions, and the questions they ask.
//!
//! Whoever changes a file raises the number in its tag `tpm-version:…` too, or Grafana keeps the older one.

use serde_json::{Value, json};

use super::{
    GrafanaError, Outcome, folder,
    wire::{Asked, Call, Wire},
};

const FILES: [&str; 4] = [
    include_str!("../../grafana/tpm-fleet.json"),
    include_str!("../../grafana/tpm-server.json"),
    include_str!("../../grafana/tpm-role.json"),
    include_str!("../../grafana/tpm-manager.json"),
];
const VERSION_TAG: &str = "tpm-version:";
const ASKED: Asked = Asked::Dashboard;

pub(super) struct Board {
    pub(super) uid: String,
    version: u64,
    json: Value,
}

/// All of them; that every file is one is held by a test.
pub(super) fn all() -> Vec<Board> {
    FILES.into_iter().filter_map(parse).collect()
}

fn parse(text: &str) -> Option<Board> {
    let json: Value = serde_json::from_str(text).ok()?;
    Some(Board {
        uid: json["uid"].as_str()?.to_owned(),
        version: version(&json)?,
        json,
    })
}

/// The highest number, should people have copied tags about.
fn version(dashboard: &Value) -> Option<u64> {
    let tags = dashboard["tags"].as_array()?;
    let numbers = tags
        .iter()
        .filter_map(|tag| tag.as_str()?.strip_prefix(VERSION_TAG)?.parse().ok());
    numbers.max()
}

pub(super) async fn ensure(wire: &Wire, board: &Board) -> Result<Outcome, GrafanaError> {
    let Some(there) = look(wire, &board.uid).await? else {
        return write(wire, board).await.map(|()| Outcome::Created);
    };
    let older = version(&there["dashboard"]).is_some_and(|theirs| theirs < board.version);
    if !older || there["meta"]["provisioned"] == true {
        return Ok(Outcome::Unchanged);
    }
    write(wire, board).await.map(|()| Outcome::Updated)
}

async fn look(wire: &Wire, uid: &str) -> Result<Option<Value>, GrafanaError> {
    let path = ["api", "dashboards", "uid", uid];
    let found = wire.send(Call::get(ASKED, &path)).await?.found()?;
    match found {
        Some(there) if there["dashboard"]["uid"] != uid => Err(GrafanaError::BadAnswer {
            asked: ASKED.name(),
        }),
        found => Ok(found),
    }
}

async fn write(wire: &Wire, board: &Board) -> Result<(), GrafanaError> {
    let body = json!({
        "dashboard": board.json,
        "folderUid": folder::UID,
        "message": format!("Terraform Proxmox Manager, version {}", board.version),
        "overwrite": true,
    });
    let call = Call::post(ASKED, &["api", "dashboards", "db"], body);
    let answer = wire.send(call).await?.accepted()?;
    if answer["status"] == "success" && answer["uid"] == board.uid.as_str() {
        Ok(())
    } else {
        Err(GrafanaError::BadAnswer {
            asked: ASKED.name(),
        })
    }
}

/// A question that a panel of a dashboard asks Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DashboardQuery {
    /// The uid of the dashboard.
    pub dashboard: String,
    /// The title of the panel.
    pub panel: String,
    /// The question, as Prometheus gets it.
    pub expr: String,
}

/// Every question of every dashboard, with a window for rates (`1m`), a server and a role in place of Grafana's
/// variables, so that each can be put to a Prometheus as it stands.
///
/// ```
/// for query in tpm_monitoring::dashboard_queries("1m", "web-1", "web") {
///     assert!(!query.expr.contains('$'), "{} {}", query.dashboard, query.panel);
/// }
/// ```
#[must_use]
pub fn dashboard_queries(window: &str, server: &str, role: &str) -> Vec<DashboardQuery> {
    let filled = |expr: &str| {
        expr.replace("$__rate_interval", window)
            .replace("$server", server)
            .replace("$role", role)
    };
    let mut queries = Vec::new();
    for board in all() {
        for (panel, expr) in asked_by(&board.json) {
            queries.push(DashboardQuery {
                dashboard: board.uid.clone(),
                panel: panel.to_owned(),
                expr: filled(expr),
            });
        }
    }
    queries
}

fn asked_by(dashboard: &Value) -> impl Iterator<Item = (&str, &str)> {
    items(&dashboard["panels"]).flat_map(|panel| {
        let title = panel["title"].as_str().unwrap_or_default();
        items(&panel["targets"])
            .map(move |target| (title, target["expr"].as_str().unwrap_or_default()))
    })
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests;
