//! Query parameters. Unknown ones and wrong values are told, all at once.

use crate::error::Fault;
use crate::time;
use serde_json::json;
use std::collections::BTreeMap;
use tpm_app::{
    AlertQuery, AuditQuery, BackupQuery, Deletion, DeliveryQuery, DrillQuery, LogLevel, LogQuery,
    NotificationQuery, ServerOrder, ServerQuery, Span, TaskQuery,
};
use tpm_domain::{
    AlertRule, AlertState, BackupState, BackupToken, ChannelId, DeliveryState, DrillState,
    FieldErrors, Reason, ServerId, ServerState, Severity, TaskKind, TaskState, Timestamp, UserId,
};

const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 500;

struct Query {
    map: BTreeMap<String, String>,
    errors: FieldErrors,
}

impl Query {
    fn new(text: Option<&str>) -> Self {
        let mut map = BTreeMap::new();
        let mut errors = FieldErrors::default();
        for (name, value) in url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            if map
                .insert(name.clone().into_owned(), value.into_owned())
                .is_some()
            {
                errors.add(name.into_owned(), Reason::Duplicate);
            }
        }
        Self { map, errors }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.map.remove(name).filter(|value| !value.is_empty())
    }

    fn number(&mut self, name: &str, default: u64, min: u64, max: u64) -> u64 {
        let Some(text) = self.take(name) else {
            return default;
        };
        match text.parse() {
            Ok(number) if (min..=max).contains(&number) => number,
            _ => {
                let bound = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                self.errors.add(
                    name,
                    Reason::Range {
                        min: bound(min),
                        max: bound(max),
                    },
                );
                default
            }
        }
    }

    /// A number that may be missing, from `min` to what a database counts to.
    fn counted(&mut self, name: &str, min: u64) -> Option<u64> {
        const MISSING: u64 = u64::MAX;
        let found = self.number(name, MISSING, min, i64::MAX as u64);
        (found != MISSING).then_some(found)
    }

    fn version(&mut self) -> Option<u64> {
        self.counted("version", 1)
    }

    fn limit(&mut self) -> Option<u64> {
        Some(self.number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT))
    }

    fn offset(&mut self) -> u64 {
        self.number("offset", 0, 0, i64::MAX as u64)
    }

    fn moment(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.take(name)?;
        let moment = time::parse(&text);
        if moment.is_none() {
            self.errors.add(name, Reason::Moment);
        }
        moment
    }

    fn server(&mut self) -> Option<ServerId> {
        let id = self.take("server_id")?.parse();
        if id.is_err() {
            let expected = "integer";
            self.errors.add("server_id", Reason::Type { expected });
        }
        id.ok().map(ServerId)
    }

    fn one_of<T: Copy>(
        &mut self,
        name: &str,
        values: &[T],
        text_of: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.take(name)?;
        let found = values.iter().copied().find(|value| text_of(*value) == text);
        if found.is_none() {
            let allowed = values
                .iter()
                .map(|value| text_of(*value).to_owned())
                .collect();
            self.errors.add(name, Reason::OneOf { allowed });
        }
        found
    }

    fn finish<T>(mut self, value: T) -> Result<T, Fault> {
        for name in self.map.into_keys() {
            let shown: String = name.chars().take(64).collect();
            self.errors.add(shown, Reason::UnknownField);
        }
        Ok(self.errors.into_result(value)?)
    }
}

/// `from`: the serial of an earlier version.
pub(crate) fn earlier(text: Option<&str>) -> Result<Option<u64>, Fault> {
    let mut query = Query::new(text);
    // 0 is the serial of no version.
    let from = query.number("from", 0, 1, i64::MAX as u64);
    query.finish((from > 0).then_some(from))
}

/// `status`, `project`, `role`, `name`, `sort`, `order`, `limit`, `offset`.
pub(crate) fn servers(text: Option<&str>) -> Result<(ServerQuery, Option<String>), Fault> {
    const SORTS: [(&str, ServerOrder); 6] = [
        ("id", ServerOrder::Id),
        ("name", ServerOrder::Name),
        ("status", ServerOrder::State),
        ("role", ServerOrder::Role),
        ("created_at", ServerOrder::CreatedAt),
        ("updated_at", ServerOrder::UpdatedAt),
    ];
    let mut query = Query::new(text);
    let project = query.take("project");
    let found = ServerQuery {
        project: None,
        within: None,
        state: query.one_of("status", &ServerState::ALL, ServerState::as_str),
        role: query.take("role"),
        name_contains: query.take("name"),
        order: query
            .one_of("sort", &SORTS, |sort| sort.0)
            .map(|sort| sort.1)
            .unwrap_or_default(),
        descending: query.one_of("order", &["asc", "desc"], |order| order) == Some("desc"),
        limit: query.limit(),
        offset: query.offset(),
    };
    query.finish((found, project))
}

