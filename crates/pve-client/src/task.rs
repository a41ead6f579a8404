//! Tasks: the work PVE goes on with after it has answered.
//!
//! A UPID is not success. Only [`TaskStatus::Ok`] and [`TaskStatus::Warnings`] are. Waiting is not done
//! here: one call asks once, and when to ask again is the caller's decision.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::{
    client::Client,
    error::{Error, one_line},
    lenient,
    params::{ApiPath, Method, Params, node_path},
};

/// The id of a task: `UPID:node:pid:pstart:starttime:type:id:user:`.
///
/// Calls about a task go to the node named in it, whichever endpoint carries them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upid {
    text: String,
    /// The node the task runs on.
    pub node: String,
    /// Process id.
    pub pid: u32,
    /// Start of the process, in clock ticks since the node booted.
    pub pstart: u64,
    /// Start of the task, in seconds since 1970.
    pub starttime: u64,
    /// Type, such as `qmclone`.
    pub kind: String,
    /// What it works on: a VMID for guests (for a clone, that of the *source*), else free text, or empty.
    pub id: String,
    /// `user@realm`, or `user@realm!token`.
    pub user: String,
}

/// The text is not a UPID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a task id")]
pub struct UpidError(String);

impl Upid {
    /// The text as PVE wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn path(&self, rest: &[&str]) -> Result<ApiPath, Error> {
        let mut parts = vec!["tasks", self.as_str()];
        parts.extend_from_slice(rest);
        node_path(&self.node, &parts)
    }
}

impl FromStr for Upid {
    type Err = UpidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| UpidError(text.chars().take(200).collect()))
    }
}

fn parse(text: &str) -> Option<Upid> {
    if text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
        return None;
    }
    let parts: Vec<_> = text.split(':').collect();
    let ["UPID", node, pid, pstart, starttime, kind, id, user, ""] = parts[..] else {
        return None;
    };
    let node_ok = node.starts_with(|c: char| c.is_ascii_alphanumeric())
        && node.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !node_ok || kind.is_empty() || user.is_empty() {
        return None;
    }
    Some(Upid {
        text: text.to_owned(),
        node: node.to_owned(),
        pid: u32::try_from(hex(pid, 8..=8)?).ok()?,
        pstart: hex(pstart, 8..=9)?,
        starttime: hex(starttime, 8..=8)?,
        kind: kind.to_owned(),
        id: id.to_owned(),
        user: user.to_owned(),
    })
}

fn hex(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<u64> {
    let digits = length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok())?
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Upid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// Not finished.
    Running,
    /// Finished well.
    Ok,
    /// Finished well, with this many warnings in the log.
    Warnings(u32),
    /// Failed with this text, on one line.
    Failed(String),
}

impl TaskStatus {
    /// Reads an exit text: `OK`, `WARNINGS: n`, or an error.
    #[must_use]
    pub fn from_exit(text: &str) -> Self {
        let text = text.trim();
        if text == "OK" {
            return Self::Ok;
        }
        if let Some(count) = text
            .strip_prefix("WARNINGS: ")
            .and_then(|n| n.trim().parse().ok())
        {
            return Self::Warnings(count);
        }
        Self::Failed(one_line(text))
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        *self != Self::Running
    }

    /// Whether the task has ended well, with or without warnings.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Ok | Self::Warnings(_))
    }

    /// The failure as an [`Error`] with its class, if there is one.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        match self {
            Self::Failed(text) => Some(Error::task(text)),
            Self::Running | Self::Ok | Self::Warnings(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct RawStatus {
    status: String,
    exitstatus: Option<String>,
}

/// One line of a task's log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    /// Number, from 1.
    pub n: u64,
    /// Text. The last line is `TASK OK`, `TASK WARNINGS: n` or `TASK ERROR: …`.
    #[serde(default)]
    pub t: String,
}

/// A part of a task's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskLog {
    /// The lines asked for. An empty log has the one line `no content`.
    pub lines: Vec<LogLine>,
    /// How many lines there are in all, when PVE says so.
    pub total: Option<u64>,
}

