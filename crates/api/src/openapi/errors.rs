//! Every code that an error may carry, with its status, its meaning and an example: the statuses and examples
//! are what `error` makes of such an error. How it is shaped on the wire stands in `envelope`.

use crate::error;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tpm_domain::{
    Conflict, Error, FieldError, NodeName, QuotaShortage, Reason, ResourceKind, Shortage,
    TaskToken, Unfit, Vmid,
};
use tpm_messages::{ApiError, Lang};

/// A code, as the document tells it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) code: &'static str,
    pub(super) status: u16,
    pub(super) meaning: &'static str,
    pub(super) example: Value,
}

fn refused(meaning: &'static str, error: &Error) -> Known {
    let (status, code, example) = error::refused(Lang::En, error);
    Known {
        code,
        status: status.as_u16(),
        meaning,
        example,
    }
}

fn conflict(meaning: &'static str, conflict: Conflict) -> Known {
    refused(meaning, &Error::Conflict(conflict))
}

fn failed(meaning: &'static str, error: ApiError, details: &Value) -> Known {
    let (status, code, example) = error::failed(Lang::En, error, details);
    Known {
        code,
        status: status.as_u16(),
        meaning,
        example,
    }
}

/// Faults of the transport.
fn of_transport() -> Vec<Known> {
    let none = json!({});
    vec![
        failed(
            "The body is not JSON (`line` and `column` tell where), or is no object.",
            ApiError::BrokenJson,
            &json!({ "line": 1, "column": 9 }),
        ),
        failed(
            "The body is larger than `api.max_body_bytes`, 1 MiB unless set otherwise.",
            ApiError::TooLarge,
            &none,
        ),
        failed(
            "The body is not declared as `application/json`.",
            ApiError::WrongMediaType,
            &none,
        ),
        failed(
            "A browser sent the request from a page of another origin.",
            ApiError::ForeignOrigin,
            &none,
        ),
        failed(
            "Both the session cookie and an API key were sent.",
            ApiError::TwoCredentials,
            &none,
        ),
        failed(
            "The `Idempotency-Key` is empty, longer than 200 characters, or has other than visible ASCII.",
            ApiError::BadIdempotencyKey,
            &none,
        ),
        failed(
            "The request took longer than `api.request_timeout_secs`, 30 s unless set otherwise. What it \
             began is finished all the same: send it again with the same `Idempotency-Key`.",
            ApiError::Timeout,
            &none,
        ),
        failed(
            "The path does not know this method.",
            ApiError::MethodNotAllowed,
            &none,
        ),
        failed(
            "A fault of ours. `reference`, when there, is found in the log.",
            ApiError::Internal,
            &json!({ "reference": "5f1c0a9b3d2e" }),
        ),
    ]
}

/// Refusals of use cases.
fn of_use_cases() -> Vec<Known> {
    vec![
        refused(
            "One or more fields or query parameters are wrong; `fields` has all of them.",
            &Error::Invalid(vec![FieldError {
                field: "cpu".into(),
                reason: Reason::Range { min: 1, max: 128 },
            }]),
        ),
        refused(
            "Nobody is logged in, the session has ended, or the API key is not known, over, or used from elsewhere.",
            &Error::Unauthenticated,
        ),
        refused("Name, password or code is wrong.", &Error::BadCredentials),
        refused(
            "Name and password are right; a code of the person's second factor is missing.",
            &Error::SecondFactorNeeded,
        ),
        refused(
            "`auth.second_factor` is `required`, and the person has none: it can be set up, and nothing else be done.",
            &Error::SecondFactorMissing,
        ),
        refused(
            "The session was begun more than 15 minutes ago: log in again.",
            &Error::LoginAgain,
        ),
        refused(
            "Too many wrong passwords, for this name or from this address.",
            &Error::Throttled {
                retry_after_secs: 30,
            },
        ),
        refused(
            "The API key sends more requests than `limits.key_requests_per_second` (100 unless set otherwise), or the \
             person's sessions more than `limits.session_requests_per_second` (200).",
            &Error::RateLimited {
                retry_after_secs: 1,
            },
        ),
        refused("The person may not do this.", &Error::Forbidden),
        refused(
            "There is no such thing.",
            &Error::not_found(ResourceKind::Server, 42),
        ),
        refused(
            "The database does not answer.",
            &Error::Unavailable {
                retry_after_secs: 1,
            },
        ),
        refused(
            "No worker saw the cluster lately, so nothing can be promised on it.",
            &Error::ClusterUnseen {
                retry_after_secs: 5,
            },
        ),
        refused(
            "The Proxmox VE cluster does not answer.",
            &Error::ClusterUnreachable {
                retry_after_secs: 5,
            },
        ),
        refused(
            "Too many requests wait to reserve; nothing was reserved for this one.",
            &Error::Overloaded {
                retry_after_secs: 1,
            },
        ),
        refused(
            "The store of secrets does not answer.",
            &Error::SecretsAway {
                sealed: false,
                retry_after_secs: 5,
            },
        ),
        refused(
            "The store of secrets is sealed.",
            &Error::SecretsAway {
                sealed: true,
                retry_after_secs: 5,
            },
        ),
        refused(
            "The `Idempotency-Key` was used for another request.",
            &Error::KeyReused,
        ),
        refused("The disk of the database is full.", &Error::StorageFull),
    ]
}