/// `status`, `kind`, `server_id`, `limit`, `offset`.
pub(crate) fn tasks(text: Option<&str>) -> Result<TaskQuery, Fault> {
    let mut query = Query::new(text);
    let server = query.server();
    let found = TaskQuery {
        state: query.one_of("status", &TaskState::ALL, TaskState::as_str),
        kind: query.one_of("kind", &TaskKind::ALL, TaskKind::as_str),
        server,
        parent: None,
        within: None,
        limit: query.limit(),
        offset: query.offset(),
    };
    query.finish(found)
}

/// `server_id`, `status`, `storage`, `limit`, `offset`.
pub(crate) fn backups(text: Option<&str>) -> Result<BackupQuery, Fault> {
    let mut query = Query::new(text);
    let server = query.server();
    let found = BackupQuery {
        server,
        state: query.one_of("status", BackupState::ALL, BackupState::as_str),
        storage: query.take("storage"),
        condemned: false,
        within: None,
        limit: query.limit(),
        offset: query.offset(),
    };
    query.finish(found)
}

/// `server_id`, `backup_id`, `status`, `limit`, `offset`.
pub(crate) fn drills(text: Option<&str>) -> Result<DrillQuery, Fault> {
    let mut query = Query::new(text);
    let server = query.server();
    let found = DrillQuery {
        server,
        backup: query.take("backup_id").map(BackupToken),
        state: query.one_of("status", &DrillState::ALL, DrillState::as_str),
        item: None,
        within: None,
        limit: query.limit(),
        offset: query.offset(),
    };
    query.finish(found)
}

/// `confirm`.
pub(crate) fn confirm(text: Option<&str>) -> Result<Option<String>, Fault> {
    let mut query = Query::new(text);
    let confirm = query.take("confirm");
    query.finish(confirm)
}

/// `actor_id`, `action`, `target_kind`, `target`, `result`, `from`, `to`, `limit`, `offset`; `format=jsonl`
/// for all of them as lines.
pub(crate) fn audit(text: Option<&str>) -> Result<(AuditQuery, bool), Fault> {
    let mut query = Query::new(text);
    let actor = query.take("actor_id");
    let actor = actor.and_then(|id| match id.parse() {
        Ok(id) => Some(UserId(id)),
        Err(_) => {
            let expected = "integer";
            query.errors.add("actor_id", Reason::Type { expected });
            None
        }
    });
    let (from, to) = (query.moment("from"), query.moment("to"));
    let found = AuditQuery {
        actor,
        action: query.take("action"),
        target_kind: query.take("target_kind"),
        target: query.take("target"),
        project: None,
        refused: query
            .one_of("result", &["done", "refused"], |word| word)
            .map(|word| word == "refused"),
        from,
        to,
        below: None,
        limit: query.limit(),
        offset: query.offset(),
    };
    let lines = query.one_of("format", &["json", "jsonl"], |word| word) == Some("jsonl");
    query.finish((found, lines))
}

/// `type`, `unread`, `limit`, `offset`.
pub(crate) fn notifications(text: Option<&str>) -> Result<NotificationQuery, Fault> {
    let mut query = Query::new(text);
    let unread = query.one_of("unread", &["true", "false"], |word| word);
    let found = NotificationQuery {
        // Who asks is known later.
        reader: UserId(0),
        within: None,
        unread: unread.map(|word| word == "true"),
        severity: query.one_of("type", &Severity::ALL, Severity::as_str),
        limit: query.limit(),
        offset: query.offset(),
    };
    query.finish(found)
}

/// `level`, `process`, `target`, `text`, `field`, `from`, `to`, `limit`, `offset`.
pub(crate) fn logs(text: Option<&str>) -> Result<LogQuery, Fault> {
    let mut query = Query::new(text);
    let level = query.one_of("level", &LogLevel::ALL, LogLevel::as_str);
    let field = query.take("field").and_then(|pair| {
        let written = pair.split_once('=').map(|(name, value)| {
            // As it stands in JSON; a number or a word is written without quotes there.
            let plain = value.parse::<f64>().is_ok() || matches!(value, "true" | "false" | "null");
            let value = if plain {
                value.to_owned()
            } else {
                json!(value).to_string()
            };
            format!("{}:{value}", json!(name))
        });
        if written.is_none() {
            query.errors.add(
                "field",
                Reason::Type {
                    expected: "NAME=VALUE",
                },
            );
        }
        written
    });
    let (from, to) = (query.moment("from"), query.moment("to"));
    let found = LogQuery {
        level: level.unwrap_or(LogLevel::Trace),
        process: query.take("process"),
        target: query.take("target"),
        text: query.take("text"),
        field,
        from,
        to,
        limit: query.limit().unwrap_or(DEFAULT_LIMIT),
        offset: query.offset(),
    };
    query.finish(found)
}

/// Most points of one answer.
const MAX_POINTS: i64 = 2000;
/// As many points as there are when nobody says how far apart they lie.
const POINTS: i64 = 240;
const HOUR_MS: i64 = 3_600_000;

