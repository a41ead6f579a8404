//! Schedules of backups in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::backups::{BackupModeWord, CompressionWord, DrillGoalWord, DrillRequest};
use super::operation::{Op, id, query_word};
use super::servers::Done;
use super::words::words;
use serde_json::{Value, json};
use tpm_domain::{Keeps, RunState};
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;
use utoipa::openapi::path::Parameter;

words!(
    RunStateWord,
    "`running`: some of its servers are not done; `done`; `missed`: nobody began it inside its window, so nothing was \
     done.",
    RunState::ALL.iter().copied(),
    RunState::as_str
);

/// Which servers: exactly one of these.
#[derive(ToSchema)]
struct ScheduleTarget {
    /// `true`: every server.
    all: Option<bool>,
    /// These servers, by number.
    #[schema(min_items = 1, max_items = 1000)]
    server_ids: Option<Vec<i64>>,
    /// Every server of this role.
    #[schema(example = "web")]
    role: Option<String>,
    /// Every server with this tag, its own or its role's.
    #[schema(example = "production")]
    tag: Option<String>,
}

/// What is kept, as Proxmox VE understands it: rules are taken in this order, and each keeps the newest backup of so
/// many hours, days, … that no rule before it has kept one of. With all of them 0 everything is kept.
#[derive(ToSchema)]
pub(super) struct RetentionRules {
    /// The newest ones.
    #[schema(minimum = 0, maximum = 10000)]
    keep_last: Option<u32>,
    /// One of each of so many hours.
    #[schema(minimum = 0, maximum = 10000)]
    keep_hourly: Option<u32>,
    /// One of each of so many days.
    #[schema(minimum = 0, maximum = 10000)]
    keep_daily: Option<u32>,
    /// One of each of so many weeks, which begin on Monday.
    #[schema(minimum = 0, maximum = 10000)]
    keep_weekly: Option<u32>,
    /// One of each of so many months.
    #[schema(minimum = 0, maximum = 10000)]
    keep_monthly: Option<u32>,
    /// One of each of so many years.
    #[schema(minimum = 0, maximum = 10000)]
    keep_yearly: Option<u32>,
}

/// What is tried of each server's newest backup.
#[derive(ToSchema)]
struct ScheduledDrill {
    /// How far the guest has to come; `null`: as far as is usual for the server.
    goal: Option<DrillGoalWord>,
    /// The command that has to succeed in it; none when empty.
    command: Vec<String>,
}

/// Which servers: one of these.
#[derive(ToSchema)]
struct ScheduleServers {
    /// `true`: every server.
    #[schema(nullable = false)]
    all: Option<bool>,
    /// These servers, by number.
    #[schema(nullable = false)]
    server_ids: Option<Vec<i64>>,
    /// Every server of this role.
    #[schema(example = "web", nullable = false)]
    role: Option<String>,
    /// Every server with this tag, its own or its role's.
    #[schema(example = "production", nullable = false)]
    tag: Option<String>,
}

/// What is kept: how many by each rule; everything when all of them are 0.
#[derive(ToSchema)]
struct KeptBackups {
    /// The newest ones.
    keep_last: u32,
    /// One of each of so many hours.
    keep_hourly: u32,
    /// One of each of so many days.
    keep_daily: u32,
    /// One of each of so many weeks.
    keep_weekly: u32,
    /// One of each of so many months.
    keep_monthly: u32,
    /// One of each of so many years.
    keep_yearly: u32,
}

/// How many servers of a run are how far.
#[derive(ToSchema)]
struct RunServers {
    /// Not begun so far.
    waiting: u64,
    /// Their backup is being made.
    started: u64,
    /// Their backup is whole.
    completed: u64,
    /// Their backup could not be made.
    failed: u64,
    /// Not begun inside the window.
    missed: u64,
    /// They had no guest, or their task was cancelled.
    skipped: u64,
}

