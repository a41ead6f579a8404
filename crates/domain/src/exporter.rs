//! Exporters on servers: whether ours to install, and what is known of each.

use crate::{ServerId, Timestamp};
use std::time::Duration;

/// What is done about node_exporter on the servers of a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExporterCare {
    /// Nothing: nobody asks the guest.
    #[default]
    Off,
    /// A guest whose exporter is silent is asked why.
    Check,
    /// And it is installed where it is missing.
    Install,
}

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What a guest's agent said of the exporter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ExporterState {
            $($(#[$doc])* $name),+
        }

        impl ExporterState {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word on the wire and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }

            /// What a word means.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

states! {
    /// Something listens on its port.
    Listening = "listening",
    /// It is there, and nothing listens.
    NotRunning = "not_running",
    /// It is not there.
    NotInstalled = "not_installed",
    /// It is being installed.
    Installing = "installing",
    /// It could not be installed.
    InstallFailed = "install_failed",
    /// The agent does not answer.
    AgentOff = "agent_off",
    /// Proxmox VE does not let us ask.
    AgentForbidden = "agent_forbidden",
}

/// What is known of the exporter on one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporter {
    /// The server.
    pub server: ServerId,
    /// What its agent said last.
    pub state: ExporterState,
    /// In its words, where it said more.
    pub detail: String,
    /// The command that installs it, by its number in the guest.
    pub pid: Option<i64>,
    /// How often installing was begun since it last listened.
    pub attempts: u32,
    /// Since when it is so.
    pub since: Timestamp,
    /// When the guest is asked next.
    pub due_at: Timestamp,
}

impl Exporter {
    /// Installing that takes longer is given up.
    pub const INSTALL_WITHIN: Duration = Duration::from_secs(20 * 60);

    /// How long after a failed installation it is tried again: ten minutes, an hour, then once a day.
    #[must_use]
    pub fn pause(attempts: u32) -> Duration {
        Duration::from_secs(match attempts {
            0 | 1 => 600,
            2 => 3600,
            _ => 24 * 3600,
        })
    }
}
