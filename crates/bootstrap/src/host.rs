//! How much of the machine is in use.

use async_trait::async_trait;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use sysinfo::{Disks, MINIMUM_CPU_UPDATE_INTERVAL, System};
use tpm_app::{HostResources, HostUse};

/// Measured when asked. The CPU's figure is over the time since it was asked last, or since the start.
pub(crate) struct Machine {
    state: Arc<Mutex<State>>,
    data_dir: PathBuf,
}

struct State {
    /// `None` where the operating system shows nothing.
    system: Option<System>,
    seen: Option<std::time::Instant>,
    last_cpu: Option<f64>,
}

impl Machine {
    pub(crate) fn new(data_dir: PathBuf) -> Self {
        let state = State {
            system: System::new().ok(),
            seen: None,
            last_cpu: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            data_dir,
        }
    }
}

fn percent(used: u64, total: u64) -> Option<f64> {
    // Both are far below 2^53.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a percentage of sizes that are shown to one digit"
    )]
    (total > 0).then(|| used as f64 * 100.0 / total as f64)
}

fn measure(state: &mut State, data_dir: &Path) -> HostUse {
    let mut found = HostUse {
        disk: disk_use(data_dir),
        ..HostUse::default()
    };
    let Some(system) = &mut state.system else {
        return found;
    };
    system.refresh_memory();
    found.memory = percent(system.used_memory(), system.total_memory());
    if state
        .seen
        .is_none_or(|seen| seen.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL)
    {
        system.refresh_cpu_usage();
        if state.seen.is_some() {
            state.last_cpu = Some(f64::from(system.global_cpu_usage()));
        }
        state.seen = Some(std::time::Instant::now());
    }
    found.cpu = state.last_cpu;
    found
}

/// Of the disk that `data_dir` lies on.
fn disk_use(data_dir: &Path) -> Option<f64> {
    let path = data_dir.canonicalize().ok()?;
    let disks = Disks::new_with_refreshed_list().ok()?;
    let under = disks
        .iter()
        .filter(|disk| path.starts_with(disk.mount_point()));
    let disk = under.max_by_key(|disk| disk.mount_point().components().count())?;
    percent(
        disk.total_space().checked_sub(disk.available_space())?,
        disk.total_space(),
    )
}

#[async_trait]
impl HostResources for Machine {
    async fn measure(&self) -> HostUse {
        let (state, data_dir) = (Arc::clone(&self.state), self.data_dir.clone());
        let measured = tokio::task::spawn_blocking(move || {
            measure(
                &mut state.lock().unwrap_or_else(PoisonError::into_inner),
                &data_dir,
            )
        });
        measured.await.unwrap_or_default()
    }
}
