//! Tasks in the document.

#![expect(dead_code, reason = "these types only describe the wire")]

use super::examples;
use super::operation::{Op, paging, query_number, query_word, task_id};
use super::servers::{BulkAccepted, FailureView, PlannedFieldView, PolicyWord};
use super::shapes::joined;
use super::words::words;
use serde_json::json;
use tpm_domain::{StepState, TaskKind, TaskState};
use tpm_messages::{Answer, Lang, answer};
use utoipa::ToSchema;

words!(
    TaskKindWord,
    "What a task does.",
    TaskKind::ALL,
    TaskKind::as_str
);
words!(
    TaskStatus,
    "Where a task stands. `completed`, `partial` (some of a bulk failed), `failed` and `cancelled` are ends.",
    TaskState::ALL,
    TaskState::as_str
);
words!(
    StepStatus,
    "Where a step stands. `unknown`: it was begun, and whether it took effect is being asked; `skipped`: \
     given up without harm.",
    [
        StepState::Pending,
        StepState::Unknown,
        StepState::Done,
        StepState::Failed,
        StepState::Skipped,
    ],
    StepState::as_str
);
words!(
    PlanActionWord,
    "What becomes of the guest.",
    ["nothing", "create", "update", "replace", "destroy"],
    |word| word
);

/// A task in a list.
#[derive(ToSchema)]
struct TaskInList {
    /// Its name.
    #[schema(pattern = "^task_[0-9a-z_]{1,59}$")]
    task_id: String,
    /// What it does.
    kind: TaskKindWord,
    /// Where it stands.
    status: TaskStatus,
    /// How far it is, in percent.
    #[schema(minimum = 0, maximum = 100)]
    progress: u8,
    /// The same in words, in the language asked for.
    message: String,
    /// The server it is about; `null` for a bulk.
    server_id: Option<i64>,
    /// That server's name when the task was made; `null` for a bulk.
    server_name: Option<String>,
    /// Whether somebody asked it to stop.
    cancel_requested: bool,
    /// Why it failed; `null` when it did not.
    error: Option<FailureView>,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    created_at: String,
    /// RFC 3339, UTC, to the second.
    #[schema(format = "date-time")]
    updated_at: String,
}

/// A page of tasks, the newest first. Tasks of a bulk stand beneath it and are not in the list.
#[derive(ToSchema)]
struct TaskList {
    /// The page.
    tasks: Vec<TaskInList>,
    /// How many there are beyond the page.
    total: u64,
}

/// What a task by itself has beyond one in a list.
#[derive(ToSchema)]
struct TaskDetails {
    /// Its steps in order, those that undo included.
    steps: Vec<StepView>,
    /// The tasks of a bulk; only there for one.
    #[schema(nullable = false)]
    children: Option<Vec<TaskInList>>,
    /// What becomes of the others when one of a bulk fails; only there for one.
    #[schema(nullable = false)]
    policy: Option<PolicyWord>,
    /// How the tasks of a bulk stand; only there for one.
    #[schema(nullable = false)]
    summary: Option<BulkSummary>,
}

joined!(Task, "A task by itself.", TaskInList, TaskDetails);

/// How the tasks of a bulk stand.
#[derive(ToSchema)]
struct BulkSummary {
    /// How many there are.
    total: u32,
    /// Completed.
    completed: u32,
    /// Failed.
    failed: u32,
    /// Cancelled.
    cancelled: u32,
    /// Completed, and undone because others failed.
    undone: u32,
}

/// A step of a task.
#[derive(ToSchema)]
struct StepView {
    /// Its name.
    #[schema(example = "clone")]
    step: String,
    /// The same in words, in the language asked for.
    title: String,
    /// Whether it takes back what was done.
    undo: bool,
    /// Where it stands.
    status: StepStatus,
    /// How often it was acted on.
    attempts: u32,
    /// Proxmox VE's name of what was begun; `null` when nothing was.
    upid: Option<String>,
    /// When it was begun, RFC 3339, UTC, to the millisecond; `null` before.
    #[schema(format = "date-time")]
    started_at: Option<String>,
    /// When it ended, RFC 3339, UTC, to the millisecond; `null` before.
    #[schema(format = "date-time")]
    finished_at: Option<String>,
}

/// A page of a task's log.
#[derive(ToSchema)]
struct TaskLog {
    /// The task.
    task_id: String,
    /// The page.
    lines: Vec<LogLine>,
    /// How many lines there are beyond the page.
    total: u64,
}

