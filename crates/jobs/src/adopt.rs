//! A database that is older than its cluster, because it was restored from a copy: guests that were made
//! since carry our signature and are no server's. They become servers again.

use crate::worker::Worker;
use std::collections::BTreeSet;
use tpm_domain::{
    DEFAULT_PROJECT, Event, EventKind, Expiry, GuestEntry, Kept, Mark, ProjectId, Server, ServerId,
    ServerName, ServerState, Survey, TaskToken, Vmid,
};
use tpm_provisioner::{Inspection, Provisioner};
use tpm_store::{NewServer, RESTORED, StoreError, UnitOfWork};

impl Worker {
    /// Takes in what is ours and unknown, before anything is promised on what was seen: their numbers, names
    /// and addresses are in use. Each guest is read once.
    pub(crate) async fn take_in(&self, engine: &str, survey: &Survey) -> Result<(), StoreError> {
        let Some(engine) = self.engine(engine) else {
            return Ok(());
        };
        let ours: BTreeSet<Vmid> = {
            let servers = self.store().reads().servers_with_guests().await?;
            servers.iter().map(|server| server.vmid).collect()
        };
        for guest in self.strangers(survey, &ours) {
            if self.was_judged(guest.vmid) {
                continue;
            }
            // What cannot be read now is read with the next look, or by the sweep.
            let Ok(found) = engine.inspect(guest).await else {
                continue;
            };
            if let Some(found) = &found
                && let Some(mark) = &found.mark
                && mark.vmid == guest.vmid
            {
                self.adopt(&*engine, guest, mark, found).await?;
            }
            self.judged(guest.vmid);
        }
        Ok(())
    }

    /// Machines in our range of numbers that are no server's.
    pub(crate) fn strangers<'a>(
        &self,
        survey: &'a Survey,
        ours: &'a BTreeSet<Vmid>,
    ) -> impl Iterator<Item = &'a GuestEntry> + 'a {
        let range = self.settings().vmids;
        survey.guests.iter().filter(move |guest| {
            guest.machine
                && !guest.template
                && (range.first..=range.last).contains(&guest.vmid)
                && !ours.contains(&guest.vmid)
        })
    }

    /// Writes the server of a guest that is ours by its mark, when this database never heard of the create
    /// that made it. Whether it did.
    ///
    /// The mark names the number it was made under, so that a copy of the guest is not taken for it.
    pub(crate) async fn adopt(
        &self,
        engine: &dyn Provisioner,
        guest: &GuestEntry,
        mark: &Mark,
        found: &Inspection,
    ) -> Result<bool, StoreError> {
        let Some(described) = &found.described else {
            return Ok(false);
        };
        let (Some(name), Some(role)) = (&described.name, &described.role) else {
            return Ok(false);
        };
        let operation = TaskToken(mark.operation.clone());
        let tx = self.store().begin().await?;
        tx.lock_reservations().await?;
        if tx.task(&operation).await?.is_some() {
            return Ok(false);
        }
        // A create of this database may have met the guest and given the number up.
        tx.end_quarantine(guest.vmid).await?;
        let Some(project) = default_project(&*tx).await? else {
            return Ok(false);
        };
        let new = NewServer {
            name: name.clone(),
            project,
            spec: described.spec(role.clone()),
            placement: None,
            expiry: Expiry::default(),
            engine: engine.name().to_owned(),
            vmid: guest.vmid,
            created_by: operation,
        };
        match write(&*tx, &new, guest, found, Kept::default()).await {
            Ok(id) => {
                let kind = EventKind::Adopted { vmid: guest.vmid };
                tx.add_event(&Event {
                    kind,
                    server: Some(id),
                    server_name: name.to_string(),
                    task: None,
                })
                .await?;
            }
            // Its name, an address or its room is somebody else's by now: it is told as a stranger, and
            // looked at again with the next sweep.
            Err(StoreError::Constraint(why)) => {
                tracing::warn!(vmid = %guest.vmid, %why, "no place for a guest of ours");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        // Whoever made it wrote that down before: this database is older than that.
        if tx.run_time_setting(RESTORED).await?.is_none() {
            let now = tx.now().0.to_string();
            tx.set_run_time_setting(RESTORED, Some(&now)).await?;
        }
        tx.commit().await?;
        tracing::warn!(vmid = %guest.vmid, %name, "a guest of ours was not known");
        Ok(true)
    }
}

async fn default_project(
    tx: &(dyn UnitOfWork + Send + Sync),
) -> Result<Option<ProjectId>, StoreError> {
    let Some(name) = ServerName::new(DEFAULT_PROJECT) else {
        return Ok(None);
    };
    Ok(tx.project_named(&name).await?.map(|project| project.id))
}

/// Writes a server whose guest is there already.
pub(crate) async fn write(
    tx: &(dyn UnitOfWork + Send + Sync),
    new: &NewServer,
    guest: &GuestEntry,
    found: &Inspection,
    kept: Kept,
) -> Result<ServerId, StoreError> {
    let id = tx.insert_server(new).await?;
    let held: Vec<_> = new
        .spec
        .nics
        .iter()
        .filter_map(|nic| nic.address.map(|address| address.ip))
        .collect();
    tx.hold(id, &new.name, &held, guest.vmid).await?;
    let Some(server) = tx.server(id).await? else {
        return Ok(id);
    };
    let running = guest.running == Some(true);
    tx.save_server(&Server {
        state: if running {
            ServerState::Running
        } else {
            ServerState::Stopped
        },
        node: Some(guest.node.clone()),
        identity: Some(found.identity.clone()),
        ip_address: found.addresses.first().copied().map(Into::into),
        kept,
        ..server
    })
    .await?;
    Ok(id)
}
