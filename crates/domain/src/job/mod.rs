//! Rules of durable work: when to try again.

mod retry;

pub use retry::RetryPolicy;
