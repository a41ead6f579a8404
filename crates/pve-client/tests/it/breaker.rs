//! Endpoints that are left alone, credentials that are not tried again: how many requests a dead or
//! refusing cluster sees, and how soon it is used again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;
use tpm_pve_client::{Client, ErrorClass, Origin, Reach};

use crate::{
    client, config, password,
    server::{Answer, Server, bare, data, nobody, refused},
    token,
};

const VERSION: &str = r#"{"version":"9.2.11","release":"9.2"}"#;
const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(40);

/// What a [`switched`] server does.
const DROP: u8 = 0;
const HANG: u8 = 1;
const REFUSE: u8 = 2;
const ANSWER: u8 = 3;

/// A server whose behaviour changes while it runs.
async fn switched(first: u8) -> (Server, Arc<AtomicU8>) {
    let switch = Arc::new(AtomicU8::new(first));
    let now = Arc::clone(&switch);
    let server = Server::start(move |_| match now.load(Ordering::SeqCst) {
        DROP => Answer::Drop,
        HANG => Answer::Hang,
        REFUSE => bare(401, "Authentication failed!"),
        _ => data(VERSION),
    })
    .await;
    (server, switch)
}

fn pausing(servers: &[&Server], pause: Duration) -> Client {
    let mut config = config(servers, token());
    config.timeouts.first_pause = pause;
    config.timeouts.longest_pause = pause;
    config.timeouts.refused_pause = pause;
    Client::new(config).unwrap()
}

fn reach(client: &Client) -> Reach {
    client.endpoint_states()[0].reach
}

/// Three reads that no answer comes to.
async fn open(client: &Client) {
    for _ in 0..3 {
        assert_eq!(reach(client), Reach::Closed);
        client.version().await.unwrap_err();
    }
    assert!(!matches!(reach(client), Reach::Closed));
}

/// Waits, as told, until the next call is a probe.
async fn due(client: &Client) {
    while let Reach::Open { next_probe } = reach(client) {
        sleep(next_probe).await;
    }
    assert_eq!(reach(client), Reach::HalfOpen { probing: false });
}

#[tokio::test]
async fn a_thousand_waiting_calls_do_not_reach_a_dead_cluster() {
    let (first, _) = switched(DROP).await;
    let (second, _) = switched(DROP).await;
    let client = pausing(&[&first, &second], NEVER);
    open(&client).await;
    let before = (first.seen().len(), second.seen().len());
    // a read that dies is sent once more on a new connection
    assert_eq!(before, (6, 6));
    for n in 0..1000 {
        let error = if n % 2 == 0 {
            client.version().await.unwrap_err()
        } else {
            client.start("pve", 100).await.unwrap_err()
        };
        let said = (error.class(), error.origin(), error.status());
        assert_eq!(said, (ErrorClass::NotSent, Origin::Connect, None));
        assert!(error.text().contains("the next probe is due in"), "{error}");
        assert!(error.retry_after().is_some_and(|wait| wait > NEVER / 4));
    }
    assert_eq!((first.seen().len(), second.seen().len()), before);
    let states = client.endpoint_states();
    assert_eq!((states.len(), &states[0].url), (2, &first.url()));
    for state in states {
        assert_eq!(state.failures, 3, "{state:?}");
        assert!(state.last_failure.is_some(), "{state:?}");
    }
}

#[tokio::test]
async fn refused_connections_and_answers_that_never_come_count_as_well() {
    let hanging = Server::start(|_| Answer::Hang).await;
    for url in [nobody().await, hanging.url()] {
        let mut config = config(&[&hanging], token());
        config.endpoints = vec![url];
        config.timeouts.first_pause = NEVER;
        config.timeouts.longest_pause = NEVER;
        config.timeouts.request = Duration::from_millis(200);
        let client = Client::new(config).unwrap();
        open(&client).await;
        assert!(matches!(reach(&client), Reach::Open { .. }));
        // the reason is kept, so that a person can see it
        let error = client.version().await.unwrap_err();
        let last = client.endpoint_states()[0].last_failure.clone().unwrap();
        assert!(error.text().contains(&last), "{error}");
    }
    assert_eq!(hanging.seen().len(), 3);
}

