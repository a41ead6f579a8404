//! What Proxmox VE measured of guests in the past. An answer is good for a while, however many look.

use crate::ProxmoxProvisioner;
use crate::error::of_read;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tpm_domain::{GuestUse, Server, Timestamp};
use tpm_provisioner::{GuestHistory, ProvisionError};
use tpm_pve_client::{ErrorClass, RrdPoint, Timeframe};

/// New points come by the minute at most.
const REMEMBER: Duration = Duration::from_secs(20);

type Key = (u32, Timeframe);
type Kept = Arc<Mutex<Option<(Instant, Arc<Vec<GuestUse>>)>>>;

/// The latest answers.
#[derive(Debug, Default)]
pub(crate) struct Histories(Mutex<BTreeMap<Key, Kept>>);

impl Histories {
    /// Where an answer is kept; old ones are let go.
    async fn place(&self, key: Key) -> Kept {
        let mut all = self.0.lock().await;
        all.retain(|_, kept| match kept.try_lock() {
            Ok(kept) => kept.as_ref().is_some_and(|(at, _)| at.elapsed() < REMEMBER),
            // Somebody is asking.
            Err(_) => true,
        });
        Arc::clone(all.entry(key).or_default())
    }
}

/// The shortest stretch that goes back so far.
fn timeframe(back: Duration) -> Timeframe {
    const HOUR: u64 = 3600;
    match back.as_secs() {
        secs if secs <= HOUR => Timeframe::Hour,
        secs if secs <= 24 * HOUR => Timeframe::Day,
        secs if secs <= 7 * 24 * HOUR => Timeframe::Week,
        secs if secs <= 30 * 24 * HOUR => Timeframe::Month,
        _ => Timeframe::Year,
    }
}

fn used(point: &RrdPoint) -> Option<GuestUse> {
    let at = Timestamp(i64::try_from(point.time?).ok()?.checked_mul(1000)?);
    let memory = match (point.mem, point.maxmem) {
        (Some(used), Some(all)) if all > 0.0 => Some(100.0 * used / all),
        _ => None,
    };
    Some(GuestUse {
        at,
        cpu: point.cpu.map(|share| 100.0 * share),
        memory,
        net_in: point.netin,
        net_out: point.netout,
    })
}

#[async_trait]
impl GuestHistory for ProxmoxProvisioner {
    async fn guest_history(
        &self,
        server: &Server,
        back: Duration,
    ) -> Result<Arc<Vec<GuestUse>>, ProvisionError> {
        let Some(node) = &server.node else {
            return Ok(Arc::default());
        };
        let timeframe = timeframe(back);
        let place = self.histories.place((server.vmid.0, timeframe)).await;
        // Whoever comes meanwhile waits for this answer.
        let mut kept = place.lock().await;
        if let Some((at, points)) = &*kept
            && at.elapsed() < REMEMBER
        {
            return Ok(Arc::clone(points));
        }
        let points = self.client.guest_rrd(&node.0, server.vmid.0, timeframe);
        let points = match points.await {
            Ok(points) => points,
            Err(error) if error.class() == ErrorClass::Missing => return Ok(Arc::default()),
            Err(error) => return Err(of_read(&error)),
        };
        let points: Arc<Vec<GuestUse>> = Arc::new(points.iter().filter_map(used).collect());
        *kept = Some((Instant::now(), Arc::clone(&points)));
        Ok(points)
    }
}
