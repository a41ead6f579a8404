//! The OpenAPI document: one file per resource, each a list of operations with the shapes of what goes
//! over the wire.
//!
//! The document is held against the route table (every route stands here and nothing else does), against
//! a golden file, and against answers of a running service.

mod audit;
mod auth;
mod backups;
mod channels;
mod code;
mod envelope;
mod errors;
mod events;
mod examples;
mod monitoring;
mod networks;
mod nodes;
mod notifications;
mod operation;
mod projects;
mod schedules;
mod secrets;
mod servers;
mod shapes;
mod system;
mod tasks;
mod text;
mod users;
mod words;

#[cfg(test)]
mod tests;

use crate::extract::COOKIE;
use operation::{Named, Op};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use utoipa::ToSchema;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{
    AdditionalProperties, Components, ComponentsBuilder, ObjectBuilder, Schema, Type,
};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{OpenApi, OpenApiBuilder, PathItem, PathsBuilder, RefOr, Required};

/// The document as JSON text, made once.
pub(crate) static DOCUMENT: LazyLock<String> =
    LazyLock::new(|| serde_json::to_string(&document()).unwrap_or_default());

/// A group of operations: its name, what it is about, and what it has.
type Group = (&'static str, &'static str, fn() -> Vec<Op>);

/// In the order a reader meets them.
const GROUPS: [Group; 17] = [
    (
        "Session",
        "Logging in and out; one's own sessions, keys and password.",
        auth::operations,
    ),
    (
        "Servers",
        "Servers, and what is done with them.",
        servers::operations,
    ),
    (
        "Servers as code",
        "Terraform states, and taking servers away as code.",
        code::operations,
    ),
    (
        "Tasks",
        "Durable work: what is under way, and what became of it.",
        tasks::operations,
    ),
    (
        "Projects",
        "Whose servers are whose, and how much they may have.",
        projects::operations,
    ),
    (
        "Networks",
        "Addresses that are handed out.",
        networks::operations,
    ),
    (
        "Nodes",
        "The cluster, as it was seen last.",
        nodes::operations,
    ),
    (
        "Backups",
        "Backups of servers, and restoring them.",
        backups::operations,
    ),
    (
        "Monitoring",
        "What is measured of servers, and alerts.",
        monitoring::operations,
    ),
    ("Notifications", "What happened.", notifications::operations),
    (
        "Secrets",
        "What is secret: the store, reading and writing.",
        secrets::operations,
    ),
    (
        "Channels",
        "Where notifications are sent to beside the inbox.",
        channels::operations,
    ),
    ("Events", "What changes, as it changes.", events::operations),
    ("People", "People, and what they may do.", users::operations),
    ("Audit", "Who did what.", audit::operations),
    ("System", "How the service is doing.", system::operations),
    (
        "Public",
        "For load balancers, supervisors and programmers; nobody has to be logged in.",
        public,
    ),
];

fn public() -> Vec<Op> {
    let mut all = system::health();
    all.extend(text::operations());
    all
}

/// The whole document.
pub(crate) fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut schemas: Vec<Named> = vec![(
        envelope::ErrorAnswer::name().into_owned(),
        <envelope::ErrorAnswer as utoipa::PartialSchema>::schema(),
    )];
    envelope::ErrorAnswer::schemas(&mut schemas);
    let mut tags = Vec::new();
    for (name, about, operations) in GROUPS {
        tags.push(
            TagBuilder::new()
                .name(name)
                .description(Some(about))
                .build(),
        );
        for op in operations() {
            let (path, method) = (op.path, op.method.clone());
            let (more, operation) = op.finish(name);
            schemas.extend(more);
            paths = paths.path(path, PathItem::new(method, operation));
        }
    }
    let mut document = OpenApiBuilder::new()
        .info(text::info())
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components(schemas)))
        .security(Some([
            SecurityRequirement::new("session", Vec::<String>::new()),
            SecurityRequirement::new("apiKey", Vec::<String>::new()),
        ]))
        .build();
    close(&mut document);
    document
}

