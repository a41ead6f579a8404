//! Guests over their life: pending values, shutdowns, races, lag, other people's machines, restarts.

use std::sync::Arc;

use serde_json::{Value, json};
use tpm_pve_simulator::{Profile, Simulator, SimulatorConfig, TokenConfig};

use crate::client::Client;

async fn start(config: SimulatorConfig) -> (Simulator, Client) {
    let simulator = Simulator::start(config).await.expect("start");
    let client = Client::new(&simulator);
    (simulator, client)
}

async fn running(client: &Client, vmid: u32) {
    let clone = format!("newid={vmid}&name=vm{vmid}");
    assert_eq!(
        client
            .task("POST", "/nodes/pve1/qemu/9000/clone", &clone)
            .await,
        "OK"
    );
    let path = format!("/nodes/pve1/qemu/{vmid}/status/start");
    assert_eq!(client.task("POST", &path, "").await, "OK");
}

async fn status(client: &Client, vmid: u32) -> Value {
    client
        .send(
            "GET",
            &format!("/nodes/pve1/qemu/{vmid}/status/current"),
            "",
        )
        .await
        .data()
}

#[tokio::test]
async fn changes_of_a_running_guest_wait_for_a_reboot() {
    let (_simulator, client) = start(SimulatorConfig::for_tests()).await;
    running(&client, 300).await;
    let answer = client
        .send("PUT", "/nodes/pve1/qemu/300/config", "cores=4&name=new")
        .await;
    assert_eq!(answer.status, 200);
    let config = client
        .send("GET", "/nodes/pve1/qemu/300/config?current=1", "")
        .await
        .data();
    assert_eq!(
        (&config["cores"], &config["name"]),
        (&json!(2), &json!("new"))
    );
    let config = client
        .send("GET", "/nodes/pve1/qemu/300/config", "")
        .await
        .data();
    assert_eq!(config["cores"], 4);
    let pending = client
        .send("GET", "/nodes/pve1/qemu/300/pending", "")
        .await
        .data();
    let cores = pending
        .as_array()
        .and_then(|list| list.iter().find(|item| item["key"] == "cores"));
    assert_eq!(
        cores,
        Some(&json!({"key": "cores", "value": 2, "pending": 4}))
    );
    assert_eq!(
        client
            .task("POST", "/nodes/pve1/qemu/300/status/reboot", "")
            .await,
        "OK"
    );
    assert_eq!(status(&client, 300).await["cpus"], 4);
}

#[tokio::test]
async fn a_deaf_guest_outlasts_a_shutdown_but_not_force() {
    let config = SimulatorConfig {
        time_scale: 0.01,
        ..SimulatorConfig::for_tests()
    };
    let (simulator, client) = start(config).await;
    running(&client, 301).await;
    simulator
        .behind_the_back()
        .set_deaf(301, true)
        .expect("deaf");
    let path = "/nodes/pve1/qemu/301/status/shutdown";
    let exit = client.task("POST", path, "timeout=2").await;
    assert_eq!(exit, "VM quit/powerdown failed - got timeout");
    assert_eq!(status(&client, 301).await["status"], "running");
    assert_eq!(
        client.task("POST", path, "timeout=2&forceStop=1").await,
        "OK"
    );
    assert_eq!(status(&client, 301).await["status"], "stopped");
}

#[tokio::test]
async fn the_agent_is_silent_until_the_system_is_up() {
    let config = SimulatorConfig {
        time_scale: 0.01,
        ..SimulatorConfig::for_tests()
    };
    let (simulator, client) = start(config).await;
    running(&client, 302).await;
    let ping = "/nodes/pve1/qemu/302/agent/ping";
    simulator
        .behind_the_back()
        .set_mute(302, true)
        .expect("mute");
    assert_eq!(
        client.send("POST", ping, "").await.reason,
        "QEMU guest agent is not running"
    );
    simulator
        .behind_the_back()
        .set_mute(302, false)
        .expect("mute");
    assert_eq!(
        client.send("POST", ping, "").await.data(),
        json!({"result": {}})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_clones_to_one_id_exactly_one_wins() {
    let (simulator, client) = start(SimulatorConfig::for_tests()).await;
    let client = Arc::new(client);
    let attempts: Vec<_> = (0..6)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                let answer = client
                    .send("POST", "/nodes/pve1/qemu/9000/clone", "newid=303")
                    .await;
                match answer.data().as_str() {
                    Some(upid) => client.finish(upid).await == "OK",
                    None => false,
                }
            })
        })
        .collect();
    let mut won = 0;
    for attempt in attempts {
        won += usize::from(attempt.await.expect("join"));
    }
    assert_eq!(won, 1);
    let clones = simulator
        .effects()
        .into_iter()
        .filter(|effect| effect.kind == "clone")
        .count();
    assert_eq!(clones, 1);
}

#[tokio::test]
async fn lists_know_a_new_guest_only_after_the_next_round() {
    let config = SimulatorConfig {
        metrics_interval_secs: 1e6,
        ..SimulatorConfig::for_tests()
    };
    let (simulator, client) = start(config).await;
    client
        .task(
            "POST",
            "/nodes/pve1/qemu/9000/clone",
            "newid=304&name=fresh",
        )
        .await;
    let find = || async {
        let list = client
            .send("GET", "/cluster/resources?type=vm", "")
            .await
            .data();
        list.as_array()
            .and_then(|list| list.iter().find(|item| item["vmid"] == 304).cloned())
    };
    let expected =
        json!({"id": "qemu/304", "type": "qemu", "vmid": 304, "node": "pve1", "status": "unknown"});
    assert_eq!(find().await, Some(expected));
    simulator.behind_the_back().broadcast();
    assert_eq!(
        find().await.map(|item| item["name"].clone()),
        Some(json!("fresh"))
    );
}

