//! One client: asks for servers, switches them, deletes them, changes its mind, looks at lists, and holds
//! every answer against the cluster as soon as it comes.

use super::book::{Network, Stage, Told, Wish};
use super::caller::Ask;
use super::installation::ROLES;
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
                // A create that failed keeps its row until it is deleted, but not its name.
                let failed = server["status"] == "error" || server["status"] == "deleting";
                let gave_up = failed && field == "name";
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
