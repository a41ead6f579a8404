//! On which node a new server goes, and why: a pure function of what was seen and what is reserved.

use crate::{ClusterPicture, NodeName, NodeView, ServerSpec, TemplateView, Vmid};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How much of a node may be promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacementRules {
    /// Cores that may be promised, in percent of a node's logical processors.
    pub cpu_percent: u32,
    /// Memory that may be promised, in percent of a node's memory.
    pub memory_percent: u32,
    /// Disks that may be promised, in percent of a storage's size without its reserve: more than 100 where
    /// disks take room only as they are written.
    pub storage_percent: u32,
    /// Share of a storage, in percent, that is never promised.
    pub storage_reserve_percent: u32,
}

/// Whether servers of one role keep away from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// The node with the fewest servers of the role is preferred.
    #[default]
    Preferred,
    /// A node that has a server of the role already is out of the question.
    Required,
    /// It does not matter.
    Off,
}

impl Spread {
    /// Every kind, in the order above.
    pub const ALL: [Self; 3] = [Self::Preferred, Self::Required, Self::Off];

    /// The word on the wire and in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preferred => "preferred",
            Self::Required => "required",
            Self::Off => "off",
        }
    }
}

/// What a person wants of the place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementWish {
    /// This node and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// Not these.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exclude: BTreeSet<NodeName>,
    /// This storage and no other; a linked clone lies where its template does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Away from others of the role.
    #[serde(default)]
    pub spread: Spread,
}

/// How servers of an engine are placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementPolicy {
    /// How much may be promised.
    pub rules: PlacementRules,
    /// Whether disks are copied, and may then go to another storage than the template's.
    pub full_clone: bool,
    /// The storage for copies; the template's when `None`.
    pub storage: Option<String>,
    /// The templates of each role, the preferred one first.
    pub templates: BTreeMap<String, Vec<Vmid>>,
}

impl PlacementPolicy {
    /// Chooses a node for a server, as [`place`] does.
    ///
    /// # Errors
    /// Why each node could not take it.
    pub fn place(
        &self,
        picture: &ClusterPicture,
        promised: &mut Promised,
        spec: &ServerSpec,
        wish: &PlacementWish,
    ) -> Result<Placement, Vec<(NodeName, Unfit)>> {
        let ask = PlacementAsk {
            role: &spec.role,
            cpu: spec.cpu,
            memory_mb: spec.memory_mb,
            disk_gb: spec.disk_gb,
            templates: self
                .templates
                .get(&spec.role)
                .map(Vec::as_slice)
                .unwrap_or_default(),
            full_clone: self.full_clone,
            storage: self.storage.as_deref(),
            wish,
        };
        place(picture, &self.rules, promised, &ask)
    }
}

/// A server that needs a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementAsk<'a> {
    /// Its role.
    pub role: &'a str,
    /// Cores.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Disk in GiB.
    pub disk_gb: u32,
    /// The templates it may be made of, the preferred one first.
    pub templates: &'a [Vmid],
    /// Whether disks are copied, and may then go to another storage than the template's.
    pub full_clone: bool,
    /// The storage for copies; the template's when `None`.
    pub storage: Option<&'a str>,
    /// What the person wants.
    pub wish: &'a PlacementWish,
}

/// What is promised already, on top of what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Promised {
    /// Cores and MiB of our servers, by node.
    pub nodes: BTreeMap<NodeName, (u64, u64)>,
    /// GiB of our servers that are not built yet, by node and storage; a shared storage stands under
    /// every node.
    pub storages: BTreeMap<(NodeName, String), u64>,
    /// Servers of a role, by node.
    pub roles: BTreeMap<(NodeName, String), u32>,
}

/// The place a server was given, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The node it goes to.
    pub node: NodeName,
    /// The template it is made of.
    pub template: Vmid,
    /// The node of the template.
    pub template_node: NodeName,
    /// The storage of its disks.
    pub storage: String,
    /// What the person wanted, for choosing again.
    #[serde(default)]
    pub wish: PlacementWish,
    /// Why this node.
    pub reason: PlacementReason,
}

