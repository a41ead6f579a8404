//! The HTTP side: routes, extractors, what goes over the wire, and errors as JSON.
//!
//! The only crate that knows axum and status codes. It asks use cases and shapes their answers; it
//! decides nothing, holds no SQL and calls nothing outside. Domain types never go over the wire
//! themselves: `wire` has the shapes.

mod audit;
mod body;
mod error;
mod exposition;
mod extract;
mod fields;
mod guard;
mod leaving;
mod measure;
mod openapi;
mod pace;
mod peer;
mod query;
mod router;
mod routes;
mod sparing;
mod table;
mod time;
mod wire;

pub use exposition::{metrics_answer, metrics_form};
pub use leaving::Leaving;
pub use router::{ApiSettings, router};
pub use sparing::Sparing;
