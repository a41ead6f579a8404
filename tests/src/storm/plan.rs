//! What goes wrong at the kill of a number: a pure function of seed and number.
//!
//! Places, kinds and times are decided here; which guest a number means is decided by who happens to be
//! there, so numbers stand for "one of those".

use super::random::Random;
use tpm_pve_simulator::{Fault, FaultKind};

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Api(u64),
    Worker(u64),
    Postgres,
}

/// What else goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Trouble {
    /// An answer of the cluster, or a task of it, goes wrong.
    Fault(Fault),
    /// A task of the cluster is killed on its host.
    KillTask(u64),
    /// A node is off the network for a while.
    Offline { node: u64, ms: u64 },
    /// Strangers take a number that was not given so far, a little ahead of the last one given.
    SquatAhead { ahead: u64, node: u64 },
    /// Strangers take the number of a server that is gone.
    SquatFreed { which: u64, node: u64 },
    /// Somebody renames one of our guests.
    Rename(u64),
    /// Somebody moves one of our guests.
    Migrate { which: u64, node: u64 },
    /// Somebody pulls the plug of one of our guests.
    PowerOff(u64),
    /// Somebody destroys one of our guests.
    Destroy(u64),
    /// The same, and makes another machine under its number.
    Replace(u64),
    /// A worker is stopped (SIGSTOP) for so many leases, then goes on.
    Pause { worker: u64, leases: f64 },
    /// The database drops every connection.
    CutConnections,
    /// A request that changes something is held on its way, and the database is asked whether what it is
    /// about was written down before.
    HoldAndRead(u64),
}

/// One kill and what surrounds it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Round {
    /// How long after the last kill, in average intervals: uniform in 0 to 2.
    pub(crate) pause: f64,
    /// The pause begins when an api and a worker are there; otherwise at once, so that kills also meet
    /// processes that begin.
    pub(crate) patient: bool,
    /// Who is killed at the end.
    pub(crate) victim: Victim,
    /// What happens on the way, each at its part of the pause, in order.
    pub(crate) troubles: Vec<(f64, Trouble)>,
}

/// A kill of a worker that knows what it is doing, and nothing else.
pub(crate) fn plain_round(seed: u64, kill: u64) -> Round {
    let mut random = Random::new(seed, 1, kill);
    Round {
        pause: random.between(0.0, 2.0),
        patient: true,
        victim: Victim::Worker(random.next()),
        troubles: Vec::new(),
    }
}

const SHARE_API: f64 = 0.35;
const SHARE_POSTGRES: f64 = 0.01;

/// The round of a kill.
pub(crate) fn round(seed: u64, kill: u64, postgres: bool) -> Round {
    let mut random = Random::new(seed, 1, kill);
    let pause = random.between(0.0, 2.0);
    let patient = random.chance(0.8);
    let victim = match random.unit() {
        share if postgres && share < SHARE_POSTGRES => Victim::Postgres,
        share if share < SHARE_API => Victim::Api(random.next()),
        _ => Victim::Worker(random.next()),
    };
    let mut troubles = Vec::new();
    for (share, make) in TROUBLES {
        if random.chance(*share) {
            let at = random.unit();
            troubles.push((at, make(&mut random)));
        }
    }
    if postgres && random.chance(0.02) {
        troubles.push((random.unit(), Trouble::CutConnections));
    }
    troubles.sort_by(|a, b| a.0.total_cmp(&b.0));
    Round {
        pause,
        patient,
        victim,
        troubles,
    }
}

type Make = fn(&mut Random) -> Trouble;

/// How often in a round, and what.
const TROUBLES: &[(f64, Make)] = &[
    (0.35, |r| Trouble::Fault(fault(r))),
    (0.10, |r| Trouble::Fault(fault(r))),
    (0.03, |r| Trouble::KillTask(r.next())),
    (0.02, |r| Trouble::Offline {
        node: r.next(),
        ms: 50 + r.below(350),
    }),
    (0.06, |r| Trouble::SquatAhead {
        ahead: 1 + r.below(12),
        node: r.next(),
    }),
    (0.06, |r| Trouble::SquatFreed {
        which: r.next(),
        node: r.next(),
    }),
    (0.02, |r| Trouble::Rename(r.next())),
    (0.02, |r| Trouble::Migrate {
        which: r.next(),
        node: r.next(),
    }),
    (0.03, |r| Trouble::PowerOff(r.next())),
    (0.01, |r| Trouble::Destroy(r.next())),
    (0.02, |r| Trouble::Replace(r.next())),
    (0.25, |r| Trouble::HoldAndRead(r.next())),
    (0.06, |r| Trouble::Pause {
        worker: r.next(),
        leases: r.between(0.3, 2.5),
    }),
];

/// Every request by which a step acts.
pub(crate) const WRITES: [(&str, &str); 8] = [
    ("POST", "/nodes/*/qemu/*/clone"),
    ("PUT", "/nodes/*/qemu/*/config"),
    ("PUT", "/nodes/*/qemu/*/resize"),
    ("POST", "/nodes/*/qemu/*/status/start"),
    ("POST", "/nodes/*/qemu/*/status/stop"),
    ("POST", "/nodes/*/qemu/*/status/shutdown"),
    ("POST", "/nodes/*/qemu/*/status/reboot"),
    ("DELETE", "/nodes/*/qemu/*"),
];

