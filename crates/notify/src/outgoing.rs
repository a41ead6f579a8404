//! The one client for URLs that people may name.
//!
//! A name is asked for its addresses once, and what is connected to is one of those that were found good: another
//! answer a moment later changes nothing. No redirect is followed, no proxy of the environment is used, an answer is
//! read up to a bound and never shown to anybody.

use crate::address::may_connect;
use crate::target::Policy;
use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, redirect};
use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tpm_domain::UrlFault;

/// Longest time an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most of an answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Longest `Retry-After` that is believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);

/// Asks for the addresses of a name.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// All addresses of it.
    ///
    /// # Errors
    /// When there are none, or nobody answers.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// As this machine looks names up.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// Stands between a name and the connection.
struct Filter {
    lookup: Arc<dyn Lookup>,
    policy: Policy,
}

impl Resolve for Filter {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, allowed) = (Arc::clone(&self.lookup), self.policy.networks.clone());
        Box::pin(async move {
            let mut found = lookup.addresses(name.as_str()).await?;
            found.retain(|ip| may_connect(*ip, &allowed));
            if found.is_empty() {
                return Err(Box::new(UrlFault::Address) as Box<dyn StdError + Send + Sync>);
            }
            let found = found.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

/// What is sent: a JSON text and what signs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What copies are told by.
    pub id: String,
    /// Seconds since 1970.
    pub timestamp: i64,
    /// `webhook-signature`.
    pub signature: String,
    /// The text.
    pub body: String,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// How long not to ask again, when that was said.
    pub retry_after: Option<Duration>,
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The URL, or every address it stands for, is not to be called.
    #[error(transparent)]
    Forbidden(#[from] UrlFault),
    /// Nothing within the time.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// No connection, no trust, or no HTTP. In the words of the library, without the URL.
    #[error("{0}")]
    Failed(String),
}

/// Sends.
#[async_trait]
pub trait Outgoing: Send + Sync {
    /// Posts a message to a URL.
    ///
    /// # Errors
    /// When no answer came back.
    async fn post(&self, url: &str, message: &Message) -> Result<Answer, SendError>;
}

/// The client.
#[derive(Clone)]
pub struct HttpOutgoing {
    client: Client,
    policy: Policy,
}

impl std::fmt::Debug for HttpOutgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpOutgoing")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The innermost cause, which says it in fewest words.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn is_forbidden(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn StdError> = Some(error);
    while let Some(one) = cause {
        if one.is::<UrlFault>() {
            return true;
        }
        cause = one.source();
    }
    false
}

impl From<reqwest::Error> for SendError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if is_forbidden(&error) {
            Self::Forbidden(UrlFault::Address)
        } else if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Failed(deepest(&error))
        }
    }
}

impl HttpOutgoing {
    /// A client that keeps to the policy; `roots` are believed beside what this machine believes.
    ///
    /// # Errors
    /// When the TLS library refuses the certificates.
    pub fn new(
        policy: Policy,
        roots: Vec<Certificate>,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, reqwest::Error> {
        let filter = Filter {
            lookup,
            policy: policy.clone(),
        };
        let mut builder = Client::builder()
            .dns_resolver(Arc::new(filter))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .referer(false)
            .user_agent(concat!(
                "terraform-proxmox-manager/",
                env!("CARGO_PKG_VERSION")
            ))
            // A connection that is kept would be one that was judged long ago.
            .pool_max_idle_per_host(0)
            .timeout(TIMEOUT);
        if !roots.is_empty() {
            builder = builder.tls_certs_merge(roots);
        }
        Ok(Self {
            client: builder.build()?,
            policy,
        })
    }

    /// What it keeps to.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

#[async_trait]
impl Outgoing for HttpOutgoing {
    async fn post(&self, url: &str, message: &Message) -> Result<Answer, SendError> {
        let url = self.policy.check(url)?;
        let mut response = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", &message.signature)
            .body(message.body.clone())
            .send()
            .await?;
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
        let status = response.status().as_u16();
        let mut read = 0;
        // What it says is nobody's business; a short one is read so that the other side can finish.
        while let Ok(Some(part)) = response.chunk().await {
            read += part.len();
            if read > MAX_ANSWER {
                break;
            }
        }
        Ok(Answer {
            status,
            retry_after,
        })
    }
}
