//! Connections that die, endpoints that fall away, answers that never come.

use std::time::Duration;

use tpm_pve_client::{
    Access, ClientConfig, ConfigUpdate, Error, ErrorClass, Origin, TlsTrust, Version,
};

use crate::{
    client, config,
    server::{Answer, Server, bare, data, nobody, refused},
    token,
};

const VERSION: &str = r#"{"version":"9.2.11","release":"9.2"}"#;
const UPID: &str = r#""UPID:pve:00005F56:00041310:6B03D892:qmstart:100:tester@pve!lab:""#;

fn version(result: Result<Version, Error>) -> String {
    result.unwrap().version
}

#[tokio::test]
async fn a_read_survives_a_connection_that_died_while_idle() {
    // each connection is good for one request; the next one on it gets no answer
    let used = std::sync::Mutex::new(std::collections::HashSet::new());
    let server = Server::start(move |seen| {
        if used.lock().unwrap().insert(seen.connection) {
            data(VERSION)
        } else {
            Answer::Drop
        }
    })
    .await;
    let client = client(&[&server]);
    for _ in 0..3 {
        assert_eq!(version(client.version().await), "9.2.11");
    }
    let connections: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(
        connections,
        [0, 0, 1, 2],
        "the first is reused once, then nothing is pooled"
    );
}

#[tokio::test]
async fn a_read_that_dies_twice_is_reported() {
    let server = Server::start(|_| Answer::Drop).await;
    let error = client(&[&server]).version().await.unwrap_err();
    assert_eq!(error.origin(), Origin::Transport(Access::Read));
    assert_eq!(error.class(), ErrorClass::NotSent);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_no_trouble() {
    let server = Server::start(|_| match data(VERSION) {
        Answer::Keep(bytes) => Answer::Close(bytes),
        other => other,
    })
    .await;
    let client = client(&[&server]);
    for _ in 0..5 {
        assert_eq!(version(client.version().await), "9.2.11");
    }
}

#[tokio::test]
async fn a_write_never_rides_on_a_used_connection() {
    let server =
        Server::start(|seen| data(if seen.method == "GET" { VERSION } else { UPID })).await;
    let client = client(&[&server]);
    client.version().await.unwrap();
    client.start("pve", 100).await.unwrap();
    client.start("pve", 100).await.unwrap();
    let connections: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1, 2]);
}

#[tokio::test]
async fn a_write_without_an_answer_is_ambiguous_and_not_repeated() {
    let first = Server::start(|_| Answer::Drop).await;
    let second = Server::start(|_| data(UPID)).await;
    let error = client(&[&first, &second])
        .start("pve", 100)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Ambiguous);
    assert_eq!(error.origin(), Origin::Transport(Access::Write));
    assert_eq!((first.seen().len(), second.seen().len()), (1, 0));
}

#[tokio::test]
async fn an_answer_cut_short_is_ambiguous_for_a_write() {
    let server = Server::start(|_| {
        Answer::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"data\":\"UPID:".to_vec())
    })
    .await;
    let error = client(&[&server]).start("pve", 100).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Ambiguous);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_lost_task_id_is_ambiguous() {
    for answer in ["null", "7", r#""OK""#, r#""UPID:pve:""#] {
        let server = Server::start(move |_| data(answer)).await;
        let error = client(&[&server]).start("pve", 100).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Ambiguous, "{answer}");
    }
}

#[tokio::test]
async fn waiting_has_an_end() {
    let server = Server::start(|_| Answer::Hang).await;
    let mut config = config(&[&server], token());
    config.timeouts.request = Duration::from_millis(100);
    let client = tpm_pve_client::Client::new(config).unwrap();
    let error = client.version().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotSent, "{error}");
    let error = client.start("pve", 100).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Ambiguous, "{error}");
    assert_eq!(server.seen().len(), 2, "nothing is asked twice");
}

#[tokio::test]
async fn nobody_there_means_not_sent() {
    let config = ClientConfig::new(vec![nobody().await], token(), TlsTrust::System);
    let client = tpm_pve_client::Client::new(config).unwrap();
    let error = client.start("pve", 100).await.unwrap_err();
    assert_eq!(
        (error.class(), error.origin()),
        (ErrorClass::NotSent, Origin::Connect),
        "{error:?}"
    );
}

#[tokio::test]
async fn reads_and_writes_move_on_from_a_dead_endpoint() {
    let live = Server::start(|seen| data(if seen.method == "GET" { VERSION } else { UPID })).await;
    for write in [false, true] {
        let urls = vec![nobody().await, live.url()];
        let client =
            tpm_pve_client::Client::new(ClientConfig::new(urls, token(), TlsTrust::System))
                .unwrap();
        if write {
            client.start("pve", 100).await.unwrap();
        } else {
            client.version().await.unwrap();
        }
    }
    assert_eq!(live.seen().len(), 2);
}

#[tokio::test]
async fn an_unreached_node_is_tried_through_another_which_then_stays_first() {
    let cut_off = Server::start(|_| bare(595, "No route to host")).await;
    let good = Server::start(|_| data(UPID)).await;
    let client = client(&[&cut_off, &good]);
    client.start("pve", 100).await.unwrap();
    client.start("pve", 100).await.unwrap();
    assert_eq!((cut_off.seen().len(), good.seen().len()), (1, 2));
}

#[tokio::test]
async fn a_proxy_timeout_moves_only_reads_on() {
    let slow = Server::start(|_| bare(596, "Connection timed out")).await;
    let good = Server::start(|_| data(VERSION)).await;
    let error = client(&[&slow, &good]).start("pve", 100).await.unwrap_err();
    assert_eq!(
        (error.class(), error.status()),
        (ErrorClass::Ambiguous, Some(596))
    );
    assert_eq!(good.seen().len(), 0);
    assert_eq!(version(client(&[&slow, &good]).version().await), "9.2.11");
}

#[tokio::test]
async fn an_answer_is_an_answer_and_ends_the_search() {
    let first = Server::start(|_| refused(500, "VM is locked (backup)")).await;
    let second = Server::start(|_| data("null")).await;
    let client = client(&[&first, &second]);
    let update = ConfigUpdate::new().cores(2);
    let error = client
        .update_config_sync("pve", 100, &update)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Busy);
    assert_eq!(error.text(), "VM is locked (backup)");
    assert_eq!(
        error.to_string(),
        "PUT /nodes/pve/qemu/100/config: 500 VM is locked (backup)"
    );
    assert_eq!(second.seen().len(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let server = Server::start(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
        answer.resize(33 * 1024 * 1024, b' ');
        Answer::Close(answer)
    })
    .await;
    let error = client(&[&server]).version().await.unwrap_err();
    assert_eq!(error.origin(), Origin::Reply(Access::Read));
    assert!(error.text().contains("32 MiB"), "{error}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Server::start(|_| data(VERSION)).await;
    let target = other.url();
    let server = Server::start(move |_| {
        Answer::Close(
            format!(
                "HTTP/1.1 301 Moved Permanently\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
            )
            .into_bytes(),
        )
    })
    .await;
    let error = client(&[&server]).version().await.unwrap_err();
    assert_eq!(
        (error.class(), error.status()),
        (ErrorClass::Rejected, Some(301))
    );
    assert_eq!(other.seen().len(), 0);
}
