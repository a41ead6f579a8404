//! Metrics as a text: families that are written here, and the turn into OpenMetrics.

use super::described::{self, Kind};
use std::fmt::Write;

/// Samples of one family, written under its description.
pub(super) struct Family {
    name: &'static str,
    samples: String,
}

impl Family {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            samples: String::new(),
        }
    }

    /// One sample.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        // Writing to a string does not fail.
        let _ = writeln!(self.samples, "{}{labels} {value}", self.name);
    }

    /// A family of one sample without labels.
    pub(super) fn of(name: &'static str, value: f64) -> Self {
        let mut family = Self::new(name);
        family.sample(&[], value);
        family
    }

    /// The family in the text of Prometheus; nothing when it has no samples.
    pub(super) fn text(&self) -> Option<String> {
        let described = described::find(self.name)?;
        (!self.samples.is_empty()).then(|| {
            format!(
                "# HELP {name} {}\n# TYPE {name} {}\n{}",
                described.help,
                described.kind.as_str(),
                self.samples,
                name = self.name,
            )
        })
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Families of a text, each with its comments, by name.
pub(super) fn families(text: &str) -> Vec<String> {
    text.split("\n\n")
        .map(str::trim)
        .filter(|family| !family.is_empty())
        .map(|family| format!("{family}\n"))
        .collect()
}

/// The text of Prometheus: the families in a steady order.
pub(super) fn plain(mut families: Vec<String>) -> String {
    families.sort();
    families.concat()
}

/// The same as OpenMetrics: counters' families are named without `_total`, units are told, bounds are written as
/// numbers with a point, and the end is marked.
pub(super) fn open(mut families: Vec<String>) -> String {
    families.sort();
    let mut text = String::new();
    for family in &families {
        for line in family.lines() {
            open_line(line, &mut text);
            text.push('\n');
        }
    }
    text.push_str("# EOF\n");
    text
}

fn open_line(line: &str, text: &mut String) {
    let comment = line.strip_prefix("# ").and_then(|rest| {
        let (what, rest) = rest.split_once(' ')?;
        let (name, rest) = rest.split_once(' ')?;
        Some((what, name, rest))
    });
    let Some((what, name, rest)) = comment else {
        bound(line, text);
        return;
    };
    let described = described::find(name);
    let family = match described.map(|one| one.kind) {
        Some(Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    text.push_str(&format!("# {what} {family} {rest}"));
    if let Some(one) = described
        && what == "TYPE"
        && !one.unit.is_empty()
    {
        text.push_str(&format!("\n# UNIT {family} {}", one.unit));
    }
}

/// A sample; a bound that is a whole number gets its point.
fn bound(line: &str, text: &mut String) {
    const BOUND: &str = "le=\"";
    match line.split_once(BOUND) {
        Some((before, rest)) => match rest.split_once('"') {
            Some((bound, after)) if bound.bytes().all(|b| b.is_ascii_digit()) => {
                text.push_str(&format!("{before}{BOUND}{bound}.0\"{after}"));
            }
            _ => text.push_str(line),
        },
        None => text.push_str(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_openmetrics() {
        let text = "# HELP tpm_stale_leases_total Gone.\n# TYPE tpm_stale_leases_total counter\n\
                    tpm_stale_leases_total 3\n\n\
                    # TYPE tpm_pve_request_duration_seconds histogram\n\
                    tpm_pve_request_duration_seconds_bucket{access=\"read\",le=\"0.5\"} 1\n\
                    tpm_pve_request_duration_seconds_bucket{access=\"read\",le=\"10\"} 2\n\
                    tpm_pve_request_duration_seconds_bucket{access=\"read\",le=\"+Inf\"} 2\n\n";
        assert_eq!(
            open(families(text)),
            "# HELP tpm_stale_leases Gone.\n# TYPE tpm_stale_leases counter\n\
             tpm_stale_leases_total 3\n\
             # TYPE tpm_pve_request_duration_seconds histogram\n\
             # UNIT tpm_pve_request_duration_seconds seconds\n\
             tpm_pve_request_duration_seconds_bucket{access=\"read\",le=\"0.5\"} 1\n\
             tpm_pve_request_duration_seconds_bucket{access=\"read\",le=\"10.0\"} 2\n\
             tpm_pve_request_duration_seconds_bucket{access=\"read\",le=\"+Inf\"} 2\n\
             # EOF\n"
        );
    }

    #[test]
    fn labels_are_escaped_and_empty_families_left_out() {
        assert!(Family::new("tpm_tasks").text().is_none());
        let mut family = Family::new("tpm_network_addresses_free");
        family.sample(&[("network", "a\"b\\c\nd")], 2.0);
        let text = family.text().expect("a family");
        assert!(
            text.ends_with("tpm_network_addresses_free{network=\"a\\\"b\\\\c\\nd\"} 2\n"),
            "{text}"
        );
    }
}
