//! From settings to what may be asked for. The settings were validated, so what does not parse here is
//! a defect and is told as one.

use anyhow::Context;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;
use tpm_app::{BackupPolicy, DrillPolicy, Limits, NetworkDefaults, Policy, RoleProfile};
use tpm_domain::{
    BackupMode, Compression, ExporterCare, NetworkSpec, PlacementPolicy, PlacementRules,
    ServerSpec, Vmid, Ways,
};
use tpm_jobs::{ExporterSettings, Rounds, ScheduleSettings};
use tpm_provisioner_proxmox::ENGINE;
use tpm_settings::{CloneMode, NodeExporter, Role, SecondFactor, Settings};
use tpm_store::VmidRange;

pub(crate) fn vmids(settings: &Settings) -> anyhow::Result<VmidRange> {
    let vmid = |number| Vmid::new(number).with_context(|| format!("{number} is no vmid"));
    Ok(VmidRange {
        first: vmid(settings.proxmox.vmid_first)?,
        last: vmid(settings.proxmox.vmid_last)?,
        quarantine: DAY * settings.proxmox.vmid_quarantine_days,
    })
}

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);

/// A role's templates, the preferred one first.
pub(crate) fn templates(role: &Role) -> Vec<Vmid> {
    let mut all = vec![Vmid(role.template)];
    for more in role.templates.iter().copied().map(Vmid) {
        if !all.contains(&more) {
            all.push(more);
        }
    }
    all
}

/// How servers are placed, by engine.
pub(crate) fn placement(settings: &Settings) -> BTreeMap<String, PlacementPolicy> {
    let proxmox = &settings.proxmox;
    if proxmox.endpoints.is_empty() {
        return BTreeMap::new();
    }
    let roles = settings.roles.iter();
    let policy = PlacementPolicy {
        rules: PlacementRules {
            cpu_percent: proxmox.cpu_overcommit_percent,
            memory_percent: proxmox.memory_overcommit_percent,
            storage_percent: match proxmox.clone_mode {
                CloneMode::Full => 100,
                CloneMode::Linked => proxmox.storage_overcommit_percent,
            },
            storage_reserve_percent: proxmox.storage_reserve_percent,
        },
        full_clone: proxmox.clone_mode == CloneMode::Full,
        storage: (!proxmox.storage.is_empty()).then(|| proxmox.storage.clone()),
        templates: roles
            .map(|(name, role)| (name.clone(), templates(role)))
            .collect(),
    };
    BTreeMap::from([
        (ENGINE.to_owned(), policy.clone()),
        (tpm_provisioner_terraform::ENGINE.to_owned(), policy),
    ])
}

/// What is looked at and cleared up from time to time.
pub(crate) fn rounds(settings: &Settings) -> Rounds {
    let (worker, limits) = (&settings.worker, &settings.limits);
    let hours = |n: u64| HOUR * u32::try_from(n).unwrap_or(u32::MAX);
    Rounds {
        look: Duration::from_millis(worker.look_ms),
        sweep: Duration::from_millis(worker.sweep_ms),
        archives: Duration::from_millis(settings.backups.look_ms),
        orphan_after: Duration::from_millis(worker.orphan_ms),
        warn_before: hours(limits.expiry_warning_hours),
        delete_after: hours(limits.expiry_grace_hours),
        remember: hours(limits.idempotency_hours),
    }
}

/// What is done about exporters on servers.
pub(crate) fn exporters(settings: &Settings) -> ExporterSettings {
    let care = |wished| match wished {
        NodeExporter::Off => None,
        NodeExporter::Check => Some(ExporterCare::Check),
        NodeExporter::Install => Some(ExporterCare::Install),
    };
    let roles = settings.roles.iter();
    let roles = roles.filter_map(|(name, role)| Some((name.clone(), care(role.node_exporter)?)));
    ExporterSettings {
        care: roles.collect(),
        port: settings.monitoring.exporter_port,
    }
}

