//! pve-simulator.

fn main() {}
