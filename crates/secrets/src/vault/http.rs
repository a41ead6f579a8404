//! One HTTP client for all that is asked, and what is asked beside vaultrs: how the store is doing, what kind a mount
//! is, and reading, where vaultrs hides which version it read and that a version was deleted.

use super::refusal::Refusal;
use super::settings::{BadVault, VaultSettings};
use reqwest::header::HeaderValue;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::Duration;
use url::Url;
use vaultrs::client::{VaultClient, VaultClientSettings};
use zeroize::Zeroizing;

/// Largest answer that is read: more than Vault takes in one request.
const LARGEST: usize = 32 << 20;

/// How to speak to the store.
pub(super) struct Http {
    client: Client,
    url: Url,
    namespace: Option<String>,
    timeout: Duration,
}

/// How the store says it is doing, to anybody.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Health {
    pub(super) initialized: bool,
    pub(super) sealed: bool,
    #[serde(default)]
    pub(super) version: Option<String>,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct MountKind {
    #[serde(rename = "type")]
    kind: String,
    options: Option<Map<String, Value>>,
}

/// A secret of KV version 2.
#[derive(Deserialize)]
pub(super) struct Versioned {
    pub(super) data: Map<String, Value>,
    pub(super) metadata: Metadata,
}

/// What is known of the version that was read.
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) version: u64,
    pub(super) created_time: String,
}

/// A standby that does not pass on what it is asked names the active node, once or twice while that changes. The token
/// goes along, so it is followed only for the same question, and only to the same host or to one that an authority of
/// our own vouches for.
fn follow(attempt: &Attempt<'_>, own_ca: bool) -> bool {
    let Some(asked) = attempt.previous().last() else {
        return false;
    };
    let next = attempt.url();
    attempt.status() == StatusCode::TEMPORARY_REDIRECT
        && attempt.previous().len() <= 2
        && next.scheme() == asked.scheme()
        && (next.path(), next.query()) == (asked.path(), asked.query())
        && (next.host() == asked.host() || (own_ca && next.scheme() == "https"))
}

impl Http {
    /// # Errors
    /// When the settings are wrong.
    pub(super) fn new(settings: &VaultSettings) -> Result<Self, BadVault> {
        let own_ca = settings.ca.is_some();
        let mut builder = Client::builder()
            .timeout(settings.timeout)
            .no_proxy()
            .redirect(Policy::custom(move |attempt| {
                if follow(&attempt, own_ca) {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }));
        if let Some(pem) = &settings.ca {
            let authorities = Certificate::from_pem_bundle(pem).map_err(|_| BadVault::Ca)?;
            if authorities.is_empty() {
                return Err(BadVault::Ca);
            }
            builder = builder.tls_certs_only(authorities);
        }
        let client = builder
            .build()
            .map_err(|error| BadVault::Client(error.to_string()))?;
        Ok(Self {
            client,
            url: settings.url.clone(),
            namespace: settings.namespace.clone(),
            timeout: settings.timeout,
        })
    }

    /// vaultrs with our connections; an empty token is none.
    ///
    /// # Errors
    /// When vaultrs refuses.
    pub(super) fn vaultrs(&self, token: &str) -> Result<VaultClient, Refusal> {
        // Without TLS it makes a client in no time; that one is not used.
        let nowhere = Url::parse("http://127.0.0.1/").map_err(|_| Refusal::broken("no address"))?;
        let mut client = VaultClient::new(VaultClientSettings {
            address: nowhere,
            ca_certs: Vec::new(),
            identity: None,
            timeout: Some(self.timeout),
            token: token.to_owned(),
            verify: true,
            version: 1,
            wrapping: false,
            namespace: self.namespace.clone(),
            proxy: None,
        })?;
        client.settings.address = self.url.clone();
        client.http.base = self.url.as_str().to_owned();
        client.http.http = self.client.clone();
        Ok(client)
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Option<&str>,
        token: Option<&SecretString>,
    ) -> Result<T, Refusal> {
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query(query);
        let mut request = self.client.get(url).header("X-Vault-Request", "true");
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose_secret())
                .map_err(|_| Refusal::broken("the token is none"))?;
            value.set_sensitive(true);
            request = request.header("X-Vault-Token", value);
            // How the store is doing is told only outside of namespaces.
            if let Some(namespace) = &self.namespace {
                request = request.header("X-Vault-Namespace", namespace);
            }
        }
        let mut answer = request.send().await?;
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > LARGEST {
                return Err(Refusal::broken("the store's answer is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        if answer.status() != StatusCode::OK {
            return Err(Refusal::answered(answer.status().as_u16(), &body));
        }
        serde_json::from_slice(&body)
            .map_err(|_| Refusal::broken("the store's answer has another form than known"))
    }

    /// How the store is doing.
    ///
    /// # Errors
    /// When it does not say.
    pub(super) async fn health(&self) -> Result<Health, Refusal> {
        match self.get("/v1/sys/seal-status", None, None).await {
            Ok(health) => Ok(health),
            Err(Refusal::Known(error)) if error.is_passing() => Err(error.into()),
            // Some let only this one through: with a good code, whatever it says.
            Err(_) => {
                let codes = "standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200&drsecondarycode=200";
                self.get("/v1/sys/health", Some(codes), None).await
            }
        }
    }

    /// Which version of KV a mount is.
    ///
    /// # Errors
    /// When it is none, or that is not told.
    pub(super) async fn kv_version(
        &self,
        token: &SecretString,
        mount: &str,
    ) -> Result<u8, Refusal> {
        let path = format!("/v1/sys/internal/ui/mounts/{mount}");
        let answer: Answer<MountKind> = self.get(&path, None, Some(token)).await?;
        let version = answer.data.options.unwrap_or_default();
        match (answer.data.kind.as_str(), version.get("version")) {
            ("kv", Some(version)) if version == "2" => Ok(2),
            ("kv" | "generic", _) => Ok(1),
            _ => Err(Refusal::broken("what is mounted there keeps no secrets")),
        }
    }

    /// A secret of KV version 1.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn read_v1(
        &self,
        token: &SecretString,
        mount: &str,
        key: &str,
    ) -> Result<Map<String, Value>, Refusal> {
        let path = format!("/v1/{mount}/{key}");
        let answer: Answer<Map<String, Value>> = self.get(&path, None, Some(token)).await?;
        Ok(answer.data)
    }

    /// A secret of KV version 2.
    ///
    /// # Errors
    /// When there is none, or that version was deleted.
    pub(super) async fn read_v2(
        &self,
        token: &SecretString,
        mount: &str,
        key: &str,
        version: Option<u64>,
    ) -> Result<Versioned, Refusal> {
        let path = format!("/v1/{mount}/data/{key}");
        let version = version.map(|version| format!("version={version}"));
        let answer: Answer<Versioned> = self.get(&path, version.as_deref(), Some(token)).await?;
        Ok(answer.data)
    }
}
