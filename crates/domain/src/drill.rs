//! A restore drill: a backup restored to a guest that nobody else can reach, started, looked at, and destroyed, so
//! that it is known to restore before it is needed.

use crate::{
    BackupId, BackupToken, Failure, RunItemId, ScheduleId, Server, ServerId, TaskToken, Timestamp,
    UserId,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The database's number of a drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DrillId(pub i64);

impl fmt::Display for DrillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A drill's public name, `drill_<token>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DrillToken(pub String);

impl fmt::Display for DrillToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a drill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillState {
    /// Its guest is made and looked at.
    Running,
    /// The guest did everything that was asked of it.
    Passed,
    /// It did not, or could not be made.
    Failed,
    /// It was stopped on request.
    Cancelled,
}

impl DrillState {
    /// Every state, in the order above.
    pub const ALL: [Self; 4] = [Self::Running, Self::Passed, Self::Failed, Self::Cancelled];

    /// The word on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// How far the guest of a drill has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillGoal {
    /// It is switched on. Says nothing of what is on its disks.
    Started,
    /// Its guest agent answers: its system has come up.
    Agent,
    /// It has the address that it was given too, which cloud-init gives it.
    Address,
}

impl DrillGoal {
    /// All of them, in the order above.
    pub const ALL: [Self; 3] = [Self::Started, Self::Agent, Self::Address];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Agent => "agent",
            Self::Address => "address",
        }
    }
}

/// What a drill is to prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillSpec {
    /// How far its guest has to come.
    pub goal: DrillGoal,
    /// A command that has to end with 0 in the guest, each word an argument; none when empty.
    #[serde(default)]
    pub command: Vec<String>,
}

impl DrillSpec {
    /// Most words of a command.
    pub const MOST_WORDS: usize = 32;
    /// Most characters of a word.
    pub const LONGEST_WORD: usize = 1000;

    /// Whether the guest agent is needed.
    #[must_use]
    pub fn needs_agent(&self) -> bool {
        self.goal >= DrillGoal::Agent || !self.command.is_empty()
    }
}

/// What a drill is asked to prove, of any server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillWish {
    /// How far its guest has to come; as far as the server's guest can be expected to when `None`.
    #[serde(default)]
    pub goal: Option<DrillGoal>,
    /// A command that has to end with 0 in the guest; none when empty.
    #[serde(default)]
    pub command: Vec<String>,
}

impl DrillWish {
    /// What it means for a server. A guest that others made may not take its address from cloud-init.
    #[must_use]
    pub fn of(&self, server: &Server) -> DrillSpec {
        let usual = match server.kept.imported {
            true => DrillGoal::Agent,
            false => DrillGoal::Address,
        };
        DrillSpec {
            goal: self.goal.unwrap_or(usual),
            command: self.command.clone(),
        }
    }
}

/// A drill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// The database's number.
    pub id: DrillId,
    /// Its public name.
    pub token: DrillToken,
    /// The backup that is tried; it may be deleted by now.
    pub backup: BackupId,
    /// That backup's name.
    pub backup_token: BackupToken,
    /// Whose backup it is.
    pub server: ServerId,
    /// That server's name then.
    pub server_name: String,
    /// The server that is made for it and deleted with its end; `None` when there was no room for one.
    pub guest: Option<ServerId>,
    /// The task that carries it out.
    pub task: Option<TaskToken>,
    /// What it is to prove.
    pub spec: DrillSpec,
    /// The part of a run of a schedule that it is.
    pub item: Option<RunItemId>,
    /// That schedule.
    pub schedule: Option<ScheduleId>,
    /// Who asked for it, or made its schedule.
    pub asked_by: UserId,
    /// How far it is.
    pub state: DrillState,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What was seen, as JSON text; there once its guest has done what was asked of it, or has not.
    pub evidence: Option<String>,
    /// SHA-256 of that text, in hexadecimal.
    pub digest: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was known how it came out.
    pub decided_at: Option<Timestamp>,
    /// When nothing was left of its guest.
    pub cleared_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_parse_back_and_goals_are_in_order() {
        for state in DrillState::ALL {
            assert_eq!(DrillState::parse(state.as_str()), Some(state));
        }
        assert!(DrillGoal::Started < DrillGoal::Agent && DrillGoal::Agent < DrillGoal::Address);
        let only_started = DrillSpec {
            goal: DrillGoal::Started,
            command: Vec::new(),
        };
        assert!(!only_started.needs_agent());
        let command = vec!["/usr/bin/true".into()];
        assert!(
            DrillSpec {
                command,
                ..only_started
            }
            .needs_agent()
        );
    }
}
