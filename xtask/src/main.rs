//! The project's chores: `cargo xtask demo`, `up`, `test`, `check-layers`, `postman`, `sbom`, `fuzz`, `bench`,
//! `simulate`, `e2e` and `screenshots`.
//!
//! Only reads the command line and hands over. Every dependency here is paid for by every chore, so it
//! links none of the product's crates: it builds and starts their binaries like anybody else.

#![expect(
    clippy::print_stdout,
    reason = "a command line tool talks to its terminal"
)]

mod bench;
mod browser;
mod client;
mod demo;
mod fuzz;
mod golang;
mod layers;
mod postman;
mod progress;
mod provider;
mod sbom;
mod simulate;
mod stack;
mod storm;
mod suite;
mod table;
mod tofu;
mod tools;
mod up;
mod web;
mod workspace;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Seconds for each target of `fuzz` that somebody runs by hand.
const BY_HAND: u32 = 60;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "The project's chores"
)]
struct Flags {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// From nothing to four running servers, in a temporary directory, against a simulated cluster
    Demo {
        /// Leave everything running until Ctrl-C
        #[arg(long)]
        keep: bool,
        /// How long the simulated cluster takes for things
        #[arg(long, value_enum, default_value_t = stack::Profile::Instant)]
        profile: stack::Profile,
        /// What makes the servers
        #[arg(long, value_enum, default_value_t = stack::Engine::Direct)]
        engine: stack::Engine,
    },
    /// The same on the standard ports until Ctrl-C, with data that stays; one or several of each
    Up {
        /// Where the data is kept
        #[arg(long, value_name = "DIR", default_value = ".data")]
        data: PathBuf,
        /// How long the simulated cluster takes for things
        #[arg(long, value_enum, default_value_t = stack::Profile::Instant)]
        profile: stack::Profile,
        /// On a PostgreSQL of its own, which must be installed, instead of SQLite
        #[arg(long)]
        postgres: bool,
        /// How many apis, on ports from 5000; a TLS proxy in front when nginx and openssl are installed
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
        api: u16,
        /// How many workers
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
        workers: u16,
    },
    /// Everything that CI runs
    Test {
        /// Only these steps, in their usual order
        #[arg(long, value_name = "STEP", value_parser = suite::names())]
        only: Vec<String>,
    },
    /// Who may know whom, held against what is written
    CheckLayers,
    /// Writes `crates/api/docs/postman_collection.json` anew, from `crates/api/openapi.json`
    Postman,
    /// What the two processes are built from, as a CycloneDX document
    Sbom {
        /// Where it is written; `sbom.cdx.json` in the folder that cargo builds into
        #[arg(value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Bends inputs until something that reads them breaks; `TPM_FUZZ_SECONDS` for each target, 60 if unset
    Fuzz {
        /// Only these
        #[arg(value_name = "TARGET", value_parser = clap::builder::PossibleValuesParser::new(fuzz::TARGETS))]
        targets: Vec<String>,
    },
    /// Kills the product at random instants under clients and checks what is left; `--help` tells more
    #[command(disable_help_flag = true)]
    Storm {
        /// Handed on to the storm; `--dev` builds for development, `--mutant NAME` (or `all`) rages over a
        /// product that is broken on purpose
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measures, and prints the table of figures
    Bench {
        /// Handed on to the measuring program: `reads`, `jobs`, `latency`, `fleet`, `footprint`, `--rounds N`;
        /// `--dev` builds for development
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The page in a browser, against a live stack of its own
    E2e {
        /// Handed on to vitest: a file, `-t NAME`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// A picture of each page, light and dark, on a desk and on a phone, in Korean and in English
    Screenshots {
        /// Where they are written; `screenshots` in the folder that cargo builds into
        #[arg(value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// The service in virtual time: many seeds, or one with its trace
    Simulate {
        /// `--seeds N`, `--from SEED`, `--replay SEED`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let result = match Flags::parse().chore {
        Chore::Demo {
            keep,
            profile,
            engine,
        } => demo::run(keep, profile, engine),
        Chore::Up {
            data,
            profile,
            postgres,
            api,
            workers,
        } => up::run(
            &data,
            profile,
            stack::Size {
                postgres,
                apis: api,
                workers,
            },
        ),
        Chore::Test { only } => suite::run(&only),
        Chore::CheckLayers => layers::run(),
        Chore::Postman => postman::run(),
        Chore::Sbom { to } => sbom::run(to),
        Chore::Fuzz { targets } => fuzz::run(&targets, BY_HAND),
        Chore::Storm { arguments } => storm::run(&arguments),
        Chore::Bench { arguments } => bench::run(&arguments),
        Chore::E2e { arguments } => browser::tests(&arguments),
        Chore::Screenshots { to } => browser::screenshots(to),
        Chore::Simulate { arguments } => simulate::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
