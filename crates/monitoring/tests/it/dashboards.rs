//! How Grafana is doing, and how many dashboards it has.

use serde_json::json;
use tpm_monitoring::{Grafana, GrafanaHealth};

use crate::{TOKEN, fake::Fake, grafana, provision, settings};

#[tokio::test]
async fn health_is_told_without_a_token() {
    let fake = Fake::start().await;
    for token in ["", TOKEN, "wrong"] {
        let grafana = Grafana::new(settings(fake.url(), token)).unwrap();
        let health = grafana.health().await.unwrap();
        let version = Some("11.6.0".to_owned());
        assert_eq!(
            health,
            GrafanaHealth {
                version,
                database_ok: true
            }
        );
    }
}

#[tokio::test]
async fn a_database_that_fails_is_an_answer() {
    let fake = Fake::start().await;
    fake.with(|kept| kept.database_failing = true);
    let health = grafana(fake.url()).health().await.unwrap();
    assert!(!health.database_ok);
}

#[tokio::test]
async fn without_a_token_nothing_else_is_asked() {
    let fake = Fake::start().await;
    let grafana = Grafana::new(settings(fake.url(), "")).unwrap();
    let counted = grafana.dashboards().await.unwrap_err();
    let provisioned = grafana
        .provision(&provision("http://prometheus:9090"))
        .await
        .unwrap_err();
    assert_eq!(
        (counted.word(), provisioned.word()),
        ("no_token", "no_token")
    );
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let fake = Fake::start().await;
    let grafana = Grafana::new(settings(fake.url(), "wrong")).unwrap();
    let counted = grafana.dashboards().await.unwrap_err();
    let provisioned = grafana
        .provision(&provision("http://prometheus:9090"))
        .await
        .unwrap_err();
    assert_eq!(
        (counted.status(), provisioned.status()),
        (Some(401), Some(401))
    );
    assert_eq!((counted.word(), provisioned.word()), ("refused", "refused"));
    assert!(fake.writes().is_empty());
}

#[tokio::test]
async fn dashboards_are_counted_over_all_pages() {
    let fake = Fake::start().await;
    for (count, requests) in [(0, 1), (7, 1), (999, 1), (1000, 2), (2345, 3)] {
        fake.with(|kept| {
            kept.dashboards = (0..count)
                .map(|number| {
                    (
                        format!("{number:05}"),
                        json!({ "dashboard": { "title": "t" } }),
                    )
                })
                .collect();
        });
        assert_eq!(grafana(fake.url()).dashboards().await, Ok(count));
        assert_eq!(fake.seen().len(), requests);
    }
}

#[tokio::test]
async fn a_path_in_front_of_the_api_is_kept() {
    let fake = Fake::start().await;
    for path in ["/behind/a/path", "/behind/a/path/"] {
        let url = fake.url().join(path).unwrap();
        let grafana = grafana(url);
        assert!(grafana.health().await.unwrap().database_ok);
        assert_eq!(grafana.dashboards().await, Ok(0));
    }
}
