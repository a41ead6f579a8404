//! What tasks say of themselves, and what is said when one is accepted.

use crate::Lang;
use std::time::Duration;
use tpm_domain::{
    ChildSummary, Failure, FailureCode, Placement, StepRecord, StepState, Task, TaskKind, TaskNote,
    TaskState,
};

/// What is said when a request was accepted or needed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One server will be created.
    CreateStarted,
    /// So many servers will be created.
    BulkCreateStarted(usize),
    /// One server will be deleted.
    DeleteStarted,
    /// So many servers will be deleted.
    BulkDeleteStarted(usize),
    /// An older state is the latest one again.
    StateRestored,
    /// A change of power was begun.
    PowerStarted,
    /// The power is so already.
    PowerAlreadyThere,
    /// The power of so many servers will change, and of so many it is so already.
    BulkPowerStarted(usize, usize),
    /// A change of cores, memory or disk was begun.
    ChangeStarted,
    /// A key was made.
    KeyCreated,
    /// An authenticator app can be set up.
    FactorBegun,
    /// Logging in takes a second factor from now on.
    FactorSet,
    /// A person, role, key or session is gone.
    Deleted,
    /// Taking over a guest of others was begun.
    ImportStarted,
    /// What was changed is stored; no task is needed.
    Saved,
    /// So many failed tasks are tried again.
    RetryStarted(usize),
    /// A lost server is made again.
    RecreateStarted,
    /// The server was taken off the list.
    Forgotten,
    /// The project or network was made.
    LabelCreated,
    /// The network is gone.
    NetworkDeleted,
    /// The task was asked to stop.
    CancelRequested,
    /// The notification is gone.
    NotificationDeleted,
    /// So many targets are published.
    TargetsPublished(usize),
    /// So many alerts were taken in.
    AlertsTaken(usize),
    /// The master key of secrets is another one.
    SecretsRotated,
    /// A backup was begun.
    BackupStarted,
    /// A backup is being restored.
    RestoreStarted,
    /// A backup is being tried.
    DrillStarted,
    /// A backup is being deleted.
    BackupDeleteStarted,
    /// A schedule was made.
    ScheduleCreated,
    /// A run of a schedule over so many servers was begun.
    RunStarted(usize),
    /// So many backups would go.
    WouldPrune(usize),
    /// So many backups go.
    Pruning(usize),
    /// A channel was made; its signing key is shown this once.
    ChannelCreated,
    /// A channel has a new signing key, shown this once.
    ChannelRotated,
    /// A test will be sent.
    ChannelTested,
    /// What a test says.
    ChannelTest,
    /// Logged in.
    LoggedIn,
    /// Logged out.
    LoggedOut,
}

