//! Every error as `{"error": {"code", "message", "details"}}`, in the reader's language.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tpm_app::AppError;
use tpm_domain::{Conflict, Error, FieldError, Reason, Shortage};
use tpm_messages::{ApiError, Lang};

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A use case said no.
    App(AppError),
    /// The transport did.
    Api(ApiError, Value),
}

impl From<AppError> for Fault {
    fn from(error: AppError) -> Self {
        Self::App(error)
    }
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        Self::Api(error, json!({}))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::App(AppError::Refused(error))
    }
}

/// The code on the wire and the status for a fault of the transport.
fn transport(error: ApiError) -> (StatusCode, &'static str) {
    match error {
        ApiError::NoRoute => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        ApiError::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
        ApiError::BrokenJson | ApiError::NotAnObject => (StatusCode::BAD_REQUEST, "INVALID_JSON"),
        ApiError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
        ApiError::WrongMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
        ApiError::TwoCredentials => (StatusCode::BAD_REQUEST, "TWO_CREDENTIALS"),
        ApiError::ForeignOrigin => (StatusCode::FORBIDDEN, "FOREIGN_ORIGIN"),
        ApiError::BadIdempotencyKey => (StatusCode::BAD_REQUEST, "INVALID_IDEMPOTENCY_KEY"),
        ApiError::BadParameter => (StatusCode::BAD_REQUEST, "INVALID_REQUEST"),
        ApiError::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "TIMEOUT"),
        ApiError::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}

/// The code on the wire, the status and the seconds to wait for a refusal.
fn refusal(error: &Error) -> (StatusCode, &'static str, Option<u64>) {
    match error {
        Error::Invalid(_) => (StatusCode::BAD_REQUEST, "INVALID_REQUEST", None),
        Error::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", None),
        Error::BadCredentials => (StatusCode::UNAUTHORIZED, "INVALID_CREDENTIALS", None),
        Error::SecondFactorNeeded => (StatusCode::UNAUTHORIZED, "SECOND_FACTOR_NEEDED", None),
        Error::SecondFactorMissing => (StatusCode::FORBIDDEN, "SECOND_FACTOR_MISSING", None),
        Error::LoginAgain => (StatusCode::FORBIDDEN, "LOGIN_AGAIN", None),
        Error::RateLimited { retry_after_secs } => (
            StatusCode::TOO_MANY_REQUESTS,
            "RATE_LIMITED",
            Some(*retry_after_secs),
        ),
        Error::Throttled { retry_after_secs } => (
            StatusCode::TOO_MANY_REQUESTS,
            "TOO_MANY_ATTEMPTS",
            Some(*retry_after_secs),
        ),
        Error::Forbidden => (StatusCode::FORBIDDEN, "FORBIDDEN", None),
        Error::NotFound { .. } => (StatusCode::NOT_FOUND, "NOT_FOUND", None),
        Error::Conflict(conflict) => (StatusCode::CONFLICT, conflict_code(conflict), None),
        Error::Unavailable { retry_after_secs } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            Some(*retry_after_secs),
        ),
        Error::ClusterUnseen { retry_after_secs } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "CLUSTER_UNSEEN",
            Some(*retry_after_secs),
        ),
        Error::ClusterUnreachable { retry_after_secs } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "PROXMOX_UNREACHABLE",
            Some(*retry_after_secs),
        ),
        Error::SecretsAway {
            sealed,
            retry_after_secs,
        } => (
            StatusCode::SERVICE_UNAVAILABLE,
            if *sealed {
                "SECRETS_SEALED"
            } else {
                "SECRETS_UNAVAILABLE"
            },
            Some(*retry_after_secs),
        ),
        Error::Overloaded { retry_after_secs } => (
            StatusCode::SERVICE_UNAVAILABLE,
            "OVERLOADED",
            Some(*retry_after_secs),
        ),
        Error::KeyReused => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "IDEMPOTENCY_KEY_REUSED",
            None,
        ),
        Error::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "STORAGE_FULL", Some(60)),
    }
}

