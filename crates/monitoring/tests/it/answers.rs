//! Whatever answers in Grafana's place: the right word, no panic, and no secret in any text.

use std::time::Duration;

use tpm_monitoring::{Grafana, GrafanaError};
use url::Url;

use crate::{
    TOKEN, provision,
    raw::{Doing, Raw, answer, nobody},
    settings,
};

const SHORT: Duration = Duration::from_millis(300);
const JSON: &str = "application/json";
const PROMETHEUS: &str = "http://prometheus:9090";

fn patient(url: Url) -> Grafana {
    asking(url, Duration::from_secs(30))
}

fn asking(url: Url, timeout: Duration) -> Grafana {
    let mut settings = settings(url, TOKEN);
    settings.timeout = timeout;
    Grafana::new(settings).unwrap()
}

/// What each of the three calls says.
async fn errors(grafana: &Grafana) -> [GrafanaError; 3] {
    [
        grafana.health().await.unwrap_err(),
        grafana.dashboards().await.unwrap_err(),
        grafana.provision(&provision(PROMETHEUS)).await.unwrap_err(),
    ]
}

async fn all_say(grafana: &Grafana, word: &str, status: Option<u16>, case: &str) {
    for error in errors(grafana).await {
        assert_eq!(
            (error.word(), error.status()),
            (word, status),
            "{case}: {error}"
        );
        for text in [
            error.to_string(),
            format!("{error:?}"),
            format!("{grafana:?}"),
        ] {
            assert!(
                !text.contains(TOKEN) && !text.contains("SECRET"),
                "{case}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    // each holds what it must not bring into a text
    let body = format!(r#"{{"message":"SECRET {TOKEN}","database":7,"uid":"SECRET"}}"#);
    let cut = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nContent-Length: 900\r\n\r\n{{\"database\":\"ok"
    );
    let cases = [
        (
            "HTML",
            answer("200 OK", "text/html", "<html>SECRET</html>"),
            "bad_answer",
            None,
        ),
        (
            "cut off JSON",
            answer("200 OK", JSON, r#"{"database":"ok","ver"#),
            "bad_answer",
            None,
        ),
        ("a cut off connection", Doing::Say(cut), "bad_answer", None),
        ("null", answer("200 OK", JSON, "null"), "bad_answer", None),
        ("nothing", answer("200 OK", JSON, ""), "bad_answer", None),
        (
            "no content",
            Doing::Say("HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
            "bad_answer",
            None,
        ),
        (
            "an empty object",
            answer("200 OK", JSON, "{}"),
            "bad_answer",
            None,
        ),
        ("a number", answer("200 OK", JSON, "17"), "bad_answer", None),
        (
            "a list of nothing known",
            answer("200 OK", JSON, "[null]"),
            "bad_answer",
            None,
        ),
        (
            "something else",
            answer("200 OK", JSON, &body),
            "bad_answer",
            None,
        ),
        (
            "depth",
            answer("200 OK", JSON, &"[".repeat(100_000)),
            "bad_answer",
            None,
        ),
        (
            "a control character",
            answer("200 OK", JSON, "{\"database\":\"\u{1}\"}"),
            "bad_answer",
            None,
        ),
        (
            "500",
            answer("500 Internal Server Error", JSON, &body),
            "refused",
            Some(500),
        ),
        (
            "502 with HTML",
            answer("502 Bad Gateway", "text/html", "<h1>SECRET"),
            "refused",
            Some(502),
        ),
        (
            "503 with HTML",
            answer("503 Unavailable", "text/html", "<h1>SECRET"),
            "refused",
            Some(503),
        ),
        (
            "401",
            answer("401 Unauthorized", JSON, &body),
            "refused",
            Some(401),
        ),
        (
            "403",
            answer("403 Forbidden", JSON, &body),
            "refused",
            Some(403),
        ),
        (
            "404 of another server",
            answer("404 Not Found", "text/html", "<h1>404"),
            "refused",
            Some(404),
        ),
        (
            "404 to everything",
            answer("404 Not Found", JSON, &body),
            "refused",
            Some(404),
        ),
        (
            "412 to everything",
            answer("412 Precondition Failed", JSON, &body),
            "refused",
            Some(412),
        ),
        ("a closed door", Doing::Drop, "unreachable", None),
        (
            "no HTTP",
            Doing::Say("SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
            "unreachable",
            None,
        ),
    ];
    for (case, doing, word, status) in cases {
        let raw = Raw::start(doing).await;
        all_say(&patient(raw.url()), word, status, case).await;
    }
}

#[tokio::test]
async fn nobody_there() {
    all_say(&patient(nobody().await), "unreachable", None, "nobody").await;
}

#[tokio::test]
async fn silence_ends_with_the_time_that_was_set() {
    let begun = format!("HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\nContent-Length: 900\r\n\r\n{{");
    for said in ["", "HTTP/1.1 200 OK\r\n", &begun] {
        let raw = Raw::start(Doing::Stall(said.to_owned())).await;
        all_say(&asking(raw.url(), SHORT), "timeout", None, said).await;
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_to_its_end() {
    let head = |status: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: {JSON}\r\nConnection: close\r\n\r\n[")
    };
    let piece = r#"{"uid":"a"},"#.repeat(5_000);
    let raw = Raw::start(Doing::Forever(head("200 OK"), piece.clone())).await;
    all_say(&patient(raw.url()), "bad_answer", None, "endless 200").await;
    let raw = Raw::start(Doing::Forever(head("500 Internal Server Error"), piece)).await;
    all_say(&patient(raw.url()), "refused", Some(500), "endless 500").await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Raw::start(answer("200 OK", JSON, r#"{"database":"ok"}"#)).await;
    let head = |status: &str| {
        let to = target.url();
        Doing::Say(format!(
            "HTTP/1.1 {status}\r\nLocation: {to}api/health\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    for (status, line) in [
        (302, "302 Found"),
        (307, "307 Temporary Redirect"),
        (308, "308 Permanent Redirect"),
    ] {
        let raw = Raw::start(head(line)).await;
        all_say(&patient(raw.url()), "refused", Some(status), line).await;
    }
    assert!(target.heads().is_empty(), "somebody went there");
}

#[tokio::test]
async fn a_page_that_comes_again_and_again_is_counted_once() {
    let hits: Vec<_> = (0..1000)
        .map(|number| format!(r#"{{"uid":"{number}"}}"#))
        .collect();
    let raw = Raw::start(answer("200 OK", JSON, &format!("[{}]", hits.join(",")))).await;
    assert_eq!(patient(raw.url()).dashboards().await, Ok(1000));
    assert_eq!(raw.heads().len(), 2);
}

#[tokio::test]
async fn a_version_is_only_shown_when_it_looks_like_one() {
    let long = "9".repeat(65);
    for (given, shown) in [
        (r#""11.6.0""#, Some("11.6.0")),
        (
            r#""12.0.0-security-01+pre""#,
            Some("12.0.0-security-01+pre"),
        ),
        (r#""""#, None),
        ("null", None),
        ("11", None),
        (r#""a\nb""#, None),
        (format!("\"{long}\"").as_str(), None),
    ] {
        let body = format!(r#"{{"database":"ok","version":{given}}}"#);
        let raw = Raw::start(answer("200 OK", JSON, &body)).await;
        let health = patient(raw.url()).health().await.unwrap();
        assert_eq!(health.version.as_deref(), shown, "{given}");
    }
}

#[tokio::test]
async fn the_token_goes_with_everything_but_health() {
    let raw = Raw::start(answer("200 OK", JSON, "{}")).await;
    errors(&patient(raw.url())).await;
    let heads = raw.heads();
    assert_eq!(heads.len(), 3);
    for head in heads {
        assert_eq!(
            !head.contains("/api/health"),
            head.contains(TOKEN),
            "{head}"
        );
    }
}

#[test]
fn settings_that_cannot_work_are_told() {
    for (url, token) in [
        ("ftp://grafana", TOKEN),
        ("mailto:grafana@example.com", TOKEN),
        ("http://admin:admin@grafana:3000", TOKEN),
        ("http://grafana:3000/?orgId=1", TOKEN),
        ("http://grafana:3000", "two\nlines"),
    ] {
        let error = Grafana::new(settings(url.parse().unwrap(), token)).unwrap_err();
        assert_eq!(error.word(), "bad_settings", "{url}");
        assert!(!error.to_string().contains(token) && !error.to_string().contains("admin"));
    }
}

#[test]
fn the_token_is_in_no_text() {
    let settings = settings("http://grafana:3000".parse().unwrap(), TOKEN);
    assert!(!format!("{settings:?}").contains(TOKEN));
    assert!(!format!("{:?}", Grafana::new(settings).unwrap()).contains(TOKEN));
}
