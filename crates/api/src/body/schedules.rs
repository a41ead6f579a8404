//! Requests about schedules.

use crate::fields::Fields;
use serde_json::{Map, Value};
use tpm_app::{PruneDraft, RetentionDraft, ScheduleDraft, TargetDraft};
use tpm_domain::FieldErrors;

/// What is kept, field by field.
fn retention(map: Map<String, Value>, at: String, errors: &mut FieldErrors) -> RetentionDraft {
    let mut fields = Fields::new(map, at, errors);
    let counts = RetentionDraft::FIELDS.map(|field| fields.integer(field));
    fields.finish();
    RetentionDraft { counts }
}

fn target(map: Map<String, Value>, at: String, errors: &mut FieldErrors) -> TargetDraft {
    let mut fields = Fields::new(map, at, errors);
    let target = TargetDraft {
        all: fields.boolean("all"),
        servers: fields.integers("server_ids"),
        role: fields.text("role"),
        tag: fields.text("tag"),
    };
    fields.finish();
    target
}

/// What is to be kept of which backups.
pub(crate) fn prune(body: Map<String, Value>) -> (PruneDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, String::new(), &mut errors);
    let draft = PruneDraft {
        server: fields.integer("server_id"),
        schedule: fields.integer("schedule_id"),
        storage: fields.text("storage"),
        retention: RetentionDraft {
            counts: RetentionDraft::FIELDS.map(|field| fields.integer(field)),
        },
        time_zone: fields.text("time_zone"),
    };
    fields.finish();
    (draft, errors)
}

/// A schedule that is asked for, or what is to be changed of one.
pub(crate) fn schedule(body: Map<String, Value>) -> (ScheduleDraft, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut fields = Fields::new(body, String::new(), &mut errors);
    let number = |fields: &mut Fields<'_>, name: &str| fields.nullable(name, |it| it.integer(name));
    let target = fields
        .object("target")
        .map(|map| target(map, "target.".into(), fields.errors()));
    let retention = fields
        .object("retention")
        .map(|map| retention(map, "retention.".into(), fields.errors()));
    let drill = fields.nullable("drill", |it| it.object("drill"));
    let drill = drill.map(|wanted| {
        wanted.map(|map| super::backups::drill(map, "drill.".into(), fields.errors()))
    });
    let draft = ScheduleDraft {
        name: fields.text("name"),
        project: number(&mut fields, "project_id"),
        enabled: fields.boolean("enabled"),
        calendar: fields.text("calendar"),
        time_zone: fields.text("time_zone"),
        target,
        drill,
        mode: fields.text("mode"),
        storage: fields.text("storage"),
        compress: fields.text("compress"),
        notes: fields.text("notes"),
        jitter_secs: fields.integer("jitter_seconds"),
        window_minutes: number(&mut fields, "window_minutes"),
        retention,
        max_age_hours: number(&mut fields, "max_age_hours"),
        verified_within_days: number(&mut fields, "verified_within_days"),
        per_node: number(&mut fields, "max_per_node"),
        per_storage: number(&mut fields, "max_per_storage"),
    };
    fields.finish();
    (draft, errors)
}
