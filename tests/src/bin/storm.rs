//! The crash storm: the whole product as processes that are killed at random instants, under clients, on a
//! simulated cluster that is never killed and knows what really happened.

#[path = "../storm/mod.rs"]
mod storm;

use std::process::ExitCode;

fn main() -> ExitCode {
    storm::main()
}
