//! The languages, and the faults that only the HTTP side knows.

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// Korean, the default.
    #[default]
    Ko,
    /// English.
    En,
}

/// What stands in the page's place where it was not built.
#[must_use]
pub fn page_missing(lang: Lang) -> &'static str {
    lang.pick(
        "웹 화면이 아직 빌드되지 않았습니다. crates/web에서 `npm ci && npm run build`를 실행한 뒤 api를 다시 빌드하십시오 (Node 20 이상).\n",
        "The web page is not built: run `npm ci && npm run build` in crates/web, then build the api again (Node 20 or newer).\n",
    )
}

impl Lang {
    /// The language of that short name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ko" => Some(Self::Ko),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// The best language for an `Accept-Language` header: the one with the highest weight, the first of
    /// equals, Korean when neither is wanted.
    #[must_use]
    pub fn negotiate(header: Option<&str>) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for part in header.unwrap_or_default().split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let tag = pieces.next().unwrap_or_default().to_ascii_lowercase();
            let weight = pieces
                .find_map(|piece| piece.strip_prefix("q="))
                .map_or(1.0, |q| q.parse().unwrap_or(0.0));
            let lang = match tag.split('-').next() {
                Some("ko") => Self::Ko,
                Some("en") => Self::En,
                _ => continue,
            };
            if weight > 0.0 && best.is_none_or(|(known, _)| weight > known) {
                best = Some((weight, lang));
            }
        }
        best.map_or(Self::Ko, |(_, lang)| lang)
    }

    /// One of two texts.
    #[must_use]
    pub fn pick<'a>(self, ko: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Ko => ko,
            Self::En => en,
        }
    }
}

/// Faults of the transport, before any use case is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// No such path.
    NoRoute,
    /// The path does not know this method.
    MethodNotAllowed,
    /// The body is not JSON.
    BrokenJson,
    /// The body is not an object.
    NotAnObject,
    /// The body is too large.
    TooLarge,
    /// The body is not declared as JSON.
    WrongMediaType,
    /// The request was made by a page of another origin.
    ForeignOrigin,
    /// A session and a key at once.
    TwoCredentials,
    /// The `Idempotency-Key` header is not one.
    BadIdempotencyKey,
    /// A parameter in the path or query is wrong.
    BadParameter,
    /// The request took too long.
    Timeout,
    /// A fault of ours.
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages() {
        let check = |header: Option<&str>, expected| {
            assert_eq!(Lang::negotiate(header), expected, "{header:?}");
        };
        check(None, Lang::Ko);
        check(Some(""), Lang::Ko);
        check(Some("en"), Lang::En);
        check(Some("en-US,en;q=0.9,ko;q=0.8"), Lang::En);
        check(Some("ko-KR,ko;q=0.9,en-US;q=0.8"), Lang::Ko);
        check(Some("fr, en;q=0.3"), Lang::En);
        check(Some("en;q=0, ko;q=0.1"), Lang::Ko);
        check(Some("de"), Lang::Ko);
        check(Some("en;q=nonsense"), Lang::Ko);
    }
}
