//! Each act delivered twice, as two workers would that both believe that the task is theirs: one effect, and
//! the task completes.

use super::judge::deeds;
use super::play::{Part, Play};
use super::stage::{Cue, Twist};
use super::{Way, all_met, needs_a_return, only_looks, registry};
use anyhow::{Context, ensure};
use std::collections::{BTreeSet, HashMap};
use tpm_provisioner::{Operation, Provisioner};

const TWICE: [Twist; 3] = [Twist::TwiceFirst, Twist::TwiceSecond, Twist::TwiceAtOnce];

fn parts(engine: &dyn Provisioner) -> Vec<Part> {
    let mut parts = Vec::new();
    for way in Way::all() {
        parts.push(Part::new(way, "once"));
        if way
            .steps(engine)
            .iter()
            .any(|step| needs_a_return(way, step))
        {
            parts.push(Part::new(way, "once").returns());
        }
        for step in way.steps(engine) {
            if only_looks(way, step) {
                continue;
            }
            for twist in TWICE {
                let part = Part::new(way, way.place(step, &format!("{twist:?}")));
                let part = part.twist(step, twist);
                parts.push(if needs_a_return(way, step) {
                    part.returns()
                } else {
                    part
                });
            }
        }
    }
    parts
}

/// A guest can be restarted, backed up and replaced any number of times, and Proxmox VE takes no condition with it: of two workers that
/// ask at the same moment neither can know of the other.
pub(super) fn may_be_done_twice(part: &Part) -> bool {
    let Some((step, Twist::TwiceAtOnce, _)) = part.twist.as_ref() else {
        return false;
    };
    match part.way.operation() {
        Operation::Restart | Operation::Backup => true,
        Operation::Restore => matches!(*step, "safety" | "restore"),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_that_comes_twice_has_one_effect() -> anyhow::Result<()> {
    let parts = parts(&*registry().await?);
    let places = parts.iter().filter_map(|part| part.twist.as_ref());
    let wanted: BTreeSet<String> = places.map(|(_, _, place)| place.clone()).collect();
    let play = Play::of(parts).await?;
    all_met("acted on twice", &wanted, &play.stage.met())?;
    let returned = |part: &Part| part.cues.iter().any(|(_, cue)| *cue == Cue::Return);
    let mut once = HashMap::new();
    for actor in play
        .actors
        .iter()
        .filter(|actor| actor.part.twist.is_none())
    {
        let key = (actor.part.way, returned(&actor.part));
        once.insert(key, deeds(&play.effects(actor), actor));
    }
    for actor in &play.actors {
        let title = || format!("{} {}", actor.name, actor.part.title);
        play.is_as_asked(actor).await.with_context(title)?;
        let mut done = deeds(&play.effects(actor), actor);
        let wanted = &once[&(actor.part.way, returned(&actor.part))];
        if may_be_done_twice(&actor.part) && actor.part.way.operation() == Operation::Restore {
            // One of the two is done twice, the same again; nothing else is.
            let mut seen = BTreeSet::new();
            done.retain(|deed| {
                !matches!(&**deed, "backup" | "restore") || seen.insert(deed.clone())
            });
        } else if may_be_done_twice(&actor.part) {
            let mut times = done.chunks(wanted.len());
            let whole = (1..=2).contains(&times.len()) && times.all(|time| time == wanted);
            ensure!(whole, "{}: {done:?}", title());
            continue;
        }
        ensure!(done == *wanted, "{}: {done:?}, not {wanted:?}", title());
    }
    play.strangers_are_untouched()?;
    play.stack.stop().await
}
