//! The client itself: from a call to the endpoint that answers it.
//!
//! It moves to the next endpoint only when the call certainly did not happen (or was a read), and sends a
//! call again only when PVE refused its ticket.

use std::{fmt, sync::Arc};

use serde::de::DeserializeOwned;

use crate::{
    classify::{Access, ErrorClass, Origin},
    config::{ClientConfig, ConfigError, check_endpoints},
    decode::Reply,
    endpoints::Endpoints,
    error::Error,
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
        let endpoints = Endpoints::new(config.endpoints, config.timeouts.cooldown);
        Ok(Self(Arc::new(Shared {
            transport,
            endpoints,
            session,
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
        let mut stale = None;
        loop {
            let proof = shared.proof(request.access, stale).await?;
            let outcome = shared.over_endpoints(&request, &proof).await;
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
            let started = std::time::Instant::now();
            let outcome = self.transport.send(self.endpoints.url(index), &out).await;
            let elapsed_ms = started.elapsed().as_millis();
            let error = match outcome {
                Ok(reply) => {
                    tracing::debug!(request = request.label, elapsed_ms, "pve answered");
                    self.endpoints.answered(index);
                    return Ok(reply);
                }
                Err(error) => error.with_request(&request.label),
            };
            tracing::debug!(request = request.label, elapsed_ms, class = ?error.class(), %error, "pve call failed");
            let verdict = verdict(&error);
            match verdict {
                Verdict::EndpointAnswered => self.endpoints.answered(index),
                Verdict::NextEndpoint | Verdict::EndpointFailed => self.endpoints.failed(index),
            }
            if verdict != Verdict::NextEndpoint {
                return Err(error);
            }
            last = Some(error);
        }
        Err(last.unwrap_or_else(|| Error::refused("no endpoint")))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The endpoint works; the answer stands.
    EndpointAnswered,
    /// The endpoint is in doubt, but the call must not be made again.
    EndpointFailed,
    /// The call certainly had no effect here.
    NextEndpoint,
}

fn verdict(error: &Error) -> Verdict {
    match error.origin() {
        Origin::Connect | Origin::Tls => Verdict::NextEndpoint,
        // a second wait of the same length would break the caller's time limit
        Origin::Transport(_) if error.is_timeout() => Verdict::EndpointFailed,
        Origin::Transport(Access::Read) => Verdict::NextEndpoint,
        Origin::Transport(Access::Write) => Verdict::EndpointFailed,
        Origin::Http(_) if matches!(error.status(), Some(595..=599)) => {
            if error.class() == ErrorClass::NotSent {
                Verdict::NextEndpoint
            } else {
                Verdict::EndpointFailed
            }
        }
        _ => Verdict::EndpointAnswered,
    }
}
