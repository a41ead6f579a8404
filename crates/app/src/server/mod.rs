//! Servers: see, create, change, delete, switch, and make again.

mod again;
mod change;
mod code;
mod create;
mod delete;
mod draft;
mod drift;
mod import;
mod power;
mod reserve;
mod revive;
mod view;

pub use change::{ChangeOutcome, ServerChange};
pub(crate) use create::incomplete;
pub use create::{Accepted, BulkAccepted, PlannedServer};
pub(crate) use delete::busy;
pub(crate) use draft::bridge_fault;
pub use draft::{ExpiryDraft, NetworkDraft, PlacementDraft, ServerDraft, SharedNetwork};
pub use drift::DriftChoice;
pub use import::ImportDraft;
pub use power::{BulkPowerOutcome, PowerOutcome};
pub(crate) use reserve::{Crossings, Gate, Origin as MadeOf, Refusal, Wanted};
pub(crate) use revive::only_node;
pub use view::ServerView;
