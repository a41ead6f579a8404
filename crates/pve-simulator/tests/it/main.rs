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

/// Tells the person who watches, also when the test passes: the harness only keeps back what is printed.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}
