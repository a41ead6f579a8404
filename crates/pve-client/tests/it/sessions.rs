//! Tokens, tickets, CSRF, and logins that are shared.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tpm_pve_client::{
    Client, ClientConfig, ConfigError, ConfigUpdate, Credentials, ErrorClass, SecretString,
    TlsTrust,
};

use crate::{
    client, config, password,
    server::{Answer, Seen, Server, bare, data, json, refused},
    token,
};

const LOGIN: &str = "/api2/json/access/ticket";

/// Hands out tickets `PVE:t=0`, `PVE:t=1`… and takes those `accepts` says.
async fn pve(accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let logins = AtomicUsize::new(0);
    Server::start(move |seen| {
        if seen.target == LOGIN {
            let n = logins.fetch_add(1, Ordering::SeqCst);
            return data(&format!(
                r#"{{"username":"tester@pve","ticket":"PVE:t={n}","CSRFPreventionToken":"csrf:{n}"}}"#
            ));
        }
        let cookie = seen.header("cookie").unwrap_or_default();
        let csrf = seen.header("csrfpreventiontoken").unwrap_or_default();
        let ticket = cookie.strip_prefix("PVEAuthCookie=PVE%3At%3D").unwrap_or_default();
        if !accepts(ticket) {
            bare(401, "Authentication failed!")
        } else if seen.method != "GET" && csrf != format!("csrf:{ticket}") {
            bare(401, "Permission denied - invalid csrf token")
        } else {
            data("null")
        }
    })
    .await
}

fn logins(server: &Server) -> Vec<Seen> {
    server
        .seen()
        .into_iter()
        .filter(|seen| seen.target == LOGIN)
        .collect()
}

async fn write(client: &Client) -> Result<(), tpm_pve_client::Error> {
    client
        .update_config_sync("pve", 100, &ConfigUpdate::new().cores(1))
        .await
}

async fn read(client: &Client) -> Result<(), tpm_pve_client::Error> {
    client
        .cluster_resources(None)
        .await
        .map(drop)
        .or_else(|error| {
            // the double answers null where a list is due; only the status matters here
            if error.status().is_none() {
                Ok(())
            } else {
                Err(error)
            }
        })
}

#[tokio::test]
async fn a_token_goes_in_its_header_and_nothing_else() {
    let server = Server::start(|_| data("null")).await;
    write(&client(&[&server])).await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!(
        seen.header("authorization"),
        Some("PVEAPIToken=tester@pve!lab=s3cret")
    );
    assert_eq!(
        (seen.header("cookie"), seen.header("csrfpreventiontoken")),
        (None, None)
    );
}

#[tokio::test]
async fn a_refused_token_is_not_tried_again() {
    let server = Server::start(|_| bare(401, "Authentication failed!")).await;
    let error = write(&client(&[&server])).await.unwrap_err();
    assert_eq!(
        (error.class(), error.text()),
        (ErrorClass::Auth, "Authentication failed!")
    );
    assert_eq!(server.seen().len(), 1, "every one costs three seconds");
}

