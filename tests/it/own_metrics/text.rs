//! Metrics as they are told, read.

use anyhow::{Context, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tpm_test_support::{promtool, say};

/// What was told.
pub(super) struct Told {
    pub(super) media: String,
    pub(super) text: String,
}

/// Labels of a sample, the value of which is behind the last space.
fn labels(sample: &str) -> BTreeMap<&str, &str> {
    let inside = sample
        .split_once('{')
        .and_then(|(_, rest)| rest.rsplit_once('}'))
        .map_or("", |(inside, _)| inside);
    inside
        .split("\",")
        .filter_map(|pair| pair.split_once("=\""))
        .map(|(name, value)| (name, value.trim_end_matches('"')))
        .collect()
}

impl Told {
    /// The sum of all samples with these labels and any others; 0 when there is none.
    pub(super) fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for line in self.text.lines() {
            let end = line.find(['{', ' ']).unwrap_or(line.len());
            if &line[..end] != name {
                continue;
            }
            let found = labels(line);
            if wanted
                .iter()
                .all(|(name, value)| found.get(name) == Some(value))
            {
                let (_, value) = line.rsplit_once(' ').context("a value")?;
                sum += value.parse::<f64>()?;
            }
        }
        Ok(sum)
    }

    /// The values of one label.
    pub(super) fn values(&self, label: &str) -> BTreeSet<&str> {
        let samples = self.text.lines().filter(|line| !line.starts_with('#'));
        samples
            .filter_map(|line| labels(line).get(label).copied())
            .collect()
    }

    fn families(&self, what: &str) -> BTreeSet<&str> {
        let begin = format!("# {what} ");
        let lines = self.text.lines();
        lines
            .filter_map(|line| line.strip_prefix(&begin)?.split(' ').next())
            .collect()
    }

    /// Holds it against the table, and has it checked by the tools of Prometheus.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let families = self.families("TYPE");
        ensure!(families == self.families("HELP"), "{}", self.text);
        let table = include_str!("../../../crates/bootstrap/docs/metrics.md");
        for family in &families {
            let row = format!("| `{family}` |");
            ensure!(table.contains(&row), "{family} is not in the table");
        }
        ensure!(
            self.media == "text/plain; version=0.0.4; charset=utf-8",
            "{}",
            self.media
        );
        match promtool()? {
            Ok(promtool) => {
                let printed = promtool.run(Path::new("."), &["check", "metrics"], &self.text)?;
                ensure!(printed.is_empty(), "{printed}");
            }
            Err(missing) => say(&format!("skipped the check of metrics: {missing}")),
        }
        Ok(())
    }

    /// The same of OpenMetrics, which Prometheus itself reads; only a block is made of samples with a time.
    pub(super) fn check_open(&self) -> anyhow::Result<()> {
        ensure!(
            self.media == "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "{}",
            self.media
        );
        ensure!(self.text.ends_with("\n# EOF\n"), "{}", self.text);
        let counters: BTreeSet<&str> = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
            .collect();
        ensure!(!counters.is_empty() && counters.iter().all(|it| !it.ends_with("_total")));
        let dated: String = self
            .text
            .lines()
            .map(|line| match line.starts_with('#') {
                true => format!("{line}\n"),
                false => format!("{line} 1700000000\n"),
            })
            .collect();
        match promtool()? {
            Ok(promtool) => {
                let dir = tempfile::tempdir()?;
                std::fs::write(dir.path().join("metrics"), dated)?;
                let make = [
                    "tsdb",
                    "create-blocks-from",
                    "openmetrics",
                    "metrics",
                    "blocks",
                ];
                promtool.run(dir.path(), &make, "")?;
                // A database without it is none.
                std::fs::create_dir_all(dir.path().join("blocks/wal"))?;
                let dump = promtool.run(dir.path(), &["tsdb", "dump", "blocks"], "")?;
                let samples = |text: &str| text.lines().filter(|it| !it.starts_with('#')).count();
                ensure!(dump.lines().count() == samples(&self.text), "{dump}");
            }
            Err(missing) => say(&format!("skipped the reading of OpenMetrics: {missing}")),
        }
        Ok(())
    }
}
