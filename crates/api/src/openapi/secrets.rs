//! Secrets in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::{Op, query_number, query_word, word};
use super::servers::Done;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tpm_messages::{Answer, Lang, answer};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema};
use utoipa::{PartialSchema, ToSchema};

/// How a mount is doing.
#[derive(ToSchema)]
struct SecretMount {
    /// The first part of paths.
    #[schema(example = "secret")]
    name: String,
    /// 1 or 2, as Vault counts versions of its KV engine; `null` when that is not known.
    kv_version: Option<u8>,
    /// Whether secrets can be read there.
    healthy: bool,
    /// Why not.
    reason: Option<String>,
}

/// How the store of secrets is doing.
#[derive(ToSchema)]
struct SecretsStatus {
    /// `running`, `down` or `not_configured`.
    #[schema(example = "running")]
    status: String,
    /// `embedded`: sealed, in the database of the service.
    #[schema(example = "embedded")]
    store: Option<String>,
    /// Whether it answers.
    reachable: bool,
    /// Whether it was set up; `null` when that is not known.
    initialized: Option<bool>,
    /// Whether it is sealed; `null` when that is not known.
    sealed: Option<bool>,
    /// Its version.
    #[schema(example = "0.1.0")]
    version: Option<String>,
    /// How this service is known there: `master_key` for the embedded store.
    #[schema(example = "master_key")]
    auth_method: Option<String>,
    /// Seconds that the token is good for; `null` when it does not end, or there is none.
    token_ttl_seconds: Option<u64>,
    /// The mounts that may be asked for.
    mounts: Vec<SecretMount>,
    /// Why it cannot be used; `null` when it can.
    reason: Option<String>,
}

/// What a secret holds: any fields, at least one.
struct SecretFields;