/// A run of a schedule.
#[derive(ToSchema)]
struct ScheduleRun {
    /// Its number.
    id: i64,
    /// How far it is.
    status: RunStateWord,
    /// When it was due, RFC 3339, UTC.
    #[schema(format = "date-time")]
    due_at: String,
    /// When somebody saw to it.
    #[schema(format = "date-time")]
    started_at: String,
    /// When all of its servers were done.
    #[schema(format = "date-time")]
    ended_at: Option<String>,
    /// How many times before it were passed over because no worker ran: they are caught up with this one.
    passed_over: u32,
    /// Whether a person asked for it outside of the calendar.
    asked_for: bool,
    /// How many of its servers are how far.
    servers: RunServers,
}

/// A schedule.
#[derive(ToSchema)]
struct Schedule {
    /// Its number.
    id: i64,
    /// Its name, unique among schedules.
    #[schema(example = "nightly")]
    name: String,
    /// Only servers of this project; `null` for those of all.
    project_id: Option<i64>,
    /// Whether it is followed.
    enabled: bool,
    /// When.
    #[schema(example = "0 2 * * *")]
    calendar: String,
    /// In which time zone.
    #[schema(example = "Asia/Seoul")]
    time_zone: String,
    /// Which servers.
    target: ScheduleServers,
    /// What is tried of each server's newest backup; `null` when backups are made.
    drill: Option<ScheduledDrill>,
    /// How running guests are treated.
    mode: BackupModeWord,
    /// Where backups go.
    storage: String,
    /// How they are packed.
    compress: CompressionWord,
    /// What is written on them.
    notes: String,
    /// Each server begins up to so many seconds later.
    jitter_seconds: u32,
    /// What was not begun so long after it was due is not begun any more; `null` for always.
    window_minutes: Option<u32>,
    /// What is kept of the schedule's backups.
    retention: KeptBackups,
    /// An alert is raised for each server whose newest backup is older; `null` for none.
    max_age_hours: Option<u32>,
    /// An alert is raised for each server of which no backup was proved to restore in so many days; `null` for none.
    verified_within_days: Option<u32>,
    /// None begins on a node while so many backups run there; `null` for that of the settings.
    max_per_node: Option<u32>,
    /// None begins while so many backups run to its storage; `null` for that of the settings.
    max_per_storage: Option<u32>,
    /// The next times, RFC 3339, UTC; none while it is not followed.
    next_runs: Vec<String>,
    /// Its last run; `null` before the first.
    last_run: Option<ScheduleRun>,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// When it was changed last.
    #[schema(format = "date-time")]
    updated_at: String,
}

/// The schedules, by name.
#[derive(ToSchema)]
struct ScheduleList {
    /// The schedules.
    schedules: Vec<Schedule>,
    /// How many there are.
    total: u64,
}

/// A schedule to be made.
#[derive(ToSchema)]
struct CreateSchedule {
    /// Its name: a DNS label in lower case that begins with a letter.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "nightly"
    )]
    name: String,
    /// Only servers of this project; those of all when not said, which takes the permission everywhere.
    project_id: Option<i64>,
    /// Whether it is followed: yes when not said.
    enabled: Option<bool>,
    /// A cron expression of minute, hour, day, month and weekday.
    #[schema(example = "0 2 * * *")]
    calendar: String,
    /// The IANA's name of the time zone it is read in. A time that clocks pass over in spring is due right after,
    /// one that they show twice in autumn once.
    #[schema(example = "Asia/Seoul")]
    time_zone: String,
    /// Which servers.
    target: ScheduleTarget,
    /// Try the newest backup of each server instead of making one: restore drills by the calendar.
    drill: Option<DrillRequest>,
    /// That of the settings when not said.
    mode: Option<BackupModeWord>,
    /// A storage of the cluster that takes backups; that of the settings when not said.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9._-]{0,99}$")]
    storage: Option<String>,
    /// That of the settings when not said.
    compress: Option<CompressionWord>,
    /// One line, without `{{` and `\`.
    #[schema(max_length = 200, pattern = r"^([^\\{]|\{[^\\{])*$")]
    notes: Option<String>,
    /// Each server begins up to so many seconds later: at once when not said, and no later than the window.
    #[schema(minimum = 0, maximum = 86400)]
    jitter_seconds: Option<u32>,
    /// What was not begun so long after it was due is not begun any more, and people are told.
    #[schema(minimum = 1, maximum = 10080)]
    window_minutes: Option<u32>,
    /// What is kept of the schedule's backups: all when not said.
    retention: Option<RetentionRules>,
    /// Raise an alert for each server whose newest backup that can be restored is older.
    #[schema(minimum = 1, maximum = 87600)]
    max_age_hours: Option<u32>,
    /// Raise an alert for each server of which no backup was proved to restore, by a restore or by a Proxmox Backup
    /// Server, in so many days.
    #[schema(minimum = 1, maximum = 3650)]
    verified_within_days: Option<u32>,
    /// None begins on a node while so many backups run there. The settings' bound holds all the same.
    #[schema(minimum = 1, maximum = 100)]
    max_per_node: Option<u32>,
    /// None begins while so many backups run to its storage. The settings' bound holds all the same.
    #[schema(minimum = 1, maximum = 100)]
    max_per_storage: Option<u32>,
}

