//! The order of work on a request: authenticate, find the handler, check permissions, verify
//! parameters, run. Who comes too early or too late here gives the wrong error to a client.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::acl::{self, Who};
use crate::answer::{Failure, Handled, Wire};
use crate::api;
use crate::auth;
use crate::faults::Effects;
use crate::http::{MAX_BODY, Outcome, Request};
use crate::params::{Params, Raw};
use crate::schema::{self, Endpoint};
use crate::sim::Sim;
use crate::validate;

/// Failed authentications take this long.
const FAILURE_DELAY: Duration = Duration::from_secs(3);
/// The proxy gives up on the daemon after this; the call goes on.
const PROXY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a handler works with.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) sim: Arc<Sim>,
    pub(crate) who: Who,
    pub(crate) params: Params,
    /// The node in the path, or the local one.
    pub(crate) node: String,
    pub(crate) effects: Effects,
}

impl Context {
    pub(crate) fn vmid(&self) -> u32 {
        self.params.vmid()
    }
}

/// Answers one request.
pub(crate) async fn answer(sim: Arc<Sim>, request: Request) -> Outcome {
    sim.ledger.request_began();
    let outcome = route(&sim, request).await;
    sim.ledger.request_ended();
    if let Outcome::Answer(wire) = &outcome {
        sim.ledger.count_status(wire.status);
    }
    outcome
}

async fn route(sim: &Arc<Sim>, request: Request) -> Outcome {
    if !matches!(request.method.as_str(), "GET" | "POST" | "PUT" | "DELETE") {
        let text = format!("method '{}' not available", request.method);
        return plain(501, text);
    }
    let decoded = percent_decode_str(&request.path)
        .decode_utf8_lossy()
        .into_owned();
    let mut segments: Vec<String> = decoded
        .split('/')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    if segments.first().map(String::as_str) != Some("api2") {
        return plain(500, format!("no such file '{decoded}'"));
    }
    let format = segments.get(1).cloned().unwrap_or_default();
    if !matches!(format.as_str(), "json" | "extjs") {
        let text = if format.is_empty() {
            "no such uri".to_owned()
        } else {
            format!("no formatter for uri {decoded}")
        };
        return plain(501, text);
    }
    segments.drain(..2);
    match handle(sim, request, &segments).await {
        Verdict::Done(handled) => Outcome::Answer(if format == "extjs" {
            Wire::extjs(&handled)
        } else {
            Wire::json(&handled)
        }),
        Verdict::Wire(wire) => Outcome::Answer(wire),
        Verdict::Drop => Outcome::Drop,
    }
}

enum Verdict {
    Done(Handled),
    Wire(Wire),
    Drop,
}

async fn handle(sim: &Arc<Sim>, request: Request, segments: &[String]) -> Verdict {
    let path = format!("/{}", segments.join("/"));
    let found = schema::find(&request.method, segments);
    let who = if found
        .as_ref()
        .is_some_and(|(endpoint, _)| endpoint.is_public())
    {
        Who {
            user: String::new(),
            token: None,
        }
    } else {
        match auth::authenticate(sim, &request) {
            Ok(who) => who,
            Err(failure) => return refuse(sim, failure).await,
        }
    };
    let mut params = match read_params(&request) {
        Ok(params) => params,
        Err(failure) => return Verdict::Done(Err(failure)),
    };
    let Some((endpoint, in_path)) = found else {
        if request.method == "GET"
            && let Some(names) = schema::children(segments)
        {
            sim.ledger.count_request(format!("GET {path}"));
            return Verdict::Done(Ok(api::index(segments, &names)));
        }
        return Verdict::Done(Err(Failure::not_implemented(&request.method, &path)));
    };
    sim.ledger
        .count_request(format!("{} {}", endpoint.method, endpoint.path));
    for (name, raw) in in_path.0 {
        if params.0.get(&name).is_some_and(|given| *given != raw) {
            let text = "duplicate parameter (already defined in URI) with conflicting values!";
            return Verdict::Done(Err(Failure::param(&name, text)));
        }
        params.0.insert(name, raw);
    }
    let effects = take_faults(sim, &request.method, segments, &params);
    if effects.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(effects.delay_ms)).await;
    }
    if let Some(gate) = &effects.hold {
        gate.wait().await;
    }
    if effects.drop_before {
        return Verdict::Drop;
    }
    if let Some((code, reason, body, false)) = &effects.status {
        return Verdict::Wire(status(*code, reason, body.as_deref()));
    }
    if let Some(text) = &effects.error {
        return Verdict::Done(Err(Failure::die(text.clone())));
    }
    let handled = run(sim, endpoint, who, params, &effects).await;
    if effects.drop_after {
        return Verdict::Drop;
    }
    if let Some((code, reason, body, true)) = &effects.status {
        return Verdict::Wire(status(*code, reason, body.as_deref()));
    }
    match handled {
        Err(failure) if failure.status == 401 => refuse(sim, failure).await,
        handled => Verdict::Done(handled),
    }
}

