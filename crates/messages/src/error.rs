//! Refusals.

use crate::{ApiError, Lang};
use tpm_domain::{Conflict, Error, NodeName, Reason, ResourceKind, Shortage, Unfit, UrlFault};

/// What is wrong with a field, as one sentence without the field's name.
#[must_use]
pub fn reason(lang: Lang, reason: &Reason) -> String {
    match lang {
        Lang::Ko => reason_ko(reason),
        Lang::En => reason_en(reason),
    }
}

fn type_ko(expected: &str) -> &str {
    match expected {
        "string" => "문자열",
        "integer" => "정수",
        "object" => "객체",
        "list" => "배열",
        "boolean" => "불리언",
        "object or list" => "객체 또는 배열",
        "bridge name" => "브리지 이름",
        "network (CIDR)" => "네트워크(CIDR)",
        "tag" => "Proxmox 태그(영문, 숫자, _ + . -)",
        "text without control characters" => "제어 문자가 없는 텍스트",
        other => other,
    }
}

fn reason_ko(reason: &Reason) -> String {
    match reason {
        Reason::Required => "필수 항목입니다".into(),
        Reason::UnknownField => "알 수 없는 항목입니다".into(),
        Reason::Type { expected } => format!("{} 형식이어야 합니다", type_ko(expected)),
        Reason::Range { min, max } => format!("{min} 이상 {max} 이하여야 합니다"),
        Reason::Count { min, max } => format!("항목 수는 {min}개 이상 {max}개 이하여야 합니다"),
        Reason::TooLong { max } => format!("{max}자를 넘을 수 없습니다"),
        Reason::ServerName => {
            "영문 소문자로 시작하고 영문 소문자, 숫자, 하이픈으로 이루어진 1~63자여야 하며 하이픈으로 끝날 수 없습니다".into()
        }
        Reason::OneOf { allowed } => format!("다음 중 하나여야 합니다: {}", allowed.join(", ")),
        Reason::Address => "IPv4 주소가 아닙니다".into(),
        Reason::AddressReserved => "네트워크 주소나 브로드캐스트 주소는 사용할 수 없습니다".into(),
        Reason::AddressRange => "\"시작주소-끝주소\" 형식의 IPv4 범위여야 하며 끝이 시작보다 앞설 수 없습니다".into(),
        Reason::OutsideSubnet => "서브넷 범위를 벗어났습니다".into(),
        Reason::IsGateway => "게이트웨이 주소는 서버에 할당할 수 없습니다".into(),
        Reason::Duplicate => "요청 안에서 중복되었습니다".into(),
        Reason::RangeTooLarge { max } => format!("주소는 {max}개를 넘을 수 없습니다"),
        Reason::Moment => {
            "RFC 3339 형식의 시각이어야 합니다 (예: 2027-01-15T10:30:00Z)".into()
        }
        Reason::Past => "이미 지난 시각입니다".into(),
        Reason::NotAfter { field } => format!("{field}보다 뒤의 시각이어야 합니다"),
        Reason::TooFar { days } => format!("지금부터 {days}일 이내여야 합니다"),
        Reason::UserName => {
            "영문이나 숫자로 시작하고 영문, 숫자, . _ @ - 로 이루어진 1~64자여야 합니다".into()
        }
        Reason::SecretPath => {
            "마운트/이름 형식이어야 합니다. 각 부분은 영문자, 숫자, '_', '.', '-'로 이루어진 1~128자입니다".into()
        }
        Reason::Url(fault) => url_ko(*fault).into(),
        Reason::Guessable => "쉽게 추측할 수 있는 비밀번호입니다".into(),
        Reason::WrongPassword => "현재 비밀번호가 아닙니다".into(),
        Reason::WrongCode => "올바르지 않거나 이미 사용한 코드입니다".into(),
        Reason::NoSuch => "존재하지 않습니다".into(),
        Reason::NotItsName => "서버 이름과 같아야 합니다".into(),
        Reason::Shrinks { from } => {
            format!("현재 크기 {from}GB보다 작을 수 없습니다. 디스크는 늘릴 수만 있습니다")
        }
        Reason::OneNeeded { of } => format!("다음 중 하나 이상이 필요합니다: {}", of.join(", ")),
        Reason::Excludes { other } => format!("{other} 항목과 함께 사용할 수 없습니다"),
        Reason::OneLine => "한 줄이어야 하며 {{와 \\를 포함할 수 없습니다".into(),
        Reason::Calendar => {
            "분 시 일 월 요일로 이루어진, 실제로 도래하는 cron 표현식이어야 합니다 (예: 0 2 * * *)".into()
        }
        Reason::Needs { other } => format!("{other} 항목을 지정하면 필수입니다"),
    }
}

