//! Many servers in one installation, each with a part: what is asked for it, and what happens meanwhile.

use super::Way;
use super::stage::{Asked, Cue, Stage, Twist};
use crate::backups::make_drill_network;
use crate::faults::world::{Subject, ask, mark_of, quick};
use anyhow::{Context, bail, ensure};
use serde_json::json;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tpm_bootstrap::Service;
use tpm_domain::{ServerId, Task, TaskKind, TaskToken};
use tpm_jobs::{NoFaults, PointKind};
use tpm_provisioner::Operation;
use tpm_pve_simulator::{Effect, GuestView};
use tpm_store::{Store, TaskQuery};
use tpm_test_support::Stack;

/// Until then tasks have ended, or something is stuck.
const STUCK: Duration = Duration::from_secs(300);
/// How often is looked for what others do by themselves.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// What one server is there for.
#[derive(Debug)]
pub(super) struct Part {
    /// The task that is played.
    pub(super) way: Way,
    /// What is tried with it, for people.
    pub(super) title: String,
    /// What happens at which place.
    pub(super) cues: Vec<(String, Cue)>,
    /// What happens to which step; with the place's name.
    pub(super) twist: Option<(&'static str, Twist, String)>,
}

impl Part {
    /// The task as it goes when nobody disturbs it; what is undone is cancelled when it is nearly made.
    pub(super) fn new(way: Way, title: impl Into<String>) -> Self {
        let mut part = Self {
            way,
            title: title.into(),
            cues: Vec::new(),
            twist: None,
        };
        if way.undo {
            let there = Way { undo: false, ..way };
            part = part.cue(there.at("agent", PointKind::BeforeLook), Cue::Cancel);
        }
        part
    }

    pub(super) fn cue(mut self, place: String, cue: Cue) -> Self {
        self.cues.push((place, cue));
        self
    }

    pub(super) fn twist(mut self, step: &'static str, twist: Twist) -> Self {
        let place = self.way.place(step, &format!("{twist:?}"));
        self.twist = Some((step, twist, place));
        self
    }

    /// The guest is there again after it was removed.
    pub(super) fn returns(self) -> Self {
        let place = self.way.at("confirm", PointKind::BeforeLook);
        self.cue(place, Cue::Return)
    }

    fn is_orphan(&self) -> bool {
        self.way.kind == TaskKind::RemoveOrphan
    }
}

/// A part and who plays it.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) part: Part,
    pub(super) name: String,
    /// Nobody else's.
    pub(super) address: Ipv4Addr,
    pub(super) id: i64,
    pub(super) vmid: u32,
    /// The task, once it was asked for; as it ended, once it did.
    token: String,
    pub(super) task: Option<Task>,
    /// The guest as it was before the task, or before it was undone.
    before: Option<GuestView>,
    /// Effects that came before.
    began: usize,
}

/// An installation with its actors.
pub(super) struct Play {
    pub(super) stack: Stack,
    pub(super) stage: Arc<Stage>,
    pub(super) actors: Vec<Actor>,
    /// Guests of others, as they were in the beginning.
    strangers: String,
    outside: UnboundedReceiver<Asked>,
}

