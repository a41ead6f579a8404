//! People and roles in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::auth::deleted;
use super::operation::{Op, id, word};
use super::servers::Done;
use super::words::words;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tpm_domain::Permission;
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;

words!(
    PermissionWord,
    "Something that may be done.",
    Permission::ALL.iter().copied(),
    Permission::as_str
);
words!(
    Language,
    "A language of texts for people.",
    ["ko", "en"],
    |word| word
);

/// Everything that permissions may be written as: all, groups, and each.
pub(super) fn scopes() -> Vec<&'static str> {
    let each = || Permission::ALL.iter().map(|one| one.as_str());
    let groups: BTreeSet<&'static str> = each()
        .filter_map(|word| word.split_once(':').map(|(group, _)| group))
        .collect();
    let group = |name: &&str| -> &'static str {
        match *name {
            "audit" => "audit:*",
            "backups" => "backups:*",
            "channels" => "channels:*",
            "config" => "config:*",
            "logs" => "logs:*",
            "monitoring" => "monitoring:*",
            "networks" => "networks:*",
            "notifications" => "notifications:*",
            "projects" => "projects:*",
            "secrets" => "secrets:*",
            "servers" => "servers:*",
            "system" => "system:*",
            "tasks" => "tasks:*",
            _ => "users:*",
        }
    };
    let mut all = vec!["*"];
    all.extend(groups.iter().map(group));
    all.extend(each());
    all
}

/// A person.
#[derive(ToSchema)]
pub(super) struct User {
    /// The person's number.
    id: i64,
    /// The name the person logs in with.
    username: String,
    /// The role everywhere, or else the first one; `null` when there is none.
    role: Option<String>,
    /// Every role, and where the person has it.
    roles: Vec<UserRole>,
    /// Whether the person is kept out.
    disabled: bool,
    /// The language the person reads when a request does not say; `null` for the default.
    language: Option<Language>,
    /// Whether logging in takes a code of an authenticator app.
    second_factor: bool,
    /// When the password ends unless the person changes it; `null` when it does not.
    #[schema(format = "date-time")]
    password_ends_at: Option<String>,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    updated_at: String,
}

/// A role that a person has.
#[derive(ToSchema)]
pub(super) struct UserRole {
    /// The role's name.
    #[schema(example = "operator")]
    role: String,
    /// The project's name it is on; `null` is everywhere.
    project: Option<String>,
}

/// Everybody, by name.
#[derive(ToSchema)]
struct UserList {
    /// The people.
    users: Vec<User>,
    /// How many there are.
    total: u64,
}

/// A role that a person is given.
#[derive(ToSchema)]
struct RoleWish {
    /// The role's name.
    #[schema(max_length = 64, example = "operator")]
    role: String,
    /// The project's name it is on; everywhere when not said.
    #[schema(max_length = 64, example = "default")]
    project: Option<String>,
}

/// A role that a person is given; its name alone is the role everywhere.
#[derive(ToSchema)]
#[serde(untagged)]
enum RoleGiven {
    /// Everywhere.
    Everywhere(String),
    /// On one project.
    On(RoleWish),
}

/// A person to be added.
#[derive(ToSchema)]
struct CreateUser {
    /// The name to log in with.
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]*$",
        example = "hana"
    )]
    username: String,
    /// The password: 8 to 256 characters, and not easily guessed.
    #[schema(format = "password", min_length = 8, max_length = 256)]
    password: String,
    /// Whether the password ends after a day unless the person changes it; `false` when not said.
    temporary: Option<bool>,
    /// What the person may do. Nobody gives more than they have.
    #[schema(max_items = 64)]
    roles: Vec<RoleGiven>,
}

/// What is to be changed of a person; what is not said stays as it is.
#[derive(ToSchema)]
struct ChangeUser {
    /// A new password: every session of the person ends.
    #[schema(format = "password", min_length = 8, max_length = 256)]
    password: Option<String>,
    /// Whether that password ends after a day unless the person changes it; `false` when not said.
    temporary: Option<bool>,
    /// `false` takes the second factor away, for who has lost the app and the recovery codes. Every session of the person
    /// ends.
    second_factor: Option<bool>,
    /// What the person may do from now on.
    #[schema(max_items = 64)]
    roles: Option<Vec<RoleGiven>>,
    /// Whether the person is kept out: sessions end and keys are refused at once.
    disabled: Option<bool>,
    /// The language the person reads when a request does not say; `null` for the default.
    language: Option<Language>,
}

/// A person that was added.
#[derive(ToSchema)]
struct UserCreated {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The person's number.
    user_id: i64,
}

/// A role: a name for a set of permissions.
#[derive(ToSchema)]
struct Role {
    /// Its name.
    #[schema(example = "deployer")]
    name: String,
    /// What it allows.
    permissions: Vec<PermissionWord>,
    /// Whether it is always there and cannot be changed.
    built_in: bool,
}

/// All roles, the built-in ones first.
#[derive(ToSchema)]
struct RoleList {
    /// The roles.
    roles: Vec<Role>,
    /// How many there are.
    total: u64,
}

