//! Requests to the cluster and what becomes of them.

use super::{Due, Guest, Pve, PveTask, Request, State};
use std::time::Duration;
use tpm_domain::{Timestamp, Vmid};

/// Why a request has no answer that helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    NotSent,
    Busy,
    Refused,
    /// What became of it is not known.
    Lost,
    /// The number is taken.
    Exists,
    /// There is no such guest.
    Missing,
    /// It has to be off for that.
    IsRunning,
}

/// How a task of the cluster came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed,
    /// Killed: nothing is cleaned up.
    Killed,
}

/// How a task stands; `None` when it is not known.
pub(crate) type Standing = Option<Option<Outcome>>;

/// An entry of the cluster's list.
pub(crate) struct Listed {
    pub(crate) vmid: Vmid,
    pub(crate) guest: Guest,
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Pve {
    /// Asks something. Takes a moment; may not be answered.
    async fn ask<T>(&self, question: impl FnOnce(&State, Timestamp) -> T) -> Result<T, Fault> {
        tokio::time::sleep(millis(self.dice.between(1, 12))).await;
        if self.chance(self.trouble.unread) {
            tokio::time::sleep(millis(self.dice.between(0, 400))).await;
            return Err(Fault::NotSent);
        }
        let now = self.scene.now();
        let state = self.state();
        Ok(question(&state, now))
    }

    /// A guest's configuration and power.
    pub(crate) async fn guest(&self, vmid: Vmid) -> Result<Option<Guest>, Fault> {
        self.ask(|state, _| state.guests.get(&vmid).cloned()).await
    }

    /// How a task stands.
    pub(crate) async fn task(&self, number: u64) -> Result<Standing, Fault> {
        self.ask(|state, _| {
            let task = state.tasks.get(&number)?;
            Some(task.ended.then_some(task.outcome))
        })
        .await
    }

    /// Whether a clone to a number is under way.
    pub(crate) async fn is_cloning(&self, to: Vmid) -> Result<bool, Fault> {
        self.ask(|state, _| {
            state.tasks.values().any(|task| {
                !task.ended && matches!(&task.request, Request::Clone { vmid, .. } if *vmid == to)
            })
        })
        .await
    }

    /// The cluster's list: it may lag behind for some seconds.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>, Fault> {
        self.ask(|state, now| {
            let there = state
                .guests
                .iter()
                .filter(|(_, guest)| guest.listed_at <= now)
                .map(|(vmid, guest)| (*vmid, guest));
            let ghosts = state
                .ghosts
                .iter()
                .filter(|(vmid, _, until)| *until > now && !state.guests.contains_key(vmid))
                .map(|(vmid, guest, _)| (*vmid, guest));
            there
                .chain(ghosts)
                .map(|(vmid, guest)| Listed {
                    vmid,
                    guest: guest.clone(),
                })
                .collect()
        })
        .await
    }

    /// Asks for something; the number of the task that does it, 0 when it is done at once.
    pub(crate) async fn send(&self, request: Request) -> Result<u64, Fault> {
        tokio::time::sleep(millis(self.dice.between(1, 15))).await;
        let trouble = &self.trouble;
        let early = [
            (trouble.not_sent, Fault::NotSent),
            (trouble.busy, Fault::Busy),
            (trouble.refused, Fault::Refused),
        ];
        for (chance, fault) in early {
            if self.chance(chance) {
                self.scene
                    .tell("pve", format_args!("{fault:?}: {request:?}"));
                return Err(fault);
            }
        }
        let patience = millis(self.dice.between(100, 1500));
        if self.chance(trouble.lost_undone) {
            self.scene
                .tell("pve", format_args!("lost, not done: {request:?}"));
            tokio::time::sleep(patience).await;
            return Err(Fault::Lost);
        }
        let after = millis(self.dice.between(200, 15_000));
        if self.chance(trouble.late) {
            self.scene
                .tell("pve", format_args!("lost, done in {after:?}: {request:?}"));
            self.delay(request, after);
            tokio::time::sleep(patience).await;
            return Err(Fault::Lost);
        }
        let lost = self.chance(trouble.lost_done);
        self.scene.tell(
            "pve",
            format_args!("{request:?}{}", if lost { ", answer lost" } else { "" }),
        );
        let answer = {
            let now = self.scene.now();
            let mut state = self.state();
            self.arrive(&mut state, request, now)
        };
        if lost {
            tokio::time::sleep(patience).await;
            return Err(Fault::Lost);
        }
        tokio::time::sleep(millis(self.dice.between(1, 15))).await;
        answer
    }

    /// The request is on its way, and out of anybody's hands.
    fn delay(&self, request: Request, after: Duration) {
        let at = self.scene.now().plus(after);
        let mut state = self.state();
        let number = state.number();
        state.due.insert((at, number), Due::Arrives(request));
    }

