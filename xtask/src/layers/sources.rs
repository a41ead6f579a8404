//! The sources against the invariants that a manifest cannot show.

use super::edges::Crate;
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that is wrong, as `file:line: what`.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn check(root: &Path, crates: &[Crate]) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for one in crates {
        let manifest = one.folder.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)
            .with_context(|| format!("cannot read {}", manifest.display()))?;
        if !text.contains("[lints]\nworkspace = true") {
            wrong.push(format!("{}: does not take the workspace's lints", one.name));
        }
        let mut files = Vec::new();
        rust_files(&one.folder, &mut files)?;
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let shown = file
                .strip_prefix(root)
                .unwrap_or(&file)
                .display()
                .to_string();
            let tests = file
                .strip_prefix(&one.folder)
                .is_ok_and(|path| !path.starts_with("src"));
            wrong.extend(check_file(&one.name, tests, &shown, &text));
        }
    }
    Ok(wrong)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            // What a peer was built into by hand.
            if path.ends_with("target") {
                continue;
            }
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn check_file(name: &str, tests: bool, shown: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !text.starts_with("//!") {
        wrong.push(format!(
            "{shown}:1: does not open with what it is for (//!)"
        ));
    }
    let mut in_tests = tests;
    for (number, line) in text.lines().enumerate() {
        // Unit tests stand at the end of a file.
        in_tests |= line.trim_start().starts_with("#[cfg(test)]");
        let mut say = |what: &str| wrong.push(format!("{shown}:{}: {what}", number + 1));
        let code = line.split("//").next().unwrap_or_default();
        let words: Vec<&str> = code
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .collect();
        if words.contains(&UNSAFE) && !line.contains('"') {
            say("unsafe code");
        }
        if in_tests {
            continue;
        }
        if name != "messages" && line.chars().any(is_hangul) {
            say("sentences for people stand in crates/messages");
        }
        if !matches!(name, "pve-client" | "pve-simulator") && code.contains(UPID) {
            say("only pve-client reads Proxmox's task ids");
        }
    }
    wrong
}

/// Put together here so that this file does not find itself.
const UPID: &str = concat!("\"UP", "ID:");
const UNSAFE: &str = concat!("un", "safe");

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_app(text: &str) -> Vec<String> {
        check_file("app", false, "a.rs", text)
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        assert!(in_app("//! Servers.\n").is_empty());
        assert_eq!(
            in_app("use x;\n"),
            ["a.rs:1: does not open with what it is for (//!)"]
        );
    }

    #[test]
    fn sentences_have_one_room() {
        let text = "//! A.\nlet a = \"\u{c11c}\u{bc84}\";\n";
        assert_eq!(
            in_app(text),
            ["a.rs:2: sentences for people stand in crates/messages"]
        );
        assert!(check_file("messages", false, "a.rs", text).is_empty());
        assert!(check_file("app", true, "a.rs", text).is_empty());
        assert!(in_app("//! A.\n#[cfg(test)]\nmod tests {\n\"\u{c11c}\"\n}\n").is_empty());
    }

    #[test]
    fn task_ids_have_one_reader() {
        let text = format!("//! A.\nid.strip_prefix({UPID}\")\n");
        assert_eq!(
            in_app(&text),
            ["a.rs:2: only pve-client reads Proxmox's task ids"]
        );
        assert!(check_file("pve-client", false, "a.rs", &text).is_empty());
    }

    #[test]
    fn nothing_escapes_the_compiler() {
        let text = format!("//! A.\n{UNSAFE} {{ }}\n// {UNSAFE} is only a word here\n");
        assert_eq!(in_app(&text), ["a.rs:2: unsafe code"]);
    }
}
