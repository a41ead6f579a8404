//! The web page: its files, and the page itself for every address that is none of the API's.

use crate::error::Fault;
use crate::extract::language;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};
use tpm_messages::ApiError;
use tpm_web::File;

/// Everything from here, nothing from elsewhere, and no script but in files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// The names of files that may be kept for ever change with what they hold.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Others are asked for each time, and not sent again when they are the same.
const ASKED: &str = "no-cache";
/// Of what is smaller, nothing is saved.
const WORTH_IT: usize = 1024;

/// Packed files by their digests: each is packed once.
static PACKED: LazyLock<Mutex<BTreeMap<String, Bytes>>> = LazyLock::new(Mutex::default);

/// Paths below which nothing is the page's.
const OTHERS: [&str; 4] = ["/api", "/metrics", "/healthz", "/readyz"];

fn is_of_the_page(path: &str) -> bool {
    !OTHERS.iter().any(|other| {
        path.strip_prefix(other)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn has(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let mut all = headers.get_all(name).iter();
    all.any(|value| value.to_str().is_ok_and(|text| text.contains(word)))
}

/// Whatever no route is for.
pub(crate) async fn any(request: Request) -> Response {
    let (path, headers) = (request.uri().path(), request.headers());
    let no_route = || Fault::from(ApiError::NoRoute).into_response_in(language(headers));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads || !is_of_the_page(path) {
        return no_route();
    }
    let found = tpm_web::file(path.trim_start_matches('/'));
    let wants_page = path == "/" || has(headers, &header::ACCEPT, "text/html");
    let file = match found {
        Some(file) => file,
        None if !wants_page => return no_route(),
        None => match tpm_web::index() {
            Some(index) => index,
            None if path == "/" => return missing(headers),
            None => return no_route(),
        },
    };
    let mut response = sent(headers, file);
    if *request.method() == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

/// How to build the page.
fn missing(headers: &HeaderMap) -> Response {
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (plain, tpm_messages::page_missing(language(headers))).into_response()
}

fn sent(asked: &HeaderMap, file: File) -> Response {
    let tag = format!("\"{}\"", file.digest);
    let mut headers = HeaderMap::new();
    let kept = if file.is_named_by_digest {
        FOR_EVER
    } else {
        ASKED
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    if let Ok(value) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, value);
    }
    if has(asked, &header::IF_NONE_MATCH, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media));
    let text = file.media.starts_with("text/") || file.media.starts_with("application/");
    if text && file.bytes.len() > WORTH_IT && has(asked, &header::ACCEPT_ENCODING, "gzip") {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        return (headers, packed(&file)).into_response();
    }
    (headers, Bytes::from(file.bytes.into_owned())).into_response()
}

fn packed(file: &File) -> Bytes {
    let mut all = PACKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = all.get(&file.digest) {
        return bytes.clone();
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let done = encoder
        .write_all(&file.bytes)
        .and_then(|()| encoder.finish());
    let bytes = Bytes::from(done.unwrap_or_default());
    all.insert(file.digest.clone(), bytes.clone());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_keeps_its_paths() {
        for own in ["/api", "/api/x", "/healthz", "/metrics", "/readyz/x"] {
            assert!(!is_of_the_page(own), "{own}");
        }
        for page in ["/", "/servers", "/apis", "/assets/api.js", "/healthzz"] {
            assert!(is_of_the_page(page), "{page}");
        }
    }
}