/// The steps that act by each of them, as SQL.
pub(crate) const STEPS: [&str; 8] = [
    "'clone'",
    "'configure'",
    "'resize'",
    "'start', 'reboot'",
    "'stop', 'shutdown', 'destroy', 'confirm'",
    "'shutdown'",
    "'reboot'",
    "'destroy', 'confirm'",
];

const READS: [(&str, &str); 6] = [
    ("GET", "/cluster/resources"),
    ("GET", "/nodes/*/tasks/*/status"),
    ("GET", "/nodes/*/qemu/*/config"),
    ("GET", "/nodes/*/qemu/*/status/current"),
    ("GET", "/nodes/*/qemu/*/agent/network-get-interfaces"),
    ("GET", "/cluster/tasks"),
];

fn status(code: u16, reason: &str, applied: bool) -> FaultKind {
    FaultKind::Status {
        code,
        reason: reason.into(),
        body: None,
        applied,
    }
}

fn task_fails(text: &str) -> FaultKind {
    FaultKind::TaskFails { text: text.into() }
}

/// Something that a cluster was seen to answer.
fn fault(random: &mut Random) -> Fault {
    let is_read = random.chance(0.3);
    let places: &[(&str, &str)] = if is_read { &READS } else { &WRITES };
    let (method, path) = random.pick(places).copied().unwrap_or(WRITES[0]);
    let lock = "can't lock file '/var/lock/qemu-server/lock-1.conf' - got timeout";
    let kind = match random.below(if is_read { 6 } else { 18 }) {
        0 => status(595, "Connection refused", false),
        1 => status(596, "Connection timed out", false),
        2 => FaultKind::DropBefore,
        3 => status(500, "something odd", false),
        4 => FaultKind::Delay {
            ms: random.below(120),
        },
        5 => status(500, "cluster not ready - no quorum?", false),
        6 | 7 => status(596, "Connection timed out", true),
        8 | 9 => FaultKind::DropAfter,
        10 => FaultKind::Lock {
            text: Some(lock.into()),
            in_task: false,
        },
        11 => FaultKind::Lock {
            text: Some(lock.into()),
            in_task: true,
        },
        12 => FaultKind::NoWorkerUpid,
        13 => task_fails("unexpected status"),
        14 => task_fails("received interrupt"),
        15 => FaultKind::TaskWarns {
            text: "careful".into(),
        },
        16 => match method {
            "PUT" => status(500, "checksum mismatch (file change by other user?)", false),
            _ => status(500, "something odd", true),
        },
        _ => match random.below(3) {
            0 => task_fails("unable to create image: not enough space"),
            1 => status(403, "Permission check failed (/vms/1, VM.Test)", false),
            _ => status(400, "Parameter verification failed.", false),
        },
    };
    let times = 1 + u32::try_from(random.below(3)).unwrap_or(0);
    Fault::once(method, path, kind).times(times)
}

/// Something that passes by itself: whoever tries again, or looks first, comes to what was asked for.
pub(crate) fn busy_fault(random: &mut Random, method: &str, path: &str) -> Fault {
    let lock = "can't lock file '/var/lock/qemu-server/lock-1.conf' - got timeout";
    let starts_a_task = !path.ends_with("/config");
    let kind = match random.below(if starts_a_task { 11 } else { 7 }) {
        0 => status(595, "Connection refused", false),
        1 => status(596, "Connection timed out", false),
        2 => status(596, "Connection timed out", true),
        3 => status(500, "cluster not ready - no quorum?", false),
        4 => FaultKind::DropAfter,
        5 => FaultKind::Lock {
            text: Some(lock.into()),
            in_task: false,
        },
        // Half a minute of a cluster whose time goes a hundred times as fast.
        6 => FaultKind::Delay { ms: 290 },
        7 => FaultKind::Lock {
            text: Some(lock.into()),
            in_task: true,
        },
        8 => FaultKind::NoWorkerUpid,
        9 => task_fails("unexpected status"),
        _ => task_fails("received interrupt"),
    };
    Fault::once(method, path, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_a_function_of_seed_and_number() {
        let of = |seed| {
            (0..200)
                .map(|kill| round(seed, kill, true))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        // Out of order and alone it is the same.
        assert_eq!(round(7, 150, true), of(7)[150]);
    }

    #[test]
    fn every_kind_of_victim_and_trouble_comes_up() {
        let rounds: Vec<_> = (0..2000).map(|kill| round(1, kill, true)).collect();
        let killed = |what: fn(&Victim) -> bool| rounds.iter().filter(|r| what(&r.victim)).count();
        assert!(killed(|v| matches!(v, Victim::Api(_))) > 500);
        assert!(killed(|v| matches!(v, Victim::Worker(_))) > 1000);
        assert!(killed(|v| matches!(v, Victim::Postgres)) > 5);
        let mut seen = std::collections::BTreeSet::new();
        for (_, trouble) in rounds.iter().flat_map(|r| &r.troubles) {
            let text = format!("{trouble:?}");
            seen.insert(text.split([' ', '(']).next().map(str::to_owned));
        }
        assert_eq!(seen.len(), 13, "{seen:?}");
        assert!((0..2000).all(|kill| round(1, kill, false).victim != Victim::Postgres));
    }
}
