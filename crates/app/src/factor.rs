//! The second factor: codes of an authenticator app (TOTP, RFC 6238), and codes for when it is lost. The app's secret is
//! sealed; a code is used up in the transaction of what it allows.

use crate::account::{digest, guesses_within};
use crate::{App, AppError, Ctx, Result, SessionToken};
use anyhow::Context as _;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use tpm_domain::{AuditTarget, Conflict, Error, FieldErrors, Reason};
use tpm_secrets::Seal;
use tpm_store::{Factor, UnitOfWork, User};

type Tx = dyn UnitOfWork + Send + Sync;

/// How long a code of the app is good, in seconds. None is taken before or after.
const STEP: u64 = 30;
/// Digits of a code of the app.
const DIGITS: u8 = 6;
/// Random bytes of the app's secret.
const SECRET: usize = 20;
/// Codes for when the app is lost; each works once.
const RECOVERY: usize = 10;
/// Random bytes of each.
const RECOVERY_BYTES: usize = 16;
/// What apps call us.
const ISSUER: &str = "Terraform Proxmox Manager";

/// What an app is set up with: it is shown this once.
#[derive(Debug)]
pub struct Enrolment {
    /// The app's secret, in base32.
    pub secret: SecretString,
    /// The same as an address that apps open (`otpauth://`).
    pub uri: SecretString,
}

fn fault(error: impl Into<anyhow::Error>) -> AppError {
    AppError::Fault(error.into())
}

fn target(user: &User) -> AuditTarget {
    AuditTarget::new("user", user.id)
}

/// What is compared of a recovery code: its letters, however they are grouped and cased.
fn recovery_digest(code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    digest(&plain.to_ascii_lowercase())
}

impl App {
    fn seal_of_factors(&self) -> Result<Seal> {
        let key = self.parts().audit_key.expose_secret();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(fault)?;
        mac.update(b"factors");
        Seal::new(&mac.finalize().into_bytes()).map_err(fault)
    }

    fn totp(&self, user: &User, secret: Vec<u8>) -> Result<totp_rs::Totp> {
        totp_rs::Builder::new()
            .with_algorithm(totp_rs::Algorithm::SHA1)
            .with_digits(DIGITS)
            .with_step_duration(STEP)
            .with_skew(0)
            .with_secret(secret)
            .with_account_name(user.username.clone())
            .with_issuer(Some(ISSUER))
            .build()
            .map_err(fault)
    }

