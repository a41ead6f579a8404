//! The client itself: from a call to the endpoint that answers it.
//!
//! It moves to the next endpoint only when the call certainly did not happen (or was a read), and sends a
//! call again only when PVE refused its ticket. It sends nothing to an endpoint that is left alone after
//! failed connections, nor anything at all soon after PVE refused the credentials.

use std::{fmt, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use crate::{
    classify::{Access, ErrorClass, Origin},
    config::{ClientConfig, ConfigError, check_endpoints},
    decode::Reply,
    endpoints::{EndpointState, Endpoints},
    error::Error,
    gate::Gate,
    measure,
    params::{ApiPath, Method, Params},
    session::{LoginFuture, Proof, Session},
    task::Upid,
    transport::{Outgoing, Transport},
};

/// PVE closes the connection without an answer when all headers together reach 8 KiB.
const MAX_TARGET: usize = 6 * 1024;
/// PVE refuses a larger body with 501.
const MAX_BODY: usize = 512 * 1024;

/// A client of one cluster. Cheap to clone; clones share connections, ticket and endpoint state.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    transport: Transport,
    endpoints: Endpoints,
    session: Session,
    gate: Gate,
}

impl Client {
    /// Makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConfigError`] for endpoints, credentials or certificates that cannot be used.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        check_endpoints(&config.endpoints)?;
        let transport = Transport::new(&config)?;
        let session = Session::new(&config.credentials, config.timeouts.renew_ticket)?;
        let endpoints = Endpoints::new(config.endpoints, &config.timeouts);
        Ok(Self(Arc::new(Shared {
            transport,
            endpoints,
            session,
            gate: Gate::new(config.timeouts.refused_pause),
        })))
    }

    /// Makes any call, for what has no typed method here.
    ///
    /// # Errors
    /// [`Error`], its class decided by [`crate::classify()`].
    pub async fn call(
        &self,
        method: Method,
        path: &ApiPath,
        params: &Params,
    ) -> Result<Reply, Error> {
        let shared = &*self.0;
        let request = Request::new(method, method.access(), path, params)?;
        let pass = shared.gate.pass();
        let pass = pass.map_err(|error| {
            measure::withheld("credentials_refused");
            error.with_request(&request.label)
        })?;
        let outcome = shared.send(&request).await;
        match &outcome {
            Err(error) if error.class() == ErrorClass::Auth => pass.refused(error),
            // anything else that PVE itself said, it says only to those it knows
            Err(error) if error.status().is_some_and(|status| status < 595) => pass.accepted(),
            Err(_) => drop(pass),
            Ok(_) => pass.accepted(),
        }
        outcome
    }

    /// What is known of each endpoint, in the order of the configuration. Sends nothing.
    #[must_use]
    pub fn endpoint_states(&self) -> Vec<EndpointState> {
        self.0.endpoints.states()
    }

    /// When the credentials were refused: the time until they are tried again, zero when the next call
    /// tries them or one is doing so.
    #[must_use]
    pub fn credentials_refused(&self) -> Option<Duration> {
        self.0.gate.closed_for()
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: ApiPath,
        params: Params,
    ) -> Result<T, Error> {
        self.typed(Method::Get, path, params).await
    }

    /// Any call whose answer has the shape `T`.
    pub(crate) async fn typed<T: DeserializeOwned>(
        &self,
        method: Method,
        path: ApiPath,
        params: Params,
    ) -> Result<T, Error> {
        let reply = self.call(method, &path, &params).await?;
        reply
            .read(method.access())
            .map_err(|error| error.with_request(&label(method, &path)))
    }

    /// A call that returns nothing.
    pub(crate) async fn done(
        &self,
        method: Method,
        path: ApiPath,
        params: Params,
    ) -> Result<(), Error> {
        self.call(method, &path, &params).await.map(drop)
    }

    /// A call that starts a task.
    pub(crate) async fn task(
        &self,
        method: Method,
        path: ApiPath,
        params: Params,
    ) -> Result<Upid, Error> {
        self.typed(method, path, params).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self
            .0
            .endpoints
            .urls()
            .iter()
            .map(|url| url.as_str())
            .collect();
        f.debug_struct("Client")
            .field("endpoints", &endpoints)
            .finish_non_exhaustive()
    }
}

/// A call in the form it is sent, to whichever endpoint.
struct Request {
    method: Method,
    access: Access,
    target: String,
    body: Option<String>,
    label: String,
}

