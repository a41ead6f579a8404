//! The data source through which Grafana asks Prometheus.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    GrafanaError, Outcome, Provision,
    wire::{Asked, Call, Wire},
};

pub(super) const UID: &str = "tpm-prometheus";
const NAME: &str = "Terraform Proxmox Manager";
const ASKED: Asked = Asked::DataSource;
/// What people may have set and a write must give back, or it would be gone.
const THEIRS: [&str; 8] = [
    "name",
    "isDefault",
    "basicAuth",
    "basicAuthUser",
    "withCredentials",
    "user",
    "database",
    "jsonData",
];

pub(super) async fn ensure(wire: &Wire, wanted: &Provision) -> Result<Outcome, GrafanaError> {
    if let Some(there) = look(wire).await? {
        return bring_up_to_date(wire, &there, wanted).await;
    }
    let call = Call::post(ASKED, &["api", "datasources"], made_new(wanted));
    let answer = wire.send(call).await?;
    // Somebody else, another worker perhaps, may have made it just now.
    if answer.status == 409
        && let Some(there) = look(wire).await?
    {
        return bring_up_to_date(wire, &there, wanted).await;
    }
    written(&answer.accepted()?).map(|()| Outcome::Created)
}

async fn look(wire: &Wire) -> Result<Option<Value>, GrafanaError> {
    let call = Call::get(ASKED, &["api", "datasources", "uid", UID]);
    let found = wire.send(call).await?.found()?;
    match found {
        Some(there) if there["uid"] != UID => Err(GrafanaError::BadAnswer {
            asked: ASKED.name(),
        }),
        found => Ok(found),
    }
}

async fn bring_up_to_date(
    wire: &Wire,
    there: &Value,
    wanted: &Provision,
) -> Result<Outcome, GrafanaError> {
    if there["readOnly"] == true || is_ours(there, wanted) {
        return Ok(Outcome::Unchanged);
    }
    let path = ["api", "datasources", "uid", UID];
    let call = Call::put(ASKED, &path, changed(there, wanted));
    written(&wire.send(call).await?.accepted()?).map(|()| Outcome::Updated)
}

fn written(answer: &Value) -> Result<(), GrafanaError> {
    if answer["datasource"]["uid"] == UID {
        Ok(())
    } else {
        Err(GrafanaError::BadAnswer {
            asked: ASKED.name(),
        })
    }
}

fn is_ours(there: &Value, wanted: &Provision) -> bool {
    let url = there["url"].as_str().unwrap_or_default();
    there["type"] == "prometheus"
        && there["access"] == "proxy"
        && url.trim_end_matches('/') == address(&wanted.prometheus_url)
        && (wanted.prometheus_token.is_none() || has_header(there))
}

fn made_new(wanted: &Provision) -> Value {
    let mut body = json!({
        "uid": UID,
        "name": NAME,
        "jsonData": {
            "httpMethod": "POST",
            "timeInterval": format!("{}s", wanted.scrape_interval.as_secs().max(1)),
        },
    });
    set_ours(&mut body, wanted);
    body
}

fn changed(there: &Value, wanted: &Provision) -> Value {
    let theirs = THEIRS
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), there.get(*key)?.clone())));
    let mut body = Value::Object(theirs.collect::<Map<_, _>>());
    body["uid"] = UID.into();
    set_ours(&mut body, wanted);
    body
}

fn set_ours(body: &mut Value, wanted: &Provision) {
    body["type"] = "prometheus".into();
    body["access"] = "proxy".into();
    body["url"] = address(&wanted.prometheus_url).into();
    if let Some(token) = &wanted.prometheus_token {
        set_header(body, token);
    }
}

fn address(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

/// Grafana numbers the headers it sends along: names in the open, values sealed.
fn set_header(body: &mut Value, token: &SecretString) {
    let slot = slot(&body["jsonData"]).unwrap_or_else(|free| free);
    if !body["jsonData"].is_object() {
        body["jsonData"] = json!({});
    }
    body["jsonData"][format!("httpHeaderName{slot}")] = "Authorization".into();
    let value = format!("Bearer {}", token.expose_secret());
    body["secureJsonData"] = json!({ format!("httpHeaderValue{slot}"): value });
}

fn has_header(there: &Value) -> bool {
    slot(&there["jsonData"])
        .is_ok_and(|slot| there["secureJsonFields"][format!("httpHeaderValue{slot}")] == true)
}

/// The number under which `Authorization` stands, else the first free one.
fn slot(json_data: &Value) -> Result<usize, usize> {
    let mut slot = 1;
    while let Some(name) = json_data[format!("httpHeaderName{slot}")].as_str() {
        if name.eq_ignore_ascii_case("authorization") {
            return Ok(slot);
        }
        slot += 1;
    }
    Err(slot)
}