/// A role to be made.
#[derive(ToSchema)]
struct CreateRole {
    /// Its name: a DNS label in lower case that begins with a letter.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "deployer"
    )]
    name: String,
    /// What it allows: permissions, `servers:*` for a group of them, `*` for all.
    #[schema(min_items = 1)]
    permissions: Vec<super::auth::Scope>,
}

/// What a role allows from now on.
#[derive(ToSchema)]
struct ChangeRole {
    /// Permissions, `servers:*` for a group of them, `*` for all.
    #[schema(min_items = 1)]
    permissions: Vec<super::auth::Scope>,
}

/// A person, as an example.
pub(super) fn user_example() -> Value {
    json!({
        "id": 1,
        "username": "admin",
        "role": "admin",
        "roles": [{ "role": "admin", "project": null }],
        "disabled": false,
        "language": null,
        "second_factor": false,
        "password_ends_at": null,
        "created_at": "2024-01-15T10:30:00Z",
        "updated_at": "2024-01-15T10:30:00Z",
    })
}

fn role_example() -> Value {
    json!({
        "name": "deployer",
        "permissions": ["servers:read", "servers:write", "tasks:read"],
        "built_in": false,
    })
}

fn user_id() -> Parameter {
    id("user_id", "The person's number.", 2)
}

fn role_name() -> Parameter {
    word(
        "role",
        "The role's name.",
        "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        "deployer",
    )
}

pub(super) fn operations() -> Vec<Op> {
    let mut all = people();
    all.extend(roles());
    all
}

fn people() -> Vec<Op> {
    vec![
        Op::get("/api/users", "listUsers", "List people").answers::<UserList>(
            200,
            "Everybody, by name.",
            json!({ "users": [user_example()], "total": 1 }),
        ),
        Op::post("/api/users", "createUser", "Add a person")
            .keyed()
            .asks::<CreateUser>(json!({
                "username": "hana",
                "password": "correct horse battery staple",
                "roles": ["viewer", { "role": "operator", "project": "default" }],
            }))
            .answers::<UserCreated>(
                201,
                "Added.",
                json!({
                    "success": true,
                    "message": answer(Lang::En, Answer::LabelCreated),
                    "user_id": 2,
                }),
            )
            .refuses(&["NAME_TAKEN"]),
        Op::patch("/api/users/{user_id}", "changeUser", "Change a person")
            .about(
                "A change of password or of roles, and keeping somebody out, hold at once, for running tasks of \
                 the person as well. Somebody who may do everything has to be left.",
            )
            .takes(user_id())
            .asks::<ChangeUser>(json!({ "roles": ["operator"], "disabled": false }))
            .answers::<Done>(
                200,
                "Saved.",
                json!({ "success": true, "message": answer(Lang::En, Answer::Saved) }),
            )
            .refuses(&[
                "INVALID_IDEMPOTENCY_KEY",
                "NOT_FOUND",
                "LAST_ADMIN",
                "LOGIN_AGAIN",
                "NO_SECOND_FACTOR",
            ]),
        Op::delete("/api/users/{user_id}", "deleteUser", "Remove a person")
            .about("Sessions and keys go with the person; what the audit says stays.")
            .takes(user_id())
            .asks_nothing()
            .answers::<Done>(200, "Removed.", deleted())
            .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND", "LAST_ADMIN"]),
    ]
}

fn roles() -> Vec<Op> {
    vec![
        Op::get("/api/roles", "listRoles", "List roles").answers::<RoleList>(
            200,
            "All roles, the built-in ones first.",
            json!({ "roles": [role_example()], "total": 1 }),
        ),
        Op::post("/api/roles", "createRole", "Make a role")
            .asks::<CreateRole>(json!({
                "name": "deployer",
                "permissions": ["servers:*", "tasks:read"],
            }))
            .answers::<Role>(201, "Made.", role_example())
            .refuses(&["INVALID_IDEMPOTENCY_KEY", "NAME_TAKEN", "BUILT_IN"]),
        Op::patch(
            "/api/roles/{role}",
            "changeRole",
            "Change what a role allows",
        )
        .about("Whoever has it may do what it says from then on.")
        .takes(role_name())
        .asks::<ChangeRole>(json!({ "permissions": ["servers:read", "tasks:read"] }))
        .answers::<Role>(200, "The role as it is now.", role_example())
        .refuses(&[
            "INVALID_IDEMPOTENCY_KEY",
            "NOT_FOUND",
            "BUILT_IN",
            "LAST_ADMIN",
        ]),
        Op::delete(
            "/api/roles/{role}",
            "deleteRole",
            "Remove a role that nobody has",
        )
        .takes(role_name())
        .asks_nothing()
        .answers::<Done>(200, "Removed.", deleted())
        .refuses(&[
            "INVALID_IDEMPOTENCY_KEY",
            "NOT_FOUND",
            "BUILT_IN",
            "ROLE_IN_USE",
        ]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpm_domain::Permissions;

    #[test]
    fn every_scope_means_something_and_no_group_is_left_out() {
        let all = scopes();
        assert!(Permissions::parse(&all).is_ok(), "{all:?}");
        for one in Permission::ALL {
            let group = one.as_str().split_once(':').expect("a group").0;
            assert!(all.contains(&format!("{group}:*").as_str()), "{group}");
        }
    }
}
