//! Notifications.

use crate::{Lang, failure};
use tpm_domain::{Event, EventKind, PowerTarget};

fn power(lang: Lang, target: PowerTarget) -> &'static str {
    match target {
        PowerTarget::Running => lang.pick("시작", "started"),
        PowerTarget::Stopped => lang.pick("중지", "stopped"),
        PowerTarget::Restarted => lang.pick("재시작", "restarted"),
    }
}

/// What a notification says.
#[must_use]
pub fn notification(lang: Lang, event: &Event) -> String {
    let name = &event.server_name;
    match lang {
        Lang::Ko => match &event.kind {
            EventKind::CreateRequested => format!("서버 {name} 생성이 요청되었습니다"),
            EventKind::Created => format!("서버 {name}이 성공적으로 생성되었습니다"),
            EventKind::CreatedWithoutAgent => {
                format!("서버 {name}이 생성되었지만 게스트 에이전트가 응답하지 않습니다")
            }
            EventKind::CreateFailed { failure: why } => {
                format!("서버 {name} 생성에 실패했습니다: {}", failure(lang, why))
            }
            EventKind::CreateCancelled => format!("서버 {name} 생성이 취소되었습니다"),
            EventKind::DeleteRequested => format!("서버 {name} 삭제가 요청되었습니다"),
            EventKind::Deleted => format!("서버 {name}이 성공적으로 삭제되었습니다"),
            EventKind::DeleteFailed { failure: why } => {
                format!("서버 {name} 삭제에 실패했습니다: {}", failure(lang, why))
            }
            EventKind::PowerRequested { target } => {
                format!("서버 {name} {}이 요청되었습니다", power(lang, *target))
            }
            EventKind::PowerChanged { target } => {
                format!("서버 {name}이 {}되었습니다", power(lang, *target))
            }
            EventKind::PowerFailed {
                target,
                failure: why,
            } => {
                format!(
                    "서버 {name} {}에 실패했습니다: {}",
                    power(lang, *target),
                    failure(lang, why)
                )
            }
            EventKind::Cancelled => format!("서버 {name}의 작업이 취소되었습니다"),
            EventKind::NeedsOperator { failure: why } => {
                format!(
                    "서버 {name}의 남은 자원을 확인해야 합니다: {}",
                    failure(lang, why)
                )
            }
        },
        Lang::En => match &event.kind {
            EventKind::CreateRequested => format!("the creation of server {name} was requested"),
            EventKind::Created => format!("server {name} was created"),
            EventKind::CreatedWithoutAgent => {
                format!("server {name} was created, but its guest agent does not answer")
            }
            EventKind::CreateFailed { failure: why } => {
                format!("server {name} could not be created: {}", failure(lang, why))
            }
            EventKind::CreateCancelled => format!("the creation of server {name} was cancelled"),
            EventKind::DeleteRequested => format!("the removal of server {name} was requested"),
            EventKind::Deleted => format!("server {name} was deleted"),
            EventKind::DeleteFailed { failure: why } => {
                format!("server {name} could not be deleted: {}", failure(lang, why))
            }
            EventKind::PowerRequested { target } => {
                format!("server {name} was asked to be {}", power(lang, *target))
            }
            EventKind::PowerChanged { target } => {
                format!("server {name} was {}", power(lang, *target))
            }
            EventKind::PowerFailed {
                target,
                failure: why,
            } => {
                format!(
                    "server {name} could not be {}: {}",
                    power(lang, *target),
                    failure(lang, why)
                )
            }
            EventKind::Cancelled => format!("the task on server {name} was cancelled"),
            EventKind::NeedsOperator { failure: why } => {
                format!(
                    "something may be left of server {name}; please look: {}",
                    failure(lang, why)
                )
            }
        },
    }
}
