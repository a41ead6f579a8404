//! After the storm has been judged: everything is deleted, nothing may be left, and what was held can be had
//! again.

use super::book::{Network, Stage, Told, Wish};
use super::caller::Ask;
use super::installation::MARK;
use super::judge;
use super::oracle::WIDTH;
use super::person::body;
use super::storm::Storm;
use futures::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long it may take until everything is deleted.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many names and addresses are used a second time.
const AGAIN: usize = 6;

impl Storm {
    /// Deletes everything. A stranger's machine under the number of a server is refused, left alone, and
    /// past it the server can be deleted once its owner removed it.
    ///
    /// # Errors
    /// When the apis give no definite answers.
    pub(crate) async fn clear_away(&self) -> anyhow::Result<()> {
        let mut left = self.there();
        // Whoever was told that a person has to look, looks: what a killed clone left cannot be removed but by root.
        let stuck = left.iter().filter(|told| told.stage == Stage::Stuck);
        self.remove_stubs(stuck.filter_map(|told| told.vmid).collect());
        let mut refused = BTreeSet::new();
        let began = Instant::now();
        while !left.is_empty() && began.elapsed() < PATIENCE {
            let occupied: BTreeSet<i64> = left
                .iter()
                .filter(|told| told.vmid.is_some_and(|vmid| self.strangers.has(vmid)))
                .map(|told| told.id)
                .collect();
            let ends = self.delete_all(&left).await?;
            for told in &left {
                let Some((status, code)) = ends.get(&told.id) else {
                    // Something is at work on it; once more.
                    continue;
                };
                let vmids: Vec<u32> = told.vmid.into_iter().collect();
                // Its owner may have removed it long ago.
                let conflict = told.by_hand.replaced
                    && occupied.contains(&told.id)
                    && !refused.contains(&told.id);
                match (conflict, status.as_str(), code.as_str()) {
                    (false, "completed", _) => {}
                    (true, "failed", "IDENTITY_CONFLICT") => {
                        refused.insert(told.id);
                        for vmid in &vmids {
                            self.strangers.leave(&self.installation.simulator, *vmid);
                        }
                    }
                    // The number of a server without a guest may be a stranger's without any harm.
                    (true, "completed", _) if told.stage != Stage::Live => {}
                    end => {
                        let text = format!(
                            "deleting server {} ({:?}, {:?}) ended as {end:?}",
                            told.id, told.stage, told.by_hand
                        );
                        self.violate("I4", &text, &vmids);
                        return Ok(());
                    }
                }
            }
            left = self.there();
        }
        for told in left {
            let text = format!("server {} cannot be deleted", told.id);
            self.violate("I4", &text, &told.vmid.into_iter().collect::<Vec<_>>());
        }
        self.nothing_is_left().await
    }

    fn there(&self) -> Vec<Told> {
        let book = self.book.open();
        let there = book
            .servers
            .values()
            .filter(|told| told.stage != Stage::Gone);
        there.cloned().collect()
    }

    /// Asks for all to be deleted and waits; how each ended.
    async fn delete_all(
        &self,
        servers: &[Told],
    ) -> anyhow::Result<BTreeMap<i64, (String, String)>> {
        let tokens: Vec<(i64, Option<String>)> = stream::iter(servers)
            .map(|told| async move { anyhow::Ok((told.id, self.delete(told).await?)) })
            .buffer_unordered(WIDTH)
            .try_collect()
            .await?;
        self.come_to_rest().await?;
        let book = self.book.open();
        let end = |(id, token): (i64, Option<String>)| {
            let end = book.tasks.get(&token?)?.end.clone()?;
            Some((id, (end.status, end.code)))
        };
        Ok(tokens.into_iter().filter_map(end).collect())
    }

    /// Root removes what killed clones left under these numbers.
    fn remove_stubs(&self, vmids: BTreeSet<u32>) {
        let simulator = &self.installation.simulator;
        let stubs = self.book.open().stubs.clone();
        for vmid in vmids.intersection(&stubs) {
            if simulator
                .guest(*vmid)
                .is_some_and(|guest| judge::is_locked_by_clone(&guest))
            {
                self.note(&format!("root removes the stub {vmid}"));
                simulator.behind_the_back().destroy(*vmid).ok();
            }
        }
    }

    async fn nothing_is_left(&self) -> anyhow::Result<()> {
        self.wait_for_sweep().await?;
        let simulator = &self.installation.simulator;
        let stubs = self.book.open().stubs.clone();
        self.remove_stubs(stubs);
        for guest in simulator.guests() {
            if guest.description.contains(MARK) || guest.config.contains_key("lock") {
                self.violate("I5", &format!("left over: {guest:?}"), &[guest.vmid]);
            }
        }
        let body = self.caller.get("/api/servers?limit=1").await?;
        if body["total"] != 0 {
            self.violate("I1", &format!("not all are gone: {body}"), &[]);
        }
        for (vmid, text) in self.strangers.touched(simulator) {
            self.violate("I7", &format!("stranger {vmid} {text}"), &[vmid]);
        }
        Ok(())
    }

    /// Names and addresses of servers that are gone can be had again; their VMIDs cannot.
    ///
    /// # Errors
    /// When the apis give no definite answers.
    pub(crate) async fn once_more(&self) -> anyhow::Result<()> {
        let used: BTreeSet<u32> = {
            let book = self.book.open();
            book.servers.values().filter_map(|told| told.vmid).collect()
        };
        let mut names = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        let wishes: Vec<Wish> = {
            let book = self.book.open();
            let gone = book.servers.values().rev().filter(|told| {
                told.address.as_deref().is_some_and(|address| {
                    let last = address.rsplit('.').next();
                    !matches!(last, Some("0" | "255"))
                        && !names.contains(&told.wish.name)
                        && addresses.insert(address.to_owned())
                        && names.insert(told.wish.name.clone())
                })
            });
            let wish = |told: &Told| Wish {
                network: Network::Fixed(told.address.clone().unwrap_or_default()),
                ..told.wish.clone()
            };
            gone.take(AGAIN).map(wish).collect()
        };
        for (at, wish) in wishes.into_iter().enumerate() {
            let body = body(&wish);
            let key = format!("storm-again-{}-{at}", self.seed);
            let ask = Ask::post("/api/servers/create", &body, &key);
            let answer = self.caller.definite(ask).await?;
            if answer.status != 201 {
                let text = format!("{body} cannot be had again: {}", answer.body);
                self.violate("I4", &text, &[]);
                continue;
            }
            self.accepted_one(usize::MAX, wish, answer).await?;
        }
        self.come_to_rest().await?;
        for told in self.there() {
            let vmids: Vec<u32> = told.vmid.into_iter().collect();
            if told.stage != Stage::Live {
                let text = format!("{:?} cannot be made again: {:?}", told.wish, told.stage);
                self.violate("I4", &text, &vmids);
            }
            for vmid in vmids.iter().filter(|vmid| used.contains(vmid)) {
                self.violate("I6", &format!("VMID {vmid} was given again"), &[*vmid]);
            }
        }
        self.clear_away().await
    }
}
