//! A request for servers before it is believed: every field may be missing or wrong, and everything
//! that is wrong is gathered.

use crate::policy::Policy;
use std::net::Ipv4Addr;
use tpm_domain::{
    AddressPlan, AddressPool, Expiry, FieldErrors, Ipv4Range, NodeName, OnExpiry, PlacementWish,
    Reason, ServerName, ServerSpec, Spread, StaticAddress, Timestamp, in_subnet,
};

/// What was asked of one network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkDraft {
    /// One address, or `dhcp`.
    pub ip_address: Option<String>,
    /// `FIRST-LAST`, both included.
    pub ip_range: Option<String>,
    /// Length of the prefix.
    pub subnet: Option<i64>,
    /// The way out.
    pub gateway: Option<String>,
    /// The bridge.
    pub bridge: Option<String>,
    /// VLAN tag.
    pub vlan: Option<i64>,
    /// Name of a network whose addresses are handed out.
    pub network: Option<String>,
}

/// Where a server is wished to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementDraft {
    /// This node and no other.
    pub node: Option<String>,
    /// Not these nodes.
    pub exclude: Vec<String>,
    /// This storage and no other.
    pub storage: Option<String>,
    /// Away from others of the role; the role's own rule when not said.
    pub spread: Option<Spread>,
}

/// When a server's time is to be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpiryDraft {
    /// The moment.
    pub at: Option<Timestamp>,
    /// What happens then.
    pub action: Option<OnExpiry>,
}

/// What was asked of one server. `None` where the request said nothing, or something that was already
/// found wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerDraft {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub role: Option<String>,
    /// CPU cores.
    pub cpu: Option<i64>,
    /// Memory in MiB.
    pub memory: Option<i64>,
    /// Disk in GiB.
    pub disk_size: Option<i64>,
    /// Which engine makes it.
    pub engine: Option<String>,
    /// Its tags; the role's when not said.
    pub tags: Option<Vec<String>>,
    /// What people say about it.
    pub description: Option<String>,
    /// Its interfaces; `None` when it has none of its own.
    pub network: Option<Vec<NetworkDraft>>,
    /// Name of the project it belongs to.
    pub project: Option<String>,
    /// Where it is wished to be.
    pub placement: PlacementDraft,
    /// When its time is to be over.
    pub expiry: ExpiryDraft,
}

/// The network of a bulk, for its servers that have none of their own.
pub type SharedNetwork = Option<Vec<NetworkDraft>>;

/// Where an interface's address comes from, before it is known what networks there are.
#[derive(Clone, Debug)]
pub(crate) enum AddressWish {
    /// As the request says.
    Plan(AddressPlan),
    /// From the network of that name; this address of it, when one was given.
    Named { name: String, ip: Option<Ipv4Addr> },
    /// From the default network; DHCP when there is none.
    Default,
}

/// One interface, understood.
#[derive(Clone, Debug)]
pub(crate) struct NicPlan {
    pub(crate) address: AddressWish,
    /// `None`: the network's, else that of the settings.
    pub(crate) bridge: Option<String>,
    /// `None`: the network's, else that of the settings.
    pub(crate) vlan: Option<u16>,
    /// Where it stood in the request, for what is found wrong later.
    pub(crate) field: String,
}

/// One server, understood.
#[derive(Clone, Debug)]
pub(crate) struct ServerPlan {
    pub(crate) name: ServerName,
    pub(crate) role: String,
    pub(crate) cpu: u32,
    pub(crate) memory_mb: u32,
    pub(crate) disk_gb: u32,
    pub(crate) engine: String,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) description: Option<String>,
    pub(crate) nics: Vec<NicPlan>,
    /// `None`: the default one.
    pub(crate) project: Option<ServerName>,
    pub(crate) wish: PlacementWish,
    pub(crate) expiry: Expiry,
    /// The path of its fields, for what is found wrong later.
    pub(crate) at: String,
}

