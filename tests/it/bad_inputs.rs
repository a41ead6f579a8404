//! Bad requests: each is told its code, field and reason, and never a 500; nothing is created by any.

use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};
use tpm_test_support::{Client, Reply, Stack};

/// A request and the answer it deserves: status, code, field, the field's code.
pub(crate) type Case = (
    &'static str,
    Method,
    &'static str,
    Value,
    u16,
    &'static str,
    &'static str,
    &'static str,
);

/// A create that is right but for one field, set or (by `null`) absent.
fn create(field: &str, value: Value) -> Value {
    let mut body =
        json!({ "name": "x1", "role": "web", "cpu": 2, "memory": 2048, "disk_size": 20 });
    body[field] = value;
    body
}

fn net(config: Value) -> Value {
    create("network_config", config)
}

fn bulk(servers: Value, network: Value) -> Value {
    json!({ "servers": servers, "network_config": network })
}

const CREATE: &str = "/api/servers/create";
const BULK: &str = "/api/servers/bulk-create";
const REMOVE: &str = "/api/servers/bulk-delete";
const STATUS: &str = "/api/servers/1/status";
const LOGIN: &str = "/api/auth/login";

#[rustfmt::skip]
pub(crate) fn cases() -> Vec<Case> {
    let post = |name, path, body, field, code| -> Case {
        (name, Method::POST, path, body, 400, "INVALID_REQUEST", field, code)
    };
    let one = json!({ "name": "x1", "role": "web", "cpu": 1, "memory": 512, "disk_size": 10 });
    let too_many: Vec<Value> = vec![one.clone(); 501];
    vec![
        // names
        post("no name", CREATE, create("name", Value::Null), "name", "REQUIRED"),
        post("empty name", CREATE, create("name", json!("")), "name", "INVALID_NAME"),
        post("name is a number", CREATE, create("name", json!(5)), "name", "WRONG_TYPE"),
        post("name is a list", CREATE, create("name", json!(["a"])), "name", "WRONG_TYPE"),
        post("upper-case name", CREATE, create("name", json!("Web")), "name", "INVALID_NAME"),
        post("name with underscore", CREATE, create("name", json!("a_b")), "name", "INVALID_NAME"),
        post("name with dot", CREATE, create("name", json!("a.b")), "name", "INVALID_NAME"),
        post("name with space", CREATE, create("name", json!("a b")), "name", "INVALID_NAME"),
        post("name begins with digit", CREATE, create("name", json!("1a")), "name", "INVALID_NAME"),
        post("name ends in hyphen", CREATE, create("name", json!("a-")), "name", "INVALID_NAME"),
        post("name of 64", CREATE, create("name", json!("a".repeat(64))), "name", "INVALID_NAME"),
        post("Korean name", CREATE, create("name", json!("서버")), "name", "INVALID_NAME"),
        post("name with newline", CREATE, create("name", json!("a\nb")), "name", "INVALID_NAME"),
        post("name with NUL", CREATE, create("name", json!("a\u{0}b")), "name", "INVALID_NAME"),
        post("name with right-to-left mark", CREATE, create("name", json!("a\u{202e}b")), "name", "INVALID_NAME"),
        post("name is a shell line", CREATE, create("name", json!("a\"; rm -rf /")), "name", "INVALID_NAME"),
        post("name is a template", CREATE, create("name", json!("${file(\"/etc/passwd\")}")), "name", "INVALID_NAME"),
        post("very long name", CREATE, create("name", json!("a".repeat(5000))), "name", "TOO_LONG"),
        // roles and engines
        post("no role", CREATE, create("role", Value::Null), "role", "REQUIRED"),
        post("unknown role", CREATE, create("role", json!("mail")), "role", "NOT_ALLOWED"),
        post("role is a flag", CREATE, create("role", json!(true)), "role", "WRONG_TYPE"),
        post("unknown engine", CREATE, create("engine", json!("magic")), "engine", "NOT_ALLOWED"),
        // sizes
        post("no cpu", CREATE, create("cpu", Value::Null), "cpu", "REQUIRED"),
        post("cpu 0", CREATE, create("cpu", json!(0)), "cpu", "OUT_OF_RANGE"),
        post("cpu negative", CREATE, create("cpu", json!(-1)), "cpu", "OUT_OF_RANGE"),
        post("cpu huge", CREATE, create("cpu", json!(100_000)), "cpu", "OUT_OF_RANGE"),
        post("cpu beyond 64 bit", CREATE, create("cpu", json!(u64::MAX)), "cpu", "OUT_OF_RANGE"),
        post("cpu a fraction", CREATE, create("cpu", json!(1.5)), "cpu", "WRONG_TYPE"),
        post("cpu a text", CREATE, create("cpu", json!("2")), "cpu", "WRONG_TYPE"),
        post("cpu an object", CREATE, create("cpu", json!({})), "cpu", "WRONG_TYPE"),
        post("no memory", CREATE, create("memory", Value::Null), "memory", "REQUIRED"),
        post("little memory", CREATE, create("memory", json!(16)), "memory", "OUT_OF_RANGE"),
        post("much memory", CREATE, create("memory", json!(1u64 << 40)), "memory", "OUT_OF_RANGE"),
        post("no disk", CREATE, create("disk_size", Value::Null), "disk_size", "REQUIRED"),
        post("disk below the template's", CREATE, create("disk_size", json!(5)), "disk_size", "OUT_OF_RANGE"),
        post("disk 0", CREATE, create("disk_size", json!(0)), "disk_size", "OUT_OF_RANGE"),
        post("disk huge", CREATE, create("disk_size", json!(1u64 << 40)), "disk_size", "OUT_OF_RANGE"),
        post("unknown field", CREATE, create("colour", json!("red")), "colour", "UNKNOWN_FIELD"),
        // networks
        post("network a text", CREATE, net(json!("dhcp")), "network_config", "WRONG_TYPE"),
        post("network an empty list", CREATE, net(json!([])), "network_config", "WRONG_COUNT"),
        post("network list of texts", CREATE, net(json!(["a"])), "network_config", "WRONG_TYPE"),
        post("nine networks", CREATE, net(json!(vec![json!({}); 9])), "network_config", "WRONG_COUNT"),
        post("unknown network field", CREATE, net(json!({ "mask": 24 })), "network_config.mask", "UNKNOWN_FIELD"),
        post("no address", CREATE, net(json!({ "ip_address": "1.2.3", "subnet": 24 })), "network_config.ip_address", "INVALID_ADDRESS"),
        post("IPv6 address", CREATE, net(json!({ "ip_address": "fe80::1", "subnet": 24 })), "network_config.ip_address", "INVALID_ADDRESS"),
        post("address a number", CREATE, net(json!({ "ip_address": 3, "subnet": 24 })), "network_config.ip_address", "WRONG_TYPE"),
        post("address without subnet", CREATE, net(json!({ "ip_address": "10.0.0.5" })), "network_config.subnet", "REQUIRED"),
        post("subnet 0", CREATE, net(json!({ "ip_address": "10.0.0.5", "subnet": 0 })), "network_config.subnet", "OUT_OF_RANGE"),
        post("subnet 33", CREATE, net(json!({ "ip_address": "10.0.0.5", "subnet": "33" })), "network_config.subnet", "OUT_OF_RANGE"),
        post("subnet a mask", CREATE, net(json!({ "ip_address": "10.0.0.5", "subnet": "255.255.255.0" })), "network_config.subnet", "WRONG_TYPE"),
        post("network's own address", CREATE, net(json!({ "ip_address": "10.0.0.0", "subnet": 24 })), "network_config.ip_address", "RESERVED_ADDRESS"),
        post("broadcast", CREATE, net(json!({ "ip_address": "10.0.0.255", "subnet": 24 })), "network_config.ip_address", "RESERVED_ADDRESS"),
        post("gateway outside", CREATE, net(json!({ "ip_address": "10.0.0.5", "subnet": 24, "gateway": "10.0.1.1" })), "network_config.gateway", "OUTSIDE_SUBNET"),
        post("gateway no address", CREATE, net(json!({ "ip_address": "10.0.0.5", "subnet": 24, "gateway": "router" })), "network_config.gateway", "INVALID_ADDRESS"),
        post("gateway's address", CREATE, net(json!({ "ip_address": "10.0.0.1", "subnet": 24, "gateway": "10.0.0.1" })), "network_config.ip_address", "IS_GATEWAY"),
        post("gateway alone", CREATE, net(json!({ "gateway": "10.0.0.1" })), "network_config.ip_address", "REQUIRED"),
        post("address and range", CREATE, net(json!({ "ip_address": "10.0.0.5", "ip_range": "10.0.0.5-10.0.0.9", "subnet": 24 })), "network_config.ip_address", "EXCLUDES"),
        post("range reversed", CREATE, net(json!({ "ip_range": "10.0.0.9-10.0.0.5", "subnet": 24 })), "network_config.ip_range", "INVALID_RANGE"),
        post("range half", CREATE, net(json!({ "ip_range": "10.0.0.9-", "subnet": 24 })), "network_config.ip_range", "INVALID_RANGE"),
        post("range over networks", CREATE, net(json!({ "ip_range": "10.0.0.9-10.0.1.9", "subnet": 24 })), "network_config.ip_range", "OUTSIDE_SUBNET"),
        post("vlan 0", CREATE, net(json!({ "vlan": 0 })), "network_config.vlan", "OUT_OF_RANGE"),
        post("vlan 4095", CREATE, net(json!({ "vlan": 4095 })), "network_config.vlan", "OUT_OF_RANGE"),
        post("bridge that breaks out", CREATE, net(json!({ "bridge": "vmbr0,tag=5" })), "network_config.bridge", "WRONG_TYPE"),
        post("bridge too long", CREATE, net(json!({ "bridge": "abcdefghijklmnop" })), "network_config.bridge", "TOO_LONG"),
        // bulks
        post("no servers", BULK, json!({}), "servers", "REQUIRED"),
        post("servers an object", BULK, bulk(json!({}), Value::Null), "servers", "WRONG_TYPE"),
        post("servers empty", BULK, bulk(json!([]), Value::Null), "servers", "WRONG_COUNT"),
        post("501 servers", BULK, bulk(json!(too_many), Value::Null), "servers", "WRONG_COUNT"),
        post("a server a number", BULK, bulk(json!([1]), Value::Null), "servers[0]", "WRONG_TYPE"),
        post("a server null", BULK, bulk(json!([null]), Value::Null), "servers[0]", "WRONG_TYPE"),
        post("second server bad", BULK, bulk(json!([one, create("cpu", json!(0))]), Value::Null), "servers[1].cpu", "OUT_OF_RANGE"),
        post("same name twice", BULK, bulk(json!([one, one]), Value::Null), "servers[1].name", "DUPLICATE"),
        post("bulk of unknown field", BULK, json!({ "servers": [one], "count": 3 }), "count", "UNKNOWN_FIELD"),
        post("bad shared network", BULK, bulk(json!([one]), json!({ "ip_range": "x", "subnet": 24 })), "network_config.ip_range", "INVALID_RANGE"),
        // deleting and switching
        post("no ids", REMOVE, json!({}), "server_ids", "REQUIRED"),
        post("ids a number", REMOVE, json!({ "server_ids": 1 }), "server_ids", "WRONG_TYPE"),
        post("ids empty", REMOVE, json!({ "server_ids": [] }), "server_ids", "WRONG_COUNT"),
        post("ids texts", REMOVE, json!({ "server_ids": ["1"] }), "server_ids[0]", "WRONG_TYPE"),
        post("ids twice", REMOVE, json!({ "server_ids": [1, 1] }), "server_ids[1]", "DUPLICATE"),
        ("unknown ids", Method::POST, REMOVE, json!({ "server_ids": [999] }), 404, "NOT_FOUND", "", ""),
        ("no status", Method::PUT, STATUS, json!({}), 400, "INVALID_REQUEST", "status", "REQUIRED"),
        ("unknown status", Method::PUT, STATUS, json!({ "status": "paused" }), 400, "INVALID_REQUEST", "status", "NOT_ALLOWED"),
        ("status of no server", Method::PUT, "/api/servers/77/status", json!({ "status": "stopped" }), 404, "NOT_FOUND", "", ""),
        // logging in
        post("login without password", LOGIN, json!({ "username": "admin" }), "password", "REQUIRED"),
        post("login with a number", LOGIN, json!({ "username": 1, "password": "x" }), "username", "WRONG_TYPE"),
        ("login wrong", Method::POST, LOGIN, json!({ "username": "admin", "password": "nonsense" }), 401, "INVALID_CREDENTIALS", "", ""),
        ("login unknown", Method::POST, LOGIN, json!({ "username": "nobody", "password": "nonsense" }), 401, "INVALID_CREDENTIALS", "", ""),
        // ids, paths, methods
        ("id a word", Method::GET, "/api/servers/abc", Value::Null, 404, "NOT_FOUND", "", ""),
        ("id no text", Method::GET, "/api/servers/%FF", Value::Null, 404, "NOT_FOUND", "", ""),
        ("unknown field where none is needed", Method::POST, "/api/servers/1/forget", json!({ "sure": true }), 400, "INVALID_REQUEST", "sure", "UNKNOWN_FIELD"),
        ("unknown field in a retry", Method::POST, "/api/tasks/task_x/retry", json!({ "all": true }), 400, "INVALID_REQUEST", "all", "UNKNOWN_FIELD"),
        ("unknown field where a session is removed", Method::DELETE, "/api/auth/sessions/x", json!({ "sure": true }), 400, "INVALID_REQUEST", "sure", "UNKNOWN_FIELD"),
        ("unknown field where a key is removed", Method::DELETE, "/api/auth/keys/99", json!({ "sure": true }), 400, "INVALID_REQUEST", "sure", "UNKNOWN_FIELD"),
        ("unknown field where a person is removed", Method::DELETE, "/api/users/99", json!({ "sure": true }), 400, "INVALID_REQUEST", "sure", "UNKNOWN_FIELD"),
        ("unknown field where a role is removed", Method::DELETE, "/api/roles/nobody", json!({ "sure": true }), 400, "INVALID_REQUEST", "sure", "UNKNOWN_FIELD"),
        ("id 0", Method::GET, "/api/servers/0", Value::Null, 404, "NOT_FOUND", "", ""),
        ("id beyond 64 bit", Method::GET, "/api/servers/99999999999999999999", Value::Null, 404, "NOT_FOUND", "", ""),
        ("delete no server", Method::DELETE, "/api/servers/99", Value::Null, 404, "NOT_FOUND", "", ""),
        ("unknown task", Method::GET, "/api/tasks/task_nope", Value::Null, 404, "NOT_FOUND", "", ""),
        ("cancel unknown task", Method::POST, "/api/tasks/task_nope/cancel", Value::Null, 404, "NOT_FOUND", "", ""),
        ("unknown notification", Method::DELETE, "/api/notifications/99", Value::Null, 404, "NOT_FOUND", "", ""),
        ("notification a word", Method::DELETE, "/api/notifications/x", Value::Null, 404, "NOT_FOUND", "", ""),
        ("unknown path", Method::GET, "/api/nothing", Value::Null, 404, "NOT_FOUND", "", ""),
        ("no path at all", Method::GET, "/nothing/../here", Value::Null, 404, "NOT_FOUND", "", ""),
        ("wrong method", Method::PATCH, "/api/servers", Value::Null, 405, "METHOD_NOT_ALLOWED", "", ""),
        ("get a create", Method::PUT, CREATE, json!({}), 405, "METHOD_NOT_ALLOWED", "", ""),
        // queries
        ("limit 0", Method::GET, "/api/servers?limit=0", Value::Null, 400, "INVALID_REQUEST", "limit", "OUT_OF_RANGE"),
        ("limit huge", Method::GET, "/api/servers?limit=1000000000", Value::Null, 400, "INVALID_REQUEST", "limit", "OUT_OF_RANGE"),
        ("limit a word", Method::GET, "/api/servers?limit=all", Value::Null, 400, "INVALID_REQUEST", "limit", "OUT_OF_RANGE"),
        ("offset negative", Method::GET, "/api/servers?offset=-1", Value::Null, 400, "INVALID_REQUEST", "offset", "OUT_OF_RANGE"),
        ("unknown sort", Method::GET, "/api/servers?sort=colour", Value::Null, 400, "INVALID_REQUEST", "sort", "NOT_ALLOWED"),
        ("sort that breaks out", Method::GET, "/api/servers?sort=id;DROP%20TABLE%20servers", Value::Null, 400, "INVALID_REQUEST", "sort", "NOT_ALLOWED"),
        ("unknown filter", Method::GET, "/api/servers?colour=red", Value::Null, 400, "INVALID_REQUEST", "colour", "UNKNOWN_FIELD"),
        ("limit twice", Method::GET, "/api/servers?limit=1&limit=2", Value::Null, 400, "INVALID_REQUEST", "limit", "DUPLICATE"),
        ("unknown task state", Method::GET, "/api/tasks?status=odd", Value::Null, 400, "INVALID_REQUEST", "status", "NOT_ALLOWED"),
    ]
}