fn url_ko(fault: UrlFault) -> &'static str {
    match fault {
        UrlFault::Form => "호스트가 있는 URL이어야 합니다 (최대 2048바이트)",
        UrlFault::Scheme => "https URL이어야 합니다",
        UrlFault::Credentials => "사용자 이름이나 비밀번호를 포함할 수 없습니다",
        UrlFault::Port => "허용되지 않은 포트입니다",
        UrlFault::Address => "공인 주소가 아니어서 연결이 허용되지 않습니다",
    }
}

fn url_en(fault: UrlFault) -> &'static str {
    match fault {
        UrlFault::Form => "must be a URL with a host, of at most 2048 bytes",
        UrlFault::Scheme => "must be an https URL",
        UrlFault::Credentials => "must not contain a user or password",
        UrlFault::Port => "has a port that is not allowed",
        UrlFault::Address => "names an address outside the open internet, which is not allowed",
    }
}

fn reason_en(reason: &Reason) -> String {
    match reason {
        Reason::Required => "is required".into(),
        Reason::UnknownField => "is not a known field".into(),
        Reason::Type { expected } => format!("must be of type {expected}"),
        Reason::Range { min, max } => format!("must be between {min} and {max}"),
        Reason::Count { min, max } => format!("must have between {min} and {max} elements"),
        Reason::TooLong { max } => format!("must not be longer than {max} characters"),
        Reason::ServerName => "must be 1 to 63 lower-case letters, digits and hyphens, begin with a letter and not end in a hyphen".into(),
        Reason::OneOf { allowed } => format!("must be one of: {}", allowed.join(", ")),
        Reason::Address => "is not an IPv4 address".into(),
        Reason::AddressReserved => "must not be the network or broadcast address".into(),
        Reason::AddressRange => "must be an IPv4 range FIRST-LAST whose last address is not before the first".into(),
        Reason::OutsideSubnet => "lies outside the subnet".into(),
        Reason::IsGateway => "is the gateway's address and cannot be given to a server".into(),
        Reason::Duplicate => "occurs twice in the request".into(),
        Reason::RangeTooLarge { max } => format!("must not have more than {max} addresses"),
        Reason::Moment => "must be a moment in RFC 3339 form, as 2027-01-15T10:30:00Z".into(),
        Reason::Past => "lies in the past".into(),
        Reason::NotAfter { field } => format!("must lie after {field}"),
        Reason::TooFar { days } => format!("must be within {days} days from now"),
        Reason::UserName => {
            "must be 1 to 64 letters, digits and . _ @ -, and begin with a letter or digit".into()
        }
        Reason::SecretPath => {
            "must be mount/key, each part 1 to 128 letters, digits and _ . -".into()
        }
        Reason::Url(fault) => url_en(*fault).into(),
        Reason::Guessable => "is a password that is easily guessed".into(),
        Reason::WrongPassword => "is not the present password".into(),
        Reason::WrongCode => "is wrong, or was used before".into(),
        Reason::NoSuch => "does not exist".into(),
        Reason::NotItsName => "must be the server's name".into(),
        Reason::Shrinks { from } => {
            format!("must not be below the present {from} GB: disks only grow")
        }
        Reason::OneNeeded { of } => format!("at least one of these is needed: {}", of.join(", ")),
        Reason::Excludes { other } => format!("cannot be used together with {other}"),
        Reason::OneLine => "must be one line without {{ and \\".into(),
        Reason::Calendar => {
            "must be a cron expression of minute, hour, day, month and weekday that comes true, as 0 2 * * *".into()
        }
        Reason::Needs { other } => format!("is required when {other} is given"),
    }
}

