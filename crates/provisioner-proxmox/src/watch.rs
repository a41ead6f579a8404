//! The cluster's list, asked for once however many want it: callers that come while a question is under
//! way share the next answer, and two questions are never closer together than a gap.

use std::collections::HashMap;
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
    /// Since when nodes were seen to be away, of those that were asked about.
    away: Mutex<HashMap<String, Instant>>,
}

impl Watch {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            last: Mutex::new(None),
            away: Mutex::default(),
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

    /// For how long a node has been seen to be away; `None` when it takes part. A process that has just
    /// begun knows of no absence before its own first look.
    pub(crate) async fn away(&self, node: &str, age: Duration) -> Result<Option<Duration>, Error> {
        let list = self.recent(age).await?;
        let online = list.iter().any(|r| {
            r.kind == "node"
                && r.node.as_deref() == Some(node)
                && r.status.as_deref() == Some("online")
        });
        let mut away = self.away.lock().await;
        if online {
            away.remove(node);
            return Ok(None);
        }
        let since = away.entry(node.to_owned()).or_insert_with(Instant::now);
        Ok(Some(since.elapsed()))
    }

    /// A list that is not older than `age`.
    pub(crate) async fn recent(&self, age: Duration) -> Result<Arc<Vec<Resource>>, Error> {
        let now = Instant::now();
        self.since(now.checked_sub(age).unwrap_or(now)).await
    }
}
