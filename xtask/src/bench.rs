//! `bench`: hands over to the measuring program of the tests package, built as people would run it.

use crate::workspace;

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--release"]);
    for (package, _) in workspace::PROGRAMS {
        cargo.args(["--package", package]);
    }
    workspace::run(&mut cargo)?;
    let mut cargo = workspace::cargo();
    cargo.args([
        "run",
        "--release",
        "--package",
        "tpm-tests",
        "--bin",
        "bench",
        "--",
    ]);
    workspace::run(cargo.args(arguments))
}
