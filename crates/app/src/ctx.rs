//! What every use case is given: on whose behalf, and with which parts.

use crate::channel::Channels;
use crate::figures::{Cached, OwnMetrics};
use crate::live::Live;
use crate::monitoring::{Measured, Remembered};
use crate::policy::Policy;
use crate::secret::Secrets;
use crate::system::{HostResources, ServiceProbe, SettingView};
use crate::turn::Turns;
use crate::{AppError, Result};
use secrecy::SecretSlice;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tpm_domain::{
    Actor, Clock, Error, Permission, Reach, ResourceKind, Server, ServerId, TaskToken, Timestamp,
};
use tpm_provisioner::ServerCode;
use tpm_store::{KeyId, Remembered as Replayed, Store, UnitOfWork};

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
    /// What is known of servers as code, where an engine keeps them so.
    pub code: Option<Arc<dyn ServerCode>>,
    /// Who measures.
    pub measured: Measured,
    /// Where secrets are.
    pub secrets: Secrets,
    /// What channels may be, and what is signed with.
    pub channels: Channels,
    /// The machine it runs on.
    pub host: Arc<dyn HostResources>,
    /// What the process counts of itself, where it is told.
    pub metrics: Option<Arc<dyn OwnMetrics>>,
    /// The settings, as they may be shown.
    pub settings: Vec<SettingView>,
    /// Binds the rows of the audit to each other; who holds it can rewrite them.
    pub audit_key: SecretSlice<u8>,
    /// When the process began.
    pub started_at: Timestamp,
}

/// The use cases. Clones are the same.
#[derive(Clone)]
pub struct App {
    parts: Arc<AppParts>,
    /// At most so many password hashes at once: each takes 19 MiB and a core.
    pub(crate) hashing: Arc<Semaphore>,
    pub(crate) live: Arc<Live>,
    measurements: Arc<Remembered>,
    pub(crate) cached: Cached,
    /// Who reserves waits here, not in the database: there each would hold a connection while it waits.
    reserving: Turns,
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
            live: Arc::new(Live::new()),
            measurements: Arc::default(),
            cached: Cached::default(),
            reserving: Turns::new(),
        }
    }

    /// The parts.
    #[must_use]
    pub fn parts(&self) -> &AppParts {
        &self.parts
    }

    pub(crate) fn remembered(&self) -> &Remembered {
        &self.measurements
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    /// Begins a transaction that reserves, one after the other in this process. The turn ends when the
    /// first of the two is dropped.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when the turn does not come in time, or the store does not answer.
    pub(crate) async fn begin_in_turn(
        &self,
    ) -> Result<(OwnedSemaphorePermit, Box<dyn UnitOfWork + Send + Sync>)> {
        let turn = self.reserving.next().await?;
        Ok((turn, self.store().begin().await?))
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

/// A request's name, given by who sends it: the same request again has no second effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key, unique for the person.
    pub key: String,
    /// Digest of the request; the same key with another one is refused.
    pub request_hash: String,
}

/// What [`Origin::via`] begins with when it is a key.
const KEY: &str = "key ";

/// Where a request comes from and what it asks for: what the audit says of it beside the person.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// As method and path: `POST /api/servers/create`.
    pub action: String,
    /// From which address.
    pub address: String,
    /// By what the person is known: `session`, `key 7`.
    pub via: String,
    /// By which program, as it says itself.
    pub agent: String,
    /// The request's id, as in the log.
    pub request_id: String,
    /// Whether the audit says it already.
    told: Arc<AtomicBool>,
}

impl Origin {
    /// What is asked for; the rest is not known so far.
    #[must_use]
    pub fn of(action: String) -> Self {
        Self {
            action,
            ..Self::default()
        }
    }

    /// Whether the person is known by one of its keys.
    #[must_use]
    pub fn is_key(&self) -> bool {
        self.via.starts_with(KEY)
    }

    /// The same request, by this key.
    pub(crate) fn by_key(mut self, id: KeyId) -> Self {
        self.via = format!("{KEY}{}", id.0);
        self
    }