fn is_envelope(reply: &Reply) -> bool {
    let error = &reply.body["error"];
    error["code"].is_string() && error["message"].is_string() && error["details"].is_object()
}

async fn check(client: &Client, case: &Case) -> anyhow::Result<()> {
    let (name, method, path, body, status, code, field, reason) = case;
    let body = (!body.is_null()).then_some(body);
    let reply = client.send(method.clone(), path, body).await?;
    ensure!(
        is_envelope(&reply),
        "{name}: no envelope: {} {}",
        reply.status,
        reply.body
    );
    ensure!(
        reply.status == *status,
        "{name}: {} {}",
        reply.status,
        reply.body
    );
    let error = &reply.body["error"];
    ensure!(error["code"] == *code, "{name}: {}", reply.body);
    if !field.is_empty() {
        let details = &error["details"];
        ensure!(details["field"] == *field, "{name}: {}", reply.body);
        ensure!(
            details["reason"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{name}"
        );
        let first = &details["fields"][0];
        ensure!(
            first["field"] == *field && first["code"] == *reason,
            "{name}: {}",
            reply.body
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_is_wrong() -> anyhow::Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.start_worker()?;
    let (task, _) = stack.client.create("good", json!({})).await?;
    stack.client.ended(&task).await?;
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    for case in &cases {
        check(&stack.client, case).await?;
    }
    let servers = stack.client.get("/api/servers").await?;
    assert_eq!(servers.body["total"], 1, "{}", servers.body);
    stack.stop().await
}

/// Bodies that are no JSON objects, and how they are sent.
#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_told_what_is_wrong() -> anyhow::Result<()> {
    let stack = Stack::builder()
        .set("API__MAX_BODY_BYTES", 4096)
        .start()
        .await?;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!("{{\"name\": \"{}\"}}", "a".repeat(5000));
    let cases: [(&str, &str, &str, u16, &str); 11] = [
        ("empty", "", "application/json", 400, "INVALID_JSON"),
        (
            "broken",
            "{\"name\": ",
            "application/json",
            400,
            "INVALID_JSON",
        ),
        ("null", "null", "application/json", 400, "INVALID_JSON"),
        ("a list", "[]", "application/json", 400, "INVALID_JSON"),
        ("a text", "\"x\"", "application/json", 400, "INVALID_JSON"),
        (
            "no UTF-8 escape",
            "{\"name\": \"\\ud800\"}",
            "application/json",
            400,
            "INVALID_JSON",
        ),
        (
            "two objects",
            "{}{}",
            "application/json",
            400,
            "INVALID_JSON",
        ),
        (
            "a form",
            "name=x",
            "application/x-www-form-urlencoded",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            "plain text",
            "{}",
            "text/plain",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            "too large",
            &huge,
            "application/json",
            413,
            "PAYLOAD_TOO_LARGE",
        ),
        (
            "too deep and too large",
            &deep,
            "application/json",
            413,
            "PAYLOAD_TOO_LARGE",
        ),
    ];
    for (name, body, media, status, code) in cases {
        let request = stack
            .client
            .http()
            .post(format!("{}{CREATE}", stack.client.base()));
        let sent = request
            .header("content-type", media)
            .body(body.to_owned())
            .send()
            .await?;
        let reply = Client::read(sent).await?;
        ensure!(
            reply.status == status,
            "{name}: {} {}",
            reply.status,
            reply.body
        );
        ensure!(
            is_envelope(&reply) && reply.body["error"]["code"] == code,
            "{name}: {}",
            reply.body
        );
    }
    stack.stop().await
}

/// All that is wrong is told at once, in the reader's language; codes and fields stay.
#[tokio::test(flavor = "multi_thread")]
async fn all_wrong_fields_are_told_at_once_in_both_languages() -> anyhow::Result<()> {
    let stack = Stack::builder().start().await?;
    let body = json!({ "role": "x", "cpu": "two", "memory": 1, "disk_size": 0, "odd": 1,
        "network_config": { "ip_address": "10.0.0.300", "subnet": 40 } });
    let mut seen = Vec::new();
    for lang in ["ko", "en"] {
        let request = stack
            .client
            .http()
            .post(format!("{}{CREATE}", stack.client.base()));
        let sent = request
            .header("accept-language", lang)
            .json(&body)
            .send()
            .await?;
        let reply = Client::read(sent).await?;
        let fields = reply.body["error"]["details"]["fields"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let names: Vec<_> = fields
            .iter()
            .map(|field| (field["field"].clone(), field["code"].clone()))
            .collect();
        assert_eq!(names.len(), 8, "{:#}", reply.body);
        seen.push((names, reply.body["error"]["message"].clone(), fields));
    }
    assert_eq!(seen[0].0, seen[1].0);
    assert_eq!(seen[0].1, "요청 파라미터가 올바르지 않습니다");
    assert_eq!(seen[1].1, "the request's parameters are not valid");
    for (ko, en) in seen[0].2.iter().zip(&seen[1].2) {
        assert_ne!(ko["reason"], en["reason"]);
    }
    stack.stop().await
}