fn resource(lang: Lang, kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Server => lang.pick("서버", "server"),
        ResourceKind::Task => lang.pick("작업", "task"),
        ResourceKind::Notification => lang.pick("알림", "notification"),
        ResourceKind::Project => lang.pick("프로젝트", "project"),
        ResourceKind::Network => lang.pick("네트워크", "network"),
        ResourceKind::Channel => lang.pick("알림 채널", "channel"),
        ResourceKind::Secret => lang.pick("비밀", "secret"),
        ResourceKind::State => lang.pick("상태 버전", "state version"),
        ResourceKind::Plan => lang.pick("계획", "plan of"),
        ResourceKind::User => lang.pick("사용자", "user"),
        ResourceKind::Role => lang.pick("역할", "role"),
        ResourceKind::Key => lang.pick("API 키", "API key"),
        ResourceKind::Schedule => lang.pick("예약", "schedule"),
        ResourceKind::Backup => lang.pick("백업", "backup"),
        ResourceKind::Drill => lang.pick("복원 훈련", "restore drill"),
        ResourceKind::Session => lang.pick("세션", "session"),
        ResourceKind::Code => lang.pick("Terraform 코드가 있는 서버", "Terraform code of server"),
    }
}

/// What there is only so much of.
fn quantity(lang: Lang, resource: &str) -> &str {
    match resource {
        "servers" => lang.pick("서버", "servers"),
        "cpu" => lang.pick("CPU 코어", "CPU cores"),
        "memory" => lang.pick("메모리(MB)", "memory in MB"),
        "disk" => lang.pick("디스크(GB)", "disk in GB"),
        other => other,
    }
}

fn unfit(lang: Lang, node: &NodeName, why: &Unfit) -> String {
    let text = match (lang, why) {
        (Lang::Ko, Unfit::Offline) => "오프라인".into(),
        (Lang::En, Unfit::Offline) => "offline".into(),
        (Lang::Ko, Unfit::Unwanted) => "요청에서 제외됨".into(),
        (Lang::En, Unfit::Unwanted) => "excluded by the request".into(),
        (Lang::Ko, Unfit::NoTemplate) => "복제할 수 있는 템플릿 없음".into(),
        (Lang::En, Unfit::NoTemplate) => "no template can be cloned to it".into(),
        (Lang::Ko, Unfit::Storage { missing_gb }) => format!("스토리지 {missing_gb}GB 부족"),
        (Lang::En, Unfit::Storage { missing_gb }) => format!("{missing_gb} GB of storage short"),
        (Lang::Ko, Unfit::Memory { missing_mb }) => format!("메모리 {missing_mb}MB 부족"),
        (Lang::En, Unfit::Memory { missing_mb }) => format!("{missing_mb} MB of memory short"),
        (Lang::Ko, Unfit::Cpu { missing }) => format!("CPU 코어 {missing}개 부족"),
        (Lang::En, Unfit::Cpu { missing }) => format!("{missing} CPU cores short"),
        (Lang::Ko, Unfit::SameRole) => "같은 역할의 서버가 이미 있음".into(),
        (Lang::En, Unfit::SameRole) => "has a server of the role already".into(),
    };
    format!("{node}: {text}")
}

fn unfits(lang: Lang, nodes: &[(NodeName, Unfit)]) -> String {
    let all: Vec<_> = nodes
        .iter()
        .map(|(node, why)| unfit(lang, node, why))
        .collect();
    all.join(", ")
}

