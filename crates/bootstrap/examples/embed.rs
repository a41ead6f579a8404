//! The service inside a program of one's own, with an engine of one's own: api and worker run in this
//! process, and the servers they make live in a map.
//!
//! `cargo run -p tpm-bootstrap --example embed`

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tpm_bootstrap::Service;
use tpm_bootstrap::embed::domain::{
    FailureCode, GuestView, NodeName, PowerState, Rung, Server, Vmid,
};
use tpm_bootstrap::embed::provisioner::{
    Acted, Fate, Learned, Observed, OnFailure, Operation, ProvisionError, Provisioner, StepCall,
    StepSpec, WhenLate,
};
use tpm_bootstrap::embed::settings;

/// Guests in a map: a number, and whether it is on.
struct MemoryEngine {
    guests: Mutex<BTreeMap<Vmid, bool>>,
    steps: HashMap<Operation, Vec<StepSpec>>,
}

fn step(name: &'static str, rung: Option<Rung>) -> StepSpec {
    StepSpec {
        name,
        rung,
        weight: 1,
        deadline: Duration::from_secs(30),
        when_late: WhenLate::Fail,
        on_failure: OnFailure::Undo,
        slot: None,
    }
}

impl MemoryEngine {
    fn new() -> Self {
        let make = step("make", Some(Rung::Created));
        let on = step("start", Some(Rung::Started));
        let steps = HashMap::from([
            (Operation::Create, vec![make, on.clone()]),
            (Operation::Destroy, vec![step("destroy", None)]),
            (Operation::Start, vec![on.clone()]),
            (Operation::Stop, vec![step("stop", None)]),
            (Operation::Restart, vec![on]),
        ]);
        Self {
            guests: Mutex::new(BTreeMap::new()),
            steps,
        }
    }

    fn guests(&self) -> MutexGuard<'_, BTreeMap<Vmid, bool>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(step: &str) -> ProvisionError {
    ProvisionError::new(
        Fate::Refused,
        FailureCode::Internal,
        format!("no step {step}"),
    )
}

#[async_trait]
impl Provisioner for MemoryEngine {
    fn name(&self) -> &str {
        "memory"
    }

    fn steps(&self, operation: Operation) -> &[StepSpec] {
        self.steps
            .get(&operation)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Is the step's effect there? Asked before every act, and again after a crash.
    async fn observe<'a>(&self, call: &StepCall<'a>) -> Result<Observed, ProvisionError> {
        let guest = self.guests().get(&call.server.vmid).copied();
        let there = match call.step {
            "make" => guest.is_some(),
            "start" => guest == Some(true),
            "stop" => guest == Some(false),
            "destroy" => guest.is_none(),
            other => return Err(unknown(other)),
        };
        if !there {
            return Ok(Observed::Needed(json!({ "vmid": call.server.vmid })));
        }
        let learned = Learned {
            node: Some(NodeName("here".into())),
            ..Learned::default()
        };
        Ok(Observed::Done {
            evidence: json!({ "guest": guest }),
            learned,
        })
    }

    /// Makes the effect be there. May be asked for twice, so it says what is, not what changes.
    async fn act<'a>(&self, call: &StepCall<'a>, _intent: &Value) -> Result<Acted, ProvisionError> {
        let vmid = call.server.vmid;
        match call.step {
            "make" => drop(self.guests().entry(vmid).or_insert(false)),
            "start" => drop(self.guests().insert(vmid, true)),
            "stop" => drop(self.guests().insert(vmid, false)),
            "destroy" => drop(self.guests().remove(&vmid)),
            other => return Err(unknown(other)),
        }
        Ok(Acted::default())
    }

    async fn look(&self, server: &Server) -> Result<Option<GuestView>, ProvisionError> {
        let on = self.guests().get(&server.vmid).copied();
        Ok(on.map(|on| GuestView {
            vmid: server.vmid,
            node: NodeName("here".into()),
            power: if on {
                PowerState::Running
            } else {
                PowerState::Stopped
            },
            mark: None,
        }))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("embedded.toml");
    std::fs::write(
        &file,
        format!(
            "data_dir = {:?}\nengine = \"memory\"\n\
             [api]\nlisten = \"127.0.0.1:0\"\n\
             [auth]\nadmin_password = \"an example's password\"\n\
             [proxmox]\nendpoints = []\n",
            dir.path()
        ),
    )?;
    let settings = settings::load_from(Some(&file), HashMap::new())?;
    let service = Service::open(settings)
        .await?
        .with_engine(Arc::new(MemoryEngine::new()));

    let stop = CancellationToken::new();
    let api = service.api().await?;
    let url = api.url();
    let api = tokio::spawn(api.serve(stop.clone()));
    let worker = tokio::spawn(service.worker()?.run(stop.clone()));

    let server = create_one(&url).await?;
    print(&server);

    stop.cancel();
    api.await??;
    worker.await??;
    Ok(())
}

/// Asks the api as any client would, and waits until the server runs.
async fn create_one(url: &str) -> anyhow::Result<Value> {
    let http = reqwest::Client::builder().cookie_store(true).build()?;
    let login = json!({ "username": "admin", "password": "an example's password" });
    http.post(format!("{url}/api/auth/login"))
        .json(&login)
        .send()
        .await?
        .error_for_status()?;
    let body =
        json!({ "name": "embedded-01", "role": "web", "cpu": 1, "memory": 512, "disk_size": 10 });
    let asked = http
        .post(format!("{url}/api/servers/create"))
        .json(&body)
        .send()
        .await?;
    let asked: Value = asked.error_for_status()?.json().await?;
    let task = asked["task_id"].as_str().context("no task_id")?;
    loop {
        let task: Value = http
            .get(format!("{url}/api/tasks/{task}"))
            .send()
            .await?
            .json()
            .await?;
        match task["status"].as_str() {
            Some("pending" | "running") => tokio::time::sleep(Duration::from_millis(20)).await,
            Some("completed") => break,
            _ => anyhow::bail!("{task:#}"),
        }
    }
    let server: Value = http
        .get(format!("{url}/api/servers/{}", asked["server_id"]))
        .send()
        .await?
        .json()
        .await?;
    ensure!(server["status"] == "running", "{server:#}");
    Ok(server)
}

#[expect(clippy::print_stdout, reason = "an example shows what it did")]
fn print(server: &Value) {
    println!(
        "{} is {} on {}",
        server["name"], server["status"], server["node"]
    );
}