#[tokio::test]
async fn writes_without_an_answer_open_it_and_stay_ambiguous() {
    let (server, _) = switched(DROP).await;
    let client = pausing(&[&server], NEVER);
    for _ in 0..3 {
        let error = client.start("pve", 100).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Ambiguous);
    }
    let error = client.start("pve", 100).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotSent);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn one_probe_goes_out_and_the_others_are_told() {
    let (server, switch) = switched(DROP).await;
    let client = pausing(&[&server], SOON);
    open(&client).await;
    due(&client).await;
    switch.store(HANG, Ordering::SeqCst);
    let before = server.seen().len();
    {
        let mut probe = std::pin::pin!(client.version());
        while server.seen().len() == before {
            tokio::select! {
                biased;
                answer = &mut probe => panic!("{answer:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(reach(&client), Reach::HalfOpen { probing: true });
        for _ in 0..100 {
            let error = client.version().await.unwrap_err();
            assert_eq!(error.class(), ErrorClass::NotSent);
            assert!(error.text().contains("a probe is under way"), "{error}");
        }
        assert_eq!(server.seen().len(), before + 1);
    }
    // nobody waits for it any more: another one later
    assert!(!matches!(reach(&client), Reach::HalfOpen { probing: true }));
    due(&client).await;
    switch.store(ANSWER, Ordering::SeqCst);
    client.version().await.unwrap();
    assert_eq!(reach(&client), Reach::Closed);
    let state = &client.endpoint_states()[0];
    assert_eq!((state.failures, &state.last_failure), (0, &None));
    for _ in 0..10 {
        client.version().await.unwrap();
    }
    assert_eq!(server.seen().len(), before + 12);
}

#[tokio::test]
async fn a_probe_that_fails_opens_it_again() {
    let (server, _) = switched(DROP).await;
    let client = pausing(&[&server], SOON);
    open(&client).await;
    for _ in 0..3 {
        due(&client).await;
        let before = server.seen().len();
        client.version().await.unwrap_err();
        assert_eq!(server.seen().len(), before + 2, "the probe, once more");
        assert!(!matches!(reach(&client), Reach::Closed));
    }
}

#[tokio::test]
async fn calls_go_on_through_the_endpoint_that_works() {
    let (dead, switch) = switched(DROP).await;
    let (live, live_switch) = switched(ANSWER).await;
    let client = pausing(&[&dead, &live], SOON);
    for _ in 0..20 {
        client.version().await.unwrap();
    }
    // the live one stays first, so the dead one was asked once
    assert_eq!((dead.seen().len(), live.seen().len()), (2, 20));
    assert_eq!(client.endpoint_states()[0].failures, 1);
    // and is there when it is needed
    switch.store(ANSWER, Ordering::SeqCst);
    live_switch.store(DROP, Ordering::SeqCst);
    client.version().await.unwrap();
    assert_eq!(dead.seen().len(), 3);
}

#[tokio::test]
async fn what_pve_says_never_opens_it() {
    for status in [400, 403, 500, 501, 595, 596] {
        let server = Server::start(move |_| refused(status, "no")).await;
        let client = client(&[&server]);
        for _ in 0..10 {
            client.start("pve", 100).await.unwrap_err();
        }
        assert_eq!((server.seen().len(), reach(&client)), (10, Reach::Closed));
    }
}

#[tokio::test]
async fn refused_credentials_are_tried_once_in_a_while() {
    let (server, switch) = switched(REFUSE).await;
    let patient = pausing(&[&server], NEVER);
    patient.version().await.unwrap_err();
    for _ in 0..1000 {
        let error = patient.start("pve", 100).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Auth);
        let text = error.to_string();
        assert!(
            text.contains("POST /nodes/pve/qemu/100/status/start"),
            "{text}"
        );
        assert!(text.contains("Authentication failed!"), "{text}");
        assert!(text.contains("tried again in"), "{text}");
        assert!(error.retry_after().is_some());
    }
    assert_eq!(server.seen().len(), 1, "every one costs three seconds");
    assert!(patient.credentials_refused().is_some());
    assert_eq!(reach(&patient), Reach::Closed, "the endpoint works");

    let client = pausing(&[&server], SOON);
    client.version().await.unwrap_err();
    for answer in [REFUSE, ANSWER] {
        while let Some(wait) = client.credentials_refused().filter(|wait| !wait.is_zero()) {
            sleep(wait).await;
        }
        switch.store(answer, Ordering::SeqCst);
        let before = server.seen().len();
        let probe = client.version();
        let others = async {
            // the probe was polled first, and holds the others off until it has its answer
            for _ in 0..100 {
                let error = client.version().await.unwrap_err();
                assert_eq!(error.class(), ErrorClass::Auth);
            }
        };
        let (probe, ()) = tokio::join!(biased; probe, others);
        assert_eq!(probe.is_ok(), answer == ANSWER, "{probe:?}");
        assert_eq!(server.seen().len(), before + 1);
    }
    assert_eq!(client.credentials_refused(), None);
    client.version().await.unwrap();
}

#[tokio::test]
async fn a_probe_that_learns_nothing_leaves_the_next_call_to_try() {
    let (server, switch) = switched(REFUSE).await;
    let mut config = config(&[&server], token());
    config.timeouts.refused_pause = Duration::ZERO;
    let client = Client::new(config).unwrap();
    client.version().await.unwrap_err();
    switch.store(DROP, Ordering::SeqCst);
    let error = client.version().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotSent);
    assert!(client.credentials_refused().is_some());
    switch.store(ANSWER, Ordering::SeqCst);
    client.version().await.unwrap();
    assert_eq!(client.credentials_refused(), None);
}

#[tokio::test]
async fn a_refused_password_is_not_tried_by_the_next_caller_either() {
    let server = Server::start(|_| refused(401, "authentication failure")).await;
    let client = Client::new(config(&[&server], password())).unwrap();
    for _ in 0..100 {
        let error = client.version().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Auth);
    }
    assert_eq!(server.seen().len(), 1);
}
