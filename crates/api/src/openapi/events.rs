//! Live events in the document.

use super::operation::{Op, query_text};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

const ABOUT: &str = "\
Server-sent events of what changes, for who may see it. Each has an `id`, an `event` and `data`, which is JSON:

- `open`: once, at the beginning; from its `id` on nothing is left out.
- `server`: as in the list of servers. `server_deleted`: its `id`.
- `task`: as in the list of tasks, also tasks of a bulk.
- `notification`: as in the list of notifications, without `read` and `read_at`.
- `resync`: something was left out, because the reader was too slow or away for too long. Read everything anew \
  that is shown; the events after it go on without a gap.

`data` is the thing as it stood when it was told, so the same may be told twice. Who comes back with the `id` of \
the last event in `Last-Event-ID` goes on after it, at any process of the service, for a day; browsers do that by \
themselves. A comment comes every ten seconds. The answer ends when its reader may not read it any more.";

pub(super) fn operations() -> Vec<Op> {
    let text = Schema::from(
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "Lines as `id: 0-17`, `event: task`, `data: {…}`, an empty one after each event.",
            )),
    );
    vec![
        Op::get("/api/events", "followEvents", "Follow what changes")
            .about(ABOUT)
            .queries([query_text(
                "last_event_id",
                "As the header `Last-Event-ID`, for who cannot set it.",
                "0-17",
            )])
            .answers_with(
                200,
                "Events, for as long as they are read.",
                [("text/event-stream", text)],
            ),
    ]
}