impl Request {
    fn new(method: Method, access: Access, path: &ApiPath, params: &Params) -> Result<Self, Error> {
        let label = label(method, path);
        let mut target = format!("/api2/json{path}");
        let form = params.encode();
        let body = if method.has_body() {
            Some(form)
        } else {
            if !form.is_empty() {
                target.push('?');
                target.push_str(&form);
            }
            None
        };
        if target.len() > MAX_TARGET || body.as_ref().is_some_and(|body| body.len() > MAX_BODY) {
            let text = "larger than what PVE takes (6 KiB of address, 512 KiB of parameters)";
            return Err(Error::refused(text).with_request(&label));
        }
        Ok(Self {
            method,
            access,
            target,
            body,
            label,
        })
    }
}

fn label(method: Method, path: &ApiPath) -> String {
    format!("{} {path}", method.http())
}

impl Shared {
    async fn send(&self, request: &Request) -> Result<Reply, Error> {
        let mut stale = None;
        loop {
            let proof = self.proof(request.access, stale).await?;
            let outcome = self.over_endpoints(request, &proof).await;
            match (&outcome, proof.generation) {
                // 401 is decided before anything is done, so a write may be sent again as well
                (Err(error), Some(generation))
                    if error.status() == Some(401) && stale.is_none() =>
                {
                    stale = Some(generation);
                }
                _ => return outcome,
            }
        }
    }

    async fn proof(&self, access: Access, stale: Option<u64>) -> Result<Proof, Error> {
        match &self.session {
            Session::Token(headers) => Ok(Proof {
                headers: headers.clone(),
                generation: None,
            }),
            Session::Ticket(session) => {
                session
                    .proof(access, stale, |params| -> LoginFuture<'_> {
                        Box::pin(self.login(params))
                    })
                    .await
            }
        }
    }

    async fn login(&self, params: Params) -> Result<Reply, Error> {
        let path = ApiPath::new(["access", "ticket"])?;
        // a login changes nothing, so it may be repeated elsewhere like a read
        let request = Request::new(Method::Post, Access::Read, &path, &params)?;
        let nobody = Proof {
            headers: Default::default(),
            generation: None,
        };
        self.over_endpoints(&request, &nobody).await
    }

    async fn over_endpoints(&self, request: &Request, proof: &Proof) -> Result<Reply, Error> {
        let out = Outgoing {
            method: request.method,
            access: request.access,
            path_and_query: &request.target,
            body: request.body.as_deref(),
            headers: &proof.headers,
        };
        let mut last = None;
        for index in self.endpoints.order() {
            let Some(admission) = self.endpoints.admit(index) else {
                continue;
            };
            let started = std::time::Instant::now();
            let outcome = self.transport.send(admission.url(), &out).await;
            let elapsed = started.elapsed();
            measure::sent(request.access, outcome.as_ref().err(), elapsed);
            let elapsed_ms = elapsed.as_millis();
            let error = match outcome {
                Ok(reply) => {
                    tracing::debug!(request = request.label, elapsed_ms, "pve answered");
                    admission.answered();
                    return Ok(reply);
                }
                Err(error) => error.with_request(&request.label),
            };
            tracing::debug!(request = request.label, elapsed_ms, class = ?error.class(), %error, "pve call failed");
            let verdict = verdict(&error);
            match verdict.endpoint {
                Health::Answered => admission.answered(),
                Health::Doubted => admission.doubted(),
                Health::Failed => admission.failed(error.text()),
            }
            if !verdict.next {
                return Err(error);
            }
            last = Some(error);
        }
        Err(last.unwrap_or_else(|| {
            measure::withheld("endpoints_paused");
            self.endpoints.paused().with_request(&request.label)
        }))
    }
}

/// What a failed call says about its endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    /// It works; the answer stands.
    Answered,
    /// It works, but does not reach the node in question.
    Doubted,
    /// No connection, or no answer on it.
    Failed,
}

struct Verdict {
    endpoint: Health,
    /// Whether the call had no effect here and may be made elsewhere.
    next: bool,
}

fn verdict(error: &Error) -> Verdict {
    let (endpoint, next) = match error.origin() {
        Origin::Connect | Origin::Tls => (Health::Failed, true),
        // a second wait of the same length would break the caller's time limit
        Origin::Transport(_) if error.is_timeout() => (Health::Failed, false),
        Origin::Transport(access) => (Health::Failed, access == Access::Read),
        Origin::Http(_) if matches!(error.status(), Some(595..=599)) => {
            (Health::Doubted, error.class() == ErrorClass::NotSent)
        }
        _ => (Health::Answered, false),
    };
    Verdict { endpoint, next }
}
