//! One request to one endpoint, and in which phase it failed.
//!
//! Two pools of connections: reads reuse connections that were idle for less than PVE's 5 s; writes always
//! open a new one. A connection that PVE has just closed fails without a word, and for a write nobody
//! could tell that apart from a write that was done. A read that fails so is sent once more on a new
//! connection. Nothing else is repeated here.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use reqwest::{
    Client as Http, Response, Url,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap},
    redirect, retry,
};

use crate::{
    classify::{Access, Origin},
    config::{ClientConfig, ConfigError},
    decode::{Reply, decode},
    error::Error,
    params::Method,
};

/// Below the 5.0 s after which PVE closes an idle connection.
const POOL_IDLE: Duration = Duration::from_secs(4);
/// No answer of the API comes near; the cap keeps a broken server from filling our memory.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

pub(crate) struct Transport {
    pooled: Http,
    fresh: Http,
}

/// A request, ready but for its endpoint.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    pub(crate) access: Access,
    pub(crate) path_and_query: &'a str,
    pub(crate) body: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
}

impl Transport {
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, ConfigError> {
        let build = |idle_connections: usize| {
            let mut builder = Http::builder()
                .user_agent(concat!("tpm-pve-client/", env!("CARGO_PKG_VERSION")))
                .http1_only()
                .no_proxy()
                .referer(false)
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .connect_timeout(config.timeouts.connect)
                .timeout(config.timeouts.request)
                .pool_idle_timeout(POOL_IDLE)
                .pool_max_idle_per_host(idle_connections);
            if let Some(tls) = config.tls.client_config()? {
                builder = builder.tls_backend_preconfigured(tls);
            }
            builder
                .build()
                .map_err(|error| ConfigError::Tls(chain(&error)))
        };
        Ok(Self {
            pooled: build(8)?,
            fresh: build(0)?,
        })
    }

    pub(crate) async fn send(&self, base: &Url, out: &Outgoing<'_>) -> Result<Reply, Error> {
        let url = base
            .join(out.path_and_query)
            .map_err(|error| Error::refused(format!("not an address: {error}")))?;
        let first = if out.method == Method::Get {
            &self.pooled
        } else {
            &self.fresh
        };
        let mut answer = attempt(first, url.clone(), out).await;
        if out.method == Method::Get && answer.as_ref().is_err_and(is_broken_connection) {
            answer = attempt(&self.fresh, url, out).await;
        }
        let response = answer.map_err(|error| failure(out.access, error))?;
        read(response, out.access).await
    }
}

async fn attempt(http: &Http, url: Url, out: &Outgoing<'_>) -> Result<Response, reqwest::Error> {
    let mut request = http
        .request(out.method.http(), url)
        .headers(out.headers.clone());
    if let Some(body) = out.body {
        // PVE wants to be told the length, also of nothing, and refuses chunked bodies
        request = request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(CONTENT_LENGTH, body.len())
            .body(body.to_owned());
    }
    request.send().await
}

async fn read(mut response: Response, access: Access) -> Result<Reply, Error> {
    let status = response.status().as_u16();
    let reason = response
        .extensions()
        .get::<hyper::ext::ReasonPhrase>()
        .map(|phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned());
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER => {
                return Err(Error::reply(access, "the answer is larger than 32 MiB"));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            // the status line has said it all; some errors end with the connection
            Err(_) if status >= 400 => break,
            Err(error) => return Err(failure(access, error)),
        }
    }
    decode(access, status, reason.as_deref(), &body)
}

fn is_broken_connection(error: &reqwest::Error) -> bool {
    !error.is_builder() && !error.is_connect() && !error.is_timeout()
}

fn failure(access: Access, error: reqwest::Error) -> Error {
    // the address in reqwest's text may hold a query
    let error = error.without_url();
    let origin = if error.is_builder() {
        Origin::Request
    } else if error.is_connect() {
        if is_tls(&error) {
            Origin::Tls
        } else {
            Origin::Connect
        }
    } else {
        Origin::Transport(access)
    };
    let what = match origin {
        Origin::Tls => "the TLS connection was refused",
        Origin::Connect if error.is_timeout() => "connecting took too long",
        Origin::Connect => "no connection",
        _ if error.is_timeout() => "no answer in time",
        _ => "the connection broke",
    };
    let text = format!("{what}: {}", innermost(&error));
    Error::transport(origin, text, Arc::new(error))
}

fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn is_tls(error: &reqwest::Error) -> bool {
    sources(error).any(holds_tls_error)
}

/// An io error hides what it wraps from `source`, and may wrap another one.
fn holds_tls_error(error: &(dyn StdError + 'static)) -> bool {
    let wrapped = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || wrapped.is_some_and(|inner| holds_tls_error(inner))
}

fn innermost(error: &reqwest::Error) -> String {
    sources(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn chain(error: &reqwest::Error) -> String {
    sources(error)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
