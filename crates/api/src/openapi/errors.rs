//! The error envelope, and every code it may carry with its status, its meaning and an example: the
//! statuses and examples are what `error` makes of such an error.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::words::words;
use crate::error;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tpm_domain::{
    Conflict, Error, FieldError, NodeName, QuotaShortage, Reason, ResourceKind, Shortage,
    TaskToken, Unfit, Vmid,
};
use tpm_messages::{ApiError, Lang};
use utoipa::ToSchema;

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
        refused("Name or password is wrong.", &Error::BadCredentials),
        refused(
            "Too many wrong passwords, for this name or from this address.",
            &Error::Throttled {
                retry_after_secs: 30,
            },
        ),
        refused(
            "The API key sends more requests than `limits.key_requests_per_second`, 100 unless set otherwise.",
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
        conflict("The task has ended.", Conflict::TaskEnded),
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
pub(super) const FIELD_CODES: [&str; 24] = [
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
    "TOO_FAR",
    "WEAK_PASSWORD",
    "WRONG_PASSWORD",
    "NO_SUCH",
    "NOT_ITS_NAME",
    "SHRINKS",
    "EXCLUDES",
];

words!(
    ErrorCode,
    "Why the request was not answered as asked. Never translated; new codes may be added.",
    all(),
    |known| known.code
);
words!(
    FieldCode,
    "What is wrong with a field. Never translated; new codes may be added.",
    FIELD_CODES,
    |code| code
);

/// Every answer with a status of 400 or more.
#[derive(ToSchema)]
pub(super) struct ErrorAnswer {
    /// What went wrong.
    error: ErrorBody,
}

/// What went wrong.
#[derive(ToSchema)]
struct ErrorBody {
    /// For programs.
    code: ErrorCode,
    /// For people, in the language asked for with `Accept-Language`.
    #[schema(example = "there is no server 42")]
    message: String,
    /// What belongs to the code.
    details: ErrorDetails,
}

/// What belongs to an error's code. Which of the fields are there depends on it.
#[derive(ToSchema)]
struct ErrorDetails {
    /// `INVALID_REQUEST`: path of the first wrong field. Some conflicts: the field that is in the way.
    #[schema(nullable = false, example = "servers[1].network_config.gateway")]
    field: Option<String>,
    /// `INVALID_REQUEST`: what is wrong with it, for people. `NOT_RENDERABLE`: what is in the way.
    #[schema(nullable = false)]
    reason: Option<String>,
    /// `INVALID_REQUEST`: all that is wrong.
    #[schema(nullable = false)]
    fields: Option<Vec<FieldProblem>>,
    /// `INVALID_JSON`: the line, from 1.
    #[schema(nullable = false)]
    line: Option<u64>,
    /// `INVALID_JSON`: the column, from 1; 0 before the first one.
    #[schema(nullable = false)]
    column: Option<u64>,
    /// `NOT_FOUND`: what was asked for.
    #[schema(nullable = false)]
    id: Option<String>,
    /// Seconds after which it is worth trying again; also in the header `Retry-After`.
    #[schema(nullable = false)]
    retry_after_secs: Option<u64>,
    /// `INTERNAL_ERROR`: to be found in the log.
    #[schema(nullable = false)]
    reference: Option<String>,
    /// `NAME_TAKEN`: the name.
    #[schema(nullable = false)]
    name: Option<String>,
    /// `GUEST_KNOWN`: the guest's number.
    #[schema(nullable = false)]
    vmid: Option<u32>,
    /// `GUEST_KNOWN`: the name of the server that has it.
    #[schema(nullable = false)]
    server: Option<String>,
    /// `ADDRESS_TAKEN`: the IPv4 address.
    #[schema(nullable = false)]
    address: Option<String>,
    /// `ADDRESSES_EXHAUSTED`, `VMIDS_EXHAUSTED`: the range, `FIRST-LAST`.
    #[schema(nullable = false)]
    pool: Option<String>,
    /// `ADDRESSES_EXHAUSTED`, `VMIDS_EXHAUSTED`: how many more are needed. `NO_CAPACITY`: servers that found
    /// no place.
    #[schema(nullable = false)]
    missing: Option<u64>,
    /// `NO_CAPACITY`: why each node could not take the first of them.
    #[schema(nullable = false)]
    nodes: Option<Vec<UnfitNode>>,
    /// `QUOTA_EXCEEDED`: the project's name.
    #[schema(nullable = false)]
    project: Option<String>,
    /// `QUOTA_EXCEEDED`: every bound that would be passed.
    #[schema(nullable = false)]
    bounds: Option<Vec<PassedBound>>,
    /// `NETWORK_OVERLAPS`: the name of the other network.
    #[schema(nullable = false)]
    network: Option<String>,
    /// `NETWORK_IN_USE`: how many addresses servers hold.
    #[schema(nullable = false)]
    addresses: Option<u64>,
    /// `QUOTA_BELOW_USE`: what the project has more of.
    #[schema(nullable = false)]
    resource: Option<Resource>,
    /// `QUOTA_BELOW_USE`: how much it has, in the quota's unit.
    #[schema(nullable = false)]
    used: Option<u64>,
    /// `ROLE_IN_USE`: how many people have it.
    #[schema(nullable = false)]
    users: Option<u64>,
    /// `SERVER_BUSY`: the task at work.
    #[schema(nullable = false)]
    task_id: Option<String>,
    /// `WRONG_STATE`: the server's status.
    #[schema(nullable = false)]
    status: Option<super::servers::ServerStatus>,
}

/// A wrong field.
#[derive(ToSchema)]
struct FieldProblem {
    /// Its path; empty when the request as a whole is meant.
    #[schema(example = "servers[1].network_config.gateway")]
    field: String,
    /// For programs.
    code: FieldCode,
    /// For people, in the language asked for.
    reason: String,
}

/// A node that cannot take a server.
#[derive(ToSchema)]
struct UnfitNode {
    /// Its name.
    node: String,
    /// Why.
    reason: UnfitReason,
    /// How much is missing: cores, MiB of memory or GiB of storage; `null` where nothing is counted.
    missing: Option<u64>,
}

words!(
    UnfitReason,
    "Why a node cannot take a server: it is `offline`, `excluded` by the request, has `no_template`, or too \
     little `storage`, `memory` or `cpu`, or has a server of the `same_role`.",
    [
        Unfit::Offline,
        Unfit::Unwanted,
        Unfit::NoTemplate,
        Unfit::Storage { missing_gb: 0 },
        Unfit::Memory { missing_mb: 0 },
        Unfit::Cpu { missing: 0 },
        Unfit::SameRole,
    ],
    |unfit| unfit.as_str()
);

/// A bound of a quota that would be passed.
#[derive(ToSchema)]
struct PassedBound {
    /// Of what.
    resource: Resource,
    /// The bound: servers, cores, MiB of memory or GiB of disks.
    limit: u64,
    /// What the project has.
    used: u64,
    /// What was asked for on top.
    requested: u64,
}

words!(
    Resource,
    "What a quota bounds: `servers`, cores (`cpu`), MiB of `memory`, GiB of `disk`.",
    ["servers", "cpu", "memory", "disk"],
    |word| word
);

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