/// What is to be changed of a schedule; what is not said stays as it is, `null` takes a bound away.
#[derive(ToSchema)]
struct ChangeSchedule {
    /// Its name.
    #[schema(
        min_length = 1,
        max_length = 63,
        pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$",
        example = "nightly"
    )]
    name: Option<String>,
    /// Whose servers.
    project_id: Option<i64>,
    /// Whether it is followed. What became due while it was not is not caught up.
    enabled: Option<bool>,
    /// When.
    calendar: Option<String>,
    /// In which time zone.
    time_zone: Option<String>,
    /// Which servers.
    target: Option<ScheduleTarget>,
    /// What is tried; `null`: backups are made.
    drill: Option<DrillRequest>,
    /// How running guests are treated.
    mode: Option<BackupModeWord>,
    /// Where backups go.
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9._-]{0,99}$")]
    storage: Option<String>,
    /// How they are packed.
    compress: Option<CompressionWord>,
    /// What is written on them.
    #[schema(max_length = 200, pattern = r"^([^\\{]|\{[^\\{])*$")]
    notes: Option<String>,
    /// How far the beginnings are spread.
    #[schema(minimum = 0, maximum = 86400)]
    jitter_seconds: Option<u32>,
    /// How late a server may begin.
    #[schema(minimum = 1, maximum = 10080)]
    window_minutes: Option<u32>,
    /// What is kept; rules that are not said are 0.
    retention: Option<RetentionRules>,
    /// How old the newest backup of a server may become.
    #[schema(minimum = 1, maximum = 87600)]
    max_age_hours: Option<u32>,
    /// Within how many days one has to be proved to restore.
    #[schema(minimum = 1, maximum = 3650)]
    verified_within_days: Option<u32>,
    /// Most at once on a node.
    #[schema(minimum = 1, maximum = 100)]
    max_per_node: Option<u32>,
    /// Most at once to a storage.
    #[schema(minimum = 1, maximum = 100)]
    max_per_storage: Option<u32>,
}

/// A schedule that was made.
#[derive(ToSchema)]
struct ScheduleMade {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Its number.
    schedule_id: i64,
    /// The next times, RFC 3339, UTC.
    next_runs: Vec<String>,
}

/// A run that was begun.
#[derive(ToSchema)]
struct RunBegun {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Its number.
    run_id: i64,
    /// How many servers it is about.
    servers: u64,
}

words!(
    PruneMarkWord,
    "What becomes of a backup.",
    ["keep", "remove"],
    |word| word
);

words!(
    PruneRuleWord,
    "The rule that keeps a backup; `protected`: it is kept from deletion and counts for no rule; `newest_good`: no rule \
     keeps it, but it is the newest one that can be restored; `keep_all`: without any number nothing goes.",
    Keeps::KINDS,
    Keeps::as_str
);

