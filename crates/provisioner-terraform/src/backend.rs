//! The state service: an HTTP backend for one run, on loopback, with TLS, a certificate and a credential of that run alone.
//!
//! What Terraform writes is fenced by the claim under which the run was begun: once another worker has the
//! task, nothing more is accepted. A lock is worth as much as that claim.

use crate::room::{RoomError, StateRoom};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tpm_domain::ServerId;
use tpm_store::{Fence, Locked};

/// A state of one server has a few kilobytes.
const MOST_BYTES: usize = 4 << 20;

const USER: &str = "run";

/// What the service serves.
struct Serving {
    room: StateRoom,
    server: ServerId,
    fence: Fence,
    /// What is answered as long as nothing was written in this run: the latest version, or an empty state to
    /// begin anew.
    first: Option<Vec<u8>>,
    /// Digest of the `Authorization` header that is accepted.
    expected: [u8; 32],
    /// The lock that the run may hold.
    lock: Mutex<Option<String>>,
}

/// A running service; it ends when this is dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    /// The certificate of this run, in PEM.
    certificate: String,
    password: SecretString,
    serving: Arc<Serving>,
    task: JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Deserialize)]
struct LockInfo {
    #[serde(rename = "ID")]
    id: String,
}

/// A certificate of this run alone, which nobody else is shown, and what speaks TLS with it.
fn tls() -> anyhow::Result<(String, TlsAcceptor)> {
    let names = [Ipv4Addr::LOCALHOST.to_string()];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names)?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())?;
    Ok((cert.pem(), TlsAcceptor::from(Arc::new(config))))
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

impl Backend {
    /// Begins to serve a server's state. `first` is what the run begins from.
    pub(crate) async fn start(
        room: StateRoom,
        server: ServerId,
        fence: Fence,
        first: Option<Vec<u8>>,
    ) -> std::io::Result<Self> {
        use base64::Engine as _;
        let password: String = hex::encode(rand::random::<[u8; 32]>());
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
        let serving = Arc::new(Serving {
            room,
            server,
            fence,
            first,
            expected: digest(&format!("Basic {basic}")),
            lock: Mutex::default(),
        });
        let (certificate, acceptor) = tls().map_err(std::io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let served = Arc::clone(&serving);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (serving, acceptor) = (Arc::clone(&served), acceptor.clone());
                connections.spawn(async move {
                    let stream = match acceptor.accept(stream).await {
                        Ok(stream) => stream,
                        Err(error) => {
                            tracing::debug!(%error, "a connection that is not of the run");
                            return;
                        }
                    };
                    let service = service_fn(move |request| {
                        let serving = Arc::clone(&serving);
                        async move { Ok::<_, Infallible>(serving.answer(request).await) }
                    });
                    let done = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    if let Err(error) = done {
                        tracing::debug!(%error, "a connection of a run ended");
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            certificate,
            password: password.into(),
            serving,
            task,
        })
    }

    /// What a run is told of it, through its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let address = format!("https://{}/state", self.address);
        vec![
            ("TF_HTTP_ADDRESS", address.clone()),
            ("TF_HTTP_LOCK_ADDRESS", address.clone()),
            ("TF_HTTP_UNLOCK_ADDRESS", address),
            (
                "TF_HTTP_CLIENT_CA_CERTIFICATE_PEM",
                self.certificate.clone(),
            ),
            ("TF_HTTP_USERNAME", USER.to_owned()),
            ("TF_HTTP_PASSWORD", self.password.expose_secret().to_owned()),
            ("TF_HTTP_RETRY_MAX", "4".to_owned()),
            ("TF_HTTP_RETRY_WAIT_MAX", "5".to_owned()),
        ]
    }

    /// Serves no more, and gives back the lock of a run that was cut off.
    pub(crate) async fn release(&self) {
        self.task.abort();
        let serving = &self.serving;
        let Some(id) = serving.held().take() else {
            return;
        };
        if let Err(error) = serving.room.store().unlock_state(serving.server, &id).await {
            // With the claim it is nobody's all the same.
            let error = &error as &dyn std::error::Error;
            tracing::warn!(server = %serving.server, error, "a lock stays until the claim is over");
        }
    }

    /// The credential, to be struck from what the run prints.
    pub(crate) fn password(&self) -> SecretString {
        self.password.clone()
    }
}

type Answer = Response<Full<Bytes>>;

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/json"),
    );
    answer
}

