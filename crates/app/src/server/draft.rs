//! A request for servers before it is believed: every field may be missing or wrong, and everything
//! that is wrong is gathered.

use crate::policy::Policy;
use std::net::Ipv4Addr;
use tpm_domain::{
    AddressPlan, AddressPool, FieldErrors, Ipv4Range, Reason, ServerName, StaticAddress, in_subnet,
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
    /// Its interfaces; `None` when it has none of its own.
    pub network: Option<Vec<NetworkDraft>>,
}

/// The network of a bulk, for its servers that have none of their own.
pub type SharedNetwork = Option<Vec<NetworkDraft>>;

/// One interface, understood.
#[derive(Clone, Debug)]
pub(crate) struct NicPlan {
    pub(crate) address: AddressPlan,
    pub(crate) bridge: String,
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
    pub(crate) nics: Vec<NicPlan>,
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

impl ServerDraft {
    /// Understands the draft; `at` is the path of its fields, ending in a dot or empty. `None` when
    /// something was wrong: it stands in `errors` then, or did before.
    pub(crate) fn understand(
        &self,
        at: &str,
        shared: Option<(&str, &[NicPlan])>,
        policy: &Policy,
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
        let nics = match (&self.network, shared) {
            (Some(own), _) => understand_nics(own, &format!("{at}network_config"), policy, errors),
            (None, Some((_, nics))) => Some(nics.to_vec()),
            (None, None) => Some(vec![default_nic(policy)]),
        };
        Some(ServerPlan {
            name: name?,
            role: role?,
            cpu: cpu?,
            memory_mb: memory_mb?,
            disk_gb: disk_gb?,
            engine: engine?,
            nics: nics?,
        })
    }
}

fn default_nic(policy: &Policy) -> NicPlan {
    NicPlan {
        address: policy
            .network
            .pool
            .map_or(AddressPlan::Dhcp, AddressPlan::FromPool),
        bridge: policy.network.bridge.clone(),
        vlan: policy.network.vlan,
        field: "network_config".into(),
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
            draft.understand(&field, policy, errors)
        })
        .collect();
    plans.into_iter().collect()
}

impl NetworkDraft {
    fn understand(
        &self,
        field: &str,
        policy: &Policy,
        errors: &mut FieldErrors,
    ) -> Option<NicPlan> {
        let mut sound = true;
        let mut wrong = |name: &str, reason: Reason| {
            errors.add(format!("{field}.{name}"), reason);
            sound = false;
        };
        let bridge = self
            .bridge
            .clone()
            .unwrap_or_else(|| policy.network.bridge.clone());
        // Linux interface names: at most 15 characters.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if bridge.is_empty() || !bridge.chars().all(plain) {
            wrong(
                "bridge",
                Reason::Type {
                    expected: "bridge name",
                },
            );
        } else if bridge.chars().count() > 15 {
            wrong("bridge", Reason::TooLong { max: 15 });
        }
        let vlan = match self.vlan.map(u16::try_from) {
            None => policy.network.vlan,
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
        let address = match (self.ip_address.as_deref(), self.ip_range.as_deref()) {
            (Some(_), Some(_)) => {
                wrong("ip_address", Reason::Excludes { other: "ip_range" });
                None
            }
            (Some("dhcp"), None) => Some(AddressPlan::Dhcp),
            (Some(text), None) => self.one_address(text, prefix, gateway, &mut wrong),
            (None, Some(text)) => self.range(text, prefix, gateway, &mut wrong),
            (None, None) if prefix.is_some() || gateway.is_some() => {
                wrong("ip_address", Reason::Required);
                None
            }
            (None, None) => Some(
                policy
                    .network
                    .pool
                    .map_or(AddressPlan::Dhcp, AddressPlan::FromPool),
            ),
        };
        if !sound {
            return None;
        }
        address.map(|address| NicPlan {
            address,
            bridge,
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