/// A line of a task's log.
#[derive(ToSchema)]
struct LogLine {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    n: u64,
    /// When, RFC 3339, UTC, to the millisecond.
    #[schema(format = "date-time")]
    at: String,
    /// What happened, in the language asked for; lines of Terraform as it printed them.
    text: String,
}

/// What a task was planned to do.
#[derive(ToSchema)]
struct Plan {
    /// The task.
    task_id: String,
    /// SHA-256 of the plan file, hex.
    hash: String,
    /// The serial of the state it was made from.
    base_serial: u64,
    /// What becomes of the guest.
    action: PlanActionWord,
    /// Whether an existing guest is taken into the state by it.
    imports: bool,
    /// Whether something is lost by it.
    destructive: bool,
    /// The whole in words, in the language asked for.
    summary: String,
    /// The fields that change.
    changes: Vec<PlannedFieldView>,
}

/// A wish to cancel that was accepted.
#[derive(ToSchema)]
struct Cancelled {
    /// Always `true`.
    success: bool,
    /// The same in words, in the language asked for.
    message: String,
    /// The task.
    task_id: String,
    /// Where it stands now.
    status: TaskStatus,
}

pub(super) fn operations() -> Vec<Op> {
    vec![
        Op::get("/api/tasks", "listTasks", "List tasks")
            .queries([
                query_word(
                    "status",
                    "Only tasks with this status.",
                    TaskState::ALL.map(TaskState::as_str),
                    None,
                ),
                query_word(
                    "kind",
                    "Only tasks of this kind.",
                    TaskKind::ALL.map(TaskKind::as_str),
                    None,
                ),
                query_number(
                    "server_id",
                    "Only tasks about this server, those of bulks included.",
                    (i64::MIN, i64::MAX),
                    None,
                    1,
                ),
            ])
            .queries(paging("tasks"))
            .answers::<TaskList>(
                200,
                "A page of tasks, the newest first.",
                json!({ "tasks": [examples::task_in_list()], "total": 1 }),
            ),
        Op::get("/api/tasks/{task_id}", "getTask", "Get a task")
            .takes(task_id())
            .answers::<Task>(200, "The task.", examples::task())
            .refuses(&["NOT_FOUND"]),
        Op::get("/api/tasks/{task_id}/log", "getTaskLog", "Read a task's log")
            .takes(task_id())
            .queries(paging("lines"))
            .answers::<TaskLog>(
                200,
                "A page of the log, the oldest line first.",
                json!({
                    "task_id": examples::TASK,
                    "lines": [{
                        "n": 1,
                        "at": "2024-01-15T10:30:00.125Z",
                        "text": "applying the configuration: begun",
                    }],
                    "total": 12,
                }),
            )
            .refuses(&["NOT_FOUND"]),
        Op::get(
            "/api/tasks/{task_id}/plan",
            "getTaskPlan",
            "What a task was planned to do",
        )
        .about("Only tasks of the engine `terraform` have one.")
        .takes(task_id())
        .answers::<Plan>(200, "The plan.", examples::plan())
        .refuses(&["NOT_FOUND"]),
        Op::post("/api/tasks/{task_id}/cancel", "cancelTask", "Cancel a task")
            .about("A create is undone. A bulk asks each of its tasks.")
            .takes(task_id())
            .answers::<Cancelled>(
                200,
                "The task was asked to stop; it has ended when its status says so.",
                json!({
                    "success": true,
                    "message": answer(Lang::En, Answer::CancelRequested),
                    "task_id": examples::TASK,
                    "status": "running",
                }),
            )
            .refuses(&["NOT_FOUND", "TASK_ENDED"]),
        Op::post(
            "/api/tasks/{task_id}/retry",
            "retryTask",
            "Try again what failed",
        )
        .about(
            "One task, or the failed ones of a bulk (all of them when its policy is `all_or_nothing`), with a \
             new task above them.",
        )
        .takes(task_id())
        .keyed()
        .asks_nothing()
        .answers::<BulkAccepted>(
            201,
            "Accepted.",
            json!({
                "success": true,
                "message": answer(Lang::En, Answer::RetryStarted(1)),
                "task_id": examples::TASK,
                "servers": [{ "server_id": 1, "task_id": examples::OTHER_TASK }],
            }),
        )
        .refuses(&["NOT_FOUND", "NOTHING_TO_RETRY", "SERVER_BUSY", "WRONG_STATE"])
        .refuses(super::servers::SHORT),
    ]
}