impl Serving {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let given = request
            .headers()
            .get(AUTHORIZATION)
            .map_or([0; 32], |value| {
                digest(&String::from_utf8_lossy(value.as_bytes()))
            });
        if !bool::from(given.ct_eq(&self.expected)) {
            return empty(StatusCode::UNAUTHORIZED);
        }
        let method = request.method().clone();
        if method == Method::GET {
            return self.get().await;
        }
        let Ok(body) = Limited::new(request.into_body(), MOST_BYTES)
            .collect()
            .await
        else {
            return empty(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let body = body.to_bytes();
        match method.as_str() {
            "POST" => self.post(&body).await,
            "LOCK" => self.lock(&body).await,
            "UNLOCK" => self.unlock(&body).await,
            _ => empty(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    async fn get(&self) -> Answer {
        let latest = match self.room.latest(self.server).await {
            Ok(latest) => latest,
            Err(error) => return self.refused(&error),
        };
        // A later version than the one the run began from is its own.
        let begun = self.first.as_deref().and_then(serial).unwrap_or(0);
        match latest {
            Some(state) if state.view.serial > begun => json(StatusCode::OK, state.bytes),
            _ => match &self.first {
                Some(first) => json(StatusCode::OK, first.clone()),
                None => empty(StatusCode::NO_CONTENT),
            },
        }
    }

    async fn post(&self, body: &[u8]) -> Answer {
        match self.room.put(self.server, &self.fence, body).await {
            Ok(()) => empty(StatusCode::OK),
            Err(error) => self.refused(&error),
        }
    }

    async fn lock(&self, body: &[u8]) -> Answer {
        let Ok(info) = serde_json::from_slice::<LockInfo>(body) else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let text = String::from_utf8_lossy(body);
        let store = self.room.store();
        // Written down before: giving back what is not held does no harm.
        *self.held() = Some(info.id.clone());
        match store
            .lock_state(self.server, &self.fence, &info.id, &text)
            .await
        {
            Ok(Locked::Taken) => empty(StatusCode::OK),
            Ok(Locked::Held(info)) => json(StatusCode::LOCKED, info),
            Ok(Locked::Stale) => self.refused(&RoomError::Stale),
            Err(error) => self.refused(&error.into()),
        }
    }

    async fn unlock(&self, body: &[u8]) -> Answer {
        // Without a body it is `force-unlock`, which nobody is to do here.
        let Ok(info) = serde_json::from_slice::<LockInfo>(body) else {
            return empty(StatusCode::BAD_REQUEST);
        };
        match self.room.store().unlock_state(self.server, &info.id).await {
            Ok(()) => {
                *self.held() = None;
                empty(StatusCode::OK)
            }
            Err(error) => self.refused(&error.into()),
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<String>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, error: &RoomError) -> Answer {
        tracing::warn!(server = %self.server, error = error as &dyn std::error::Error, "state refused");
        match error {
            RoomError::Stale => empty(StatusCode::CONFLICT),
            RoomError::Unreadable(_) => empty(StatusCode::BAD_REQUEST),
            RoomError::Store(_) => empty(StatusCode::SERVICE_UNAVAILABLE),
            RoomError::Seal(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

fn serial(bytes: &[u8]) -> Option<u64> {
    crate::plan::StateView::read(bytes)
        .ok()
        .map(|view| view.serial)
}
