//! What PVE's server does that an HTTP library would not.

use std::time::Duration;

use tpm_pve_simulator::{Simulator, SimulatorConfig};

use crate::client::Client;

async fn started() -> (Simulator, Client) {
    let simulator = Simulator::start(SimulatorConfig::for_tests())
        .await
        .expect("start");
    let client = Client::new(&simulator);
    (simulator, client)
}

#[tokio::test]
async fn refused_logins_have_no_body_no_length_and_take_their_time() {
    let config = SimulatorConfig {
        auth_failure_delay: true,
        time_scale: 0.05,
        ..SimulatorConfig::for_tests()
    };
    let simulator = Simulator::start(config).await.expect("start");
    let client = Client::new(&simulator);
    let began = std::time::Instant::now();
    let answer = client
        .raw(b"GET /api2/json/nodes HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .expect("answer");
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!((answer.status, answer.reason.as_str()), (401, "No ticket"));
    assert_eq!(answer.header("Content-Length"), None);
    assert_eq!(answer.header("Content-Type"), None);
    assert_eq!(answer.header("Connection"), Some("close"));
    assert_eq!(answer.body, "");
}

#[tokio::test]
async fn what_the_server_cannot_do_is_refused_in_its_words() {
    let (_simulator, client) = started().await;
    let head = client
        .raw(b"HEAD /api2/json/version HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(
        head.map(|answer| answer.reason),
        Some("method 'HEAD' not available".into())
    );
    let token = format!("Authorization: PVEAPIToken={}", client.token);
    let chunked = format!(
        "POST /api2/json/nodes/pve1/qemu HTTP/1.1\r\nHost: x\r\n{token}\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let answer = client.raw(chunked.as_bytes()).await.expect("answer");
    assert_eq!(answer.status, 501);
    assert_eq!(answer.body, "chunked transfer encoding not supported");
    let large = format!(
        "POST /api2/json/nodes/pve1/qemu HTTP/1.1\r\nHost: x\r\n{token}\r\nContent-Length: 600000\r\n\r\n"
    );
    let answer = client.raw(large.as_bytes()).await.expect("answer");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (501, "for data too large")
    );
    let huge = format!(
        "GET /api2/json/version HTTP/1.1\r\nX: {}\r\n\r\n",
        "x".repeat(9000)
    );
    assert!(
        client.raw(huge.as_bytes()).await.is_none(),
        "closed without a word"
    );
}

#[tokio::test]
async fn form_values_are_cut_at_a_second_equals_sign() {
    let (simulator, client) = started().await;
    let form = "net0=virtio=BC:24:11:00:00:01,bridge=vmbr1";
    let answer = client
        .send("PUT", "/nodes/pve1/qemu/9000/config", form)
        .await;
    assert_eq!(answer.status, 200);
    let template = simulator
        .guests()
        .into_iter()
        .find(|guest| guest.vmid == 9000)
        .expect("9000");
    assert!(
        !template.config["net0"].contains("bridge"),
        "{}",
        template.config["net0"]
    );
}

#[tokio::test]
async fn silent_connections_are_closed_after_five_seconds() {
    let (_simulator, client) = started().await;
    let began = std::time::Instant::now();
    assert!(client.raw(b"").await.is_none());
    let waited = began.elapsed();
    assert!((4..8).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test]
async fn a_node_that_is_gone_answers_595_and_the_rest_goes_on() {
    let (simulator, client) = started().await;
    simulator.behind_the_back().set_offline("pve2", true);
    let answer = client.send("GET", "/nodes/pve2/qemu/9001/config", "").await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (595, "No route to host")
    );
    assert_eq!(answer.header("Content-Length"), None);
    let nodes = client.send("GET", "/nodes", "").await.data();
    let status = |name: &str| {
        nodes
            .as_array()
            .and_then(|nodes| nodes.iter().find(|node| node["node"] == name))
            .map(|node| node["status"].clone())
    };
    assert_eq!(status("pve2"), Some("offline".into()));
    assert_eq!(status("pve1"), Some("online".into()));
}
