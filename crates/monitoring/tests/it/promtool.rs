//! Every question of every dashboard is one that Prometheus understands.

use std::{
    io::ErrorKind,
    process::{Command, Output},
};

use serde_json::json;
use tpm_monitoring::dashboard_queries;

/// Rules that record each expression. A YAML reader reads JSON.
fn rules(exprs: &[&str]) -> String {
    let numbered = exprs.iter().enumerate();
    let rules: Vec<_> = numbered
        .map(|(number, expr)| json!({ "record": format!("tpm:query:{number}"), "expr": expr }))
        .collect();
    json!({ "groups": [{ "name": "dashboards", "rules": rules }] }).to_string()
}

/// `None` where there is no promtool.
fn check(rules: &str) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, rules).unwrap();
    match Command::new("promtool")
        .args(["check", "rules"])
        .arg(file)
        .output()
    {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("promtool: {error}"),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "whoever runs the tests must see what was left out"
)]
fn skipped() {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "promtool is missing, and nothing may be left out"
    );
    eprintln!("SKIPPED: promtool is not installed, so that no query of the dashboards was checked");
}

#[test]
fn prometheus_understands_every_query() {
    let queries = dashboard_queries("1m", "web-1", "web");
    assert!(queries.len() > 70, "{}", queries.len());
    let exprs: Vec<_> = queries.iter().map(|query| query.expr.as_str()).collect();
    let Some(output) = check(&rules(&exprs)) else {
        return skipped();
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(
        found.contains(&format!("{} rules found", exprs.len())),
        "{found}"
    );
}

#[test]
fn a_query_that_is_none_would_be_noticed() {
    let Some(output) = check(&rules(&["sum(up)", "100 * (1 - up"])) else {
        return skipped();
    };
    assert!(!output.status.success());
}
