//! `simulate`: hands over to the simulation, built for speed.

use crate::workspace;

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut cargo = workspace::cargo();
    cargo.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "tpm-simulation",
        "--bin",
        "simulate",
        "--",
    ]);
    workspace::run(cargo.args(arguments))
}
