//! What the sources of the web page may not say: texts of people are text, nothing of theirs is kept, nothing is evaluated,
//! nobody else is spoken to.

use crate::workspace;
use std::fs;
use std::path::{Path, PathBuf};

/// What would make a page of a text, run it, or keep it.
const FORBIDDEN: [&str; 20] = [
    "dangerouslySetInnerHTML",
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "createContextualFragment",
    "DOMParser",
    "srcDoc",
    "eval(",
    "new Function",
    "javascript:",
    "sessionStorage",
    "indexedDB",
    "document.cookie",
    "postMessage",
    "addEventListener('message'",
    "__proto__",
    "Object.assign(",
    "lodash",
    "jQuery",
];
/// The only thing that the page keeps: which language it is read in.
const KEPT: [&str; 2] = [
    "return localStorage.getItem(KEPT) === 'en' ? 'en' : 'ko';",
    "localStorage.setItem(KEPT, language);",
];

/// # Errors
/// When a source says what it may not.
pub(super) fn check() -> anyhow::Result<()> {
    let wrong = wrong(&sources()?);
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

fn sources() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let root = workspace::root().join("crates/web");
    let mut all = vec![(
        root.join("index.html"),
        fs::read_to_string(root.join("index.html"))?,
    )];
    walk(&root.join("src"), &mut all)?;
    Ok(all)
}

fn walk(folder: &Path, all: &mut Vec<(PathBuf, String)>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            walk(&path, all)?;
        } else if (name.ends_with(".ts") || name.ends_with(".tsx")) && !name.contains(".test.") {
            all.push((path.clone(), fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

fn wrong(sources: &[(PathBuf, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, text) in sources {
        for line in text.lines().map(str::trim) {
            let kept = line.contains("localStorage") && !KEPT.contains(&line);
            if kept || FORBIDDEN.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}: {line}", path.display()));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_may_not_say_is_found() {
        let text = "<p dangerouslySetInnerHTML={{ __html: name }} />\nlocalStorage.setItem('me', me);\n\
                    localStorage.setItem(KEPT, language);\nconst fine = name;\n";
        assert_eq!(wrong(&[(PathBuf::from("a.tsx"), text.to_owned())]).len(), 2);
    }

    #[test]
    fn the_page_shows_text_as_text_and_keeps_nothing() -> anyhow::Result<()> {
        let sources = sources()?;
        assert!(sources.len() > 100, "{}", sources.len());
        assert_eq!(wrong(&sources), Vec::<String>::new());
        Ok(())
    }
}