fn conflict_code(conflict: &Conflict) -> &'static str {
    match conflict {
        Conflict::NameTaken { .. } => "NAME_TAKEN",
        Conflict::GuestKnown { .. } => "GUEST_KNOWN",
        Conflict::FactorThere => "SECOND_FACTOR_EXISTS",
        Conflict::NoFactor => "NO_SECOND_FACTOR",
        Conflict::AddressTaken { .. } => "ADDRESS_TAKEN",
        Conflict::Shortage(Shortage::Addresses { .. }) => "ADDRESSES_EXHAUSTED",
        Conflict::Shortage(Shortage::Vmids { .. }) => "VMIDS_EXHAUSTED",
        Conflict::Shortage(Shortage::Capacity { .. }) => "NO_CAPACITY",
        Conflict::Shortage(Shortage::Quota { .. }) => "QUOTA_EXCEEDED",
        Conflict::LastAdmin => "LAST_ADMIN",
        Conflict::BuiltIn => "BUILT_IN",
        Conflict::RoleInUse { .. } => "ROLE_IN_USE",
        Conflict::NothingToRetry => "NOTHING_TO_RETRY",
        Conflict::VersionChanged { .. } => "VERSION_CHANGED",
        Conflict::SecretsRefused { .. } => "SECRETS_REFUSED",
        Conflict::NotRenderable { .. } => "NOT_RENDERABLE",
        Conflict::LabelTaken { .. } => "NAME_TAKEN",
        Conflict::NetworkOverlaps { .. } => "NETWORK_OVERLAPS",
        Conflict::NetworkInUse { .. } => "NETWORK_IN_USE",
        Conflict::QuotaBelowUse { .. } => "QUOTA_BELOW_USE",
        Conflict::ServerBusy { .. } => "SERVER_BUSY",
        Conflict::WrongState { .. } => "WRONG_STATE",
        Conflict::ScheduleRuns => "SCHEDULE_RUNS",
        Conflict::BackupProtected => "BACKUP_PROTECTED",
        Conflict::OnlyBackup => "ONLY_BACKUP",
        Conflict::NoDrillNetwork { .. } => "NO_DRILL_NETWORK",
        Conflict::RestoredCopy => "RESTORED_COPY",
        Conflict::BackupState { .. } => "BACKUP_STATE",
        Conflict::WouldOverwrite { .. } => "WOULD_OVERWRITE",
        Conflict::TaskEnded => "TASK_ENDED",
    }
}

fn reason_code(reason: &Reason) -> &'static str {
    match reason {
        Reason::Required => "REQUIRED",
        Reason::UnknownField => "UNKNOWN_FIELD",
        Reason::Type { .. } => "WRONG_TYPE",
        Reason::Range { .. } => "OUT_OF_RANGE",
        Reason::Count { .. } => "WRONG_COUNT",
        Reason::TooLong { .. } => "TOO_LONG",
        Reason::ServerName => "INVALID_NAME",
        Reason::OneOf { .. } => "NOT_ALLOWED",
        Reason::Address => "INVALID_ADDRESS",
        Reason::AddressReserved => "RESERVED_ADDRESS",
        Reason::AddressRange => "INVALID_RANGE",
        Reason::OutsideSubnet => "OUTSIDE_SUBNET",
        Reason::IsGateway => "IS_GATEWAY",
        Reason::Duplicate => "DUPLICATE",
        Reason::RangeTooLarge { .. } => "RANGE_TOO_LARGE",
        Reason::Moment => "INVALID_TIME",
        Reason::Past => "IN_THE_PAST",
        Reason::NotAfter { .. } => "NOT_AFTER",
        Reason::TooFar { .. } => "TOO_FAR",
        Reason::UserName => "INVALID_NAME",
        Reason::SecretPath => "INVALID_PATH",
        Reason::Url(_) => "FORBIDDEN_URL",
        Reason::Guessable => "WEAK_PASSWORD",
        Reason::WrongPassword => "WRONG_PASSWORD",
        Reason::WrongCode => "WRONG_CODE",
        Reason::NoSuch => "NO_SUCH",
        Reason::OneLine => "NOT_ONE_LINE",
        Reason::NotItsName => "NOT_ITS_NAME",
        Reason::Shrinks { .. } => "SHRINKS",
        Reason::OneNeeded { .. } => "REQUIRED",
        Reason::Excludes { .. } => "EXCLUDES",
        Reason::Calendar => "INVALID_CALENDAR",
        Reason::Needs { .. } => "REQUIRED",
    }
}

fn field_json(lang: Lang, error: &FieldError) -> Value {
    json!({
        "field": error.field,
        "code": reason_code(&error.reason),
        "reason": tpm_messages::reason(lang, &error.reason),
    })
}

/// The first field as documented, and all of them.
fn field_details(lang: Lang, fields: &[FieldError]) -> Value {
    let all: Vec<Value> = fields.iter().map(|field| field_json(lang, field)).collect();
    match fields.first() {
        Some(first) => json!({
            "field": first.field,
            "reason": tpm_messages::reason(lang, &first.reason),
            "fields": all,
        }),
        None => json!({ "fields": all }),
    }
}