/// The sentence for an accepted request.
#[must_use]
pub fn answer(lang: Lang, answer: Answer) -> String {
    match (lang, answer) {
        (Lang::Ko, Answer::CreateStarted) => "서버 생성이 시작되었습니다".into(),
        (Lang::En, Answer::CreateStarted) => "server creation has begun".into(),
        (Lang::Ko, Answer::BulkCreateStarted(n)) => format!("서버 {n}대의 생성이 시작되었습니다"),
        (Lang::En, Answer::BulkCreateStarted(n)) => format!("creation of {n} servers has begun"),
        (Lang::Ko, Answer::DeleteStarted) => "서버 삭제가 시작되었습니다".into(),
        (Lang::En, Answer::DeleteStarted) => "server deletion has begun".into(),
        (Lang::Ko, Answer::BulkDeleteStarted(n)) => format!("서버 {n}대의 삭제가 시작되었습니다"),
        (Lang::En, Answer::BulkDeleteStarted(n)) => format!("deletion of {n} servers has begun"),
        (Lang::Ko, Answer::PowerStarted) => "서버 상태 변경이 시작되었습니다".into(),
        (Lang::En, Answer::PowerStarted) => "the change of state has begun".into(),
        (Lang::Ko, Answer::PowerAlreadyThere) => "서버가 이미 요청한 상태입니다".into(),
        (Lang::En, Answer::PowerAlreadyThere) => "the server is in that state already".into(),
        (Lang::Ko, Answer::BulkPowerStarted(n, 0)) => {
            format!("서버 {n}대의 상태 변경이 시작되었습니다")
        }
        (Lang::Ko, Answer::BulkPowerStarted(n, there)) => {
            format!("서버 {n}대의 상태 변경이 시작되었습니다 (이미 요청한 상태 {there}대)")
        }
        (Lang::En, Answer::BulkPowerStarted(n, 0)) => {
            format!("the change of state of {n} servers has begun")
        }
        (Lang::En, Answer::BulkPowerStarted(n, there)) => format!(
            "the change of state of {n} servers has begun ({there} are in that state already)"
        ),
        (Lang::Ko, Answer::ChangeStarted) => "서버 사양 변경이 시작되었습니다".into(),
        (Lang::En, Answer::ChangeStarted) => "the change of the server has begun".into(),
        (Lang::Ko, Answer::TargetsPublished(n)) => {
            format!("Prometheus 수집 대상 {n}개를 게시했습니다")
        }
        (Lang::En, Answer::TargetsPublished(n)) => {
            format!("{n} scrape targets are published for Prometheus")
        }
        (Lang::Ko, Answer::AlertsTaken(n)) => format!("경보 {n}건을 받았습니다"),
        (Lang::En, Answer::AlertsTaken(n)) => format!("{n} alerts were taken in"),
        (Lang::Ko, Answer::KeyCreated) => {
            "API 키가 생성되었습니다. 키는 지금 한 번만 표시됩니다".into()
        }
        (Lang::En, Answer::KeyCreated) => "the API key was made; it is shown this once".into(),
        (Lang::Ko, Answer::FactorBegun) => {
            "인증 앱에 등록한 뒤 앱의 코드로 확인하십시오. 등록 키는 지금 한 번만 표시됩니다".into()
        }
        (Lang::En, Answer::FactorBegun) => {
            "set up the app with the key, which is shown this once, and confirm it with a code"
                .into()
        }
        (Lang::Ko, Answer::FactorSet) => {
            "2단계 인증이 설정되었습니다. 복구 코드는 지금 한 번만 표시됩니다".into()
        }
        (Lang::En, Answer::FactorSet) => {
            "the second factor is set up; the recovery codes are shown this once".into()
        }
        (Lang::Ko, Answer::Deleted) => "삭제되었습니다".into(),
        (Lang::En, Answer::Deleted) => "deleted".into(),
        (Lang::Ko, Answer::ImportStarted) => "가상 머신 가져오기가 시작되었습니다".into(),
        (Lang::En, Answer::ImportStarted) => "the import of the guest has begun".into(),
        (Lang::Ko, Answer::Saved) => "저장되었습니다".into(),
        (Lang::En, Answer::Saved) => "saved".into(),
        (Lang::Ko, Answer::RetryStarted(n)) => format!("실패한 작업 {n}개를 다시 시작했습니다"),
        (Lang::En, Answer::RetryStarted(n)) => format!("{n} failed tasks are tried again"),
        (Lang::Ko, Answer::RecreateStarted) => "서버 재생성이 시작되었습니다".into(),
        (Lang::En, Answer::RecreateStarted) => "the server is made again".into(),
        (Lang::Ko, Answer::Forgotten) => "서버를 목록에서 제거했습니다".into(),
        (Lang::En, Answer::Forgotten) => "the server was taken off the list".into(),
        (Lang::Ko, Answer::LabelCreated) => "생성되었습니다".into(),
        (Lang::En, Answer::LabelCreated) => "created".into(),
        (Lang::Ko, Answer::NetworkDeleted) => "네트워크가 삭제되었습니다".into(),
        (Lang::En, Answer::NetworkDeleted) => "the network was deleted".into(),
        (Lang::Ko, Answer::CancelRequested) => "작업 취소를 요청했습니다".into(),
        (Lang::En, Answer::CancelRequested) => "the task was asked to stop".into(),
        (Lang::Ko, Answer::StateRestored) => "상태를 복원했습니다".into(),
        (Lang::En, Answer::StateRestored) => "the state was restored".into(),
        (Lang::Ko, Answer::NotificationDeleted) => "알림이 삭제되었습니다".into(),
        (Lang::En, Answer::NotificationDeleted) => "the notification was deleted".into(),
        (Lang::Ko, Answer::SecretsRotated) => "마스터 키가 교체되었습니다".into(),
        (Lang::En, Answer::SecretsRotated) => "the master key was replaced".into(),
        (Lang::Ko, Answer::BackupStarted) => "백업이 시작되었습니다".into(),
        (Lang::En, Answer::BackupStarted) => "the backup has begun".into(),
        (Lang::Ko, Answer::RestoreStarted) => "백업 복원이 시작되었습니다".into(),
        (Lang::En, Answer::RestoreStarted) => "the restore has begun".into(),
        (Lang::Ko, Answer::DrillStarted) => "복원 훈련이 시작되었습니다".into(),
        (Lang::En, Answer::DrillStarted) => "the restore drill has begun".into(),
        (Lang::Ko, Answer::BackupDeleteStarted) => "백업 삭제가 시작되었습니다".into(),
        (Lang::En, Answer::BackupDeleteStarted) => "the deletion of the backup has begun".into(),
        (Lang::Ko, Answer::ScheduleCreated) => "백업 예약이 생성되었습니다".into(),
        (Lang::En, Answer::ScheduleCreated) => "the schedule was made".into(),
        (Lang::Ko, Answer::RunStarted(n)) => format!("서버 {n}대의 예약 백업이 시작되었습니다"),
        (Lang::En, Answer::RunStarted(n)) => format!("a run over {n} servers has begun"),
        (Lang::Ko, Answer::WouldPrune(n)) => format!("정리하면 백업 {n}개가 삭제됩니다"),
        (Lang::En, Answer::WouldPrune(n)) => format!("{n} backups would be deleted"),
        (Lang::Ko, Answer::Pruning(n)) => format!("백업 {n}개가 삭제 대상으로 정해졌습니다"),
        (Lang::En, Answer::Pruning(n)) => format!("{n} backups are going to be deleted"),
        (Lang::Ko, Answer::ChannelCreated) => {
            "알림 채널이 생성되었습니다. 서명 키는 지금 한 번만 표시됩니다".into()
        }
        (Lang::En, Answer::ChannelCreated) => {
            "the channel was made; its signing key is shown this once".into()
        }
        (Lang::Ko, Answer::ChannelRotated) => {
            "서명 키가 교체되었습니다. 이전 키도 24시간 동안 함께 서명합니다".into()
        }
        (Lang::En, Answer::ChannelRotated) => {
            "the signing key was replaced; the old one signs, too, for 24 hours".into()
        }
        (Lang::Ko, Answer::ChannelTested) => "시험 알림을 보냅니다".into(),
        (Lang::En, Answer::ChannelTested) => "a test is being sent".into(),
        (Lang::Ko, Answer::ChannelTest) => "Terraform Proxmox Manager의 시험 알림입니다".into(),
        (Lang::En, Answer::ChannelTest) => "this is a test by Terraform Proxmox Manager".into(),
        (Lang::Ko, Answer::LoggedIn) => "로그인되었습니다".into(),
        (Lang::En, Answer::LoggedIn) => "logged in".into(),
        (Lang::Ko, Answer::LoggedOut) => "로그아웃되었습니다".into(),
        (Lang::En, Answer::LoggedOut) => "logged out".into(),
    }
}