/// The figures that decided, as they were at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementReason {
    /// Nodes that could have taken it, this one included.
    pub candidates: u32,
    /// Whether the person named the node.
    pub pinned: bool,
    /// Servers of the same role on the node before it.
    pub same_role: u32,
    /// Memory in MiB that may still be promised on the node, before it.
    pub free_memory_mb: u64,
    /// Cores that may still be promised on the node, before it.
    pub free_cpu: u64,
    /// GiB that may still be promised on the storage, before it.
    pub free_disk_gb: u64,
    /// The node that was given first and lost, when this is a second choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<NodeName>,
}

/// Why a node could not take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not online.
    Offline,
    /// The person does not want it.
    Unwanted,
    /// No template can be cloned to it.
    NoTemplate,
    /// The storage is not there, or full.
    Storage {
        /// GiB that are missing.
        missing_gb: u64,
    },
    /// Too little memory.
    Memory {
        /// MiB that are missing.
        missing_mb: u64,
    },
    /// Too few cores.
    Cpu {
        /// Cores that are missing.
        missing: u64,
    },
    /// A server of the role is there already.
    SameRole,
}

impl Unfit {
    /// The reason's word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Unwanted => "excluded",
            Self::NoTemplate => "no_template",
            Self::Storage { .. } => "storage",
            Self::Memory { .. } => "memory",
            Self::Cpu { .. } => "cpu",
            Self::SameRole => "same_role",
        }
    }

    /// How much is missing: MiB, GiB or cores.
    #[must_use]
    pub fn missing(&self) -> Option<u64> {
        match self {
            Self::Storage { missing_gb: n }
            | Self::Memory { missing_mb: n }
            | Self::Cpu { missing: n } => Some(*n),
            Self::Offline | Self::Unwanted | Self::NoTemplate | Self::SameRole => None,
        }
    }
}

/// Cores and MiB that may still be promised on a node.
#[must_use]
pub fn free_on(node: &NodeView, rules: &PlacementRules, promised: &Promised) -> (u64, u64) {
    let (cpu, memory) = promised.nodes.get(&node.name).copied().unwrap_or_default();
    let (cpu_limit, memory_limit) = limits_of(node, rules);
    (
        cpu_limit.saturating_sub(cpu),
        memory_limit.saturating_sub(memory),
    )
}

/// Cores and MiB that may be promised to our servers on a node, before any is.
#[must_use]
pub fn limits_of(node: &NodeView, rules: &PlacementRules) -> (u64, u64) {
    let cpu = u64::from(node.cpus) * u64::from(rules.cpu_percent) / 100;
    let memory = node.memory_mb.saturating_mul(rules.memory_percent.into()) / 100;
    (
        cpu.saturating_sub(node.foreign_cpu),
        memory.saturating_sub(node.foreign_memory_mb),
    )
}

/// A place that would do.
struct Fit<'p> {
    node: &'p NodeView,
    template: &'p TemplateView,
    storage: String,
    same_role: u32,
    free: (u64, u64),
    free_disk_gb: u64,
}