fn canonical(tags: &[String]) -> Vec<String> {
    ServerSpec::canonical_tags(tags.iter().map(String::as_str))
}

/// What schedules are followed by.
pub(crate) fn schedules(settings: &Settings) -> ScheduleSettings {
    let tags = settings.roles.iter();
    ScheduleSettings {
        ways: Ways {
            per_node: settings.backups.max_per_node,
            per_storage: settings.backups.max_per_storage,
        },
        role_tags: tags
            .map(|(name, role)| (name.clone(), canonical(&role.tags)))
            .collect(),
        drill: drill(settings),
    }
}

fn spread(spread: tpm_settings::Spread) -> tpm_domain::Spread {
    match spread {
        tpm_settings::Spread::Preferred => tpm_domain::Spread::Preferred,
        tpm_settings::Spread::Required => tpm_domain::Spread::Required,
        tpm_settings::Spread::Off => tpm_domain::Spread::Off,
    }
}

/// The network that a new database begins with; `None` for DHCP.
pub(crate) fn default_network(settings: &Settings) -> anyhow::Result<Option<NetworkSpec>> {
    let network = &settings.network;
    if network.pool.is_empty() {
        return Ok(None);
    }
    let dns = network.dns.iter().filter_map(|ip| ip.parse().ok());
    Ok(Some(NetworkSpec {
        range: network.pool.parse().context("network.pool")?,
        prefix: network.prefix,
        gateway: gateway(&network.gateway)?,
        dns: dns.collect(),
        bridge: network.bridge.clone(),
        vlan: (network.vlan > 0).then_some(network.vlan),
        exclusions: Vec::new(),
    }))
}

pub(crate) fn policy(settings: &Settings, engines: Vec<String>) -> anyhow::Result<Policy> {
    let network = &settings.network;
    let limits = &settings.limits;
    let roles = settings.roles.iter().map(|(name, role)| {
        (
            name.clone(),
            RoleProfile {
                min_disk_gb: role.min_disk_gb,
                tags: canonical(&role.tags),
                spread: spread(role.spread),
            },
        )
    });
    Ok(Policy {
        second_factor: settings.auth.second_factor == SecondFactor::Required,
        roles: roles.collect(),
        default_engine: settings.engine.clone(),
        engines,
        vmids: vmids(settings)?,
        network: NetworkDefaults {
            bridge: network.bridge.clone(),
            vlan: (network.vlan > 0).then_some(network.vlan),
        },
        placement: placement(settings),
        backup: backup(settings),
        limits: Limits {
            max_cpu: limits.max_cpu,
            min_memory_mb: limits.min_memory_mb,
            max_memory_mb: limits.max_memory_mb,
            max_disk_gb: limits.max_disk_gb,
            max_bulk: limits.max_bulk,
            max_nics: limits.max_nics,
        },
    })
}

fn drill(settings: &Settings) -> DrillPolicy {
    DrillPolicy {
        network: settings.backups.drill_network.clone(),
        engine: ENGINE.to_owned(),
    }
}

fn backup(settings: &Settings) -> BackupPolicy {
    let backups = &settings.backups;
    BackupPolicy {
        storage: backups.storage.clone(),
        mode: match backups.mode {
            tpm_settings::BackupMode::Snapshot => BackupMode::Snapshot,
            tpm_settings::BackupMode::Suspend => BackupMode::Suspend,
            tpm_settings::BackupMode::Stop => BackupMode::Stop,
        },
        compression: match backups.compress {
            tpm_settings::Compression::Zstd => Compression::Zstd,
            tpm_settings::Compression::Gzip => Compression::Gzip,
            tpm_settings::Compression::Lzo => Compression::Lzo,
            tpm_settings::Compression::None => Compression::Plain,
        },
        safety: backups.safety,
        drill: drill(settings),
    }
}

fn gateway(text: &str) -> anyhow::Result<Option<Ipv4Addr>> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).context("network.gateway")
}
