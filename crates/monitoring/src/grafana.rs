//! Grafana, through its HTTP API: how it is doing, and our data source and dashboards in it.
//!
//! Nothing is repeated and nothing is kept: every call asks, within the time that the settings give each request.
//! Redirects are not followed, so that the token goes nowhere but to the address that was set.

mod boards;
mod datasource;
mod error;
mod folder;
mod provision;
mod wire;

use std::{collections::HashSet, time::Duration};

use secrecy::SecretString;
use serde_json::Value;
use url::Url;

pub use boards::{DashboardQuery, dashboard_queries};
pub use error::GrafanaError;
pub use provision::{Outcome, Provision, Provisioned};
use wire::{Asked, Call, Wire};

const PAGE: usize = 1000;
/// More dashboards than this are an answer that has no end.
const PAGES: usize = 100;
const LONGEST_VERSION: usize = 64;

/// Where Grafana is, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct GrafanaSettings {
    /// Its address, also with a path in front: `http://grafana:3000`, `https://host/grafana`.
    pub url: Url,
    /// Token of a service account that may edit data sources and dashboards. Empty: none, and nothing but
    /// [`Grafana::health`] is asked.
    pub token: SecretString,
    /// Longest time one request may take, from connecting to the last byte of its answer.
    pub timeout: Duration,
}

/// What Grafana says of itself. That there is one means that it was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrafanaHealth {
    /// Its version, unless it hides it.
    pub version: Option<String>,
    /// Whether its database answers it.
    pub database_ok: bool,
}

/// A Grafana that can be asked.
#[derive(Debug)]
pub struct Grafana {
    wire: Wire,
}

impl Grafana {
    /// Speaks to nobody yet.
    ///
    /// # Errors
    ///
    /// [`GrafanaError::BadSettings`] for an address that is not plain http or https, or holds a password, and for a
    /// token that cannot stand in a header.
    pub fn new(settings: GrafanaSettings) -> Result<Self, GrafanaError> {
        Wire::new(settings).map(|wire| Self { wire })
    }

    /// How it is doing. Asked without the token: Grafana answers anybody.
    ///
    /// A Grafana without its database says so with status 503; that is an answer, not an error.
    ///
    /// # Errors
    ///
    /// When it cannot be reached, takes too long, or what answered is not Grafana.
    pub async fn health(&self) -> Result<GrafanaHealth, GrafanaError> {
        let asked = Asked::Health;
        let answer = self
            .wire
            .send(Call::open(asked, &["api", "health"]))
            .await?;
        let body = match answer.status {
            200 | 503 if answer.is_object() => answer.body()?,
            _ => answer.accepted()?,
        };
        let database = body.get("database").and_then(Value::as_str);
        let Some(database) = database else {
            return Err(GrafanaError::BadAnswer {
                asked: asked.name(),
            });
        };
        Ok(GrafanaHealth {
            version: body.get("version").and_then(Value::as_str).and_then(shown),
            database_ok: database == "ok",
        })
    }

    /// How many dashboards the token can see, ours and others'.
    ///
    /// # Errors
    ///
    /// [`GrafanaError::NoToken`] without a token, else as for any request.
    pub async fn dashboards(&self) -> Result<usize, GrafanaError> {
        let mut seen = HashSet::new();
        for page in 1..=PAGES {
            let hits = self.page(page).await?;
            let (before, found) = (seen.len(), hits.len());
            seen.extend(hits);
            if found < PAGE || seen.len() == before {
                return Ok(seen.len());
            }
        }
        Err(GrafanaError::BadAnswer {
            asked: Asked::Search.name(),
        })
    }

    /// The uids on one page of the search.
    async fn page(&self, page: usize) -> Result<Vec<String>, GrafanaError> {
        let asked = Asked::Search;
        let call = Call::get(asked, &["api", "search"]).with_query(&[
            ("type", "dash-db".to_owned()),
            ("limit", PAGE.to_string()),
            ("page", page.to_string()),
        ]);
        let body = self.wire.send(call).await?.accepted()?;
        let uid = |hit: &Value| hit.get("uid").and_then(Value::as_str).map(str::to_owned);
        body.as_array()
            .and_then(|hits| hits.iter().map(uid).collect::<Option<Vec<_>>>())
            .ok_or(GrafanaError::BadAnswer {
                asked: asked.name(),
            })
    }

    /// Brings our data source, folder and dashboards in. Asks first and writes only what is missing or older, so that
    /// a second call writes nothing.
    ///
    /// What people changed stays until we have something newer:
    ///
    /// - of the data source only kind, address and access are ours, and the header with the token of Prometheus;
    /// - a dashboard carries our version as a tag (`tpm-version:3`), which Grafana keeps when people save it. Only one
    ///   with a lower number is replaced, and put back into our folder. One without the tag has been taken over by
    ///   people, and is left alone;
    /// - what Grafana reads from files (`readOnly`, `provisioned`) is left alone, since it would refuse.
    ///
    /// # Errors
    ///
    /// The first one ends it. What was written by then stays, and the next call goes on from there.
    pub async fn provision(&self, wanted: &Provision) -> Result<Provisioned, GrafanaError> {
        provision::provision(&self.wire, wanted).await
    }
}

/// A version as it may be shown to people, whoever answered.
fn shown(version: &str) -> Option<String> {
    let plain = version.len() <= LONGEST_VERSION && version.chars().all(|c| c.is_ascii_graphic());
    (plain && !version.is_empty()).then(|| version.to_owned())
}
