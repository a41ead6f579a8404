//! Each step of each task refused, before it acts, instead of its act and after its act: a create unwinds, the
//! rest stays what it was, and whatever is left can be removed.

use super::play::{Actor, Part, Play};
use super::stage::Twist;
use super::{Way, all_met, needs_a_return, only_looks, registry};
use crate::faults::world::marked;
use anyhow::{Context, ensure};
use std::collections::BTreeSet;
use tpm_domain::{FailureCode, TaskKind};
use tpm_provisioner::{OnFailure, Operation, Provisioner};
use tpm_store::Store;

const REFUSALS: [Twist; 3] = [Twist::LookRefused, Twist::Refused, Twist::DoneAndRefused];

fn parts(engine: &dyn Provisioner) -> Vec<Part> {
    let mut parts = Vec::new();
    // What becomes of backups that fail is seen in `backups`.
    for way in Way::all()
        .into_iter()
        .filter(|way| !way.kind.is_of_backups())
    {
        for step in way.steps(engine) {
            for twist in REFUSALS {
                if twist != Twist::LookRefused && only_looks(way, step) {
                    continue;
                }
                let part = Part::new(way, way.place(step, &format!("{twist:?}")));
                let part = part.twist(step, twist);
                let back = needs_a_return(way, step) && twist != Twist::LookRefused;
                parts.push(if back { part.returns() } else { part });
            }
        }
    }
    parts
}

/// What became of a part.
async fn judge(play: &Play, actor: &Actor, on_failure: OnFailure) -> anyhow::Result<()> {
    let (step, twist, _) = actor.part.twist.as_ref().context("no twist")?;
    let way = actor.part.way;
    let code = if way.undo {
        FailureCode::UndoFailed
    } else {
        FailureCode::ProxmoxRefused
    };
    Play::failed_at(actor, step, code)?;
    let unwound = way.operation().makes() && on_failure == OnFailure::Undo;
    if unwound {
        let server = play.stack.client.server(actor.id).await?;
        ensure!(server["status"] == "error", "{server:#}");
        return play.nothing_is_left(actor).await;
    }
    let guest = play.stack.simulator.guest(actor.vmid);
    let held = play.is_held(actor).await?;
    match way.operation() {
        Operation::Destroy => {
            // The number of a left-over guest was its create's, and that is over.
            let wanted = way.kind != TaskKind::RemoveOrphan;
            ensure!(held == (wanted, wanted, wanted), "{held:?}");
            if wanted {
                let server = play.stack.client.server(actor.id).await?;
                ensure!(server["status"] == "error", "{server:#}");
            }
            let gone = match (*step, twist) {
                ("confirm", Twist::Refused) => false,
                ("confirm", _) | ("destroy", Twist::DoneAndRefused) => true,
                _ => false,
            };
            ensure!(guest.is_none() == gone, "{guest:#?}");
        }
        // What is refused and happens all the same, later, is not on the row.
        Operation::Change if *twist == Twist::DoneAndRefused => {
            ensure!(held == (true, true, true), "{held:?}");
        }
        _ => {
            let guest = guest.context("the guest is gone")?;
            play.guest_stands(actor, &guest.status).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_that_fails_leaves_a_clean_world() -> anyhow::Result<()> {
    let direct = registry().await?;
    let parts = parts(&*direct);
    let places = parts.iter().filter_map(|part| part.twist.as_ref());
    let wanted: BTreeSet<String> = places.map(|(_, _, place)| place.clone()).collect();
    let mut play = Play::of(parts).await?;
    all_met("failed", &wanted, &play.stage.met())?;
    // What goes on after a refusal that was none is waited for.
    while !play.stack.simulator.running_tasks().is_empty() {
        tokio::time::sleep(super::play::LOOK).await;
    }
    for actor in &play.actors {
        let (step, ..) = actor.part.twist.as_ref().context("no twist")?;
        let specs = direct.steps(actor.part.way.operation());
        let spec = specs.iter().find(|spec| spec.name == *step);
        let title = || format!("{} {}", actor.name, actor.part.title);
        let on_failure = spec.context("no step")?.on_failure;
        judge(&play, actor, on_failure).await.with_context(title)?;
    }
    play.strangers_are_untouched()?;
    // A person deletes what is left: then nothing of it is left in the cluster, and nothing is held.
    play.delete_what_is_left().await?;
    let mut left = BTreeSet::new();
    for actor in &play.actors {
        let title = || format!("{} {}", actor.name, actor.part.title);
        if actor.part.way.kind == TaskKind::RemoveOrphan {
            left.extend(
                play.stack
                    .simulator
                    .guest(actor.vmid)
                    .map(|guest| guest.vmid),
            );
        } else {
            play.nothing_is_left(actor).await.with_context(title)?;
        }
    }
    let ours: BTreeSet<u32> = marked(&play.stack).iter().map(|guest| guest.vmid).collect();
    ensure!(ours == left, "{ours:?} are left, not {left:?}");
    let store = play.stack.service.store();
    let reads = store.reads();
    let promised = reads.promised(&reads.picture().await?).await?;
    ensure!(
        promised.nodes.values().all(|room| *room == (0, 0)),
        "{promised:?}"
    );
    play.strangers_are_untouched()?;
    play.stack.stop().await
}