/// A step's name for people; an engine's own name where none is known.
#[must_use]
pub fn step_name(lang: Lang, step: &str) -> String {
    let known = match step {
        "clone" => lang.pick("템플릿 복제", "cloning the template"),
        "configure" => lang.pick("구성 적용", "applying the configuration"),
        "resize" => lang.pick("디스크 확장", "growing the disk"),
        "start" => lang.pick("시작", "starting"),
        "agent" => lang.pick("게스트 에이전트 응답 대기", "waiting for the guest agent"),
        "address" => lang.pick("IP 주소 확인", "waiting for the address"),
        "shutdown" => lang.pick("종료", "shutting down"),
        "stop" => lang.pick("중지", "stopping"),
        "destroy" => lang.pick("가상 머신 삭제", "removing the guest"),
        "confirm" => lang.pick("삭제 확인", "confirming that nothing is left"),
        "reboot" => lang.pick("재시작", "restarting"),
        "plan" => lang.pick("Terraform 계획", "planning"),
        "apply" => lang.pick("Terraform 적용", "applying the plan"),
        "import" => lang.pick("가상 머신 확인", "reading the guest"),
        "prepare" => lang.pick("현재 상태 기록", "noting what there is"),
        "dump" => lang.pick("백업 생성", "writing the archive"),
        "safety" => lang.pick("복원 전 안전 백업", "backing up what there is"),
        "restore" => lang.pick("백업 복원", "restoring the archive"),
        "isolate" => lang.pick("격리된 브리지 확인", "checking that the bridge is isolated"),
        "command" => lang.pick("게스트에서 명령 실행", "running the command in the guest"),
        "settle" => lang.pick("Terraform 상태 정리", "settling the state of Terraform"),
        "erase" => lang.pick("백업 파일 삭제", "deleting the archive"),
        "verify" => lang.pick("구성 확인", "checking what was made"),
        other => other,
    };
    known.to_owned()
}

