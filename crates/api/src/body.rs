//! Request bodies as drafts.

pub(crate) mod backups;
pub(crate) mod schedules;

use crate::fields::Fields;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tpm_app::{
    AssignmentDraft, DriftChoice, ExpiryDraft, ImportDraft, KeyDraft, LogLevel, NetworkChange,
    NetworkDraft, PlacementDraft, ProjectChange, QuotaChange, SentAlert, ServerChange, ServerDraft,
    SharedNetwork, UserDraft,
};
use tpm_domain::{
    BulkPolicy, Error, FieldErrors, OnExpiry, PowerTarget, Reason, ServerId, Severity, Spread,
};

fn server(mut fields: Fields<'_>) -> ServerDraft {
    let draft = ServerDraft {
        name: fields.required_text("name"),
        role: fields.required_text("role"),
        cpu: fields.required_integer("cpu"),
        memory: fields.required_integer("memory"),
        disk_size: fields.required_integer("disk_size"),
        engine: fields.text("engine"),
        tags: fields.texts("tags"),
        description: fields.text("description"),
        network: networks(&mut fields),
        project: fields.text("project"),
        placement: placement(&mut fields),
        expiry: ExpiryDraft {
            at: fields.moment("expires_at"),
            action: fields.one_of("on_expiry", &OnExpiry::ALL, OnExpiry::as_str),
        },
    };
    fields.finish();
    draft
}

/// `placement`: where the server is wished to be.
fn placement(fields: &mut Fields<'_>) -> PlacementDraft {
    const NAME: &str = "placement";
    let Some(map) = fields.object(NAME) else {
        return PlacementDraft::default();
    };
    let path = format!("{}.", fields.path(NAME));
    let mut fields = Fields::new(map, path, fields.errors());
    let draft = PlacementDraft {
        node: fields.text("node"),
        exclude: fields.texts("exclude").unwrap_or_default(),
        storage: fields.text("storage"),
        spread: fields.one_of("spread", &Spread::ALL, Spread::as_str),
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
        network: fields.text("network"),
    };
    fields.finish();
    draft
}

/// Longest text of an alert that is kept.
const MAX_SAID: usize = 500;

/// A request that has no fields.
pub(crate) fn nothing(body: Map<String, Value>) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    Fields::new(body, "", &mut errors).finish();
    errors.into_result(())
}

/// Most alerts of one message.
const MAX_ALERTS: usize = 1000;

/// What Alertmanager sends
/// ([webhook](https://prometheus.io/docs/alerting/latest/configuration/#webhook_config)). It may say more than we
/// know: only what is needed is read.
pub(crate) fn alerts(mut body: Map<String, Value>) -> Result<Vec<SentAlert>, Error> {
    let mut errors = FieldErrors::default();
    let all = Map::from_iter(body.remove_entry("alerts"));
    let list = Fields::new(all, "", &mut errors).required_list("alerts");
    let list = list.unwrap_or_default();
    if list.len() > MAX_ALERTS {
        let (min, max) = (0, MAX_ALERTS);
        errors.add("alerts", Reason::Count { min, max });
        return errors.into_result(Vec::new());
    }
    let mut sent = Vec::with_capacity(list.len());
    for (n, item) in list.into_iter().enumerate() {
        let path = format!("alerts[{n}]");
        match item {
            Value::Object(map) => sent.extend(sent_alert(map, &path, &mut errors)),
            _ => errors.add(path, Reason::Type { expected: "object" }),
        }
    }
    errors.into_result(sent)
}

fn sent_alert(map: Map<String, Value>, path: &str, errors: &mut FieldErrors) -> Option<SentAlert> {
    let mut fields = Fields::new(map, format!("{path}."), errors);
    let fingerprint = fields.required_text("fingerprint");
    let status = fields.one_of("status", &["firing", "resolved"], |word| word);
    let labels = fields.object("labels").unwrap_or_default();
    let annotations = fields.object("annotations").unwrap_or_default();
    if status.is_none() && fields.take("status").is_none() {
        fields.wrong("status", Reason::Required);
    }
    let short = |of: &Map<String, Value>, name: &str| {
        let text = of.get(name).and_then(Value::as_str);
        text.map(|text| text.chars().take(MAX_SAID).collect::<String>())
    };
    let summary = short(&annotations, "summary").or_else(|| short(&annotations, "description"));
    let severity = match short(&labels, "severity").as_deref() {
        Some("critical" | "error" | "page") => Severity::Error,
        Some("info" | "none") => Severity::Info,
        _ => Severity::Warning,
    };
    Some(SentAlert {
        fingerprint: fingerprint?,
        firing: status? == "firing",
        name: short(&labels, "alertname").unwrap_or_else(|| "-".to_owned()),
        summary: summary.unwrap_or_default(),
        severity,
        server: short(&labels, "server_id").and_then(|id| id.parse().ok().map(ServerId)),
    })
}

pub(crate) fn create(body: Map<String, Value>) -> (ServerDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let draft = server(Fields::new(body, "", &mut errors));
    (draft, errors)
}

