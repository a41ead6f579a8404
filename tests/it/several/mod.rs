//! Several apis and several workers, as processes of their own, on one database: what clients see while
//! they come, go and lose their database.

pub(crate) mod fleet;
mod guesses;
mod outage;
mod proxy;
mod rolling;
mod wire;
