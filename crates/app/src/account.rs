//! Logging in and out. A wrong name and a wrong password are the same answer after the same work.

use crate::{App, AppError, Ctx, Origin, Result};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;
use tpm_domain::{AuditTarget, Error, Timestamp, UserId};
use tpm_store::{NewSession, StoreError, Throttle, User};

/// A session ends this long after it was used last.
pub const SESSION_IDLE: Duration = Duration::from_secs(30 * 60);
/// A session ends this long after it was begun, used or not.
pub const SESSION_ABSOLUTE: Duration = Duration::from_secs(8 * 60 * 60);
/// Changing what one logs in with, and ending sessions, takes a login that is no older.
const LOGIN_FRESH: Duration = Duration::from_secs(15 * 60);
/// A session's use is noted at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Wrong guesses for an account that are free.
const FREE_PER_ACCOUNT: u32 = 5;
/// Wrong guesses from an address that are free.
const FREE_PER_ADDRESS: u32 = 20;
/// Longest wait between two guesses.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Wrong guesses are forgotten when nobody guessed for this long.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// What is kept of a client's name for itself.
const MAX_AGENT: usize = 200;
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

/// By what somebody is known.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A session.
    Session(SessionToken),
    /// A key.
    Key(SecretString),
}

/// Somebody wants in.
#[derive(Clone)]
pub struct LoginAttempt {
    /// The name given.
    pub username: String,
    /// The password given.
    pub password: String,
    /// A code of the second factor.
    pub code: Option<String>,
    /// Where the attempt comes from.
    pub origin: Origin,
    /// The session that the client has so far: it ends when another one begins.
    pub before: Option<SessionToken>,
    /// What the client was given when the person logged in with it before.
    pub device: Option<DeviceToken>,
}

/// Tells a client that a person has logged in with before, so that those who guess elsewhere do not make the
/// person wait. Nobody is logged in by it.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceToken(pub String);

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceToken(***)")
    }
}

/// A session that has begun.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Its secret.
    pub token: SessionToken,
    /// Tells this client from others from now on.
    pub device: DeviceToken,
    /// The person.
    pub ctx: Ctx,
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What is stored of a secret that nobody can guess.
pub(crate) fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Seconds until the next guess counts, after this many wrong ones.
fn wait_after(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(over) => Duration::from_secs(1 << over.min(20)).min(LONGEST_WAIT),
    }
}

/// Under what wrong guesses are noted, and how many of each are free: first what a right one clears. A device that the person has logged in
/// with before is counted by itself: whoever guesses elsewhere cannot lock the person out.
fn guesses(username: &str, address: &str, device: Option<&str>) -> Vec<(String, u32)> {
    match device {
        Some(nonce) => vec![(format!("device:{nonce}"), FREE_PER_ACCOUNT)],
        None => vec![
            (format!("user:{username}"), FREE_PER_ACCOUNT),
            (format!("ip:{address}"), FREE_PER_ADDRESS),
        ],
    }
}

/// The same for the present password of somebody who is in.
pub(crate) fn guesses_within(person: UserId) -> Vec<(String, u32)> {
    vec![(format!("password:{person}"), FREE_PER_ACCOUNT)]
}

