//! Projects: whose servers are whose, and how much of everything a project may have.

use crate::{ProjectId, ServerName, Timestamp};
use serde::{Deserialize, Serialize};

/// The project of servers whose request names none. It always exists.
pub const DEFAULT_PROJECT: &str = "default";

/// How much a project may have; `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Servers.
    pub servers: Option<u64>,
    /// Virtual CPU cores, all servers together.
    pub cpu: Option<u64>,
    /// Memory in MiB, all servers together.
    pub memory_mb: Option<u64>,
    /// Disks in GiB, all servers together.
    pub disk_gb: Option<u64>,
}

/// How much a project has, servers that are not built yet included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Servers.
    pub servers: u64,
    /// Virtual CPU cores.
    pub cpu: u64,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// Disks in GiB.
    pub disk_gb: u64,
}

impl Usage {
    /// One more server of this size.
    pub fn add(&mut self, cpu: u32, memory_mb: u32, disk_gb: u32) {
        self.servers += 1;
        self.cpu += u64::from(cpu);
        self.memory_mb += u64::from(memory_mb);
        self.disk_gb += u64::from(disk_gb);
    }
}

/// A bound that a request would pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaShortage {
    /// `servers`, `cpu`, `memory` or `disk`.
    pub resource: &'static str,
    /// The bound.
    pub limit: u64,
    /// What the project has.
    pub used: u64,
    /// What was asked for on top.
    pub wanted: u64,
}

impl Quota {
    /// Every bound that `used` and `more` together pass.
    #[must_use]
    pub fn shortages(&self, used: &Usage, more: &Usage) -> Vec<QuotaShortage> {
        [
            ("servers", self.servers, used.servers, more.servers),
            ("cpu", self.cpu, used.cpu, more.cpu),
            ("memory", self.memory_mb, used.memory_mb, more.memory_mb),
            ("disk", self.disk_gb, used.disk_gb, more.disk_gb),
        ]
        .into_iter()
        .filter_map(|(resource, limit, used, wanted)| {
            let limit = limit?;
            (wanted > 0 && used + wanted > limit).then_some(QuotaShortage {
                resource,
                limit,
                used,
                wanted,
            })
        })
        .collect()
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its number.
    pub id: ProjectId,
    /// Its name, unique; the same rule as for servers.
    pub name: ServerName,
    /// What it is about, for people.
    pub description: String,
    /// What it may have.
    pub quota: Quota,
    /// What it has.
    pub usage: Usage,
    /// When it was made.
    pub created_at: Timestamp,
    /// When name, description or quota changed last.
    pub updated_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_names_every_bound_that_is_passed() {
        let quota = Quota {
            servers: Some(3),
            cpu: None,
            memory_mb: Some(4096),
            disk_gb: Some(100),
        };
        let mut used = Usage::default();
        used.add(2, 2048, 40);
        let mut more = Usage::default();
        more.add(64, 2048, 60);
        assert!(quota.shortages(&used, &more).is_empty());
        more.add(1, 1, 1);
        more.add(1, 1, 1);
        let names: Vec<_> = quota
            .shortages(&used, &more)
            .into_iter()
            .map(|s| (s.resource, s.used + s.wanted - s.limit))
            .collect();
        assert_eq!(names, [("servers", 1), ("memory", 2), ("disk", 2)]);
    }

    #[test]
    fn what_is_not_asked_for_is_not_refused() {
        let quota = Quota {
            servers: Some(0),
            ..Quota::default()
        };
        let used = Usage {
            servers: 5,
            ..Usage::default()
        };
        assert!(quota.shortages(&used, &Usage::default()).is_empty());
    }
}
