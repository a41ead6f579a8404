//! The store in memory: every promise of the port, on a clock and with faults of the caller's choice.
//!
//! For simulations and tests; nothing is kept when it is dropped, and no process but its own sees it.
//! Transactions are those of SQLite with `BEGIN IMMEDIATE`: one writer at a time, all or nothing, readers
//! see what is committed. A refused statement ends its transaction, as on PostgreSQL. Unique names,
//! addresses and VMIDs, one active task per server, quotas and the room on nodes are enforced here as the
//! schema does it there. It reads no clock but the given one, rolls no dice and starts no thread.

mod commit;
mod inside;
mod queue;
mod repository;
mod rows;
mod session;
mod surroundings;
mod table;

pub use commit::{Commit, Fence, StepChange, TaskBrief, TaskChange};
pub use inside::{Inside, ServerInside, TaskInside};
pub use surroundings::{Calm, Moment, Outcome, Refusal, Surroundings, Verdict};

use crate::queue::MemoryQueue;
use crate::rows::Tables;
use crate::session::{Committed, Session, Transaction};
use async_trait::async_trait;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tpm_domain::Clock;
use tpm_store::{JobQueue, Reads, Result, Store, UnitOfWork};

/// What all handles share.
pub(crate) struct Shared {
    committed: Mutex<Tables>,
    /// Held by the one transaction that may write.
    writer: Arc<tokio::sync::Mutex<()>>,
    clock: Arc<dyn Clock>,
    surroundings: Arc<dyn Surroundings>,
    bell: Notify,
    instance_id: String,
}

impl Shared {
    fn committed(&self) -> MutexGuard<'_, Tables> {
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store. Clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    queue: MemoryQueue,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("instance_id", &self.shared.instance_id)
            .finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store that never fails.
    #[must_use]
    pub fn new(instance_id: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self::within(instance_id, clock, Arc::new(Calm))
    }

    /// An empty store in surroundings that may make it wait or fail.
    #[must_use]
    pub fn within(
        instance_id: impl Into<String>,
        clock: Arc<dyn Clock>,
        surroundings: Arc<dyn Surroundings>,
    ) -> Self {
        let shared = Arc::new(Shared {
            committed: Mutex::new(Tables::new(clock.now())),
            writer: Arc::new(tokio::sync::Mutex::new(())),
            clock,
            surroundings,
            bell: Notify::new(),
            instance_id: instance_id.into(),
        });
        let queue = MemoryQueue::new(Arc::clone(&shared));
        Self { shared, queue }
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn reads(&self) -> Box<dyn Reads + Send + Sync + '_> {
        Box::new(Session(Committed::new(Arc::clone(&self.shared))))
    }

    async fn begin(&self) -> Result<Box<dyn UnitOfWork + Send + Sync>> {
        let transaction = Transaction::begin(&self.shared, Moment::Begin).await?;
        Ok(Box::new(Session(transaction)))
    }

    fn queue(&self) -> &dyn JobQueue {
        &self.queue
    }

    async fn ping(&self) -> Result<()> {
        self.shared.pass(Moment::Read).await.map(|_| ())
    }

    async fn instance_id(&self) -> Result<String> {
        Ok(self.shared.instance_id.clone())
    }
}
