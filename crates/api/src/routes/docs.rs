//! The OpenAPI document, and a page that shows it. Everything the page needs is served here: it asks no
//! other host, and its policy forbids it to.

use crate::error::Fault;
use crate::extract::{Path, Reader};
use crate::openapi;
use crate::routes::answered;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, LazyLock};
use tpm_messages::ApiError;
use utoipa_swagger_ui::Config;

const POSTMAN: &str = include_str!("../../docs/postman_collection.json");
const PAGE: &str = include_str!("../../docs/index.html");
const START: &str = include_str!("../../docs/start.js");

/// Only from here; the page's own styles and pictures stand inside it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Asked for again only when the program is another one.
const KEEP: (HeaderName, &str) = (header::CACHE_CONTROL, "private, max-age=3600");

/// What Swagger UI is served of; the rest of it is not used.
const FILES: [(&str, &str); 2] = [
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
];

pub(crate) async fn document() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, openapi::DOCUMENT.as_str()).into_response()
}

pub(crate) async fn postman() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, POSTMAN).into_response()
}

pub(crate) async fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, PAGE).into_response()
}

/// A file of Swagger UI.
fn of_swagger_ui(name: &str) -> Option<Vec<u8>> {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(Arc::default);
    let file = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG));
    Some(file.ok()??.bytes.into_owned())
}

pub(crate) async fn file(Reader(lang): Reader, Path(name): Path<String>) -> Response {
    let found = if name == "start.js" {
        let headers = [
            (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
            KEEP,
        ];
        Some((headers, START).into_response())
    } else {
        FILES.iter().find(|file| file.0 == name).and_then(|file| {
            let headers = [(header::CONTENT_TYPE, file.1), KEEP];
            Some((headers, of_swagger_ui(&name)?).into_response())
        })
    };
    answered(lang, found.ok_or_else(|| Fault::from(ApiError::NoRoute)))
}
