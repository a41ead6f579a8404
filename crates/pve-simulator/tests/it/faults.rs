//! Faults strike where they are aimed, once, and leave behind what they say.

use tpm_pve_simulator::{Fault, FaultKind, HoldAt, Simulator, SimulatorConfig};

use crate::client::Client;

const CLONE: &str = "/nodes/pve1/qemu/9000/clone";

async fn started() -> (Simulator, Client) {
    let simulator = Simulator::start(SimulatorConfig::for_tests())
        .await
        .expect("start");
    let client = Client::new(&simulator);
    (simulator, client)
}

fn has(simulator: &Simulator, vmid: u32) -> bool {
    simulator.guests().iter().any(|guest| guest.vmid == vmid)
}

/// Waits for a clone whose answer was lost.
async fn settled(client: &Client, vmid: u32) {
    loop {
        let config = client
            .send("GET", &format!("/nodes/pve1/qemu/{vmid}/config"), "")
            .await;
        if config.status == 200 && config.data()["lock"].is_null() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_dropped_connection_may_or_may_not_have_had_its_effect() {
    let (simulator, client) = started().await;
    simulator.faults().inject(Fault::once(
        "POST",
        "/nodes/*/qemu/*/clone",
        FaultKind::DropBefore,
    ));
    assert!(client.try_send("POST", CLONE, "newid=200").await.is_none());
    assert!(!has(&simulator, 200));
    simulator.faults().inject(Fault::once(
        "POST",
        "/nodes/*/qemu/*/clone",
        FaultKind::DropAfter,
    ));
    assert!(client.try_send("POST", CLONE, "newid=200").await.is_none());
    settled(&client, 200).await;
    assert_eq!(client.task("POST", CLONE, "newid=201").await, "OK");
}

#[tokio::test]
async fn a_proxy_timeout_can_hide_a_success() {
    let (simulator, client) = started().await;
    let status = |applied| FaultKind::Status {
        code: 596,
        reason: "Connection timed out".into(),
        body: None,
        applied,
    };
    let path = "/nodes/*/qemu/*/config";
    simulator
        .faults()
        .inject(Fault::once("PUT", path, status(false)).on_vm(9000));
    simulator
        .faults()
        .inject(Fault::once("PUT", path, status(true)).on_vm(9000).skip(1));
    for (form, expected) in [("description=a", None), ("description=b", Some("b"))] {
        let answer = client
            .send("PUT", "/nodes/pve1/qemu/9000/config", form)
            .await;
        assert_eq!(answer.status, 596);
        let config = client
            .send("GET", "/nodes/pve1/qemu/9000/config", "")
            .await
            .data();
        assert_eq!(config["description"].as_str(), expected);
    }
}

#[tokio::test]
async fn a_failing_clone_takes_its_target_away() {
    let (simulator, client) = started().await;
    let text = "cfs-lock 'storage-ceph' error: got lock request timeout";
    let kind = FaultKind::TaskFails { text: text.into() };
    simulator
        .faults()
        .inject(Fault::once("POST", "/nodes/*/qemu/*/clone", kind).on_vm(202));
    let before = client
        .send("GET", "/nodes/pve1/storage/ceph/content", "")
        .await
        .data();
    assert_eq!(
        client.task("POST", CLONE, "newid=202").await,
        format!("clone failed: {text}")
    );
    assert!(!has(&simulator, 202));
    let after = client
        .send("GET", "/nodes/pve1/storage/ceph/content", "")
        .await
        .data();
    assert_eq!(before, after, "no volume is left behind");
    assert_eq!(client.task("POST", CLONE, "newid=202").await, "OK");
}

#[tokio::test]
async fn a_worker_that_does_not_start_changes_nothing() {
    let (simulator, client) = started().await;
    simulator.faults().inject(Fault::once(
        "POST",
        "/nodes/*/qemu/*/clone",
        FaultKind::NoWorkerUpid,
    ));
    let answer = client.send("POST", CLONE, "newid=203").await;
    assert_eq!(answer.reason, "got no worker upid - start worker failed");
    assert!(!has(&simulator, 203));
}

#[tokio::test]
async fn warnings_are_a_success_with_a_log_line() {
    let (simulator, client) = started().await;
    client.task("POST", CLONE, "newid=204").await;
    let kind = FaultKind::TaskWarns {
        text: "something is odd".into(),
    };
    simulator
        .faults()
        .inject(Fault::once("POST", "/nodes/*/qemu/*/status/start", kind));
    assert_eq!(
        client
            .task("POST", "/nodes/pve1/qemu/204/status/start", "")
            .await,
        "WARNINGS: 1"
    );
}

#[tokio::test]
async fn a_held_clone_shows_its_locked_stub() {
    let (simulator, client) = started().await;
    let hold = FaultKind::Hold {
        at: HoldAt::TaskStart,
    };
    let id = simulator
        .faults()
        .inject(Fault::once("POST", "/nodes/*/qemu/*/clone", hold));
    let upid = client
        .send("POST", CLONE, "newid=205&name=web")
        .await
        .data();
    simulator.faults().wait_until_held(id).await;
    let config = client
        .send("GET", "/nodes/pve1/qemu/205/config", "")
        .await
        .data();
    assert_eq!(config["lock"], "clone");
    assert_eq!(config["description"], " qmclone temporary file");
    assert!(config["name"].is_null());
    let second = client.send("POST", CLONE, "newid=205").await;
    assert_eq!(
        second.reason,
        "unable to create VM 205: config file already exists"
    );
    simulator.faults().release(id);
    assert_eq!(client.finish(upid.as_str().expect("upid")).await, "OK");
    let config = client
        .send("GET", "/nodes/pve1/qemu/205/config", "")
        .await
        .data();
    assert_eq!(
        (&config["name"], &config["lock"]),
        (&"web".into(), &serde_json::Value::Null)
    );
}

#[tokio::test]
async fn an_interrupted_clone_cleans_up() {
    let (simulator, client) = started().await;
    let hold = FaultKind::Hold {
        at: HoldAt::TaskEffect,
    };
    let id = simulator
        .faults()
        .inject(Fault::once("POST", "/nodes/*/qemu/*/clone", hold));
    let upid = client.send("POST", CLONE, "newid=206").await.data();
    let upid = upid.as_str().expect("upid");
    simulator.faults().wait_until_held(id).await;
    assert_eq!(
        client
            .send("DELETE", &format!("/nodes/pve1/tasks/{upid}"), "")
            .await
            .status,
        200
    );
    assert_eq!(
        client.finish(upid).await,
        "clone failed: interrupted by signal"
    );
    assert!(!has(&simulator, 206));
}

#[tokio::test]
async fn a_lock_file_that_is_held_times_out() {
    let config = SimulatorConfig {
        time_scale: 0.02,
        ..SimulatorConfig::for_tests()
    };
    let simulator = Simulator::start(config).await.expect("start");
    let client = Client::new(&simulator);
    client.task("POST", CLONE, "newid=207").await;
    let hold = FaultKind::Hold {
        at: HoldAt::TaskEffect,
    };
    let id = simulator
        .faults()
        .inject(Fault::once("POST", "/nodes/*/qemu/*/status/start", hold));
    let start = client
        .send("POST", "/nodes/pve1/qemu/207/status/start", "")
        .await
        .data();
    simulator.faults().wait_until_held(id).await;
    let answer = client
        .send("PUT", "/nodes/pve1/qemu/207/config", "cores=2")
        .await;
    let text = "can't lock file '/var/lock/qemu-server/lock-207.conf' - got timeout";
    assert_eq!((answer.status, answer.reason.as_str()), (500, text));
    assert_eq!(
        client
            .task("POST", "/nodes/pve1/qemu/207/status/stop", "")
            .await,
        text
    );
    simulator.faults().release(id);
    assert_eq!(client.finish(start.as_str().expect("upid")).await, "OK");
}
