//! Handlers, one file per resource: read the request, ask the use case, shape the answer.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod backups;
pub(crate) mod channels;
pub(crate) mod code;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod monitoring;
pub(crate) mod networks;
pub(crate) mod nodes;
pub(crate) mod notifications;
pub(crate) mod page;
pub(crate) mod projects;
pub(crate) mod schedules;
pub(crate) mod secrets;
pub(crate) mod servers;
pub(crate) mod system;
pub(crate) mod tasks;
pub(crate) mod users;

use crate::error::Fault;
use axum::response::Response;
use tpm_messages::Lang;

/// An answer or a fault, in the reader's language.
pub(crate) fn answered(lang: Lang, result: Result<Response, Fault>) -> Response {
    result.unwrap_or_else(|fault| fault.into_response_in(lang))
}