impl PartialSchema for SecretFields {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .description(Some("What a secret holds: any fields, at least one."))
            .min_properties(Some(1))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for SecretFields {}

/// A secret.
#[derive(ToSchema)]
struct Secret {
    /// Where it is.
    #[schema(example = "secret/ssh")]
    path: String,
    /// What it holds.
    data: BTreeMap<String, Value>,
    /// Which version; 0 where the store knows none.
    version: u64,
    /// When it was written; `null` where the store does not know.
    #[schema(format = "date-time")]
    created_at: Option<String>,
}

/// The names in a folder.
#[derive(ToSchema)]
struct SecretNames {
    /// The folder.
    #[schema(example = "secret")]
    path: String,
    /// The names, sorted; folders end with a slash.
    keys: Vec<String>,
    /// How many there are.
    total: u64,
}

/// A version of a secret, without what it holds.
#[derive(ToSchema)]
struct SecretVersion {
    /// Which.
    version: u64,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// When it was deleted; `null` when it was not.
    #[schema(format = "date-time")]
    deleted_at: Option<String>,
}

/// The versions of a secret, the oldest first.
#[derive(ToSchema)]
struct SecretVersions {
    /// Where it is.
    #[schema(example = "secret/ssh")]
    path: String,
    /// The versions: the latest ten are kept.
    versions: Vec<SecretVersion>,
    /// How many there are.
    total: u64,
}

/// A secret; with `list` the names in a folder, with `versions` what is known of each version.
#[derive(ToSchema)]
#[serde(untagged)]
enum SecretAnswer {
    /// A secret.
    Secret(Secret),
    /// The names in a folder.
    Names(SecretNames),
    /// Its versions.
    Versions(SecretVersions),
}

/// A version that was written.
#[derive(ToSchema)]
struct SecretWritten {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Where it is.
    #[schema(example = "secret/ssh")]
    path: String,
    /// Which version it is; 0 where the store knows none.
    version: u64,
}

/// A new master key.
#[derive(ToSchema)]
struct SecretsRotated {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The new key's name, made from its digest.
    #[schema(example = "1f825aa2f0020ef7")]
    key: String,
    /// Versions that were sealed anew.
    resealed: u64,
}

fn path() -> Parameter {
    word(
        "path",
        "Mount and key; the key may have slashes. Each part is 1 to 128 letters, digits and `_ . -`, not dots alone.",
        "^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$",
        "secret/ssh",
    )
}

const ONE: &str = "/api/vault/secrets/{path}";
const AWAY: [&str; 4] = [
    "NOT_FOUND",
    "SECRETS_REFUSED",
    "SECRETS_SEALED",
    "SECRETS_UNAVAILABLE",
];

fn flag(name: &str, text: &str) -> Parameter {
    query_word(name, text, ["true", "false"], None)
}

fn version() -> Parameter {
    query_number(
        "version",
        "This version instead of the latest.",
        (1, i64::MAX),
        None,
        1,
    )
}

pub(super) fn operations() -> Vec<Op> {
    let fields = json!({
        "private_key": "-----BEGIN OPENSSH PRIVATE KEY-----",
        "public_key": "ssh-rsa AAAAB3NzaC1yc2E...",
    });
    let done = |said| json!({ "success": true, "message": answer(Lang::En, said) });
    let mut written = done(Answer::Saved);
    written["path"] = json!("secret/ssh");
    written["version"] = json!(1);
    let mut rotated = done(Answer::SecretsRotated);
    rotated["key"] = json!("1f825aa2f0020ef7");
    rotated["resealed"] = json!(12);
    vec![
        Op::get("/api/vault/status", "getSecretsStatus", "How the store of secrets is doing")
            .about("200 also when it is away or sealed.")
            .answers::<SecretsStatus>(
                200,
                "How it is doing.",
                json!({
                    "status": "running",
                    "store": "embedded",
                    "reachable": true,
                    "initialized": true,
                    "sealed": false,
                    "version": "0.1.0",
                    "auth_method": "master_key",
                    "token_ttl_seconds": null,
                    "mounts": [{ "name": "secret", "kv_version": 2, "healthy": true, "reason": null }],
                    "reason": null,
                }),
            ),
        Op::get(ONE, "readSecret", "Read a secret")
            .about("Reading is written to the audit, by the path. With `list=true` the names in a folder, with `versions=true` the versions.")
            .takes(path())
            .queries([
                version(),
                flag("list", "The names in the folder."),
                flag("versions", "What is known of each version."),
            ])
            .answers::<SecretAnswer>(
                200,
                "The secret, the names, or the versions.",
                json!({
                    "path": "secret/ssh",
                    "data": fields,
                    "version": 1,
                    "created_at": "2024-01-15T10:30:00Z",
                }),
            )
            .refuses(&AWAY),
        Op::post(ONE, "writeSecret", "Write a secret")
            .about("The whole body is what it holds: at most 64 KiB. Earlier versions are kept, ten in all.")
            .takes(path())
            .queries([query_number(
                "cas",
                "Only when this is the latest version; 0: only when there is none.",
                (0, i64::MAX),
                None,
                0,
            )])
            .asks::<SecretFields>(fields.clone())
            .answers::<SecretWritten>(201, "Written.", written)
            .refuses(&[
                "INVALID_IDEMPOTENCY_KEY",
                "NOT_FOUND",
                "VERSION_CHANGED",
                "SECRETS_REFUSED",
                "SECRETS_SEALED",
                "SECRETS_UNAVAILABLE",
            ]),
        Op::delete(ONE, "deleteSecret", "Delete a secret")
            .about("The latest version, or that one; what it held is gone. With `all=true` every version, and that there was one.")
            .takes(path())
            .queries([version(), flag("all", "Everything.")])
            .asks_nothing()
            .answers::<Done>(200, "Deleted.", done(Answer::Deleted))
            .refuses(&[
                "INVALID_IDEMPOTENCY_KEY",
                "NOT_FOUND",
                "SECRETS_REFUSED",
                "SECRETS_SEALED",
                "SECRETS_UNAVAILABLE",
            ]),
        Op::post("/api/vault/rotate", "rotateSecrets", "Replace the master key")
            .about("Of the embedded store, where the key is in a file of its own; every version is sealed anew. Readers and writers go on meanwhile.")
            .asks_nothing()
            .answers::<SecretsRotated>(200, "Replaced.", rotated)
            .refuses(&[
                "INVALID_IDEMPOTENCY_KEY",
                "SECRETS_REFUSED",
                "SECRETS_SEALED",
                "SECRETS_UNAVAILABLE",
            ]),
    ]
}