impl App {
    /// Begins a session.
    ///
    /// # Errors
    /// Bad credentials, throttled, or the store does not answer.
    pub async fn login(&self, attempt: LoginAttempt) -> Result<LoggedIn> {
        let LoginAttempt {
            username,
            password,
            code,
            mut origin,
            before,
            device,
        } = attempt;
        let known = device.and_then(|device| self.known_device(&username, &device));
        let guesses = guesses(&username, &origin.address, known.as_deref());
        self.may_guess(&guesses).await?;
        let user = self.store().reads().user(&username).await?;
        // An unknown name costs the same hash as a known one.
        let stored = user.as_ref().map(|user| user.password_hash.clone());
        let right = self.verify(password.clone(), stored).await?;
        let now = self.now();
        let ended = |user: &User| user.password_ends_at.is_some_and(|end| end <= now);
        let known_person = user.filter(|user| right && !user.disabled && !ended(user));
        let Some(user) = known_person else {
            self.note_wrong_guess(&guesses).await?;
            return Err(AppError::Refused(Error::BadCredentials));
        };
        if user.has_factor() && code.is_none() {
            return Err(AppError::Refused(Error::SecondFactorNeeded));
        }
        let better = match is_as_now(&user.password_hash) {
            true => None,
            false => Some(self.hash(password).await?),
        };
        let token = SessionToken(self.random_hex(32));
        let tx = self.store().begin().await?;
        if user.has_factor()
            && !self
                .use_code(&*tx, &user, &code.unwrap_or_default())
                .await?
        {
            drop(tx);
            self.note_wrong_guess(&guesses).await?;
            return Err(AppError::Refused(Error::BadCredentials));
        }
        if let Some(password_hash) = better {
            let user = User {
                password_hash,
                ..user.clone()
            };
            tx.save_user(&user).await?;
        }
        // The address is not cleared: whoever has an account here could try others for ever.
        if let Some((key, _)) = guesses.first() {
            tx.set_throttle(key, Throttle::default()).await?;
        }
        let begun = Timestamp(now.0 - millis(SESSION_ABSOLUTE));
        let seen = Timestamp(now.0 - millis(SESSION_IDLE));
        tx.sweep_sessions(begun, seen).await?;
        if let Some(before) = before {
            tx.delete_session(&digest(&before.0)).await?;
        }
        let session = NewSession {
            digest: digest(&token.0),
            user: user.id,
            address: origin.address.clone(),
            agent: origin.agent.chars().take(MAX_AGENT).collect(),
        };
        tx.insert_session(&session).await?;
        let actor = self.actor_of(&*tx, &user).await?;
        "password".clone_into(&mut origin.via);
        let ctx = Ctx {
            actor,
            key: None,
            origin,
            begun: Some(now),
            confined: self.policy().second_factor && !user.has_factor(),
            language: user.language,
        };
        let about = AuditTarget::new("user", user.id);
        self.commit_in_a_copy(&ctx, tx, about).await?;
        let nonce = known.unwrap_or_else(|| self.random_hex(16));
        let mac = self.device_mac(&username, &nonce).finalize().into_bytes();
        Ok(LoggedIn {
            token,
            device: DeviceToken(format!("{nonce}.{}", hex::encode(mac))),
            ctx,
        })
    }

    fn device_mac(&self, username: &str, nonce: &str) -> Hmac<Sha256> {
        let key = self.parts().audit_key.expose_secret();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
        for part in ["device", username, nonce] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac
    }

    /// What tells a device from others, when the person has logged in with it before.
    fn known_device(&self, username: &str, device: &DeviceToken) -> Option<String> {
        let (nonce, mac) = device.0.split_once('.')?;
        let mac = hex::decode(mac).ok()?;
        self.device_mac(username, nonce).verify_slice(&mac).ok()?;
        Some(nonce.to_owned())
    }

    /// Whether a guess counts now.
    pub(crate) async fn may_guess(&self, guesses: &[(String, u32)]) -> Result<()> {
        let now = self.now();
        let reads = self.store().reads();
        for (key, _) in guesses {
            let not_before = Timestamp(reads.throttle(key).await?.not_before_ms);
            let wait = not_before.since(now);
            if !wait.is_zero() {
                let retry_after_secs = wait.as_secs() + 1;
                return Err(AppError::Refused(Error::Throttled { retry_after_secs }));
            }
        }
        Ok(())
    }

