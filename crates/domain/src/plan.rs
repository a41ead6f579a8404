//! What an engine that plans is going to do to a guest.

use serde::{Deserialize, Serialize};

/// What becomes of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanAction {
    /// It stays as it is.
    #[default]
    Nothing,
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// It is destroyed and made again.
    Replace,
    /// It is destroyed.
    Destroy,
}

/// When a changed field applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeEffect {
    /// At once, while the guest runs.
    Online,
    /// From the next start of the guest on.
    NextStart,
    /// What the field stands for is destroyed.
    Destroys,
    /// The guest is destroyed and made again for it.
    Replaces,
}

/// One field that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedField {
    /// Its name as the engine has it: `memory.0.dedicated`.
    pub field: String,
    /// What it is; `None` when it is unset.
    pub before: Option<String>,
    /// What it is to be; `None` when it is to be unset.
    pub after: Option<String>,
    /// When that applies.
    pub effect: ChangeEffect,
}

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// What becomes of the guest.
    pub action: PlanAction,
    /// Whether an existing guest is taken into the state by it.
    pub imports: bool,
    /// The fields that change.
    pub fields: Vec<PlannedField>,
}

impl PlannedChange {
    /// Whether something is lost by it.
    #[must_use]
    pub fn is_destructive(&self) -> bool {
        matches!(self.action, PlanAction::Replace | PlanAction::Destroy)
            || self.fields.iter().any(|field| {
                matches!(
                    field.effect,
                    ChangeEffect::Destroys | ChangeEffect::Replaces
                )
            })
    }

    /// Whether the guest is already as wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.action {
            PlanAction::Nothing => true,
            PlanAction::Update => self.fields.is_empty(),
            PlanAction::Create | PlanAction::Replace | PlanAction::Destroy => false,
        }
    }
}