/// `from`, `to`, `step` of what is measured; `None` when the latest is asked for.
pub(crate) fn span(text: Option<&str>, now: Timestamp) -> Result<Option<Span>, Fault> {
    let mut query = Query::new(text);
    let is_asked = ["from", "to", "step"]
        .iter()
        .any(|name| query.map.get(*name).is_some_and(|value| !value.is_empty()));
    let (from, to) = (query.moment("from"), query.moment("to"));
    let to = to.unwrap_or(now);
    let from = from.unwrap_or(Timestamp(to.0.saturating_sub(HOUR_MS)));
    // Whole seconds, as they are told.
    let second = |at: Timestamp| at.0.div_euclid(1000);
    let length = second(to) - second(from);
    if length <= 0 {
        query.errors.add("to", Reason::NotAfter { field: "from" });
    }
    let least = u64::try_from(length / MAX_POINTS + 1).unwrap_or(1);
    let usual = u64::try_from(length / POINTS).unwrap_or(1);
    let step = query.number("step", usual.max(15).max(least), least, 604_800);
    let whole = |secs: i64| Timestamp(secs * 1000);
    let span = Span {
        from: whole(second(from)),
        to: whole(second(to)),
        step_secs: u32::try_from(step).unwrap_or(u32::MAX),
    };
    query.finish(is_asked.then_some(span))
}

/// `status`, `rule`, `server_id`, `limit`, `offset`.
pub(crate) fn alerts(text: Option<&str>) -> Result<AlertQuery, Fault> {
    let mut query = Query::new(text);
    let found = AlertQuery {
        state: query.one_of("status", &AlertState::ALL, AlertState::as_str),
        rule: query.one_of("rule", &AlertRule::ALL, AlertRule::as_str),
        server: query.server(),
        within: None,
        limit: query.limit(),
        offset: query.offset(),
    };
    query.finish(found)
}

/// `status`, `limit`, `offset` of what was sent to a channel.
pub(crate) fn deliveries(text: Option<&str>, channel: ChannelId) -> Result<DeliveryQuery, Fault> {
    let mut query = Query::new(text);
    let found = DeliveryQuery {
        channel,
        state: query.one_of("status", DeliveryState::ALL, DeliveryState::as_str),
        limit: query.limit(),
        offset: query.offset(),
    };
    query.finish(found)
}

/// What is asked of a secret.
pub(crate) enum SecretAsked {
    /// What it holds: the latest version, or that one.
    Value(Option<u64>),
    /// The names in a folder.
    Names,
    /// Its versions.
    Versions,
}

/// `version`, `list`, `versions`.
pub(crate) fn secret(text: Option<&str>) -> Result<SecretAsked, Fault> {
    let mut query = Query::new(text);
    let version = query.version();
    let mut is_asked = |name| query.one_of(name, &["true", "false"], |word| word) == Some("true");
    let (names, versions) = (is_asked("list"), is_asked("versions"));
    if names && (versions || version.is_some()) {
        let other = if versions { "versions" } else { "version" };
        query.errors.add("list", Reason::Excludes { other });
    } else if versions && version.is_some() {
        let other = "version";
        query.errors.add("versions", Reason::Excludes { other });
    }
    query.finish(match (names, versions) {
        (true, _) => SecretAsked::Names,
        (_, true) => SecretAsked::Versions,
        _ => SecretAsked::Value(version),
    })
}

/// `cas`: the version that is the latest now, 0 for none.
pub(crate) fn check_and_set(text: Option<&str>) -> Result<Option<u64>, Fault> {
    let mut query = Query::new(text);
    let expected = query.counted("cas", 0);
    query.finish(expected)
}

/// `version`, `all`: what is to be deleted.
pub(crate) fn deletion(text: Option<&str>) -> Result<Deletion, Fault> {
    let mut query = Query::new(text);
    let version = query.version();
    let all = query.one_of("all", &["true", "false"], |word| word) == Some("true");
    if all && version.is_some() {
        let other = "version";
        query.errors.add("all", Reason::Excludes { other });
    }
    query.finish(match version {
        Some(version) => Deletion::Version(version),
        None if all => Deletion::Everything,
        None => Deletion::Latest,
    })
}

/// `last_event_id`.
pub(crate) fn events(text: Option<&str>) -> Result<Option<String>, Fault> {
    let mut query = Query::new(text);
    let found = query.take("last_event_id");
    query.finish(found)
}

/// `dry_run`.
pub(crate) fn dry_run(text: Option<&str>) -> Result<bool, Fault> {
    let mut query = Query::new(text);
    let wanted = query.one_of("dry_run", &["true", "false"], |word| word) == Some("true");
    query.finish(wanted)
}

/// `limit`, `offset` of a task's log.
pub(crate) fn page(text: Option<&str>) -> Result<(usize, usize), Fault> {
    let mut query = Query::new(text);
    let limit = usize::try_from(query.limit().unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
    let offset = usize::try_from(query.offset()).unwrap_or(usize::MAX);
    query.finish((limit, offset))
}
