//! One client: asks for servers, switches them, deletes them, changes its mind, looks at lists, and holds
//! every answer against the cluster as soon as it comes.

use super::book::{End, Network, Stage, Told, Wish};
use super::caller::{Answer, Ask};
use super::installation::ROLES;
use super::judge;
use super::random::Random;
use super::storm::Storm;
use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often somebody looks whether a task has ended, and how long at most between two.
const LOOK_MS: (u64, u64) = (150, 450);

pub(crate) struct Person {
    storm: Arc<Storm>,
    number: usize,
    random: Random,
    named: u32,
    /// What was begun and not waited for.
    pending: Vec<String>,
}

impl Person {
    pub(crate) fn new(storm: Arc<Storm>, number: usize) -> Self {
        let random = Random::new(storm.seed, 2, number as u64);
        Self {
            storm,
            number,
            random,
            named: 0,
            pending: Vec::new(),
        }
    }

    /// Asks for things until told to stop.
    ///
    /// # Errors
    /// What no client should ever see; the storm is over then.
    pub(crate) async fn live(mut self) -> anyhow::Result<()> {
        let think = self.storm.args.think_ms;
        while !self.storm.over.is_cancelled() {
            self.act().await?;
            let nap = Duration::from_millis(self.random.below(2 * think));
            tokio::select! {
                () = self.storm.over.cancelled() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
        Ok(())
    }

    async fn act(&mut self) -> anyhow::Result<()> {
        if let Some(token) = self.pending.pop()
            && !self.storm.look(&token).await?
        {
            self.pending.insert(0, token);
        }
        let room = self.storm.book.open().alive() + 6 < self.storm.args.servers;
        match self.random.below(100) {
            0..35 if room => self.create().await,
            35..45 if room => self.create_several().await,
            45..48 if room => self.create_twice().await,
            48..64 => self.switch().await,
            64..70 => self.delete_several().await,
            70..78 => self.list().await,
            _ => self.delete().await,
        }
    }

    fn wish(&mut self, network: Network) -> Wish {
        self.named += 1;
        let role = self.random.pick(&ROLES).map_or("web", |role| role.0);
        Wish {
            name: format!("c{:02}-{}", self.number, self.named),
            role,
            cpu: 1 + self.random.below(4),
            memory: 512 << self.random.below(3),
            disk: 10 + self.random.below(12),
            network,
        }
    }

    fn network(&mut self) -> Network {
        let stem = format!("10.65.{}", self.number);
        match self.random.below(4) {
            0 => {
                let last = 1 + self.random.below(40);
                Network::Fixed(format!("{stem}.{last}"))
            }
            1 => Network::Range(stem, 101, 140),
            _ => Network::Pool,
        }
    }

    fn key(&self) -> String {
        format!("storm-{}-{}-{}", self.storm.seed, self.number, self.named)
    }

    fn hasty(&mut self) -> Option<Duration> {
        let hangs_up = self.random.chance(0.03);
        hangs_up.then(|| Duration::from_millis(1 + self.random.below(30)))
    }

    async fn create(&mut self) -> anyhow::Result<()> {
        let network = self.network();
        let wish = self.wish(network);
        let (body, key, hasty) = (body(&wish), self.key(), self.hasty());
        let ask = Ask::post("/api/servers/create", &body, &key);
        let answer = self.storm.caller.definite_from(ask, hasty).await?;
        let Some(token) = self.storm.accepted_one(self.number, wish, answer).await? else {
            return Ok(());
        };
        if self.random.chance(0.12) {
            let nap = Duration::from_millis(self.random.below(400));
            tokio::time::sleep(nap).await;
            self.storm.cancel(&token).await?;
        }
        self.wait_or_not(token).await
    }

    /// The same name asked for twice at once: one of them, at most, is accepted.
    async fn create_twice(&mut self) -> anyhow::Result<()> {
        let first = self.wish(Network::Pool);
        let mut second = first.clone();
        second.cpu += 1;
        let keys = [format!("{}-a", self.key()), format!("{}-b", self.key())];
        let bodies = [body(&first), body(&second)];
        let caller = &self.storm.caller;
        let (a, b) = tokio::join!(
            caller.definite(Ask::post("/api/servers/create", &bodies[0], &keys[0])),
            caller.definite(Ask::post("/api/servers/create", &bodies[1], &keys[1])),
        );
        let (a, b) = (a?, b?);
        if a.status == 201 && b.status == 201 && a.body["server_id"] != b.body["server_id"] {
            let text = format!(
                "{} was accepted twice: {} and {}",
                first.name, a.body, b.body
            );
            self.storm.violate("I6", &text, &[]);
        }
        // Whose it is, is only known where no answer was lost.
        let sure = !(a.repeated || b.repeated);
        for (wish, answer) in [(first, a), (second, b)] {
            let refused = answer.status != 201;
            if refused && (sure || self.storm.keys_work()) {
                let known = matches!(answer.code(), "NAME_TAKEN" | "NO_CAPACITY");
                ensure!(known, "{}", answer.body);
                continue;
            }
            if let Some(token) = self.storm.accepted_one(self.number, wish, answer).await? {
                self.wait_or_not(token).await?;
            }
        }
        Ok(())
    }

    async fn create_several(&mut self) -> anyhow::Result<()> {
        let stem = format!("10.66.{}", self.number);
        let count = 2 + self.random.below(4);
        let network = match self.random.below(4) {
            // Sometimes too few for all: then for none.
            0 => Network::Range(stem, 201, 203),
            1 | 2 => Network::Range(stem, 1, 40),
            _ => Network::Pool,
        };
        let wishes: Vec<Wish> = (0..count).map(|_| self.wish(network.clone())).collect();
        let servers: Vec<Value> = wishes.iter().map(plain).collect();
        let mut request = json!({ "servers": servers });
        if let Some(network) = network_body(&network) {
            request["network_config"] = network;
        }
        let (key, hasty) = (self.key(), self.hasty());
        let ask = Ask::post("/api/servers/bulk-create", &request, &key);
        let answer = self.storm.caller.definite_from(ask, hasty).await?;
        let begun = self
            .storm
            .accepted_many(self.number, wishes, answer)
            .await?;
        for token in begun {
            self.wait_or_not(token).await?;
        }
        Ok(())
    }

    fn seize(&mut self, fits: impl Fn(&Told) -> bool) -> Option<Told> {
        let mine = self.number;
        let mut book = self.storm.book.open();
        book.seize(&mut self.random, |told| told.client == mine && fits(told))
    }

    async fn switch(&mut self) -> anyhow::Result<()> {
        let Some(told) = self.seize(|told| told.stage == Stage::Live) else {
            return Ok(());
        };
        let (word, kind) = match self.random.below(3) {
            0 => ("running", "start_server"),
            1 => ("stopped", "stop_server"),
            _ => ("restarted", "restart_server"),
        };
        let path = format!("/api/servers/{}/status", told.id);
        let body = json!({ "status": word });
        let ask = Ask::of(Method::PUT, &path, Some(&body));
        let answer = self.storm.caller.definite(ask).await?;
        match (answer.status, answer.body["task_id"].as_str()) {
            (200, Some(token)) => {
                {
                    let mut book = self.storm.book.open();
                    if let Some(told) = book.servers.get_mut(&told.id) {
                        told.power = None;
                    }
                    book.accept_task(token, kind, Some(told.id));
                }
                self.wait_or_not(token.to_owned()).await
            }
            // It is so already, or cannot be so. An earlier sending may have made it so.
            (200, None) | (409, _) => {
                let mut book = self.storm.book.open();
                if let Some(told) = book.servers.get_mut(&told.id) {
                    told.power = match answer.status {
                        200 => Some(word).filter(|word| *word != "restarted"),
                        _ => told.power.filter(|_| !answer.repeated),
                    };
                }
                book.let_go(told.id);
                Ok(())
            }
            _ => self.storm.unexpected("power", &told, &answer),
        }
    }

    async fn delete(&mut self) -> anyhow::Result<()> {
        let Some(told) = self.seize(|told| !matches!(told.stage, Stage::Making | Stage::Gone))
        else {
            return Ok(());
        };
        if let Some(token) = self.storm.delete(&told).await? {
            self.wait_or_not(token).await?;
        }
        Ok(())
    }

    async fn delete_several(&mut self) -> anyhow::Result<()> {
        let mut several = Vec::new();
        while several.len() < 4
            && let Some(told) = self.seize(|told| told.stage == Stage::Live)
        {
            several.push(told);
        }
        if several.is_empty() {
            return Ok(());
        }
        self.named += 1;
        let key = self.key();
        for token in self.storm.delete_several(&several, &key).await? {
            self.wait_or_not(token).await?;
        }
        Ok(())
    }

    /// Nothing stands twice in a list.
    async fn list(&mut self) -> anyhow::Result<()> {
        let body = self.storm.caller.get("/api/servers?limit=500").await?;
        let servers = body["servers"].as_array().context("no servers")?;
        for field in ["id", "vmid", "name", "ip_address"] {
            let mut seen = BTreeSet::new();
            for server in servers {
                // A create that failed keeps its row, but no longer its name and address.
                let gave_up = server["status"] == "error" && matches!(field, "name" | "ip_address");
                if gave_up || server[field].is_null() {
                    continue;
                }
                if !seen.insert(server[field].to_string()) {
                    let text = format!("{field} {} is listed twice", server[field]);
                    self.storm.violate("I6", &text, &[]);
                }
            }
        }
        Ok(())
    }

    /// Most wait for the end of what they began; the others look later.
    async fn wait_or_not(&mut self, token: String) -> anyhow::Result<()> {
        if self.random.chance(0.25) {
            self.pending.push(token);
            return Ok(());
        }
        while !self.storm.over.is_cancelled() {
            if self.storm.look(&token).await? {
                return Ok(());
            }
            let nap = LOOK_MS.0 + self.random.below(LOOK_MS.1 - LOOK_MS.0);
            tokio::time::sleep(Duration::from_millis(nap)).await;
        }
        Ok(())
    }
}

fn plain(wish: &Wish) -> Value {
    json!({ "name": wish.name, "role": wish.role, "cpu": wish.cpu, "memory": wish.memory,
        "disk_size": wish.disk })
}

fn network_body(network: &Network) -> Option<Value> {
    match network {
        Network::Pool => None,
        Network::Fixed(address) => Some(json!({ "ip_address": address, "subnet": 24 })),
        Network::Range(stem, first, last) => {
            Some(json!({ "ip_range": format!("{stem}.{first}-{stem}.{last}"), "subnet": 24 }))
        }
    }
}

/// A request for one server.
pub(crate) fn body(wish: &Wish) -> Value {
    let mut body = plain(wish);
    if let Some(network) = network_body(&wish.network) {
        body["network_config"] = network;
    }
    body
}

impl Storm {
    pub(crate) fn keys_work(&self) -> bool {
        self.keys_work
    }

    /// What became of a request for one server; its task when it was accepted.
    pub(crate) async fn accepted_one(
        &self,
        client: usize,
        wish: Wish,
        answer: Answer,
    ) -> anyhow::Result<Option<String>> {
        let mut begun = self.accepted_many(client, vec![wish], answer).await?;
        Ok(begun.pop())
    }

    /// What became of a request for servers; their tasks when it was accepted.
    pub(crate) async fn accepted_many(
        &self,
        client: usize,
        wishes: Vec<Wish>,
        answer: Answer,
    ) -> anyhow::Result<Vec<String>> {
        if answer.status == 409 && answer.repeated && answer.code() == "NAME_TAKEN" {
            return self.look_up(client, wishes).await;
        }
        let body = &answer.body;
        if answer.status == 201 {
            let single = [json!({ "server_id": body["server_id"], "task_id": body["task_id"] })];
            let many = body["servers"].as_array();
            let made: &[Value] = many.map_or(&single, |many| many);
            ensure!(made.len() == wishes.len(), "I1: {} of {body}", wishes.len());
            let mut begun = Vec::new();
            let mut book = self.book.open();
            for (wish, made) in wishes.into_iter().zip(made) {
                let id = made["server_id"].as_i64().context("no server_id")?;
                let token = made["task_id"].as_str().context("no task_id")?;
                book.accept_server(client, id, wish, token);
                begun.push(token.to_owned());
            }
            if many.is_some() {
                let token = body["task_id"].as_str().context("no task_id")?;
                book.accept_task(token, "bulk_create", None);
                if let Some(work) = book.tasks.get_mut(token) {
                    work.children.clone_from(&begun);
                }
            }
            return Ok(begun);
        }
        let expected = matches!(
            answer.code(),
            "ADDRESSES_EXHAUSTED" | "ADDRESS_TAKEN" | "NAME_TAKEN" | "NO_CAPACITY"
        );
        ensure!(
            answer.status == 409 && expected,
            "a create was answered with {} {body}",
            answer.status
        );
        self.book.open().refused += 1;
        Ok(Vec::new())
    }

    /// A request whose answer was lost had been carried out: finds what it made by the names.
    async fn look_up(&self, client: usize, wishes: Vec<Wish>) -> anyhow::Result<Vec<String>> {
        let mut begun = Vec::new();
        for wish in wishes {
            let path = format!("/api/servers?name={}&limit=500", wish.name);
            let body = self.caller.get(&path).await?;
            let found = body["servers"].as_array().context("no servers")?;
            let server = found
                .iter()
                .rev()
                .find(|server| server["name"] == wish.name.as_str() && server["cpu"] == wish.cpu);
            // Somebody else's request for the same name came first.
            let Some(id) = server.and_then(|server| server["id"].as_i64()) else {
                continue;
            };
            let Some(token) = self.task_of(id, "create_server").await? else {
                anyhow::bail!("I1: server {id} ({}) has no task", wish.name);
            };
            let mut book = self.book.open();
            book.looked_up += 1;
            if !book.servers.contains_key(&id) {
                book.accept_server(client, id, wish, &token);
                begun.push(token);
            }
        }
        Ok(begun)
    }

    /// The newest task of a kind that works or worked on a server.
    async fn task_of(&self, id: i64, kind: &str) -> anyhow::Result<Option<String>> {
        let path = format!("/api/tasks?server_id={id}&kind={kind}&limit=1");
        let body = self.caller.get(&path).await?;
        Ok(body["tasks"][0]["task_id"].as_str().map(str::to_owned))
    }

    pub(crate) async fn cancel(&self, token: &str) -> anyhow::Result<()> {
        let path = format!("/api/tasks/{token}/cancel");
        let ask = Ask::of(Method::POST, &path, None);
        let answer = self.caller.definite(ask).await?;
        ensure!(
            answer.status == 200 || answer.code() == "TASK_ENDED",
            "cancel: {} {}",
            answer.status,
            answer.body
        );
        Ok(())
    }

    /// Deletes a server that was seized; the task that does.
    pub(crate) async fn delete(&self, told: &Told) -> anyhow::Result<Option<String>> {
        let path = format!("/api/servers/{}", told.id);
        let ask = Ask::of(Method::DELETE, &path, None);
        let answer = self.caller.definite(ask).await?;
        let token = match (answer.status, answer.body["task_id"].as_str()) {
            (200, Some(token)) => Some(token.to_owned()),
            (404, _) if answer.repeated => self.task_of(told.id, "delete_server").await?,
            _ => None,
        };
        match token {
            Some(token) => {
                let mut book = self.book.open();
                book.accept_task(&token, "delete_server", Some(told.id));
                if let Some(told) = book.servers.get_mut(&told.id) {
                    told.deleting = true;
                }
                Ok(Some(token))
            }
            None => self.unexpected("delete", told, &answer).map(|()| None),
        }
    }

    /// Deletes several at once; the tasks that do.
    pub(crate) async fn delete_several(
        &self,
        several: &[Told],
        key: &str,
    ) -> anyhow::Result<Vec<String>> {
        let ids: Vec<i64> = several.iter().map(|told| told.id).collect();
        let body = json!({ "server_ids": ids });
        let ask = Ask::post("/api/servers/bulk-delete", &body, key);
        let answer = self.caller.definite(ask).await?;
        let mut tokens = Vec::new();
        if answer.status == 201 || answer.status == 200 {
            let made = answer.body["servers"].as_array().context("no servers")?;
            for made in made {
                tokens.push(made["task_id"].as_str().context("no task_id")?.to_owned());
            }
        } else if answer.repeated && matches!(answer.status, 404 | 409) {
            for id in &ids {
                let token = self.task_of(*id, "delete_server").await?;
                tokens.push(token.context("I1: a bulk-delete has no task")?);
            }
        } else {
            for told in several {
                self.unexpected("bulk-delete", told, &answer)?;
            }
        }
        let mut book = self.book.open();
        for (id, token) in ids.iter().zip(&tokens) {
            book.accept_task(token, "delete_server", Some(*id));
            if let Some(told) = book.servers.get_mut(id) {
                told.deleting = true;
            }
        }
        if let (Some(token), 200 | 201) = (answer.body["task_id"].as_str(), answer.status) {
            book.accept_task(token, "bulk_delete", None);
            if let Some(work) = book.tasks.get_mut(token) {
                work.children.clone_from(&tokens);
            }
        }
        Ok(tokens)
    }

    /// An answer that nothing explains.
    fn unexpected(&self, what: &str, told: &Told, answer: &Answer) -> anyhow::Result<()> {
        anyhow::bail!(
            "{what} of server {} ({:?}) was answered with {} {}",
            told.id,
            told.stage,
            answer.status,
            answer.body
        )
    }

    /// Looks at a task; whether it has ended. What it ended with is noted and held against the cluster.
    pub(crate) async fn look(&self, token: &str) -> anyhow::Result<bool> {
        let answer = self
            .caller
            .definite(Ask::get(&format!("/api/tasks/{token}")))
            .await?;
        if answer.status != 200 {
            let text = format!("task {token} is gone: {} {}", answer.status, answer.body);
            self.violate("I1", &text, &[]);
            return Ok(true);
        }
        let body = answer.body;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = text(&body["status"]);
        if matches!(status.as_str(), "pending" | "running") {
            return Ok(false);
        }
        let end = End {
            status,
            code: text(&body["error"]["code"]),
            step: text(&body["error"]["details"]["step"]),
        };
        let server = {
            let book = self.book.open();
            let work = book.tasks.get(token);
            let known = work.is_some_and(|work| work.end.is_some());
            work.and_then(|work| work.server).filter(|_| !known)
        };
        // What is known of it is learnt before it is anybody else's.
        if let Some(id) = server {
            self.learn(id).await?;
        }
        self.hold_against_cluster(token, end);
        Ok(true)
    }

    async fn learn(&self, id: i64) -> anyhow::Result<()> {
        let answer = self
            .caller
            .definite(Ask::get(&format!("/api/servers/{id}")))
            .await?;
        if answer.status == 200 {
            let vmid = answer.body["vmid"]
                .as_u64()
                .and_then(|n| u32::try_from(n).ok());
            let address = answer.body["ip_address"].as_str().map(str::to_owned);
            self.book.open().learn(id, vmid, address);
        }
        Ok(())
    }

    /// Notes an end and, at the moment it is told, looks whether it is true.
    fn hold_against_cluster(&self, token: &str, end: End) {
        // Nobody acts on the server between the two: it becomes free with the end.
        let mut book = self.book.open();
        let work = book.tasks.get(token).cloned();
        let told = work
            .as_ref()
            .and_then(|work| book.servers.get(&work.server?).cloned());
        let fresh = work.as_ref().is_some_and(|work| work.end.is_none());
        let mut wrong: Vec<(&'static str, String)> = Vec::new();
        if let (true, Some(work), Some(told)) = (fresh, &work, &told) {
            let guest = told
                .vmid
                .and_then(|vmid| self.installation.simulator.guest(vmid));
            let mut told = told.clone();
            let done = end.status == "completed";
            match work.kind {
                "create_server" if done => {
                    told.power = Some("running");
                    let found = judge::wrong_with(&told, guest.as_ref());
                    wrong.extend(found.into_iter().map(|text| ("I3", text)));
                }
                "create_server" | "delete_server"
                    if done || end.status == "cancelled" && work.kind == "create_server" =>
                {
                    if let Some(guest) = guest
                        && judge::marked_for(&guest) == Some(told.id)
                        && !(book.stubs.contains(&guest.vmid) && judge::is_locked_by_clone(&guest))
                    {
                        wrong.push(("I4", format!("the guest is still there: {guest:?}")));
                    }
                }
                _ => {}
            }
        }
        let noted = book.end(token, end.clone());
        drop(book);
        if let Err(before) = noted {
            let text = format!("task {token} ended as {before:?}, then as {end:?}");
            self.violate("I2", &text, &[]);
        }
        for (invariant, text) in wrong {
            let (id, vmid) = told.as_ref().map_or((0, None), |told| (told.id, told.vmid));
            let text = format!("task {token} {} of server {id}: {text}", end.status);
            self.violate(invariant, &text, &vmid.into_iter().collect::<Vec<_>>());
        }
    }
}
