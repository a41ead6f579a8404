//! A token, and everything that is needed to have one: logging in once at a time, renewing before it ends.

use super::http::Http;
use super::refusal::Refusal;
use super::settings::VaultAuth;
use crate::SecretError;
use secrecy::{ExposeSecret, SecretString};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify};
use vaultrs::api::AuthInfo;
use vaultrs::client::VaultClient;
use vaultrs::error::ClientError;
use vaultrs::{auth, token};
use zeroize::{Zeroize, Zeroizing};

/// Shortest time between two attempts to renew.
const SHORTEST: Duration = Duration::from_millis(500);
/// Longest time between two attempts to renew, or to log in.
const LONGEST: Duration = Duration::from_secs(30);

/// vaultrs with a token, which is wiped with it.
pub(super) struct Session {
    pub(super) client: VaultClient,
    pub(super) token: SecretString,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.settings.token.zeroize();
        self.client.middle.token.zeroize();
    }
}

/// How long a token is good.
#[derive(Clone, Copy, Debug)]
struct Lease {
    /// As long as this; `None` when it does not end.
    ttl: Option<Duration>,
    renewable: bool,
}

impl Lease {
    fn new(secs: u64, renewable: bool) -> Self {
        let ttl = (secs > 0).then(|| Duration::from_secs(secs));
        Self { ttl, renewable }
    }
}

/// The session that is used.
struct Held {
    session: Arc<Session>,
    /// As it was when the token was new.
    first: Lease,
    ends: Option<Instant>,
    /// When it is renewed, or another one is got.
    renew: Option<Instant>,
}

impl Held {
    fn new(session: Session, lease: Lease) -> Self {
        let mut held = Self {
            session: Arc::new(session),
            first: lease,
            ends: None,
            renew: None,
        };
        held.lasts(lease.ttl);
        held
    }

    fn lasts(&mut self, ttl: Option<Duration>) {
        let now = Instant::now();
        self.ends = ttl.and_then(|ttl| now.checked_add(ttl));
        self.renew = ttl.and_then(|ttl| now.checked_add(ttl * 2 / 3));
    }

    fn left(&self) -> Option<Duration> {
        Some(self.ends?.saturating_duration_since(Instant::now()))
    }

