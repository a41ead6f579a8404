//! The cluster's list, asked for once however many want it: callers that come while a question is under
//! way share the next answer, and two questions are never closer together than a gap.

use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tpm_pve_client::{Client, Error, Resource};

/// Least time between two questions.
const GAP: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct Watch {
    client: Client,
    last: Mutex<Option<(Instant, Arc<Vec<Resource>>)>>,
}

impl Watch {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            last: Mutex::new(None),
        }
    }

    /// A list that was asked for at `moment` or later: what changed before is in it.
    pub(crate) async fn since(&self, moment: Instant) -> Result<Arc<Vec<Resource>>, Error> {
        let mut last = self.last.lock().await;
        if let Some((asked, list)) = &*last {
            if *asked >= moment {
                return Ok(Arc::clone(list));
            }
            tokio::time::sleep(GAP.saturating_sub(asked.elapsed())).await;
        }
        let asked = Instant::now();
        let list = Arc::new(self.client.cluster_resources(None).await?);
        *last = Some((asked, Arc::clone(&list)));
        Ok(list)
    }

    /// A list that is not older than `age`.
    pub(crate) async fn recent(&self, age: Duration) -> Result<Arc<Vec<Resource>>, Error> {
        let now = Instant::now();
        self.since(now.checked_sub(age).unwrap_or(now)).await
    }
}
