//! Replays every recording against a simulated host and compares the answers.
//!
//! `replay_script.txt` gives the order and what happened in between. What is known to differ stands
//! in `KNOWN`, each with its reason; anything else that differs fails, and so does an entry of
//! `KNOWN` that has come to match.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tpm_pve_simulator::{
    Fault, FaultKind, HoldAt, NodeConfig, Simulator, SimulatorConfig, StorageConfig, UserConfig,
};

use crate::client::{Answer, Client};
use crate::compare::differences;
use crate::recording::{self, Exchange};

const SCRIPT: &str = include_str!("replay_script.txt");

/// Recordings that are known not to match, and why.
const KNOWN: &[(&str, &str)] = &[
    (
        "03-GET-nodes_pve_capabilities_qemu_machines#0",
        "that host lacked a file of the regular QEMU package",
    ),
    (
        "03-GET-nodes_pve_network#0",
        "the bridge of that host was down, here it is active",
    ),
    (
        "08-vzdump-inprogress-vm#0",
        "asked in the first second, before the process could be queried",
    ),
    ("e-html-format#0", "the API browser is not simulated"),
];

const ROOT_PASSWORD: &str = "simulator";
const USER_PASSWORD: &str = "some-password";

/// The host the recordings were made on.
fn host() -> SimulatorConfig {
    let mut config = SimulatorConfig::for_tests();
    config.nodes = vec![NodeConfig {
        name: "pve".into(),
        cpus: 2,
        memory: 25_276_510_208,
        ip: Some("192.0.2.2".into()),
    }];
    config.storages = vec![StorageConfig {
        name: "local".into(),
        kind: "dir".into(),
        shared: false,
        content: ["vztmpl", "backup", "iso", "snippets", "images", "rootdir"]
            .map(str::to_owned)
            .to_vec(),
        nodes: Vec::new(),
        total: 270_553_174_016,
    }];
    config.bridges = vec!["vmbr0".into()];
    config.templates = Vec::new();
    config.roles = Vec::new();
    config.users = vec![UserConfig {
        userid: "root@pam".into(),
        password: Some(ROOT_PASSWORD.into()),
        tokens: Vec::new(),
        roles: Vec::new(),
    }];
    config.time_scale = 0.1;
    config.metrics_interval_secs = 1e6;
    config.cold_start = true;
    config
}

struct Replay {
    simulator: Simulator,
    client: Client,
    recordings: BTreeMap<String, Vec<Exchange>>,
    /// What the simulator gave in place of a recorded text: task ids, digests, archive names.
    names: BTreeMap<String, String>,
    tickets: BTreeMap<&'static str, String>,
    csrf: String,
    hold: Option<u64>,
    seen: BTreeSet<String>,
    matching: usize,
    differing: Vec<(String, Vec<String>)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recording_is_answered_as_the_host_did() {
    let simulator = Simulator::start(host()).await.expect("start");
    let mut replay = Replay {
        client: Client::new(&simulator),
        simulator,
        recordings: recording::load(),
        names: BTreeMap::new(),
        tickets: BTreeMap::new(),
        csrf: String::new(),
        hold: None,
        seen: BTreeSet::new(),
        matching: 0,
        differing: Vec::new(),
    };
    for line in SCRIPT
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        replay.line(line).await;
    }
    replay.report();
    replay.simulator.shutdown().await;
}

