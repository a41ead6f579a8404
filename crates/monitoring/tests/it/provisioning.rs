//! What is brought in, what stays as people made it, and that nothing is written twice.

use axum::http::StatusCode;
use serde_json::{Value, json};
use tpm_monitoring::{Grafana, Outcome, Provisioned};

use crate::{fake::Fake, grafana, provision};

const PROMETHEUS: &str = "http://prometheus:9090";
const UIDS: [&str; 4] = ["tpm-fleet", "tpm-server", "tpm-role", "tpm-manager"];

async fn run(grafana: &Grafana) -> Provisioned {
    grafana.provision(&provision(PROMETHEUS)).await.unwrap()
}

fn all(outcome: Outcome) -> Provisioned {
    Provisioned {
        datasource: outcome,
        folder: outcome,
        dashboards: UIDS.map(|uid| (uid.to_owned(), outcome)).to_vec(),
    }
}

/// A Grafana in which everything is, as of now.
async fn provisioned() -> (Fake, Grafana) {
    let fake = Fake::start().await;
    let grafana = grafana(fake.url());
    assert_eq!(run(&grafana).await, all(Outcome::Created));
    fake.seen();
    (fake, grafana)
}

fn set_version(dashboard: &mut Value, version: u64) {
    dashboard["tags"] = json!(["tpm", format!("tpm-version:{version}")]);
}

#[tokio::test]
async fn the_first_time_everything_is_made() {
    let fake = Fake::start().await;
    let made = run(&grafana(fake.url())).await;
    assert_eq!(made, all(Outcome::Created));
    assert!(made.changed());
    assert_eq!(fake.writes().len(), 6);
    fake.with(|kept| {
        let source = &kept.datasources["tpm-prometheus"];
        assert_eq!(source["type"], "prometheus");
        assert_eq!(source["access"], "proxy");
        assert_eq!(source["url"], PROMETHEUS);
        assert_eq!(source["jsonData"]["timeInterval"], "15s");
        assert_eq!(kept.folders["tpm"]["title"], "Terraform Proxmox Manager");
        for uid in UIDS {
            let there = &kept.dashboards[uid];
            assert_eq!(there["meta"]["folderUid"], "tpm");
            assert!(there["message"].as_str().unwrap().contains("version 1"));
        }
    });
}

