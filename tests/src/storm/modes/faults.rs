//! One request in ten that changes something goes wrong, in every way a cluster was seen to: how many
//! servers come to be all the same, without a person's help.

use crate::storm::book::End;
use crate::storm::plan::{WRITES, busy_fault};
use crate::storm::random::Random;
use crate::storm::storm::Storm;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// On average one in ten: so many of a kind pass first, from none to this.
const PASS: u64 = 18;

/// Of this part at least the making must come to its end.
const SUCCEED: f64 = 0.995;

pub(super) async fn rage(storm: &Storm) -> anyhow::Result<()> {
    let faults = storm.installation.simulator.faults();
    let mut random = Random::new(storm.seed, 4, 0);
    // One for each way to change something, set anew when it was met.
    let mut set: BTreeMap<usize, u64> = BTreeMap::new();
    loop {
        let made = creates(storm).len() as u64;
        storm
            .kill
            .store(made.min(storm.args.kills), Ordering::SeqCst);
        if made >= storm.args.kills || storm.over.is_cancelled() {
            break;
        }
        let met: Vec<u64> = faults
            .list()
            .into_iter()
            .filter(|state| state.hits > 0)
            .map(|state| state.id)
            .collect();
        for (place, (method, path)) in WRITES.into_iter().enumerate() {
            if set.get(&place).is_some_and(|id| !met.contains(id)) {
                continue;
            }
            if let Some(spent) = set.remove(&place) {
                faults.remove(spent);
                storm.count(|counts| counts.faults += 1);
            }
            let pass = u32::try_from(random.below(PASS + 1))?;
            let fault = busy_fault(&mut random, method, path).skip(pass);
            storm.note(&format!("fault {fault:?}"));
            set.insert(place, faults.inject(fault));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    faults.clear();
    storm.over.cancel();
    storm.come_to_rest().await?;
    tell(storm);
    Ok(())
}

/// How the creates ended, those without an end included.
fn creates(storm: &Storm) -> Vec<Option<End>> {
    let book = storm.book.open();
    let creates = book
        .tasks
        .values()
        .filter(|work| work.kind == "create_server");
    creates.map(|work| work.end.clone()).collect()
}

fn tell(storm: &Storm) {
    let ends = creates(storm);
    let count = |word: &str| {
        let is = |end: &&Option<End>| end.as_ref().is_some_and(|end| end.status == word);
        ends.iter().filter(is).count()
    };
    let (completed, cancelled) = (count("completed"), count("cancelled"));
    let asked = ends.len() - cancelled;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let share = completed as f64 / asked.max(1) as f64;
    let text = format!(
        "{completed} of {asked} creates that nobody cancelled succeeded: {:.2} %",
        share * 100.0
    );
    if share < SUCCEED {
        storm.violate("R3", &text, &[]);
    }
    storm.find(text);
}
