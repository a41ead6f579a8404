//! How far a task is: a pure function of its steps.

use tpm_domain::{StepRecord, StepState};
use tpm_provisioner::StepSpec;

/// Percentage done, 0 to 99: 100 is for the end alone. `within` is how far the present step is.
pub(crate) fn percent(specs: &[StepSpec], records: &[StepRecord], undo: bool, within: u8) -> u8 {
    let all: u32 = specs.iter().map(|spec| spec.weight).sum::<u32>().max(1);
    let ended = |spec: &&StepSpec| {
        records.iter().any(|record| {
            record.undo == undo
                && record.name == spec.name
                && matches!(record.state, StepState::Done | StepState::Skipped)
        })
    };
    let done: u32 = specs.iter().filter(ended).map(|spec| spec.weight).sum();
    let present = specs
        .iter()
        .find(|spec| !ended(spec))
        .map_or(0, |spec| spec.weight);
    let hundredths = done * 100 + present * u32::from(within.min(100));
    u8::try_from(hundredths / all).unwrap_or(99).min(99)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tpm_provisioner::{OnFailure, WhenLate};

    fn spec(name: &'static str, weight: u32) -> StepSpec {
        StepSpec {
            name,
            rung: None,
            weight,
            deadline: Duration::from_secs(1),
            when_late: WhenLate::Fail,
            on_failure: OnFailure::Undo,
        }
    }

    fn record(name: &str, state: StepState) -> StepRecord {
        StepRecord {
            seq: 0,
            undo: false,
            name: name.into(),
            state,
            attempt: 0,
            intent: None,
            handle: None,
            evidence: None,
            started_at: None,
            finished_at: None,
        }
    }

    #[test]
    fn progress_follows_the_weights() {
        let specs = [spec("a", 3), spec("b", 1)];
        let check = |records: &[StepRecord], within, expected| {
            assert_eq!(percent(&specs, records, false, within), expected);
        };
        check(&[], 0, 0);
        check(&[record("a", StepState::Unknown)], 50, 37);
        check(&[record("a", StepState::Done)], 0, 75);
        check(
            &[
                record("a", StepState::Done),
                record("b", StepState::Skipped),
            ],
            0,
            99,
        );
    }
}
