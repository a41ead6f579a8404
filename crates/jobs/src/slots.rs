//! Limited places: how many there are now, and what an end teaches about how many are best.

use crate::run::{Stop, Tx};
use tpm_domain::ServerId;
use tpm_domain::job::Width;
use tpm_provisioner::{Slot, SlotWidth};
use tpm_store::SlotNeed;

fn width_of(slot: &Slot, known: Option<Width>) -> Option<Width> {
    match slot.width {
        SlotWidth::Fixed(_) => None,
        SlotWidth::Learned { start, most } => {
            Some(known.map_or_else(|| Width::new(start, most), |known| known.within(most)))
        }
    }
}

/// The places a step needs, with how many there are at this moment.
pub(crate) async fn needs(tx: &Tx, slots: &[Slot]) -> Result<Vec<SlotNeed>, Stop> {
    let mut needs = Vec::with_capacity(slots.len());
    for slot in slots {
        let limit = match slot.width {
            SlotWidth::Fixed(limit) => limit,
            SlotWidth::Learned { start, .. } => {
                let (known, _) = tx.width(&slot.name).await?;
                width_of(slot, known).map_or(start, |width| width.now)
            }
        };
        needs.push(SlotNeed {
            name: slot.name.clone(),
            limit,
        });
    }
    Ok(needs)
}

/// A step has ended well and given its places back.
pub(crate) async fn ended(
    tx: &Tx,
    slots: &[Slot],
    freed: &[String],
    server: ServerId,
) -> Result<(), Stop> {
    for slot in slots.iter().filter(|slot| freed.contains(&slot.name)) {
        let (known, crowded) = tx.width(&slot.name).await?;
        let Some(mut width) = width_of(slot, known) else {
            continue;
        };
        let before = width.now;
        width.ended(tx.now(), crowded);
        tx.save_width(&slot.name, &width).await?;
        if width.now > before {
            tx.wake_waiting(&slot.name, width.now - before).await?;
        }
        if width.now != before {
            tracing::debug!(%server, slot = slot.name, width = width.now, "another width");
        }
    }
    Ok(())
}

/// A lock was held for too long: half as many at once.
pub(crate) async fn busy(tx: &Tx, slots: &[Slot]) -> Result<(), Stop> {
    for slot in slots {
        let (known, _) = tx.width(&slot.name).await?;
        if let Some(mut width) = width_of(slot, known) {
            width.busy(tx.now());
            tx.save_width(&slot.name, &width).await?;
            tracing::info!(slot = slot.name, width = width.now, "busy, fewer at once");
        }
    }
    Ok(())
}