/// Chooses a node: of those that are online, wanted, and have room, the one with the fewest servers of
/// the role, then the one that has the largest share of its memory free. The place is added to
/// `promised`, so that a list of servers can be placed one after the other.
///
/// # Errors
/// Why each node could not take it, by name; empty when no node is known.
pub fn place(
    picture: &ClusterPicture,
    rules: &PlacementRules,
    promised: &mut Promised,
    ask: &PlacementAsk<'_>,
) -> Result<Placement, Vec<(NodeName, Unfit)>> {
    let mut fits = Vec::new();
    let mut unfit = Vec::new();
    for node in &picture.nodes {
        match fit(picture, rules, promised, ask, node) {
            Ok(fit) => fits.push(fit),
            Err(why) => unfit.push((node.name.clone(), why)),
        }
    }
    let candidates = u32::try_from(fits.len()).unwrap_or(u32::MAX);
    // Shares in thousandths, so that two nodes that are nearly alike are alike.
    let share_free = |fit: &Fit<'_>| {
        let after = fit.free.1.saturating_sub(ask.memory_mb.into());
        after * 1000 / fit.node.memory_mb.max(1)
    };
    let role_weight = |fit: &Fit<'_>| match ask.wish.spread {
        Spread::Off => 0,
        Spread::Preferred | Spread::Required => fit.same_role,
    };
    let best = fits.into_iter().min_by_key(|fit| {
        (
            role_weight(fit),
            u64::MAX - share_free(fit),
            fit.node.name.clone(),
        )
    });
    let Some(best) = best else { return Err(unfit) };
    let placement = Placement {
        node: best.node.name.clone(),
        template: best.template.vmid,
        template_node: best.template.node.clone(),
        storage: best.storage,
        wish: ask.wish.clone(),
        reason: PlacementReason {
            candidates,
            pinned: ask.wish.node.is_some(),
            same_role: best.same_role,
            free_memory_mb: best.free.1,
            free_cpu: best.free.0,
            free_disk_gb: best.free_disk_gb,
            instead_of: None,
        },
    };
    promise(picture, promised, ask, &placement);
    Ok(placement)
}

/// Notes what a placed server takes.
fn promise(
    picture: &ClusterPicture,
    promised: &mut Promised,
    ask: &PlacementAsk<'_>,
    placement: &Placement,
) {
    let held = promised.nodes.entry(placement.node.clone()).or_default();
    held.0 += u64::from(ask.cpu);
    held.1 += u64::from(ask.memory_mb);
    promised.add_disk(picture, &placement.node, &placement.storage, ask.disk_gb);
    *promised
        .roles
        .entry((placement.node.clone(), ask.role.to_owned()))
        .or_default() += 1;
}

impl Promised {
    /// Notes the disk of a server that is not built yet; of a shared storage under every node.
    pub fn add_disk(
        &mut self,
        picture: &ClusterPicture,
        node: &NodeName,
        storage: &str,
        disk_gb: u32,
    ) {
        let shared = picture
            .storages
            .iter()
            .any(|s| s.name == storage && s.node == *node && s.shared);
        let nodes = picture
            .storages
            .iter()
            .filter(|s| s.name == storage && (shared || s.node == *node))
            .map(|s| s.node.clone());
        for node in nodes {
            *self.storages.entry((node, storage.to_owned())).or_default() += u64::from(disk_gb);
        }
    }
}

fn fit<'p>(
    picture: &'p ClusterPicture,
    rules: &PlacementRules,
    promised: &Promised,
    ask: &PlacementAsk<'_>,
    node: &'p NodeView,
) -> Result<Fit<'p>, Unfit> {
    let wish = ask.wish;
    if wish.node.as_ref().is_some_and(|pin| *pin != node.name) || wish.exclude.contains(&node.name)
    {
        return Err(Unfit::Unwanted);
    }
    if !node.online {
        return Err(Unfit::Offline);
    }
    let same_role = promised
        .roles
        .get(&(node.name.clone(), ask.role.to_owned()))
        .copied()
        .unwrap_or(0);
    if wish.spread == Spread::Required && same_role > 0 {
        return Err(Unfit::SameRole);
    }
    let (template, storage) = source(picture, ask, node).ok_or(Unfit::NoTemplate)?;
    let free_disk_gb = free_disk(picture, rules, promised, node, &storage)
        .ok_or(Unfit::Storage { missing_gb: 0 })?;
    let short = |wanted: u64, free: u64| wanted.checked_sub(free).filter(|n| *n > 0);
    if let Some(missing_gb) = short(ask.disk_gb.into(), free_disk_gb) {
        return Err(Unfit::Storage { missing_gb });
    }
    let free = free_on(node, rules, promised);
    if let Some(missing_mb) = short(ask.memory_mb.into(), free.1) {
        return Err(Unfit::Memory { missing_mb });
    }
    if let Some(missing) = short(ask.cpu.into(), free.0) {
        return Err(Unfit::Cpu { missing });
    }
    Ok(Fit {
        node,
        template,
        storage,
        same_role,
        free,
        free_disk_gb,
    })
}

