//! How far a run is: which of its stages was reached, by what Terraform's lines tell.
//!
//! Stages are counted, not timed: how long one takes is not known before. What takes longest, the provider's work
//! on the guest, is one stage, because nothing is told from inside it.

use crate::steps::PLAN;
use serde::Deserialize;
use tpm_provisioner::{Report, StepCall};

/// A stage that is over, in the order in which they are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// `init` has found provider, module and state.
    Initialized,
    /// What there is was read.
    Refreshed,
    /// The plan is kept.
    Planned,
    /// The provider has begun its work on the guest.
    Begun,
    /// It has ended it well.
    Made,
    /// The state is written and its lock given back.
    Settled,
}

impl Stage {
    /// Stages up to and including this one.
    fn count(self) -> u32 {
        self as u32 + 1
    }

    /// The stage that a line of `plan` or `apply` tells of.
    fn of(line: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(line).ok()?;
        match line.kind.as_str() {
            "refresh_complete" | "planned_change" | "change_summary" => Some(Self::Refreshed),
            "apply_start" => Some(Self::Begun),
            "apply_complete" => Some(Self::Made),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
}

/// Who is told of a run's stages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stages<'a> {
    report: Option<&'a dyn Report>,
    /// The last one that the step has.
    last: Stage,
}

impl<'a> Stages<'a> {
    /// Those of a step.
    pub(crate) fn of(call: &StepCall<'a>) -> Self {
        Self {
            report: call.report,
            last: if call.step == PLAN {
                Stage::Planned
            } else {
                Stage::Settled
            },
        }
    }

    /// A stage is over.
    pub(crate) fn reached(&self, stage: Stage) {
        if let Some(report) = self.report {
            let share = 100 * stage.count() / self.last.count();
            report.reached(u8::try_from(share).unwrap_or(100).min(100));
        }
    }

    /// A line was printed.
    pub(crate) fn heard(&self, line: &str) {
        if let Some(stage) = Stage::of(line) {
            self.reached(stage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<u8>>);

    impl Report for Heard {
        fn reached(&self, percent: u8) {
            self.0.lock().expect("whole").push(percent);
        }
    }

    fn heard(last: Stage, lines: &[&str]) -> Vec<u8> {
        let heard = Heard::default();
        let stages = Stages {
            report: Some(&heard),
            last,
        };
        lines.iter().for_each(|line| stages.heard(line));
        heard.0.into_inner().expect("whole")
    }

    #[test]
    fn lines_tell_of_stages() {
        let told = [
            r#"{"@level":"info","type":"version","terraform":"1.11.4","ui":"1.2"}"#,
            r#"{"@level":"info","type":"planned_change","change":{"action":"create"}}"#,
            r#"{"@level":"info","type":"change_summary","changes":{"add":1,"operation":"plan"}}"#,
            r#"{"@level":"info","type":"apply_start","hook":{"action":"create"}}"#,
            r#"{"@level":"info","type":"apply_progress","hook":{"elapsed_seconds":10}}"#,
            "not JSON",
            r#"{"@level":"info","type":"apply_complete","hook":{"elapsed_seconds":12}}"#,
            r#"{"@level":"info","type":"outputs","outputs":{}}"#,
        ];
        assert_eq!(heard(Stage::Settled, &told), [33, 33, 66, 83]);
        assert_eq!(heard(Stage::Planned, &told[..3]), [66, 66]);
    }

    #[test]
    fn the_last_stage_is_the_whole_step() {
        for last in [Stage::Planned, Stage::Settled] {
            let heard = Heard::default();
            let stages = Stages {
                report: Some(&heard),
                last,
            };
            stages.reached(last);
            assert_eq!(heard.0.into_inner().expect("whole"), [100]);
        }
    }
}
