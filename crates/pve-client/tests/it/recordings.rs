//! Every answer a real PVE 9.2 gave, through the whole client.
//!
//! The recordings are plain text with secrets blanked. Before an answer goes over the wire, its line ends
//! are put back, and where the blanking left another length or half a list, that is mended too.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tpm_pve_client::{
    ApiPath, Client, ErrorClass, GuestConfig, Method, Params, TaskFilter, TaskStatus, Upid,
};

use crate::{
    config,
    server::{Answer, Server},
    token,
};

struct Exchange {
    file: String,
    method: String,
    path: String,
    status: u16,
    reason: String,
    body: Vec<u8>,
    wire: Vec<u8>,
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn exchanges() -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 367);
    let mut all = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read(&file).unwrap();
        let mut rest = &text[..];
        while let Some(at) = find(rest, b">>> REQUEST\n") {
            rest = &rest[at + 12..];
            let response = find(rest, b"<<< RESPONSE\n").unwrap();
            let end = find(rest, b"\n\n======").unwrap_or(rest.len());
            all.push(exchange(
                &name,
                &rest[..response],
                &rest[response + 13..end.max(response + 13)],
            ));
            rest = &rest[end..];
        }
    }
    all
}

fn exchange(file: &str, request: &[u8], response: &[u8]) -> Exchange {
    let request = String::from_utf8_lossy(request);
    let mut words = request.split(' ');
    let (method, path) = (
        words.next().unwrap().to_owned(),
        words.next().unwrap().to_owned(),
    );
    let split = find(response, b"\n\n");
    let (head, body) = split.map_or((response, &[][..]), |at| {
        (&response[..at], &response[at + 2..])
    });
    let head = String::from_utf8(head.to_vec()).unwrap();
    let mut body = body.strip_suffix(b"\n").unwrap_or(body).to_vec();
    while let Some(at) = find(&body, b"[,{").or_else(|| find(&body, b",,{")) {
        body.remove(at + 1);
    }
    let mut wire = Vec::new();
    for line in head.lines() {
        let line = match line.split_once(": ") {
            Some(("Content-Length", _)) => format!("Content-Length: {}", body.len()),
            _ => line.to_owned(),
        };
        wire.extend_from_slice(line.as_bytes());
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"\r\n");
    wire.extend_from_slice(&body);
    let mut status_line = head.lines().next().unwrap().splitn(3, ' ').skip(1);
    Exchange {
        file: file.to_owned(),
        method,
        path,
        status: status_line.next().unwrap().parse().unwrap(),
        reason: status_line.next().unwrap().to_owned(),
        body,
        wire,
    }
}

/// One server for all answers: it sends the one that was put in last.
struct Player {
    answer: Arc<Mutex<Vec<u8>>>,
    client: Client,
    _server: Server,
}

impl Player {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&answer);
        let server = Server::start(move |_| Answer::Close(shared.lock().unwrap().clone())).await;
        let mut config = config(&[&server], token());
        // a recorded 401 must not keep the next recording from being asked for
        config.timeouts.refused_pause = Duration::ZERO;
        Self {
            answer,
            client: Client::new(config).unwrap(),
            _server: server,
        }
    }

    fn play(&self, exchange: &Exchange) -> &Client {
        self.answer.lock().unwrap().clone_from(&exchange.wire);
        &self.client
    }
}

