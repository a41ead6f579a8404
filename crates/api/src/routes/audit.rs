//! Who did what.

use crate::error::Fault;
use crate::extract::{Person, Reader};
use crate::router::ApiState;
use crate::routes::answered;
use crate::{query, wire};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use tpm_app::{App, AuditQuery, Ctx};

/// Rows of an export that are read at once.
const PORTION: u64 = 500;

pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
    RawQuery(text): RawQuery,
) -> Response {
    let result = async {
        let (query, lines) = query::audit(text.as_deref())?;
        let page = state.app.audit(&ctx, &query).await?;
        if lines {
            return Ok(exported(state.app.clone(), ctx, query));
        }
        let rows: Vec<Value> = page.items.iter().map(wire::audit).collect();
        Ok::<_, Fault>(Json(json!({ "audit": rows, "total": page.total })).into_response())
    };
    answered(lang, result.await)
}

/// Every row that was asked for, one JSON object a line, newest first. What is written meanwhile is left out.
fn exported(app: App, ctx: Ctx, query: AuditQuery) -> Response {
    let rows = stream::unfold(Some(query), move |query| {
        let (app, ctx) = (app.clone(), ctx.clone());
        async move {
            let mut query = query?;
            (query.limit, query.offset) = (Some(PORTION), 0);
            // An export that cannot go on ends in the middle of a line, so that nobody takes it for whole.
            let Ok(page) = app.audit(&ctx, &query).await else {
                return Some((Ok::<_, Infallible>(Bytes::from_static(b"{")), None));
            };
            let lines: String = page
                .items
                .iter()
                .map(|row| format!("{}\n", wire::audit(row)))
                .collect();
            let whole = page.items.len() as u64 == PORTION;
            query.below = page.items.last().map(|row| row.seq);
            Some((Ok(Bytes::from(lines)), whole.then_some(query)))
        }
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (headers, Body::from_stream(rows)).into_response()
}

pub(crate) async fn verify(
    State(state): State<ApiState>,
    Reader(lang): Reader,
    Person(ctx): Person,
) -> Response {
    let result = async {
        let found = state.app.verify_audit(&ctx).await?;
        let body = json!({
            "valid": found.broken_at.is_none(),
            "rows": found.rows,
            "broken_at": found.broken_at,
        });
        Ok::<_, Fault>(Json(body).into_response())
    };
    answered(lang, result.await)
}
