//! The one error of this crate: what PVE said, in which phase, and what it means.
//!
//! It keeps no request parameters, so that no secret can reach a log through it.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::{Access, ErrorClass, Origin, classify};

type Source = Arc<dyn std::error::Error + Send + Sync>;

/// A failed call.
///
/// `Display` gives one line: the request (method and path, never parameters), the status, PVE's text and
/// the texts of refused parameters.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    class: ErrorClass,
    origin: Origin,
    status: Option<u16>,
    text: String,
    fields: BTreeMap<String, String>,
    request: Option<String>,
    source: Option<Source>,
    retry_after: Option<Duration>,
}

impl Error {
    /// What the caller may do next; see [`classify`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// The phase in which the call failed.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// The HTTP status, when there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// PVE's message on one line, trimmed: the body's `message`, else the reason phrase, else the name of
    /// the status. For failures without an answer, what happened.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The refused parameters and why, from the body's `errors` (status 400).
    #[must_use]
    pub fn fields(&self) -> &BTreeMap<String, String> {
        &self.0.fields
    }

    /// For a call that this client did not send because earlier ones failed: the time until it sends one
    /// again. Before that, every call fails like this one, without touching the network.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether a write was refused because the configuration had changed since its digest was read.
    /// PVE has two texts for it and uses status 500 for both.
    #[must_use]
    pub fn is_digest_conflict(&self) -> bool {
        let text = &self.0.text;
        text.contains("checksum mismatch") || text.contains("detected modified configuration")
    }

    pub(crate) fn is_timeout(&self) -> bool {
        let source = self.0.source.as_deref();
        source
            .and_then(|error| error.downcast_ref::<reqwest::Error>())
            .is_some_and(reqwest::Error::is_timeout)
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::build(Origin::Request, None, text.into(), BTreeMap::new(), None)
    }

    pub(crate) fn reply(access: Access, text: impl Into<String>) -> Self {
        Self::build(
            Origin::Reply(access),
            None,
            text.into(),
            BTreeMap::new(),
            None,
        )
    }

    pub(crate) fn task(text: &str) -> Self {
        Self::build(Origin::Task, None, one_line(text), BTreeMap::new(), None)
    }

    pub(crate) fn http(
        access: Access,
        status: u16,
        text: String,
        fields: BTreeMap<String, String>,
    ) -> Self {
        Self::build(Origin::Http(access), Some(status), text, fields, None)
    }

    pub(crate) fn transport(origin: Origin, text: String, source: Source) -> Self {
        Self::build(origin, None, text, BTreeMap::new(), Some(source))
    }

    /// Every endpoint is left alone; `wait` is the time to the next probe.
    pub(crate) fn paused(text: String, wait: Option<Duration>) -> Self {
        let mut error = Self::build(Origin::Connect, None, text, BTreeMap::new(), None);
        error.0.retry_after = wait;
        error
    }

    /// The same refusal, told to somebody else without asking.
    pub(crate) fn again_in(mut self, wait: Duration) -> Self {
        let said = &self.0.text;
        let secs = wait.as_secs_f64();
        self.0.text =
            format!("not sent, the credentials were refused ({said}); tried again in {secs:.1} s");
        self.0.retry_after = Some(wait);
        self.0.request = None;
        self.0.source = None;
        self
    }

    pub(crate) fn with_request(mut self, request: &str) -> Self {
        self.0.request.get_or_insert_with(|| request.to_owned());
        self
    }

    fn build(
        origin: Origin,
        status: Option<u16>,
        text: String,
        fields: BTreeMap<String, String>,
        source: Option<Source>,
    ) -> Self {
        let mut whole = text.clone();
        for (field, reason) in &fields {
            whole.push_str(&format!("; {field}: {reason}"));
        }
        Self(Box::new(Inner {
            class: classify(origin, status, &whole),
            origin,
            status,
            text,
            fields,
            request: None,
            source,
            retry_after: None,
        }))
    }
}

/// Trims and puts on one line: PVE's texts end in a newline and may hold more of them.
pub(crate) fn one_line(text: &str) -> String {
    text.split(['\n', '\r'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(request) = &self.0.request {
            write!(f, "{request}: ")?;
        }
        if let Some(status) = self.0.status {
            write!(f, "{status} ")?;
        }
        f.write_str(&self.0.text)?;
        for (i, (field, reason)) in self.0.fields.iter().enumerate() {
            let lead = if i == 0 { " (" } else { ", " };
            write!(f, "{lead}{field}: {}", one_line(reason))?;
        }
        if self.0.fields.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("class", &self.0.class)
            .field("origin", &self.0.origin)
            .field("status", &self.0.status)
            .field("text", &self.0.text)
            .field("fields", &self.0.fields)
            .field("request", &self.0.request)
            .field("retry_after", &self.0.retry_after)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
