//! Prometheus, asked by its HTTP API. Every figure costs one request, whatever the number of servers.

use crate::promql::{self, Of};
use crate::reading::{Figure, Latest, Point, Reading, Readings, ScrapeTarget, Scraped, Span, Why};
use crate::targets::label;
use async_trait::async_trait;
use futures::future::{join_all, try_join};
use prometheus_http_query::response::{Data, PromqlResult};
use prometheus_http_query::{Client, Error};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;
use tpm_domain::{ServerId, Timestamp};
use url::Url;

/// Largest answer that is read: ten thousand servers' series are some megabytes.
const LARGEST: usize = 64 << 20;

/// Who is asked, and how.
#[derive(Clone, Debug)]
pub struct PrometheusSettings {
    /// Where it is.
    pub url: Url,
    /// Bearer token.
    pub token: Option<SecretString>,
    /// Longest time an answer may take.
    pub timeout: Duration,
    /// Over how many seconds rates are taken.
    pub window_secs: u32,
    /// The name of this installation in labels.
    pub manager: String,
}

/// Prometheus cannot be asked at all.
#[derive(Debug, thiserror::Error)]
#[error("Prometheus cannot be asked: {0}")]
pub struct CannotAsk(String);

/// Whether Prometheus reads its files anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It did.
    Done,
    /// It does not let anybody tell it to (`--web.enable-lifecycle`).
    NotEnabled,
    /// It tried, and its configuration is wrong.
    Failed,
    /// It did not answer.
    Unreachable,
}

/// What is known of servers by measuring them.
#[async_trait]
pub trait MetricsReader: Send + Sync {
    /// Where it is, for people.
    fn url(&self) -> String;
    /// The figures of one server or of all, as of now.
    async fn latest(&self, of: Option<ServerId>) -> Latest;
    /// The figures of one server in the past, a point for each moment of the span.
    ///
    /// # Errors
    /// When they cannot be had.
    async fn history(&self, of: ServerId, span: Span) -> Result<Vec<Point>, Why>;
    /// Everything that is scraped.
    ///
    /// # Errors
    /// When it cannot be had.
    async fn targets(&self) -> Result<Vec<ScrapeTarget>, Why>;
    /// Has files read anew.
    async fn reload(&self) -> Reload;
}

/// Prometheus.
pub struct Prometheus {
    client: Client,
    settings: PrometheusSettings,
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("url", &self.settings.url.as_str())
            .finish_non_exhaustive()
    }
}

/// Prometheus' envelope around an answer that is well.
#[derive(Deserialize)]
struct Envelope {
    data: PromqlResult,
}

/// What is read of an answer about targets, whose size is bounded as all that Prometheus answers.
#[derive(Deserialize)]
struct TargetsAnswer {
    data: Targets,
}

#[derive(Deserialize)]
struct Targets {
    #[serde(rename = "activeTargets")]
    active: Vec<ActiveTarget>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActiveTarget {
    labels: HashMap<String, String>,
    health: String,
    #[serde(default)]
    last_error: String,
}

type Series = Vec<(HashMap<String, String>, Vec<(f64, f64)>)>;

impl Prometheus {
    /// Ready to ask; asks nothing.
    ///
    /// # Errors
    /// When the token cannot stand in a header, or there is no TLS.
    pub fn new(settings: PrometheusSettings) -> Result<Self, CannotAsk> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &settings.token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
            let mut value = value.map_err(|_| CannotAsk("the token is no token".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .timeout(settings.timeout)
            .default_headers(headers)
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| CannotAsk(error.to_string()))?;
        let client = Client::from(http, settings.url.as_str())
            .map_err(|error| CannotAsk(error.to_string()))?;
        Ok(Self { client, settings })
    }

    fn of(&self, server: Option<ServerId>) -> Of<'_> {
        Of {
            manager: &self.settings.manager,
            server,
        }
    }

    async fn ask(&self, question: &str) -> Result<Series, Why> {
        // Long questions do not fit into an address everywhere.
        let answer = self.client.query(question).post_raw().await;
        read(answer.map_err(|error| why(&error))?).await
    }

    async fn ask_span(&self, question: &str, span: Span) -> Result<Series, Why> {
        let (from, to) = (span.from.0.div_euclid(1000), span.to.0.div_euclid(1000));
        let step = f64::from(span.step_secs.max(1));
        let question = self.client.query_range(question, from, to, step);
        read(question.post_raw().await.map_err(|error| why(&error))?).await
    }

    /// The latest value of a question, by server; [`Why::Ambiguous`] where several targets say they are it.
    async fn by_server(&self, question: String) -> Result<BTreeMap<ServerId, Reading>, Why> {
        let mut found = BTreeMap::new();
        for (labels, samples) in self.ask(&question).await? {
            let Some(server) = server_of(&labels) else {
                continue;
            };
            let value = samples.last().map(|(_, value)| *value);
            let mut value = value.ok_or(Why::NoSample);
            if found.contains_key(&server) {
                value = Err(Why::Ambiguous);
            }
            found.insert(server, value);
        }
        Ok(found)
    }
}

fn server_of(labels: &HashMap<String, String>) -> Option<ServerId> {
    labels.get(label::SERVER_ID)?.parse().ok().map(ServerId)
}

fn why(error: &Error) -> Why {
    let http = match error {
        Error::Client(error) => error.inner(),
        _ => None,
    };
    match http {
        Some(error) if error.is_connect() || error.is_timeout() || error.is_request() => {
            Why::PrometheusUnreachable
        }
        _ => Why::BadAnswer,
    }
}

