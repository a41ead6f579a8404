//! The alert rules about the service itself.

use anyhow::ensure;
use std::path::Path;
use tpm_test_support::{promtool, say};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/monitoring/rules");

/// Words of a text that begin like a metric's name.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("tpm_") || word.starts_with("process_"))
}

#[test]
fn rules_are_about_metrics_that_there_are() -> anyhow::Result<()> {
    let rules = std::fs::read_to_string(Path::new(FOLDER).join("manager.yml"))?;
    let table = include_str!("../../../crates/bootstrap/docs/metrics.md");
    let mut seen = 0;
    for name in names(&rules) {
        seen += 1;
        ensure!(table.contains(&format!("| `{name}` |")), "{name}");
    }
    ensure!(seen >= 10, "{seen}");
    let alerts = rules.matches("- alert: ").count();
    for part in ["summary: ", "summary_ko: ", "severity: "] {
        ensure!(rules.matches(part).count() == alerts, "{part}");
    }
    Ok(())
}

#[test]
fn rules_raise_an_alarm_when_they_should() -> anyhow::Result<()> {
    match promtool()? {
        Ok(promtool) => {
            let folder = Path::new(FOLDER);
            promtool.run(folder, &["check", "rules", "manager.yml"], "")?;
            promtool.run(folder, &["test", "rules", "manager.test.yml"], "")?;
        }
        Err(missing) => say(&format!("skipped the test of rules: {missing}")),
    }
    Ok(())
}
