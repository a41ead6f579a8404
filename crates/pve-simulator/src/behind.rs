//! Acting behind the client's back: what other people and failing machines do to a cluster.

use crate::api;
use crate::config::TemplateConfig;
use crate::model::GuestScript;
use crate::seed;
use crate::sim::Sim;

/// Changes made without the API. Every call names what it could not do.
#[derive(Debug)]
pub struct BehindTheBack<'a>(pub(crate) &'a Sim);

impl BehindTheBack<'_> {
    fn node_of(&self, vmid: u32) -> Result<String, String> {
        let world = self.0.world();
        world
            .guests
            .get(&vmid)
            .map(|guest| guest.node.clone())
            .ok_or_else(|| format!("no guest {vmid}"))
    }

    /// Pulls the plug.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn power_off(&self, vmid: u32) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        api::power_off(self.0, &node, vmid)?;
        self.0.effect("stop", &node, vmid, None, "behind the back");
        Ok(())
    }

    /// Turns the guest on.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn power_on(&self, vmid: u32) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        api::power_on(self.0, &node, vmid)?;
        self.0.effect("start", &node, vmid, None, "behind the back");
        Ok(())
    }

    /// Destroys the guest and its volumes, running or not.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn destroy(&self, vmid: u32) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        api::remove(self.0, &node, vmid, true)?;
        self.0
            .effect("destroy", &node, vmid, None, "behind the back");
        Ok(())
    }

    /// Replaces the guest by a stranger's machine under the same id and name.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn recreate(&self, vmid: u32) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        let (name, storage) = {
            let world = self.0.world();
            let guest = &world.guests[&vmid];
            let drives = crate::disks::drives(&guest.config);
            let storage = drives
                .first()
                .and_then(|(_, drive)| drive.volid.split(':').next())
                .unwrap_or("local");
            (guest.name(), storage.to_owned())
        };
        self.destroy(vmid)?;
        let stranger = TemplateConfig {
            vmid,
            node: node.clone(),
            name,
            storage,
            disk_gib: 5,
            template: false,
            options: vec![("description".into(), "somebody else's machine".into())],
        };
        seed::add_guest(&mut self.0.world(), &self.0.random, &stranger);
        self.0
            .effect("create", &node, vmid, None, "behind the back");
        Ok(())
    }

    /// Adds an ordinary, stopped machine that belongs to somebody else.
    pub fn create_foreign(&self, vmid: u32, node: &str, name: &str) {
        let storage = self
            .0
            .world()
            .storages
            .keys()
            .next()
            .cloned()
            .unwrap_or_default();
        let foreign = TemplateConfig {
            vmid,
            node: node.to_owned(),
            name: name.to_owned(),
            storage,
            disk_gib: 5,
            template: false,
            options: vec![("description".into(), "somebody else's machine".into())],
        };
        seed::add_guest(&mut self.0.world(), &self.0.random, &foreign);
        self.0.effect("create", node, vmid, None, "behind the back");
    }

    /// The same where the id may be taken: a stranger who was told by `nextid` that it is free.
    ///
    /// # Errors
    /// When there is a guest, or the beginning of one, under the id.
    pub fn squat(&self, vmid: u32, node: &str, name: &str) -> Result<(), String> {
        let mut world = self.0.world();
        if world.guests.contains_key(&vmid) {
            return Err(format!("guest {vmid} already exists"));
        }
        let storage = world.storages.keys().next().cloned().unwrap_or_default();
        let foreign = TemplateConfig {
            vmid,
            node: node.to_owned(),
            name: name.to_owned(),
            storage,
            disk_gib: 5,
            template: false,
            options: vec![("description".into(), "somebody else's machine".into())],
        };
        seed::add_guest(&mut world, &self.0.random, &foreign);
        drop(world);
        self.0.effect("create", node, vmid, None, "behind the back");
        Ok(())
    }

    /// Moves the guest to another node.
    ///
    /// # Errors
    /// When there is no such guest or node.
    pub fn migrate(&self, vmid: u32, target: &str) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        if !self.0.has_node(target) {
            return Err(format!("no node {target}"));
        }
        api::relocate(&mut self.0.world(), &node, target, vmid, None);
        self.0
            .effect("migrate", target, vmid, None, "behind the back");
        Ok(())
    }

    /// Sets or removes the configuration lock.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn set_lock(&self, vmid: u32, lock: Option<&str>) -> Result<(), String> {
        self.set_option(vmid, "lock", lock)
    }

    /// Changes any option of the guest.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn set_option(&self, vmid: u32, key: &str, value: Option<&str>) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        {
            let mut world = self.0.world();
            let guest = world.guest_mut(&node, vmid)?;
            match value {
                Some(value) => guest.config.insert(key.to_owned(), value.to_owned()),
                None => guest.config.remove(key),
            };
        }
        self.0.effect("config", &node, vmid, None, key);
        Ok(())
    }

    /// Makes the guest ignore (or obey) requests to shut down.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn set_deaf(&self, vmid: u32, deaf: bool) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        self.0.world().guest_mut(&node, vmid)?.deaf = deaf;
        Ok(())
    }

    /// Keeps the guest's agent from answering.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn set_mute(&self, vmid: u32, mute: bool) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        self.0.world().guest_mut(&node, vmid)?.mute = mute;
        Ok(())
    }

    /// Copies an archive, as somebody's own backup of the same guest: another name, these notes, and what a
    /// backup server says of it.
    ///
    /// # Errors
    /// When there is no such archive.
    pub fn copy_archive(
        &self,
        volid: &str,
        copy: &str,
        notes: Option<&str>,
        verified: Option<&str>,
    ) -> Result<(), String> {
        let mut world = self.0.world();
        let mut all = world.volumes.iter();
        let found = all.find(|volume| volume.volid == volid);
        let mut volume = found.ok_or_else(|| format!("no archive {volid}"))?.clone();
        volume.volid = copy.to_owned();
        volume.notes = notes.map(str::to_owned);
        volume.verified = verified.map(str::to_owned);
        volume.protected = false;
        world.volumes.push(volume);
        Ok(())
    }

    /// Gives an archive another age, in seconds since 1970, and protects it or not.
    ///
    /// # Errors
    /// When there is no such archive.
    pub fn age_archive(&self, volid: &str, ctime: i64, protected: bool) -> Result<(), String> {
        let mut world = self.0.world();
        let mut all = world.volumes.iter_mut();
        let found = all.find(|volume| volume.volid == volid && volume.content == "backup");
        let volume = found.ok_or_else(|| format!("no archive {volid}"))?;
        volume.ctime = ctime;
        volume.protected = protected;
        Ok(())
    }

    /// Removes an archive from its storage.
    ///
    /// # Errors
    /// When there is no such archive.
    pub fn remove_archive(&self, volid: &str) -> Result<(), String> {
        let mut world = self.0.world();
        let before = world.volumes.len();
        world.volumes.retain(|volume| volume.volid != volid);
        if world.volumes.len() == before {
            return Err(format!("no archive {volid}"));
        }
        Ok(())
    }

    /// From now on commands in the guest come out so, the latest rule first; others end well at once and say nothing.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn script(&self, vmid: u32, script: GuestScript) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        self.0
            .world()
            .guest_mut(&node, vmid)?
            .scripts
            .insert(0, script);
        Ok(())
    }

    /// From now on commands in whatever guest come out so, unless a rule of the guest's own says otherwise.
    pub fn script_all(&self, script: GuestScript) {
        self.0.world().scripts.insert(0, script);
    }

    /// The commands that were begun in the guest, in order.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn commands(&self, vmid: u32) -> Result<Vec<Vec<String>>, String> {
        let node = self.node_of(vmid)?;
        let mut world = self.0.world();
        let guest = world.guest_mut(&node, vmid)?;
        Ok(guest
            .commands
            .values()
            .map(|one| one.words.clone())
            .collect())
    }

    /// Takes a node off the network, or brings it back.
    pub fn set_offline(&self, node: &str, offline: bool) {
        let mut world = self.0.world();
        if offline {
            world.offline.insert(node.to_owned());
        } else {
            world.offline.remove(node);
        }
    }

    /// Bytes that a guest hears and says now, beside those that it always does.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn add_traffic(&self, vmid: u32, bytes_in: u64, bytes_out: u64) -> Result<(), String> {
        let node = self.node_of(vmid)?;
        let mut world = self.0.world();
        let guest = world.guest_mut(&node, vmid)?;
        guest.traffic.0 += bytes_in;
        guest.traffic.1 += bytes_out;
        Ok(())
    }

    /// Lets the certificate of a node end at a moment, in seconds since 1970.
    pub fn set_certificate_end(&self, node: &str, ends: i64) {
        let mut world = self.0.world();
        world.certificate_ends.insert(node.to_owned(), ends);
    }

    /// Connects a bridge to something, on all nodes.
    pub fn connect_bridge(&self, bridge: &str, ports: &str) {
        let mut world = self.0.world();
        world
            .bridge_ports
            .insert(bridge.to_owned(), ports.to_owned());
    }

    /// Kills the worker of a running task (-9): its exit becomes `unexpected status`, and what it was in
    /// the middle of stays as it is, locks of configurations included.
    pub fn kill_task(&self, upid: &str) {
        self.0.tasks.with(|records| {
            if let Some(record) = records
                .iter_mut()
                .find(|record| record.upid == upid && record.exit.is_none())
            {
                record.exit = Some(("unexpected status".into(), self.0.clock.now()));
                record.log.clear();
                record.kill.cancel();
            }
        });
    }

    /// Runs a round of the status daemon now: lists learn names and states of guests.
    pub fn broadcast(&self) {
        api::broadcast_all(self.0);
    }

    /// Invalidates a token, as if somebody had deleted it.
    pub fn revoke_token(&self, userid: &str, tokenid: &str) {
        if let Some(user) = self.0.world().users.get_mut(userid) {
            user.tokens.remove(tokenid);
        }
    }
}