#[tokio::test]
async fn the_second_time_nothing_is_written() {
    let (fake, grafana) = provisioned().await;
    let again = run(&grafana).await;
    assert_eq!(again, all(Outcome::Unchanged));
    assert!(!again.changed());
    let seen = fake.seen();
    assert_eq!(seen.len(), 6);
    assert!(
        seen.iter().all(|request| request.starts_with("GET ")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn what_a_person_changed_stays_while_ours_is_not_newer() {
    let (fake, grafana) = provisioned().await;
    fake.edit("tpm-fleet", |dashboard| dashboard["title"] = "Mine".into());
    fake.edit("tpm-server", |dashboard| set_version(dashboard, 99));
    fake.edit("tpm-role", |dashboard| dashboard["tags"] = json!(["mine"]));
    assert_eq!(run(&grafana).await, all(Outcome::Unchanged));
    assert!(fake.writes().is_empty());
    fake.with(|kept| assert_eq!(kept.dashboards["tpm-fleet"]["dashboard"]["title"], "Mine"));
}

#[tokio::test]
async fn what_a_person_changed_is_replaced_by_something_newer() {
    let (fake, grafana) = provisioned().await;
    fake.edit("tpm-fleet", |dashboard| {
        dashboard["title"] = "Mine".into();
        set_version(dashboard, 0);
    });
    let done = run(&grafana).await;
    let mut wanted = all(Outcome::Unchanged);
    wanted.dashboards[0].1 = Outcome::Updated;
    assert_eq!(done, wanted);
    assert_eq!(fake.writes(), ["POST /api/dashboards/db"]);
    fake.with(|kept| {
        let there = &kept.dashboards["tpm-fleet"]["dashboard"];
        assert_eq!(there["title"], "TPM / Fleet");
        assert_eq!(
            there["version"], 3,
            "its history holds what the person made"
        );
    });
    assert_eq!(run(&grafana).await, all(Outcome::Unchanged));
}

#[tokio::test]
async fn what_is_missing_is_made_again() {
    let (fake, grafana) = provisioned().await;
    fake.with(|kept| kept.datasources.clear());
    let done = run(&grafana).await;
    assert_eq!(
        (done.datasource, done.folder),
        (Outcome::Created, Outcome::Unchanged)
    );
    assert_eq!(fake.writes(), ["POST /api/datasources"]);

    // Grafana deletes what is in a folder along with it.
    fake.with(|kept| {
        kept.folders.clear();
        kept.dashboards.clear();
    });
    let done = run(&grafana).await;
    assert_eq!(
        (done.datasource, done.folder),
        (Outcome::Unchanged, Outcome::Created)
    );
    assert_eq!(done.dashboards, all(Outcome::Created).dashboards);
    assert_eq!(run(&grafana).await, all(Outcome::Unchanged));
}

#[tokio::test]
async fn another_address_of_prometheus_is_written_and_the_rest_kept() {
    let (fake, grafana) = provisioned().await;
    fake.with(|kept| {
        let source = kept.datasources.get_mut("tpm-prometheus").unwrap();
        source["name"] = "Ours".into();
        source["isDefault"] = true.into();
        source["jsonData"]["timeInterval"] = "60s".into();
    });
    assert_eq!(run(&grafana).await, all(Outcome::Unchanged));
    // a slash at the end is no other address
    let same = provision("http://prometheus:9090/");
    assert_eq!(
        grafana.provision(&same).await.unwrap(),
        all(Outcome::Unchanged)
    );
    assert!(fake.writes().is_empty());

    let moved = provision("http://elsewhere:9090/prometheus/");
    assert_eq!(
        grafana.provision(&moved).await.unwrap().datasource,
        Outcome::Updated
    );
    assert_eq!(fake.writes(), ["PUT /api/datasources/uid/tpm-prometheus"]);
    fake.with(|kept| {
        let source = &kept.datasources["tpm-prometheus"];
        assert_eq!(source["url"], "http://elsewhere:9090/prometheus");
        assert_eq!(source["name"], "Ours");
        assert_eq!(source["isDefault"], true);
        assert_eq!(source["jsonData"]["timeInterval"], "60s");
    });
    assert_eq!(
        grafana.provision(&moved).await.unwrap(),
        all(Outcome::Unchanged)
    );
}

#[tokio::test]
async fn the_token_of_prometheus_is_sealed_in_grafana() {
    let (fake, grafana) = provisioned().await;
    fake.with(|kept| {
        let source = kept.datasources.get_mut("tpm-prometheus").unwrap();
        source["jsonData"]["httpHeaderName1"] = "X-Scope-OrgID".into();
    });
    let mut wanted = provision(PROMETHEUS);
    wanted.prometheus_token = Some("pr0metheus".to_owned().into());
    assert!(!format!("{wanted:?}").contains("pr0metheus"));
    assert_eq!(
        grafana.provision(&wanted).await.unwrap().datasource,
        Outcome::Updated
    );
    assert_eq!(
        grafana.provision(&wanted).await.unwrap(),
        all(Outcome::Unchanged)
    );
    fake.with(|kept| {
        let source = &kept.datasources["tpm-prometheus"];
        assert_eq!(source["jsonData"]["httpHeaderName1"], "X-Scope-OrgID");
        assert_eq!(source["jsonData"]["httpHeaderName2"], "Authorization");
        assert_eq!(
            kept.sealed["tpm-prometheus"]["httpHeaderValue2"],
            "Bearer pr0metheus"
        );
        assert!(!source.to_string().contains("pr0metheus"));
    });
}

#[tokio::test]
async fn what_grafana_reads_from_files_is_left_alone() {
    let (fake, grafana) = provisioned().await;
    fake.edit("tpm-role", |dashboard| set_version(dashboard, 0));
    fake.with(|kept| {
        let source = kept.datasources.get_mut("tpm-prometheus").unwrap();
        source["readOnly"] = true.into();
        source["url"] = "http://by-file:9090".into();
        kept.dashboards.get_mut("tpm-role").unwrap()["meta"]["provisioned"] = true.into();
    });
    assert_eq!(run(&grafana).await, all(Outcome::Unchanged));
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn a_name_that_is_taken_is_told() {
    let fake = Fake::start().await;
    fake.with(|kept| {
        let other = json!({ "uid": "other", "name": "Terraform Proxmox Manager", "version": 1 });
        kept.datasources.insert("other".to_owned(), other);
    });
    let error = grafana(fake.url())
        .provision(&provision(PROMETHEUS))
        .await
        .unwrap_err();
    assert_eq!((error.word(), error.status()), ("refused", Some(409)));
    assert_eq!(fake.writes(), ["POST /api/datasources"]);
}

#[tokio::test]
async fn workers_at_the_same_time_do_not_fail() {
    let fake = Fake::start().await;
    let (one, two) = (grafana(fake.url()), grafana(fake.url()));
    tokio::join!(run(&one), run(&two));
    fake.seen();
    assert_eq!(run(&one).await, all(Outcome::Unchanged));
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn the_fake_refuses_a_dashboard_that_was_changed_meanwhile() {
    let (fake, _) = provisioned().await;
    let stale = fake.with(|kept| kept.dashboards["tpm-fleet"]["dashboard"].clone());
    fake.edit("tpm-fleet", |dashboard| dashboard["title"] = "Mine".into());
    let answer = reqwest::Client::new()
        .post(fake.url().join("/api/dashboards/db").unwrap())
        .bearer_auth(crate::TOKEN)
        .json(&json!({ "dashboard": stale, "folderUid": "tpm", "overwrite": false }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::PRECONDITION_FAILED.as_u16());
    assert_eq!(
        answer.json::<Value>().await.unwrap()["status"],
        "version-mismatch"
    );
}