fn bounded(
    value: Option<i64>,
    min: u32,
    max: u32,
    field: &str,
    errors: &mut FieldErrors,
) -> Option<u32> {
    let value = value?;
    match u32::try_from(value) {
        Ok(number) if (min..=max).contains(&number) => Some(number),
        _ => {
            errors.add(
                field,
                Reason::Range {
                    min: min.into(),
                    max: max.into(),
                },
            );
            None
        }
    }
}

/// Tags as they are kept; every wrong one is told.
pub(crate) fn labels(
    tags: Option<&[String]>,
    at: &str,
    errors: &mut FieldErrors,
) -> Option<Vec<String>> {
    let tags = tags?;
    let max = ServerSpec::MOST_TAGS;
    if tags.len() > max {
        errors.add(format!("{at}tags"), Reason::Count { min: 0, max });
    }
    for (n, tag) in tags.iter().enumerate().take(max) {
        if !ServerSpec::is_tag(tag) {
            let expected = "tag";
            errors.add(format!("{at}tags[{n}]"), Reason::Type { expected });
        }
    }
    let tags = tags.iter().map(String::as_str);
    Some(ServerSpec::canonical_tags(tags))
}

/// A description as it is kept: lines of text, without control characters.
pub(crate) fn described(text: Option<&str>, at: &str, errors: &mut FieldErrors) -> Option<String> {
    let text = text?.replace("\r\n", "\n");
    let max = ServerSpec::LONGEST_DESCRIPTION;
    if text.chars().count() > max {
        errors.add(format!("{at}description"), Reason::TooLong { max });
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        let expected = "text without control characters";
        errors.add(format!("{at}description"), Reason::Type { expected });
    }
    Some(text.trim_end().to_owned())
}

impl ServerDraft {
    /// Understands the draft; `at` is the path of its fields, ending in a dot or empty. `None` when
    /// something was wrong: it stands in `errors` then, or did before.
    pub(crate) fn understand(
        &self,
        at: &str,
        shared: Option<(&str, &[NicPlan])>,
        policy: &Policy,
        now: Timestamp,
        errors: &mut FieldErrors,
    ) -> Option<ServerPlan> {
        let name = self.name.as_deref().and_then(|text| {
            let name = ServerName::new(text);
            if name.is_none() {
                errors.add(format!("{at}name"), Reason::ServerName);
            }
            name
        });
        let role = self.role.as_deref().and_then(|role| {
            if policy.roles.contains_key(role) {
                return Some(role.to_owned());
            }
            let allowed = policy.roles.keys().cloned().collect();
            errors.add(format!("{at}role"), Reason::OneOf { allowed });
            None
        });
        let limits = &policy.limits;
        let cpu = bounded(self.cpu, 1, limits.max_cpu, &format!("{at}cpu"), errors);
        let memory_mb = bounded(
            self.memory,
            limits.min_memory_mb,
            limits.max_memory_mb,
            &format!("{at}memory"),
            errors,
        );
        let least_disk = role
            .as_ref()
            .map_or(1, |role| policy.roles[role].min_disk_gb.max(1));
        let disk_gb = bounded(
            self.disk_size,
            least_disk,
            limits.max_disk_gb,
            &format!("{at}disk_size"),
            errors,
        );
        let engine = match &self.engine {
            None => Some(policy.default_engine.clone()),
            Some(engine) if policy.engines.contains(engine) => Some(engine.clone()),
            Some(_) => {
                errors.add(
                    format!("{at}engine"),
                    Reason::OneOf {
                        allowed: policy.engines.clone(),
                    },
                );
                None
            }
        };
        let tags = labels(self.tags.as_deref(), at, errors);
        let description = described(self.description.as_deref(), at, errors);
        let nics = match (&self.network, shared) {
            (Some(own), _) => understand_nics(own, &format!("{at}network_config"), policy, errors),
            (None, Some((_, nics))) => Some(nics.to_vec()),
            (None, None) => Some(vec![default_nic()]),
        };
        let project = self.project.as_deref().map(|text| {
            let name = ServerName::new(text);
            if name.is_none() {
                errors.add(format!("{at}project"), Reason::NoSuch);
            }
            name
        });
        let expiry = self.expiry.understand(at, now, errors);
        let spread = role
            .as_ref()
            .map(|role| policy.roles[role].spread)
            .unwrap_or_default();
        let wish = PlacementWish {
            node: self.placement.node.clone().map(NodeName),
            exclude: self
                .placement
                .exclude
                .iter()
                .cloned()
                .map(NodeName)
                .collect(),
            storage: self.placement.storage.clone(),
            spread: self.placement.spread.unwrap_or(spread),
        };
        Some(ServerPlan {
            name: name?,
            role: role?,
            cpu: cpu?,
            memory_mb: memory_mb?,
            disk_gb: disk_gb?,
            engine: engine?,
            tags,
            description,
            nics: nics?,
            project: match project {
                Some(name) => Some(name?),
                None => None,
            },
            wish,
            expiry: expiry?,
            at: at.to_owned(),
        })
    }
}