async fn run(
    sim: &Arc<Sim>,
    endpoint: &'static Endpoint,
    who: Who,
    params: Params,
    effects: &Effects,
) -> Handled {
    if who.token.is_some() && !endpoint.allows_tokens() && !endpoint.is_public() {
        return Err(Failure::forbidden(&format!(
            "URI '{}' not available with API token, need proper ticket.\n",
            endpoint.path
        )));
    }
    permit(sim, endpoint, &who, &params)?;
    let node = proxy(sim, endpoint, &params)?;
    let mut params = validate::verify(endpoint, params)?;
    if params.get("node").is_some() && !endpoint.path.ends_with("/vzdump") {
        params.insert("node", &node);
    }
    let context = Context {
        sim: Arc::clone(sim),
        who,
        params,
        node: node.clone(),
        effects: effects.clone(),
    };
    if !endpoint.is_protected() {
        return api::call(endpoint, context).await;
    }
    // the daemon's workers are few, and its answer may come too late for the proxy
    let workers = sim.workers.get(&node).cloned();
    let pause = sim.duration(crate::pace::Work::Call);
    let call = tokio::spawn(async move {
        let _permit = match workers {
            Some(workers) => workers.acquire_owned().await.ok(),
            None => None,
        };
        context.sim.clock.sleep(pause).await;
        api::call(endpoint, context).await
    });
    match tokio::time::timeout(
        sim.clock.scaled(PROXY_TIMEOUT).max(Duration::from_secs(1)),
        call,
    )
    .await
    {
        Ok(Ok(handled)) => handled,
        Ok(Err(_)) => Err(Failure::die("internal error")),
        Err(_) => Err(Failure::bare(596, "Connection timed out")),
    }
}

fn permit(sim: &Arc<Sim>, endpoint: &Endpoint, who: &Who, params: &Params) -> Result<(), Failure> {
    match (&endpoint.permissions.user, &endpoint.permissions.check) {
        (Some(_), _) => Ok(()),
        (None, Some(check)) => acl::check(&sim.world(), who, check, params),
        (None, None) if who.is_root() => Ok(()),
        (None, None) => Err(Failure::forbidden("user != root@pam")),
    }
}

/// Finds the node that executes the call.
fn proxy(sim: &Arc<Sim>, endpoint: &Endpoint, params: &Params) -> Result<String, Failure> {
    let local = sim.local_node();
    let name = match params.get("node") {
        Some(name) if endpoint.path.starts_with("/nodes/{node}") => name,
        _ => return Ok(local.to_owned()),
    };
    let name = if name == "localhost" { local } else { name };
    if !sim.has_node(name) {
        return Err(Failure::die(format!(
            "hostname lookup '{name}' failed - failed to get address info for: {name}: Name or service not known"
        )));
    }
    let is_proxied = endpoint.proxyto.is_some() || endpoint.is_protected();
    if is_proxied && sim.world().offline.contains(name) {
        return Err(Failure::bare(595, "No route to host"));
    }
    Ok(name.to_owned())
}

fn read_params(request: &Request) -> Result<Params, Failure> {
    if request.header("transfer-encoding").is_some() {
        return Err(Failure::plain(
            501,
            "chunked transfer encoding not supported",
        ));
    }
    if request.content_length().unwrap_or_default() > MAX_BODY {
        return Err(Failure::plain(501, "for data too large"));
    }
    let mut params = Params::default();
    let is_write = matches!(request.method.as_str(), "POST" | "PUT");
    if !request.body.is_empty() {
        if !is_write {
            return Err(Failure::plain(
                501,
                format!("Unexpected content for method '{}'", request.method),
            ));
        }
        let content_type = request
            .header("content-type")
            .unwrap_or("application/x-www-form-urlencoded");
        match content_type.split(';').next().map(str::trim) {
            Some("application/x-www-form-urlencoded") => {
                params.read_form(&String::from_utf8_lossy(&request.body));
            }
            Some("application/json") => {
                params
                    .read_json(&request.body)
                    .map_err(|text| Failure::plain(500, text))?;
            }
            _ => {
                let text = format!("upload 'Content-Type '{content_type}' not implemented");
                return Err(Failure::plain(506, text));
            }
        }
    }
    let mut query = Params::default();
    query.read_form(&request.query);
    params.0.extend(query.0);
    Ok(params)
}

fn take_faults(sim: &Arc<Sim>, method: &str, segments: &[String], params: &Params) -> Effects {
    let vmids: Vec<u32> = ["newid", "vmid"]
        .iter()
        .filter_map(|name| match params.0.get(*name) {
            Some(Raw::One(text)) => text.parse().ok(),
            _ => None,
        })
        .collect();
    sim.faults.take(method, segments, &vmids)
}

async fn refuse(sim: &Arc<Sim>, failure: Failure) -> Verdict {
    if sim.config.auth_failure_delay {
        sim.clock.sleep(FAILURE_DELAY).await;
    }
    Verdict::Done(Err(failure))
}

fn status(code: u16, reason: &str, body: Option<&str>) -> Wire {
    match body {
        Some(body) => Wire {
            status: code,
            reason: reason.to_owned(),
            content_type: Some("application/json;charset=UTF-8"),
            body: Some(body.as_bytes().to_vec()),
        },
        None if code >= 595 || code == 401 => Wire::json(&Err(Failure::bare(code, reason))),
        None => Wire::json(&Err(Failure::new(code, reason))),
    }
}

fn plain(status: u16, text: String) -> Outcome {
    Outcome::Answer(Wire::json(&Err(Failure::plain(status, text))))
}
