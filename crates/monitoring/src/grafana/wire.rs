//! One request to Grafana and its bounded answer.

use reqwest::{
    Client as Http, Method, RequestBuilder, Response,
    header::{ACCEPT, HeaderValue},
    redirect, retry,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::{GrafanaError, GrafanaSettings};

/// A thousand search hits are a tenth of it; the cap keeps a broken server from filling our memory.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Health,
    Search,
    DataSource,
    Folder,
    Dashboard,
}

impl Asked {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Search => "dashboards",
            Self::DataSource => "data source",
            Self::Folder => "folder",
            Self::Dashboard => "dashboard",
        }
    }
}

/// A request that is to be sent.
pub(super) struct Call<'a> {
    asked: Asked,
    method: Method,
    path: &'a [&'a str],
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    open: bool,
}

impl<'a> Call<'a> {
    fn new(asked: Asked, method: Method, path: &'a [&'a str], body: Option<Value>) -> Self {
        Self {
            asked,
            method,
            path,
            query: Vec::new(),
            body,
            open: false,
        }
    }

    /// A read that needs no token and is sent none.
    pub(super) fn open(asked: Asked, path: &'a [&'a str]) -> Self {
        Self {
            open: true,
            ..Self::get(asked, path)
        }
    }

    pub(super) fn get(asked: Asked, path: &'a [&'a str]) -> Self {
        Self::new(asked, Method::GET, path, None)
    }

    pub(super) fn post(asked: Asked, path: &'a [&'a str], body: Value) -> Self {
        Self::new(asked, Method::POST, path, Some(body))
    }

    pub(super) fn put(asked: Asked, path: &'a [&'a str], body: Value) -> Self {
        Self::new(asked, Method::PUT, path, Some(body))
    }

    pub(super) fn with_query(mut self, query: &[(&'static str, String)]) -> Self {
        self.query = query.to_vec();
        self
    }
}

/// A status and, when it could be read, the JSON under it.
pub(super) struct Answer {
    pub(super) status: u16,
    asked: Asked,
    body: Result<Value, GrafanaError>,
}

impl Answer {
    pub(super) fn is_object(&self) -> bool {
        self.body.as_ref().is_ok_and(Value::is_object)
    }

    /// The JSON, whatever the status.
    pub(super) fn body(self) -> Result<Value, GrafanaError> {
        self.body
    }

    /// The JSON of a success.
    pub(super) fn accepted(self) -> Result<Value, GrafanaError> {
        if (200..300).contains(&self.status) {
            self.body
        } else {
            Err(GrafanaError::Refused {
                status: self.status,
                asked: self.asked.name(),
            })
        }
    }

    /// The JSON of a success, or `None` when Grafana itself says that there is no such thing.
    pub(super) fn found(self) -> Result<Option<Value>, GrafanaError> {
        if self.status == 404 && self.is_object() {
            Ok(None)
        } else {
            self.accepted().map(Some)
        }
    }
}

#[derive(Debug)]
pub(super) struct Wire {
    http: Http,
    base: Url,
    token: Option<SecretString>,
}

impl Wire {
    pub(super) fn new(settings: GrafanaSettings) -> Result<Self, GrafanaError> {
        let GrafanaSettings {
            url,
            token,
            timeout,
        } = settings;
        check(&url, &token)?;
        let http = Http::builder()
            .user_agent(concat!("tpm-monitoring/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(timeout)
            .timeout(timeout)
            .build()
            .map_err(|_| GrafanaError::BadSettings("TLS is not available"))?;
        let token = (!token.expose_secret().is_empty()).then_some(token);
        Ok(Self {
            http,
            base: url,
            token,
        })
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, GrafanaError> {
        let asked = call.asked;
        let response = self
            .request(call)?
            .send()
            .await
            .map_err(|error| failure(asked, error))?;
        let status = response.status().as_u16();
        let body = read(response, asked).await;
        Ok(Answer {
            status,
            asked,
            body,
        })
    }

    fn request(&self, call: Call<'_>) -> Result<RequestBuilder, GrafanaError> {
        let url = self.url(call.path)?;
        let mut request = self
            .http
            .request(call.method, url)
            .header(ACCEPT, "application/json")
            .query(&call.query);
        if !call.open {
            let token = self.token.as_ref().ok_or(GrafanaError::NoToken)?;
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        Ok(request)
    }

    fn url(&self, path: &[&str]) -> Result<Url, GrafanaError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| NOT_HTTP)?
            .pop_if_empty()
            .extend(path);
        Ok(url)
    }
}

const NOT_HTTP: GrafanaError =
    GrafanaError::BadSettings("its address must be an http or https URL");

fn check(url: &Url, token: &SecretString) -> Result<(), GrafanaError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NOT_HTTP);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(GrafanaError::BadSettings(
            "its address must not hold a password",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(GrafanaError::BadSettings(
            "its address must end with its path",
        ));
    }
    HeaderValue::from_str(token.expose_secret())
        .map(|_| ())
        .map_err(|_| GrafanaError::BadSettings("its token cannot stand in a header"))
}

async fn read(mut response: Response, asked: Asked) -> Result<Value, GrafanaError> {
    let bad = GrafanaError::BadAnswer {
        asked: asked.name(),
    };
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| cut_off(asked, error))?
    {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(bad);
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| bad)
}

/// Before the status.
fn failure(asked: Asked, error: reqwest::Error) -> GrafanaError {
    let error = error.without_url();
    tracing::debug!(asked = asked.name(), error = ?error, "Grafana did not answer");
    let asked = asked.name();
    if error.is_timeout() {
        GrafanaError::Timeout { asked }
    } else {
        GrafanaError::Unreachable { asked }
    }
}

/// After it.
fn cut_off(asked: Asked, error: reqwest::Error) -> GrafanaError {
    let asked = asked.name();
    if error.is_timeout() {
        GrafanaError::Timeout { asked }
    } else {
        GrafanaError::BadAnswer { asked }
    }
}
