//! Proving who we are: the token header, or a ticket that is kept fresh.
//!
//! Callers that need a ticket at the same time share one login, and also its failure: every refused login
//! costs three seconds, and a queue of them would cost three seconds each.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::{
    classify::Access,
    config::{ConfigError, Credentials},
    decode::Reply,
    error::Error,
    lenient,
    params::{Params, percent_encode},
};

/// A login under way. Boxed, because the future of an async closure is not known to be `Send`.
pub(crate) type LoginFuture<'f> =
    std::pin::Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send + 'f>>;

const CSRF: HeaderName = HeaderName::from_static("csrfpreventiontoken");

pub(crate) enum Session {
    Token(HeaderMap),
    Ticket(Box<TicketSession>),
}

pub(crate) struct TicketSession {
    username: String,
    password: SecretString,
    renew_after: Duration,
    state: Mutex<State>,
    /// Logins finished so far, well or badly. Read before waiting for `state`.
    finished: AtomicU64,
}

#[derive(Default)]
struct State {
    ticket: Option<Ticket>,
    last_failure: Option<Error>,
}

#[derive(Clone)]
struct Ticket {
    generation: u64,
    since: Instant,
    text: SecretString,
    read: HeaderMap,
    write: HeaderMap,
}

/// The headers of one request, and which ticket they carry.
pub(crate) struct Proof {
    pub(crate) headers: HeaderMap,
    pub(crate) generation: Option<u64>,
}

impl Session {
    pub(crate) fn new(
        credentials: &Credentials,
        renew_after: Duration,
    ) -> Result<Self, ConfigError> {
        match credentials {
            Credentials::Token { id, secret } => {
                let well_formed = id.split_once('!').is_some_and(|(user, name)| {
                    is_user(user) && !name.is_empty() && !name.contains(['=', '!', ' '])
                });
                if !well_formed {
                    return Err(ConfigError::Credentials("a token id is user@realm!name"));
                }
                if secret.expose_secret().is_empty() {
                    return Err(ConfigError::Credentials("the token's secret is empty"));
                }
                let value = format!("PVEAPIToken={id}={}", secret.expose_secret());
                let value = sensitive(&value).ok_or(ConfigError::Credentials(
                    "the token holds control characters",
                ))?;
                Ok(Self::Token(HeaderMap::from_iter([(AUTHORIZATION, value)])))
            }
            Credentials::Password { username, password } => {
                if !is_user(username) {
                    return Err(ConfigError::Credentials("a user name is user@realm"));
                }
                Ok(Self::Ticket(Box::new(TicketSession {
                    username: username.clone(),
                    password: password.clone(),
                    renew_after,
                    state: Mutex::default(),
                    finished: AtomicU64::new(0),
                })))
            }
        }
    }
}

impl TicketSession {
    /// A ticket younger than the renewal age. `stale` names a ticket that was refused and must not be
    /// used again; `login` sends the parameters it is given to `/access/ticket`.
    pub(crate) async fn proof<'f, F>(
        &self,
        access: Access,
        stale: Option<u64>,
        login: F,
    ) -> Result<Proof, Error>
    where
        F: Fn(Params) -> LoginFuture<'f> + Sync,
    {
        let seen = self.finished.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if state
            .ticket
            .as_ref()
            .is_some_and(|ticket| Some(ticket.generation) == stale)
        {
            state.ticket = None;
        }
        if let Some(ticket) = &state.ticket
            && ticket.since.elapsed() < self.renew_after
        {
            return Ok(ticket.proof(access));
        }
        // somebody tried while we were waiting: their failure is ours
        let now = self.finished.load(Ordering::Acquire);
        if now != seen
            && let Some(failure) = &state.last_failure
        {
            return Err(failure.clone());
        }
        let outcome = self.obtain(state.ticket.take(), now + 1, login).await;
        self.finished.store(now + 1, Ordering::Release);
        match outcome {
            Ok(ticket) => {
                let proof = ticket.proof(access);
                *state = State {
                    ticket: Some(ticket),
                    last_failure: None,
                };
                Ok(proof)
            }
            Err(error) => {
                state.last_failure = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn obtain<'f, F>(
        &self,
        old: Option<Ticket>,
        generation: u64,
        login: F,
    ) -> Result<Ticket, Error>
    where
        F: Fn(Params) -> LoginFuture<'f> + Sync,
    {
        let form = |secret: &SecretString| {
            let mut params = Params::new().with("username", &self.username);
            params.set_secret("password", secret.clone());
            params
        };
        if let Some(old) = old {
            // an old ticket stands in for the password; if PVE no longer takes it, the password does
            match login(form(&old.text)).await {
                Ok(reply) => return Ticket::read(reply, generation),
                Err(error) if error.status() != Some(401) => return Err(error),
                Err(_) => {}
            }
        }
        Ticket::read(login(form(&self.password)).await?, generation)
    }
}

#[derive(Deserialize)]
struct Login {
    ticket: Option<String>,
    #[serde(rename = "CSRFPreventionToken")]
    csrf: Option<String>,
    #[serde(default, rename = "NeedTFA", deserialize_with = "lenient::bool")]
    need_tfa: Option<bool>,
}

impl Ticket {
    fn read(reply: Reply, generation: u64) -> Result<Self, Error> {
        let broken = || Error::reply(Access::Read, "the login gave no usable ticket");
        // not `Reply::read`: its error would quote the answer
        let login = Login::deserialize(reply.data).map_err(|_| broken())?;
        let (Some(ticket), Some(csrf)) = (login.ticket, login.csrf) else {
            return Err(broken());
        };
        if login.need_tfa == Some(true) || ticket.starts_with("PVE:!tfa!") {
            let text = "the account needs a second factor; use an API token".to_owned();
            return Err(Error::http(Access::Read, 401, text, Default::default()));
        }
        let cookie = format!("PVEAuthCookie={}", percent_encode(&ticket));
        let read = HeaderMap::from_iter([(COOKIE, sensitive(&cookie).ok_or_else(broken)?)]);
        let mut write = read.clone();
        write.insert(CSRF, sensitive(&csrf).ok_or_else(broken)?);
        Ok(Self {
            generation,
            since: Instant::now(),
            text: ticket.into(),
            read,
            write,
        })
    }

    fn proof(&self, access: Access) -> Proof {
        let headers = match access {
            Access::Read => self.read.clone(),
            Access::Write => self.write.clone(),
        };
        Proof {
            headers,
            generation: Some(self.generation),
        }
    }
}

fn is_user(text: &str) -> bool {
    text.rsplit_once('@')
        .is_some_and(|(user, realm)| !user.is_empty() && !realm.is_empty())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
