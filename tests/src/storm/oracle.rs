//! After the storm: everything comes to its end, then what the clients were told is held against what the
//! cluster says of itself.

use super::book::{Stage, Told};
use super::judge;
use super::rows::Rows;
use super::storm::Storm;

use anyhow::{Context, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long everything may take to come to its end once nothing goes wrong any more.
const QUIET: Duration = Duration::from_secs(90);
/// How long the sweep may take to find and remove what arrived late.
const SWEPT: Duration = Duration::from_secs(20);
/// How many questions are asked at once.
pub(crate) const WIDTH: usize = 8;

impl Storm {
    /// Waits until every task has ended.
    ///
    /// # Errors
    /// When the apis give no definite answers.
    pub(crate) async fn come_to_rest(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        let rows = Rows::of(&self.installation.database);
        loop {
            let open: Vec<String> = self.book.open().open.iter().cloned().collect();
            if open.is_empty() {
                self.note("everything has ended");
                return Ok(());
            }
            // Whom to ask about; what became of it, the apis tell.
            let at_work: BTreeSet<String> = rows
                .texts("SELECT token AS found FROM tasks WHERE state IN ('pending', 'running')")
                .await?
                .into_iter()
                .collect();
            let ended: Vec<&String> = open.iter().filter(|t| !at_work.contains(*t)).collect();
            if began.elapsed() > QUIET {
                let token = &open[0];
                let task = self.caller.get(&format!("/api/tasks/{token}")).await?;
                let text = format!("{} tasks have no end, {task}", open.len());
                let vmid = self.vmid_of(token);
                self.violate("I2", &text, &vmid.into_iter().collect::<Vec<_>>());
                return Ok(());
            }
            stream::iter(ended)
                .map(|token| self.look(token))
                .buffer_unordered(WIDTH)
                .try_collect::<Vec<_>>()
                .await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn vmid_of(&self, token: &str) -> Option<u32> {
        let book = self.book.open();
        let server = book.tasks.get(token)?.server?;
        book.servers.get(&server)?.vmid
    }

    /// A clone that arrives after its create is over, or comes back with a node that was given up, is removed
    /// by the sweep, which takes its time: waits until no guest of ours is there that should not be. One that
    /// nothing explains is a violation at once.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn wait_for_sweep(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut seen: BTreeSet<u32> = BTreeSet::new();
        loop {
            let late = self.left_over();
            for (vmid, server) in &late {
                if seen.insert(*vmid) && !self.is_explained(*vmid, *server).await? {
                    let text = format!("VM {vmid} of server {server} is left, and was not late");
                    self.violate("I5", &text, &[*vmid]);
                }
            }
            if late.is_empty() || began.elapsed() > SWEPT {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if !seen.is_empty() {
            self.note(&format!("arrived late and were to be swept: {seen:?}"));
            self.count(|counts| counts.late += seen.len() as u64);
        }
        Ok(())
    }

    /// Guests of servers that are gone or have another number, and the servers.
    fn left_over(&self) -> Vec<(u32, i64)> {
        let book = self.book.open();
        let mut left = Vec::new();
        for guest in self.installation.simulator.guests() {
            let told = judge::marked_for(&guest).and_then(|id| book.servers.get(&id));
            if let Some(told) = told
                && !judge::is_locked_by_clone(&guest)
                && (matches!(told.stage, Stage::Failed | Stage::Gone)
                    || told.vmid.is_some_and(|vmid| vmid != guest.vmid))
            {
                left.push((guest.vmid, told.id));
            }
        }
        left
    }

    /// Whether its node had been given up, or it came when its server's last task was over.
    async fn is_explained(&self, vmid: u32, server: i64) -> anyhow::Result<bool> {
        let rows = Rows::of(&self.installation.database);
        let moved = format!(
            "SELECT COUNT(*) AS moved FROM events
             WHERE server_id = {server} AND kind LIKE '%\"placed_again\"%'"
        );
        if rows.numbers(&moved, &["moved"]).await?[0][0] > 0 {
            return Ok(true);
        }
        let over = format!(
            "SELECT COALESCE(MAX(updated_ms), 0) AS over FROM tasks
             WHERE server_id = {server} AND kind <> 'remove_orphan'"
        );
        let over = rows.numbers(&over, &["over"]).await?[0][0];
        let effects = self.installation.simulator.effects();
        let cloned = effects
            .iter()
            .rev()
            .find(|e| e.vmid == vmid && e.kind == "clone");
        Ok(cloned.is_some_and(|effect| effect.at_ms >= over))
    }

    /// What the clients were told against the apis' lists and the cluster.
    ///
    /// # Errors
    /// When the apis give no definite answers.
    pub(crate) async fn hold_up(&self) -> anyhow::Result<()> {
        let listed = self.caller.all("/api/servers", "servers").await?;
        let mut by_id: BTreeMap<i64, Value> = BTreeMap::new();
        for server in listed {
            let id = server["id"].as_i64().context("no id")?;
            let vmid = server["vmid"].as_u64().and_then(|n| u32::try_from(n).ok());
            let address = server["ip_address"].as_str().map(str::to_owned);
            self.book.open().learn(id, vmid, address);
            by_id.insert(id, server);
        }
        let servers: Vec<Told> = self.book.open().servers.values().cloned().collect();
        let known: BTreeSet<i64> = servers.iter().map(|told| told.id).collect();
        if self.keys_work {
            for (id, server) in by_id.iter().filter(|(id, _)| !known.contains(id)) {
                self.violate(
                    "I1",
                    &format!("nobody asked for server {id}: {server}"),
                    &[],
                );
            }
        }
        self.compare_guests(&servers, &by_id);
        self.compare_history(&servers);
        self.compare_bulks().await?;
        self.compare_notifications().await
    }

    fn compare_guests(&self, servers: &[Told], listed: &BTreeMap<i64, Value>) {
        let stubs = self.book.open().stubs.clone();
        let mut guests: BTreeMap<i64, Vec<_>> = BTreeMap::new();
        for guest in self.installation.simulator.guests() {
            // Only root on the host can remove what a killed clone left.
            let is_stub = judge::is_locked_by_clone(&guest) && stubs.contains(&guest.vmid);
            match judge::marked_for(&guest) {
                Some(id) if !is_stub => guests.entry(id).or_default().push(guest),
                _ => {}
            }
        }
        for told in servers {
            let found = guests.remove(&told.id).unwrap_or_default();
            let vmids: Vec<u32> = found.iter().map(|g| g.vmid).chain(told.vmid).collect();
            let who = format!("server {} ({}, {:?})", told.id, told.wish.name, told.stage);
            let is_listed = listed.contains_key(&told.id);
            if is_listed == (told.stage == Stage::Gone) {
                let text = format!("{who} is listed: {is_listed}");
                self.violate("I1", &text, &vmids);
            }
            match told.stage {
                Stage::Making => self.violate("I2", &format!("{who} has no end"), &vmids),
                Stage::Live => {
                    if found.len() > 1 {
                        let text = format!("{who} has {} guests: {vmids:?}", found.len());
                        self.violate("I3", &text, &vmids);
                    }
                    let mut wrong = judge::wrong_with(told, found.first());
                    if let (Some(guest), Some(vmid)) = (found.first(), told.vmid)
                        && guest.vmid != vmid
                    {
                        wrong.push(format!("its VMID is {vmid}, the guest's {}", guest.vmid));
                    }
                    for text in wrong {
                        self.violate("I3", &format!("{who}: {text}"), &vmids);
                    }
                }
                // What could not be undone may be there, and is told to be.
                Stage::Stuck => {}
                Stage::Failed | Stage::Gone => {
                    if let Some(guest) = found.first() {
                        let text = format!("{who} has left {guest:?}");
                        self.violate("I4", &text, &vmids);
                    }
                }
            }
        }
        for (id, guests) in guests {
            let text = format!("nobody was told of server {id}, whose mark is on {guests:?}");
            self.violate(
                "I5",
                &text,
                &guests.iter().map(|g| g.vmid).collect::<Vec<_>>(),
            );
        }
    }

    /// Over all of history: no number was cloned to for two servers, no address is held twice.
    fn compare_history(&self, servers: &[Told]) {
        let mut cloned: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for effect in self.installation.simulator.effects() {
            if effect.kind == "clone"
                && let Some((_, name)) = effect.detail.split_once(" as ")
            {
                cloned
                    .entry(effect.vmid)
                    .or_default()
                    .insert(name.to_owned());
            }
        }
        for (vmid, names) in cloned.iter().filter(|(_, names)| names.len() > 1) {
            let text = format!("VMID {vmid} was made for {names:?}");
            self.violate("I6", &text, &[*vmid]);
        }
        let mut vmids: BTreeMap<u32, i64> = BTreeMap::new();
        for told in servers {
            if let Some(vmid) = told.vmid
                && let Some(other) = vmids.insert(vmid, told.id)
            {
                let text = format!("servers {other} and {} were told VMID {vmid}", told.id);
                self.violate("I6", &text, &[vmid]);
            }
        }
        let mut addresses: BTreeMap<&str, i64> = BTreeMap::new();
        let live = servers.iter().filter(|told| told.stage == Stage::Live);
        for told in live {
            if let Some(address) = told.address.as_deref()
                && let Some(other) = addresses.insert(address, told.id)
            {
                let text = format!("servers {other} and {} have address {address}", told.id);
                self.violate("I6", &text, &told.vmid.into_iter().collect::<Vec<_>>());
            }
        }
    }

    /// A bulk ended as its children did.
    async fn compare_bulks(&self) -> anyhow::Result<()> {
        let bulks: Vec<(String, Vec<String>, String)> = {
            let book = self.book.open();
            let end = |token: &String| {
                let work = book.tasks.get(token);
                let end = work.and_then(|work| work.end.as_ref());
                end.map(|end| end.status.clone()).unwrap_or_default()
            };
            book.tasks
                .iter()
                .filter(|(_, work)| !work.children.is_empty())
                .map(|(token, work)| {
                    (
                        token.clone(),
                        work.children.iter().map(end).collect(),
                        end(token),
                    )
                })
                .collect()
        };
        for (token, children, ended) in bulks {
            let count = |word: &str| children.iter().filter(|end| *end == word).count();
            let expected = match (count("completed"), count("failed")) {
                (done, _) if done == children.len() => "completed",
                (0, 0) => "cancelled",
                (0, _) => "failed",
                _ => "partial",
            };
            if ended != expected {
                let text = format!("bulk {token} ended as {ended}, its parts as {children:?}");
                self.violate("I2", &text, &[]);
            }
        }
        Ok(())
    }

    /// People are told of every end once.
    async fn compare_notifications(&self) -> anyhow::Result<()> {
        let told = self
            .caller
            .all("/api/notifications", "notifications")
            .await?;
        let mut times: BTreeMap<String, u32> = BTreeMap::new();
        for notification in told {
            // What happens on the way is no end.
            if matches!(
                notification["event"].as_str(),
                Some("placed_again" | "orphan_found" | "expired")
            ) {
                continue;
            }
            // What was only seen belongs to no task.
            let Some(token) = notification["task_id"].as_str() else {
                continue;
            };
            *times.entry(token.to_owned()).or_default() += 1;
        }
        let ended: Vec<(String, &'static str)> = {
            let book = self.book.open();
            let single = book.tasks.iter().filter(|(_, work)| work.server.is_some());
            let ended = single.filter(|(_, work)| work.end.is_some());
            ended
                .map(|(token, work)| (token.clone(), work.kind))
                .collect()
        };
        for (token, kind) in ended {
            let found = times.get(&token).copied().unwrap_or_default();
            if found != 1 {
                let text = format!("people were told {found} times of the end of {kind} {token}");
                self.violate("I9", &text, &[]);
            }
        }
        Ok(())
    }

    /// Who did what is written down without a gap, and nothing of it was changed.
    ///
    /// # Errors
    /// When the apis give no definite answers.
    pub(crate) async fn verify_audit(&self) -> anyhow::Result<()> {
        let found = self.caller.get("/api/audit/verify").await?;
        if found["valid"] != true {
            self.violate("I10", &format!("the audit is broken: {found}"), &[]);
        }
        Ok(())
    }

    /// What the database says of itself, at the very end.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn read_rows(&self) -> anyhow::Result<()> {
        let rows = Rows::of(&self.installation.database);
        for (invariant, text) in rows.wrong().await? {
            self.violate(invariant, &text, &[]);
        }
        if self.keys_work {
            let count = rows
                .numbers("SELECT COUNT(*) AS found FROM servers", &["found"])
                .await?;
            let told = self.book.open().servers.len();
            ensure!(!count.is_empty(), "no count");
            if count[0][0] != i64::try_from(told)? {
                let text = format!("{} servers were made, {told} were told", count[0][0]);
                self.violate("I1", &text, &[]);
            }
        }
        for damage in rows.damage().await? {
            self.violate("I11", &damage, &[]);
        }
        if let Some(postgres) = &self.installation.postgres {
            let url = &self.installation.database;
            let checked = tokio::task::block_in_place(|| {
                let postgres = postgres
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                postgres.check(url)
            });
            if let Err(error) = checked {
                self.violate("I11", &format!("{error:#}"), &[]);
            }
        }
        Ok(())
    }
}
