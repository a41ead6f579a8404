//! Logging in and out, and what a person has of their own, in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::{Op, id, word};
use super::servers::Done;
use super::shapes::joined;
use super::users::{Language, PermissionWord, User, user_example};
use super::words::words;
use serde_json::{Value, json};
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;

words!(
    KnownBy,
    "By what the person of the request is known.",
    ["session", "key"],
    |word| word
);

/// Who wants in.
#[derive(ToSchema)]
struct Login {
    /// The person's name.
    #[schema(max_length = 4096, example = "admin")]
    username: String,
    /// The person's password.
    #[schema(format = "password", max_length = 4096, example = "password")]
    password: String,
    /// A code of the authenticator app, or a recovery code, for who has a second factor.
    #[schema(max_length = 100)]
    code: Option<String>,
}

/// An authenticator app can be set up.
#[derive(ToSchema)]
struct FactorBegun {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The app's key, in base32. It is shown this once.
    #[schema(pattern = "^[A-Z2-7]{32}$")]
    secret: String,
    /// The same as an address that apps open, or read as a picture.
    #[schema(pattern = "^otpauth://totp/")]
    uri: String,
}

/// A code of a second factor.
#[derive(ToSchema)]
struct FactorCode {
    /// Six digits of the app, or, to take the factor away, a recovery code.
    #[schema(max_length = 100, example = "123456")]
    code: String,
}

/// A second factor that is set up.
#[derive(ToSchema)]
struct FactorSet {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Codes to log in with when the app is lost, each once. They are shown this once.
    #[schema(min_items = 10, max_items = 10)]
    recovery_codes: Vec<String>,
}

/// Somebody who is in.
#[derive(ToSchema)]
struct LoggedIn {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Who.
    user: User,
}

/// What the request adds to its person.
#[derive(ToSchema)]
struct KnownPerson {
    /// What the person may do everywhere, within what the key allows that was used.
    permissions: Vec<PermissionWord>,
    /// By what.
    known_by: KnownBy,
}

joined!(Me, "The person of the request.", User, KnownPerson);

/// What the person changes of themselves.
#[derive(ToSchema)]
struct ChangeMe {
    /// The language the person reads when a request does not say; `null` for the default.
    #[schema(required = true)]
    language: Option<Language>,
}

/// A new password.
#[derive(ToSchema)]
struct ChangePassword {
    /// The present one.
    #[schema(format = "password", max_length = 4096)]
    current_password: String,
    /// The new one: 8 to 256 characters, and not easily guessed.
    #[schema(format = "password", min_length = 8, max_length = 256)]
    new_password: String,
}

/// A session of the person.
#[derive(ToSchema)]
struct Session {
    /// Its name. Nobody can log in with it.
    #[schema(example = "9c2b1e7f4d3a6058")]
    id: String,
    /// The address it was begun from.
    #[schema(example = "192.0.2.7")]
    address: String,
    /// The program it was begun with, as it says itself.
    #[schema(example = "curl/8.14.1")]
    agent: String,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    last_seen_at: String,
}

/// The person's sessions, the latest first.
#[derive(ToSchema)]
struct SessionList {
    /// The sessions.
    sessions: Vec<Session>,
    /// How many there are.
    total: u64,
}

/// A key for programs, without its text.
#[derive(ToSchema)]
struct Key {
    /// Its number.
    id: i64,
    /// What its owner calls it.
    #[schema(example = "deploy")]
    name: String,
    /// What its text begins with.
    #[schema(example = "tpm_4FzQ9xLm")]
    prefix: String,
    /// What it allows at most; never more than its owner may.
    scopes: Vec<PermissionWord>,
    /// Networks (CIDR) it may be used from; from anywhere when there are none.
    networks: Vec<String>,
    /// When it ends.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
    /// When it was used last, to the minute.
    #[schema(format = "date-time")]
    last_used_at: Option<String>,
    /// The address it was used from last.
    last_address: Option<String>,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
}

/// The person's keys, the latest first.
#[derive(ToSchema)]
struct KeyList {
    /// The keys.
    keys: Vec<Key>,
    /// How many there are.
    total: u64,
}

