//! What rages: a mode each.

mod database;
mod faults;
mod pause;
mod restore;
mod rush;
mod squat;

use super::args::Mode;
use super::nemesis::Nemesis;
use super::storm::Storm;
use std::sync::Arc;

/// Does what the mode says, then heals everything.
///
/// # Errors
/// When the storm itself fails, not when it finds something.
pub(crate) async fn rage(storm: &Arc<Storm>) -> anyhow::Result<()> {
    match storm.args.mode {
        Mode::Kills | Mode::Takeover => {
            // It waits for processes to end, and so has a thread of its own.
            tokio::spawn(Nemesis::new(Arc::clone(storm)).rage()).await?
        }
        Mode::Faults => faults::rage(storm).await,
        Mode::Pause => pause::rage(storm).await,
        Mode::Database => database::rage(storm).await,
        Mode::Squat => squat::rage(storm).await,
        Mode::Rush => rush::rage(storm).await,
        Mode::Restore => restore::rage(storm).await,
    }
}
