//! `netN`: a network device.

use std::{fmt, str::FromStr};

use super::{Parts, PropertyError, Writer};

const PROPERTY: &str = "net";

/// A hardware address. The guest agent prints lower case, PVE upper case; both are equal here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    /// From its six bytes.
    #[must_use]
    pub fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Whether PVE would take it for a device: not a group address.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0
    }

    pub(crate) fn parse_any(text: &str) -> Option<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2)?;
            hex::decode_to_slice(part, std::slice::from_mut(byte)).ok()?;
        }
        parts.next().is_none().then_some(Self(bytes))
    }
}

impl FromStr for MacAddr {
    type Err = PropertyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mac = Self::parse_any(text).filter(|mac| mac.is_unicast());
        mac.ok_or_else(|| PropertyError::new("a hardware address", text))
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

/// The device types PVE knows. The name of one may stand where a key stands: `virtio=<address>`.
const MODELS: [&str; 17] = [
    "virtio",
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "vmxnet3",
    "igb",
    "i82562",
    "i82801",
];

/// A network device.
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    model: String,
    mac: Option<MacAddr>,
    bridge: Option<String>,
    firewall: Option<bool>,
    link_down: Option<bool>,
    mtu: Option<u16>,
    rate: Option<f64>,
    tag: Option<u16>,
    rest: Parts,
}

impl Net {
    /// A virtio device; PVE gives it an address.
    #[must_use]
    pub fn virtio() -> Self {
        Self {
            model: "virtio".to_owned(),
            mac: None,
            bridge: None,
            firewall: None,
            link_down: None,
            mtu: None,
            rate: None,
            tag: None,
            rest: Parts::default(),
        }
    }

    /// A device of another type.
    ///
    /// # Errors
    /// Refuses a type PVE does not know.
    pub fn of_model(model: &str) -> Result<Self, PropertyError> {
        if !MODELS.contains(&model) {
            return Err(PropertyError::new(PROPERTY, model));
        }
        Ok(Self {
            model: model.to_owned(),
            ..Self::virtio()
        })
    }

    /// Sets the hardware address.
    ///
    /// # Errors
    /// Refuses a group address.
    pub fn with_mac(mut self, mac: MacAddr) -> Result<Self, PropertyError> {
        if !mac.is_unicast() {
            return Err(PropertyError::new(PROPERTY, &mac.to_string()));
        }
        self.mac = Some(mac);
        Ok(self)
    }

    /// Sets the bridge. PVE does not look whether it exists before the guest starts.
    ///
    /// # Errors
    /// Refuses what is not the name of an interface: letters, digits, `.`, `-` and `_`.
    pub fn with_bridge(mut self, bridge: &str) -> Result<Self, PropertyError> {
        self.bridge =
            Some(read_bridge(bridge).ok_or_else(|| PropertyError::new(PROPERTY, bridge))?);
        Ok(self)
    }

    /// Sets whether PVE's firewall watches it.
    #[must_use]
    pub fn with_firewall(mut self, on: bool) -> Self {
        self.firewall = Some(on);
        self
    }

    /// Sets the VLAN.
    ///
    /// # Errors
    /// Refuses all but 1 to 4094.
    pub fn with_tag(mut self, tag: u16) -> Result<Self, PropertyError> {
        self.tag = Some(in_range(tag, 1, 4094)?);
        Ok(self)
    }

    /// Takes the VLAN away.
    #[must_use]
    pub fn without_tag(mut self) -> Self {
        self.tag = None;
        self
    }

    /// Sets the largest packet; 1 means that of the bridge.
    ///
    /// # Errors
    /// Refuses all but 1 to 65520.
    pub fn with_mtu(mut self, mtu: u16) -> Result<Self, PropertyError> {
        self.mtu = Some(in_range(mtu, 1, 65520)?);
        Ok(self)
    }

    /// Sets the limit in megabytes per second.
    ///
    /// # Errors
    /// Refuses what is negative or not finite.
    pub fn with_rate(mut self, megabytes_per_second: f64) -> Result<Self, PropertyError> {
        let rate = Some(megabytes_per_second).filter(|rate| rate.is_finite() && *rate >= 0.0);
        self.rate = Some(rate.ok_or_else(|| PropertyError::new(PROPERTY, "rate"))?);
        Ok(self)
    }

    /// Sets whether the cable is out.
    #[must_use]
    pub fn with_link_down(mut self, down: bool) -> Self {
        self.link_down = Some(down);
        self
    }

    /// Type of the device.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Hardware address.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        self.mac
    }

    /// Bridge.
    #[must_use]
    pub fn bridge(&self) -> Option<&str> {
        self.bridge.as_deref()
    }

    /// Whether PVE's firewall watches it.
    #[must_use]
    pub fn firewall(&self) -> Option<bool> {
        self.firewall
    }

    /// VLAN.
    #[must_use]
    pub fn tag(&self) -> Option<u16> {
        self.tag
    }

    /// Largest packet.
    #[must_use]
    pub fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// Limit in megabytes per second.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// Whether the cable is out.
    #[must_use]
    pub fn link_down(&self) -> Option<bool> {
        self.link_down
    }
}

fn in_range(value: u16, first: u16, last: u16) -> Result<u16, PropertyError> {
    let ok = (first..=last).contains(&value);
    ok.then_some(value)
        .ok_or_else(|| PropertyError::new(PROPERTY, &value.to_string()))
}

fn read_bridge(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (!text.is_empty() && text.bytes().all(plain)).then(|| text.to_owned())
}

impl FromStr for Net {
    type Err = PropertyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || PropertyError::new(PROPERTY, text);
        let mut parts = Parts::parse(PROPERTY, Some("model"), text)?;
        let mac = |text: &str| text.parse().ok();
        let (model, mac) = match parts.take("model") {
            Some(model) => (model, parts.take_as(PROPERTY, "macaddr", mac)?),
            None => {
                let model = MODELS
                    .iter()
                    .find(|model| parts.get(model).is_some())
                    .ok_or_else(bad)?;
                ((*model).to_owned(), parts.take_as(PROPERTY, model, mac)?)
            }
        };
        Ok(Self {
            mac,
            bridge: parts.take_as(PROPERTY, "bridge", read_bridge)?,
            firewall: parts.take_flag(PROPERTY, "firewall")?,
            link_down: parts.take_flag(PROPERTY, "link_down")?,
            mtu: parts.take_as(PROPERTY, "mtu", |text| text.parse().ok())?,
            rate: parts.take_as(PROPERTY, "rate", |text| {
                text.parse().ok().filter(|r: &f64| r.is_finite())
            })?,
            tag: parts.take_as(PROPERTY, "tag", |text| text.parse().ok())?,
            rest: parts,
            ..Self::of_model(&model)?
        })
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Writer::new(f);
        match self.mac {
            Some(mac) => out.pair(&self.model, mac)?,
            None => out.pair("model", &self.model)?,
        }
        out.maybe("bridge", self.bridge.as_deref())?;
        out.flag("firewall", self.firewall)?;
        out.flag("link_down", self.link_down)?;
        out.maybe("mtu", self.mtu)?;
        out.maybe("rate", self.rate)?;
        out.maybe("tag", self.tag)?;
        self.rest.write(&mut out)
    }
}