impl Play {
    /// Prepares what each part needs, asks for its task, and carries all of them out at once.
    pub(super) async fn of(parts: Vec<Part>) -> anyhow::Result<Self> {
        let made = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&made);
        let mut play = {
            let stack = quick()
                .set("WORKER__LEASE_MS", 1000)
                .set("WORKER__CONCURRENCY", 64)
                .set("WORKER__ORPHAN_MS", 100)
                .set("BACKUPS__MAX_PER_NODE", 64)
                .set("BACKUPS__MAX_PER_STORAGE", 64)
                .set("PROXMOX__MAX_CLONES", 64)
                .set("PROXMOX__MAX_CLONES_PER_NODE", 64)
                .simulator(|config| {
                    for role in &mut config.roles {
                        role.privs.push_str(",VM.GuestAgent.Unrestricted");
                    }
                    for node in &mut config.nodes {
                        node.cpus = 512;
                        node.memory = 2 << 40;
                    }
                })
                .around(move |direct| {
                    let (stage, outside) = Stage::before(direct);
                    *slot.lock().expect("no panic") = Some((stage.clone(), outside));
                    stage
                })
                .start()
                .await?;
            let made = made.lock().expect("no panic").take();
            let (stage, outside) = made.context("no stage")?;
            let behind = stack.simulator.behind_the_back();
            behind.create_foreign(500, "pve1", "theirs");
            behind.create_foreign(19_999, "pve2", "theirs-too");
            Self {
                strangers: stack.simulator.foreign_hash("tpm:v1 "),
                stack,
                stage,
                actors: Vec::new(),
                outside,
            }
        };
        let other = Service::open(play.stack.settings().clone()).await?;
        let other = other.engine("direct").context("no engine")?;
        play.stage.set_other(other);
        make_drill_network(&play.stack).await?;
        play.prepare(parts).await.context("preparing")?;
        play.ask().await.context("asking")?;
        play.go().await?;
        Ok(play)
    }

    async fn prepare(&mut self, parts: Vec<Part>) -> anyhow::Result<()> {
        for (n, part) in parts.into_iter().enumerate() {
            let name = format!("p{n:03}");
            let mut actor = Actor {
                part,
                name,
                address: Ipv4Addr::new(192, 168, 0, u8::try_from(21 + n)?),
                id: 0,
                vmid: 0,
                token: String::new(),
                task: None,
                before: None,
                began: 0,
            };
            if actor.part.way.kind != TaskKind::CreateServer {
                self.create(&mut actor).await?;
            }
            if actor.part.is_orphan() {
                let path = format!("/api/tasks/{}/cancel", actor.token);
                let reply = self.stack.client.post(&path, &json!({})).await?;
                ensure!(reply.status == 200, "{}", reply.body);
            }
            self.actors.push(actor);
        }
        self.work_until_ended().await?;
        let mut stops = Vec::new();
        for actor in &mut self.actors {
            if actor.part.way.operation() == Operation::Start {
                let subject = subject(actor.id);
                actor.token = ask(&self.stack, Operation::Stop, &subject).await?;
                stops.push(actor.id);
            }
        }
        if !stops.is_empty() {
            self.work_until_ended().await?;
        }
        self.back_up().await?;
        self.haunt().await
    }

    /// What is to be restored or deleted is there before.
    async fn back_up(&mut self) -> anyhow::Result<()> {
        let mut any = false;
        for actor in &mut self.actors {
            let kind = actor.part.way.kind;
            if kind.is_of_backups() && kind != TaskKind::CreateBackup {
                actor.token = ask(&self.stack, Operation::Backup, &subject(actor.id)).await?;
                any = true;
            }
        }
        if any {
            self.work_until_ended().await?;
        }
        // What is restored is not as the row says then.
        let is_restored = |actor: &&mut Actor| {
            let kind = actor.part.way.kind;
            matches!(kind, TaskKind::RestoreBackup | TaskKind::RestoreNew)
        };
        for actor in self.actors.iter_mut().filter(is_restored) {
            actor.token = ask(&self.stack, Operation::Change, &subject(actor.id)).await?;
        }
        if any {
            self.work_until_ended().await?;
        }
        Ok(())
    }

    /// Asks for a server that is made of the actor's backup, to stay or for a drill: from here on it is the actor.
    async fn revive(&self, actor: &mut Actor) -> anyhow::Result<()> {
        let path = format!("/api/backups?server_id={}", actor.id);
        let list = self.stack.client.get(&path).await?;
        let backup = list.body["backups"][0]["backup_id"].as_str();
        let path = format!("/api/backups/{}", backup.context("no backup")?);
        let reply = if actor.part.way.kind == TaskKind::DrillBackup {
            let body = json!({ "command": ["/usr/bin/true"] });
            self.stack
                .client
                .post(&format!("{path}/drill"), &body)
                .await?
        } else {
            let body = json!({ "target_server_id": "new", "name": actor.name });
            self.stack
                .client
                .post(&format!("{path}/restore"), &body)
                .await?
        };
        actor.token = self.stack.client.task_of(&reply)?;
        actor.id = reply.body["server_id"].as_i64().context("server_id")?;
        let made = self.stack.client.server(actor.id).await?;
        actor.name = made["name"].as_str().context("name")?.to_owned();
        actor.vmid = u32::try_from(made["vmid"].as_u64().context("vmid")?)?;
        actor.address = made["ip_address"].as_str().context("address")?.parse()?;
        Ok(())
    }

    async fn create(&self, actor: &mut Actor) -> anyhow::Result<()> {
        let network = json!({ "ip_address": actor.address, "subnet": 24 });
        let small = json!({ "cpu": 1, "memory": 512, "disk_size": 12, "network_config": network });
        // Who is made of a backup has its name once it is made.
        let name = match actor.part.way.kind {
            TaskKind::RestoreNew | TaskKind::DrillBackup => actor.name.replace('p', "o"),
            _ => actor.name.clone(),
        };
        (actor.token, actor.id) = self.stack.client.create(&name, small).await?;
        let server = self.stack.client.server(actor.id).await?;
        actor.vmid = u32::try_from(server["vmid"].as_u64().context("vmid")?)?;
        Ok(())
    }

    /// Guests with the marks of creates that were cancelled turn up, on.
    async fn haunt(&self) -> anyhow::Result<()> {
        let behind = self.stack.simulator.behind_the_back();
        let mut ghosts = 0;
        for actor in self.actors.iter().filter(|actor| actor.part.is_orphan()) {
            let mark = mark_of(&self.stack, actor.id).await?;
            behind.create_foreign(actor.vmid, "pve2", &actor.name);
            done(behind.set_option(actor.vmid, "description", Some(&mark)))?;
            done(behind.power_on(actor.vmid))?;
            ghosts += 1;
        }
        let worker = self.stack.worker_with(Arc::new(NoFaults))?;
        while self.orphans().await?.len() < ghosts {
            worker.sweep().await?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn orphans(&self) -> anyhow::Result<Vec<Task>> {
        let query = TaskQuery {
            kind: Some(TaskKind::RemoveOrphan),
            ..TaskQuery::default()
        };
        Ok(self
            .stack
            .service
            .store()
            .reads()
            .tasks(&query)
            .await?
            .items)
    }

    async fn ask(&mut self) -> anyhow::Result<()> {
        let orphans = self.orphans().await?;
        let mut actors = std::mem::take(&mut self.actors);
        for actor in &mut actors {
            actor.began = self.stack.simulator.effect_count();
            // Its name is known once it is asked for.
            if actor.part.way.kind == TaskKind::DrillBackup {
                self.revive(actor).await?;
            }
            for (place, cue) in &actor.part.cues {
                self.stage.cue(&actor.name, place.clone(), *cue);
            }
            if let Some((step, twist, place)) = &actor.part.twist {
                let undo = actor.part.way.undo;
                let twist = (*twist, place.clone());
                self.stage.twist(&actor.name, undo, step, twist);
            }
            actor.before = self.stack.simulator.guest(actor.vmid);
            match actor.part.way.kind {
                TaskKind::CreateServer => self.create(actor).await?,
                TaskKind::DrillBackup => {}
                TaskKind::RestoreNew => self.revive(actor).await?,
                TaskKind::RemoveOrphan => {
                    let task = orphans
                        .iter()
                        .find(|t| t.server == Some(ServerId(actor.id)));
                    actor.token = task.context("no removal")?.token.to_string();
                }
                _ => {
                    let operation = actor.part.way.operation();
                    actor.token = ask(&self.stack, operation, &subject(actor.id)).await?;
                }
            }
        }
        self.actors = actors;
        Ok(())
    }

    /// Carries out what was asked for, with a hand in it where a part says so.
    async fn go(&mut self) -> anyhow::Result<()> {
        self.stack.start_worker_with(self.stage.clone())?;
        let began = Instant::now();
        loop {
            tokio::select! {
                Some(asked) = self.outside.recv() => self.answer(asked).await?,
                () = tokio::time::sleep(LOOK) => {
                    if self.have_ended().await? {
                        return Ok(());
                    }
                    ensure!(began.elapsed() < STUCK, "stuck: {}", self.open());
                }
            }
        }
    }

    async fn answer(&mut self, asked: Asked) -> anyhow::Result<()> {
        let actor = self.actors.iter_mut().find(|a| a.name == asked.server);
        let actor = actor.context("nobody's")?;
        match asked.cue {
            Cue::Die => bail!("nobody is asked to die"),
            Cue::Cancel => {
                let guest = self.stack.simulator.guest(actor.vmid);
                actor.before = guest;
                let path = format!("/api/tasks/{}/cancel", actor.token);
                let reply = self.stack.client.post(&path, &json!({})).await?;
                ensure!(reply.status == 200, "{}", reply.body);
            }
            Cue::Return => {
                let guest = actor.before.as_ref().context("it was never there")?;
                let behind = self.stack.simulator.behind_the_back();
                behind.create_foreign(guest.vmid, &guest.node, &guest.name);
                for key in ["description", "smbios1", "vmgenid", "meta"] {
                    let value = guest.config.get(key).map(String::as_str);
                    done(behind.set_option(guest.vmid, key, value))?;
                }
            }
        }
        asked.done.send(()).ok();
        Ok(())
    }

    /// A plain worker, until everything that was asked for has ended well or was cancelled.
    pub(super) async fn work_until_ended(&mut self) -> anyhow::Result<()> {
        let stop = CancellationToken::new();
        let worker = self.stack.worker_with(Arc::new(NoFaults))?;
        let running = tokio::spawn(worker.run(stop.clone()));
        let began = Instant::now();
        while !self.have_ended().await? {
            ensure!(began.elapsed() < STUCK, "stuck: {}", self.open());
            tokio::time::sleep(LOOK).await;
        }
        stop.cancel();
        running.await?
    }

    async fn have_ended(&mut self) -> anyhow::Result<bool> {
        let store = self.stack.service.store();
        let reads = store.reads();
        let mut all = true;
        for actor in self.actors.iter_mut().filter(|a| !a.token.is_empty()) {
            let known = actor.task.as_ref();
            if known.is_some_and(|task| task.token.0 == actor.token) {
                continue;
            }
            let task = reads.task(&TaskToken(actor.token.clone())).await?;
            actor.task = task.filter(|task| task.state.is_final());
            all &= actor.task.is_some();
            if !all {
                break;
            }
        }
        Ok(all)
    }

    fn open(&self) -> String {
        let open = self.actors.iter().filter(|actor| actor.task.is_none());
        let titles: Vec<_> = open
            .map(|a| format!("{} {}", a.name, a.part.title))
            .collect();
        format!("{titles:#?}")
    }

    /// What was done to an actor's guest since its task was asked for, by the cluster's own log.
    pub(super) fn effects(&self, actor: &Actor) -> Vec<Effect> {
        let effects = self.stack.simulator.effects();
        let since = effects.into_iter().skip(actor.began);
        since.filter(|effect| effect.vmid == actor.vmid).collect()
    }

    /// Asks for the removal of each server that is left, with everything it holds.
    pub(super) async fn delete_what_is_left(&mut self) -> anyhow::Result<()> {
        let left: Vec<i64> = {
            let list = self.stack.client.get("/api/servers?limit=500").await?;
            let servers = list.body["servers"].as_array().context("servers")?;
            servers.iter().filter_map(|s| s["id"].as_i64()).collect()
        };
        for actor in &mut self.actors {
            actor.token = String::new();
            if left.contains(&actor.id) {
                actor.task = None;
                actor.token = ask(&self.stack, Operation::Destroy, &subject(actor.id)).await?;
            }
        }
        self.work_until_ended().await
    }

    /// What belongs to others is as it was.
    pub(super) fn strangers_are_untouched(&self) -> anyhow::Result<()> {
        let now = self.stack.simulator.foreign_hash("tpm:v1 ");
        ensure!(now == self.strangers, "a stranger was touched");
        Ok(())
    }
}

fn subject(id: i64) -> Subject {
    Subject {
        id,
        name: "",
        address: "",
    }
}

fn done(result: Result<(), String>) -> anyhow::Result<()> {
    result.map_err(anyhow::Error::msg)
}
