//! Each dashboard is one that Grafana can show, and asks what it should.

use std::collections::BTreeSet;

use super::*;
use crate::grafana::datasource;

fn panels(board: &Board) -> Vec<&Value> {
    items(&board.json["panels"]).collect()
}

#[test]
fn every_file_is_a_dashboard() {
    let all = all();
    let uids: Vec<_> = all.iter().map(|board| board.uid.as_str()).collect();
    assert_eq!(uids, ["tpm-fleet", "tpm-server", "tpm-role", "tpm-manager"]);
    for board in &all {
        let json = &board.json;
        assert!(board.version >= 1, "{}", board.uid);
        assert_eq!(json["schemaVersion"], 39, "{}", board.uid);
        // Grafana gives its own.
        assert!(
            json["id"].is_null() && json["version"].is_null(),
            "{}",
            board.uid
        );
        assert!(
            is_english(&json["title"]) && is_korean(&json["description"]),
            "{}",
            board.uid
        );
    }
    let titles: BTreeSet<_> = all
        .iter()
        .map(|board| board.json["title"].as_str())
        .collect();
    assert_eq!(titles.len(), all.len());
}

#[test]
fn every_panel_can_be_read() {
    for board in all() {
        let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
        for panel in panels(&board) {
            let title = &panel["title"];
            let at = format!("{} {title}", board.uid);
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{at}: its id is given twice"
            );
            assert!(
                titles.insert(title.as_str().unwrap()),
                "{at}: its title is given twice"
            );
            assert!(
                is_english(title) && is_korean(&panel["description"]),
                "{at}"
            );
            let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap();
            let known = ["percent", "Bps", "bytes", "s", "short", "reqps", "ops"];
            assert!(known.contains(&unit), "{at}: {unit}");
            let percent = unit == "percent";
            for target in items(&panel["targets"]) {
                let expr = target["expr"].as_str().unwrap();
                assert_eq!(percent, expr.contains("100 * "), "{at}: {expr}");
            }
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for board in all() {
        let mut taken = BTreeSet::new();
        for panel in panels(&board) {
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            let (x, y, w, h) = (at("x"), at("y"), at("w"), at("h"));
            assert!(
                w > 0 && h > 0 && x + w <= 24,
                "{} {}",
                board.uid,
                panel["title"]
            );
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(
                    taken.insert(cell),
                    "{} {}: {cell:?}",
                    board.uid,
                    panel["title"]
                );
            }
        }
    }
}

#[test]
fn everything_asks_our_data_source() {
    for board in all() {
        let variables = items(&board.json["templating"]["list"]);
        let panels = items(&board.json["panels"]);
        let targets = items(&board.json["panels"]).flat_map(|panel| items(&panel["targets"]));
        for asker in variables.chain(panels).chain(targets) {
            assert_eq!(asker["datasource"]["type"], "prometheus", "{}", board.uid);
            assert_eq!(asker["datasource"]["uid"], datasource::UID, "{}", board.uid);
        }
    }
}

#[test]
fn every_panel_asks_something_each_target_once() {
    for board in all() {
        for panel in panels(&board) {
            let at = format!("{} {}", board.uid, panel["title"]);
            let targets: Vec<_> = items(&panel["targets"]).collect();
            assert!(!targets.is_empty(), "{at}");
            let refs: BTreeSet<_> = targets
                .iter()
                .map(|target| target["refId"].as_str().unwrap())
                .collect();
            assert_eq!(refs.len(), targets.len(), "{at}");
            for target in targets {
                assert!(!target["expr"].as_str().unwrap().trim().is_empty(), "{at}");
            }
        }
    }
}

#[test]
fn variables_are_declared_and_used() {
    for (uid, declared) in [
        ("tpm-fleet", &[][..]),
        ("tpm-server", &["server"]),
        ("tpm-role", &["role"]),
        ("tpm-manager", &[]),
    ] {
        let board = all().into_iter().find(|board| board.uid == uid).unwrap();
        let names: Vec<_> = items(&board.json["templating"]["list"])
            .map(|variable| variable["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, declared);
        for (panel, expr) in asked_by(&board.json) {
            let used = expr.replace("$__rate_interval", "");
            for name in declared {
                assert!(
                    used.contains(&format!("\"${name}\"")),
                    "{uid} {panel}: {expr}"
                );
            }
            assert_eq!(
                used.contains('$'),
                !declared.is_empty(),
                "{uid} {panel}: {expr}"
            );
        }
    }
}

#[test]
fn the_figures_mean_what_they_are_called() {
    let server = r#"server_name="$server""#;
    let network = |way: &str| {
        format!(
            r#"sum by (server_id, server_name) (rate(node_network_{way}_bytes_total{{{server},device!="lo"}}[$__rate_interval]))"#
        )
    };
    let meant = [
        (
            "CPU",
            format!(
                r#"100 * (1 - avg by (server_id, server_name) (rate(node_cpu_seconds_total{{{server},mode="idle"}}[$__rate_interval])))"#
            ),
        ),
        (
            "Memory",
            format!(
                "100 * (1 - node_memory_MemAvailable_bytes{{{server}}} / node_memory_MemTotal_bytes{{{server}}})"
            ),
        ),
        (
            "Disk",
            format!(
                r#"100 * (1 - node_filesystem_avail_bytes{{{server},mountpoint="/"}} / node_filesystem_size_bytes{{{server},mountpoint="/"}})"#
            ),
        ),
        ("Network", network("receive")),
        ("Network", network("transmit")),
    ];
    let everywhere = r#"server_id!="""#;
    let role = r#"server_id!="",role="$role""#;
    for board in all() {
        let (selector, suffix) = match board.uid.as_str() {
            "tpm-server" => (server, ""),
            "tpm-fleet" => (everywhere, " by server"),
            "tpm-role" => (role, " by server"),
            _ => continue,
        };
        let asked: Vec<_> = asked_by(&board.json).collect();
        for (panel, expr) in &meant {
            let expr = expr.replace(server, selector);
            let found = asked.iter().any(|(title, asked)| {
                let ours = *title == format!("{panel}{suffix}")
                    || (*panel == "Network" && title.ends_with(suffix));
                ours && *asked == expr
            });
            assert!(found, "{} {panel}: {expr}", board.uid);
        }
    }
}

#[test]
fn the_version_is_the_highest_number_of_its_tag() {
    let of = |tags: Value| version(&json!({ "tags": tags }));
    assert_eq!(of(json!(["tpm", "tpm-version:3"])), Some(3));
    assert_eq!(
        of(json!(["tpm-version:3", "tpm-version:12", "tpm-version:x"])),
        Some(12)
    );
    assert_eq!(
        of(json!(["tpm", "tpm-version:", "tpm-version:-1", 7, null])),
        None
    );
    assert_eq!(of(Value::Null), None);
}

fn is_english(text: &Value) -> bool {
    text.as_str()
        .is_some_and(|text| !text.is_empty() && text.is_ascii())
}

fn is_korean(text: &Value) -> bool {
    let hangul = |c: char| matches!(c, '\u{ac00}'..='\u{d7a3}');
    text.as_str().is_some_and(|text| text.chars().any(hangul))
}