fn components(schemas: Vec<Named>) -> Components {
    let language = ParameterBuilder::new()
        .name("Accept-Language")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The language of texts for people: `ko` (also when not said, or none of these) or `en`. Codes and \
             field names are never translated.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some("en".into()));
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A name for this request, made up by the caller, such as a UUID: 1 to 200 visible ASCII characters. The same \
             request with the same key has no second effect and gets the first one's answer, for \
             `limits.idempotency_hours` (24 h unless set otherwise). Only answers of success are kept.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(200))
                .pattern(Some("^[!-~]+$")),
        ));
    let request_id = HeaderBuilder::new()
        .description(Some(
            "Names the request in the log: the one that was sent as `X-Request-Id`, or one made up.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
    let retry_after = HeaderBuilder::new()
        .description(Some("Seconds after which it is worth trying again."))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(0)),
        ));
    let session = ApiKeyValue::with_description(
        COOKIE,
        "The session cookie that logging in answers with (over HTTPS it is called `__Host-tpm_session`): HttpOnly, SameSite=Strict, and Secure unless on \
         loopback. A browser's writes must come from the service's own origin.",
    );
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("tpm_…")
        .description(Some("An API key: `Authorization: Bearer tpm_…`."));
    let mut components = ComponentsBuilder::new()
        .parameter("AcceptLanguage", language.build())
        .parameter("IdempotencyKey", key.build())
        .header("RequestId", request_id.build())
        .header("RetryAfter", retry_after.build())
        .security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)))
        .security_scheme("apiKey", SecurityScheme::Http(bearer.build()));
    for (name, schema) in schemas {
        components = components.schema(name, schema);
    }
    for known in errors::all() {
        let example = ExampleBuilder::new()
            .summary(known.meaning)
            .value(Some(known.example));
        components = components.example(known.code, example.build());
    }
    components.build()
}

/// Whether a field may be `null`.
fn is_nullable(schema: &RefOr<Schema>) -> bool {
    let value = serde_json::to_value(schema).unwrap_or_default();
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    let any = |list: &Value| list.as_array().is_some_and(|list| list.iter().any(is_null));
    any(&value["type"]) || any(&value["oneOf"]) || any(&value["anyOf"])
}

/// The names of schemas that a part of the document refers to.
fn refers(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get("$ref")
                && let Some(name) = to.strip_prefix("#/components/schemas/")
            {
                names.push(name.to_owned());
            }
            map.values().for_each(|value| refers(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| refers(value, names)),
        _ => {}
    }
}

/// The names of schemas that answers are made of.
fn answered(document: &Value) -> BTreeSet<String> {
    let mut names = Vec::new();
    let items = document["paths"].as_object().into_iter().flatten();
    for (_, item) in items {
        for (_, operation) in item.as_object().into_iter().flatten() {
            refers(&operation["responses"], &mut names);
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(name) = names.pop() {
        if seen.insert(name.clone()) {
            refers(&document["components"]["schemas"][&name], &mut names);
        }
    }
    seen
}

/// What programs of others send, who may say more than is read of it.
const OPEN: [&str; 2] = ["AlertmanagerMessage", "SentAlert"];

/// Objects have the fields that are described and no others. A field of an answer is always there, also
/// when it is `null`; what may be absent is never `null`.
fn close(document: &mut OpenApi) {
    let answered = answered(&serde_json::to_value(&*document).unwrap_or_default());
    let Some(components) = &mut document.components else {
        return;
    };
    for (name, schema) in &mut components.schemas {
        let RefOr::T(Schema::Object(object)) = schema else {
            continue;
        };
        if object.properties.is_empty() || OPEN.contains(&name.as_str()) {
            continue;
        }
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        if !answered.contains(name) {
            continue;
        }
        for (field, schema) in &object.properties {
            if is_nullable(schema) && !object.required.contains(field) {
                object.required.push(field.clone());
            }
        }
    }
}