/// Which tasks to list.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    /// Only tasks of this guest.
    pub vmid: Option<u32>,
    /// Only this type, such as `qmclone`.
    pub kind: Option<String>,
    /// Only tasks that began at or after this time, in seconds since 1970.
    pub since: Option<u64>,
    /// Only tasks that began at or before this time, in seconds since 1970.
    pub until: Option<u64>,
    /// Finished, running, or both.
    pub source: TaskSource,
    /// Skip this many.
    pub start: Option<u64>,
    /// At most this many. PVE's own default is 50.
    pub limit: Option<u64>,
}

/// Where tasks are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskSource {
    /// Finished ones.
    Archive,
    /// Running ones.
    Active,
    /// Both.
    #[default]
    All,
}

/// One entry of a list of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEntry {
    /// Its id.
    pub upid: Upid,
    /// End, in seconds since 1970.
    pub endtime: Option<u64>,
    /// How it stands.
    pub status: TaskStatus,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(default, deserialize_with = "lenient::text")]
    upid: Option<String>,
    #[serde(default, deserialize_with = "lenient::u64")]
    endtime: Option<u64>,
    #[serde(default, deserialize_with = "lenient::text")]
    status: Option<String>,
}

pub(crate) fn entries(data: Vec<Value>) -> Vec<TaskEntry> {
    let mut entries = Vec::with_capacity(data.len());
    for value in data {
        let Ok(raw) = RawEntry::deserialize(value) else {
            continue;
        };
        let Some(upid) = raw.upid.as_deref().and_then(|text| text.parse().ok()) else {
            tracing::warn!(upid = raw.upid, "skipped a task whose id cannot be read");
            continue;
        };
        let status = match raw.status.as_deref() {
            None if raw.endtime.is_some() => TaskStatus::Failed("unexpected status".to_owned()),
            None | Some("RUNNING" | "running") => TaskStatus::Running,
            Some(text) => TaskStatus::from_exit(text),
        };
        entries.push(TaskEntry {
            upid,
            endtime: raw.endtime,
            status,
        });
    }
    entries
}

impl Client {
    /// How a task stands, asked once.
    ///
    /// # Errors
    /// A task PVE no longer knows is [`crate::ErrorClass::Ambiguous`]. In the first moments after a start
    /// this can happen to a living task as well.
    pub async fn task_status(&self, upid: &Upid) -> Result<TaskStatus, Error> {
        let raw: RawStatus = self.get(upid.path(&["status"])?, Params::new()).await?;
        Ok(match (raw.status.as_str(), raw.exitstatus) {
            ("running", _) => TaskStatus::Running,
            (_, Some(exit)) => TaskStatus::from_exit(&exit),
            // the worker left without a word
            (_, None) => TaskStatus::Failed("unexpected status".to_owned()),
        })
    }

    /// Lines of a task's log, from line `start` (0-based), at most `limit` (0 for all).
    ///
    /// # Errors
    /// As every call. The log of an unknown task is *not* an error: PVE answers with one line that says
    /// the file cannot be opened.
    pub async fn task_log(&self, upid: &Upid, start: u64, limit: u64) -> Result<TaskLog, Error> {
        let params = Params::new().with("start", start).with("limit", limit);
        let reply = self
            .call(Method::Get, &upid.path(&["log"])?, &params)
            .await?;
        let total = reply.total;
        Ok(TaskLog {
            lines: reply.read(Method::Get.access())?,
            total,
        })
    }

    /// Tasks of a node, newest first. Entries with an unreadable id are left out and logged.
    ///
    /// # Errors
    /// As every call. Tasks one may not see are left out without an error.
    pub async fn tasks(&self, node: &str, filter: &TaskFilter) -> Result<Vec<TaskEntry>, Error> {
        let source = match filter.source {
            TaskSource::Archive => "archive",
            TaskSource::Active => "active",
            TaskSource::All => "all",
        };
        let params = Params::new()
            .with("source", source)
            .maybe("vmid", filter.vmid)
            .maybe("typefilter", filter.kind.as_deref())
            .maybe("since", filter.since)
            .maybe("until", filter.until)
            .maybe("start", filter.start)
            .maybe("limit", filter.limit);
        Ok(entries(
            self.get(node_path(node, &["tasks"])?, params).await?,
        ))
    }

    /// Asks a task to stop; PVE kills it after five seconds. Locks and volumes may stay behind.
    ///
    /// # Errors
    /// As every call.
    pub async fn stop_task(&self, upid: &Upid) -> Result<(), Error> {
        self.done(Method::Delete, upid.path(&[])?, Params::new())
            .await
    }
}
