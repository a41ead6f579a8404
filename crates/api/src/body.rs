//! Request bodies as drafts.

use crate::fields::Fields;
use serde_json::{Map, Value};
use tpm_app::{NetworkDraft, ServerDraft, SharedNetwork};
use tpm_domain::{FieldErrors, PowerTarget, Reason, ServerId};

fn server(mut fields: Fields<'_>) -> ServerDraft {
    let draft = ServerDraft {
        name: fields.required_text("name"),
        role: fields.required_text("role"),
        cpu: fields.required_integer("cpu"),
        memory: fields.required_integer("memory"),
        disk_size: fields.required_integer("disk_size"),
        engine: fields.text("engine"),
        network: networks(&mut fields),
    };
    fields.finish();
    draft
}

/// `network_config`: one object, or a list of them.
fn networks(fields: &mut Fields<'_>) -> Option<Vec<NetworkDraft>> {
    const NAME: &str = "network_config";
    let path = fields.path(NAME);
    match fields.take(NAME)? {
        Value::Object(map) => Some(vec![network(map, &path, fields.errors())]),
        Value::Array(items) => {
            let one = items.len() == 1;
            let drafts = items.into_iter().enumerate().filter_map(|(index, item)| {
                let path = if one {
                    path.clone()
                } else {
                    format!("{path}[{index}]")
                };
                match item {
                    Value::Object(map) => Some(network(map, &path, fields.errors())),
                    _ => {
                        fields
                            .errors()
                            .add(path, Reason::Type { expected: "object" });
                        None
                    }
                }
            });
            Some(drafts.collect())
        }
        _ => {
            fields.wrong(
                NAME,
                Reason::Type {
                    expected: "object or list",
                },
            );
            None
        }
    }
}

fn network(map: Map<String, Value>, path: &str, errors: &mut FieldErrors) -> NetworkDraft {
    let mut fields = Fields::new(map, format!("{path}."), errors);
    let draft = NetworkDraft {
        ip_address: fields.text("ip_address"),
        ip_range: fields.text("ip_range"),
        subnet: fields.integer_or_text("subnet"),
        gateway: fields.text("gateway"),
        bridge: fields.text("bridge"),
        vlan: fields.integer("vlan"),
    };
    fields.finish();
    draft
}

pub(crate) fn create(body: Map<String, Value>) -> (ServerDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let draft = server(Fields::new(body, "", &mut errors));
    (draft, errors)
}

pub(crate) fn bulk_create(
    body: Map<String, Value>,
) -> (Vec<ServerDraft>, SharedNetwork, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let items = fields.required_list("servers");
    let shared = networks(&mut fields);
    fields.finish();
    let mut drafts = Vec::new();
    for (index, item) in items.unwrap_or_default().into_iter().enumerate() {
        match item {
            Value::Object(map) => {
                drafts.push(server(Fields::new(
                    map,
                    format!("servers[{index}]."),
                    &mut errors,
                )));
            }
            _ => {
                errors.add(
                    format!("servers[{index}]"),
                    Reason::Type { expected: "object" },
                );
                drafts.push(ServerDraft::default());
            }
        }
    }
    (drafts, shared, errors)
}

pub(crate) fn bulk_delete(body: Map<String, Value>) -> (Vec<ServerId>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let items = fields.required_list("server_ids").unwrap_or_default();
    fields.finish();
    let mut ids = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match item.as_i64() {
            Some(id) => ids.push(ServerId(id)),
            None => errors.add(
                format!("server_ids[{index}]"),
                Reason::Type {
                    expected: "integer",
                },
            ),
        }
    }
    (ids, errors)
}

pub(crate) fn power(body: Map<String, Value>) -> (Option<PowerTarget>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let target = match fields.required_text("status").as_deref() {
        Some("running") => Some(PowerTarget::Running),
        Some("stopped") => Some(PowerTarget::Stopped),
        Some("restarted") => Some(PowerTarget::Restarted),
        Some(_) => {
            let allowed = ["running", "stopped", "restarted"]
                .map(str::to_owned)
                .to_vec();
            fields.wrong("status", Reason::OneOf { allowed });
            None
        }
        None => None,
    };
    fields.finish();
    (target, errors)
}

/// Name and password of somebody who wants in.
pub(crate) fn login(body: Map<String, Value>) -> (Option<(String, String)>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let username = fields.required_text("username");
    let password = fields.required_text("password");
    fields.finish();
    (username.zip(password), errors)
}
