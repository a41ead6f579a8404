//! The questions to Prometheus, all of them made here.
//!
//! Names come from [node_exporter](https://github.com/prometheus/node_exporter); what a rate is, from
//! [PromQL](https://prometheus.io/docs/prometheus/latest/querying/functions/#rate).

use crate::reading::Figure;
use crate::targets::label;
use std::fmt::Write as _;
use tpm_domain::ServerId;

/// Each target is a series of its own: two that say they are one server are noticed.
const BY: &str = "by (server_id, job, instance)";

/// What a label's value is compared with, in quotes: nothing in it ends them.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for one in value.chars() {
        match one {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other if other.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(other));
            }
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// Whose figures are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    /// This installation.
    pub(crate) manager: &'a str,
    /// One server, or all.
    pub(crate) server: Option<ServerId>,
}

impl Of<'_> {
    fn selector(self) -> String {
        let manager = quoted(self.manager);
        let server = match self.server {
            Some(id) => format!("={}", quoted(&id.to_string())),
            None => "!=\"\"".to_owned(),
        };
        format!("{}={manager},{}{server}", label::MANAGER, label::SERVER_ID)
    }
}

/// A figure, as a rate over `window` seconds where it is one.
pub(crate) fn figure(figure: Figure, of: Of<'_>, window: u32) -> String {
    let only = of.selector();
    let share = |free: &str, all: &str, of: &str| {
        format!("100 * (1 - max {BY} ({free}{{{of}{only}}}) / max {BY} ({all}{{{of}{only}}}))")
    };
    let sum = |name: &str| format!("sum {BY} (rate({name}{{device!=\"lo\",{only}}}[{window}s]))");
    match figure {
        Figure::Cpu => format!(
            "100 * (1 - avg {BY} (rate(node_cpu_seconds_total{{mode=\"idle\",{only}}}[{window}s])))"
        ),
        Figure::Memory => share(
            "node_memory_MemAvailable_bytes",
            "node_memory_MemTotal_bytes",
            "",
        ),
        Figure::Disk => share(
            "node_filesystem_avail_bytes",
            "node_filesystem_size_bytes",
            "mountpoint=\"/\",",
        ),
        Figure::NetworkIn => sum("node_network_receive_bytes_total"),
        Figure::NetworkOut => sum("node_network_transmit_bytes_total"),
    }
}

/// Whether the last scrape went well.
pub(crate) fn up(of: Of<'_>) -> String {
    format!("max {BY} (up{{{}}})", of.selector())
}

/// When the last scrape was, in seconds.
pub(crate) fn scraped_at(of: Of<'_>) -> String {
    format!("max {BY} (timestamp(up{{{}}}))", of.selector())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every question, as a file of recording rules: promtool reads it, too.
    fn all() -> String {
        let mut text = String::from("groups:\n- name: all\n  rules:\n");
        for (name, server) in [("fleet", None), ("server", Some(ServerId(12)))] {
            let of = Of {
                manager: "3f\"9c\\0a\n",
                server,
            };
            let mut questions: Vec<(&str, String)> = Figure::ALL
                .iter()
                .map(|one| (one.as_str(), figure(*one, of, 60)))
                .collect();
            questions.push(("up", up(of)));
            questions.push(("scraped_at", scraped_at(of)));
            for (what, question) in questions {
                let question = question.replace('\'', "''");
                text.push_str(&format!(
                    "  - record: {name}:{what}\n    expr: '{question}'\n"
                ));
            }
        }
        text
    }

    #[test]
    fn questions_are_as_in_the_golden_file() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/promql.golden.yml");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, all()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(golden).unwrap(), all());
    }

    #[test]
    fn promtool_understands_every_question() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/promql.golden.yml");
        let mut check = std::process::Command::new("promtool");
        match check.args(["check", "rules", golden]).output() {
            Ok(done) => assert!(done.status.success(), "{done:?}"),
            Err(missing) => {
                assert!(std::env::var("CI").is_err(), "promtool: {missing}");
                eprintln!("skipped: promtool: {missing}");
            }
        }
    }

    proptest! {
        /// Read again by the grammar's rules, any text is itself, and the quotes are where they were.
        #[test]
        fn nothing_gets_out_of_the_quotes(value in any::<String>()) {
            let text = quoted(&value);
            let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap();
            let (mut read, mut chars) = (String::new(), inner.chars());
            while let Some(one) = chars.next() {
                prop_assert!(one != '"' && one != '\n');
                read.push(match one {
                    '\\' => match chars.next().unwrap() {
                        'n' => '\n',
                        'u' => {
                            let hex: String = chars.by_ref().take(4).collect();
                            char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap()
                        }
                        plain => plain,
                    },
                    other => other,
                });
            }
            prop_assert_eq!(read, value);
        }
    }
}
