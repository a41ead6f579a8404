//! The envelope of every error on the wire.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::errors::{FIELD_CODES, all};
use super::words::words;
use tpm_domain::Unfit;
use utoipa::ToSchema;

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
    /// `VERSION_CHANGED`: the latest version of the secret; 0 when there is none.
    #[schema(nullable = false)]
    current: Option<u64>,
    /// `GUEST_KNOWN`: the name of the server that has it. `WOULD_OVERWRITE`: of the server whose guest would be lost.
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
    /// `NETWORK_OVERLAPS`: the name of the other network; `NO_DRILL_NETWORK`: of the one that is needed.
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
    /// `BACKUP_STATE`: the backup's status.
    #[schema(nullable = false)]
    backup_status: Option<super::backups::BackupStateWord>,
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