/// What cannot be done as things stand.
fn of_conflicts() -> Vec<Known> {
    let web = || "web-server-01".to_owned();
    let task = || TaskToken("task_0af7651916cd43dd8448".into());
    vec![
        conflict(
            "Something of that name exists.",
            Conflict::NameTaken { name: web() },
        ),
        conflict(
            "Another version of the secret is the latest one.",
            Conflict::VersionChanged { current: 3 },
        ),
        conflict(
            "The store of secrets cannot do that, or this service may not there.",
            Conflict::SecretsRefused {
                why: "the master key is given from outside".into(),
            },
        ),
        conflict(
            "A server has that guest already.",
            Conflict::GuestKnown {
                vmid: Vmid(10_001),
                server: web(),
            },
        ),
        conflict(
            "Another server, or a guest of others, has that address.",
            Conflict::AddressTaken {
                address: "192.168.0.22".into(),
            },
        ),
        conflict(
            "The range or network has too few free addresses.",
            Conflict::Shortage(Shortage::Addresses {
                pool: "192.168.0.21-192.168.0.30".into(),
                missing: 2,
            }),
        ),
        conflict(
            "The range of VMIDs has too few free numbers.",
            Conflict::Shortage(Shortage::Vmids {
                pool: "10000-99999".into(),
                missing: 1,
            }),
        ),
        conflict(
            "No node has room; `nodes` has the reason of each.",
            Conflict::Shortage(Shortage::Capacity {
                missing: 1,
                nodes: vec![(NodeName("pve1".into()), Unfit::Memory { missing_mb: 2048 })],
            }),
        ),
        conflict(
            "The project may not have more; `bounds` has every bound that would be passed.",
            Conflict::Shortage(Shortage::Quota {
                project: "default".into(),
                bounds: vec![QuotaShortage {
                    resource: "cpu",
                    limit: 8,
                    used: 7,
                    wanted: 2,
                }],
            }),
        ),
        conflict(
            "The person has a second factor already.",
            Conflict::FactorThere,
        ),
        conflict(
            "The person has no second factor, or has begun to set up none.",
            Conflict::NoFactor,
        ),
        conflict(
            "Nobody would be left who may do everything.",
            Conflict::LastAdmin,
        ),
        conflict("The role is always there as it is.", Conflict::BuiltIn),
        conflict("People have the role.", Conflict::RoleInUse { users: 2 }),
        conflict("Nothing of the task failed.", Conflict::NothingToRetry),
        conflict(
            "Another network has some of these addresses.",
            Conflict::NetworkOverlaps {
                network: "office".into(),
            },
        ),
        conflict(
            "Servers hold addresses of the network.",
            Conflict::NetworkInUse { addresses: 3 },
        ),
        conflict(
            "The project has more than that already.",
            Conflict::QuotaBelowUse {
                resource: "memory",
                used: 8192,
            },
        ),
        conflict(
            "A task is at work on the server.",
            Conflict::ServerBusy { task: task() },
        ),
        conflict(
            "The server's guest cannot be told as Terraform code; `reason` has why.",
            Conflict::NotRenderable {
                why: "the role web is no longer configured".into(),
            },
        ),
        conflict(
            "The server's status does not allow it.",
            Conflict::WrongState { state: "creating" },
        ),
        conflict("A run of the schedule is not over.", Conflict::ScheduleRuns),
        conflict("The backup is protected.", Conflict::BackupProtected),
        conflict(
            "It is the only backup of its server that can be restored.",
            Conflict::OnlyBackup,
        ),
        conflict(
            "The backup's status does not allow it.",
            Conflict::BackupState { state: "missing" },
        ),
        conflict(
            "There is no network for drills, or its bridge is one that servers are on.",
            Conflict::NoDrillNetwork {
                network: "drill".into(),
            },
        ),
        conflict(
            "The server has a guest, which would be lost.",
            Conflict::WouldOverwrite {
                server: "web-server-01".into(),
            },
        ),
        conflict("The task has ended.", Conflict::TaskEnded),
        conflict(
            "The database was restored from an older copy, and no admin has accepted that so far.",
            Conflict::RestoredCopy,
        ),
    ]
}

