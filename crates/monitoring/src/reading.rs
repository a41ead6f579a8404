//! What a figure is, and why one is not known.

use std::collections::BTreeMap;
use tpm_domain::{ServerId, Timestamp};

/// Something that is measured of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Figure {
    /// Processor time in use, in percent of all cores.
    Cpu,
    /// Memory in use, in percent.
    Memory,
    /// Space in use on the root file system, in percent.
    Disk,
    /// Bytes received in a second.
    NetworkIn,
    /// Bytes sent in a second.
    NetworkOut,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::NetworkIn,
        Self::NetworkOut,
    ];

    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_usage",
            Self::Memory => "memory_usage",
            Self::Disk => "disk_usage",
            Self::NetworkIn => "network_in",
            Self::NetworkOut => "network_out",
        }
    }

    /// Whether it is a share, 0 to 100, with one decimal; a whole number of bytes in a second otherwise.
    #[must_use]
    pub fn is_percent(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory | Self::Disk)
    }

    /// A value as it is told: rounded, and without what the arithmetic of rates adds at the ends.
    #[must_use]
    pub fn told(self, value: f64) -> f64 {
        if self.is_percent() {
            (value.clamp(0.0, 100.0) * 10.0).round() / 10.0
        } else {
            value.max(0.0).round()
        }
    }
}

/// Why there is no figure, or not the one that was looked for first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// No Prometheus is configured.
    NotConfigured,
    /// Prometheus did not answer.
    PrometheusUnreachable,
    /// What Prometheus answered cannot be understood, or is an error.
    BadAnswer,
    /// Prometheus has not asked the server yet.
    NotScrapedYet,
    /// Prometheus asked the server in vain.
    ExporterUnreachable,
    /// The exporter answers, and this is not, or not long enough, among what it tells.
    NoSample,
    /// Not a number, or an infinite one.
    NotANumber,
    /// Several things are scraped as this one server.
    Ambiguous,
    /// The server is off.
    Stopped,
    /// The server's guest is gone, or was not made yet.
    NoGuest,
    /// Proxmox VE does not know it: only the guest itself does.
    NotToldByProxmox,
    /// Proxmox VE did not answer.
    ProxmoxUnreachable,
    /// Nobody has looked at the guest yet, or not often enough for a rate.
    NotMeasuredYet,
    /// The last look was too long ago.
    Outdated,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::NotConfigured,
        Self::PrometheusUnreachable,
        Self::BadAnswer,
        Self::NotScrapedYet,
        Self::ExporterUnreachable,
        Self::NoSample,
        Self::NotANumber,
        Self::Ambiguous,
        Self::Stopped,
        Self::NoGuest,
        Self::NotToldByProxmox,
        Self::ProxmoxUnreachable,
        Self::NotMeasuredYet,
        Self::Outdated,
    ];

    /// The reason on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::PrometheusUnreachable => "prometheus_unreachable",
            Self::BadAnswer => "bad_answer",
            Self::NotScrapedYet => "not_scraped_yet",
            Self::ExporterUnreachable => "exporter_unreachable",
            Self::NoSample => "no_sample",
            Self::NotANumber => "not_a_number",
            Self::Ambiguous => "ambiguous",
            Self::Stopped => "stopped",
            Self::NoGuest => "no_guest",
            Self::NotToldByProxmox => "not_told_by_proxmox",
            Self::ProxmoxUnreachable => "proxmox_unreachable",
            Self::NotMeasuredYet => "not_measured_yet",
            Self::Outdated => "outdated",
        }
    }
}

/// A figure, or why there is none.
pub type Reading = Result<f64, Why>;

/// Each figure, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Readings(BTreeMap<Figure, Reading>);

impl Readings {
    /// As a function has them.
    pub fn new(of: impl Fn(Figure) -> Reading) -> Self {
        Self(Figure::ALL.into_iter().map(|one| (one, of(one))).collect())
    }

    /// None, for one reason.
    #[must_use]
    pub fn none(why: Why) -> Self {
        Self::new(|_| Err(why))
    }