/// A bulk as it was asked for.
pub(crate) struct BulkDraft {
    pub(crate) servers: Vec<ServerDraft>,
    pub(crate) network: SharedNetwork,
    pub(crate) policy: BulkPolicy,
}

pub(crate) fn bulk_create(body: Map<String, Value>) -> (BulkDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let items = fields.required_list("servers");
    let shared = networks(&mut fields);
    let policy = fields.one_of("policy", &BulkPolicy::ALL, BulkPolicy::as_str);
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
    let bulk = BulkDraft {
        servers: drafts,
        network: shared,
        policy: policy.unwrap_or_default(),
    };
    (bulk, errors)
}

pub(crate) fn bulk_delete(body: Map<String, Value>) -> (Vec<ServerId>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let ids = server_ids(&mut fields);
    fields.finish();
    (ids, errors)
}

pub(crate) fn bulk_power(
    body: Map<String, Value>,
) -> (Vec<ServerId>, Option<PowerTarget>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let ids = server_ids(&mut fields);
    let target = power_target(&mut fields);
    fields.finish();
    (ids, target, errors)
}

fn server_ids(fields: &mut Fields<'_>) -> Vec<ServerId> {
    let items = fields.required_list("server_ids").unwrap_or_default();
    let mut ids = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        match item.as_i64() {
            Some(id) => ids.push(ServerId(id)),
            None => fields.wrong(
                &format!("server_ids[{index}]"),
                Reason::Type {
                    expected: "integer",
                },
            ),
        }
    }
    ids
}

fn power_target(fields: &mut Fields<'_>) -> Option<PowerTarget> {
    match fields.required_text("status").as_deref() {
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
    }
}

/// What may be changed of a server.
pub(crate) fn change(body: Map<String, Value>) -> (ServerChange, FieldErrors) {
    const FIELDS: &[&str] = &[
        "cpu",
        "memory",
        "disk_size",
        "tags",
        "description",
        "expires_at",
        "project",
    ];
    let mut errors = FieldErrors::default();
    let empty = body.is_empty();
    let mut fields = Fields::new(body, "", &mut errors);
    let at = fields.nullable("expires_at", |fields| fields.moment("expires_at"));
    let action = fields.one_of("on_expiry", &OnExpiry::ALL, OnExpiry::as_str);
    if action.is_some() && at.is_none() {
        fields.wrong("expires_at", Reason::Needs { other: "on_expiry" });
    }
    let change = ServerChange {
        cpu: fields.integer("cpu"),
        memory: fields.integer("memory"),
        disk_size: fields.integer("disk_size"),
        tags: fields.texts("tags"),
        description: fields.text("description"),
        expiry: at.map(|at| ExpiryDraft { at, action }),
        project: fields.text("project"),
        confirm: fields.text("confirm"),
    };
    fields.finish();
    if empty {
        errors.add("", Reason::OneNeeded { of: FIELDS });
    }
    (change, errors)
}

/// A guest that is to be taken over.
pub(crate) fn import(body: Map<String, Value>) -> (ImportDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let draft = ImportDraft {
        vmid: fields.required_integer("vmid"),
        name: fields.text("name"),
        role: fields.text("role"),
        engine: fields.text("engine"),
        project: fields.text("project"),
    };
    fields.finish();
    (draft, errors)
}

/// What is to become of each option: `{"fields": {"memory": "adopt"}}`.
pub(crate) fn drift(body: Map<String, Value>) -> (BTreeMap<String, DriftChoice>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let map = fields.object("fields");
    fields.finish();
    let mut choices = BTreeMap::new();
    let Some(map) = map.filter(|map| !map.is_empty()) else {
        if errors.is_empty() {
            errors.add("fields", Reason::Required);
        }
        return (choices, errors);
    };
    let options: Vec<String> = map.keys().cloned().collect();
    let mut fields = Fields::new(map, "fields.", &mut errors);
    for option in options {
        if let Some(choice) = fields.one_of(&option, &DriftChoice::ALL, DriftChoice::as_str) {
            choices.insert(option, choice);
        }
    }
    (choices, errors)
}

/// A project as asked for.
pub(crate) fn project(body: Map<String, Value>) -> (ProjectChange, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let (name, description) = (fields.text("name"), fields.text("description"));
    let quota = fields.object("quota");
    fields.finish();
    let quota = quota.map_or_else(QuotaChange::default, |map| {
        let mut fields = Fields::new(map, "quota.", &mut errors);
        let mut bound = |name: &str| fields.nullable(name, |fields| fields.integer(name));
        let quota = QuotaChange {
            servers: bound("servers"),
            cpu: bound("cpu"),
            memory: bound("memory"),
            disk: bound("disk_size"),
        };
        fields.finish();
        quota
    });
    let change = ProjectChange {
        name,
        description,
        quota,
    };
    (change, errors)
}

/// A network as asked for.
pub(crate) fn address_network(body: Map<String, Value>) -> (NetworkChange, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let change = NetworkChange {
        name: fields.text("name"),
        range: fields.text("range"),
        prefix: fields.integer_or_text("prefix"),
        gateway: fields.nullable("gateway", |fields| fields.text("gateway")),
        dns: fields.texts("dns"),
        bridge: fields.text("bridge"),
        vlan: fields.nullable("vlan", |fields| fields.integer("vlan")),
        exclusions: fields.texts("exclusions"),
    };
    fields.finish();
    (change, errors)
}

