//! What the process takes of its machine.

use super::text::Family;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// Whole numbers of this size are exact.
#[expect(
    clippy::cast_precision_loss,
    reason = "sizes and counts far below 2^53"
)]
pub(super) fn whole(number: u64) -> f64 {
    number as f64
}

fn files(number: Option<usize>) -> Option<f64> {
    number.and_then(|it| u64::try_from(it).ok()).map(whole)
}

/// `process_*`, as far as the operating system tells.
pub(super) fn families() -> Vec<Family> {
    let (Ok(mut system), Ok(me)) = (System::new(), sysinfo::get_current_pid()) else {
        return Vec::new();
    };
    let what = ProcessRefreshKind::nothing().with_cpu().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[me]), false, what);
    let Some(process) = system.process(me) else {
        return Vec::new();
    };
    let mut all = vec![
        Family::of(
            "process_cpu_seconds_total",
            whole(process.accumulated_cpu_time()) / 1000.0,
        ),
        Family::of("process_resident_memory_bytes", whole(process.memory())),
        Family::of(
            "process_virtual_memory_bytes",
            whole(process.virtual_memory()),
        ),
        Family::of("process_start_time_seconds", whole(process.start_time())),
    ];
    for (name, number) in [
        ("process_open_fds", files(process.open_files())),
        ("process_max_fds", files(process.open_files_limit())),
    ] {
        all.extend(number.map(|number| Family::of(name, number)));
    }
    all
}