    pub(crate) async fn note_wrong_guess(&self, keys: &[(String, u32)]) -> Result<()> {
        let now = self.now();
        let tx = self.store().begin().await?;
        tx.sweep_throttles(Timestamp(now.0 - millis(FORGOTTEN_AFTER)))
            .await?;
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

    /// Asked first by what changes what one logs in with: a session that somebody left open, or took, must not be enough.
    ///
    /// # Errors
    /// Forbidden for a key, or the last login is too long ago.
    pub(crate) fn freshly(&self, ctx: &Ctx) -> Result<()> {
        ctx.in_person()?;
        self.recently(ctx)
    }

    /// The same where a key may, too.
    pub(crate) fn recently(&self, ctx: &Ctx) -> Result<()> {
        let old = |begun: Timestamp| self.now().since(begun) > LOGIN_FRESH;
        if ctx.begun.is_some_and(old) {
            return Err(AppError::Refused(Error::LoginAgain));
        }
        Ok(())
    }

    /// Ends the session of the request.
    ///
    /// # Errors
    /// Forbidden for a key, or the store does not answer.
    pub async fn logout(&self, ctx: &Ctx, token: &SessionToken) -> Result<()> {
        ctx.in_person()?;
        let tx = self.store().begin().await?;
        tx.delete_session(&digest(&token.0)).await?;
        let about = AuditTarget::new("user", ctx.actor.id);
        self.commit_in_a_copy(ctx, tx, about).await
    }

    /// Who a session's secret belongs to.
    ///
    /// # Errors
    /// Unauthenticated when the session is unknown or over, or the person is kept out; or the store does not
    /// answer.
    pub async fn authenticate(&self, token: &SessionToken, origin: Origin) -> Result<Ctx> {
        let (ctx, seen) = self.session_holds(token, origin).await?;
        if self.now().since(seen) > TOUCH_EVERY {
            let touched = async {
                let tx = self.store().begin().await?;
                tx.touch_session(&digest(&token.0)).await?;
                tx.commit().await
            };
            tell_untouched(touched.await);
        }
        Ok(ctx)
    }

    /// Whose a session is, and when it was used last; this is no use of it.
    async fn session_holds(
        &self,
        token: &SessionToken,
        mut origin: Origin,
    ) -> Result<(Ctx, Timestamp)> {
        let reads = self.store().reads();
        let session = reads.session(&digest(&token.0)).await?;
        let session = session.filter(|session| !session.user.disabled);
        let session = session.ok_or(Error::Unauthenticated)?;
        let now = self.now();
        if now.since(session.created_at) > SESSION_ABSOLUTE
            || now.since(session.last_seen_at) > SESSION_IDLE
        {
            return Err(AppError::Refused(Error::Unauthenticated));
        }
        let actor = self.actor_of(&*reads, &session.user).await?;
        "session".clone_into(&mut origin.via);
        let ctx = Ctx {
            actor,
            key: None,
            origin,
            begun: Some(session.created_at),
            confined: self.policy().second_factor && !session.user.has_factor(),
            language: session.user.language,
        };
        Ok((ctx, session.last_seen_at))
    }

    /// What somebody may do who was known by this before. It counts as no use: what is only open in front of
    /// nobody ends as if it were not.
    ///
    /// # Errors
    /// Unauthenticated when it does not hold any more, or the store does not answer.
    pub async fn still_holds(&self, credential: &Credential, origin: Origin) -> Result<Ctx> {
        match credential {
            Credential::Session(token) => Ok(self.session_holds(token, origin).await?.0),
            Credential::Key(text) => Ok(self.key_holds(text, origin).await?.0),
        }
    }

    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        self.blocking(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string())
                .map_err(|error| anyhow::anyhow!("hashing: {error}"))
        })
        .await
    }

    /// Whether a password fits a hash; without a hash it works as long and says no.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> Result<bool> {
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

/// That somebody was here could not be written down. It ends a session sooner than it would, which is no reason to
/// turn people away who only read while the disk is full.
pub(crate) fn tell_untouched(touched: std::result::Result<(), StoreError>) {
    if let Err(error) = touched {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the last use is not written down");
    }
}

/// Whether a hash is made as hashes are made now: as slow, by the same algorithm.
fn is_as_now(hash: &str) -> bool {
    hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
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
            code: None,
            origin: Origin::default(),
            before: None,
            device: None,
        };
        assert!(!format!("{attempt:?}").contains("hunter2"));
        assert!(!format!("{:?}", SessionToken("abc".into())).contains("abc"));
    }
}