/// The body of a good answer, if it is not too large.
async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, Why> {
    if !response.status().is_success() {
        return Err(Why::BadAnswer);
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST => body.extend(chunk),
            Ok(Some(_)) => return Err(Why::BadAnswer),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(Why::PrometheusUnreachable),
            Err(_) => return Err(Why::BadAnswer),
        }
    }
}

async fn read(response: reqwest::Response) -> Result<Series, Why> {
    let body = body(response).await?;
    let answer: Envelope = serde_json::from_slice(&body).map_err(|_| Why::BadAnswer)?;
    match answer.data.into_inner().0 {
        Data::Vector(all) => Ok(all
            .into_iter()
            .map(|one| {
                let (labels, sample) = one.into_inner();
                (labels, vec![(sample.timestamp(), sample.value())])
            })
            .collect()),
        Data::Matrix(all) => Ok(all
            .into_iter()
            .map(|one| {
                let (labels, samples) = one.into_inner();
                let samples = samples.iter().map(|one| (one.timestamp(), one.value()));
                (labels, samples.collect())
            })
            .collect()),
        Data::Scalar(_) => Err(Why::BadAnswer),
    }
}

/// Seconds as Prometheus has them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a moment in milliseconds is far from where doubles lose whole numbers"
)]
fn moment(seconds: f64) -> Timestamp {
    Timestamp((seconds * 1000.0).round() as i64)
}

#[async_trait]
impl MetricsReader for Prometheus {
    fn url(&self) -> String {
        self.settings.url.as_str().trim_end_matches('/').to_owned()
    }

    async fn latest(&self, of: Option<ServerId>) -> Latest {
        let of = self.of(of);
        let window = self.settings.window_secs;
        let up = self.by_server(promql::up(of));
        let at = self.by_server(promql::scraped_at(of));
        let (up, at) = match try_join(up, at).await {
            Ok(both) => both,
            Err(why) => return Latest::Unknown(why),
        };
        let figures = Figure::ALL.map(|one| self.by_server(promql::figure(one, of, window)));
        let figures: BTreeMap<Figure, Result<_, Why>> = Figure::ALL
            .into_iter()
            .zip(join_all(figures).await)
            .collect();
        let known = up.iter().map(|(server, is_up)| {
            let reading = |figure: Figure| match (is_up, figures.get(&figure)) {
                (Err(why), _) => Err(*why),
                (Ok(0.0), _) => Err(Why::ExporterUnreachable),
                (_, Some(Ok(all))) => all.get(server).copied().unwrap_or(Err(Why::NoSample)),
                (_, Some(Err(why))) => Err(*why),
                (_, None) => Err(Why::NoSample),
            };
            let at = at.get(server).and_then(|at| at.ok());
            let scraped = Scraped {
                readings: Readings::new(reading),
                at: at.map(moment),
                up: is_up.ok().map(|up| up != 0.0),
            };
            (*server, scraped)
        });
        Latest::Known(known.collect())
    }

    async fn history(&self, of: ServerId, span: Span) -> Result<Vec<Point>, Why> {
        let (of, window) = (self.of(Some(of)), self.settings.window_secs);
        let asked = Figure::ALL.map(|figure| async move {
            let question = promql::figure(figure, of, window.max(span.step_secs));
            Ok::<_, Why>((figure, self.ask_span(&question, span).await?))
        });
        let answers: Result<Vec<_>, Why> = join_all(asked).await.into_iter().collect();
        let empty = |at: Timestamp| (at, Point::empty(at));
        let from = Timestamp(span.from.0.div_euclid(1000) * 1000);
        let mut points: BTreeMap<Timestamp, Point> =
            Span { from, ..span }.moments().map(empty).collect();
        for (figure, series) in answers? {
            if series.len() > 1 {
                return Err(Why::Ambiguous);
            }
            for (at, value) in series.into_iter().flat_map(|(_, samples)| samples) {
                if let Some(point) = points.get_mut(&moment(at)) {
                    *point.slot(figure) = Some(value);
                }
            }
        }
        Ok(points.into_values().collect())
    }

    async fn targets(&self) -> Result<Vec<ScrapeTarget>, Why> {
        let mut url = self.settings.url.clone();
        let Ok(mut path) = url.path_segments_mut() else {
            return Err(Why::PrometheusUnreachable);
        };
        path.pop_if_empty().extend(["api", "v1", "targets"]);
        drop(path);
        url.set_query(Some("state=active"));
        let answer = self.client.inner().get(url).send().await;
        let answer = answer.map_err(|_| Why::PrometheusUnreachable)?;
        let answer: TargetsAnswer =
            serde_json::from_slice(&body(answer).await?).map_err(|_| Why::BadAnswer)?;
        let ours = |labels: &HashMap<String, String>| {
            labels.get(label::MANAGER) == Some(&self.settings.manager)
        };
        let active = answer.data.active.into_iter();
        let told = active.map(|target| ScrapeTarget {
            server: Some(&target.labels)
                .filter(|labels| ours(labels))
                .and_then(server_of),
            healthy: (target.health != "unknown").then(|| target.health == "up"),
            error: target.last_error,
            instance: target.labels.get("instance").cloned().unwrap_or_default(),
        });
        Ok(told.collect())
    }

    async fn reload(&self) -> Reload {
        let mut url = self.settings.url.clone();
        let Ok(mut path) = url.path_segments_mut() else {
            return Reload::Unreachable;
        };
        path.pop_if_empty().extend(["-", "reload"]);
        drop(path);
        match self.client.inner().post(url).send().await {
            Ok(answer) if answer.status().is_success() => Reload::Done,
            Ok(answer) if answer.status().is_server_error() => Reload::Failed,
            Ok(_) => Reload::NotEnabled,
            Err(_) => Reload::Unreachable,
        }
    }
}
