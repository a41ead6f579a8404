//! Strangers take every number of ours the moment its guest is gone, and numbers that come next, while
//! clients delete and create: whatever follows the removal must not hit them.

use crate::storm::installation::NODES;
use crate::storm::judge;
use crate::storm::nemesis::one_of;
use crate::storm::random::Random;
use crate::storm::storm::Storm;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often in a hundred looks a stranger takes a number ahead of ours.
const AHEAD: f64 = 0.02;

pub(super) async fn rage(storm: &Storm) -> anyhow::Result<()> {
    let mut random = Random::new(storm.seed, 5, 0);
    let mut ours: BTreeMap<u32, String> = BTreeMap::new();
    let mut come = 0;
    while come < storm.args.kills && !storm.over.is_cancelled() {
        let now: BTreeMap<u32, String> = storm
            .installation
            .simulator
            .guests()
            .into_iter()
            .filter(|guest| judge::marked_for(guest).is_some())
            .map(|guest| (guest.vmid, guest.node))
            .collect();
        for (vmid, node) in ours.iter().filter(|(vmid, _)| !now.contains_key(vmid)) {
            come += u64::from(storm.squat(*vmid, node));
        }
        ours = now;
        if random.chance(AHEAD) {
            let highest = storm.book.open().highest;
            let vmid = highest + 1 + u32::try_from(random.below(12))?;
            if highest > 0 {
                let node = one_of(&NODES, random.next());
                come += u64::from(storm.squat(vmid, node));
            }
        }
        storm.kill.store(come, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    storm.find(format!("{come} strangers came"));
    Ok(())
}
