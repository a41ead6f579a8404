//! What was removed or undone, removed once more: the same calls come again, from a worker that knows nothing of
//! the first. Nothing happens, whoever has the number by now.

use super::play::{Part, Play};
use super::stage::{Call, Cue, Twist};
use super::{Way, all_met, only_looks, registry};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tpm_domain::{FailureCode, TaskState};
use tpm_jobs::PointKind;
use tpm_provisioner::{Observed, OnFailure, Operation, ProvisionError, Provisioner};

/// Whatever makes a create turn round, and the other removals, each with the guest coming back.
fn parts(engine: &dyn Provisioner) -> Vec<Part> {
    let mut parts = Vec::new();
    for way in Way::all() {
        if way.operation() == Operation::Destroy {
            parts.push(Part::new(way, "to the end"));
            parts.push(Part::new(way, "again to the end").returns());
        }
        if way.operation().makes() {
            for spec in engine.steps(way.operation()) {
                let cancelled = way.at(spec.name, PointKind::BeforeLook);
                let part = Part::new(way, format!("cancelled at {}", spec.name));
                parts.push(part.cue(cancelled, Cue::Cancel));
                if spec.on_failure == OnFailure::Undo && !only_looks(way, spec.name) {
                    for twist in [Twist::Refused, Twist::DoneAndRefused] {
                        let part = Part::new(way, format!("{} {twist:?}", spec.name));
                        parts.push(part.twist(spec.name, twist));
                    }
                }
            }
        }
    }
    parts
}

/// The way on which a part's guest goes.
fn removal(way: Way) -> Way {
    match way.operation() {
        Operation::Create | Operation::RestoreNew | Operation::Drill => Way { undo: true, ..way },
        _ => way,
    }
}

/// Who has the number when the calls come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    Stranger,
}

/// A look and an act, each twice. What belongs to a stranger may be told to be one's, and nothing else.
async fn again(play: &Play, call: &Call, holder: Holder) -> anyhow::Result<String> {
    let mut actors = play.actors.iter();
    let actor = actors.find(|actor| actor.name == call.server.name.as_str());
    let actor = actor.context("nobody's")?;
    let title = || format!("{holder:?} {}: {}", actor.part.title, call.step);
    let known = !call.undoing && call.server.identity.is_some();
    let told = |error: &ProvisionError| {
        holder == Holder::Stranger && known && error.failure.code == FailureCode::IdentityConflict
    };
    let (engine, step) = (play.stage.other(), call.again());
    for _ in 0..2 {
        match engine.observe(&step).await {
            Ok(Observed::Done { .. } | Observed::Wait { .. }) => {}
            Err(error) if told(&error) => {}
            other => bail!("{}: {other:?}", title()),
        }
        match engine.act(&step, step.intent.unwrap_or(&Value::Null)).await {
            Ok(acted) if acted.handle.is_none() => {}
            Err(error) if told(&error) => {}
            other => bail!("{}: {other:?}", title()),
        }
    }
    let way = Way {
        undo: call.undoing,
        ..actor.part.way
    };
    Ok(format!(
        "{}: {}",
        actor.part.title,
        way.place(&call.step, "again")
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_undo_that_comes_again_does_nothing() -> anyhow::Result<()> {
    let direct = registry().await?;
    let parts = parts(&*direct);
    let mut wanted = BTreeSet::new();
    for part in &parts {
        let way = removal(part.way);
        for step in way.steps(&*direct) {
            wanted.insert(format!("{}: {}", part.title, way.place(step, "again")));
        }
    }
    let play = Play::of(parts).await?;
    for actor in &play.actors {
        let state = actor.task.as_ref().map(|task| task.state);
        let ended = if !actor.part.way.kind.makes() {
            TaskState::Completed
        } else if actor.part.twist.is_some() {
            TaskState::Failed
        } else {
            TaskState::Cancelled
        };
        let title = || format!("{} {}: {:#?}", actor.name, actor.part.title, actor.task);
        ensure!(state == Some(ended), "{}", title());
        play.nothing_is_left(actor).await.with_context(title)?;
    }
    // The last of each kind: by then the worker knew most.
    let mut calls = BTreeMap::new();
    for call in play.stage.removals() {
        let key = (
            call.server.name.to_string(),
            call.undoing,
            call.step.clone(),
        );
        calls.insert((key, call.has_acted()), call);
    }
    let mut met = BTreeSet::new();
    for holder in [Holder::Nobody, Holder::Stranger] {
        if holder == Holder::Stranger {
            for actor in &play.actors {
                let behind = play.stack.simulator.behind_the_back();
                let squat = behind.squat(actor.vmid, "pve3", &actor.name);
                squat.map_err(anyhow::Error::msg)?;
            }
        }
        let cluster = &play.stack.simulator;
        let before = (cluster.guests(), cluster.effect_count());
        let again = calls.values().map(|call| again(&play, call, holder));
        met.extend(futures::future::try_join_all(again).await?);
        let after = (cluster.guests(), cluster.effect_count());
        ensure!(before == after, "{holder:?}: something was done");
    }
    all_met("undone again", &wanted, &met)?;
    play.stack.stop().await
}
