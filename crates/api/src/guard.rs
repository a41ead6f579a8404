//! Before a handler: a request that a browser sent from another origin may not change anything.

use crate::error::Fault;
use crate::extract::{bearer, language};
use crate::router::ApiState;
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tpm_messages::ApiError;

/// Browsers tell where a request comes from (`Origin`, `Sec-Fetch-Site`), other clients do not. A
/// mutating request that says so must come from our own page.
pub(crate) async fn own_origin(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    let mutating = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    // A browser does not send a key by itself.
    let by_key = bearer(request.headers()).is_some();
    if mutating && !by_key && !comes_from_us(&state, &request) {
        let lang = language(request.headers());
        return Fault::from(ApiError::ForeignOrigin).into_response_in(lang);
    }
    next.run(request).await
}

fn comes_from_us(state: &ApiState, request: &Request) -> bool {
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or("?"))
    };
    match (text(header::ORIGIN.as_str()), text("sec-fetch-site")) {
        (Some(origin), _) => state.settings.origins.iter().any(|own| own == origin),
        (None, Some(site)) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
    }
}
