//! The simulator from outside: recordings of a real host replayed, a client nobody here wrote,
//! faults, and the control door.

mod client;
mod compare;
mod door;
mod faults;
mod life;
mod proxmoxer;
mod recording;
mod replay;
mod wire;
