//! The client against a server that answers byte for byte what a test says. Nothing here needs a PVE.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod breaker;
mod calls;
mod classes;
mod forms;
mod properties;
mod recordings;
mod server;
mod sessions;
mod survival;
mod tasks;
mod tls;

use server::Server;
use tpm_pve_client::{Client, ClientConfig, Credentials, TlsTrust, Url};

/// Credentials that never expire.
fn token() -> Credentials {
    Credentials::Token {
        id: "tester@pve!lab".to_owned(),
        secret: "s3cret".to_owned().into(),
    }
}

fn password() -> Credentials {
    Credentials::Password {
        username: "tester@pve".to_owned(),
        password: "pa55".to_owned().into(),
    }
}

fn config(endpoints: &[&Server], credentials: Credentials) -> ClientConfig {
    let urls: Vec<Url> = endpoints.iter().map(|server| server.url()).collect();
    ClientConfig::new(urls, credentials, TlsTrust::System)
}

fn client(endpoints: &[&Server]) -> Client {
    Client::new(config(endpoints, token())).unwrap()
}