/// Why something is not possible as things stand.
#[must_use]
pub fn conflict(lang: Lang, conflict: &Conflict) -> String {
    match (lang, conflict) {
        (Lang::Ko, Conflict::NameTaken { name }) => {
            format!("서버 이름 {name}은(는) 이미 사용 중입니다")
        }
        (Lang::En, Conflict::NameTaken { name }) => {
            format!("the server name {name} is already in use")
        }
        (Lang::Ko, Conflict::GuestKnown { vmid, server }) => {
            format!("가상 머신 {vmid}은(는) 이미 서버 {server}입니다")
        }
        (Lang::En, Conflict::GuestKnown { vmid, server }) => {
            format!("VM {vmid} is the server {server} already")
        }
        (Lang::Ko, Conflict::AddressTaken { address }) => {
            format!("IP 주소 {address}은(는) 이미 사용 중입니다")
        }
        (Lang::En, Conflict::AddressTaken { address }) => {
            format!("the address {address} is already in use")
        }
        (Lang::Ko, Conflict::Shortage(Shortage::Addresses { pool, missing })) => {
            format!("{pool} 범위에 사용 가능한 IP 주소가 {missing}개 부족합니다")
        }
        (Lang::En, Conflict::Shortage(Shortage::Addresses { pool, missing })) => {
            format!("the range {pool} is short of {missing} free addresses")
        }
        (Lang::Ko, Conflict::Shortage(Shortage::Vmids { pool, missing })) => {
            format!("VMID 범위 {pool}에 사용 가능한 번호가 {missing}개 부족합니다")
        }
        (Lang::En, Conflict::Shortage(Shortage::Vmids { pool, missing })) => {
            format!("the VMID range {pool} is short of {missing} free numbers")
        }
        (Lang::Ko, Conflict::Shortage(Shortage::Capacity { missing, nodes })) => format!(
            "서버 {missing}대를 배치할 수 있는 노드가 없습니다 ({})",
            unfits(lang, nodes)
        ),
        (Lang::En, Conflict::Shortage(Shortage::Capacity { missing, nodes })) => format!(
            "no node has room for {missing} of the servers ({})",
            unfits(lang, nodes)
        ),
        (_, Conflict::Shortage(Shortage::Quota { project, bounds })) => {
            let all: Vec<_> = bounds
                .iter()
                .map(|bound| {
                    let what = quantity(lang, bound.resource);
                    let (limit, used, wanted) = (bound.limit, bound.used, bound.wanted);
                    match lang {
                        Lang::Ko => format!("{what} 한도 {limit}, 사용 {used}, 요청 {wanted}"),
                        Lang::En => {
                            format!("{what}: limit {limit}, in use {used}, asked for {wanted}")
                        }
                    }
                })
                .collect();
            match lang {
                Lang::Ko => format!(
                    "프로젝트 {project}의 할당량을 초과합니다 ({})",
                    all.join("; ")
                ),
                Lang::En => format!("beyond the quota of project {project} ({})", all.join("; ")),
            }
        }
        (Lang::Ko, Conflict::LastAdmin) => {
            "모든 권한을 가진 사용자가 한 명 이상 남아 있어야 합니다".into()
        }
        (Lang::En, Conflict::LastAdmin) => "somebody who may do everything has to be left".into(),
        (Lang::Ko, Conflict::FactorThere) => "2단계 인증이 이미 설정되어 있습니다".into(),
        (Lang::En, Conflict::FactorThere) => "there is a second factor already".into(),
        (Lang::Ko, Conflict::NoFactor) => "설정 중이거나 설정된 2단계 인증이 없습니다".into(),
        (Lang::En, Conflict::NoFactor) => "no second factor is set up or being set up".into(),
        (Lang::Ko, Conflict::BuiltIn) => "기본 역할은 변경하거나 삭제할 수 없습니다".into(),
        (Lang::En, Conflict::BuiltIn) => "a built-in role cannot be changed or removed".into(),
        (Lang::Ko, Conflict::RoleInUse { users }) => {
            format!("사용자 {users}명이 사용 중인 역할입니다")
        }
        (Lang::En, Conflict::RoleInUse { users }) => format!("{users} people have the role"),
        (Lang::Ko, Conflict::NothingToRetry) => "재시도할 실패한 작업이 없습니다".into(),
        (Lang::En, Conflict::NothingToRetry) => "nothing of the task has failed".into(),
        (Lang::Ko, Conflict::LabelTaken { name }) => {
            format!("이름 {name}은(는) 이미 사용 중입니다")
        }
        (Lang::En, Conflict::LabelTaken { name }) => format!("the name {name} is already in use"),
        (Lang::Ko, Conflict::NetworkOverlaps { network }) => {
            format!("네트워크 {network}의 주소 범위와 겹칩니다")
        }
        (Lang::En, Conflict::NetworkOverlaps { network }) => {
            format!("the range overlaps that of network {network}")
        }
        (Lang::Ko, Conflict::NetworkInUse { addresses }) => {
            format!("서버가 사용 중인 주소가 {addresses}개 있습니다")
        }
        (Lang::En, Conflict::NetworkInUse { addresses }) => {
            format!("{addresses} of its addresses are held by servers")
        }
        (_, Conflict::QuotaBelowUse { resource, used }) => {
            let what = quantity(lang, resource);
            match lang {
                Lang::Ko => format!("{what} 한도가 현재 사용량 {used}보다 작습니다"),
                Lang::En => format!("the limit of {what} is below the {used} in use"),
            }
        }
        (Lang::Ko, Conflict::ServerBusy { task }) => {
            format!("서버에서 다른 작업({task})이 진행 중입니다")
        }
        (Lang::En, Conflict::ServerBusy { task }) => {
            format!("another task ({task}) is at work on the server")
        }
        (Lang::Ko, Conflict::VersionChanged { current: 0 }) => "아직 저장된 버전이 없습니다".into(),
        (Lang::En, Conflict::VersionChanged { current: 0 }) => "there is no version so far".into(),
        (Lang::Ko, Conflict::VersionChanged { current }) => {
            format!("그 사이에 변경되었습니다. 최신 버전은 {current}입니다")
        }
        (Lang::En, Conflict::VersionChanged { current }) => {
            format!("it was changed meanwhile: the latest version is {current}")
        }
        (Lang::Ko, Conflict::SecretsRefused { why }) => {
            format!("비밀 저장소가 거부했습니다: {why}")
        }
        (Lang::En, Conflict::SecretsRefused { why }) => {
            format!("the store of secrets refused: {why}")
        }
        (Lang::Ko, Conflict::NotRenderable { why }) => {
            format!("게스트를 Terraform 코드로 나타낼 수 없습니다: {why}")
        }
        (Lang::En, Conflict::NotRenderable { why }) => {
            format!("the guest cannot be told as Terraform code: {why}")
        }
        (Lang::Ko, Conflict::WrongState { state }) => {
            format!("서버가 {state} 상태이므로 요청을 수행할 수 없습니다")
        }
        (Lang::En, Conflict::WrongState { state }) => {
            format!("not possible while the server is {state}")
        }
        (Lang::Ko, Conflict::ScheduleRuns) => {
            "이 예약의 이전 실행이 아직 끝나지 않았습니다".into()
        }
        (Lang::En, Conflict::ScheduleRuns) => {
            "a run of this schedule is not over".into()
        }
        (Lang::Ko, Conflict::BackupProtected) => {
            "보호된 백업입니다. 삭제하려면 먼저 보호를 해제하십시오".into()
        }
        (Lang::En, Conflict::BackupProtected) => {
            "the backup is protected; take the protection away first".into()
        }
        (Lang::Ko, Conflict::OnlyBackup) => {
            "이 서버의 복원 가능한 유일한 백업입니다. 그래도 삭제하려면 confirm에 백업 ID를 보내십시오".into()
        }
        (Lang::En, Conflict::OnlyBackup) => {
            "it is the only backup of its server that can be restored; send its id as confirm to delete it all the same".into()
        }
        (Lang::Ko, Conflict::RestoredCopy) => {
            "데이터베이스가 이전 사본에서 복원되어 읽기 전용입니다. 관리자가 확인해야 합니다 (POST /api/system/restored/accept)".into()
        }
        (Lang::En, Conflict::RestoredCopy) => {
            "the database was restored from an older copy and is read-only until an admin accepts that (POST /api/system/restored/accept)".into()
        }
        (Lang::Ko, Conflict::NoDrillNetwork { network }) => {
            format!("복원 훈련에는 서버와 다른 브리지에 있는 네트워크 {network}이 필요합니다. POST /api/networks로 먼저 만드십시오")
        }
        (Lang::En, Conflict::NoDrillNetwork { network }) => {
            format!("drills need a network called {network} on a bridge of its own; make it by POST /api/networks first")
        }
        (Lang::Ko, Conflict::BackupState { state }) => {
            format!("백업이 {state} 상태이므로 요청을 수행할 수 없습니다")
        }
        (Lang::En, Conflict::BackupState { state }) => {
            format!("not possible while the backup is {state}")
        }
        (Lang::Ko, Conflict::WouldOverwrite { server }) => {
            format!("서버 {server}의 현재 내용이 사라집니다. 덮어쓰려면 overwrite를 true로 보내십시오")
        }
        (Lang::En, Conflict::WouldOverwrite { server }) => format!(
            "what server {server} holds would be lost; send overwrite as true to replace it"
        ),
        (Lang::Ko, Conflict::TaskEnded) => "이미 종료된 작업입니다".into(),
        (Lang::En, Conflict::TaskEnded) => "the task has already ended".into(),
    }
}

