//! Machines that belong to others: remembered as they were made, and looked at again and again. Nobody but
//! their owners may change them.

use super::installation::MARK;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tpm_pve_simulator::{GuestView, Simulator};

/// Most of them at once; the oldest goes.
const MOST: usize = 60;

/// What each of them is.
#[derive(Debug)]
pub(crate) struct Strangers(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    guests: BTreeMap<u32, GuestView>,
    /// In the order they came; not the templates.
    order: Vec<u32>,
    made: u64,
}

/// Ours, or the beginning of ours.
fn is_ours(guest: &GuestView) -> bool {
    guest.description.contains(MARK) || guest.config.contains_key("lock")
}

impl Strangers {
    /// Those that are there from the beginning.
    pub(crate) fn of(simulator: &Simulator) -> Self {
        let mut guests = simulator.guests();
        guests.retain(|guest| !is_ours(guest));
        let guests = guests.into_iter().map(|g| (g.vmid, g)).collect();
        Self(Mutex::new(Inner {
            guests,
            order: Vec::new(),
            made: 0,
        }))
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn made(&self) -> u64 {
        self.inner().made
    }

    /// Somebody makes a machine, if the number is free.
    pub(crate) fn squat(&self, simulator: &Simulator, vmid: u32, node: &str) -> bool {
        let mut inner = self.inner();
        inner.made += 1;
        let name = format!("stranger-{}", inner.made);
        if simulator
            .behind_the_back()
            .squat(vmid, node, &name)
            .is_err()
        {
            return false;
        }
        if let Some(guest) = simulator.guest(vmid) {
            inner.guests.insert(vmid, guest);
            inner.order.push(vmid);
        }
        if inner.order.len() > MOST {
            let oldest = inner.order.remove(0);
            inner.guests.remove(&oldest);
            simulator.behind_the_back().destroy(oldest).ok();
        }
        true
    }

    /// Whether a stranger's machine has a number.
    pub(crate) fn has(&self, vmid: u32) -> bool {
        self.inner().guests.contains_key(&vmid)
    }

    /// Its owner removes a machine.
    pub(crate) fn leave(&self, simulator: &Simulator, vmid: u32) {
        let mut inner = self.inner();
        if inner.guests.remove(&vmid).is_some() {
            inner.order.retain(|other| *other != vmid);
            simulator.behind_the_back().destroy(vmid).ok();
        }
    }

    /// What is not as its owner left it: the number, and what is wrong.
    pub(crate) fn touched(&self, simulator: &Simulator) -> Vec<(u32, String)> {
        let inner = self.inner();
        let now: BTreeMap<u32, GuestView> = simulator
            .guests()
            .into_iter()
            .map(|g| (g.vmid, g))
            .collect();
        let mut touched = Vec::new();
        for (vmid, before) in &inner.guests {
            match now.get(vmid) {
                Some(guest) if guest == before => {}
                Some(guest) => touched.push((*vmid, format!("was {before:?}, is {guest:?}"))),
                None => touched.push((*vmid, format!("is gone, was {before:?}"))),
            }
        }
        for guest in now.values() {
            if !is_ours(guest) && !inner.guests.contains_key(&guest.vmid) {
                touched.push((guest.vmid, format!("nobody made {guest:?}")));
            }
        }
        touched
    }
}
