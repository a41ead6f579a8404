//! Alerts: what is looked for, how long it must last, and when it is over.

use crate::{ServerId, Severity, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertRule {
    /// A server that should run does not, or its guest is gone or another one.
    ServerDown,
    /// The exporter on a running server does not answer.
    ExporterDown,
    /// Memory is nearly used up.
    MemoryHigh,
    /// The root file system is nearly full.
    DiskNearlyFull,
    /// A guest is not as its server's row says.
    Drift,
    /// A node does not take part in the cluster.
    NodeOffline,
    /// A certificate is near its end: a node's, or the one that the API shows.
    CertificateEnds,
    /// A server has no backup as young, or as lately verified, as its schedule asks for.
    BackupOld,
    /// Whatever Alertmanager sent.
    External,
}

/// When a rule's alert is raised and when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// It must have been bad for so long.
    pub raise_after: Duration,
    /// It must have been well for so long.
    pub clear_after: Duration,
}

impl AlertRule {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ServerDown,
        Self::ExporterDown,
        Self::MemoryHigh,
        Self::DiskNearlyFull,
        Self::Drift,
        Self::NodeOffline,
        Self::CertificateEnds,
        Self::BackupOld,
        Self::External,
    ];

    /// The rule on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerDown => "server_down",
            Self::ExporterDown => "exporter_down",
            Self::MemoryHigh => "memory_high",
            Self::DiskNearlyFull => "disk_nearly_full",
            Self::Drift => "drift",
            Self::NodeOffline => "node_offline",
            Self::CertificateEnds => "certificate_ends",
            Self::BackupOld => "backup_old",
            Self::External => "external",
        }
    }

    /// The rule of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text)
    }

    /// How much it matters.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::ServerDown | Self::NodeOffline => Severity::Error,
            _ => Severity::Warning,
        }
    }

    /// How long it is waited before it is raised, and before it is over.
    #[must_use]
    pub fn patience(self) -> Patience {
        let (raise, clear) = match self {
            Self::ServerDown | Self::NodeOffline => (60, 30),
            Self::ExporterDown => (300, 60),
            Self::MemoryHigh => (300, 120),
            Self::DiskNearlyFull => (300, 300),
            Self::Drift | Self::CertificateEnds | Self::BackupOld => (60, 0),
            Self::External => (0, 0),
        };
        Patience {
            raise_after: Duration::from_secs(raise),
            clear_after: Duration::from_secs(clear),
        }
    }

    /// What the time that a certificate still has is. Whoever renews by himself does so earlier: Proxmox VE two
    /// weeks before the end, ACME's clients a month.
    #[must_use]
    pub fn judge_certificate(ends: Timestamp, now: Timestamp) -> Seen {
        const DAY: i64 = 24 * 3600 * 1000;
        match ends.0.saturating_sub(now.0) {
            left if left <= 10 * DAY => Seen::Bad,
            left if left > 11 * DAY => Seen::Good,
            _ => Seen::Between,
        }
    }

    /// From which value on it is bad, and below which it is well, for rules about a value in percent.
    #[must_use]
    pub fn bounds(self) -> Option<(f64, f64)> {
        match self {
            Self::MemoryHigh => Some((95.0, 90.0)),
            Self::DiskNearlyFull => Some((90.0, 85.0)),
            _ => None,
        }
    }

    /// What a value is for the rule.
    #[must_use]
    pub fn judge(self, value: f64) -> Seen {
        match self.bounds() {
            Some((bad, _)) if value >= bad => Seen::Bad,
            Some((_, good)) if value < good => Seen::Good,
            _ => Seen::Between,
        }
    }
}

/// What a look showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is as it should not be.
    Bad,
    /// It is well.
    Good,
    /// No longer bad, not well yet.
    Between,
    /// Nothing was measured.
    Unknown,
    /// We are at work on it ourselves: what is seen means nothing.
    Muted,
}

/// How far an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It is bad, and not for long enough.
    Pending,
    /// People were told.
    Firing,
    /// It is over, and people were told.
    Resolved,
}

impl AlertState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Firing, Self::Resolved];

    /// The state on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The number of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub i64);

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What was looked for.
    pub rule: AlertRule,
    /// About what, among the alerts of the rule: a server's number, a node's name, a sender's fingerprint.
    pub key: String,
    /// The server it is about.
    pub server: Option<ServerId>,
    /// What it is about, for people.
    pub subject: String,
    /// What was seen, for people; of another's alert its own words.
    pub detail: String,
    /// How much it matters.
    pub severity: Severity,
    /// How far it is.
    pub state: AlertState,
    /// Since when it is bad.
    pub since: Timestamp,
    /// When people were told.
    pub fired_at: Option<Timestamp>,
    /// Since when it is well again, while it is not over.
    pub calm_since: Option<Timestamp>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
}

