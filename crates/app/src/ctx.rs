//! What every use case is given: on whose behalf, and with which parts.

use crate::policy::Policy;
use crate::system::{HostResources, ServiceProbe};
use crate::{AppError, Result};
use std::fmt;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tpm_domain::{Action, Actor, Clock, Error, TaskToken, Timestamp};
use tpm_store::Store;

/// Fills a buffer with random bytes fit for tokens.
pub type Random = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// What the use cases are made of.
pub struct AppParts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// What may be asked for.
    pub policy: Policy,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub random: Random,
    /// What the service depends on, by name, for the system status.
    pub services: Vec<Arc<dyn ServiceProbe>>,
    /// The machine it runs on.
    pub host: Arc<dyn HostResources>,
    /// When the process began.
    pub started_at: Timestamp,
}

/// The use cases. Clones are the same.
#[derive(Clone)]
pub struct App {
    parts: Arc<AppParts>,
    /// At most so many password hashes at once: each takes 19 MiB and a core.
    pub(crate) hashing: Arc<Semaphore>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("policy", &self.parts.policy)
            .finish_non_exhaustive()
    }
}

impl App {
    /// The use cases on these parts.
    #[must_use]
    pub fn new(parts: AppParts) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            parts: Arc::new(parts),
            hashing: Arc::new(Semaphore::new(cores)),
        }
    }

    /// The parts.
    #[must_use]
    pub fn parts(&self) -> &AppParts {
        &self.parts
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.parts.policy
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn random_hex(&self, bytes: usize) -> String {
        let mut buffer = vec![0_u8; bytes];
        (self.parts.random)(&mut buffer);
        hex::encode(buffer)
    }

    pub(crate) fn new_task_token(&self) -> TaskToken {
        TaskToken(format!("task_{}", self.random_hex(10)))
    }
}

/// On whose behalf a use case runs.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// The person.
    pub actor: Actor,
}

impl Ctx {
    /// The first line of every use case.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the person may not.
    pub(crate) fn authorize(&self, action: Action) -> Result<()> {
        if self.actor.role.may(action) {
            Ok(())
        } else {
            Err(AppError::Refused(Error::Forbidden))
        }
    }
}