/// A key to be made.
#[derive(ToSchema)]
struct CreateKey {
    /// What its owner calls it: 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"\S", example = "deploy")]
    name: String,
    /// What it allows at most: permissions, `servers:*` for a group of them, `*` for all.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// Networks (CIDR) or addresses it may be used from; from anywhere when not said.
    #[schema(max_items = 32)]
    networks: Option<Vec<String>>,
    /// When it ends: within 366 days, which it also is when not said.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

words!(
    Scope,
    "A permission, a group of them, or all.",
    super::users::scopes(),
    |word| word
);

/// A key that was made.
#[derive(ToSchema)]
struct KeyMade {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Its number.
    key_id: i64,
    /// Its text, for `Authorization: Bearer`. It is shown this once.
    #[schema(pattern = "^tpm_[0-9A-Za-z]{49}$")]
    key: String,
    /// When it ends.
    #[schema(format = "date-time")]
    expires_at: String,
}

fn key_example() -> Value {
    json!({
        "id": 7,
        "name": "deploy",
        "prefix": "tpm_4FzQ9xLm",
        "scopes": ["servers:read", "servers:write"],
        "networks": ["192.0.2.0/24"],
        "expires_at": "2025-01-15T10:30:00Z",
        "last_used_at": null,
        "last_address": null,
        "created_at": "2024-01-15T10:30:00Z",
    })
}

fn me_example() -> Value {
    let mut me = user_example();
    me["permissions"] = json!(["servers:read", "servers:write", "tasks:read", "tasks:write"]);
    me["known_by"] = json!("session");
    me
}

pub(super) fn operations() -> Vec<Op> {
    let mut all = sessions();
    all.extend(own());
    all.extend(factors());
    all.extend(keys());
    all
}

fn sessions() -> Vec<Op> {
    vec![
        Op::post("/api/auth/login", "login", "Log in")
            .about(
                "Answers with the session cookie, which is called `__Host-tpm_session` over HTTPS and `tpm_session` on this \
                 machine alone. Wrong passwords are counted by name and by \
                 address, and slowed down.",
            )
            .open()
            .asks::<Login>(json!({ "username": "admin", "password": "password" }))
            .answers::<LoggedIn>(
                200,
                "Logged in; the cookie is set.",
                json!({
                    "success": true,
                    "message": answer(Lang::En, Answer::LoggedIn),
                    "user": user_example(),
                }),
            )
            .refuses(&[
                "INVALID_CREDENTIALS",
                "SECOND_FACTOR_NEEDED",
                "TOO_MANY_ATTEMPTS",
            ]),
        Op::post("/api/auth/logout", "logout", "Log out")
            .about("Ends the session of the cookie.")
            .in_person()
            .answers::<Done>(
                200,
                "Logged out; the cookie is taken away.",
                json!({ "success": true, "message": answer(Lang::En, Answer::LoggedOut) }),
            ),
        Op::get("/api/auth/sessions", "listSessions", "List one's own sessions")
            .in_person()
            .answers::<SessionList>(
                200,
                "All of them, the latest first.",
                json!({
                    "sessions": [{
                        "id": "9c2b1e7f4d3a6058",
                        "address": "192.0.2.7",
                        "agent": "curl/8.14.1",
                        "created_at": "2024-01-15T10:30:00Z",
                        "last_seen_at": "2024-01-15T11:02:10Z",
                    }],
                    "total": 1,
                }),
            ),
        Op::delete(
            "/api/auth/sessions/{session_id}",
            "endSession",
            "End one of one's own sessions",
        )
        .in_person()
        .takes(word(
            "session_id",
            "The session's name.",
            "^[0-9a-f]{16}$",
            "9c2b1e7f4d3a6058",
        ))
        .asks_nothing()
        .answers::<Done>(200, "Ended.", deleted())
        .refuses(&["INVALID_IDEMPOTENCY_KEY", "LOGIN_AGAIN", "NOT_FOUND"]),
    ]
}

fn own() -> Vec<Op> {
    let saved = || json!({ "success": true, "message": answer(Lang::En, Answer::Saved) });
    vec![
        Op::get("/api/auth/me", "getMe", "Get the person of the request").answers::<Me>(
            200,
            "The person.",
            me_example(),
        ),
        Op::patch("/api/auth/me", "changeMe", "Change one's own language")
            .in_person()
            .asks::<ChangeMe>(json!({ "language": "en" }))
            .answers::<Done>(200, "Saved.", saved())
            .refuses(&["INVALID_IDEMPOTENCY_KEY"]),
        Op::post(
            "/api/auth/password",
            "changePassword",
            "Change one's own password",
        )
        .about("Every other session of the person ends.")
        .in_person()
        .asks::<ChangePassword>(json!({
            "current_password": "password",
            "new_password": "correct horse battery staple",
        }))
        .answers::<Done>(200, "Changed.", saved())
        .refuses(&["INVALID_IDEMPOTENCY_KEY", "TOO_MANY_ATTEMPTS"]),
    ]
}

fn factors() -> Vec<Op> {
    let begun = json!({
        "success": true,
        "message": answer(Lang::En, Answer::FactorBegun),
        "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "uri": "otpauth://totp/Terraform%20Proxmox%20Manager:admin?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    });
    let set = json!({
        "success": true,
        "message": answer(Lang::En, Answer::FactorSet),
        "recovery_codes": vec!["00000000-00000000-00000000-00000000"; 10],
    });
    let refused = [
        "INVALID_IDEMPOTENCY_KEY",
        "LOGIN_AGAIN",
        "NO_SECOND_FACTOR",
        "TOO_MANY_ATTEMPTS",
    ];
    vec![
        Op::post(
            "/api/auth/factor",
            "beginFactor",
            "Begin to set up an authenticator app",
        )
        .about("Nothing takes a code of it until one was shown (`confirmFactor`).")
        .in_person()
        .asks_nothing()
        .answers::<FactorBegun>(201, "Begun.", begun)
        .refuses(&[
            "INVALID_IDEMPOTENCY_KEY",
            "LOGIN_AGAIN",
            "SECOND_FACTOR_EXISTS",
        ]),
        Op::post(
            "/api/auth/factor/confirm",
            "confirmFactor",
            "Show a code of the authenticator app",
        )
        .about("From then on logging in takes a code. Every other session of the person ends.")
        .in_person()
        .asks::<FactorCode>(json!({ "code": "123456" }))
        .answers::<FactorSet>(200, "Set up.", set)
        .refuses(&refused),
        Op::post(
            "/api/auth/factor/remove",
            "removeFactor",
            "Take one's own second factor away",
        )
        .about("Every other session of the person ends.")
        .in_person()
        .asks::<FactorCode>(json!({ "code": "123456" }))
        .answers::<Done>(200, "Taken away.", deleted())
        .refuses(&refused),
    ]
}

fn keys() -> Vec<Op> {
    vec![
        Op::get("/api/auth/keys", "listKeys", "List one's own API keys")
            .in_person()
            .answers::<KeyList>(
                200,
                "All of them, the latest first, without their texts.",
                json!({ "keys": [key_example()], "total": 1 }),
            ),
        Op::post("/api/auth/keys", "createKey", "Make an API key")
            .about(
                "The key is never more than its owner may: what the owner loses, it loses at once. Its text is \
                 in this answer and nowhere else.",
            )
            .in_person()
            .asks::<CreateKey>(json!({
                "name": "deploy",
                "scopes": ["servers:*", "tasks:read"],
                "networks": ["192.0.2.0/24"],
            }))
            .answers::<KeyMade>(
                201,
                "Made.",
                json!({
                    "success": true,
                    "message": answer(Lang::En, Answer::KeyCreated),
                    "key_id": 7,
                    "key": format!("tpm_{}", "0".repeat(49)),
                    "expires_at": "2025-01-15T10:30:00Z",
                }),
            )
            .refuses(&["INVALID_IDEMPOTENCY_KEY", "LOGIN_AGAIN"]),
        Op::delete("/api/auth/keys/{key_id}", "deleteKey", "Remove an API key")
            .about("It is refused from then on, by every process.")
            .in_person()
            .takes(id("key_id", "The key's number.", 7))
            .asks_nothing()
            .answers::<Done>(200, "Removed.", deleted())
            .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND"]),
    ]
}

/// The answer of what removes something.
pub(super) fn deleted() -> Value {
    json!({ "success": true, "message": answer(Lang::En, Answer::Deleted) })
}