/// What becomes of an alert after a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is to be written.
    Unchanged,
    /// It is kept as it is now; people are told when its state says so and did not before.
    Keep(Box<Alert>),
    /// It was nothing.
    Drop,
}

impl Alert {
    /// One that has just begun.
    #[must_use]
    pub fn begun(rule: AlertRule, key: String, subject: String, now: Timestamp) -> Self {
        Self {
            rule,
            key,
            server: None,
            subject,
            detail: String::new(),
            severity: rule.severity(),
            state: AlertState::Pending,
            since: now,
            fired_at: None,
            calm_since: None,
            resolved_at: None,
        }
    }

    /// After a look; `self` is one that has not ended.
    #[must_use]
    pub fn after(&self, seen: Seen, now: Timestamp) -> Verdict {
        let patience = self.rule.patience();
        let mut next = self.clone();
        match (self.state, seen) {
            (AlertState::Pending, Seen::Bad) => {
                if now.since(self.since) < patience.raise_after {
                    return Verdict::Unchanged;
                }
                next.state = AlertState::Firing;
                next.fired_at = Some(now);
            }
            (AlertState::Pending, Seen::Good | Seen::Between | Seen::Muted) => {
                return Verdict::Drop;
            }
            (AlertState::Firing, Seen::Good) => {
                let calm = *next.calm_since.get_or_insert(now);
                if now.since(calm) >= patience.clear_after {
                    next.state = AlertState::Resolved;
                    next.resolved_at = Some(now);
                }
            }
            (AlertState::Firing, Seen::Bad | Seen::Between) => next.calm_since = None,
            (AlertState::Pending | AlertState::Firing, Seen::Unknown)
            | (AlertState::Firing, Seen::Muted)
            | (AlertState::Resolved, _) => return Verdict::Unchanged,
        }
        if next == *self {
            Verdict::Unchanged
        } else {
            Verdict::Keep(Box::new(next))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Seen::{Bad, Between, Good, Muted, Unknown};

    /// Each look ten seconds after the one before: the states, `.` for none.
    fn course(rule: AlertRule, looks: &[(usize, Seen)]) -> String {
        let (mut now, mut told) = (0, String::new());
        let mut alert: Option<Alert> = None;
        for seen in looks.iter().flat_map(|(n, seen)| vec![*seen; *n]) {
            let at = Timestamp(now);
            let begun = || Alert::begun(rule, "1".into(), "web".into(), at);
            let current = match alert.take() {
                None if seen == Bad => Some(begun()),
                other => other,
            };
            alert = current.and_then(|current| match current.after(seen, at) {
                Verdict::Unchanged => Some(current),
                Verdict::Keep(next) => Some(*next),
                Verdict::Drop => None,
            });
            told.push(match alert.as_ref().map(|alert| alert.state) {
                None => '.',
                Some(AlertState::Pending) => 'p',
                Some(AlertState::Firing) => 'F',
                Some(AlertState::Resolved) => 'r',
            });
            alert = alert.filter(|alert| alert.state != AlertState::Resolved);
            now += 10_000;
        }
        told
    }

    #[test]
    fn it_must_last_and_it_must_be_over() {
        let down = AlertRule::ServerDown;
        for (looks, told) in [
            (&[(8, Bad)][..], "ppppppFF"),
            // Once well, it begins anew.
            (&[(5, Bad), (1, Good), (7, Bad)], "ppppp.ppppppF"),
            (&[(7, Bad), (4, Good), (1, Good)], "ppppppFFFFr."),
            // Not for long enough well: it goes on, and people are not told twice.
            (
                &[(7, Bad), (2, Good), (1, Bad), (4, Good)],
                "ppppppFFFFFFFr",
            ),
            // What is not measured neither raises nor ends anything.
            (&[(5, Bad), (9, Unknown), (1, Bad)], "ppppppppppppppF"),
            (&[(7, Bad), (9, Unknown)], "ppppppFFFFFFFFFF"),
            // Our own work is no trouble, and does not end one.
            (&[(5, Bad), (3, Muted), (2, Bad)], "ppppp...pp"),
            (&[(7, Bad), (3, Muted), (4, Good)], "ppppppFFFFFFFr"),
        ] {
            assert_eq!(course(down, looks), told, "{looks:?}");
        }
    }

    #[test]
    fn values_between_the_bounds_change_nothing() {
        let rule = AlertRule::DiskNearlyFull;
        assert_eq!(rule.judge(90.0), Bad);
        assert_eq!(rule.judge(89.9), Between);
        assert_eq!(rule.judge(85.0), Between);
        assert_eq!(rule.judge(84.9), Good);
        let told = course(rule, &[(31, Bad), (40, Between), (31, Good)]);
        let told: String = told.chars().filter(|c| *c != 'p').collect();
        assert_eq!(told, format!("{}r", "F".repeat(71)));
        // Nothing begins between them.
        assert_eq!(course(rule, &[(3, Between)]), "...");
    }
}