/// Every code.
pub(super) fn all() -> Vec<Known> {
    let mut all = of_transport();
    all.extend(of_use_cases());
    all.extend(of_conflicts());
    all
}

/// These codes by status, lowest first, each once. One that is not known fails the tests.
pub(super) fn by_status(codes: &[&str]) -> BTreeMap<u16, Vec<Known>> {
    let mut found: BTreeMap<u16, Vec<Known>> = BTreeMap::new();
    let known = all();
    for code in codes {
        let one = known.iter().find(|one| one.code == *code);
        debug_assert!(one.is_some(), "{code} is no code");
        let Some(one) = one else { continue };
        let list = found.entry(one.status).or_default();
        if list.iter().all(|there| there.code != one.code) {
            list.push(one.clone());
        }
    }
    found
}

/// What may be wrong with a field.
pub(super) const FIELD_CODES: [&str; 30] = [
    "REQUIRED",
    "UNKNOWN_FIELD",
    "WRONG_TYPE",
    "OUT_OF_RANGE",
    "WRONG_COUNT",
    "TOO_LONG",
    "INVALID_NAME",
    "NOT_ALLOWED",
    "INVALID_ADDRESS",
    "RESERVED_ADDRESS",
    "INVALID_RANGE",
    "OUTSIDE_SUBNET",
    "IS_GATEWAY",
    "DUPLICATE",
    "RANGE_TOO_LARGE",
    "INVALID_TIME",
    "IN_THE_PAST",
    "NOT_AFTER",
    "TOO_FAR",
    "INVALID_PATH",
    "FORBIDDEN_URL",
    "WEAK_PASSWORD",
    "WRONG_CODE",
    "WRONG_PASSWORD",
    "NO_SUCH",
    "NOT_ONE_LINE",
    "INVALID_CALENDAR",
    "NOT_ITS_NAME",
    "SHRINKS",
    "EXCLUDES",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Words in capitals between quotes, of the half of `error` that has them.
    fn written(from: &str, to: &str) -> BTreeSet<String> {
        let source = include_str!("../error.rs");
        let begin = source.find(from).expect("the first function");
        let end = source.find(to).expect("the one after the last");
        let is_code = |text: &&str| {
            text.len() > 3 && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        };
        let part = source[begin..end].split('"').skip(1).step_by(2);
        part.filter(is_code).map(str::to_owned).collect()
    }

    #[test]
    fn every_code_is_documented_and_nothing_else() {
        let known: Vec<&str> = all().iter().map(|one| one.code).collect();
        let once: BTreeSet<String> = known.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(known.len(), once.len(), "each once: {known:?}");
        assert_eq!(once, written("fn transport", "fn reason_code"));
        let fields: BTreeSet<String> = FIELD_CODES.iter().map(|code| (*code).into()).collect();
        assert_eq!(fields, written("fn reason_code", "fn field_json"));
    }
}
