//! `scsiN`, `virtioN`, `sataN`, `ideN`: a disk, a CD-ROM or the cloud-init drive.

use std::{fmt, str::FromStr};

use super::{Parts, PropertyError, Writer, check_value};

const PROPERTY: &str = "a disk";

/// A drive. The size in it is what PVE last saw; it is changed by resizing, not by writing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    volume: String,
    size_bytes: Option<u64>,
    rest: Parts,
}

impl Disk {
    /// A drive for a volume id, or for `storage:GiB` to have one made.
    ///
    /// # Errors
    /// Refuses `,`, `=`, control characters and an empty text.
    pub fn new(volume: &str) -> Result<Self, PropertyError> {
        check_value(PROPERTY, volume)?;
        Ok(Self {
            volume: volume.to_owned(),
            size_bytes: None,
            rest: Parts::default(),
        })
    }

    /// Sets any other key, such as `discard` to `on`.
    ///
    /// # Errors
    /// Refuses `,`, `=`, control characters and an empty text, and the keys `file` and `size`.
    pub fn with(mut self, key: &str, value: &str) -> Result<Self, PropertyError> {
        if matches!(key, "file" | "size") {
            return Err(PropertyError::new(PROPERTY, key));
        }
        self.rest.set(PROPERTY, key, value)?;
        Ok(self)
    }

    /// The volume id; `none` for an empty CD-ROM drive.
    #[must_use]
    pub fn volume(&self) -> &str {
        &self.volume
    }

    /// The storage of the volume.
    #[must_use]
    pub fn storage(&self) -> Option<&str> {
        self.volume.split_once(':').map(|(storage, _)| storage)
    }

    /// Size in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// Any other key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.rest.get(key)
    }

    /// Whether it is a CD-ROM; the cloud-init drive is one.
    #[must_use]
    pub fn is_cdrom(&self) -> bool {
        self.get("media") == Some("cdrom") || self.volume == "cdrom"
    }

    /// Whether it is the cloud-init drive: `…vm-100-cloudinit` with or without an ending.
    #[must_use]
    pub fn is_cloudinit(&self) -> bool {
        let name = self.volume.rsplit([':', '/']).next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        stem == "cloudinit" || (stem.starts_with("vm-") && stem.ends_with("-cloudinit"))
    }
}

impl FromStr for Disk {
    type Err = PropertyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = Parts::parse(PROPERTY, Some("file"), text)?;
        // an older spelling of the same key
        let volume = parts.take("file").or_else(|| parts.take("volume"));
        let volume = volume.filter(|volume| !volume.is_empty());
        Ok(Self {
            volume: volume.ok_or_else(|| PropertyError::new(PROPERTY, text))?,
            size_bytes: parts.take_as(PROPERTY, "size", parse_size)?,
            rest: parts,
        })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Writer::new(f);
        // without its key a volume with `=` in it would be read as a key
        if self.volume.contains('=') {
            out.pair("file", &self.volume)?;
        } else {
            out.bare(&self.volume)?;
        }
        self.rest.write(&mut out)?;
        out.maybe("size", self.size_bytes.map(format_size))
    }
}

const UNITS: [(char, u64); 4] = [
    ('T', 1 << 40),
    ('G', 1 << 30),
    ('M', 1 << 20),
    ('K', 1 << 10),
];

/// Reads `\d+(\.\d+)?[KMGT]?`.
fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = match text.chars().last()? {
        last @ ('K' | 'M' | 'G' | 'T') => {
            let unit = UNITS.iter().find(|(name, _)| *name == last)?.1;
            (&text[..text.len() - 1], unit)
        }
        _ => (text, 1),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match number.split_once('.') {
        None if digits(number) => number.parse::<u64>().ok()?.checked_mul(unit),
        Some((whole, fraction)) if digits(whole) && digits(fraction) => {
            let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
            let fraction = format!("0.{fraction}").parse::<f64>().ok()?;
            whole.checked_add((fraction * unit as f64) as u64)
        }
        _ => None,
    }
}

/// Prints a size in the largest unit that holds it exactly, as PVE does.
pub(crate) fn format_size(bytes: u64) -> String {
    let exact = UNITS
        .iter()
        .find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit));
    exact.map_or_else(
        || bytes.to_string(),
        |(name, unit)| format!("{}{name}", bytes / unit),
    )
}
