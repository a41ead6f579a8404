//! Logs: to standard error, and to the database that all processes share.

use anyhow::Context;
use serde_json::{Map, Value};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tpm_domain::Timestamp;
use tpm_settings::Log;
use tpm_store::{LogLevel, LogLine};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Lines that wait for the database at most.
const WAITING: usize = 10_000;
/// Longest message that is stored, in bytes.
const MESSAGE: usize = 4096;
/// Longest fields that are stored, in bytes.
const FIELDS: usize = 16_384;
/// Parts whose lines are not stored: storing one would make the next.
const NOT_STORED: [&str; 4] = ["sqlx", "sea_orm", "hyper", "h2"];

/// What was logged and is not stored yet, and how much is logged.
pub struct Logs {
    lines: mpsc::Receiver<(Timestamp, Vec<u8>)>,
    lost: Arc<AtomicU64>,
    filter: reload::Handle<EnvFilter, Registry>,
    configured: String,
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs")
            .field("configured", &self.configured)
            .finish_non_exhaustive()
    }
}

impl Logs {
    /// What waits, at most so many lines.
    pub(crate) fn take(&mut self, process: &str, most: usize) -> Vec<LogLine> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Ok((at, json)) = self.lines.try_recv()
        {
            taken.extend(line(at, process, &json));
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lines = lost, "lines of the log were not stored");
        }
        taken
    }

    /// Logs from this level on; as configured when it is `None`.
    pub(crate) fn set_level(&self, level: Option<LogLevel>) -> anyhow::Result<()> {
        let directives = match level {
            None => self.configured.clone(),
            // What others' crates say at these levels is of no use to who operates the service.
            Some(LogLevel::Trace) => "info,tpm=trace,tower_http=trace".into(),
            Some(LogLevel::Debug) => "info,tpm=debug,tower_http=debug".into(),
            Some(LogLevel::Info) => "info".into(),
            Some(LogLevel::Warning) => "warn".into(),
            Some(LogLevel::Error) => "error".into(),
        };
        self.filter.reload(EnvFilter::try_new(directives)?)?;
        Ok(())
    }
}

/// Hands each line on; one that finds no room is counted.
#[derive(Clone)]
struct Sink {
    lines: mpsc::Sender<(Timestamp, Vec<u8>)>,
    lost: Arc<AtomicU64>,
}

impl<'w> MakeWriter<'w> for Sink {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl io::Write for Sink {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
        if self.lines.try_send((Timestamp(at), json.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What can be stored of a text: PostgreSQL takes no NUL, and one would keep all lines after it waiting.
fn stored(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].replace('\0', "\u{fffd}")
}

/// A line, with the fields of the spans it was logged in.
fn line(at: Timestamp, process: &str, json: &[u8]) -> Option<LogLine> {
    let mut json: Map<String, Value> = serde_json::from_slice(json).ok()?;
    let level = match json.get("level")?.as_str()? {
        "TRACE" => LogLevel::Trace,
        "DEBUG" => LogLevel::Debug,
        "INFO" => LogLevel::Info,
        "WARN" => LogLevel::Warning,
        _ => LogLevel::Error,
    };
    let mut fields = Map::new();
    for span in json
        .get("spans")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let of_span = span.as_object().into_iter().flatten();
        fields.extend(
            of_span
                .filter(|(name, _)| *name != "name")
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    if let Some(Value::Object(own)) = json.remove("fields") {
        fields.extend(own);
    }
    let message = match fields.remove("message") {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let target = json.get("target").and_then(Value::as_str);
    let text = Value::Object(fields).to_string();
    Some(LogLine {
        at,
        level,
        process: process.to_owned(),
        target: stored(target.unwrap_or_default(), MESSAGE),
        message: stored(&message, MESSAGE),
        fields: if text.len() > FIELDS {
            r#"{"cut":true}"#.to_owned()
        } else {
            text
        },
    })
}

/// Begins logging for this process.
///
/// # Errors
/// When the filter cannot be read, or logging was begun already.
pub fn init_telemetry(log: &Log) -> anyhow::Result<Logs> {
    let filter = EnvFilter::try_new(&log.filter).context("log.filter")?;
    let (filter, handle) = reload::Layer::new(filter);
    let (sender, receiver) = mpsc::channel(WAITING);
    let lost = Arc::new(AtomicU64::new(0));
    let sink = Sink {
        lines: sender,
        lost: Arc::clone(&lost),
    };
    let stored = fmt::layer()
        .json()
        .with_writer(sink)
        .with_filter(filter_fn(|of| {
            !NOT_STORED.iter().any(|part| of.target().starts_with(part))
        }));
    let shown = fmt::layer().with_writer(io::stderr);
    let shown = match log.format.as_str() {
        "json" => shown.json().boxed(),
        _ => shown.with_ansi(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(shown)
        .with(stored)
        .try_init()
        .map_err(|error| anyhow::anyhow!("logging: {error}"))?;
    Ok(Logs {
        lines: receiver,
        lost,
        filter: handle,
        configured: log.filter.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_of_its_spans() {
        let json = br#"{"timestamp":"x","level":"WARN","fields":{"message":"no turn","what":"look"},
            "target":"tpm_jobs","span":{"name":"b"},"spans":[{"task":"t1","what":"a","name":"a"},{"name":"b"}]}"#;
        let line = line(Timestamp(7), "worker-1", json).expect("a line");
        assert_eq!(line.level, LogLevel::Warning);
        assert_eq!(
            (line.message.as_str(), line.target.as_str()),
            ("no turn", "tpm_jobs")
        );
        assert_eq!(line.fields, r#"{"task":"t1","what":"look"}"#);
        assert_eq!(stored("가나다", 4), "가");
        assert_eq!(stored("a\0b", 4), "a\u{fffd}b");
    }
}
