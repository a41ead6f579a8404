//! The steps of every operation, in order.

use crate::settings::EngineSettings;
use std::time::Duration;
use tpm_domain::Rung;
use tpm_provisioner::{OnFailure, StepSpec, Steps, WhenLate};

/// How long the address may come after the agent.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(60);

/// How long the command of a drill may take.
const COMMAND_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What the engine is made of, with these time limits.
pub(crate) fn steps(settings: &EngineSettings) -> Steps {
    let step = |name: &'static str, weight: u32| StepSpec {
        name,
        rung: None,
        weight,
        deadline: settings.step_timeout,
        when_late: WhenLate::Fail,
        on_failure: OnFailure::Undo,
    };
    let rung = |spec: StepSpec, rung: Rung| StepSpec {
        rung: Some(rung),
        ..spec
    };
    // A guest that is whole but does not start is kept: the reason is on the node, and repairing
    // it is cheaper than making it again.
    let start = StepSpec {
        on_failure: OnFailure::Keep,
        ..step("start", 15)
    };
    let agent = StepSpec {
        deadline: settings.agent_timeout,
        when_late: WhenLate::Warn,
        on_failure: OnFailure::Keep,
        ..step("agent", 20)
    };
    let address = StepSpec {
        deadline: ADDRESS_PATIENCE.min(settings.agent_timeout),
        when_late: WhenLate::Warn,
        on_failure: OnFailure::Keep,
        ..step("address", 5)
    };
    let long = |name: &'static str, weight: u32| StepSpec {
        deadline: settings.backup.timeout,
        ..step(name, weight)
    };
    let in_time = |name: &'static str, weight: u32, deadline: Duration| StepSpec {
        deadline,
        ..step(name, weight)
    };
    let slow = settings.shutdown_timeout.saturating_mul(2) + settings.step_timeout;
    Steps {
        create: vec![
            rung(step("clone", 40), Rung::Created),
            step("configure", 10),
            rung(step("resize", 10), Rung::Configured),
            rung(start.clone(), Rung::Started),
            rung(agent.clone(), Rung::Agent),
            rung(address.clone(), Rung::Address),
        ],
        destroy: vec![step("stop", 30), step("destroy", 50), step("confirm", 20)],
        start: vec![step("start", 100)],
        stop: vec![StepSpec {
            deadline: slow,
            ..step("shutdown", 100)
        }],
        restart: vec![StepSpec {
            deadline: slow,
            ..step("reboot", 100)
        }],
        change: vec![step("configure", 50), step("resize", 50)],
        backup: vec![long("dump", 100)],
        restore: vec![
            step("prepare", 1),
            long("safety", 30),
            StepSpec {
                deadline: slow,
                ..step("shutdown", 5)
            },
            long("restore", 50),
            step("configure", 4),
            step("resize", 4),
            step("start", 6),
        ],
        restore_new: vec![
            rung(long("restore", 50), Rung::Created),
            step("configure", 8),
            rung(step("resize", 8), Rung::Configured),
            rung(start, Rung::Started),
            rung(agent, Rung::Agent),
            rung(address.clone(), Rung::Address),
        ],
        drill: vec![
            step("isolate", 1),
            rung(long("restore", 50), Rung::Created),
            rung(step("configure", 8), Rung::Configured),
            rung(step("start", 8), Rung::Started),
            rung(in_time("agent", 20, settings.agent_timeout), Rung::Agent),
            rung(in_time("address", 5, address.deadline), Rung::Address),
            in_time("command", 8, COMMAND_PATIENCE),
        ],
        erase: vec![step("erase", 100)],
    }
}
