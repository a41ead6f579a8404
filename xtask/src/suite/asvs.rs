//! The table of ASVS items: each stands there once, and the tests that it names are there.

use crate::workspace;
use anyhow::{Context as _, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = "crates/api/docs/asvs.md";
/// What is decided, with the places that make it so.
const DECISIONS: &str = "crates/api/docs/security.md";
/// Fewest items that are not open.
const LEAST: usize = 249;

/// # Errors
/// When an item stands twice or says nothing, a test is gone, or too much is open.
pub(super) fn check() -> anyhow::Result<Option<String>> {
    let root = workspace::root();
    let text = fs::read_to_string(root.join(TABLE)).with_context(|| TABLE.to_owned())?;
    let is_there = |test: &str| {
        let (module, name) = test.rsplit_once("::").unwrap_or_default();
        let texts = files(module).into_iter().map(|file| root.join(file));
        texts
            .filter_map(|file| fs::read_to_string(file).ok())
            .any(|text| is_test(&text, name) || is_test_of_the_page(&text, module, name))
    };
    let ([shown, not_ours, open], mut wrong) = read(&text, is_there);
    if shown + not_ours < LEAST {
        wrong.push(format!("{open} are open, and fewer than {LEAST} are not"));
    }
    if !wrong.is_empty() {
        bail!("{TABLE}: {}", wrong.join("; "));
    }
    let gone = gone(&root)?;
    if !gone.is_empty() {
        bail!("{DECISIONS}: {}", gone.join("; "));
    }
    Ok(Some(format!(
        "{shown} items are shown by tests, {not_ours} do not apply, {open} are open"
    )))
}

/// What the document of decisions says stands in a file, and does not.
fn gone(root: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(root.join(DECISIONS)).with_context(|| DECISIONS.to_owned())?;
    let said = places(&text);
    if said.is_empty() {
        bail!("{DECISIONS} names no place");
    }
    let is_gone = |(file, words): &(&str, &str)| {
        !fs::read_to_string(root.join(file)).is_ok_and(|text| text.contains(words))
    };
    let gone = said.into_iter().filter(is_gone);
    Ok(gone
        .map(|(file, words)| format!("{file} does not say {words}"))
        .collect())
}

/// The places of its tables: the last cells that are a file and words in it, each quoted.
fn places(text: &str) -> Vec<(&str, &str)> {
    let rows = text.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|line| {
        let cell = line.trim_matches('|').rsplit('|').next()?.trim();
        let (file, words) = cell.split_once("`: `")?;
        Some((file.strip_prefix('`')?, words.strip_suffix('`')?))
    })
    .collect()
}

/// How many rows (`| V1.2.3 | level | what | shown by |`) are shown, do not apply, are open; and what is wrong.
fn read(text: &str, is_there: impl Fn(&str) -> bool) -> ([usize; 3], Vec<String>) {
    let (mut counts, mut wrong, mut seen) = ([0; 3], Vec::new(), BTreeSet::new());
    for line in text.lines().filter(|line| line.starts_with("| V")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[item, _, _, by] = cells.as_slice() else {
            wrong.push(format!("not four cells: {line}"));
            continue;
        };
        if !seen.insert(item) {
            wrong.push(format!("{item} stands twice"));
        }
        // Every other part is quoted.
        let tests = by.split('`').skip(1).step_by(2);
        let tests: Vec<&str> = tests.filter(|quoted| quoted.contains("::")).collect();
        let gone = tests.iter().filter(|test| !is_there(test));
        wrong.extend(gone.map(|test| format!("{item}: there is no test {test}")));
        let kind = match by {
            by if by.starts_with("open: ") => 2,
            by if by.starts_with("does not apply: ") => 1,
            _ => 0,
        };
        if kind == 0 && tests.is_empty() {
            wrong.push(format!("{item} is neither shown nor open"));
        }
        counts[kind] += 1;
    }
    (counts, wrong)
}

/// Whether a function of that name is run as a test: its attributes, right before it, say so and let none off.
fn is_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let heads = [format!("fn {name}("), format!("async fn {name}(")];
    let begins = |line: &&str| heads.iter().any(|head| line.starts_with(head));
    lines.iter().enumerate().any(|(n, line)| {
        let before = lines[..n].iter().rev();
        let attributes: Vec<_> = before.take_while(|line| line.starts_with('#')).collect();
        begins(line)
            && attributes.iter().any(|line| line.contains("test"))
            && !attributes.iter().any(|line| line.contains("ignore"))
    })
}