impl ExpiryDraft {
    /// `None` when something was wrong.
    pub(crate) fn understand(
        &self,
        at: &str,
        now: Timestamp,
        errors: &mut FieldErrors,
    ) -> Option<Expiry> {
        if self.at.is_some_and(|moment| moment <= now) {
            errors.add(format!("{at}expires_at"), Reason::Past);
            return None;
        }
        if self.action.is_some() && self.at.is_none() {
            let other = "on_expiry";
            errors.add(format!("{at}expires_at"), Reason::Needs { other });
            return None;
        }
        Some(Expiry {
            at: self.at,
            action: self.action.unwrap_or_default(),
            ..Expiry::default()
        })
    }
}

fn default_nic() -> NicPlan {
    NicPlan {
        address: AddressWish::Default,
        bridge: None,
        vlan: None,
        field: "network_config".into(),
    }
}

/// What is wrong with a bridge's name. Linux interface names have at most 15 characters.
pub(crate) fn bridge_fault(bridge: &str) -> Option<Reason> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if bridge.is_empty() || !bridge.chars().all(plain) {
        let expected = "bridge name";
        Some(Reason::Type { expected })
    } else if bridge.chars().count() > 15 {
        Some(Reason::TooLong { max: 15 })
    } else {
        None
    }
}

/// Understands a list of interfaces. A list of one is named without an index, as in the request.
pub(crate) fn understand_nics(
    drafts: &[NetworkDraft],
    field: &str,
    policy: &Policy,
    errors: &mut FieldErrors,
) -> Option<Vec<NicPlan>> {
    let max = policy.limits.max_nics;
    if drafts.is_empty() || drafts.len() > max {
        errors.add(field, Reason::Count { min: 1, max });
        return None;
    }
    let one = drafts.len() == 1;
    let plans: Vec<_> = drafts
        .iter()
        .enumerate()
        .map(|(index, draft)| {
            let field = if one {
                field.to_owned()
            } else {
                format!("{field}[{index}]")
            };
            draft.understand(&field, errors)
        })
        .collect();
    plans.into_iter().collect()
}

impl NetworkDraft {
    fn understand(&self, field: &str, errors: &mut FieldErrors) -> Option<NicPlan> {
        let mut sound = true;
        let mut wrong = |name: &str, reason: Reason| {
            errors.add(format!("{field}.{name}"), reason);
            sound = false;
        };
        if let Some(reason) = self.bridge.as_deref().and_then(bridge_fault) {
            wrong("bridge", reason);
        }
        let vlan = match self.vlan.map(u16::try_from) {
            None => None,
            Some(Ok(tag)) if (1..=4094).contains(&tag) => Some(tag),
            Some(_) => {
                wrong("vlan", Reason::Range { min: 1, max: 4094 });
                None
            }
        };
        let prefix = match self.subnet.map(u8::try_from) {
            None => None,
            Some(Ok(prefix)) if (1..=32).contains(&prefix) => Some(prefix),
            Some(_) => {
                wrong("subnet", Reason::Range { min: 1, max: 32 });
                None
            }
        };
        let gateway = self.gateway.as_deref().and_then(|text| {
            let parsed = text.parse::<Ipv4Addr>().ok();
            if parsed.is_none() {
                wrong("gateway", Reason::Address);
            }
            parsed
        });
        if let Some(name) = &self.network {
            return self.named(name, vlan, field, errors);
        }
        let address = match (self.ip_address.as_deref(), self.ip_range.as_deref()) {
            (Some(_), Some(_)) => {
                wrong("ip_address", Reason::Excludes { other: "ip_range" });
                None
            }
            (Some("dhcp"), None) => Some(AddressWish::Plan(AddressPlan::Dhcp)),
            (Some(text), None) => self
                .one_address(text, prefix, gateway, &mut wrong)
                .map(AddressWish::Plan),
            (None, Some(text)) => self
                .range(text, prefix, gateway, &mut wrong)
                .map(AddressWish::Plan),
            (None, None) if prefix.is_some() || gateway.is_some() => {
                wrong("ip_address", Reason::Required);
                None
            }
            (None, None) => Some(AddressWish::Default),
        };
        if !sound {
            return None;
        }
        address.map(|address| NicPlan {
            address,
            bridge: self.bridge.clone(),
            vlan,
            field: field.to_owned(),
        })
    }

