//! What a handler gives back, and how it becomes status line, headers and body.
//!
//! The text of an error stands in the status line and, with a newline behind it, in the JSON body.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A handler's success.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) data: Value,
    pub(crate) total: Option<usize>,
}

impl Reply {
    pub(crate) fn null() -> Self {
        Self {
            data: Value::Null,
            total: None,
        }
    }

    pub(crate) fn paged(data: Vec<Value>, total: usize) -> Self {
        Self {
            data: Value::Array(data),
            total: (total > 0).then_some(total),
        }
    }
}

impl From<Value> for Reply {
    fn from(data: Value) -> Self {
        Self { data, total: None }
    }
}

impl From<Vec<Value>> for Reply {
    fn from(data: Vec<Value>) -> Self {
        Self {
            data: Value::Array(data),
            total: None,
        }
    }
}

/// A handler's failure, in PVE's words.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) errors: BTreeMap<String, String>,
    /// `false` for the answers that carry a status line only (401, 595, 596).
    pub(crate) has_body: bool,
    /// Plain text instead of JSON.
    pub(crate) plain: bool,
}

pub(crate) type Handled = Result<Reply, Failure>;

impl Failure {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        let mut message = message.into();
        message.push('\n');
        Self {
            status,
            message,
            errors: BTreeMap::new(),
            has_body: true,
            plain: false,
        }
    }

    /// `die` in a handler.
    pub(crate) fn die(message: impl Into<String>) -> Self {
        Self::new(500, message)
    }

    pub(crate) fn forbidden(detail: &str) -> Self {
        if detail.is_empty() {
            Self::new(403, "Permission check failed")
        } else {
            Self::new(403, format!("Permission check failed ({detail})"))
        }
    }

    pub(crate) fn params(errors: BTreeMap<String, String>) -> Self {
        Self {
            errors,
            ..Self::new(400, "Parameter verification failed.")
        }
    }

    pub(crate) fn param(name: &str, text: impl Into<String>) -> Self {
        Self::params(BTreeMap::from([(name.to_owned(), text.into())]))
    }

    pub(crate) fn not_implemented(method: &str, path: &str) -> Self {
        Self {
            message: format!("Method '{method} {path}' not implemented"),
            ..Self::new(501, "")
        }
    }

    /// Status line only, connection closed.
    pub(crate) fn bare(status: u16, reason: impl Into<String>) -> Self {
        Self {
            message: reason.into(),
            has_body: false,
            ..Self::new(status, "")
        }
    }

    /// Plain text without a content type.
    pub(crate) fn plain(status: u16, text: impl Into<String>) -> Self {
        Self {
            message: text.into(),
            plain: true,
            ..Self::new(status, "")
        }
    }

    pub(crate) fn reason(&self) -> String {
        self.message.lines().next().unwrap_or_default().to_owned()
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::die(message)
    }
}

/// A complete answer, ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) content_type: Option<&'static str>,
    /// `None`: no body and no length, the end of the connection ends the answer.
    pub(crate) body: Option<Vec<u8>>,
}

const JSON: &str = "application/json;charset=UTF-8";

impl Wire {
    pub(crate) fn json(handled: &Handled) -> Self {
        match handled {
            Ok(reply) => {
                let mut body = Map::from_iter([("data".to_owned(), reply.data.clone())]);
                if let Some(total) = reply.total {
                    body.insert("total".into(), json!(total));
                }
                Self::ok(JSON, Value::Object(body).to_string())
            }
            Err(failure) if !failure.has_body => Self {
                status: failure.status,
                reason: failure.reason(),
                content_type: None,
                body: None,
            },
            Err(failure) if failure.plain => Self {
                status: failure.status,
                reason: failure.reason(),
                content_type: None,
                body: Some(failure.message.clone().into_bytes()),
            },
            Err(failure) => {
                let mut body = json!({"data": null, "message": failure.message});
                if !failure.errors.is_empty() {
                    body["errors"] = json!(failure.errors);
                }
                Self {
                    status: failure.status,
                    reason: failure.reason(),
                    content_type: Some(JSON),
                    body: Some(body.to_string().into_bytes()),
                }
            }
        }
    }

    /// The format of the web interface: always 200, the outcome in the body.
    pub(crate) fn extjs(handled: &Handled) -> Self {
        match handled {
            Ok(reply) => {
                let mut body = json!({"success": 1, "data": reply.data});
                if let Some(total) = reply.total {
                    body["total"] = json!(total);
                }
                Self::ok(JSON, body.to_string())
            }
            Err(failure) if !failure.has_body || failure.plain => Self::json(handled),
            Err(failure) => {
                let mut body = json!({
                    "success": 0, "data": null,
                    "message": failure.message, "status": failure.status,
                });
                if !failure.errors.is_empty() {
                    body["errors"] = json!(failure.errors);
                }
                Self::ok(JSON, body.to_string())
            }
        }
    }

    fn ok(content_type: &'static str, body: String) -> Self {
        Self {
            status: 200,
            reason: "OK".into(),
            content_type: Some(content_type),
            body: Some(body.into_bytes()),
        }
    }
}