    /// The factor as it is after this code was used; `None` when the code is wrong or was used before.
    fn after(&self, user: &User, factor: &Factor, code: &str) -> Result<Option<Factor>> {
        let sealed = hex::decode(&factor.sealed).map_err(fault)?;
        let what = format!("factor/{}", user.id);
        let secret = self.seal_of_factors()?.open(&what, &sealed);
        let secret = secret
            .context("the second factor")
            .map_err(AppError::Fault)?;
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.len() == usize::from(DIGITS) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let now = u64::try_from(self.now().0 / 1000).unwrap_or_default();
            let step = self.totp(user, secret)?.check(&digits, now);
            let step = step.and_then(|step| i64::try_from(step).ok());
            return Ok(step.filter(|step| *step > factor.used).map(|used| Factor {
                used,
                ..factor.clone()
            }));
        }
        let wanted = recovery_digest(code);
        let left = factor.recovery.iter().filter(|known| **known != wanted);
        let left: Vec<String> = left.cloned().collect();
        Ok((left.len() < factor.recovery.len()).then(|| Factor {
            recovery: left,
            ..factor.clone()
        }))
    }

    /// Whether a code is right; it is used up then, also when it is shown twice at once.
    pub(crate) async fn use_code(&self, tx: &Tx, user: &User, code: &str) -> Result<bool> {
        let Some(factor) = &user.factor else {
            return Ok(false);
        };
        match self.after(user, factor, code)? {
            None => Ok(false),
            Some(after) => Ok(tx.swap_factor(user.id, Some(factor), Some(&after)).await?),
        }
    }

    /// Begins to set up an app. It counts once a code of it was shown.
    ///
    /// # Errors
    /// Forbidden for a key, login again when the last one is long ago, conflict when there is one, or the store does
    /// not answer.
    pub async fn begin_factor(&self, ctx: &Ctx) -> Result<Enrolment> {
        self.freshly(ctx)?;
        let tx = self.store().begin().await?;
        let user = tx.user_by_id(ctx.actor.id).await?;
        let user = user.ok_or(Error::Unauthenticated)?;
        if user.has_factor() {
            return Err(Error::Conflict(Conflict::FactorThere).into());
        }
        let mut secret = vec![0_u8; SECRET];
        (self.parts().random)(&mut secret);
        let what = format!("factor/{}", user.id);
        let sealed = self
            .seal_of_factors()?
            .seal(&what, &secret)
            .map_err(fault)?;
        let factor = Factor {
            sealed: hex::encode(sealed),
            confirmed: false,
            used: 0,
            recovery: Vec::new(),
        };
        if !tx
            .swap_factor(user.id, user.factor.as_ref(), Some(&factor))
            .await?
        {
            return Err(Error::Conflict(Conflict::FactorThere).into());
        }
        self.commit(ctx, tx, target(&user)).await?;
        let text = totp_rs::Secret::from(secret.clone()).to_base32();
        let uri = self.totp(&user, secret)?.to_url().map_err(fault)?;
        Ok(Enrolment {
            secret: text.into(),
            uri: uri.into(),
        })
    }

    /// Shows a code of the app: from now on logging in takes one. Every other session ends. The codes for when the app is
    /// lost are told this once.
    ///
    /// # Errors
    /// Forbidden for a key, login again when the last one is long ago, invalid when the code is wrong, conflict when
    /// nothing was begun, throttled, or the store does not answer.
    pub async fn confirm_factor(
        &self,
        ctx: &Ctx,
        code: Option<String>,
        session: Option<&SessionToken>,
        errors: FieldErrors,
    ) -> Result<Vec<SecretString>> {
        self.freshly(ctx)?;
        let code = given(code, errors)?;
        let guesses = guesses_within(ctx.actor.id);
        self.may_guess(&guesses).await?;
        let tx = self.store().begin().await?;
        let user = tx.user_by_id(ctx.actor.id).await?;
        let user = user.ok_or(Error::Unauthenticated)?;
        let pending = user.factor.as_ref().filter(|factor| !factor.confirmed);
        let Some(pending) = pending else {
            return Err(Error::Conflict(Conflict::NoFactor).into());
        };
        let Some(after) = self.after(&user, pending, &code)? else {
            drop(tx);
            self.note_wrong_guess(&guesses).await?;
            return Err(wrong_code());
        };
        let codes: Vec<String> = (0..RECOVERY)
            .map(|_| self.random_hex(RECOVERY_BYTES))
            .collect();
        let confirmed = Factor {
            confirmed: true,
            recovery: codes.iter().map(|code| recovery_digest(code)).collect(),
            ..after
        };
        if !tx
            .swap_factor(user.id, Some(pending), Some(&confirmed))
            .await?
        {
            return Err(Error::Conflict(Conflict::NoFactor).into());
        }
        let keep = session.map(|token| digest(&token.0));
        tx.delete_sessions_of(user.id, keep.as_deref()).await?;
        self.commit(ctx, tx, target(&user)).await?;
        let grouped = |code: &String| {
            let groups: Vec<&str> = (0..code.len())
                .step_by(8)
                .map(|n| &code[n..n + 8])
                .collect();
            groups.join("-").into()
        };
        Ok(codes.iter().map(grouped).collect())
    }

    /// Takes the second factor away, which takes a code of it. Every other session ends.
    ///
    /// # Errors
    /// As for [`confirm_factor`](Self::confirm_factor).
    pub async fn remove_factor(
        &self,
        ctx: &Ctx,
        code: Option<String>,
        session: Option<&SessionToken>,
        errors: FieldErrors,
    ) -> Result<()> {
        self.freshly(ctx)?;
        let code = given(code, errors)?;
        let guesses = guesses_within(ctx.actor.id);
        self.may_guess(&guesses).await?;
        let tx = self.store().begin().await?;
        let user = tx.user_by_id(ctx.actor.id).await?;
        let user = user.ok_or(Error::Unauthenticated)?;
        let factor = user.factor.as_ref().filter(|factor| factor.confirmed);
        let Some(factor) = factor else {
            return Err(Error::Conflict(Conflict::NoFactor).into());
        };
        let right = self.after(&user, factor, &code)?.is_some();
        if !right || !tx.swap_factor(user.id, Some(factor), None).await? {
            drop(tx);
            self.note_wrong_guess(&guesses).await?;
            return Err(wrong_code());
        }
        let keep = session.map(|token| digest(&token.0));
        tx.delete_sessions_of(user.id, keep.as_deref()).await?;
        self.commit(ctx, tx, target(&user)).await
    }
}

fn given(code: Option<String>, mut errors: FieldErrors) -> Result<String> {
    if errors.is_empty() && code.is_none() {
        errors.add("code", Reason::Required);
    }
    errors
        .into_result(code.unwrap_or_default())
        .map_err(AppError::Refused)
}

fn wrong_code() -> AppError {
    let mut errors = FieldErrors::default();
    errors.add("code", Reason::WrongCode);
    match errors.into_result(()) {
        Err(error) => AppError::Refused(error),
        Ok(()) => AppError::Refused(Error::BadCredentials),
    }
}
