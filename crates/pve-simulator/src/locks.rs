//! The lock files of a host: one per guest, one per storage, with PVE's waiting times and texts.
//!
//! These are file locks; the `lock` option of a configuration is another thing (see `model`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::clock::Clock;
use crate::tasks::Task;

#[derive(Debug, Default)]
pub(crate) struct Locks(Mutex<HashMap<String, Arc<RwLock<()>>>>);

pub(crate) fn vm_timeout(vmid: u32) -> String {
    format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
}

/// Waiting times PVE uses.
pub(crate) const CONFIG_WAIT: Duration = Duration::from_secs(10);
pub(crate) const CLONE_WAIT: Duration = Duration::from_secs(1);
pub(crate) const STORAGE_WAIT: Duration = Duration::from_secs(10);

impl Locks {
    fn named(&self, name: String) -> Arc<RwLock<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(name).or_default())
    }

    /// The guest's configuration, for writing. A task says in its log that it waits.
    pub(crate) async fn vm(
        &self,
        clock: &Clock,
        task: Option<&Task>,
        vmid: u32,
        wait: Duration,
    ) -> Result<OwnedRwLockWriteGuard<()>, String> {
        let lock = self.named(format!("vm-{vmid}"));
        if let Ok(guard) = Arc::clone(&lock).try_write_owned() {
            return Ok(guard);
        }
        if let Some(task) = task {
            task.log("trying to acquire lock...");
        }
        let patience = clock.scaled(wait).max(Duration::from_millis(50));
        let acquired = match task {
            Some(task) => tokio::select! {
                outcome = tokio::time::timeout(patience, lock.write_owned()) => outcome,
                () = task.interrupted() => return Err("received interrupt".into()),
            },
            None => tokio::time::timeout(patience, lock.write_owned()).await,
        };
        let guard = acquired.map_err(|_| vm_timeout(vmid))?;
        if let Some(task) = task {
            task.log(" OK");
        }
        Ok(guard)
    }

    /// Shared use of a stopped clone source.
    pub(crate) async fn vm_shared(
        &self,
        clock: &Clock,
        vmid: u32,
        wait: Duration,
    ) -> Result<OwnedRwLockReadGuard<()>, String> {
        let lock = self.named(format!("vm-{vmid}"));
        tokio::time::timeout(
            clock.scaled(wait).max(Duration::from_millis(50)),
            lock.read_owned(),
        )
        .await
        .map_err(|_| vm_timeout(vmid))
    }

    /// Allocation on a storage; shared storages are locked for the whole cluster.
    pub(crate) async fn storage(
        &self,
        clock: &Clock,
        node: &str,
        storage: &str,
        is_shared: bool,
    ) -> Result<OwnedRwLockWriteGuard<()>, String> {
        let scope = if is_shared { "" } else { node };
        let lock = self.named(format!("storage-{scope}-{storage}"));
        tokio::time::timeout(
            clock.scaled(STORAGE_WAIT).max(Duration::from_millis(50)),
            lock.write_owned(),
        )
        .await
        .map_err(|_| {
            if is_shared {
                format!("cfs-lock 'storage-{storage}' error: got lock request timeout")
            } else {
                format!(
                    "can't lock file '/var/lock/pve-manager/pve-storage-{storage}' - got timeout"
                )
            }
        })
    }

    /// One backup job per node at a time.
    pub(crate) fn vzdump(&self, node: &str) -> Arc<RwLock<()>> {
        self.named(format!("vzdump-{node}"))
    }
}