/// A refusal.
#[must_use]
pub fn error(lang: Lang, error: &Error) -> String {
    match error {
        Error::Invalid(_) => lang
            .pick(
                "요청 파라미터가 올바르지 않습니다",
                "the request's parameters are not valid",
            )
            .into(),
        Error::Unauthenticated => lang
            .pick("로그인이 필요합니다", "you need to log in")
            .into(),
        Error::BadCredentials => lang
            .pick(
                "사용자 이름 또는 비밀번호가 올바르지 않습니다",
                "wrong user name or password",
            )
            .into(),
        Error::SecondFactorNeeded => lang
            .pick(
                "인증 앱의 코드 또는 복구 코드가 필요합니다",
                "a code of the authenticator app, or a recovery code, is needed",
            )
            .into(),
        Error::SecondFactorMissing => lang
            .pick(
                "먼저 2단계 인증을 설정해야 합니다",
                "set up a second factor first",
            )
            .into(),
        Error::LoginAgain => lang
            .pick(
                "이 작업을 하려면 다시 로그인해야 합니다",
                "log in again to do this",
            )
            .into(),
        Error::RateLimited { retry_after_secs } => match lang {
            Lang::Ko => {
                format!("요청이 너무 많습니다. {retry_after_secs}초 후에 다시 시도하십시오")
            }
            Lang::En => format!("too many requests; try again in {retry_after_secs} s"),
        },
        Error::Throttled { retry_after_secs } => match lang {
            Lang::Ko => {
                format!("시도가 너무 많습니다. {retry_after_secs}초 후에 다시 시도하십시오")
            }
            Lang::En => format!("too many attempts; try again in {retry_after_secs} seconds"),
        },
        Error::Forbidden => lang
            .pick("권한이 없습니다", "you are not allowed to do this")
            .into(),
        Error::NotFound { kind, id } => match lang {
            Lang::Ko => format!("{} {id}을(를) 찾을 수 없습니다", resource(lang, *kind)),
            Lang::En => format!("there is no {} {id}", resource(lang, *kind)),
        },
        Error::Conflict(inner) => conflict(lang, inner),
        Error::Unavailable { retry_after_secs } => match lang {
            Lang::Ko => format!(
                "데이터베이스가 응답하지 않습니다. {retry_after_secs}초 후에 다시 시도하십시오"
            ),
            Lang::En => {
                format!("the database does not answer; try again in {retry_after_secs} seconds")
            }
        },
        Error::ClusterUnseen { retry_after_secs } => match lang {
            Lang::Ko => format!(
                "클러스터 상태를 최근에 확인하지 못해 자원을 예약할 수 없습니다. {retry_after_secs}초 후에 다시 시도하십시오"
            ),
            Lang::En => format!(
                "no worker saw the cluster lately, so no room can be reserved on it; try again in {retry_after_secs} seconds"
            ),
        },
        Error::ClusterUnreachable { retry_after_secs } => match lang {
            Lang::Ko => format!(
                "Proxmox VE 클러스터가 응답하지 않습니다. {retry_after_secs}초 후에 다시 시도하십시오"
            ),
            Lang::En => format!(
                "the Proxmox VE cluster does not answer; try again in {retry_after_secs} seconds"
            ),
        },
        Error::SecretsAway {
            sealed,
            retry_after_secs,
        } => match (lang, sealed) {
            (Lang::Ko, true) => {
                format!(
                    "비밀 저장소가 봉인되어 있습니다. {retry_after_secs}초 후에 다시 시도하십시오"
                )
            }
            (Lang::Ko, false) => {
                format!(
                    "비밀 저장소가 응답하지 않습니다. {retry_after_secs}초 후에 다시 시도하십시오"
                )
            }
            (Lang::En, true) => {
                format!("the store of secrets is sealed; try again in {retry_after_secs} seconds")
            }
            (Lang::En, false) => format!(
                "the store of secrets does not answer; try again in {retry_after_secs} seconds"
            ),
        },
        Error::Overloaded { retry_after_secs } => match lang {
            Lang::Ko => format!(
                "동시에 들어온 예약 요청이 너무 많아 아무것도 예약하지 않았습니다. {retry_after_secs}초 후에 다시 시도하십시오"
            ),
            Lang::En => format!(
                "too many requests at once, so nothing was reserved; try again in {retry_after_secs} seconds"
            ),
        },
        Error::KeyReused => lang
            .pick(
                "같은 Idempotency-Key가 다른 내용의 요청에 사용되었습니다",
                "the Idempotency-Key was used for a request with other content",
            )
            .into(),
        Error::StorageFull => lang
            .pick(
                "디스크 공간이 부족하여 저장할 수 없습니다",
                "the disk is full; nothing was stored",
            )
            .into(),
    }
}