/// The step's name, with a word before it when it undoes.
fn log_title(lang: Lang, step: &StepRecord) -> String {
    let undo = if step.undo {
        lang.pick("되돌리기: ", "undo: ")
    } else {
        ""
    };
    format!("{undo}{}", step_name(lang, &step.name))
}

/// A task's log: a step was begun, and under which name in the outside.
#[must_use]
pub fn step_begun(lang: Lang, step: &StepRecord) -> String {
    let handle = step
        .handle
        .as_deref()
        .map(|handle| format!(" {handle}"))
        .unwrap_or_default();
    format!(
        "{}: {}{handle}",
        log_title(lang, step),
        lang.pick("시작", "begun")
    )
}

/// A task's log: how a step ended.
#[must_use]
pub fn step_ended(lang: Lang, step: &StepRecord) -> String {
    let how = match step.state {
        StepState::Done => lang.pick("완료", "done"),
        StepState::Failed => lang.pick("실패", "failed"),
        StepState::Skipped => lang.pick("건너뜀", "skipped"),
        StepState::Pending | StepState::Unknown => lang.pick("진행 중", "going on"),
    };
    format!("{}: {how}", log_title(lang, step))
}

fn code(lang: Lang, code: FailureCode) -> &'static str {
    match code {
        FailureCode::ProxmoxRefused => {
            lang.pick("Proxmox가 요청을 거부했습니다", "Proxmox refused")
        }
        FailureCode::ProxmoxUnreachable => {
            lang.pick("Proxmox에 연결할 수 없습니다", "Proxmox cannot be reached")
        }
        FailureCode::ProxmoxBusy => lang.pick(
            "Proxmox 잠금이 해제되지 않습니다",
            "a lock of Proxmox is held",
        ),
        FailureCode::ProxmoxAuth => lang.pick(
            "Proxmox 인증에 실패했습니다",
            "Proxmox does not accept the credentials",
        ),
        FailureCode::ProxmoxAmbiguous => lang.pick(
            "Proxmox의 처리 결과를 확인할 수 없습니다",
            "what Proxmox did could not be found out",
        ),
        FailureCode::TemplateMissing => {
            lang.pick("템플릿을 찾을 수 없습니다", "the template is not there")
        }
        FailureCode::IdentityConflict => lang.pick(
            "해당 VMID의 가상 머신이 우리가 만든 것이 아닙니다",
            "the guest under this VMID is not the one that was made",
        ),
        FailureCode::GuestMissing => {
            lang.pick("가상 머신이 존재하지 않습니다", "the guest is gone")
        }
        FailureCode::NodeLost => lang.pick(
            "배치된 노드를 사용할 수 없습니다",
            "the node it was placed on is not available",
        ),
        FailureCode::NoCapacity => lang.pick(
            "배치할 수 있는 노드가 없습니다",
            "no node has room for it any more",
        ),
        FailureCode::DeadlineExceeded => lang.pick("제한 시간을 초과했습니다", "it took too long"),
        FailureCode::VmidsExhausted => lang.pick(
            "사용 가능한 VMID가 없습니다",
            "there are no free VMIDs left",
        ),
        FailureCode::NotImportable => lang.pick(
            "가상 머신을 가져올 수 없습니다",
            "the guest cannot be imported",
        ),
        FailureCode::BackupFailed => {
            lang.pick("백업을 생성하지 못했습니다", "the backup could not be made")
        }
        FailureCode::RestoreFailed => {
            lang.pick("백업을 복원하지 못했습니다", "the backup could not be restored")
        }
        FailureCode::NotIsolated => lang.pick(
            "복원 훈련용 브리지가 격리되어 있지 않습니다",
            "the bridge of drills is not isolated",
        ),
        FailureCode::CommandFailed => lang.pick(
            "게스트에서 명령이 성공하지 못했습니다",
            "the command in the guest did not succeed",
        ),
        FailureCode::NoRoom => lang.pick(
            "복원 훈련에 필요한 자원이 없습니다",
            "there is no room for the drill",
        ),
        FailureCode::WindowMissed => lang.pick(
            "예약 시간대 안에 시작되지 못했습니다",
            "it did not begin within the window of its schedule",
        ),
        FailureCode::ArchiveMissing => lang.pick(
            "백업 파일이 스토리지에 없습니다",
            "the archive of the backup is not on its storage",
        ),
        FailureCode::Forbidden => lang.pick(
            "작업을 요청한 사용자에게 더 이상 권한이 없습니다",
            "whoever asked for it has no permission any more",
        ),
        FailureCode::TerraformFailed => {
            lang.pick("Terraform 실행이 실패했습니다", "Terraform ended with an error")
        }
        FailureCode::DestructivePlan => lang.pick(
            "계획이 게스트나 디스크를 삭제하거나 다시 만들므로 실행하지 않았습니다. 동의하려면 confirm에 서버 이름을 보내십시오",
            "the plan destroys or replaces what the server holds, so nothing was done; send the server's name as confirm to agree",
        ),
        FailureCode::StalePlan => lang.pick(
            "계획을 세운 뒤에 게스트가 변경되어 실행하지 않았습니다. 다시 요청하십시오",
            "the guest was changed after the plan was made, so nothing was done; ask again",
        ),
        FailureCode::UndoFailed => lang.pick("되돌리기에 실패했습니다", "it could not be undone"),
        FailureCode::Internal => {
            lang.pick("내부 오류가 발생했습니다", "an internal error occurred")
        }
    }
}