    fn is_over(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// How the latest login failed, and when: who waited for it meanwhile does not try once more.
    failed: Option<(Instant, SecretError)>,
}

/// Gets sessions.
pub(super) struct Sessions {
    http: Arc<Http>,
    auth: VaultAuth,
    state: Mutex<State>,
    changed: Notify,
}

impl Sessions {
    pub(super) fn new(http: Arc<Http>, auth: VaultAuth) -> Self {
        Self {
            http,
            auth,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// A session that is good, as far as is known here.
    ///
    /// # Errors
    /// When none can be had.
    pub(super) async fn get(&self) -> Result<Arc<Session>, Refusal> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(held) = state.held.as_mut().filter(|held| !held.is_over()) {
            if held.renew.is_some_and(|at| at <= Instant::now()) {
                self.renew(held).await;
                self.changed.notify_one();
            }
            return Ok(held.session.clone());
        }
        if let Some((at, error)) = &state.failed
            && *at >= asked
        {
            return Err(error.clone().into());
        }
        state.held = None;
        match self.login().await {
            Ok(held) => {
                let session = held.session.clone();
                *state = State {
                    held: Some(held),
                    failed: None,
                };
                self.changed.notify_one();
                Ok(session)
            }
            Err(refusal) => {
                let error = refusal.into_error("logging in");
                state.failed = Some((Instant::now(), error.clone()));
                Err(error.into())
            }
        }
    }

    /// Another session than this one, whose token was refused, unless there is another one already.
    ///
    /// # Errors
    /// When none can be had.
    pub(super) async fn instead_of(&self, refused: &Arc<Session>) -> Result<Arc<Session>, Refusal> {
        let mut state = self.state.lock().await;
        let is_it = |held: &Held| Arc::ptr_eq(&held.session, refused);
        if state.held.as_ref().is_some_and(is_it) {
            state.held = None;
        }
        drop(state);
        self.get().await
    }

    /// Whether a token that was refused something is no token any more.
    pub(super) async fn is_gone(&self, session: &Session) -> bool {
        let found = token::lookup_self(&session.client).await;
        found.is_err_and(|error| Refusal::from(error).is_forbidden())
    }

    /// How long the token is still good; `None` when it does not end, or there is none.
    pub(super) async fn left(&self) -> Option<Duration> {
        self.state.lock().await.held.as_ref()?.left()
    }

    /// Logs in, renews before the end, logs in again, for as long as it is polled.
    pub(super) async fn keep(&self) {
        let mut pause = SHORTEST;
        loop {
            let wait = match self.get().await {
                Ok(_) => {
                    pause = SHORTEST;
                    let state = self.state.lock().await;
                    let next = state.held.as_ref().and_then(|held| held.renew);
                    next.map(|at| at.saturating_duration_since(Instant::now()))
                }
                Err(refusal) => {
                    let error = refusal.into_error("logging in");
                    tracing::warn!(%error, "no token for the store of secrets");
                    pause = (pause * 2).min(LONGEST);
                    Some(pause)
                }
            };
            let slept = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = slept => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Renews, or gets another one where it cannot be renewed for long. One that is still good is kept whatever
    /// happens; it is tried again soon.
    async fn renew(&self, held: &mut Held) {
        let renewed = if held.first.renewable {
            token::renew_self(&held.session.client, None).await
        } else {
            Err(ClientError::InvalidUpdateParameter)
        };
        if let Ok(info) = renewed {
            let lease = Lease::new(info.lease_duration, info.renewable);
            wipe(info);
            // Near the longest time that it may live, each renewal gives less.
            let enough = match (lease.ttl, held.first.ttl) {
                (Some(now), Some(first)) => now * 2 > first,
                _ => true,
            };
            if enough {
                return held.lasts(lease.ttl);
            }
            held.ends = lease.ttl.and_then(|ttl| Instant::now().checked_add(ttl));
        }
        match self.login().await {
            Ok(other) => *held = other,
            Err(refusal) => {
                let error = refusal.into_error("logging in");
                tracing::warn!(%error, "the token for the store of secrets could not be renewed");
                let soon = held.left().map(|left| (left / 3).clamp(SHORTEST, LONGEST));
                held.renew = soon.and_then(|soon| Instant::now().checked_add(soon));
            }
        }
    }

    async fn login(&self) -> Result<Held, Refusal> {
        let nobody = self.http.vaultrs("")?;
        let info = match &self.auth {
            VaultAuth::TokenFile(file) => return self.login_with_file(file).await,
            VaultAuth::AppRole {
                mount,
                role_id,
                secret_id,
            } => auth::approle::login(&nobody, mount, role_id, secret_id.expose_secret()).await,
            VaultAuth::Kubernetes { mount, role, jwt } => {
                let jwt = read(jwt).await?;
                auth::kubernetes::login(&nobody, mount, role, jwt.trim()).await
            }
            VaultAuth::Userpass {
                mount,
                username,
                password,
            } => auth::userpass::login(&nobody, mount, username, password.expose_secret()).await,
        };
        let info = info.map_err(|error| refused(error.into()))?;
        let lease = Lease::new(info.lease_duration, info.renewable);
        self.hold(info.client_token.into(), lease)
    }

    async fn login_with_file(&self, file: &Path) -> Result<Held, Refusal> {
        let text = read(file).await?;
        let token: SecretString = text.trim().into();
        let mut held = self.hold(token, Lease::new(0, false))?;
        let found = token::lookup_self(&held.session.client).await;
        let mut found = found.map_err(|error| refused(error.into()))?;
        found.id.zeroize();
        held.first = Lease::new(found.ttl, found.renewable.unwrap_or(false));
        held.lasts(held.first.ttl);
        Ok(held)
    }

    fn hold(&self, token: SecretString, lease: Lease) -> Result<Held, Refusal> {
        let text = token.expose_secret();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refusal::broken("the token is none"));
        }
        let client = self.http.vaultrs(text)?;
        Ok(Held::new(Session { client, token }, lease))
    }
}

fn wipe(mut info: AuthInfo) {
    info.client_token.zeroize();
}

/// Wrong credentials are told with 400 by some methods.
fn refused(refusal: Refusal) -> Refusal {
    match refusal.clone().into_error("logging in") {
        SecretError::Broken(_) | SecretError::NotFound
            if matches!(refusal, Refusal::Code { .. }) =>
        {
            SecretError::Forbidden("logging in".into()).into()
        }
        _ => refusal,
    }
}

async fn read(file: &Path) -> Result<Zeroizing<String>, Refusal> {
    let text = tokio::fs::read_to_string(file).await;
    text.map(Zeroizing::new).map_err(|error| {
        let text = format!("{} cannot be read: {}", file.display(), error.kind());
        SecretError::Forbidden(text).into()
    })
}
