//! The built page. It knows no HTTP: it has files, and what each is.

use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;

#[derive(RustEmbed)]
#[folder = "dist/"]
struct Dist;

/// A file of the page.
#[derive(Clone, Debug)]
pub struct File {
    /// What it holds.
    pub bytes: Cow<'static, [u8]>,
    /// What it is: `text/html; charset=utf-8`.
    pub media: &'static str,
    /// The digest of what it holds.
    pub digest: String,
    /// Whether its name changes with what it holds, so that it may be kept for ever.
    pub is_named_by_digest: bool,
}

/// What a file of that name is.
fn media(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The file of that path below the page's root; none where the page was not built.
#[must_use]
pub fn file(path: &str) -> Option<File> {
    let EmbeddedFile { data, metadata } = Dist::get(path)?;
    Some(File {
        bytes: data,
        media: media(path),
        digest: hex::encode(&metadata.sha256_hash()[..16]),
        is_named_by_digest: path.starts_with("assets/"),
    })
}

/// The page itself, whatever its address is: it finds out by itself what to show.
#[must_use]
pub fn index() -> Option<File> {
    file("index.html")
}
