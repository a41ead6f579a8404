//! The worker dies at each moment of each step of each task, and another one goes on.

use super::judge::deeds;
use super::play::{Part, Play};
use super::stage::Cue;
use super::{Way, all_met, needs_a_return, only_looks, registry};
use anyhow::{Context, ensure};
use std::collections::{BTreeSet, HashMap};
use tpm_jobs::PointKind;
use tpm_provisioner::{Operation, Provisioner};

/// The moments of a step.
fn moments(way: Way, step: &str) -> Vec<PointKind> {
    let of_acts = |kind: &PointKind| match kind {
        PointKind::BeforeLook => true,
        PointKind::BeforeAct | PointKind::AfterAct | PointKind::AfterRecord => {
            !only_looks(way, step)
        }
        // Once for the whole task.
        PointKind::BeforeFinish => false,
    };
    PointKind::ALL.into_iter().filter(of_acts).collect()
}

/// Every place that there is, with the part that comes to it; none of them disturbed before.
fn parts(engine: &dyn Provisioner) -> Vec<(Option<String>, Part)> {
    let mut parts = Vec::new();
    for way in Way::all() {
        parts.push((None, Part::new(way, "undisturbed")));
        if way.operation() == Operation::Destroy {
            parts.push((None, Part::new(way, "undisturbed").returns()));
        }
        for step in way.steps(engine) {
            for moment in moments(way, step) {
                let place = way.at(step, moment);
                let part = Part::new(way, &*place).cue(place.clone(), Cue::Die);
                let back = needs_a_return(way, step) && moment != PointKind::BeforeLook;
                let part = if back { part.returns() } else { part };
                parts.push((Some(place), part));
            }
        }
        let place = way.at("finish", PointKind::BeforeFinish);
        let part = Part::new(way, &*place).cue(place.clone(), Cue::Die);
        parts.push((Some(place), part));
    }
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_goes_on_from_every_moment() -> anyhow::Result<()> {
    let parts = parts(&*registry().await?);
    let (places, parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let wanted: BTreeSet<String> = places.iter().flatten().cloned().collect();
    let play = Play::of(parts).await?;
    all_met("killed", &wanted, &play.stage.met())?;
    // A task that passes a place where it was not killed has a step that nobody knows.
    let passed = play.stage.passed();
    let unknown: Vec<_> = passed.difference(&wanted).collect();
    ensure!(unknown.is_empty(), "nobody dies at {unknown:#?}");
    let returned = |part: &Part| part.cues.iter().any(|(_, cue)| *cue == Cue::Return);
    let mut undisturbed = HashMap::new();
    for (actor, _) in play
        .actors
        .iter()
        .zip(&places)
        .filter(|(_, place)| place.is_none())
    {
        let key = (actor.part.way, returned(&actor.part));
        undisturbed.insert(key, deeds(&play.effects(actor), actor));
    }
    for actor in &play.actors {
        let title = || format!("{} {}", actor.name, actor.part.title);
        play.is_as_asked(actor).await.with_context(title)?;
        let done = deeds(&play.effects(actor), actor);
        let wanted = &undisturbed[&(actor.part.way, returned(&actor.part))];
        ensure!(done == *wanted, "{}: {done:?}, not {wanted:?}", title());
    }
    play.strangers_are_untouched()?;
    play.stack.stop().await
}