    /// One of them, as it is told.
    ///
    /// # Errors
    /// With the reason why there is none.
    pub fn get(&self, figure: Figure) -> Reading {
        let found = self.0.get(&figure).copied();
        match found.unwrap_or(Err(Why::NoSample)) {
            Ok(value) if value.is_finite() => Ok(figure.told(value)),
            Ok(_) => Err(Why::NotANumber),
            Err(why) => Err(why),
        }
    }

    /// Whether there is any.
    #[must_use]
    pub fn has_some(&self) -> bool {
        Figure::ALL.iter().any(|one| self.get(*one).is_ok())
    }
}

/// What Prometheus has of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Scraped {
    /// The figures.
    pub readings: Readings,
    /// When they were scraped.
    pub at: Option<Timestamp>,
    /// Whether the last scrape went well; `None` when there was none.
    pub up: Option<bool>,
}

/// What Prometheus has of servers, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Latest {
    /// By server; one that is not in it was not scraped.
    Known(BTreeMap<ServerId, Scraped>),
    /// Nothing is known.
    Unknown(Why),
}

/// Figures at one moment of the past; `None` is a gap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// In percent.
    pub cpu: Option<f64>,
    /// In percent.
    pub memory: Option<f64>,
    /// In percent.
    pub disk: Option<f64>,
    /// Bytes in a second.
    pub network_in: Option<f64>,
    /// Bytes in a second.
    pub network_out: Option<f64>,
}

impl Point {
    /// A gap.
    #[must_use]
    pub fn empty(at: Timestamp) -> Self {
        Self {
            at,
            cpu: None,
            memory: None,
            disk: None,
            network_in: None,
            network_out: None,
        }
    }

    /// Where a figure stands in it.
    pub fn slot(&mut self, figure: Figure) -> &mut Option<f64> {
        match figure {
            Figure::Cpu => &mut self.cpu,
            Figure::Memory => &mut self.memory,
            Figure::Disk => &mut self.disk,
            Figure::NetworkIn => &mut self.network_in,
            Figure::NetworkOut => &mut self.network_out,
        }
    }

    /// A figure, as it is told.
    #[must_use]
    pub fn get(&self, figure: Figure) -> Option<f64> {
        let mut copy = *self;
        let value = (*copy.slot(figure))?;
        value.is_finite().then(|| figure.told(value))
    }
}

/// A stretch of time, and how far apart its points lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Seconds from one point to the next.
    pub step_secs: u32,
}

impl Span {
    /// The moments of its points.
    pub fn moments(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let step = usize::try_from(self.step_secs).unwrap_or(usize::MAX) * 1000;
        (self.from.0..=self.to.0)
            .step_by(step.max(1))
            .map(Timestamp)
    }
}

/// One of our servers as Prometheus scrapes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeTarget {
    /// The server; `None` for a target that is not one of ours.
    pub server: Option<ServerId>,
    /// Whether the last scrape went well; `None` when there was none.
    pub healthy: Option<bool>,
    /// What went wrong, in Prometheus' words.
    pub error: String,
    /// What is scraped: `10.0.0.5:9100`.
    pub instance: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_rounded_and_within_its_bounds() {
        for (figure, value, told) in [
            (Figure::Cpu, 45.249, 45.2),
            (Figure::Cpu, -0.004, 0.0),
            (Figure::Memory, 100.000_2, 100.0),
            (Figure::NetworkIn, 1023.6, 1024.0),
            (Figure::NetworkOut, -1.0, 0.0),
        ] {
            assert_eq!(figure.told(value), told, "{figure:?} {value}");
        }
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for value in odd {
            let readings = Readings::new(|_| Ok(value));
            assert_eq!(readings.get(Figure::Cpu), Err(Why::NotANumber));
            assert!(!readings.has_some());
        }
    }

    #[test]
    fn reasons_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> = Why::ALL.iter().map(|w| w.as_str()).collect();
        assert_eq!(names.len(), Why::ALL.len());
    }
}
