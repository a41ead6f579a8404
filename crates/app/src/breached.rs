//! Passwords that stood in breaches often: the most common of Have I Been Pwned's list, at least eight letters long.
//!
//! `breached.txt` is the list that Django ships (`common-passwords.txt.gz` of 5.2, made by Royce Williams; BSD-3-Clause,
//! Copyright (c) Django Software Foundation and individual contributors), without what is too short for a password here.
//! The most common ones come first.

use std::collections::HashSet;
use std::sync::LazyLock;

/// One a line, in small letters.
const LIST: &str = include_str!("breached.txt");

static BREACHED: LazyLock<HashSet<&str>> = LazyLock::new(|| LIST.lines().collect());

/// Whether a password stood in breaches, however its letters are cased.
pub(crate) fn is_breached(password: &str) -> bool {
    BREACHED.contains(password) || BREACHED.contains(password.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::{PASSWORD, is_guessable};

    #[test]
    fn breached_and_common_passwords_are_refused() {
        let all: Vec<&str> = LIST.lines().collect();
        let (min, _) = PASSWORD;
        assert!(all.len() > 8000 && all.iter().all(|one| one.chars().count() >= min));
        for one in &all {
            assert!(is_guessable(one, &[]), "{one}");
        }
        // The estimate alone lets some of them pass.
        let estimated = |text: &&&str| zxcvbn::zxcvbn(text, &[]).score() >= zxcvbn::Score::Two;
        let passed: Vec<_> = all.iter().filter(estimated).collect();
        assert!(!passed.is_empty());
        assert!(is_guessable(&passed[0].to_uppercase(), &[]));
    }
}