    /// Whether the audit says it already.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }

    pub(crate) fn tell(&self) {
        self.told.store(true, Ordering::Release);
    }
}

/// On whose behalf a use case runs.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// The person.
    pub actor: Actor,
    /// The request's name, if it has one.
    pub key: Option<IdempotencyKey>,
    /// Where the request comes from.
    pub origin: Origin,
    /// The language the person chose, `ko` or `en`.
    pub language: Option<String>,
    /// When the session was begun, where it is one.
    pub begun: Option<Timestamp>,
    /// Whether the person may do nothing but set up a second factor.
    pub confined: bool,
}

impl Ctx {
    /// Of a person, outside of any request.
    #[must_use]
    pub fn new(actor: Actor) -> Self {
        Self {
            actor,
            key: None,
            origin: Origin::default(),
            language: None,
            begun: None,
            confined: false,
        }
    }

    /// Asked first by what only the person itself may do: a key that is lost must not beget others, nor keep
    /// its owner out.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for a key.
    pub(crate) fn in_person(&self) -> Result<()> {
        if self.origin.is_key() {
            return Err(AppError::Refused(Error::Forbidden));
        }
        Ok(())
    }

    /// What this request came to when it was sent before, if it was. Asked first in the transaction that
    /// would have the effect.
    ///
    /// # Errors
    /// [`Error::KeyReused`] when the key was used for another request.
    pub(crate) async fn replay<T: DeserializeOwned>(
        &self,
        tx: &(dyn UnitOfWork + Send + Sync),
    ) -> Result<Option<T>> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        match tx.remembered(self.actor.id, &key.key).await? {
            None => Ok(None),
            Some(done) if done.request_hash == key.request_hash => {
                let outcome = serde_json::from_str(&done.outcome);
                outcome
                    .map(Some)
                    .map_err(|error| AppError::Fault(error.into()))
            }
            Some(_) => Err(AppError::Refused(Error::KeyReused)),
        }
    }

    /// Remembers what this request came to, in the transaction of its effect.
    pub(crate) async fn remember<T: Serialize + Sync>(
        &self,
        tx: &(dyn UnitOfWork + Send + Sync),
        outcome: &T,
    ) -> Result<()> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let outcome = serde_json::to_string(outcome).map_err(|e| AppError::Fault(e.into()))?;
        let done = Replayed {
            request_hash: key.request_hash.clone(),
            outcome,
        };
        tx.remember(self.actor.id, &key.key, &done).await?;
        Ok(())
    }

    /// The first line of a use case about things that belong to no project.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the person may not.
    pub(crate) fn authorize(&self, permission: Permission) -> Result<()> {
        if self.actor.may(permission) {
            Ok(())
        } else {
            Err(AppError::Refused(Error::Forbidden))
        }
    }

    /// The first line of a use case about things of projects: how far the permission reaches.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when it reaches nothing.
    pub(crate) fn reach(&self, permission: Permission) -> Result<Reach> {
        let reach = self.actor.reach(permission);
        if reach.is_nothing() {
            Err(AppError::Refused(Error::Forbidden))
        } else {
            Ok(reach)
        }
    }

    /// A server that somebody asks about or wants to do something to. One that the person may not see is as
    /// one that is not there.
    ///
    /// # Errors
    /// Not found, or [`Error::Forbidden`] when it may be seen and no more, or nothing of the kind may be done
    /// anywhere.
    pub(crate) fn may(
        &self,
        permission: Permission,
        id: ServerId,
        server: Option<Server>,
    ) -> std::result::Result<Server, Error> {
        if self.actor.reach(permission).is_nothing() {
            return Err(Error::Forbidden);
        }
        let missing = || Error::not_found(ResourceKind::Server, id);
        let server = server.ok_or_else(missing)?;
        if self.actor.may_on(permission, &server) {
            Ok(server)
        } else if self.actor.may_on(Permission::ReadServers, &server) {
            Err(Error::Forbidden)
        } else {
            Err(missing())
        }
    }
}
