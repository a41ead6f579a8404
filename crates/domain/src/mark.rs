//! The mark: the line at the end of a guest's description that says which create made it.
//!
//! `tpm:v1 i=<instance> s=<server> o=<operation> v=<vmid> h=<hmac>`. The words are here; who can
//! sign and verify it holds a key and lives elsewhere.

use crate::{ServerId, Vmid};
use std::fmt;

/// What every mark begins with.
pub const MARK_PREFIX: &str = "tpm:v1 ";

/// A mark's fields, signature included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which installation of the service made the guest.
    pub instance: String,
    /// The server that the guest is.
    pub server: ServerId,
    /// The task that made it, as its public token.
    pub operation: String,
    /// The number it was made under: a mark copied to another guest does not fit it.
    pub vmid: Vmid,
    /// Hex signature over all of the above.
    pub signature: String,
}

/// A line that begins like a mark and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkParseError;

impl fmt::Display for MarkParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a mark of this service")
    }
}

impl std::error::Error for MarkParseError {}

impl Mark {
    /// The text the signature is made over.
    #[must_use]
    pub fn signed_text(&self) -> String {
        let Self {
            instance,
            server,
            operation,
            vmid,
            ..
        } = self;
        format!("{MARK_PREFIX}i={instance} s={server} o={operation} v={vmid}")
    }

    /// Reads a mark's line; the signature is *not* verified.
    ///
    /// # Errors
    /// When a field is missing, doubled, out of order or malformed.
    pub fn parse(line: &str) -> Result<Self, MarkParseError> {
        let mut words = line
            .trim()
            .strip_prefix(MARK_PREFIX)
            .ok_or(MarkParseError)?
            .split(' ');
        let mut field = |name: &str| {
            words
                .next()
                .and_then(|word| word.strip_prefix(name))
                .and_then(|rest| rest.strip_prefix('='))
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .ok_or(MarkParseError)
        };
        let mark = Self {
            instance: field("i")?,
            server: ServerId(field("s")?.parse().map_err(|_| MarkParseError)?),
            operation: field("o")?,
            vmid: field("v")?
                .parse()
                .ok()
                .and_then(Vmid::new)
                .ok_or(MarkParseError)?,
            signature: field("h")?,
        };
        if words.next().is_some() {
            Err(MarkParseError)
        } else {
            Ok(mark)
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} h={}", self.signed_text(), self.signature)
    }
}

/// The last line of a description that begins like a mark.
#[must_use]
pub fn find_mark_line(description: &str) -> Option<&str> {
    description
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| line.starts_with(MARK_PREFIX))
}

/// What people wrote, so that it is nothing but text where it is shown as Markdown: no HTML, no link, no picture. What is
/// escaped stays as it is.
fn as_text(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        let escaped = rest.next_if(|next| c == '\\' && next.is_ascii_punctuation());
        if matches!(c, '<' | '[' | '`') {
            text.push('\\');
        }
        text.push(c);
        text.extend(escaped);
    }
    text
}

/// A guest's description: what people wrote, and under it the mark that stands on the guest now. Proxmox VE shows it as
/// Markdown; what people wrote is text in it.
#[must_use]
pub fn described_as(text: &str, found: &str) -> String {
    let text: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().starts_with(MARK_PREFIX))
        .map(as_text)
        .collect();
    let text = text.join("\n");
    match (text.trim_end(), find_mark_line(found)) {
        (text, None) => text.to_owned(),
        ("", Some(mark)) => mark.to_owned(),
        (text, Some(mark)) => format!("{text}\n\n{mark}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_keeps_the_mark_and_takes_no_other() {
        let found = "old\ntpm:v1 i=1 s=2 o=t v=100 h=ab\n";
        let mark = "tpm:v1 i=1 s=2 o=t v=100 h=ab";
        assert_eq!(described_as("new", found), format!("new\n\n{mark}"));
        assert_eq!(described_as("", found), mark);
        assert_eq!(described_as("new\n", "no mark"), "new");
        let forged = described_as("a\n tpm:v1 i=9 s=9 o=x v=9 h=00\nb", found);
        assert_eq!(forged, format!("a\nb\n\n{mark}"));
    }

    #[test]
    fn what_people_write_is_no_markup() {
        for (said, written) in [
            ("web_1 (prod) *and* \\ more", "web_1 (prod) *and* \\ more"),
            ("<img src=x onerror=a()>", r"\<img src=x onerror=a()>"),
            ("![a](http://b) [c]: d", r"!\[a](http://b) \[c]: d"),
            ("`<b>`", r"\`\<b>\`"),
            // A backslash of theirs takes none of ours away.
            (r"\<b> \\<b> \\\[a](b)", r"\<b> \\\<b> \\\[a](b)"),
        ] {
            assert_eq!(described_as(said, ""), written);
            assert_eq!(described_as(written, ""), written);
        }
    }

    #[test]
    fn marks_round_trip_and_strangers_are_refused() {
        let mark = Mark {
            instance: "i1".into(),
            server: ServerId(7),
            operation: "task_x".into(),
            vmid: Vmid(10_001),
            signature: "ab12".into(),
        };
        let line = mark.to_string();
        assert_eq!(line, "tpm:v1 i=i1 s=7 o=task_x v=10001 h=ab12");
        assert_eq!(Mark::parse(&line), Ok(mark));
        let note = format!("a web server\n\n{line}\n");
        assert_eq!(find_mark_line(&note), Some(line.as_str()));
        for bad in [
            "",
            "tpm:v1 ",
            "tpm:v1 i=i1 s=x o=o v=10001 h=a",
            "tpm:v1 i=i1 s=7 o=o v=1 h=a",
            "tpm:v1 i=i1 s=7 o=o v=10001 h=",
            "tpm:v1 i=i1 s=7 o=o v=10001 h=a more",
            "tpm:v2 i=i1 s=7 o=o v=10001 h=a",
        ] {
            assert_eq!(Mark::parse(bad), Err(MarkParseError), "{bad}");
        }
    }
}
