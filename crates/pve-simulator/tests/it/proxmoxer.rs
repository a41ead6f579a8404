//! proxmoxer, a client nobody here wrote, does a day's work against the simulator.

use std::process::Command;

use tpm_pve_simulator::{DEFAULT_SECRET, Simulator, SimulatorConfig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxmoxer_walks_a_guest_through_its_life() {
    let Ok(python) = std::env::var("TPM_PROXMOXER_PYTHON") else {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "TPM_PROXMOXER_PYTHON must be set where CI=true");
        crate::say("skipped: proxmoxer (set TPM_PROXMOXER_PYTHON)");
        return;
    };
    let simulator = Simulator::start(SimulatorConfig::for_tests())
        .await
        .expect("start");
    let folder = tempfile::tempdir().expect("folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, simulator.ca_pem()).expect("ca");
    let port = simulator
        .url()
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/proxmoxer_walk.py");
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python)
            .arg(script)
            .args(["127.0.0.1", &port])
            .arg(ca)
            .arg(DEFAULT_SECRET)
            .output()
    })
    .await
    .expect("join")
    .expect("python");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    assert_eq!(text(&output.stdout).trim(), "walked");
    simulator.shutdown().await;
}
