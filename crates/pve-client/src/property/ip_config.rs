//! `ipconfigN`: the addresses cloud-init gives a network device.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::{Parts, PropertyError, Writer};

const PROPERTY: &str = "ipconfig";

/// Where the IPv4 address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv4Setting {
    /// From DHCP.
    Dhcp,
    /// This one, with the length of its prefix.
    Static(Ipv4Addr, u8),
}

/// Where the IPv6 address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Setting {
    /// From DHCPv6.
    Dhcp,
    /// From router advertisements.
    Auto,
    /// This one, with the length of its prefix.
    Static(Ipv6Addr, u8),
}

/// The addresses of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpConfig {
    ip: Option<Ipv4Setting>,
    gw: Option<Ipv4Addr>,
    ip6: Option<Ipv6Setting>,
    gw6: Option<Ipv6Addr>,
    rest: Parts,
}

impl IpConfig {
    /// Nothing set; at least one of the `with_` functions should follow.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// IPv4 from DHCP.
    #[must_use]
    pub fn dhcp() -> Self {
        Self {
            ip: Some(Ipv4Setting::Dhcp),
            ..Self::default()
        }
    }

    /// A fixed IPv4 address.
    ///
    /// # Errors
    /// Refuses a prefix longer than 32 and a gateway equal to the address.
    pub fn static_v4(
        address: Ipv4Addr,
        prefix: u8,
        gateway: Option<Ipv4Addr>,
    ) -> Result<Self, PropertyError> {
        if prefix > 32 || gateway == Some(address) {
            return Err(PropertyError::new(
                PROPERTY,
                &format!("ip={address}/{prefix}"),
            ));
        }
        Ok(Self {
            ip: Some(Ipv4Setting::Static(address, prefix)),
            gw: gateway,
            ..Self::default()
        })
    }

    /// Adds IPv6.
    ///
    /// # Errors
    /// Refuses a prefix longer than 128, a gateway equal to the address, and a gateway without a fixed
    /// address.
    pub fn with_v6(
        mut self,
        setting: Ipv6Setting,
        gateway: Option<Ipv6Addr>,
    ) -> Result<Self, PropertyError> {
        let ok = match setting {
            Ipv6Setting::Static(address, prefix) => prefix <= 128 && gateway != Some(address),
            Ipv6Setting::Dhcp | Ipv6Setting::Auto => gateway.is_none(),
        };
        if !ok {
            return Err(PropertyError::new(
                PROPERTY,
                &format!("{setting:?}, gw6={gateway:?}"),
            ));
        }
        self.ip6 = Some(setting);
        self.gw6 = gateway;
        Ok(self)
    }

    /// IPv4.
    #[must_use]
    pub fn ip(&self) -> Option<Ipv4Setting> {
        self.ip
    }

    /// IPv4 gateway.
    #[must_use]
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.gw
    }

    /// IPv6.
    #[must_use]
    pub fn ip6(&self) -> Option<Ipv6Setting> {
        self.ip6
    }

    /// IPv6 gateway.
    #[must_use]
    pub fn gateway6(&self) -> Option<Ipv6Addr> {
        self.gw6
    }
}

fn cidr<T: FromStr>(text: &str, longest: u8) -> Option<(T, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix = prefix
        .parse()
        .ok()
        .filter(|prefix| digits && *prefix <= longest)?;
    Some((address.parse().ok()?, prefix))
}

fn v4(text: &str) -> Option<Ipv4Setting> {
    if text == "dhcp" {
        return Some(Ipv4Setting::Dhcp);
    }
    cidr(text, 32).map(|(address, prefix)| Ipv4Setting::Static(address, prefix))
}

fn v6(text: &str) -> Option<Ipv6Setting> {
    match text {
        "dhcp" => Some(Ipv6Setting::Dhcp),
        "auto" => Some(Ipv6Setting::Auto),
        _ => cidr(text, 128).map(|(address, prefix)| Ipv6Setting::Static(address, prefix)),
    }
}

impl FromStr for IpConfig {
    type Err = PropertyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Parts::parse(PROPERTY, None, text)?;
        let config = Self {
            ip: parts.take_as(PROPERTY, "ip", v4)?,
            gw: parts.take_as(PROPERTY, "gw", |text| text.parse().ok())?,
            ip6: parts.take_as(PROPERTY, "ip6", v6)?,
            gw6: parts.take_as(PROPERTY, "gw6", |text| text.parse().ok())?,
            rest: parts,
        };
        // PVE stores a gateway beside DHCP and ignores it, but never one alone
        let lonely = config.gw.is_some() && config.ip.is_none()
            || config.gw6.is_some() && config.ip6.is_none();
        if lonely {
            Err(PropertyError::new(PROPERTY, text))
        } else {
            Ok(config)
        }
    }
}

impl fmt::Display for IpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Writer::new(f);
        match self.ip {
            Some(Ipv4Setting::Dhcp) => out.pair("ip", "dhcp")?,
            Some(Ipv4Setting::Static(address, prefix)) => {
                out.pair("ip", format_args!("{address}/{prefix}"))?
            }
            None => {}
        }
        out.maybe("gw", self.gw)?;
        match self.ip6 {
            Some(Ipv6Setting::Dhcp) => out.pair("ip6", "dhcp")?,
            Some(Ipv6Setting::Auto) => out.pair("ip6", "auto")?,
            Some(Ipv6Setting::Static(address, prefix)) => {
                out.pair("ip6", format_args!("{address}/{prefix}"))?
            }
            None => {}
        }
        out.maybe("gw6", self.gw6)?;
        self.rest.write(&mut out)
    }
}