#[tokio::test]
async fn a_ticket_is_a_cookie_and_writes_carry_the_csrf_token() {
    let server = pve(|_| true).await;
    let client = Client::new(config(&[&server], password())).unwrap();
    read(&client).await.unwrap();
    write(&client).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].body, "username=tester%40pve&password=pa55");
    assert_eq!(seen[1].header("cookie"), Some("PVEAuthCookie=PVE%3At%3D0"));
    assert_eq!(seen[1].header("csrfpreventiontoken"), None);
    assert_eq!(seen[2].header("csrfpreventiontoken"), Some("csrf:0"));
    assert_eq!(seen[2].header("authorization"), None);
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_login() {
    let server = pve(|_| true).await;
    let client = Client::new(config(&[&server], password())).unwrap();
    let calls = [(); 8].map(|()| write(&client));
    let [a, b, c, d, e, f, g, h] = calls;
    let results = tokio::join!(a, b, c, d, e, f, g, h);
    results.0.unwrap();
    results.7.unwrap();
    assert_eq!(logins(&server).len(), 1);
    assert_eq!(server.seen().len(), 9);
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_failed_login() {
    let server = Server::start(|_| refused(401, "authentication failure")).await;
    let mut config = config(&[&server], password());
    config.timeouts.refused_pause = Duration::ZERO;
    let client = Client::new(config).unwrap();
    let (a, b, c) = tokio::join!(write(&client), write(&client), write(&client));
    for result in [a, b, c] {
        let error = result.unwrap_err();
        assert_eq!(
            (error.class(), error.text()),
            (ErrorClass::Auth, "authentication failure")
        );
    }
    assert_eq!(server.seen().len(), 1);
    // a later call, after the pause, tries again
    write(&client).await.unwrap_err();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_refused_ticket_is_replaced_once_even_for_a_write() {
    let server = pve(|ticket| ticket != "0").await;
    let client = Client::new(config(&[&server], password())).unwrap();
    write(&client).await.unwrap();
    assert_eq!(logins(&server).len(), 2);
    write(&client).await.unwrap();
    assert_eq!(logins(&server).len(), 2);
}

#[tokio::test]
async fn a_ticket_that_is_always_refused_ends_after_one_more_login() {
    let server = pve(|_| false).await;
    let client = Client::new(config(&[&server], password())).unwrap();
    let error = write(&client).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Auth);
    assert_eq!((logins(&server).len(), server.seen().len()), (2, 4));
}

#[tokio::test]
async fn an_old_ticket_renews_itself() {
    let server = pve(|_| true).await;
    let mut config = config(&[&server], password());
    config.timeouts.renew_ticket = Duration::ZERO;
    let client = Client::new(config).unwrap();
    write(&client).await.unwrap();
    write(&client).await.unwrap();
    let bodies: Vec<_> = logins(&server).into_iter().map(|seen| seen.body).collect();
    assert_eq!(
        bodies,
        [
            "username=tester%40pve&password=pa55",
            "username=tester%40pve&password=PVE%3At%3D0"
        ]
    );
}

#[tokio::test]
async fn a_ticket_too_old_to_renew_falls_back_to_the_password() {
    let server = Server::start(|seen| match seen.body.as_str() {
        "username=tester%40pve&password=pa55" => {
            data(r#"{"ticket":"PVE:x","CSRFPreventionToken":"c"}"#)
        }
        _ if seen.target == LOGIN => refused(401, "authentication failure"),
        _ => data("null"),
    })
    .await;
    let mut config = config(&[&server], password());
    config.timeouts.renew_ticket = Duration::ZERO;
    let client = Client::new(config).unwrap();
    write(&client).await.unwrap();
    write(&client).await.unwrap();
    assert_eq!(logins(&server).len(), 3);
}

#[tokio::test]
async fn a_second_factor_is_refused_with_a_hint() {
    let server =
        Server::start(|_| data(r#"{"ticket":"PVE:!tfa!x","CSRFPreventionToken":"c","NeedTFA":1}"#))
            .await;
    let client = Client::new(config(&[&server], password())).unwrap();
    let error = write(&client).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Auth);
    assert!(error.text().contains("API token"));
}

#[tokio::test]
async fn a_login_without_a_ticket_shows_nothing_of_the_answer() {
    let server = Server::start(|_| Answer::Keep(json("200 OK", r#"{"data":["hush"]}"#))).await;
    let client = Client::new(config(&[&server], password())).unwrap();
    let error = write(&client).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"));
}

#[test]
fn nothing_prints_a_secret() {
    let secret = |text: &str| SecretString::from(text.to_owned());
    for credentials in [
        Credentials::Token {
            id: "a@pve!b".to_owned(),
            secret: secret("hush"),
        },
        Credentials::Password {
            username: "a@pve".to_owned(),
            password: secret("hush"),
        },
    ] {
        let urls = vec!["https://pve.example:8006".parse().unwrap()];
        let config = ClientConfig::new(urls, credentials, TlsTrust::System);
        assert!(!format!("{config:?}").contains("hush"));
        assert!(!format!("{:?}", Client::new(config).unwrap()).contains("hush"));
    }
    let update = ConfigUpdate::new()
        .ciuser("root")
        .cipassword(secret("hush"));
    let printed = format!("{update:?} {:?}", update.params());
    assert!(
        printed.contains("ciuser") && printed.contains("cipassword") && !printed.contains("hush")
    );
}

#[test]
fn a_client_refuses_what_it_could_only_use_unsafely() {
    let make = |url: &str, credentials: Credentials, tls: TlsTrust| {
        Client::new(ClientConfig::new(
            vec![url.parse().unwrap()],
            credentials,
            tls,
        ))
        .map(drop)
    };
    for url in [
        "http://pve.example:8006",
        "http://192.0.2.1:8006",
        "ftp://127.0.0.1",
        "https://user:hush@pve.example:8006",
        "https://pve.example:8006/prefix",
        "https://pve.example:8006/?a=b",
    ] {
        let error = make(url, token(), TlsTrust::System).unwrap_err();
        assert!(matches!(error, ConfigError::Endpoint(_)), "{url}: {error}");
        assert!(!error.to_string().contains("hush"));
    }
    let good = "https://pve.example:8006";
    let none = Client::new(ClientConfig::new(vec![], token(), TlsTrust::System)).unwrap_err();
    assert!(matches!(none, ConfigError::NoEndpoint));
    let pins = make(good, token(), TlsTrust::Fingerprints(vec![])).unwrap_err();
    assert!(matches!(pins, ConfigError::Fingerprint));
    for pem in [
        "",
        "no pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let ca = make(good, token(), TlsTrust::Ca(pem.as_bytes().to_vec())).unwrap_err();
        assert!(matches!(ca, ConfigError::Ca(_)), "{pem}");
    }
    for (id, secret) in [
        ("a@pve", "s"),
        ("a!b", "s"),
        ("a@pve!", "s"),
        ("a@pve!b", ""),
        ("a@pve!b", "x\ny"),
    ] {
        let credentials = Credentials::Token {
            id: id.to_owned(),
            secret: secret.to_owned().into(),
        };
        let error = make(good, credentials, TlsTrust::System).unwrap_err();
        assert!(matches!(error, ConfigError::Credentials(_)), "{id}");
    }
}