/// The template that can be cloned to a node, and the storage its copy would lie on. Proxmox VE clones
/// to another node only what lies on shared storage. A template of the node itself comes first.
fn source<'p>(
    picture: &'p ClusterPicture,
    ask: &PlacementAsk<'_>,
    node: &NodeView,
) -> Option<(&'p TemplateView, String)> {
    let usable = |name: &str| {
        picture
            .storages
            .iter()
            .find(|s| s.node == node.name && s.name == name && s.usable)
    };
    let online = |name: &NodeName| picture.nodes.iter().any(|n| n.name == *name && n.online);
    let wanted = ask.wish.storage.as_deref();
    let mut found: Vec<_> = ask
        .templates
        .iter()
        .filter_map(|vmid| picture.templates.iter().find(|t| t.vmid == *vmid))
        .filter(|template| online(&template.node))
        .filter_map(|template| {
            let own = template.node == node.name;
            if !own && !usable(&template.storage)?.shared {
                return None;
            }
            let storage = if ask.full_clone {
                wanted.or(ask.storage).unwrap_or(&template.storage)
            } else {
                &template.storage
            };
            usable(storage)?;
            let fits = wanted.is_none_or(|wanted| wanted == storage);
            fits.then(|| (own, template, storage.to_owned()))
        })
        .collect();
    found.sort_by_key(|(own, _, _)| !own);
    found
        .into_iter()
        .next()
        .map(|(_, template, storage)| (template, storage))
}

/// GiB that may still be promised on a storage.
fn free_disk(
    picture: &ClusterPicture,
    rules: &PlacementRules,
    promised: &Promised,
    node: &NodeView,
    storage: &str,
) -> Option<u64> {
    let view = picture
        .storages
        .iter()
        .find(|s| s.node == node.name && s.name == storage)?;
    let keep = view.total_gb * u64::from(rules.storage_reserve_percent.min(100)) / 100;
    let promised = promised
        .storages
        .get(&(node.name.clone(), storage.to_owned()))
        .copied()
        .unwrap_or(0);
    let left = view
        .total_gb
        .saturating_sub(keep)
        .saturating_sub(view.used_gb);
    let may = left.saturating_mul(rules.storage_percent.into()) / 100;
    Some(may.saturating_sub(promised))
}

/// Whether a server where it is can have so much more.
///
/// # Errors
/// What is short on its node.
pub fn room_to_grow(
    picture: &ClusterPicture,
    rules: &PlacementRules,
    promised: &Promised,
    place: (&NodeName, Option<&str>),
    more: (u64, u64, u64),
) -> Result<(), Unfit> {
    let (node, storage) = place;
    let (cpu, memory_mb, disk_gb) = more;
    let Some(view) = picture.nodes.iter().find(|view| view.name == *node) else {
        return Err(Unfit::Offline);
    };
    let short = |wanted: u64, free: u64| wanted.checked_sub(free).filter(|n| *n > 0);
    if disk_gb > 0
        && let Some(storage) = storage
    {
        let free = free_disk(picture, rules, promised, view, storage).unwrap_or(0);
        if let Some(missing_gb) = short(disk_gb, free) {
            return Err(Unfit::Storage { missing_gb });
        }
    }
    let (free_cpu, free_memory) = free_on(view, rules, promised);
    if let Some(missing_mb) = short(memory_mb, free_memory) {
        return Err(Unfit::Memory { missing_mb });
    }
    match short(cpu, free_cpu) {
        Some(missing) => Err(Unfit::Cpu { missing }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
