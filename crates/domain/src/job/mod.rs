//! Rules of durable work: when to try again, how much at once.

mod retry;
mod width;

pub use retry::RetryPolicy;
pub use width::Width;
