//! How a use case says no: a refusal that the caller is told in full, or a fault that only the log is.

use tpm_domain::Error;
use tpm_store::StoreError;

/// What a use case answers.
pub type Result<T> = std::result::Result<T, AppError>;

/// Why a use case did not do it.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The caller is told.
    #[error(transparent)]
    Refused(#[from] Error),
    /// Our own fault; the caller is told a reference and nothing else.
    #[error("internal fault")]
    Fault(#[source] anyhow::Error),
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Crossed(_) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "store unavailable"
                );
                Self::Refused(Error::Unavailable {
                    retry_after_secs: 2,
                })
            }
            StoreError::Full(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "store full");
                Self::Refused(Error::StorageFull)
            }
            StoreError::Constraint(_) | StoreError::Broken(_) => Self::Fault(error.into()),
        }
    }
}
