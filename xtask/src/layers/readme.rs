//! `crates/README.md` against the table: the same crates, on the same floors, knowing the same crates.

use super::{Knows, Layer, ROOMS, Room, find};
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a row of the document says: ``| floor | `crate` | responsibility | `known`, … |``.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    floor: String,
    name: String,
    knows: BTreeSet<String>,
}

/// Where the document and the table differ.
///
/// # Errors
/// When the document cannot be read.
pub(super) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let file = root.join("crates/README.md");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(differences(&text))
}

fn differences(text: &str) -> Vec<String> {
    let rows: Vec<Row> = text.lines().filter_map(row).collect();
    let mut wrong = Vec::new();
    for room in ROOMS {
        let wanted = expected(room);
        match rows.iter().find(|row| row.name == room.name) {
            None => wrong.push(format!("crates/README.md: no row for `{}`", room.name)),
            Some(row) if *row != wanted => wrong.push(format!(
                "crates/README.md: `{}` stands on {} and knows {:?}; the table says {} and {:?}",
                room.name, row.floor, row.knows, wanted.floor, wanted.knows
            )),
            Some(_) => {}
        }
    }
    let strangers = rows.iter().filter(|row| find(&row.name).is_none());
    wrong.extend(strangers.map(|row| format!("crates/README.md: `{}` is no crate", row.name)));
    wrong
}

fn expected(room: &Room) -> Row {
    let floor = match room.layer {
        Layer::Floor(floor) => floor.to_string(),
        Layer::Beside => "–".to_owned(),
    };
    let knows = match room.knows {
        Knows::Only(known) => known.iter().map(ToString::to_string).collect(),
        Knows::Everything => BTreeSet::from(["everything".to_owned()]),
    };
    Row {
        floor,
        name: room.name.to_owned(),
        knows,
    }
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let &[floor, name, _, knows, ""] = cells.as_slice() else {
        return None;
    };
    if floor != "–" && floor.parse::<u8>().is_err() {
        return None;
    }
    let name = name.strip_prefix('`')?.strip_suffix('`')?;
    let knows = knows
        .split(',')
        .map(|word| word.trim().trim_matches('`'))
        .filter(|word| !word.is_empty() && *word != "–")
        .map(str::to_owned)
        .collect();
    Some(Row {
        floor: floor.to_owned(),
        name: name.to_owned(),
        knows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> String {
        let line = |room: &Room| {
            let row = expected(room);
            let knows: Vec<String> = row.knows.iter().map(|name| format!("`{name}`")).collect();
            format!(
                "| {} | `{}` | something | {} |\n",
                row.floor,
                row.name,
                knows.join(", ")
            )
        };
        ROOMS.iter().map(line).collect()
    }

    #[test]
    fn the_same_table_is_fine() {
        assert_eq!(differences(&document()), [""; 0]);
    }

    #[test]
    fn a_missing_and_a_different_row_are_found() {
        let without: String = document()
            .lines()
            .filter(|line| !line.contains("`jobs` |"))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            differences(&without).contains(&"crates/README.md: no row for `jobs`".to_owned()),
            "{without}"
        );
        let other = document().replace("| 3 | `app`", "| 2 | `app`");
        assert_eq!(differences(&other).len(), 1);
        let more = document() + "| 1 | `utils` | everything else | – |\n";
        assert_eq!(
            differences(&more),
            ["crates/README.md: `utils` is no crate"]
        );
    }
}
