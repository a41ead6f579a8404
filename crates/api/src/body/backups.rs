//! Requests about backups.

use crate::fields::Fields;
use serde_json::{Map, Value};
use tpm_app::{BackupDraft, DrillDraft, RestoreDraft, RestoreTarget};
use tpm_domain::{FieldErrors, Reason, ServerId};

/// A backup that is asked for.
pub(crate) fn create(body: Map<String, Value>) -> (BackupDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, String::new(), &mut errors);
    let draft = BackupDraft {
        server: fields.required_integer("server_id").map(ServerId),
        backup_type: fields.text("backup_type"),
        mode: fields.text("mode"),
        compress: fields.text("compress"),
        storage: fields.text("storage"),
        notes: fields.text("notes"),
        protected: fields.boolean("protected"),
    };
    fields.finish();
    (draft, errors)
}

/// `target_server_id`: a server's number, or the word `new`.
fn target(fields: &mut Fields<'_>) -> RestoreTarget {
    const FIELD: &str = "target_server_id";
    match fields.take(FIELD) {
        None | Some(Value::Null) => RestoreTarget::Origin,
        Some(Value::String(word)) if word == "new" => RestoreTarget::New(fields.text("name")),
        Some(Value::Number(number)) if number.is_i64() => {
            RestoreTarget::Server(ServerId(number.as_i64().unwrap_or_default()))
        }
        Some(Value::String(_)) => {
            let allowed = vec!["new".to_owned()];
            fields.wrong(FIELD, Reason::OneOf { allowed });
            RestoreTarget::Origin
        }
        Some(_) => {
            let expected = "integer or \"new\"";
            fields.wrong(FIELD, Reason::Type { expected });
            RestoreTarget::Origin
        }
    }
}

/// A drill, by itself or in a schedule.
pub(super) fn drill(map: Map<String, Value>, at: String, errors: &mut FieldErrors) -> DrillDraft {
    let mut fields = Fields::new(map, at, errors);
    let draft = DrillDraft {
        goal: fields.text("goal"),
        command: fields.texts("command"),
    };
    fields.finish();
    draft
}

/// A drill that is asked for.
pub(crate) fn asked_drill(body: Map<String, Value>) -> (DrillDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let draft = drill(body, String::new(), &mut errors);
    (draft, errors)
}

/// A restore that is asked for.
pub(crate) fn restore(body: Map<String, Value>) -> (RestoreDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, String::new(), &mut errors);
    let target = target(&mut fields);
    let draft = RestoreDraft {
        target,
        overwrite: fields.boolean("overwrite").unwrap_or_default(),
    };
    if fields.take("name").is_some() {
        let other = "target_server_id";
        fields.wrong("name", Reason::Excludes { other });
    }
    fields.finish();
    (draft, errors)
}