/// What is to be kept of which backups.
#[derive(ToSchema)]
struct PruneBackups {
    /// Only of this server.
    server_id: Option<i64>,
    /// Only those that this schedule made, by its own rules and time zone: no others may be said then.
    schedule_id: Option<i64>,
    /// Only on this storage.
    storage: Option<String>,
    /// The newest ones.
    #[schema(minimum = 0, maximum = 10000)]
    keep_last: Option<u32>,
    /// One of each of so many hours.
    #[schema(minimum = 0, maximum = 10000)]
    keep_hourly: Option<u32>,
    /// One of each of so many days.
    #[schema(minimum = 0, maximum = 10000)]
    keep_daily: Option<u32>,
    /// One of each of so many weeks.
    #[schema(minimum = 0, maximum = 10000)]
    keep_weekly: Option<u32>,
    /// One of each of so many months.
    #[schema(minimum = 0, maximum = 10000)]
    keep_monthly: Option<u32>,
    /// One of each of so many years.
    #[schema(minimum = 0, maximum = 10000)]
    keep_yearly: Option<u32>,
    /// Whose hours, days and weeks: those of UTC when not said.
    #[schema(example = "Asia/Seoul")]
    time_zone: Option<String>,
}

/// What becomes of one backup.
#[derive(ToSchema)]
struct PrunedBackup {
    /// The backup.
    backup_id: String,
    /// The server it is of.
    server_id: i64,
    /// That server's name.
    server_name: String,
    /// The storage it is on.
    storage: String,
    /// When it was begun, RFC 3339, UTC.
    #[schema(format = "date-time")]
    created_at: String,
    /// Whether it stays.
    mark: PruneMarkWord,
    /// Why it stays; `null` when no rule keeps it, so that it goes.
    rule: Option<PruneRuleWord>,
}

/// What becomes of which backups.
#[derive(ToSchema)]
struct Pruned {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// Whether it was only asked what would be.
    dry_run: bool,
    /// How many go.
    remove: u64,
    /// How many stay.
    keep: u64,
    /// Each of them, by server and storage, the newest first.
    backups: Vec<PrunedBackup>,
}

fn prune() -> Op {
    let one = |backup: &str, at: &str, mark: &str, rule: Value| {
        json!({
            "backup_id": backup,
            "server_id": 1,
            "server_name": "web-server-01",
            "storage": "local",
            "created_at": at,
            "mark": mark,
            "rule": rule,
        })
    };
    let mut answer = done(Answer::WouldPrune(1));
    answer["dry_run"] = json!(true);
    answer["remove"] = json!(1);
    answer["keep"] = json!(1);
    answer["backups"] = json!([
        one(
            "backup_12346",
            "2024-01-15T02:00:00Z",
            "keep",
            json!("keep_last")
        ),
        one(
            "backup_12345",
            "2024-01-14T02:00:00Z",
            "remove",
            Value::Null
        ),
    ]);
    Op::post("/api/backups/prune", "pruneBackups", "Prune backups")
        .about(
            "Of each server on each storage, as Proxmox VE prunes: rules are taken in the order last, hourly, daily, \
             weekly, monthly, yearly, and each keeps the newest backup of so many hours, days, … that no rule before it \
             has kept one of. Protected ones stay, and so does the newest one that can be restored, whatever is said. \
             What goes is marked as `condemned` at once, and deleted by tasks when nothing else is at work on its \
             server. Asking with `dry_run` takes the permission to read alone.",
        )
        .queries([query_word(
            "dry_run",
            "Only tell what would go, and why the rest stays.",
            ["true", "false"],
            Some("false"),
        )])
        .asks::<PruneBackups>(json!({ "server_id": 1, "keep_last": 3, "keep_daily": 7 }))
        .answers::<Pruned>(200, "What becomes of each.", answer)
        .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND"])
}

fn schedule_id() -> Parameter {
    id("schedule_id", "The schedule's number.", 1)
}