    /// A request is there, at `at`.
    pub(super) fn arrive(
        &self,
        state: &mut State,
        request: Request,
        at: Timestamp,
    ) -> Result<u64, Fault> {
        let lag = millis(self.dice.below(3000));
        match &request {
            Request::Clone { vmid, name, .. } => {
                if state.guests.contains_key(vmid) {
                    return Err(Fault::Exists);
                }
                let guest = Guest {
                    name: name.clone(),
                    mark: String::new(),
                    uuid: String::new(),
                    running: false,
                    running_since: None,
                    cpu: 1,
                    memory_mb: 512,
                    locked: true,
                    agent_at: None,
                    listed_at: at.plus(lag),
                    foreign: false,
                };
                state.guests.insert(*vmid, guest);
            }
            Request::Configure {
                vmid,
                cpu,
                memory_mb,
            } => {
                let guest = self.ours(state, *vmid)?;
                if guest.locked {
                    return Err(Fault::Busy);
                }
                guest.cpu = *cpu;
                guest.memory_mb = *memory_mb;
                return Ok(0);
            }
            Request::Start(vmid)
            | Request::Shutdown(vmid)
            | Request::Stop(vmid)
            | Request::Reboot(vmid) => {
                if self.ours(state, *vmid)?.locked {
                    return Err(Fault::Busy);
                }
            }
            Request::Destroy(vmid) => {
                let guest = self.ours(state, *vmid)?;
                if guest.locked {
                    return Err(Fault::Busy);
                }
                if guest.running {
                    return Err(Fault::IsRunning);
                }
            }
        }
        let takes = match &request {
            Request::Clone { .. } => self.dice.between(100, 3000),
            Request::Shutdown(_) | Request::Reboot(_) => self.dice.between(50, 4000),
            _ => self.dice.between(20, 600),
        };
        let outcome = if self.chance(self.trouble.task_killed) {
            Outcome::Killed
        } else if self.chance(self.trouble.task_fails) {
            Outcome::Failed
        } else {
            Outcome::Done
        };
        let number = state.number();
        let task = PveTask {
            request,
            outcome,
            ended: false,
        };
        state.tasks.insert(number, task);
        state
            .due
            .insert((at.plus(millis(takes)), number), Due::Ends(number));
        Ok(number)
    }

    /// A guest that may be changed by us.
    fn ours<'a>(&self, state: &'a mut State, vmid: Vmid) -> Result<&'a mut Guest, Fault> {
        let guest = state.guests.get_mut(&vmid).ok_or(Fault::Missing)?;
        if guest.foreign {
            self.angry(format_args!("a request for the foreign guest {vmid}"));
        }
        Ok(guest)
    }

    pub(super) fn end(&self, state: &mut State, number: u64, at: Timestamp) {
        let Some(task) = state.tasks.get_mut(&number) else {
            return;
        };
        task.ended = true;
        let (request, outcome) = (task.request.clone(), task.outcome);
        self.scene
            .tell("pve", format_args!("{outcome:?}: {request:?}"));
        let done = outcome == Outcome::Done;
        match request {
            Request::Clone { vmid, mark, .. } => self.end_clone(state, vmid, mark, outcome),
            Request::Start(vmid) if done => {
                let never = self.chance(self.trouble.no_agent);
                let after = millis(self.dice.between(100, 3000));
                if let Some(guest) = state.guests.get_mut(&vmid) {
                    guest.running = true;
                    guest.running_since.get_or_insert(at);
                    guest.agent_at = (!never).then(|| at.plus(after));
                }
            }
            Request::Shutdown(vmid) | Request::Stop(vmid) if done => {
                if let Some(guest) = state.guests.get_mut(&vmid) {
                    guest.running = false;
                    guest.running_since = None;
                    guest.agent_at = None;
                }
            }
            // One that is off stays off.
            Request::Reboot(vmid) if done => {
                if let Some(guest) = state.guests.get_mut(&vmid)
                    && guest.running
                {
                    guest.running_since = Some(at);
                }
            }
            Request::Destroy(vmid) if done => {
                // Started in between: the task notices.
                if state.guests.get(&vmid).is_some_and(|guest| guest.running) {
                    if let Some(task) = state.tasks.get_mut(&number) {
                        task.outcome = Outcome::Failed;
                    }
                } else if let Some(guest) = state.guests.remove(&vmid) {
                    let lag = millis(self.dice.below(3000));
                    state.ghosts.push((vmid, guest, at.plus(lag)));
                }
            }
            _ => {}
        }
    }

    fn end_clone(&self, state: &mut State, vmid: Vmid, mark: String, outcome: Outcome) {
        match outcome {
            Outcome::Failed => {
                state.guests.remove(&vmid);
            }
            // The lock stays, and only root on the node could remove it.
            Outcome::Killed => {}
            Outcome::Done => {
                let twin = |guest: &Guest| guest.mark == mark;
                if state.guests.values().any(twin) {
                    self.angry(format_args!("two guests with the mark {mark}"));
                }
                if let Some(guest) = state.guests.get_mut(&vmid) {
                    guest.locked = false;
                    guest.mark = mark;
                    guest.uuid = format!("{:016x}", self.dice.next());
                }
            }
        }
    }
}