fn method(exchange: &Exchange) -> Method {
    match exchange.method.as_str() {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_answer_is_understood() {
    let (mut successes, mut failures) = (0, BTreeMap::<ErrorClass, usize>::new());
    let player = Player::start().await;
    for exchange in exchanges() {
        let context = format!("{} {} {}", exchange.file, exchange.method, exchange.path);
        let client = player.play(&exchange);
        let path = ApiPath::new(["version"]).unwrap();
        let result = client.call(method(&exchange), &path, &Params::new()).await;
        let json = serde_json::from_slice::<Value>(&exchange.body).ok();
        match result {
            Ok(reply) => {
                assert_eq!(exchange.status, 200, "{context}");
                let json = json.expect("a success is JSON");
                assert_eq!(reply.data, json["data"], "{context}");
                assert_eq!(reply.total, json["total"].as_u64(), "{context}");
                successes += 1;
            }
            // the HTML view is no API answer
            Err(error) if exchange.status == 200 => {
                assert!(
                    json.is_none() && exchange.path.contains("/html/"),
                    "{context}: {error}"
                );
            }
            Err(error) => {
                assert_eq!(error.status(), Some(exchange.status), "{context}");
                assert_eq!(error.text(), exchange.reason.trim(), "{context}");
                let fields = json.as_ref().and_then(|json| json["errors"].as_object());
                assert_eq!(
                    error.fields().len(),
                    fields.map_or(0, |fields| fields.len()),
                    "{context}"
                );
                *failures.entry(error.class()).or_default() += 1;
            }
        }
    }
    assert!(successes > 390, "{successes}");
    assert_eq!(failures.values().sum::<usize>(), 487 - 396, "{failures:?}");
}

/// The class of every refusal a real host gave, by its text.
#[tokio::test]
async fn every_refusal_has_the_expected_class() {
    use ErrorClass::{Ambiguous, Auth, Busy, Exists, Missing, NotSent, Rejected};
    let player = Player::start().await;
    for exchange in exchanges()
        .into_iter()
        .filter(|exchange| exchange.status != 200)
    {
        let client = player.play(&exchange);
        let path = ApiPath::new(["version"]).unwrap();
        let error = client
            .call(method(&exchange), &path, &Params::new())
            .await
            .unwrap_err();
        let field = |text: &str| error.fields().values().any(|value| value.contains(text));
        let text = error.text();
        let expected = match exchange.status {
            401 => Auth,
            595 => NotSent,
            596 => Ambiguous,
            400 if field("already exists") => Exists,
            400 if field("no such task") || field("hotplug problem") => Ambiguous,
            400 | 403 | 501 | 506 => Rejected,
            _ if text.contains(".conf' does not exist")
                || text.contains("unable to find configuration") =>
            {
                Missing
            }
            _ if text.contains("already exists") => Exists,
            _ if text.contains("VM is locked") => Busy,
            _ if text.contains("checksum mismatch") => Ambiguous,
            _ => Rejected,
        };
        assert_eq!(error.class(), expected, "{}: {error}", exchange.file);
        assert_eq!(
            error.is_digest_conflict(),
            text.contains("checksum mismatch")
        );
    }
}

/// Reads are read by the typed call that a program would make.
#[tokio::test]
async fn typed_calls_read_what_was_recorded() {
    let mut seen = BTreeMap::<&str, usize>::new();
    let player = Player::start().await;
    for exchange in exchanges() {
        if exchange.status != 200 || exchange.method != "GET" {
            continue;
        }
        let Some(path) = exchange.path.strip_prefix("/api2/json/") else {
            continue;
        };
        let path = path.split('?').next().unwrap();
        let json: Value = serde_json::from_slice(&exchange.body).unwrap();
        let entries = json["data"].as_array().map(Vec::len);
        let client = player.play(&exchange);
        let context = format!("{} {path}", exchange.file);
        let parts: Vec<_> = path.split('/').collect();
        let kind = match parts[..] {
            ["version"] => {
                assert!(client.version().await.unwrap().version.starts_with("9.2"));
                "version"
            }
            ["cluster", "resources"] => {
                assert_eq!(
                    Some(client.cluster_resources(None).await.unwrap().len()),
                    entries
                );
                "resources"
            }
            ["cluster", "status"] => {
                assert_eq!(client.cluster_status().await.unwrap().nodes[0].name, "pve");
                "cluster status"
            }
            ["cluster", "tasks"] => {
                assert_eq!(Some(client.cluster_tasks().await.unwrap().len()), entries);
                "cluster tasks"
            }
            ["cluster", "nextid"] => {
                assert!(client.nextid_check(200).await.unwrap());
                "nextid"
            }
            ["access", "permissions"] => {
                let permissions = client.permissions(None).await.unwrap();
                assert_eq!(permissions.0.len(), json["data"].as_object().unwrap().len());
                "permissions"
            }
            ["nodes"] => {
                let nodes = client.nodes().await.unwrap();
                assert_eq!(
                    (Some(nodes.len()), nodes[0].node.as_str()),
                    (entries, "pve")
                );
                "nodes"
            }
            ["nodes", "pve", "status"] => {
                let status = client.node_status("pve").await.unwrap();
                assert!(
                    status.memory_total.unwrap() > 0 && status.cpus.unwrap() > 0,
                    "{status:?}"
                );
                assert_eq!(status.load.len(), 3);
                "node status"
            }
            ["nodes", _, "qemu"] => {
                assert_eq!(Some(client.guests("pve").await.unwrap().len()), entries);
                "guests"
            }
            ["nodes", _, "qemu", vmid, "config"] => {
                let config = client
                    .guest_config("pve", 100, false)
                    .await
                    .expect(&context);
                check_config(&config, vmid, &context);
                "config"
            }
            ["nodes", _, "qemu", _, "pending"] => {
                assert_eq!(
                    Some(client.guest_pending("pve", 100).await.unwrap().len()),
                    entries
                );
                "pending"
            }
            ["nodes", _, "qemu", _, "snapshot"] => {
                assert_eq!(
                    Some(client.snapshots("pve", 100).await.unwrap().len()),
                    entries
                );
                "snapshots"
            }
            ["nodes", _, "qemu", vmid, "status", "current"] => {
                let status = client.guest_status("pve", 100).await.expect(&context);
                assert!(["running", "stopped"].contains(&status.status.as_str()));
                assert!(
                    status.name.is_some() && status.uptime_secs.is_some(),
                    "{context} {vmid}"
                );
                "status"
            }
            ["nodes", _, "storage"] => {
                let storages = client.storages("pve", None).await.unwrap();
                assert_eq!(Some(storages.len()), entries);
                for storage in storages {
                    assert!(!storage.storage.is_empty() && storage.status.total.unwrap() > 0);
                }
                "storages"
            }
            ["nodes", _, "storage", "local", "status"] => {
                assert!(
                    client
                        .storage_status("pve", "local")
                        .await
                        .unwrap()
                        .avail
                        .unwrap()
                        > 0
                );
                "storage status"
            }
            ["nodes", _, "storage", "local", "content"] => {
                let volumes = client
                    .storage_content("pve", "local", None, None)
                    .await
                    .unwrap();
                assert_eq!(Some(volumes.len()), entries);
                assert!(
                    volumes
                        .iter()
                        .all(|volume| volume.volid.is_some() && volume.size.is_some())
                );
                "content"
            }
            ["nodes", _, "tasks"] => {
                let tasks = client.tasks("pve", &TaskFilter::default()).await.unwrap();
                assert_eq!(Some(tasks.len()), entries, "{context}");
                "tasks"
            }
            ["nodes", _, "tasks", _, "status"] => {
                let status = client.task_status(&some_upid()).await.expect(&context);
                let exit = json["data"]["exitstatus"].as_str();
                assert_eq!(status.is_finished(), exit.is_some(), "{context}");
                assert_eq!(status == TaskStatus::Ok, exit == Some("OK"), "{context}");
                let upid: Upid = json["data"]["upid"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .expect(&context);
                assert_eq!(Some(u64::from(upid.pid)), json["data"]["pid"].as_u64());
                assert_eq!(Some(upid.pstart), json["data"]["pstart"].as_u64());
                assert_eq!(Some(upid.starttime), json["data"]["starttime"].as_u64());
                assert_eq!(Some(upid.id.as_str()), json["data"]["id"].as_str());
                "task status"
            }
            ["nodes", _, "tasks", _, "log"] => {
                let log = client.task_log(&some_upid(), 0, 0).await.expect(&context);
                assert_eq!(
                    (Some(log.lines.len()), log.total),
                    (entries, json["total"].as_u64())
                );
                "task log"
            }
            _ => continue,
        };
        *seen.entry(kind).or_default() += 1;
    }
    assert_eq!(seen.len(), 19, "{seen:?}");
    assert!(
        seen["config"] >= 15 && seen["task status"] >= 60 && seen["status"] >= 10,
        "{seen:?}"
    );
}

fn some_upid() -> Upid {
    "UPID:pve:00005F56:00041310:6B03D892:qmconfig:100:tester@pve!lab:"
        .parse()
        .unwrap()
}

fn check_config(config: &GuestConfig, vmid: &str, context: &str) {
    assert_eq!(config.digest().map(str::len), Some(40), "{context}");
    for (n, net) in config.nets().expect(context) {
        assert_eq!(
            config.get(&format!("net{n}")),
            Some(net.to_string().as_str()),
            "{context}"
        );
    }
    for (key, disk) in config.disks().expect(context) {
        assert_eq!(
            config.get(&key),
            Some(disk.to_string().as_str()),
            "{context}"
        );
    }
    if config.lock() == Some("clone") {
        assert_eq!(config.name(), None, "{context}");
        return;
    }
    assert!(
        config.name().is_some() && config.memory_mb().is_some(),
        "{context} {vmid}"
    );
    assert_eq!(config.smbios_uuid().map(str::len), Some(36), "{context}");
    assert!(
        config.ctime().is_some() && config.cores().is_some(),
        "{context}"
    );
    config.agent().expect(context);
}

/// The answers to writes that start tasks name their tasks.
#[tokio::test]
async fn started_tasks_have_readable_ids() {
    let mut count = 0;
    let player = Player::start().await;
    for exchange in exchanges() {
        let text = serde_json::from_slice::<Value>(&exchange.body)
            .ok()
            .and_then(|json| {
                json["data"]
                    .as_str()
                    .filter(|data| data.starts_with("UPID:"))
                    .map(str::to_owned)
            });
        let Some(text) = text else { continue };
        let client = player.play(&exchange);
        let upid = client.start("pve", 100).await.expect(&exchange.file);
        assert_eq!((upid.as_str(), upid.node.as_str()), (text.as_str(), "pve"));
        count += 1;
    }
    assert!(count > 60, "{count}");
}
