//! What a storm is told on its command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// What is done to the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Processes are killed at random instants, with everything else going wrong in between.
    Kills,
    /// Nothing is killed, but one write in ten goes wrong; `--kills` is how many servers are made.
    Faults,
    /// A worker is stopped (SIGSTOP) in the middle of an act for two leases; `--kills` is how often, over
    /// all kinds of acts in turn.
    Pause,
    /// Only workers are killed and nothing else goes wrong: how long their tasks stay without one.
    Takeover,
    /// The database is killed 20 times, `--kills` of its backends are ended, and its tables are locked for
    /// half a minute.
    Database,
    /// Strangers take every number the moment it is free; `--kills` is how many of them come.
    Squat,
    /// `--kills` servers are asked for at one moment, and more than an address range has.
    Rush,
    /// The database is put back to an older copy under a cluster that has moved on.
    Restore,
}

impl Mode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Kills => "kills",
            Self::Faults => "faults",
            Self::Pause => "pause",
            Self::Takeover => "takeover",
            Self::Database => "database",
            Self::Squat => "squat",
            Self::Rush => "rush",
            Self::Restore => "restore",
        }
    }

    /// Whether clients live through it; otherwise it asks for things itself.
    pub(crate) fn has_people(self) -> bool {
        !matches!(self, Self::Rush | Self::Restore)
    }
}

/// Which database the installation lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Database {
    /// One file.
    Sqlite,
    /// A server of the storm's own, with every commit on the disk.
    Postgres,
}

impl Database {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// A storm.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "cargo xtask storm",
    about = "Kills the product at random instants under clients and checks what is left"
)]
pub(crate) struct Args {
    /// What is done
    #[arg(long, value_enum, default_value_t = Mode::Kills)]
    pub(crate) mode: Mode,
    /// How many processes are killed, for each seed
    #[arg(long, default_value_t = 25)]
    pub(crate) kills: u64,
    /// The first seed; the same seed plans the same kills and faults
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many seeds, counted up from the first
    #[arg(long, default_value_t = 1)]
    pub(crate) seeds: u64,
    /// How many seeds at once
    #[arg(long, default_value_t = 1)]
    pub(crate) at_once: usize,
    /// Where the installation keeps its rows
    #[arg(long, value_enum, default_value_t = Database::Sqlite)]
    pub(crate) database: Database,
    /// Api processes; 1 on SQLite and 3 on PostgreSQL when not given
    #[arg(long)]
    pub(crate) apis: Option<usize>,
    /// Worker processes; 1 on SQLite and 4 on PostgreSQL when not given
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// Clients that ask for things all the time
    #[arg(long, default_value_t = 32)]
    pub(crate) clients: usize,
    /// Milliseconds that a client rests between two things it does, on average
    #[arg(long, default_value_t = 150)]
    pub(crate) think_ms: u64,
    /// Most servers at once
    #[arg(long, default_value_t = 120)]
    pub(crate) servers: usize,
    /// Milliseconds between two kills, on average
    #[arg(long, default_value_t = 90)]
    pub(crate) interval_ms: u64,
    /// Length of a worker's lease in milliseconds
    #[arg(long, default_value_t = 500)]
    pub(crate) lease_ms: u64,
    /// Folder with the killable programs; the storm's own when not given
    #[arg(long)]
    pub(crate) programs: Option<PathBuf>,
    /// Keep the folder with the logs also when all is well
    #[arg(long)]
    pub(crate) keep: bool,
}

impl Args {
    pub(crate) fn apis(&self) -> usize {
        self.apis.unwrap_or(match self.database {
            Database::Sqlite => 1,
            Database::Postgres => 3,
        })
    }

    pub(crate) fn workers(&self) -> usize {
        self.workers.unwrap_or(match self.database {
            Database::Sqlite => 1,
            Database::Postgres => 4,
        })
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}
