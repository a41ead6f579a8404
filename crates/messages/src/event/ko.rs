//! Notifications in Korean.

use super::{expiry, listed, moment, power, with_detail};
use crate::{Lang, failure};
use tpm_domain::{AlertRule, Event, EventKind};

pub(super) fn notification(event: &Event) -> String {
    let name = &event.server_name;
    match &event.kind {
        EventKind::CreateRequested => format!("서버 {name} 생성이 요청되었습니다"),
        EventKind::Created => format!("서버 {name}이 성공적으로 생성되었습니다"),
        EventKind::CreatedWithoutAgent => {
            format!("서버 {name}이 생성되었지만 게스트 에이전트가 응답하지 않습니다")
        }
        EventKind::CreateFailed { failure: why } => {
            format!(
                "서버 {name} 생성에 실패했습니다: {}",
                failure(Lang::Ko, why)
            )
        }
        EventKind::CreateCancelled => format!("서버 {name} 생성이 취소되었습니다"),
        EventKind::DeleteRequested => format!("서버 {name} 삭제가 요청되었습니다"),
        EventKind::Deleted => format!("서버 {name}이 성공적으로 삭제되었습니다"),
        EventKind::DeleteFailed { failure: why } => {
            format!(
                "서버 {name} 삭제에 실패했습니다: {}",
                failure(Lang::Ko, why)
            )
        }
        EventKind::PowerRequested { target } => {
            format!("서버 {name} {}이 요청되었습니다", power(Lang::Ko, *target))
        }
        EventKind::PowerChanged { target } => {
            format!("서버 {name}이 {}되었습니다", power(Lang::Ko, *target))
        }
        EventKind::PowerFailed {
            target,
            failure: why,
        } => {
            format!(
                "서버 {name} {}에 실패했습니다: {}",
                power(Lang::Ko, *target),
                failure(Lang::Ko, why)
            )
        }
        EventKind::Cancelled => format!("서버 {name}의 작업이 취소되었습니다"),
        EventKind::NeedsOperator { failure: why } => {
            format!(
                "서버 {name}의 남은 자원을 확인해야 합니다: {}",
                failure(Lang::Ko, why)
            )
        }

        EventKind::ChangeRequested => format!("서버 {name} 사양 변경이 요청되었습니다"),
        EventKind::Changed { restart: false } => format!("서버 {name}의 사양이 변경되었습니다"),
        EventKind::Changed { restart: true } => {
            format!("서버 {name}의 사양이 변경되었습니다. 일부는 재시작 후 적용됩니다")
        }
        EventKind::ChangeFailed { failure: why } => format!(
            "서버 {name} 사양 변경에 실패했습니다: {}",
            failure(Lang::Ko, why)
        ),
        EventKind::Imported {
            vmid,
            engine,
            other_engine: false,
        } => format!("가상 머신 {vmid}을(를) 서버 {name}(으)로 가져왔습니다 (엔진 {engine})"),
        EventKind::Imported {
            vmid,
            engine,
            other_engine: true,
        } => format!(
            "가상 머신 {vmid}을(를) 서버 {name}(으)로 가져왔습니다. 요청한 엔진은 현재 상태 그대로 가져올 수 없어 {engine} 엔진으로 관리합니다"
        ),
        EventKind::ImportFailed { vmid, failure: why } => format!(
            "가상 머신 {vmid}을(를) 가져오지 못했습니다: {}",
            failure(Lang::Ko, why)
        ),
        EventKind::DriftDecided { adopted, ignored } => format!(
            "서버 {name}의 변경 사항을 정리했습니다 (반영: {}, 무시: {})",
            listed(adopted),
            listed(ignored)
        ),
        EventKind::GuestMissing => format!("서버 {name}의 가상 머신이 사라졌습니다"),
        EventKind::GuestFound => format!("서버 {name}의 가상 머신을 다시 찾았습니다"),
        EventKind::Adopted { vmid } => format!(
            "이 데이터베이스에 없던 가상 머신 {vmid}을(를) 서명으로 확인하여 서버 {name}(으)로 다시 등록했습니다"
        ),
        EventKind::IdentityConflict { failure: why } => format!(
            "서버 {name}의 VMID에 다른 가상 머신이 있습니다: {}",
            failure(Lang::Ko, why)
        ),
        EventKind::Moved { from, to } => {
            format!("서버 {name}이 노드 {from}에서 {to}(으)로 이동했습니다")
        }
        EventKind::PowerSeen { running: true } => {
            format!("서버 {name}이 외부에서 시작되었습니다")
        }
        EventKind::PowerSeen { running: false } => {
            format!("서버 {name}이 외부에서 중지되었습니다")
        }
        EventKind::Drifted { fields } => format!(
            "서버 {name}의 설정이 외부에서 변경되었습니다: {}",
            fields.join("; ")
        ),
        EventKind::PlacedAgain { from, to } => {
            format!("노드 {from}을(를) 사용할 수 없어 서버 {name}을 {to}에 만듭니다")
        }
        EventKind::OrphanFound { vmid } => {
            format!("끝난 작업이 남긴 가상 머신 {vmid}(서버 {name})을 찾아 삭제합니다")
        }
        EventKind::OrphanRemoved { vmid } => {
            format!("남아 있던 가상 머신 {vmid}(서버 {name})을 삭제했습니다")
        }
        EventKind::OrphanLeft { vmid, failure: why } => format!(
            "남아 있는 가상 머신 {vmid}(서버 {name})을 삭제하지 못했습니다: {}",
            failure(Lang::Ko, why)
        ),
        EventKind::ForeignInRange { vmid } => format!(
            "우리 VMID 범위에 다른 가상 머신 {name}({vmid})이 있습니다. 이 번호는 사용하지 않습니다"
        ),
        EventKind::Forgotten => format!("서버 {name}을 목록에서 제거했습니다"),
        EventKind::RecreateRequested => format!("서버 {name} 재생성이 요청되었습니다"),
        EventKind::ExpiresSoon { at, action } => format!(
            "서버 {name}의 사용 기간이 {}에 끝나면 {}됩니다",
            moment(*at),
            expiry(Lang::Ko, *action)
        ),
        EventKind::BackupRequested => format!("서버 {name} 백업이 요청되었습니다"),
        EventKind::BackedUp {
            backup,
            warnings: 0,
        } => {
            format!("서버 {name}이 백업되었습니다 ({backup})")
        }
        EventKind::BackedUp { backup, warnings } => {
            format!("서버 {name}이 백업되었습니다. 경고 {warnings}건 ({backup})")
        }
        EventKind::BackupFailed { failure: why, .. } => format!(
            "서버 {name} 백업에 실패했습니다: {}",
            failure(Lang::Ko, why)
        ),
        EventKind::RestoreRequested { backup } => {
            format!("서버 {name}에 백업 {backup} 복원이 요청되었습니다")
        }
        EventKind::Restored { backup } => {
            format!("서버 {name}에 백업 {backup}이 복원되었습니다")
        }
        EventKind::RestoreFailed {
            backup,
            safety: None,
            failure: why,
        } => format!(
            "서버 {name}에 백업 {backup}을 복원하지 못했습니다: {}",
            failure(Lang::Ko, why)
        ),
        EventKind::RestoreFailed {
            backup,
            safety: Some(safety),
            failure: why,
        } => format!(
            "서버 {name}에 백업 {backup}을 복원하지 못했습니다: {}. 이전 내용은 {safety}에 있습니다",
            failure(Lang::Ko, why)
        ),
        EventKind::DrillRequested { backup } => {
            format!("서버 {name}의 백업 {backup} 복원 훈련이 요청되었습니다")
        }
        EventKind::Drilled { backup } => {
            format!("서버 {name}의 백업 {backup}이 복원 훈련을 통과했습니다")
        }
        EventKind::DrillFailed {
            backup,
            failure: why,
        } => format!(
            "서버 {name}의 백업 {backup}이 복원 훈련을 통과하지 못했습니다: {}",
            failure(Lang::Ko, why)
        ),
        EventKind::BackupDeleteRequested { backup } => {
            format!("서버 {name}의 백업 {backup} 삭제가 요청되었습니다")
        }
        EventKind::BackupDeleted { backup } => {
            format!("서버 {name}의 백업 {backup}이 삭제되었습니다")
        }
        EventKind::BackupDeleteFailed {
            backup,
            failure: why,
        } => format!(
            "서버 {name}의 백업 {backup}을 삭제하지 못했습니다: {}",
            failure(Lang::Ko, why)
        ),
        EventKind::BackupMissing { backup } => {
            format!("서버 {name}의 백업 {backup} 파일이 스토리지에서 사라졌습니다")
        }
        EventKind::RunMissed { due_at, servers } => format!(
            "예약 {name}: {} 예정 백업이 시간대 안에 시작되지 못한 서버가 {servers}대 있습니다",
            moment(*due_at)
        ),
        EventKind::AlertRaised { rule, detail, .. } => {
            let what = match rule {
                AlertRule::ServerDown => format!("서버 {name}이(가) 실행되고 있지 않습니다"),
                AlertRule::ExporterDown => {
                    format!("서버 {name}의 node_exporter가 응답하지 않습니다")
                }
                AlertRule::MemoryHigh => format!("서버 {name}의 메모리가 거의 찼습니다"),
                AlertRule::DiskNearlyFull => format!("서버 {name}의 디스크가 거의 찼습니다"),
                AlertRule::Drift => format!("서버 {name}의 설정이 관리되는 값과 다릅니다"),
                AlertRule::NodeOffline => format!("노드 {name}이(가) 오프라인입니다"),
                AlertRule::CertificateEnds => {
                    format!("{name}의 인증서 만료가 가깝습니다")
                }
                AlertRule::BackupOld => {
                    format!("서버 {name}에 예약 정책을 충족하는 백업이 없습니다")
                }
                AlertRule::External => format!("경보 {name}"),
            };
            with_detail(what, detail)
        }
        EventKind::AlertResolved { rule } => match rule {
            AlertRule::ServerDown => format!("서버 {name}이(가) 다시 정상입니다"),
            AlertRule::ExporterDown => format!("서버 {name}의 node_exporter가 다시 응답합니다"),
            AlertRule::MemoryHigh => format!("서버 {name}의 메모리에 다시 여유가 있습니다"),
            AlertRule::DiskNearlyFull => format!("서버 {name}의 디스크에 다시 여유가 있습니다"),
            AlertRule::Drift => format!("서버 {name}의 설정이 다시 관리되는 값과 같습니다"),
            AlertRule::NodeOffline => format!("노드 {name}이(가) 다시 온라인입니다"),
            AlertRule::CertificateEnds => {
                format!("{name}의 인증서가 갱신되었습니다")
            }
            AlertRule::BackupOld => {
                format!("서버 {name}에 예약 정책을 충족하는 백업이 다시 있습니다")
            }
            AlertRule::External => format!("경보 {name}이(가) 해소되었습니다"),
        },
        EventKind::Expired { action } => format!(
            "서버 {name}의 사용 기간이 끝나 {}합니다",
            expiry(Lang::Ko, *action)
        ),
    }
}