/// A failure on one line: the step, the kind, and what the outside said.
#[must_use]
pub fn failure(lang: Lang, failure: &Failure) -> String {
    let mut text = match &failure.step {
        Some(step) => format!("[{}] {}", step_name(lang, step), code(lang, failure.code)),
        None => code(lang, failure.code).to_owned(),
    };
    if let Some(detail) = &failure.detail {
        text.push_str(&format!(" ({detail})"));
    }
    text
}

fn verb(lang: Lang, kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::CreateServer => lang.pick("서버 생성", "creating the server"),
        TaskKind::DeleteServer => lang.pick("서버 삭제", "deleting the server"),
        TaskKind::StartServer => lang.pick("서버 시작", "starting the server"),
        TaskKind::StopServer => lang.pick("서버 중지", "stopping the server"),
        TaskKind::RestartServer => lang.pick("서버 재시작", "restarting the server"),
        TaskKind::ChangeServer => lang.pick("서버 사양 변경", "changing the server"),
        TaskKind::ImportServer => lang.pick("가상 머신 가져오기", "importing the guest"),
        TaskKind::RemoveOrphan => lang.pick("남은 가상 머신 삭제", "removing a left-over guest"),
        TaskKind::CreateBackup => lang.pick("백업 생성", "backing up the server"),
        TaskKind::RestoreBackup => lang.pick("백업 복원", "restoring the backup"),
        TaskKind::RestoreNew => lang.pick("백업에서 새 서버 생성", "making a server of the backup"),
        TaskKind::DrillBackup => lang.pick("복원 훈련", "trying the backup"),
        TaskKind::DeleteBackup => lang.pick("백업 삭제", "deleting the backup"),
        TaskKind::BulkPower => lang.pick("서버 대량 상태 변경", "switching servers"),
        TaskKind::BulkCreate => lang.pick("서버 대량 생성", "creating servers"),
        TaskKind::BulkDelete => lang.pick("서버 대량 삭제", "deleting servers"),
    }
}

