//! Logging in and out in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::operation::Op;
use super::servers::Done;
use super::words::words;
use serde_json::json;
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;

words!(
    UserRoleWord,
    "What a person may do: everything, servers and their tasks, or look only.",
    ["admin", "operator", "viewer"],
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

/// A person.
#[derive(ToSchema)]
struct User {
    /// The person's number.
    id: i64,
    /// The name the person logs in with.
    username: String,
    /// What the person may do.
    role: UserRoleWord,
}

pub(super) fn operations() -> Vec<Op> {
    vec![
        Op::post("/api/auth/login", "login", "Log in")
            .about(
                "Answers with the session cookie `tpm_session`. Wrong passwords are counted by name and by \
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
                    "user": { "id": 1, "username": "admin", "role": "admin" },
                }),
            )
            .refuses(&["INVALID_CREDENTIALS", "TOO_MANY_ATTEMPTS"]),
        Op::post("/api/auth/logout", "logout", "Log out")
            .about("Ends the session of the cookie. Also fine without one.")
            .open()
            .answers::<Done>(
                200,
                "Logged out; the cookie is taken away.",
                json!({ "success": true, "message": answer(Lang::En, Answer::LoggedOut) }),
            ),
    ]
}