fn example() -> Value {
    json!({
        "id": 1,
        "name": "nightly",
        "project_id": null,
        "enabled": true,
        "calendar": "0 2 * * *",
        "time_zone": "Asia/Seoul",
        "target": { "role": "web" },
        "drill": null,
        "mode": "snapshot",
        "storage": "local",
        "compress": "zstd",
        "notes": "",
        "jitter_seconds": 600,
        "window_minutes": 240,
        "retention": {
            "keep_last": 3,
            "keep_hourly": 0,
            "keep_daily": 7,
            "keep_weekly": 4,
            "keep_monthly": 0,
            "keep_yearly": 0,
        },
        "max_age_hours": 26,
        "verified_within_days": null,
        "max_per_node": 1,
        "max_per_storage": null,
        "next_runs": ["2024-01-15T17:00:00Z", "2024-01-16T17:00:00Z"],
        "last_run": {
            "id": 7,
            "status": "running",
            "due_at": "2024-01-14T17:00:00Z",
            "started_at": "2024-01-14T17:00:02Z",
            "ended_at": null,
            "passed_over": 0,
            "asked_for": false,
            "servers": {
                "waiting": 3, "started": 2, "completed": 5, "failed": 0, "missed": 0, "skipped": 0,
            },
        },
        "created_at": "2024-01-15T10:30:00Z",
        "updated_at": "2024-01-15T10:30:00Z",
    })
}

fn done(said: Answer) -> Value {
    json!({ "success": true, "message": answer(Lang::Ko, said) })
}

const LIST: &str = "/api/backups/schedules";
const ONE: &str = "/api/backups/schedules/{schedule_id}";

pub(super) fn operations() -> Vec<Op> {
    let mut made = done(Answer::ScheduleCreated);
    made["schedule_id"] = json!(1);
    made["next_runs"] = json!(["2024-01-15T17:00:00Z"]);
    let mut begun = done(Answer::RunStarted(10));
    begun["run_id"] = json!(7);
    begun["servers"] = json!(10);
    vec![
        prune(),
        Op::get(LIST, "listSchedules", "List schedules").answers::<ScheduleList>(
            200,
            "The schedules, by name.",
            json!({ "schedules": [example()], "total": 1 }),
        ),
        Op::post(LIST, "createSchedule", "Create a schedule")
            .about(
                "At the times of its calendar the servers are backed up: one task each, as many at once as node and \
                 storage allow, never two of one server. Whatever was due while no worker ran is caught up once.",
            )
            .keyed()
            .asks::<CreateSchedule>(json!({
                "name": "nightly",
                "calendar": "0 2 * * *",
                "time_zone": "Asia/Seoul",
                "target": { "all": true },
                "jitter_seconds": 600,
                "window_minutes": 240,
                "retention": { "keep_last": 3, "keep_daily": 7, "keep_weekly": 4 },
            }))
            .answers::<ScheduleMade>(201, "Made.", made)
            .refuses(&["NAME_TAKEN"]),
        Op::get(ONE, "getSchedule", "Get a schedule")
            .takes(schedule_id())
            .answers::<Schedule>(200, "The schedule.", example())
            .refuses(&["NOT_FOUND"]),
        Op::patch(ONE, "changeSchedule", "Change a schedule")
            .about("A run that is under way goes on with what it says from then on.")
            .takes(schedule_id())
            .asks_maybe::<ChangeSchedule>(json!({ "enabled": false }))
            .answers::<Done>(200, "Saved.", done(Answer::Saved))
            .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND", "NAME_TAKEN"]),
        Op::delete(ONE, "deleteSchedule", "Delete a schedule")
            .about("Its backups stay. What is being made is made; what waits is dropped.")
            .takes(schedule_id())
            .asks_nothing()
            .answers::<Done>(200, "Done.", done(Answer::Deleted))
            .refuses(&["INVALID_IDEMPOTENCY_KEY", "NOT_FOUND"]),
        Op::post(
            "/api/backups/schedules/{schedule_id}/run",
            "runSchedule",
            "Run a schedule now",
        )
        .about("Whether it is followed or not; when it is due otherwise stays as it is.")
        .takes(schedule_id())
        .keyed()
        .asks_nothing()
        .answers::<RunBegun>(202, "Begun.", begun)
        .refuses(&["NOT_FOUND", "SCHEDULE_RUNS"]),
    ]
}
