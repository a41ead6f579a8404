//! Names, marks, permissions and keys of programs: what is read is written the same, and a key with another letter
//! is none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tpm_app::is_key;
use tpm_domain::{MARK_PREFIX, Mark, Permissions, ServerName, described_as, find_mark_line};

fuzz_target!(|text: &str| {
    if let Some(name) = ServerName::new(text) {
        assert_eq!(name.as_str(), text);
        assert_eq!(ServerName::try_from(name.to_string()), Ok(name));
    }
    if let Ok(mark) = Mark::parse(text) {
        assert_eq!(Mark::parse(&mark.to_string()), Ok(mark.clone()));
        assert!(mark.to_string().starts_with(&mark.signed_text()));
    }
    // People's words stay, the mark that stands on the guest stays, and no other comes in.
    let (said, found) = text.split_once('\u{1}').unwrap_or((text, text));
    let written = described_as(said, found);
    assert_eq!(find_mark_line(&written), find_mark_line(found));
    assert!(written.matches(MARK_PREFIX).count() <= text.matches(MARK_PREFIX).count());
    // Descriptions are kept without carriage returns, of which each writing would take one from a line's end.
    if !said.contains('\r') {
        assert_eq!(described_as(&written, found), written);
    }

    let words: Vec<&str> = text.split(' ').collect();
    if let Ok(set) = Permissions::parse(&words) {
        let written: Vec<String> = set.clone().into();
        assert_eq!(Permissions::parse(&written), Ok(set.clone()));
        assert!(set.within(&Permissions::all()));
    }
    if is_key(text) {
        assert!(text.starts_with("tpm_") && text.len() == 53);
        for at in 4..text.len() {
            let other = if text.as_bytes()[at] == b'x' {
                "y"
            } else {
                "x"
            };
            let mistyped = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(!is_key(&mistyped), "{mistyped}");
        }
    }
});
