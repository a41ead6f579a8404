//! The installation's figures as families. Every kind and state is told of, also when there is none.

use super::process::whole;
use super::text::Family;
use std::time::Duration;
use tpm_app::Figures;
use tpm_domain::{TaskKind, TaskState};

pub(super) fn families(figures: &Figures) -> Vec<Family> {
    let mut all = vec![
        tasks(figures),
        oldest(figures),
        Family::of("tpm_vmids_free", whole(figures.supplies.vmids_free)),
    ];
    let mut free = Family::new("tpm_network_addresses_free");
    for (name, addresses) in &figures.networks {
        free.sample(&[("network", name)], whole(*addresses));
    }
    let mut alive = Family::new("tpm_processes_alive");
    for (kind, processes) in &figures.alive {
        alive.sample(&[("kind", kind)], whole(*processes));
    }
    all.extend([free, alive]);
    if let Some(age) = figures.supplies.picture_age {
        let name = "tpm_cluster_picture_age_seconds";
        all.push(Family::of(name, age.as_secs_f64()));
    }
    all
}

fn tasks(figures: &Figures) -> Family {
    let mut family = Family::new("tpm_tasks");
    for kind in TaskKind::ALL {
        for state in TaskState::ALL {
            if state == TaskState::Partial && !kind.is_bulk() {
                continue;
            }
            let mut of_it = figures.tasks.iter();
            let count = of_it
                .find(|one| one.kind == kind && one.state == state)
                .map_or(0, |one| one.count);
            let labels = [("kind", kind.as_str()), ("state", state.as_str())];
            family.sample(&labels, whole(count));
        }
    }
    family
}

fn oldest(figures: &Figures) -> Family {
    let mut family = Family::new("tpm_task_oldest_age_seconds");
    for state in TaskState::ALL.into_iter().filter(|it| !it.is_final()) {
        let of_it = figures.tasks.iter().filter(|one| one.state == state);
        let oldest = of_it.map(|one| one.oldest).max();
        let age = oldest.unwrap_or(Duration::ZERO).as_secs_f64();
        family.sample(&[("state", state.as_str())], age);
    }
    family
}