/// What a task says of itself.
#[must_use]
pub fn task_message(lang: Lang, task: &Task) -> String {
    let what = verb(lang, task.kind);
    let why = || {
        task.failure
            .as_ref()
            .map(|why| failure(lang, why))
            .unwrap_or_default()
    };
    let text = match (lang, task.state) {
        (Lang::Ko, TaskState::Pending) => format!("{what} 대기 중"),
        (Lang::En, TaskState::Pending) => format!("{what}: waiting"),
        (Lang::Ko, TaskState::Completed) => format!("{what} 완료"),
        (Lang::En, TaskState::Completed) => format!("{what}: done"),
        (Lang::Ko, TaskState::Partial) => format!("{what} 일부 완료"),
        (Lang::En, TaskState::Partial) => format!("{what}: done in part"),
        (Lang::Ko, TaskState::Failed) => format!("{what} 실패: {}", why()),
        (Lang::En, TaskState::Failed) => format!("{what}: failed: {}", why()),
        (Lang::Ko, TaskState::Cancelled) => format!("{what} 취소됨"),
        (Lang::En, TaskState::Cancelled) => format!("{what}: cancelled"),
        (_, TaskState::Running) => running(lang, what, task),
    };
    let text = text.trim_end_matches([':', ' ']).to_owned();
    match &task.children {
        Some(children) => format!("{text} ({})", tally(lang, children)),
        None => text,
    }
}

fn running(lang: Lang, what: &str, task: &Task) -> String {
    match (lang, &task.note) {
        (Lang::Ko, TaskNote::Queued | TaskNote::Ended) => format!("{what} 중..."),
        (Lang::En, TaskNote::Queued | TaskNote::Ended) => format!("{what}..."),
        (Lang::Ko, TaskNote::Step { step }) => format!("{what} 중... ({})", step_name(lang, step)),
        (Lang::En, TaskNote::Step { step }) => format!("{what}... ({})", step_name(lang, step)),
        (Lang::Ko, TaskNote::WaitingForSlot { step }) => {
            format!("{what} 중... (순서 대기: {})", step_name(lang, step))
        }
        (Lang::En, TaskNote::WaitingForSlot { step }) => {
            format!(
                "{what}... (waiting for its turn: {})",
                step_name(lang, step)
            )
        }
        (Lang::Ko, TaskNote::Retrying { failure: why }) => {
            format!("{what} 중... (재시도 예정: {})", failure(lang, why))
        }
        (Lang::En, TaskNote::Retrying { failure: why }) => {
            format!("{what}... (will try again: {})", failure(lang, why))
        }
        (Lang::Ko, TaskNote::Undoing) => format!("{what} 되돌리는 중..."),
        (Lang::En, TaskNote::Undoing) => format!("{what}: undoing..."),
    }
}

