//! Notifications in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::examples;
use super::operation::{Op, id, paging, query_word};
use super::servers::Done;
use super::words::words;
use serde_json::{Value, json};
use tpm_domain::{EventKind, Severity};
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;

words!(
    SeverityWord,
    "How a notification is meant.",
    Severity::ALL,
    Severity::as_str
);

/// The list of events; one that is not in it does not compile.
macro_rules! events {
    ($($kind:ident $word:literal,)*) => {
        const EVENTS: &[&str] = &[$($word),*];

        /// The event's word on the wire.
        fn event(kind: &EventKind) -> &'static str {
            match kind {
                $(EventKind::$kind { .. } => $word,)*
            }
        }
    };
}

events! {
    CreateRequested "create_requested",
    Created "created",
    CreatedWithoutAgent "created_without_agent",
    CreateFailed "create_failed",
    CreateCancelled "create_cancelled",
    DeleteRequested "delete_requested",
    Deleted "deleted",
    DeleteFailed "delete_failed",
    PowerRequested "power_requested",
    PowerChanged "power_changed",
    PowerFailed "power_failed",
    ChangeRequested "change_requested",
    Changed "changed",
    ChangeFailed "change_failed",
    Cancelled "cancelled",
    GuestMissing "guest_missing",
    GuestFound "guest_found",
    Adopted "adopted",
    Imported "imported",
    ImportFailed "import_failed",
    DriftDecided "drift_decided",
    IdentityConflict "identity_conflict",
    Moved "moved",
    PowerSeen "power_seen",
    Drifted "drifted",
    PlacedAgain "placed_again",
    OrphanFound "orphan_found",
    OrphanRemoved "orphan_removed",
    OrphanLeft "orphan_left",
    ForeignInRange "foreign_in_range",
    Forgotten "forgotten",
    RecreateRequested "recreate_requested",
    ExpiresSoon "expires_soon",
    Expired "expired",
    BackupRequested "backup_requested",
    BackedUp "backed_up",
    BackupFailed "backup_failed",
    RestoreRequested "restore_requested",
    Restored "restored",
    RestoreFailed "restore_failed",
    DrillRequested "drill_requested",
    Drilled "drilled",
    DrillFailed "drill_failed",
    BackupDeleteRequested "backup_delete_requested",
    BackupDeleted "backup_deleted",
    BackupDeleteFailed "backup_delete_failed",
    BackupMissing "backup_missing",
    RunMissed "run_missed",
    NeedsOperator "needs_operator",
    AlertRaised "alert_raised",
    AlertResolved "alert_resolved",
}

words!(
    EventWord,
    "What happened. New words may be added.",
    EVENTS.iter().copied(),
    |word| word
);

/// A notification, as its reader has it.
#[derive(ToSchema)]
struct Notification {
    /// Its number.
    id: i64,
    /// What happened, in the language asked for.
    message: String,
    /// How it is meant.
    #[schema(rename = "type")]
    r#type: SeverityWord,
    /// What happened, for programs.
    event: EventWord,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// The server it is about; `null` when it is about none of ours.
    server_id: Option<i64>,
    /// The task it came of; `null` when it came of none.
    task_id: Option<String>,
    /// Whether the reader has read it.
    read: bool,
    /// When.
    #[schema(format = "date-time")]
    read_at: Option<String>,
}

/// Whether a notification is read.
#[derive(ToSchema)]
struct MarkNotification {
    /// `true` when it is, `false` when it is to be as if it were not.
    read: bool,
}

/// That all notifications are read.
#[derive(ToSchema)]
struct AllRead {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// How many were not read before.
    count: u64,
}

/// A page of notifications, the newest first.
#[derive(ToSchema)]
struct NotificationList {
    /// The page.
    notifications: Vec<Notification>,
    /// How many there are beyond the page.
    total: u64,
}

/// The newest notification.
#[derive(ToSchema)]
struct LatestNotification {
    /// `null` when there is none.
    notification: Option<Notification>,
}

fn example() -> Value {
    json!({
        "id": 1,
        "message": "server web-server-01 was created",
        "type": "success",
        "event": "created",
        "created_at": "2024-01-15T10:30:00Z",
        "server_id": 1,
        "task_id": examples::TASK,
        "read": false,
        "read_at": null,
    })
}

pub(super) fn operations() -> Vec<Op> {
    vec![
        Op::get(
            "/api/notifications",
            "listNotifications",
            "List notifications",
        )
        .about("Everybody has them separately: what one reads or deletes, others still have.")
        .queries([
            query_word(
                "type",
                "Of this type.",
                Severity::ALL.map(Severity::as_str),
                None,
            ),
            query_word(
                "unread",
                "Only those that the reader has not read, or only those that are read.",
                ["true", "false"],
                None,
            ),
        ])
        .queries(paging("notifications"))
        .answers::<NotificationList>(
            200,
            "A page of notifications, the newest first.",
            json!({ "notifications": [example()], "total": 1 }),
        ),
        Op::get(
            "/api/notifications/latest",
            "getLatestNotification",
            "Get the newest notification",
        )
        .answers::<LatestNotification>(
            200,
            "The newest one.",
            json!({ "notification": example() }),
        ),
        Op::post(
            "/api/notifications/read",
            "readAllNotifications",
            "Note that all notifications are read",
        )
        .asks_nothing()
        .answers::<AllRead>(
            200,
            "Noted.",
            json!({ "success": true, "message": answer(Lang::En, Answer::Saved), "count": 3 }),
        )
        .refuses(&["INVALID_IDEMPOTENCY_KEY"]),
        Op::patch(
            "/api/notifications/{notification_id}",
            "markNotification",
            "Note that a notification is read, or is not",
        )
        .takes(id("notification_id", "The notification's number.", 1))
        .asks::<MarkNotification>(json!({ "read": true }))
        .answers::<Done>(
            200,
            "Noted.",
            json!({ "success": true, "message": answer(Lang::En, Answer::Saved) }),
        )
        .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND"]),
        Op::delete(
            "/api/notifications/{notification_id}",
            "deleteNotification",
            "Delete a notification",
        )
        .takes(id("notification_id", "The notification's number.", 1))
        .answers::<Done>(
            200,
            "Done.",
            json!({ "success": true, "message": answer(Lang::En, Answer::NotificationDeleted) }),
        )
        .refuses(&["NOT_FOUND"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_written_as_on_the_wire() {
        for kind in [
            EventKind::CreateRequested,
            EventKind::CreatedWithoutAgent,
            EventKind::GuestMissing,
            EventKind::Changed { restart: true },
        ] {
            assert_eq!(json!(kind)["kind"], event(&kind));
        }
    }
}
