//! The port through which servers are made, changed and destroyed, whatever the engine.
//!
//! An engine does not run operations; it describes each as a list of [`StepSpec`]s, and for every step
//! it can *look* ([`Provisioner::observe`]) and *act* ([`Provisioner::act`]). The worker does the rest:
//! it writes down the intent before an act and the evidence after it, waits without holding a thread,
//! tries again, undoes, and starts over after a crash. Therefore every act must be repeatable, and every
//! look must find out from the world itself whether the step's effect is there.

mod code;
mod error;
mod signer;
mod step;

pub use code::{
    CodeError, CodeFile, OlderState, PlanView, RunLine, ServerCode, StateChange, StateVersion,
};
pub use error::{Fate, ProvisionError};
pub use signer::{MarkSigner, WeakKey};
pub use step::{
    Acted, Learned, Observed, OnFailure, Operation, Report, Slot, SlotWidth, StepCall, StepSpec,
    Steps, WhenLate,
};

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tpm_domain::{
    ArchiveSurvey, GuestEntry, GuestSize, GuestUse, GuestView, Identity, Mark, Nic, PlannedField,
    Server, ServerName, ServerSpec, Survey,
};

/// What a guest that may not be ours says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Who it is.
    pub identity: Identity,
    /// The mark on it, when it is one of this installation and unaltered.
    pub mark: Option<Mark>,
    /// Its configuration's lock.
    pub lock: Option<String>,
    /// Addresses that it is configured with or reports.
    pub addresses: Vec<std::net::Ipv4Addr>,
    /// The server that its configuration describes; `None` when no server can be like that.
    pub described: Option<Described>,
}

/// A server as its guest's configuration describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name, when a server can be called so.
    pub name: Option<ServerName>,
    /// The role whose tags the guest has.
    pub role: Option<String>,
    /// Its tags, when they are not that role's alone.
    pub tags: Option<Vec<String>>,
    /// How large it is.
    pub size: GuestSize,
    /// Its network interfaces.
    pub nics: Vec<Nic>,
}

impl Described {
    /// What may have been asked for.
    #[must_use]
    pub fn spec(&self, role: String) -> ServerSpec {
        ServerSpec {
            role,
            cpu: self.size.cpu,
            memory_mb: self.size.memory_mb,
            disk_gb: self.size.disk_gb,
            nics: self.nics.clone(),
            tags: self.tags.clone(),
            description: None,
        }
    }
}

/// What was measured of guests in the past.
#[async_trait]
pub trait GuestHistory: Send + Sync {
    /// What a server's guest used, back to so long ago at least; empty when there is no guest.
    ///
    /// # Errors
    /// When the world does not answer.
    async fn guest_history(
        &self,
        server: &Server,
        back: Duration,
    ) -> Result<Arc<Vec<GuestUse>>, ProvisionError>;
}

/// A certificate that somebody shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Such as `pve-ssl.pem`: the same for the one that follows it.
    pub name: String,
    /// When it ends.
    pub ends: tpm_domain::Timestamp,
}

/// Why it is not known when certificates end, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CertificatesUnknown(pub String);

/// Certificates, and when they end.
#[async_trait]
pub trait Certificates: Send + Sync {
    /// Whose they are, of those who are there: nodes that are online, and ourselves.
    fn places(&self, nodes: &[String]) -> Vec<String>;

    /// Those of one place.
    ///
    /// # Errors
    /// When it does not answer.
    async fn of(&self, place: &str) -> Result<Vec<Certificate>, CertificatesUnknown>;
}

/// How a command in a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandEnd {
    /// What it ended with; `None` when a signal ended it.
    pub exit_code: Option<i64>,
    /// What it said.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

/// Why a guest was not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    /// Its agent does not answer, or has forgotten the command.
    #[error("the guest agent does not answer: {0}")]
    Silent(String),
    /// We may not.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The guest is not ours, or not there, or the cluster does not answer.
    #[error("{0}")]
    Unknown(String),
}

/// Commands inside of guests, by their agents. Whose a guest is was found out before each.
#[async_trait]
pub trait GuestShell: Send + Sync {
    /// Begins a command; its number in the guest.
    ///
    /// # Errors
    /// When it was not begun, or that is not known.
    async fn begin(&self, server: &Server, command: &[String]) -> Result<i64, ShellError>;

    /// How a command ended; `None` while it goes on. An end is told once.
    ///
    /// # Errors
    /// When nobody answers, or the command is not known.
    async fn end(&self, server: &Server, pid: i64) -> Result<Option<CommandEnd>, ShellError>;
}

/// An engine.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Provisioner: Send + Sync {
    /// The engine's name, stored with each server: `direct`, …
    fn name(&self) -> &str;

    /// The engine whose surveys show this one's guests: itself, unless both work on one cluster.
    fn surveyed_by(&self) -> &str {
        self.name()
    }

    /// The steps of an operation, in order. Never empty, and the same for the life of the process:
    /// tasks that were begun before a restart go on by the steps' names.
    fn steps(&self, operation: Operation) -> &[StepSpec];

    /// The limited places that a step needs before it acts on `intent`. A place is kept until the step has
    /// ended; a step that waits for one holds none.
    fn slots<'a>(&self, _call: &StepCall<'a>, _intent: &serde_json::Value) -> Vec<Slot> {
        Vec::new()
    }

    /// Finds out whether a step's effect is there. Changes nothing.
    ///
    /// # Errors
    /// With the [`Fate`] that the world's answer deserves.
    async fn observe<'a>(&self, call: &StepCall<'a>) -> Result<Observed, ProvisionError>;

    /// Carries out what [`Observed::Needed`] said and was written down since. Safe to repeat.
    ///
    /// # Errors
    /// With the [`Fate`] that the world's answer deserves.
    async fn act<'a>(
        &self,
        call: &StepCall<'a>,
        intent: &serde_json::Value,
    ) -> Result<Acted, ProvisionError>;

    /// One look at a server's guest, wherever it is now, at whose it is and at what was changed on it;
    /// `None` when there is no guest of that VMID.
    ///
    /// # Errors
    /// When the world does not answer.
    async fn look(&self, server: &Server) -> Result<Option<GuestView>, ProvisionError>;

    /// What the engine itself keeps of a server's guest, in one line: the other half of what a look would show.
    /// `None` for an engine that keeps nothing.
    async fn kept(&self, _server: &Server) -> Option<String> {
        None
    }

    /// One look at the whole cluster, by few questions whatever its size; `None` for an engine that has
    /// no nodes to choose from.
    ///
    /// # Errors
    /// When the world does not answer.
    async fn survey(&self) -> Result<Option<Survey>, ProvisionError> {
        Ok(None)
    }

    /// The archives on the cluster's storages, by one question per storage; `None` for an engine without any.
    ///
    /// # Errors
    /// When the world does not answer at all; a storage that does not is left out.
    async fn archives(&self) -> Result<Option<ArchiveSurvey>, ProvisionError> {
        Ok(None)
    }

    /// Takes over a guest that others made and nothing is changed on. Returns what would be changed when it
    /// cannot be taken over as it is; nothing is kept of it then.
    ///
    /// # Errors
    /// With the [`Fate`] that the world's answer deserves.
    async fn adopt<'a>(&self, _call: &StepCall<'a>) -> Result<Vec<PlannedField>, ProvisionError> {
        Ok(Vec::new())
    }

    /// Reads a guest of the list that no server is known for; `None` when it is gone.
    ///
    /// # Errors
    /// When the world does not answer.
    async fn inspect(&self, _guest: &GuestEntry) -> Result<Option<Inspection>, ProvisionError> {
        Ok(None)
    }
}
