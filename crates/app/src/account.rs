//! Logging in and out. A wrong name and a wrong password are the same answer after the same work.

use crate::{App, AppError, Ctx, Result};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;
use tpm_domain::{Actor, Error, Timestamp, UserRole};
use tpm_store::Throttle;

/// A session ends this long after it was used last.
pub const SESSION_IDLE: Duration = Duration::from_secs(30 * 60);
/// A session ends this long after it was begun, used or not.
pub const SESSION_ABSOLUTE: Duration = Duration::from_secs(8 * 60 * 60);
/// A session's use is noted at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Wrong guesses for an account that are free.
const FREE_PER_ACCOUNT: u32 = 5;
/// Wrong guesses from an address that are free.
const FREE_PER_ADDRESS: u32 = 20;
/// Longest wait between two guesses.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Longest password that is looked at; hashing more would only cost.
const MAX_PASSWORD_BYTES: usize = 1024;

/// A session's secret, given to the person once.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(pub String);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(***)")
    }
}

/// Somebody wants in.
#[derive(Clone)]
pub struct LoginAttempt {
    /// The name given.
    pub username: String,
    /// The password given.
    pub password: String,
    /// Where the attempt comes from.
    pub address: String,
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What is stored of a session's secret.
fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Seconds until the next guess counts, after this many wrong ones.
fn wait_after(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(over) => Duration::from_secs(1 << over.min(20)).min(LONGEST_WAIT),
    }
}

impl App {
    /// Begins a session.
    ///
    /// # Errors
    /// Bad credentials, throttled, or the store does not answer.
    pub async fn login(&self, attempt: LoginAttempt) -> Result<(SessionToken, Actor)> {
        let LoginAttempt {
            username,
            password,
            address,
        } = attempt;
        let keys = [
            (format!("user:{username}"), FREE_PER_ACCOUNT),
            (format!("ip:{address}"), FREE_PER_ADDRESS),
        ];
        let now = self.now();
        let reads = self.store().reads();
        for (key, _) in &keys {
            let not_before = Timestamp(reads.throttle(key).await?.not_before_ms);
            let wait = not_before.since(now);
            if !wait.is_zero() {
                let retry_after_secs = wait.as_secs() + 1;
                return Err(AppError::Refused(Error::Throttled { retry_after_secs }));
            }
        }
        let user = reads.user(&username).await?;
        drop(reads);
        // An unknown name costs the same hash as a known one.
        let stored = user.as_ref().map(|user| user.password_hash.clone());
        let right = self.verify(password, stored).await?;
        let Some(user) = user.filter(|_| right) else {
            self.note_wrong_guess(&keys, now).await?;
            return Err(AppError::Refused(Error::BadCredentials));
        };
        let token = SessionToken(self.random_hex(32));
        let tx = self.store().begin().await?;
        for (key, _) in &keys {
            tx.set_throttle(key, Throttle::default()).await?;
        }
        let begun = Timestamp(now.0 - millis(SESSION_ABSOLUTE));
        let seen = Timestamp(now.0 - millis(SESSION_IDLE));
        tx.sweep_sessions(begun, seen).await?;
        tx.insert_session(&digest(&token.0), user.id).await?;
        tx.commit().await?;
        let actor = Actor {
            id: user.id,
            username: user.username,
            role: user.role,
        };
        Ok((token, actor))
    }

    async fn note_wrong_guess(&self, keys: &[(String, u32)], now: Timestamp) -> Result<()> {
        let tx = self.store().begin().await?;
        for (key, free) in keys {
            let failures = tx.throttle(key).await?.failures.saturating_add(1);
            let not_before_ms = now.plus(wait_after(failures, *free)).0;
            tx.set_throttle(
                key,
                Throttle {
                    failures,
                    not_before_ms,
                },
            )
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Ends a session; a token that is none is no fault.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn logout(&self, token: &SessionToken) -> Result<()> {
        let tx = self.store().begin().await?;
        tx.delete_session(&digest(&token.0)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Who a session's secret belongs to.
    ///
    /// # Errors
    /// Unauthenticated when the session is unknown or over, or the store does not answer.
    pub async fn authenticate(&self, token: &SessionToken) -> Result<Ctx> {
        let key = digest(&token.0);
        let session = self.store().reads().session(&key).await?;
        let session = session.ok_or(Error::Unauthenticated)?;
        let now = self.now();
        if now.since(session.created_at) > SESSION_ABSOLUTE
            || now.since(session.last_seen_at) > SESSION_IDLE
        {
            return Err(AppError::Refused(Error::Unauthenticated));
        }
        if now.since(session.last_seen_at) > TOUCH_EVERY {
            let tx = self.store().begin().await?;
            tx.touch_session(&key).await?;
            tx.commit().await?;
        }
        let user = session.user;
        Ok(Ctx {
            actor: Actor {
                id: user.id,
                username: user.username,
                role: user.role,
            },
            key: None,
        })
    }

    /// Makes the first person, `admin`, when there is nobody. Returns the password when it was made up:
    /// it is shown once and stored nowhere.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn ensure_admin(&self, password: Option<String>) -> Result<Option<String>> {
        if self.store().reads().any_user().await? {
            return Ok(None);
        }
        let made_up = password.is_none().then(|| self.random_hex(12));
        let hash = self
            .hash(password.or_else(|| made_up.clone()).unwrap_or_default())
            .await?;
        let tx = self.store().begin().await?;
        if tx.any_user().await? {
            return Ok(None);
        }
        tx.insert_user("admin", &hash, UserRole::Admin).await?;
        tx.commit().await?;
        Ok(made_up)
    }

    async fn hash(&self, password: String) -> Result<String> {
        self.blocking(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string())
                .map_err(|error| anyhow::anyhow!("hashing: {error}"))
        })
        .await
    }

    /// Whether a password fits a hash; without a hash it works as long and says no.
    async fn verify(&self, password: String, stored: Option<String>) -> Result<bool> {
        // Argon2id with the default parameters (m=19 MiB, t=2, p=1) over nothing anybody knows.
        const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGtub3dzIGl0$\
                              3g5vRmZ0bqJ8Q5mJk1hY9m3p0Yw6T2c8rXo4uVnA7sE";
        self.blocking(move || {
            let known = stored.is_some();
            let text = stored.unwrap_or_else(|| NOBODY.to_owned());
            let hash = PasswordHash::new(&text)
                .map_err(|error| anyhow::anyhow!("stored hash: {error}"))?;
            let cut = &password.as_bytes()[..password.len().min(MAX_PASSWORD_BYTES)];
            let fits = Argon2::default().verify_password(cut, &hash).is_ok();
            Ok(fits && known && password.len() <= MAX_PASSWORD_BYTES)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self
            .hashing
            .acquire()
            .await
            .map_err(|error| AppError::Fault(error.into()))?;
        let done = tokio::task::spawn_blocking(work).await;
        drop(place);
        done.map_err(|error| AppError::Fault(error.into()))?
            .map_err(AppError::Fault)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_after_the_free_guesses() {
        let waits: Vec<_> = (4..=9).map(|n| wait_after(n, 5).as_secs()).collect();
        assert_eq!(waits, [0, 0, 2, 4, 8, 16]);
        assert_eq!(wait_after(u32::MAX, 5), LONGEST_WAIT);
    }

    #[test]
    fn secrets_do_not_print() {
        let attempt = LoginAttempt {
            username: "admin".into(),
            password: "hunter2".into(),
            address: "127.0.0.1".into(),
        };
        assert!(!format!("{attempt:?}").contains("hunter2"));
        assert!(!format!("{:?}", SessionToken("abc".into())).contains("abc"));
    }
}
