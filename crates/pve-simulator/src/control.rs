//! The control door: plain HTTP and JSON for tests that run in another process.
//!
//! Never open unless asked for, and without any authentication: bind it to the loopback only.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::answer::{Failure, Handled, Reply, Wire};
use crate::behind::BehindTheBack;
use crate::faults::Fault;
use crate::http::{Outcome, Request};
use crate::sim::Sim;
use crate::view;

pub(crate) async fn answer(sim: Arc<Sim>, request: Request) -> Outcome {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let path: Vec<&str> = request
        .path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let handled = handle(&sim, &request, &path, &body);
    Outcome::Answer(match handled {
        Ok(reply) => Wire {
            status: 200,
            reason: "OK".into(),
            content_type: Some("application/json"),
            body: Some(reply.data.to_string().into_bytes()),
        },
        Err(failure) => Wire::json(&Err(failure)),
    })
}

fn handle(sim: &Arc<Sim>, request: &Request, path: &[&str], body: &Value) -> Handled {
    let reply: Value = match (request.method.as_str(), path) {
        ("GET", ["faults"]) => json!(sim.faults.list()),
        ("POST", ["faults"]) => {
            let fault: Fault = serde_json::from_value(body.clone())
                .map_err(|error| Failure::new(400, error.to_string()))?;
            json!({"id": sim.faults.inject(fault)})
        }
        ("DELETE", ["faults"]) => {
            sim.faults.clear();
            Value::Null
        }
        ("DELETE", ["faults", id]) => json!({"removed": sim.faults.remove(number(id)?)}),
        ("POST", ["faults", id, "release"]) => json!({"released": sim.faults.release(number(id)?)}),
        ("GET", ["counters"]) => json!(sim.ledger.counters()),
        ("DELETE", ["counters"]) => {
            sim.ledger.reset_counters();
            Value::Null
        }
        ("GET", ["effects"]) => json!(sim.ledger.effects()),
        ("GET", ["guests"]) => json!(view::guests(sim)),
        ("GET", ["tasks"]) => {
            json!(sim.tasks.with(|records| {
                records
                    .iter()
                    .map(crate::tasks::Record::status)
                    .collect::<Vec<_>>()
            }))
        }
        ("GET", ["foreign"]) => {
            let mark = request.query.strip_prefix("mark=").unwrap_or("tpm:v1%20");
            let mark = percent_encoding::percent_decode_str(mark)
                .decode_utf8_lossy()
                .into_owned();
            json!({"hash": view::foreign_hash(sim, &mark)})
        }
        ("POST", ["guests", vmid, action]) => behind(
            sim,
            u32::try_from(number(vmid)?).unwrap_or_default(),
            action,
            body,
        )?,
        ("POST", ["nodes", node, "offline"]) => {
            BehindTheBack(sim).set_offline(node, body["offline"].as_bool().unwrap_or(true));
            Value::Null
        }
        _ => return Err(Failure::not_implemented(&request.method, &request.path)),
    };
    Ok(Reply::from(reply))
}

fn number(text: &str) -> Result<u64, Failure> {
    text.parse()
        .map_err(|_| Failure::new(400, format!("'{text}' is not a number")))
}

fn behind(sim: &Arc<Sim>, vmid: u32, action: &str, body: &Value) -> Result<Value, Failure> {
    let hand = BehindTheBack(sim);
    let text = |key: &str| body[key].as_str();
    let flag = |key: &str| body[key].as_bool().unwrap_or(true);
    match action {
        "power-off" => hand.power_off(vmid)?,
        "power-on" => hand.power_on(vmid)?,
        "destroy" => hand.destroy(vmid)?,
        "recreate" => hand.recreate(vmid)?,
        "create" => hand.create_foreign(
            vmid,
            text("node").unwrap_or(sim.local_node()),
            text("name").unwrap_or("foreign"),
        ),
        "migrate" => hand.migrate(vmid, text("node").unwrap_or_default())?,
        "lock" => hand.set_lock(vmid, text("lock"))?,
        "option" => hand.set_option(vmid, text("key").unwrap_or_default(), text("value"))?,
        "deaf" => hand.set_deaf(vmid, flag("deaf"))?,
        "script" => {
            let script = serde_json::from_value(body.clone());
            hand.script(
                vmid,
                script.map_err(|error| Failure::die(error.to_string()))?,
            )?;
        }
        "mute" => hand.set_mute(vmid, flag("mute"))?,
        _ => return Err(Failure::not_implemented("POST", action)),
    }
    Ok(Value::Null)
}
