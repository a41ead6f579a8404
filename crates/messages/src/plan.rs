//! Plans, in words that people of Proxmox VE use.

use crate::Lang;
use tpm_domain::{ChangeEffect, PlanAction, PlannedChange, PlannedField};

/// What becomes of the guest, in one line.
#[must_use]
pub fn planned(lang: Lang, plan: &PlannedChange) -> String {
    let fields = plan.fields.len();
    let what = match (lang, plan.action) {
        (Lang::Ko, PlanAction::Nothing) => "변경 없음".to_owned(),
        (Lang::En, PlanAction::Nothing) => "no changes".to_owned(),
        (Lang::Ko, PlanAction::Create) => "가상 머신을 만듭니다".to_owned(),
        (Lang::En, PlanAction::Create) => "the guest is made".to_owned(),
        (Lang::Ko, PlanAction::Update) => format!("설정 {fields}개를 변경합니다"),
        (Lang::En, PlanAction::Update) => format!("{fields} settings change"),
        (Lang::Ko, PlanAction::Replace) => "가상 머신을 삭제하고 다시 만듭니다".to_owned(),
        (Lang::En, PlanAction::Replace) => "WILL DESTROY the guest and make it again".to_owned(),
        (Lang::Ko, PlanAction::Destroy) => "가상 머신을 삭제합니다".to_owned(),
        (Lang::En, PlanAction::Destroy) => "WILL DESTROY the guest".to_owned(),
    };
    if plan.imports {
        format!(
            "{}, {what}",
            lang.pick(
                "기존 가상 머신을 가져옵니다",
                "an existing guest is imported"
            )
        )
    } else {
        what
    }
}

/// One field, in one line: `memory 2048 → 4096 MB, needs a restart`.
#[must_use]
pub fn planned_field(lang: Lang, field: &PlannedField) -> String {
    let parts: Vec<&str> = field
        .field
        .split('.')
        .filter(|part| part.parse::<usize>().is_err())
        .collect();
    let (name, unit) = match parts.join(".").as_str() {
        "memory.dedicated" => (lang.pick("메모리", "memory"), " MB"),
        "cpu.cores" => (lang.pick("CPU 코어", "CPU cores"), ""),
        "disk.size" => (lang.pick("디스크", "disk"), " GB"),
        "name" => (lang.pick("이름", "name"), ""),
        "description" => (lang.pick("설명", "notes"), ""),
        "node_name" => (lang.pick("노드", "node"), ""),
        _ => (field.field.as_str(), ""),
    };
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let when = match field.effect {
        ChangeEffect::Online => lang.pick("즉시 적용", "online"),
        ChangeEffect::NextStart => lang.pick("재시작 후 적용", "needs a restart"),
        ChangeEffect::Destroys => lang.pick("삭제됨", "WILL BE DESTROYED"),
        ChangeEffect::Replaces => lang.pick(
            "가상 머신을 삭제하고 다시 만듦",
            "WILL DESTROY the guest and make it again",
        ),
    };
    let (before, after) = (shown(&field.before), shown(&field.after));
    format!("{name} {before} → {after}{unit}, {when}")
}
