//! A standby that sends to the active node.

use crate::peer::{path, token_of, vault};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tpm_secrets::{SecretError, SecretStore, VaultAuth};

async fn serve(router: Router) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Knows one secret, of KV version 1, and counts what it is asked.
async fn active(asked: Arc<AtomicU32>) -> anyhow::Result<SocketAddr> {
    let answer = move |request: Request| {
        asked.fetch_add(1, Ordering::Relaxed);
        async move {
            let path = request.uri().path().to_owned();
            axum::Json(if path.contains("lookup-self") {
                json!({ "request_id": "", "lease_id": "", "renewable": false, "lease_duration": 0, "data": {
                    "accessor": "", "creation_time": 0, "creation_ttl": 0, "display_name": "", "entity_id": "",
                    "explicit_max_ttl": 0, "id": "", "num_uses": 0, "orphan": true, "path": "", "policies": [],
                    "ttl": 0 } })
            } else if path.contains("internal") {
                json!({ "data": { "type": "kv", "options": null } })
            } else {
                json!({ "data": { "token": "of the active node" } })
            })
        }
    };
    serve(Router::new().fallback(answer)).await
}

/// Sends whatever it is asked to another one.
async fn standby(code: StatusCode, to: String) -> anyhow::Result<SocketAddr> {
    let answer = move |request: Request| {
        let to = to.replace("{path}", &request.uri().to_string());
        async move { (code, [(LOCATION, to)]).into_response() }
    };
    serve(Router::new().fallback(answer)).await
}

#[tokio::test]
async fn only_the_active_node_of_a_standby_is_followed_to() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    std::fs::write(&file, "token-of-tests")?;
    let asked = Arc::new(AtomicU32::new(0));
    let port = active(asked.clone()).await?.port();
    let ask = async |address: SocketAddr| {
        let vault = vault(
            &format!("http://{address}"),
            VaultAuth::TokenFile(file.clone()),
        )?;
        let read = vault.read(&path("secret/a"), None).await;
        anyhow::Ok(read.map(|secret| token_of(&secret)))
    };
    let moved = StatusCode::TEMPORARY_REDIRECT;
    let near = standby(moved, format!("http://127.0.0.1:{port}{{path}}")).await?;
    assert_eq!(ask(near).await?, Ok("of the active node".to_owned()));
    assert_eq!(asked.swap(0, Ordering::Relaxed), 3);

    // Elsewhere, something else, in another way: the token would go along.
    for (code, to) in [
        (moved, format!("http://localhost:{port}{{path}}")),
        (moved, format!("http://127.0.0.1:{port}/v1/other")),
        (moved, format!("https://127.0.0.1:{port}{{path}}")),
        (
            StatusCode::FOUND,
            format!("http://127.0.0.1:{port}{{path}}"),
        ),
    ] {
        let far = standby(code, to.clone()).await?;
        let read = ask(far).await?;
        assert!(matches!(read, Err(SecretError::Away(_))), "{to}: {read:?}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    Ok(())
}
