//! Every sentence of the service that a person can read, in Korean and English.
//!
//! Exhaustive over the domain's codes: a new code does not compile until it has a sentence in both
//! languages. Codes and field names are never translated, and what the outside said is passed on
//! verbatim. Decides nothing and looks nothing up.

mod about;
mod error;
mod event;
mod lang;
mod plan;
mod task;

pub use about::about;
pub use error::{api_error, conflict, error, reason};
pub use event::notification;
pub use lang::{ApiError, Lang, page_missing};
pub use plan::{planned, planned_field};
pub use task::{
    Answer, answer, failure, placement, step_begun, step_ended, step_name, task_message, uptime,
};