#[tokio::test]
async fn foreign_guests_are_hashed_and_marked_ones_are_not() {
    let (simulator, client) = start(SimulatorConfig::for_tests()).await;
    simulator
        .behind_the_back()
        .create_foreign(400, "pve2", "theirs");
    let before = simulator.foreign_hash("tpm:v1 ");
    let form = "newid=305&name=ours&description=tpm%3Av1+abc";
    client
        .task("POST", "/nodes/pve1/qemu/9000/clone", form)
        .await;
    assert_eq!(simulator.foreign_hash("tpm:v1 "), before);
    simulator.behind_the_back().recreate(305).expect("recreate");
    let with_stranger = simulator.foreign_hash("tpm:v1 ");
    assert_ne!(with_stranger, before);
    client
        .send("PUT", "/nodes/pve2/qemu/400/config", "cores=7")
        .await;
    assert_ne!(simulator.foreign_hash("tpm:v1 "), with_stranger);
}

#[tokio::test]
async fn a_token_without_rights_sees_empty_lists_and_403() {
    let mut config = SimulatorConfig::for_tests();
    config.users[1].tokens.push(TokenConfig {
        tokenid: "weak".into(),
        secret: "weak-secret".into(),
        privsep: true,
        roles: vec![("/vms/9000".into(), "PVEAuditor".into())],
    });
    let (_simulator, mut client) = start(config).await;
    client.token = "tpm@pve!weak=weak-secret".into();
    let list = client
        .send("GET", "/cluster/resources?type=vm", "")
        .await
        .data();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    let answer = client
        .send("POST", "/nodes/pve1/qemu/9000/clone", "newid=306")
        .await;
    assert_eq!(
        answer.reason,
        "Permission check failed (/vms/9000, VM.Clone)"
    );
    let answer = client.send("GET", "/nodes/pve2/qemu/9001/config", "").await;
    assert_eq!(
        answer.reason,
        "Permission check failed (/vms/9001, VM.Audit)"
    );
}

#[tokio::test]
async fn the_state_outlives_the_process() {
    let folder = tempfile::tempdir().expect("folder");
    let config = SimulatorConfig {
        state: Some(folder.path().join("state.json")),
        ..SimulatorConfig::for_tests()
    };
    let (simulator, client) = start(config.clone()).await;
    running(&client, 307).await;
    let before = simulator.guests();
    simulator.shutdown().await;
    let (simulator, client) = start(config).await;
    assert_eq!(simulator.guests(), before);
    assert_eq!(status(&client, 307).await["status"], "running");
    let tasks = client
        .send("GET", "/nodes/pve1/tasks?typefilter=qmclone", "")
        .await
        .data();
    assert_eq!(tasks[0]["status"], "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_realistic_profile_takes_time_and_counts_width() {
    let config = SimulatorConfig {
        profile: Profile::Realistic,
        time_scale: 0.01,
        ..SimulatorConfig::for_tests()
    };
    let (simulator, client) = start(config).await;
    let mut upids = Vec::new();
    for vmid in 310..313 {
        let clone = format!("newid={vmid}");
        let answer = client
            .send("POST", "/nodes/pve1/qemu/9000/clone", &clone)
            .await;
        upids.push(answer.data().as_str().expect("upid").to_owned());
    }
    for upid in &upids {
        assert_eq!(client.finish(upid).await, "OK");
    }
    let counters = simulator.counters();
    assert!(counters.highest_clones >= 2, "{counters:?}");
    assert_eq!(counters.tasks["qmclone"], 3);
    assert_eq!(counters.requests["POST /nodes/{node}/qemu/{vmid}/clone"], 3);
}

#[tokio::test]
async fn an_id_taken_on_another_node_fails_in_the_task() {
    let (simulator, client) = start(SimulatorConfig::for_tests()).await;
    let before = simulator.foreign_hash("tpm:v1 ");
    let exit = client
        .task("POST", "/nodes/pve1/qemu/9000/clone", "newid=9001")
        .await;
    assert!(
        exit.ends_with("qemu-server/9001.conf' failed: File exists"),
        "{exit}"
    );
    assert_eq!(simulator.foreign_hash("tpm:v1 "), before);
}

#[tokio::test]
async fn a_start_right_after_a_stop_runs_into_the_cleanup() {
    let config = SimulatorConfig {
        cleanup_trap: true,
        time_scale: 0.02,
        ..SimulatorConfig::for_tests()
    };
    let (_simulator, client) = start(config).await;
    running(&client, 308).await;
    let power = |action: &str| format!("/nodes/pve1/qemu/308/status/{action}");
    let text = "can't lock file '/var/lock/qemu-server/lock-308.conf' - got timeout";
    // the cleanup comes a scaled second after the stop; a busy machine may miss it and try again
    for _ in 0..100 {
        client.task("POST", &power("stop"), "").await;
        if client.task("POST", &power("start"), "").await == text {
            return;
        }
        for _ in 0..10 {
            if client.task("POST", &power("reset"), "").await == text {
                return;
            }
        }
    }
    panic!("the cleanup never came");
}
