//! The control door over HTTP, as a test in another process uses it.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tpm_pve_simulator::{Simulator, SimulatorConfig};

use crate::client::{Answer, Client};

async fn knock(simulator: &Simulator, method: &str, path: &str, body: &Value) -> Value {
    let url = simulator.control_url().expect("an open door");
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .expect("connect");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    let answer = Answer::parse(&answer).expect("answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn the_door_is_shut_unless_asked_for() {
    let simulator = Simulator::start(SimulatorConfig::for_tests())
        .await
        .expect("start");
    assert_eq!(simulator.control_url(), None);
}

#[tokio::test]
async fn faults_strangers_and_numbers_go_through_the_door() {
    let config = SimulatorConfig {
        control: Some(([127, 0, 0, 1], 0).into()),
        ..SimulatorConfig::for_tests()
    };
    let simulator = Simulator::start(config).await.expect("start");
    let client = Client::new(&simulator);
    let fault = json!({"method": "GET", "path": "/version", "kind": "status", "code": 595, "reason": "Connection refused"});
    let id = knock(&simulator, "POST", "/faults", &fault).await["id"].clone();
    assert_eq!(client.send("GET", "/version", "").await.status, 595);
    assert_eq!(client.send("GET", "/version", "").await.status, 200);
    let faults = knock(&simulator, "GET", "/faults", &Value::Null).await;
    assert_eq!((&faults[0]["id"], &faults[0]["hits"]), (&id, &json!(1)));

    let before = knock(&simulator, "GET", "/foreign", &Value::Null).await;
    let stranger = json!({"node": "pve3", "name": "theirs"});
    knock(&simulator, "POST", "/guests/500/create", &stranger).await;
    assert_ne!(
        knock(&simulator, "GET", "/foreign", &Value::Null).await,
        before
    );
    knock(
        &simulator,
        "POST",
        "/guests/500/migrate",
        &json!({"node": "pve1"}),
    )
    .await;
    knock(&simulator, "POST", "/guests/500/power-on", &Value::Null).await;
    knock(
        &simulator,
        "POST",
        "/guests/500/lock",
        &json!({"lock": "backup"}),
    )
    .await;
    let path = "/nodes/pve1/qemu/500/status/stop";
    assert_eq!(client.task("POST", path, "").await, "VM is locked (backup)");
    knock(
        &simulator,
        "POST",
        "/guests/500/lock",
        &json!({"lock": null}),
    )
    .await;
    assert_eq!(client.task("POST", path, "").await, "OK");

    let effects = knock(&simulator, "GET", "/effects", &Value::Null).await;
    let kinds: Vec<&str> = effects
        .as_array()
        .map(|list| {
            list.iter()
                .filter_map(|effect| effect["kind"].as_str())
                .collect()
        })
        .unwrap_or_default();
    assert_eq!(
        kinds,
        ["create", "migrate", "start", "config", "config", "stop"]
    );
    assert!(
        effects[5]["task"]
            .as_str()
            .is_some_and(|upid| upid.starts_with("UPID:pve1:"))
    );
    let counters = knock(&simulator, "GET", "/counters", &Value::Null).await;
    assert_eq!(counters["requests"]["GET /version"], 2);
    knock(&simulator, "DELETE", "/counters", &Value::Null).await;
    assert_eq!(simulator.counters().requests.len(), 0);
}
