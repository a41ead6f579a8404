//! What the world looks like after a part: the server's guest, what is held for it, and what was done to the
//! cluster by its own log.

use super::play::{Actor, Play};
use super::twice::may_be_done_twice;
use crate::faults::world::{as_the_row_says, marked};
use anyhow::{Context, ensure};
use tpm_domain::{Failure, FailureCode, ServerName, TaskKind, TaskState, Vmid};
use tpm_pve_simulator::{Effect, GuestView};
use tpm_store::Store;

/// What was done, in order, without whom it was done to.
pub(super) fn deeds(effects: &[Effect], actor: &Actor) -> Vec<String> {
    let deed = |effect: &Effect| match &*effect.kind {
        // Archives are called after the moment.
        "backup" | "restore" | "delete-volume" => effect.kind.clone(),
        _ => format!("{} {}", effect.kind, effect.detail),
    };
    effects
        .iter()
        .map(|effect| deed(effect).replace(&actor.name, "it"))
        .collect()
}

impl Play {
    /// The actor's guests: those under its number or its name that carry a mark of ours.
    fn guests(&self, actor: &Actor) -> Vec<GuestView> {
        let mut guests = marked(&self.stack);
        guests.retain(|guest| guest.vmid == actor.vmid || guest.name == actor.name);
        guests
    }

    /// The task ended as it does when nobody disturbs it, and the world is as was asked for.
    pub(super) async fn is_as_asked(&self, actor: &Actor) -> anyhow::Result<()> {
        let task = actor.task.as_ref().context("no task")?;
        let wanted = if actor.part.way.undo {
            TaskState::Cancelled
        } else {
            TaskState::Completed
        };
        ensure!(task.state == wanted, "{task:#?}");
        match actor.part.way.kind {
            TaskKind::CreateServer | TaskKind::RestoreNew if actor.part.way.undo => {
                self.nothing_is_left(actor).await
            }
            TaskKind::DrillBackup => {
                self.drill_came_out(actor).await?;
                self.nothing_is_left(actor).await
            }
            TaskKind::DeleteServer | TaskKind::RemoveOrphan => self.nothing_is_left(actor).await,
            TaskKind::CreateServer
            | TaskKind::StartServer
            | TaskKind::RestartServer
            | TaskKind::RestoreNew => self.stands(actor, "running").await,
            TaskKind::CreateBackup | TaskKind::RestoreBackup | TaskKind::DeleteBackup => {
                self.backups_are_right(actor).await?;
                self.stands(actor, "running").await
            }
            TaskKind::ChangeServer => {
                let server = self.stack.client.server(actor.id).await?;
                let larger = crate::faults::world::larger();
                for (field, wanted) in larger.as_object().into_iter().flatten() {
                    ensure!(server[field] == *wanted, "{field}: {server:#}");
                }
                self.stands(actor, "running").await
            }
            TaskKind::StopServer => self.stands(actor, "stopped").await,
            TaskKind::ImportServer
            | TaskKind::BulkCreate
            | TaskKind::BulkDelete
            | TaskKind::BulkPower => Ok(()),
        }
    }

    /// The drill says how it came out, with what was seen, and a backup that passed is proved by it.
    async fn drill_came_out(&self, actor: &Actor) -> anyhow::Result<()> {
        let list = self
            .stack
            .client
            .get("/api/backups/drills?limit=500")
            .await?;
        let drills = list.body["drills"].as_array().context("drills")?;
        let token = actor.task.as_ref().map(|task| task.token.0.as_str());
        let mut its = drills
            .iter()
            .filter(|drill| drill["task_id"].as_str() == token);
        let drill = its.next().context("no drill")?;
        let wanted = match actor.part.way.undo {
            true => "cancelled",
            false => "passed",
        };
        ensure!(
            its.next().is_none() && drill["status"] == wanted,
            "{drill:#}"
        );
        ensure!(
            drill["cleared_at"].is_string() && drill["digest"].is_string(),
            "{drill:#}"
        );
        let backup = drill["backup_id"].as_str().context("backup_id")?;
        let backup = self
            .stack
            .client
            .get(&format!("/api/backups/{backup}"))
            .await?;
        let proved = backup.body["verified_by"] == "drill";
        ensure!(proved != actor.part.way.undo, "{}", backup.body);
        Ok(())
    }