fn details(lang: Lang, error: &Error) -> Value {
    match error {
        Error::Invalid(fields) => field_details(lang, fields),
        Error::NotFound { id, .. } => json!({ "id": id }),
        Error::Throttled { retry_after_secs }
        | Error::RateLimited { retry_after_secs }
        | Error::Unavailable { retry_after_secs }
        | Error::ClusterUnseen { retry_after_secs }
        | Error::ClusterUnreachable { retry_after_secs }
        | Error::SecretsAway {
            retry_after_secs, ..
        }
        | Error::Overloaded { retry_after_secs } => {
            json!({ "retry_after_secs": retry_after_secs })
        }
        Error::Conflict(conflict) => match conflict {
            Conflict::VersionChanged { current } => json!({ "current": current }),
            Conflict::SecretsRefused { why } => json!({ "reason": why }),
            Conflict::NameTaken { name } => json!({ "field": "name", "name": name }),
            Conflict::GuestKnown { vmid, server } => {
                json!({ "field": "vmid", "vmid": vmid, "server": server })
            }
            Conflict::AddressTaken { address } => {
                json!({ "field": "ip_address", "address": address })
            }
            Conflict::Shortage(
                Shortage::Addresses { pool, missing } | Shortage::Vmids { pool, missing },
            ) => json!({ "pool": pool, "missing": missing }),
            Conflict::Shortage(Shortage::Capacity { missing, nodes }) => {
                let nodes: Vec<Value> = nodes
                    .iter()
                    .map(|(node, why)| {
                        json!({ "node": node, "reason": why.as_str(), "missing": why.missing() })
                    })
                    .collect();
                json!({ "missing": missing, "nodes": nodes })
            }
            Conflict::Shortage(Shortage::Quota { project, bounds }) => {
                let bounds: Vec<Value> = bounds
                    .iter()
                    .map(|it| {
                        json!({
                            "resource": it.resource,
                            "limit": it.limit,
                            "used": it.used,
                            "requested": it.wanted,
                        })
                    })
                    .collect();
                json!({ "project": project, "bounds": bounds })
            }
            Conflict::NothingToRetry
            | Conflict::LastAdmin
            | Conflict::BuiltIn
            | Conflict::FactorThere
            | Conflict::NoFactor => json!({}),
            Conflict::NotRenderable { why } => json!({ "reason": why }),
            Conflict::RoleInUse { users } => json!({ "users": users }),
            Conflict::LabelTaken { name } => json!({ "field": "name", "name": name }),
            Conflict::NetworkOverlaps { network } => {
                json!({ "field": "range", "network": network })
            }
            Conflict::NetworkInUse { addresses } => json!({ "addresses": addresses }),
            Conflict::QuotaBelowUse { resource, used } => {
                json!({ "resource": resource, "used": used })
            }
            Conflict::ServerBusy { task } => json!({ "task_id": task }),
            Conflict::WrongState { state } => json!({ "status": state }),
            Conflict::BackupState { state } => json!({ "backup_status": state }),
            Conflict::NoDrillNetwork { network } => json!({ "network": network }),
            Conflict::WouldOverwrite { server } => {
                json!({ "field": "overwrite", "server": server })
            }
            Conflict::BackupProtected
            | Conflict::OnlyBackup
            | Conflict::RestoredCopy
            | Conflict::ScheduleRuns
            | Conflict::TaskEnded => json!({}),
        },
        Error::Unauthenticated
        | Error::BadCredentials
        | Error::SecondFactorNeeded
        | Error::SecondFactorMissing
        | Error::LoginAgain
        | Error::Forbidden
        | Error::KeyReused
        | Error::StorageFull => json!({}),
    }
}

/// The code of an answer, for whoever writes it down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultCode(pub(crate) &'static str);

fn body(code: &str, message: &str, details: &Value) -> Value {
    json!({ "error": { "code": code, "message": message, "details": details } })
}

fn envelope(status: StatusCode, code: &'static str, message: &str, details: &Value) -> Response {
    let mut response = (status, Json(body(code, message, details))).into_response();
    response.extensions_mut().insert(FaultCode(code));
    response
}

/// A refusal as it goes over the wire: its status, its code, and the whole body.
pub(crate) fn refused(lang: Lang, error: &Error) -> (StatusCode, &'static str, Value) {
    let (status, code, _) = refusal(error);
    let message = tpm_messages::error(lang, error);
    (status, code, body(code, &message, &details(lang, error)))
}

/// A fault of the transport as it goes over the wire.
pub(crate) fn failed(
    lang: Lang,
    error: ApiError,
    details: &Value,
) -> (StatusCode, &'static str, Value) {
    let (status, code) = transport(error);
    let message = tpm_messages::api_error(lang, error);
    (status, code, body(code, message, details))
}

impl Fault {
    /// The answer in a language.
    pub(crate) fn into_response_in(self, lang: Lang) -> Response {
        match self {
            Self::Api(error, details) => {
                let (status, code) = transport(error);
                envelope(status, code, tpm_messages::api_error(lang, error), &details)
            }
            Self::App(AppError::Refused(error)) => {
                let (status, code, wait) = refusal(&error);
                let message = tpm_messages::error(lang, &error);
                let mut response = envelope(status, code, &message, &details(lang, &error));
                if let Some(wait) = wait {
                    response
                        .headers_mut()
                        .insert(header::RETRY_AFTER, HeaderValue::from(wait));
                }
                response
            }
            Self::App(AppError::Fault(cause)) => {
                // The caller gets a reference to this line and nothing else.
                let reference = hex::encode(rand::random::<[u8; 6]>());
                tracing::error!(reference, error = format!("{cause:#}"), "request failed");
                let (status, code) = transport(ApiError::Internal);
                let message = tpm_messages::api_error(lang, ApiError::Internal);
                envelope(status, code, message, &json!({ "reference": reference }))
            }
        }
    }
}
