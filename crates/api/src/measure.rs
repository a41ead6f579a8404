//! What is counted of requests. A label is one of a few words: never a path, nor anything else that was sent.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use std::time::Instant;

/// The route of what has none.
const UNMATCHED: &str = "unmatched";

/// A method that is known, or that it is another one.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// A request that is being answered, also when nobody waits for the answer any more.
struct InFlight;

impl InFlight {
    fn begin() -> Self {
        metrics::gauge!("tpm_http_requests_in_flight").increment(1);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!("tpm_http_requests_in_flight").decrement(1);
    }
}

/// Counts a request by its route's template, and takes the time until its answer begins.
pub(crate) async fn measure(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = word(request.method());
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or(UNMATCHED, MatchedPath::as_str).to_owned();
    let in_flight = InFlight::begin();
    let response = next.run(request).await;
    drop(in_flight);
    let status = response.status().as_u16().to_string();
    metrics::histogram!(
        "tpm_http_request_duration_seconds",
        "method" => method,
        "route" => route.clone(),
    )
    .record(begun.elapsed());
    metrics::counter!(
        "tpm_http_requests_total",
        "method" => method,
        "route" => route,
        "status" => status,
    )
    .increment(1);
    response
}