fn tally(lang: Lang, children: &ChildSummary) -> String {
    let ChildSummary {
        total,
        completed,
        failed,
        cancelled,
        undone,
        ..
    } = children;
    let plain = match lang {
        Lang::Ko => format!("전체 {total}, 완료 {completed}, 실패 {failed}, 취소 {cancelled}"),
        Lang::En => {
            format!("{total} in all, {completed} done, {failed} failed, {cancelled} cancelled")
        }
    };
    match (lang, undone) {
        (_, 0) => plain,
        (Lang::Ko, n) => format!("{plain}, 되돌림 {n}"),
        (Lang::En, n) => format!("{plain}, {n} taken back"),
    }
}

/// Why a server is where it is.
#[must_use]
pub fn placement(lang: Lang, placement: &Placement) -> String {
    let reason = &placement.reason;
    let node = &placement.node;
    let (memory, candidates, same) = (reason.free_memory_mb, reason.candidates, reason.same_role);
    let why = match (lang, reason.pinned) {
        (Lang::Ko, true) => format!("요청에서 지정한 노드 {node} (여유 메모리 {memory}MB)"),
        (Lang::En, true) => format!("the request named {node} ({memory} MB of memory free)"),
        (Lang::Ko, false) => format!(
            "후보 노드 {candidates}개 중 같은 역할의 서버가 {same}대이고 여유 메모리가 {memory}MB인 {node}"
        ),
        (Lang::En, false) => format!(
            "of {candidates} nodes {node}, with {same} servers of the role and {memory} MB of memory free"
        ),
    };
    match (lang, &reason.instead_of) {
        (_, None) => why,
        (Lang::Ko, Some(lost)) => format!("{why}; 사용할 수 없게 된 {lost} 대신"),
        (Lang::En, Some(lost)) => format!("{why}; instead of {lost}, which was lost"),
    }
}

/// A time span in days, hours and minutes.
#[must_use]
pub fn uptime(lang: Lang, span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (lang, days, hours) {
        (Lang::Ko, 0, 0) => format!("{minutes}분"),
        (Lang::Ko, 0, _) => format!("{hours}시간 {minutes}분"),
        (Lang::Ko, _, _) => format!("{days}일 {hours}시간"),
        (Lang::En, 0, 0) => format!("{minutes} minutes"),
        (Lang::En, 0, _) => format!("{hours} hours, {minutes} minutes"),
        (Lang::En, _, _) => format!("{days} days, {hours} hours"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let check = |secs, ko: &str, en: &str| {
            let span = Duration::from_secs(secs);
            assert_eq!(
                (
                    uptime(Lang::Ko, span).as_str(),
                    uptime(Lang::En, span).as_str()
                ),
                (ko, en)
            );
        };
        check(59, "0분", "0 minutes");
        check(3_661, "1시간 1분", "1 hours, 1 minutes");
        check(7 * 86_400 + 12 * 3_600, "7일 12시간", "7 days, 12 hours");
    }

    #[test]
    fn a_failure_says_what_the_outside_said() {
        let why = Failure {
            code: FailureCode::ProxmoxRefused,
            step: Some("resize".into()),
            detail: Some("shrinking disks is not supported".into()),
        };
        assert_eq!(
            failure(Lang::En, &why),
            "[growing the disk] Proxmox refused (shrinking disks is not supported)"
        );
        assert_eq!(
            failure(Lang::Ko, &why),
            "[디스크 확장] Proxmox가 요청을 거부했습니다 (shrinking disks is not supported)"
        );
    }
}