    /// An interface in a network that is known by name: prefix, gateway and the rest are its own.
    fn named(
        &self,
        name: &str,
        vlan: Option<u16>,
        field: &str,
        errors: &mut FieldErrors,
    ) -> Option<NicPlan> {
        let before = errors.len();
        let given = [
            ("ip_range", self.ip_range.is_some()),
            ("subnet", self.subnet.is_some()),
            ("gateway", self.gateway.is_some()),
        ];
        for (other, _) in given.into_iter().filter(|(_, given)| *given) {
            let other_field = format!("{field}.{other}");
            errors.add(other_field, Reason::Excludes { other: "network" });
        }
        let ip = self.ip_address.as_deref().and_then(|text| {
            let ip = text.parse::<Ipv4Addr>().ok();
            if ip.is_none() {
                errors.add(format!("{field}.ip_address"), Reason::Address);
            }
            ip
        });
        (errors.len() == before).then(|| NicPlan {
            address: AddressWish::Named {
                name: name.to_owned(),
                ip,
            },
            bridge: self.bridge.clone(),
            vlan,
            field: field.to_owned(),
        })
    }

    fn one_address(
        &self,
        text: &str,
        prefix: Option<u8>,
        gateway: Option<Ipv4Addr>,
        wrong: &mut impl FnMut(&str, Reason),
    ) -> Option<AddressPlan> {
        let Ok(ip) = text.parse::<Ipv4Addr>() else {
            wrong("ip_address", Reason::Address);
            return None;
        };
        if self.subnet.is_none() {
            wrong(
                "subnet",
                Reason::Needs {
                    other: "ip_address",
                },
            );
        }
        let prefix = prefix?;
        if !StaticAddress::usable(ip, prefix) {
            wrong("ip_address", Reason::AddressReserved);
        }
        if let Some(gateway) = gateway {
            if gateway == ip {
                wrong("ip_address", Reason::IsGateway);
            } else if !in_subnet(gateway, ip, prefix) {
                wrong("gateway", Reason::OutsideSubnet);
            }
        }
        Some(AddressPlan::Static(StaticAddress {
            ip,
            prefix,
            gateway,
        }))
    }

    fn range(
        &self,
        text: &str,
        prefix: Option<u8>,
        gateway: Option<Ipv4Addr>,
        wrong: &mut impl FnMut(&str, Reason),
    ) -> Option<AddressPlan> {
        let Ok(range) = text.parse::<Ipv4Range>() else {
            wrong("ip_range", Reason::AddressRange);
            return None;
        };
        if self.subnet.is_none() {
            wrong("subnet", Reason::Needs { other: "ip_range" });
        }
        let prefix = prefix?;
        if !in_subnet(range.first(), range.last(), prefix) {
            wrong("ip_range", Reason::OutsideSubnet);
        }
        if gateway.is_some_and(|gateway| !in_subnet(gateway, range.first(), prefix)) {
            wrong("gateway", Reason::OutsideSubnet);
        }
        Some(AddressPlan::FromPool(AddressPool {
            range,
            prefix,
            gateway,
        }))
    }
}