/// A fault of the transport.
#[must_use]
pub fn api_error(lang: Lang, error: ApiError) -> &'static str {
    match error {
        ApiError::NoRoute => lang.pick("존재하지 않는 경로입니다", "there is no such path"),
        ApiError::MethodNotAllowed => lang.pick(
            "이 경로에서 지원하지 않는 메서드입니다",
            "the path does not support this method",
        ),
        ApiError::BrokenJson => lang.pick(
            "JSON 형식이 올바르지 않습니다",
            "the body is not valid JSON",
        ),
        ApiError::NotAnObject => lang.pick(
            "요청 본문은 JSON 객체여야 합니다",
            "the body must be a JSON object",
        ),
        ApiError::TooLarge => lang.pick("요청 본문이 너무 큽니다", "the body is too large"),
        ApiError::WrongMediaType => lang.pick(
            "Content-Type은 application/json이어야 합니다",
            "the Content-Type must be application/json",
        ),
        ApiError::ForeignOrigin => lang.pick(
            "다른 출처에서 보낸 요청은 허용되지 않습니다",
            "requests from another origin are not allowed",
        ),
        ApiError::TwoCredentials => lang.pick(
            "세션 쿠키와 API 키를 함께 보낼 수 없습니다",
            "send either the session cookie or an API key, not both",
        ),
        ApiError::BadIdempotencyKey => lang.pick(
            "Idempotency-Key는 공백 없는 ASCII 1~200자여야 합니다",
            "the Idempotency-Key must be 1 to 200 visible ASCII characters",
        ),
        ApiError::BadParameter => lang.pick(
            "경로 또는 쿼리 파라미터가 올바르지 않습니다",
            "a path or query parameter is not valid",
        ),
        ApiError::Timeout => lang.pick(
            "요청 처리 시간이 초과되었습니다",
            "the request took too long",
        ),
        ApiError::Internal => lang.pick(
            "서버 내부 오류가 발생했습니다",
            "an internal error occurred",
        ),
    }
}