pub(crate) fn power(body: Map<String, Value>) -> (Option<PowerTarget>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let target = power_target(&mut fields);
    fields.finish();
    (target, errors)
}

/// Roles that a person is given.
fn assignments(fields: &mut Fields<'_>) -> Option<Vec<AssignmentDraft>> {
    const NAME: &str = "roles";
    let path = fields.path(NAME);
    let items = fields.list(NAME)?;
    let mut all = Vec::with_capacity(items.len());
    for (n, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{n}]");
        match item {
            // A role everywhere may be written by its name alone.
            Value::String(role) => all.push(AssignmentDraft {
                role: Some(role),
                project: None,
            }),
            Value::Object(map) => {
                let mut fields = Fields::new(map, format!("{path}."), fields.errors());
                all.push(AssignmentDraft {
                    role: fields.required_text("role"),
                    project: fields.text("project"),
                });
                fields.finish();
            }
            _ => {
                let expected = "object";
                fields.errors().add(path, Reason::Type { expected });
            }
        }
    }
    Some(all)
}

fn language(fields: &mut Fields<'_>) -> Option<Option<String>> {
    let word = |fields: &mut Fields<'_>| fields.one_of("language", &["ko", "en"], |word| word);
    let language = fields.nullable("language", word)?;
    Some(language.map(str::to_owned))
}

/// A person to be added.
pub(crate) fn user(body: Map<String, Value>) -> (UserDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let draft = UserDraft {
        username: fields.text("username"),
        password: fields.text("password"),
        roles: assignments(&mut fields),
        temporary: fields.boolean("temporary"),
        ..UserDraft::default()
    };
    fields.finish();
    (draft, errors)
}

/// What is to change of a person.
pub(crate) fn user_change(body: Map<String, Value>) -> (UserDraft, FieldErrors) {
    const FIELDS: &[&str] = &[
        "password",
        "temporary",
        "roles",
        "second_factor",
        "disabled",
        "language",
    ];
    let mut errors = FieldErrors::default();
    let empty = body.is_empty();
    let mut fields = Fields::new(body, "", &mut errors);
    let draft = UserDraft {
        username: None,
        password: fields.text("password"),
        temporary: fields.boolean("temporary"),
        roles: assignments(&mut fields),
        second_factor: fields.boolean("second_factor"),
        disabled: fields.boolean("disabled"),
        language: language(&mut fields),
    };
    fields.finish();
    if empty {
        errors.add("", Reason::OneNeeded { of: FIELDS });
    }
    (draft, errors)
}

/// What the person of the request may change of themselves.
pub(crate) fn me(body: Map<String, Value>) -> (Option<Option<String>>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let empty = body.is_empty();
    let mut fields = Fields::new(body, "", &mut errors);
    let language = language(&mut fields);
    fields.finish();
    if empty {
        errors.add("", Reason::OneNeeded { of: &["language"] });
    }
    (language, errors)
}

/// The level of the logs; `null` is as configured.
pub(crate) fn log_level(body: Map<String, Value>) -> (Option<Option<LogLevel>>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let word = |fields: &mut Fields<'_>| fields.one_of("level", &LogLevel::ALL, LogLevel::as_str);
    let level = fields.nullable("level", word);
    fields.finish();
    (level, errors)
}

/// Whether a notification is read.
pub(crate) fn mark(body: Map<String, Value>) -> (Option<bool>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let read = fields.boolean("read");
    fields.finish();
    (read, errors)
}

/// The present password and a new one.
pub(crate) fn password(body: Map<String, Value>) -> (Option<String>, Option<String>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let (present, new) = (fields.text("current_password"), fields.text("new_password"));
    fields.finish();
    (present, new, errors)
}

/// A role: its name when it is new, and what it allows.
pub(crate) fn role(
    body: Map<String, Value>,
    new: bool,
) -> (Option<String>, Option<Vec<String>>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let name = new.then(|| fields.required_text("name")).flatten();
    let words = fields.texts("permissions");
    fields.finish();
    (name, words, errors)
}

/// A key to be made.
pub(crate) fn key(body: Map<String, Value>) -> (KeyDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let draft = KeyDraft {
        name: fields.text("name"),
        scopes: fields.texts("scopes"),
        networks: fields.texts("networks"),
        expires_at: fields.moment("expires_at"),
    };
    fields.finish();
    (draft, errors)
}

/// Name and password of somebody who wants in.
pub(crate) fn login(
    body: Map<String, Value>,
) -> (Option<(String, String, Option<String>)>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let username = fields.required_text("username");
    let password = fields.required_text("password");
    let code = fields.text("code");
    fields.finish();
    let both = username.zip(password);
    (both.map(|(name, word)| (name, word, code)), errors)
}

/// A code of a second factor.
pub(crate) fn code(body: Map<String, Value>) -> (Option<String>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, "", &mut errors);
    let code = fields.text("code");
    fields.finish();
    (code, errors)
}