    /// The backups of a server are known, and each is one archive in the cluster.
    async fn backups_are_right(&self, actor: &Actor) -> anyhow::Result<()> {
        let path = format!("/api/backups?server_id={}", actor.id);
        let list = self.stack.client.get(&path).await?;
        let known = list.body["backups"].as_array().context("backups")?.clone();
        let whole = known.iter().all(|one| one["status"] == "completed");
        ensure!(whole, "{known:#?}");
        let wanted = match actor.part.way.kind {
            TaskKind::DeleteBackup => 0,
            // The one that is restored, and the one of what was there before.
            TaskKind::RestoreBackup => 2,
            _ => 1,
        };
        ensure!(known.len() == wanted, "{known:#?}");
        let archives = self.stack.simulator.archives(actor.vmid);
        let mut named: Vec<_> = known
            .iter()
            .filter_map(|one| one["volume"].as_str())
            .collect();
        named.sort_unstable();
        let twice = may_be_done_twice(&actor.part);
        ensure!(
            archives == named || (twice && archives.len() <= wanted + 1),
            "{archives:?}, not {named:?}"
        );
        Ok(())
    }

    /// One guest, right in every field, and what it needs is held for it.
    pub(super) async fn stands(&self, actor: &Actor, power: &str) -> anyhow::Result<()> {
        let server = self.stack.client.server(actor.id).await?;
        ensure!(server["status"] == power, "{server:#}");
        self.guest_stands(actor, power).await
    }

    /// The same, whatever the server's row says of its state.
    pub(super) async fn guest_stands(&self, actor: &Actor, power: &str) -> anyhow::Result<()> {
        let server = self.stack.client.server(actor.id).await?;
        let guests = self.guests(actor);
        ensure!(guests.len() == 1, "{guests:#?}");
        as_the_row_says(&server, &guests[0], power)?;
        ensure!(self.is_held(actor).await? == (true, true, true), "let go");
        Ok(())
    }

    /// No guest, and nothing that is held.
    pub(super) async fn nothing_is_left(&self, actor: &Actor) -> anyhow::Result<()> {
        let guests = self.guests(actor);
        ensure!(guests.is_empty(), "left over: {guests:#?}");
        let effects = self.effects(actor);
        let made = effects
            .iter()
            .any(|e| e.kind == "clone" || e.kind == "restore");
        let last = effects.last().map(|effect| &*effect.kind);
        ensure!(!made || last == Some("destroy"), "{effects:#?}");
        let held = self.is_held(actor).await?;
        ensure!(held == (false, false, false), "still held: {held:?}");
        Ok(())
    }

    /// Whether name, address and number are held.
    pub(super) async fn is_held(&self, actor: &Actor) -> anyhow::Result<(bool, bool, bool)> {
        let store = self.stack.service.store();
        let name = ServerName::new(&actor.name).context("name")?;
        let named = !store.reads().names_taken(&[name]).await?.is_empty();
        let tx = store.begin().await?;
        let addresses = tx.addresses_taken().await?;
        // What an orphan's create had was given to others since.
        let mut others = self.actors.iter().filter(|one| one.name != actor.name);
        let is_orphan = actor.part.way.kind == TaskKind::RemoveOrphan;
        let given = is_orphan && others.any(|one| one.address == actor.address);
        let addressed = addresses.contains(&actor.address) && !given;
        let numbered = !tx.is_quarantined(Vmid(actor.vmid)).await?;
        Ok((named, addressed, numbered))
    }

    /// The task failed at this step, with what was said.
    pub(super) fn failed_at(actor: &Actor, step: &str, code: FailureCode) -> anyhow::Result<()> {
        let task = actor.task.as_ref().context("no task")?;
        ensure!(task.state == TaskState::Failed, "{task:#?}");
        let wanted = Failure {
            step: Some(step.to_owned()),
            ..Failure::new(code, "not today")
        };
        ensure!(task.failure == Some(wanted), "{task:#?}");
        Ok(())
    }
}
