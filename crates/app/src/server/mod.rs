//! Servers: see, create, delete, switch.

mod create;
mod delete;
mod draft;
mod power;
mod view;

pub use create::{Accepted, BulkAccepted};
pub use draft::{NetworkDraft, ServerDraft, SharedNetwork};
pub use power::PowerOutcome;
pub use view::ServerView;
