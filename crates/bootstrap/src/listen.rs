//! The connections of the api: how many, how long a client may take, and TLS with a certificate that is read anew
//! when its file changes.

use anyhow::Context;
use axum_server::accept::{Accept, NoDelayAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use std::future::Ready;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tpm_api::Sparing;

/// How often the files of the certificate are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The files of a certificate with its chain, and of its key, in PEM.
#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// When each was written last; `None` while one of them is not there.
    fn written(&self) -> Option<(SystemTime, SystemTime)> {
        let at = |file: &Path| file.metadata().and_then(|known| known.modified()).ok();
        Some((at(&self.certificate)?, at(&self.key)?))
    }
}

/// What connections are bound to.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    most: usize,
    header_timeout: Duration,
    tls: Option<(Files, RustlsConfig)>,
}

impl Listening {
    /// # Errors
    /// When the certificate or its key cannot be used.
    pub(crate) async fn new(settings: &tpm_settings::Api) -> anyhow::Result<Self> {
        let tls = if settings.tls_certificate.as_os_str().is_empty() {
            None
        } else {
            let files = Files {
                certificate: settings.tls_certificate.clone(),
                key: settings.tls_key.clone(),
            };
            let config = RustlsConfig::from_pem_file(&files.certificate, &files.key).await;
            let config = config.with_context(|| {
                let (certificate, key) = (files.certificate.display(), files.key.display());
                format!("api.tls_certificate {certificate}, api.tls_key {key}")
            })?;
            Some((files, config))
        };
        Ok(Self {
            most: settings.max_connections,
            header_timeout: Duration::from_secs(settings.header_timeout_secs),
            tls,
        })
    }

    /// Plain HTTP for a few programs that ask from time to time.
    pub(crate) fn plain() -> Self {
        Self {
            most: 64,
            header_timeout: Duration::from_secs(10),
            tls: None,
        }
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        match self.tls {
            None => "http",
            Some(_) => "https",
        }
    }

    /// Answers until the handle is told to shut down.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        router: axum::Router,
        handle: Handle<SocketAddr>,
    ) -> io::Result<()> {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let bounded = Bounded {
            most: self.most,
            handle: handle.clone(),
        };
        let refused = Sparing::default();
        let mut server = Server::<SocketAddr>::from_listener(listener)
            .handle(handle)
            .first_request_timeout(self.header_timeout)
            .accept_error_handler(move |from, error| {
                // Anybody can make it happen, as often as they like.
                if let Some(left_out) = refused.line() {
                    tracing::info!(?from, %error, left_out, "a connection that was not taken");
                }
            })
            .acceptor(bounded.clone());
        let builder = server.http_builder();
        builder.http1().header_read_timeout(self.header_timeout);
        let Some((files, config)) = self.tls else {
            return server.serve(service).await;
        };
        let acceptor = RustlsAcceptor::new(config.clone())
            .handshake_timeout(self.header_timeout)
            .acceptor(bounded);
        tokio::select! {
            done = server.acceptor(acceptor).serve(service) => done,
            () = follow(&files, &config) => Ok(()),
        }
    }
}

/// Takes up the certificate again whenever its files were written; one that cannot be used changes nothing.
async fn follow(files: &Files, config: &RustlsConfig) {
    let mut known = files.written();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = files.written();
        if now.is_none() || now == known {
            continue;
        }
        known = now;
        let done = config.reload_from_pem_file(&files.certificate, &files.key);
        match done.await {
            Ok(()) => {
                tracing::info!(file = %files.certificate.display(), "the certificate was read anew")
            }
            Err(error) => tracing::warn!(
                file = %files.certificate.display(),
                %error,
                "the new certificate cannot be used; the old one stays"
            ),
        }
    }
}

/// Closes connections beyond a number at once.
#[derive(Clone, Debug)]
struct Bounded {
    most: usize,
    handle: Handle<SocketAddr>,
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = TcpStream;
    type Service = S;
    type Future = Ready<io::Result<(TcpStream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        // This one is counted already.
        if self.handle.connection_count() > self.most {
            let many = io::Error::other("too many connections");
            return std::future::ready(Err(many));
        }
        NoDelayAcceptor.accept(stream, service)
    }
}