impl Replay {
    async fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["start", name] => self.start(name).await,
            ["end", name] => self.end(name).await,
            ["finish", name] => {
                let upid = self.upid_of(name);
                self.client.finish(&upid).await;
            }
            ["hold", at, method, path] => {
                let at = if *at == "task-start" {
                    HoldAt::TaskStart
                } else {
                    HoldAt::TaskEffect
                };
                self.hold = Some(self.simulator.faults().inject(Fault::once(
                    method,
                    path,
                    FaultKind::Hold { at },
                )));
            }
            ["release"] => {
                let id = self.hold.take().expect("something is held");
                self.simulator.faults().release(id);
            }
            ["fault", code, reason @ .., "@", method, path] => {
                let kind = FaultKind::Status {
                    code: code.trim_end_matches('+').parse().expect("code"),
                    reason: reason.join(" "),
                    body: None,
                    applied: code.ends_with('+'),
                };
                self.simulator
                    .faults()
                    .inject(Fault::once(method, path, kind));
            }
            ["lock", method, path] => {
                let fault = Fault::once(
                    method,
                    path,
                    FaultKind::Lock {
                        text: None,
                        in_task: true,
                    },
                );
                self.simulator.faults().inject(fault);
            }
            ["option", vmid, key, value @ ..] => {
                let value = value.join(" ");
                let value = (!value.is_empty()).then_some(value.as_str());
                let vmid = vmid.parse().expect("vmid");
                self.simulator
                    .behind_the_back()
                    .set_option(vmid, key, value)
                    .expect("option");
            }
            ["destroy", vmid] => {
                self.simulator
                    .behind_the_back()
                    .destroy(vmid.parse().expect("vmid"))
                    .expect("destroy");
            }
            ["kill", name] => self
                .simulator
                .behind_the_back()
                .kill_task(&self.upid_of(name)),
            ["tick"] => self.simulator.behind_the_back().broadcast(),
            ["archive", recorded] => self.learn_archive(recorded).await,
            ["do", method, path, form @ ..] => {
                let exit = self.client.task(method, path, &form.join(" ")).await;
                assert!(
                    exit == "OK" || exit.starts_with("WARNINGS"),
                    "{line}: {exit}"
                );
            }
            [name] => self.play(name).await,
            _ => panic!("cannot read '{line}'"),
        }
    }

    fn exchanges(&self, name: &str) -> Vec<Exchange> {
        let (stem, at) = name
            .split_once('#')
            .map_or((name, None), |(stem, at)| (stem, at.parse::<usize>().ok()));
        let all = self
            .recordings
            .get(stem)
            .unwrap_or_else(|| panic!("no recording {stem}"));
        match at {
            Some(at) => vec![all[at].clone()],
            None => all.clone(),
        }
    }

    /// The simulator's id of the task a recording started.
    fn upid_of(&self, name: &str) -> String {
        let upid = self
            .exchanges(name)
            .iter()
            .find_map(|exchange| recorded_upid(&exchange.answer));
        self.names[&upid.expect("a task")].clone()
    }

    /// Replays a recording; a task it starts is watched to its end.
    async fn play(&mut self, name: &str) {
        for exchange in self.exchanges(name) {
            let upid = recorded_upid(&exchange.answer).filter(|_| exchange.method != "GET");
            let Some(upid) = upid else {
                self.compare(&exchange).await;
                continue;
            };
            let statuses = self.about(&upid, "-task-status");
            let was_seen_running = statuses
                .first()
                .is_some_and(|first| first.answer.body.contains("\"running\""));
            let is_held_already = self.hold.is_some();
            if was_seen_running && !is_held_already {
                let target = self.translate(&exchange.target);
                let path = target.trim_start_matches("/api2/json");
                let path = path.split('?').next().unwrap_or_default().to_owned();
                let kind = FaultKind::Hold {
                    at: HoldAt::TaskStart,
                };
                self.hold = Some(self.simulator.faults().inject(Fault::once(
                    &exchange.method,
                    &path,
                    kind,
                )));
            }
            self.compare(&exchange).await;
            let mut rest = statuses.as_slice();
            if was_seen_running {
                self.compare(&statuses[0]).await;
                rest = &statuses[1..];
                if let Some(id) = self.hold.take() {
                    self.simulator.faults().release(id);
                }
            }
            self.client.finish(&self.names[&upid].clone()).await;
            for exchange in rest {
                self.compare(exchange).await;
            }
            for exchange in self.about(&upid, "-task-log") {
                self.compare(&exchange).await;
            }
        }
    }

    /// Starts a task and looks at it while it runs.
    async fn start(&mut self, name: &str) {
        for exchange in self.exchanges(name) {
            self.compare(&exchange).await;
            let upid = recorded_upid(&exchange.answer).expect("a task");
            if let Some(id) = self.hold {
                let held = self.simulator.faults().wait_until_held(id);
                tokio::time::timeout(Duration::from_secs(10), held)
                    .await
                    .expect("the task is held");
            }
            for status in self.about(&upid, "-task-status") {
                if status.answer.body.contains("\"running\"") {
                    self.compare(&status).await;
                }
            }
        }
    }

    async fn end(&mut self, name: &str) {
        let upid = self
            .exchanges(name)
            .iter()
            .find_map(|exchange| recorded_upid(&exchange.answer))
            .expect("a task");
        self.client.finish(&self.names[&upid].clone()).await;
        let mut looks = self.about(&upid, "-status");
        looks.retain(|status| !status.answer.body.contains("\"running\""));
        looks.extend(self.about(&upid, "-log"));
        for exchange in looks.iter().filter(|exchange| {
            exchange
                .name
                .starts_with(name.split('#').next().unwrap_or(name))
        }) {
            self.compare(exchange).await;
        }
    }

    /// Recordings of a kind that ask about a task.
    fn about(&self, upid: &str, kind: &str) -> Vec<Exchange> {
        let files = self
            .recordings
            .iter()
            .filter(|(stem, _)| stem.ends_with(kind));
        files
            .flat_map(|(_, exchanges)| exchanges)
            .filter(|exchange| exchange.target.contains(upid))
            .cloned()
            .collect()
    }

    /// The newest archive stands for the recorded one.
    async fn learn_archive(&mut self, recorded: &str) {
        let vmid = recorded.split('-').nth(2).expect("vmid");
        let content = self
            .client
            .send(
                "GET",
                &format!("/nodes/pve/storage/local/content?content=backup&vmid={vmid}"),
                "",
            )
            .await;
        let known: Vec<String> = self.names.values().cloned().collect();
        let fresh = content.data().as_array().cloned().unwrap_or_default();
        let mut fresh = fresh
            .iter()
            .filter_map(|item| item["volid"].as_str())
            .map(|volid| volid.rsplit('/').next().unwrap_or_default());
        let name = fresh
            .rfind(|name| !known.iter().any(|known| known == name))
            .expect("a new archive");
        self.names.insert(recorded.to_owned(), name.to_owned());
    }

    fn translate(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (recorded, own) in &self.names {
            text = text.replace(recorded, own);
        }
        text
    }

    fn fill(&self, exchange: &Exchange, text: &str) -> String {
        const BAD: [&str; 8] = [
            "e-bad-ticket",
            "e-bad-token",
            "e-bad-csrf",
            "e-bad-password",
            "e-bad-user",
            "e-garbage-ticket",
            "e-garbage-token",
            "e-expired-ticket",
        ];
        let is_bad = BAD.iter().any(|name| exchange.name.starts_with(name));
        let mut text = text.to_owned();
        let user = if exchange.body.contains("root%40pam") {
            "root"
        } else {
            "tester"
        };
        let password = match exchange.name.as_str() {
            _ if is_bad => "wrong-password",
            "02-ticket-renew#0" => self.tickets["tester"].as_str(),
            _ if user == "root" => ROOT_PASSWORD,
            _ => USER_PASSWORD,
        };
        text = text.replace("<password>", &escape(password));
        for (name, secret) in &self.names {
            if let Some(token) = name.strip_prefix("token ") {
                let secret = if is_bad { "wrong" } else { secret };
                text = text.replace(&format!("{token}=<secret>"), &format!("{token}={secret}"));
            }
        }
        let ticket = if is_bad && exchange.name != "e-bad-csrf#0" {
            "PVE:root@pam:00000000::forged"
        } else {
            self.tickets.get("root").map_or("", String::as_str)
        };
        text = text
            .replace("<secret>", "unknown")
            .replace("<ticket>", ticket);
        text.replace("<csrf>", if is_bad { "forged" } else { &self.csrf })
    }

    async fn send(&self, exchange: &Exchange) -> Answer {
        let target = self.translate(&exchange.target);
        let body = self.translate(&self.fill(exchange, &exchange.body));
        let mut head = format!("{} {target} HTTP/1.1\r\n", exchange.method);
        for (name, value) in exchange
            .headers
            .iter()
            .filter(|(name, _)| name != "Content-Length")
        {
            head.push_str(&format!("{name}: {}\r\n", self.fill(exchange, value)));
        }
        if matches!(exchange.method.as_str(), "POST" | "PUT") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.client
            .raw(format!("{head}\r\n{body}").as_bytes())
            .await
            .unwrap_or_default()
    }

    async fn compare(&mut self, exchange: &Exchange) {
        let answer = self.send(exchange).await;
        self.learn(exchange, &answer);
        if !self.seen.insert(exchange.name.clone()) {
            return;
        }
        let lists_of_tasks = exchange.name.starts_with("05-task-")
            && exchange.target.contains("/tasks")
            && !exchange.target.contains("UPID");
        let found = differences(&exchange.answer, &answer, lists_of_tasks);
        if found.is_empty() {
            self.matching += 1;
        } else {
            self.differing.push((exchange.name.clone(), found));
        }
    }

    /// Remembers what later requests have to refer to.
    fn learn(&mut self, exchange: &Exchange, answer: &Answer) {
        let data = answer.data();
        if let (Some(recorded), Some(own)) = (recorded_upid(&exchange.answer), data.as_str()) {
            self.names.insert(escape(&recorded), escape(own));
            self.names.insert(recorded, own.to_owned());
        }
        let recorded: serde_json::Value =
            serde_json::from_str(&exchange.answer.body).unwrap_or_default();
        if let (Some(recorded), Some(own)) =
            (recorded["data"]["digest"].as_str(), data["digest"].as_str())
        {
            self.names.insert(recorded.to_owned(), own.to_owned());
        }
        if let (Some(token), Some(secret)) = (data["full-tokenid"].as_str(), data["value"].as_str())
        {
            self.names
                .insert(format!("token {token}"), secret.to_owned());
            if token == "tester@pve!lab" {
                self.client.token = format!("{token}={secret}");
            }
        }
        if let (Some(user), Some(ticket)) = (data["username"].as_str(), data["ticket"].as_str()) {
            let user = if user == "root@pam" { "root" } else { "tester" };
            if user == "root" {
                self.csrf = data["CSRFPreventionToken"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
            }
            self.tickets.insert(user, ticket.to_owned());
        }
    }

    fn report(&self) {
        let simulated = self.matching + self.differing.len();
        let total: usize = self.recordings.values().map(Vec::len).sum();
        crate::say(&format!(
            "recordings: {total} exchanges, {simulated} simulated, {} match, {} differ",
            self.matching,
            self.differing.len()
        ));
        let mut unexplained = Vec::new();
        for (name, found) in &self.differing {
            match KNOWN.iter().find(|(known, _)| known == name) {
                Some((_, reason)) => crate::say(&format!("  known: {name}: {reason}")),
                None => unexplained.push(format!("{name}: {}", found.join("; "))),
            }
        }
        let all = self
            .recordings
            .values()
            .flatten()
            .map(|exchange| &exchange.name);
        unexplained.extend(
            all.filter(|name| !self.seen.contains(*name))
                .map(|name| format!("{name}: not replayed")),
        );
        let stale = KNOWN.iter().filter(|(name, _)| {
            !self
                .differing
                .iter()
                .any(|(differing, _)| differing == name)
        });
        unexplained
            .extend(stale.map(|(name, _)| format!("{name}: matches now, take it off the list")));
        assert!(
            unexplained.is_empty(),
            "{} unexplained:\n{}",
            unexplained.len(),
            unexplained.join("\n")
        );
    }
}

/// Everything but letters and digits percent-encoded.
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// The task id a recorded answer consists of.
fn recorded_upid(answer: &Answer) -> Option<String> {
    answer
        .data()
        .as_str()
        .filter(|text| text.starts_with("UPID:"))
        .map(str::to_owned)
}
