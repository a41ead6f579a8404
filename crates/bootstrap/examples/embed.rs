//! The service inside a program of one's own, with an engine of one's own: api and worker run in this
//! process, and the servers they make live in a map, for as long as the process does.
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

const PASSWORD: &str = "an example's password";

/// A guest: whether it is on, and how often it was switched on, which is how a restart shows.
#[derive(Clone, Copy)]
struct Guest {
    on: bool,
    boots: u64,
}

/// Guests by number.
struct MemoryEngine {
    guests: Mutex<BTreeMap<Vmid, Guest>>,
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
    }
}

impl MemoryEngine {
    fn new() -> Self {
        let make = step("make", Some(Rung::Created));
        let on = step("start", Some(Rung::Started));
        let steps = HashMap::from([
            (Operation::Create, vec![make, on.clone()]),
            (Operation::Destroy, vec![step("destroy", None)]),
            (Operation::Start, vec![on]),
            (Operation::Stop, vec![step("stop", None)]),
            (Operation::Restart, vec![step("restart", None)]),
        ]);
        Self {
            guests: Mutex::new(BTreeMap::new()),
            steps,
        }
    }

    fn guests(&self) -> MutexGuard<'_, BTreeMap<Vmid, Guest>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(step: &str) -> ProvisionError {
    let detail = format!("no step {step}");
    ProvisionError::new(Fate::Refused, FailureCode::Internal, detail)
}

fn missing(vmid: Vmid) -> ProvisionError {
    let detail = format!("no guest {vmid}");
    ProvisionError::new(Fate::Refused, FailureCode::GuestMissing, detail)
}

/// The boots a restart found when it was first looked at: written down before the act, so that a restart
/// that is asked for again after a crash is known from one that has not happened.
fn boots_before(intent: &Value) -> Option<u64> {
    intent["boots"].as_u64()
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
        let vmid = call.server.vmid;
        let guest = self.guests().get(&vmid).copied();
        let there = match (call.step, guest) {
            ("make", guest) => guest.is_some(),
            ("destroy", guest) => guest.is_none(),
            ("start" | "stop" | "restart", None) => return Err(missing(vmid)),
            ("start", Some(guest)) => guest.on,
            ("stop", Some(guest)) => !guest.on,
            ("restart", Some(guest)) => {
                let before = call.intent.and_then(boots_before).unwrap_or(guest.boots);
                if guest.boots == before {
                    return Ok(Observed::Needed(json!({ "boots": before })));
                }
                guest.on
            }
            (other, _) => return Err(unknown(other)),
        };
        if !there {
            return Ok(Observed::Needed(json!({ "vmid": vmid })));
        }
        let learned = Learned {
            node: Some(NodeName("here".into())),
            ..Learned::default()
        };
        Ok(Observed::Done {
            evidence: json!({ "on": guest.map(|guest| guest.on) }),
            learned,
        })
    }

    /// Makes the effect be there. May be asked for twice, so it says what is, not what changes.
    async fn act<'a>(&self, call: &StepCall<'a>, intent: &Value) -> Result<Acted, ProvisionError> {
        let vmid = call.server.vmid;
        let mut guests = self.guests();
        match call.step {
            "make" => {
                let off = Guest {
                    on: false,
                    boots: 0,
                };
                guests.entry(vmid).or_insert(off);
            }
            "destroy" => drop(guests.remove(&vmid)),
            step @ ("start" | "stop" | "restart") => {
                let guest = guests.get_mut(&vmid).ok_or_else(|| missing(vmid))?;
                let boots = match step {
                    "start" => !guest.on,
                    "restart" => boots_before(intent) == Some(guest.boots),
                    _ => false,
                };
                guest.on = step != "stop";
                guest.boots += u64::from(boots);
            }
            other => return Err(unknown(other)),
        }
        Ok(Acted::default())
    }

    async fn look(&self, server: &Server) -> Result<Option<GuestView>, ProvisionError> {
        let guest = self.guests().get(&server.vmid).copied();
        Ok(guest.map(|guest| GuestView {
            vmid: server.vmid,
            node: NodeName("here".into()),
            power: if guest.on {
                PowerState::Running
            } else {
                PowerState::Stopped
            },
            mark: None,
            conflict: None,
            size: None,
            drift: Vec::new(),
        }))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    // The settings as the binaries have them, from a file and the environment; here the file is empty, and
    // the environment is one of our own. Without endpoints there is no Proxmox VE.
    let file = dir.path().join("empty.toml");
    std::fs::write(&file, "")?;
    let environment = [
        ("TPM__DATA_DIR", dir.path().display().to_string()),
        ("TPM__ENGINE", "memory".into()),
        ("TPM__PROXMOX__ENDPOINTS", String::new()),
        ("TPM__API__LISTEN", "127.0.0.1:0".into()),
        ("TPM__AUTH__ADMIN_PASSWORD", PASSWORD.into()),
    ];
    let environment = environment.map(|(key, value)| (key.to_owned(), value));
    let settings = settings::load_from(Some(&file), HashMap::from(environment))?;
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
    let login = json!({ "username": "admin", "password": PASSWORD });
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