/// Whether a sentence is run as a test of the page.
fn is_test_of_the_page(text: &str, module: &str, name: &str) -> bool {
    let begins = format!("it('{name}',");
    module.starts_with("web::") && text.lines().any(|line| line.trim().starts_with(&begins))
}

/// The files that a module of tests may stand in; one of its own, or the file it is about.
fn files(module: &str) -> Vec<PathBuf> {
    let (root, path) = module.split_once("::").unwrap_or((module, ""));
    if root == "web" {
        let file = format!("crates/web/src/{}.test", path.replace("::", "/"));
        return [".tsx", ".ts"]
            .map(|end| PathBuf::from(format!("{file}{end}")))
            .into();
    }
    let folder = match root.strip_prefix("tpm_") {
        Some(name) => format!("crates/{}/", name.replace('_', "-")),
        None if root == "xtask" => "xtask/".to_owned(),
        None => String::new(),
    };
    // Those of `it` stand in a folder of that name, in a crate or beside all.
    let module = if folder.is_empty() { module } else { path };
    let is_it = module.split("::").next() == Some("it");
    let folder = Path::new(&folder).join(if is_it { "tests" } else { "src" });
    let about = module.strip_suffix("::tests").unwrap_or(module);
    let ends = [".rs", "/mod.rs"];
    let both = [module, about].map(|module| module.replace("::", "/"));
    let of = |path: &String| ends.map(|end| folder.join(format!("{path}{end}")));
    both.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_and_what_is_wrong_is_told() {
        let text = "| item | level | what | shown by |\n| V1.1.1 | 2 | a | `it::api::there` |\n\
                    | V1.1.2 | 2 | b | open: nothing (`it::gone`, `a_word`) |\n| V1.1.1 | 1 | c | does not apply: no. |\n\
                    | V1.1.3 | 1 | d | yes |\n| V1.1.4 | 1 |\n";
        let (counts, wrong) = read(text, |test| test.ends_with("there"));
        assert_eq!(counts, [2, 1, 1]);
        let told = [
            "V1.1.2: there is no test it::gone",
            "V1.1.1 stands twice",
            "V1.1.3 is neither shown nor open",
            "not four cells: | V1.1.4 | 1 |",
        ];
        assert_eq!(wrong, told);
    }

    #[test]
    fn the_decisions_stand_in_the_code() -> anyhow::Result<()> {
        let text = "| a | b | where |\n|---|---|---|\n| c | 5 | `a/b.rs`: `x: u32 = 5;` |\n| d | 6 | nowhere |\n";
        assert_eq!(places(text), [("a/b.rs", "x: u32 = 5;")]);
        let text = fs::read_to_string(workspace::root().join(DECISIONS))?;
        assert!(places(&text).len() > 20);
        assert_eq!(gone(&workspace::root())?, Vec::<String>::new());
        Ok(())
    }

    #[test]
    fn only_what_is_run_counts() {
        let text = "    #[test]\n    fn one() {\n\n#[tokio::test(flavor = \"x\")]\nasync fn two() {\n\
                    fn three() {\n#[test]\n#[ignore]\nfn four() {\n";
        let found = ["one", "two", "three", "four", "five"].map(|name| is_test(text, name));
        assert_eq!(found, [true, true, false, false, false]);
    }

    #[test]
    fn tests_of_the_page_are_sentences() {
        let text = "  it('does this', () => {\n  it.skip('does that', async () => {\n  // it('does more',\n";
        let found = ["does this", "does that", "does more"];
        let found = found.map(|name| is_test_of_the_page(text, "web::session::LoginForm", name));
        assert_eq!(found, [true, false, false]);
        assert!(!is_test_of_the_page(text, "it::page", "does this"));
    }

    #[test]
    fn paths_lead_to_files() {
        for (module, file) in [
            (
                "web::session::LoginForm",
                "crates/web/src/session/LoginForm.test.tsx",
            ),
            ("it::access::keys", "tests/it/access/keys.rs"),
            ("it::store", "tests/it/store/mod.rs"),
            ("tpm_pve_client::it::x", "crates/pve-client/tests/it/x.rs"),
            ("tpm_api::openapi::tests", "crates/api/src/openapi/tests.rs"),
            ("tpm_app::user::tests", "crates/app/src/user.rs"),
            ("xtask::layers::edges::tests", "xtask/src/layers/edges.rs"),
        ] {
            assert!(files(module).contains(&PathBuf::from(file)), "{module}");
        }
    }
}
