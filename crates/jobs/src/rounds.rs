//! Periodic work: takes no input, compares what should be with what is, acts, and reports counts. Of any
//! number of workers one makes a round at a time, by a turn in the database.

use crate::worker::Worker;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tpm_domain::{Survey, Timestamp};
use tpm_provisioner::ProvisionError;
use tpm_store::StoreError;

/// How often what is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// The cluster's list: nodes, storages, guests.
    pub look: Duration,
    /// Every server beside its guest.
    pub sweep: Duration,
    /// The archives on the cluster's storages.
    pub archives: Duration,
    /// How long a left-over guest must have been seen before it is removed.
    pub orphan_after: Duration,
    /// How long before a server's end people are warned.
    pub warn_before: Duration,
    /// How long after its end a server is deleted, when that was asked for.
    pub delete_after: Duration,
    /// How long the answer to a request is remembered under its idempotency key.
    pub remember: Duration,
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(10),
            sweep: Duration::from_secs(30),
            archives: Duration::from_secs(300),
            orphan_after: Duration::from_secs(60),
            warn_before: Duration::from_secs(24 * 3600),
            delete_after: Duration::from_secs(24 * 3600),
            remember: Duration::from_secs(24 * 3600),
        }
    }
}

/// Why a look at the cluster came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ProvisionError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What changed is told again to who comes back within this time.
const FEED_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How often expiry and old answers are looked at.
const SELDOM: Duration = Duration::from_secs(20);

impl Worker {
    /// Makes rounds until `stop`.
    pub async fn make_rounds(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.round().await;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.settings().rounds.look / 2) => {}
            }
        }
    }

    /// One round: whatever is due and is nobody else's turn.
    async fn round(&self) {
        let rounds = self.settings().rounds;
        if self.is_my_turn("look", rounds.look).await {
            let sweep = self.is_my_turn("sweep", rounds.sweep).await;
            for (name, engine) in self.engines() {
                match engine.survey().await {
                    Ok(None) => {}
                    Ok(Some(survey)) => {
                        self.tell("look", self.take_picture(name, &survey).await);
                        // Before the sweep follows what others did.
                        self.tell("alerts", self.judge_alerts().await);
                        if sweep {
                            self.tell("sweep", self.sweep_engine(name, &survey).await);
                        }
                    }
                    Err(error) => tracing::warn!(
                        engine = name,
                        error = &error as &dyn std::error::Error,
                        "cannot see the cluster"
                    ),
                }
            }
        }
        if self.is_my_turn("archives", rounds.archives).await {
            self.tell("archives", self.look_at_archives().await);
        }
        // What follows acts, or has others act.
        match self.is_a_copy().await {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => return self.tell::<()>("acting", Err(error)),
        }
        if self.is_my_turn("schedules", rounds.look / 2).await {
            self.tell("schedules", self.follow_schedules().await);
        }
        if self.is_my_turn("exporters", rounds.look).await {
            self.tell("exporters", self.tend_exporters().await);
        }
        if self.is_my_turn("expire", SELDOM).await {
            self.tell("expire", self.expire().await);
            self.tell("forget", self.forget().await);
            self.tell("runs", self.trim_runs().await);
            self.tell("drills", self.trim_drills().await);
            self.tell("deliveries", self.trim_deliveries().await);
        }
    }

    async fn is_my_turn(&self, what: &str, every: Duration) -> bool {
        match self.store().queue().take_turn(what, every).await {
            Ok(mine) => mine,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no turn");
                false
            }
        }
    }

    fn tell<T: std::fmt::Debug>(&self, what: &str, done: Result<T, StoreError>) {
        match done {
            Ok(counts) => tracing::debug!(what, ?counts, "round"),
            Err(error) => tracing::warn!(
                what,
                error = &error as &dyn std::error::Error,
                "a round was cut short"
            ),
        }
    }

    /// One look at every cluster, whoever's turn it is; what was seen, by engine.
    ///
    /// # Errors
    /// When a cluster or the store does not answer.
    pub async fn look(&self) -> Result<Vec<(String, Survey)>, LookError> {
        let mut seen: Vec<(String, Survey)> = Vec::new();
        for (name, engine) in self.engines() {
            if let Some(survey) = engine.survey().await? {
                self.take_picture(name, &survey).await?;
                seen.push((name.clone(), survey));
            }
        }
        Ok(seen)
    }

    /// Forgets answers that nobody will ask for again, and what changed long ago.
    async fn forget(&self) -> Result<(u64, u64), StoreError> {
        let tx = self.store().begin().await?;
        let now = tx.now();
        let ago = |time: Duration| {
            Timestamp(now.0 - i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2))
        };
        let answers = tx
            .forget_remembered(ago(self.settings().rounds.remember))
            .await?;
        let changes = tx.trim_feed(ago(FEED_KEPT)).await?;
        tx.commit().await?;
        Ok((answers, changes))
    }
}
