//! Reaching the store: in a namespace, and with a pod's account.

use crate::peer::{PASSWORD, Peer, data, password, path, token_of};
use axum::routing::post;
use axum::{Json, Router};
use reqwest::{Client, Method};
use serde_json::json;
use std::time::Duration;
use tpm_secrets::{SecretStore, Vault, VaultAuth, VaultSettings};

#[tokio::test]
async fn a_namespace_keeps_its_own() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    peer.post("sys/namespaces/team", json!({})).await?;
    let http = Client::builder().no_proxy().build()?;
    let kv = json!({ "type": "kv", "options": { "version": "1" } });
    let policy = r#"path "secret/*" { capabilities = ["create", "read", "update"] }"#;
    for (what, body) in [
        ("sys/mounts/secret", kv),
        ("sys/policies/acl/tpm", json!({ "policy": policy })),
        ("sys/auth/userpass", json!({ "type": "userpass" })),
        (
            "auth/userpass/users/user",
            json!({ "password": PASSWORD, "token_policies": "tpm" }),
        ),
    ] {
        let asked = http
            .request(Method::POST, format!("{}/v1/{what}", peer.bao.url()))
            .header("X-Vault-Token", peer.bao.root_token())
            .header("X-Vault-Namespace", "team");
        asked.json(&body).send().await?.error_for_status()?;
    }
    let team = Vault::new(VaultSettings {
        url: peer.bao.url().parse()?,
        namespace: Some("team".into()),
        ca: None,
        mounts: ["secret".to_owned()].into(),
        timeout: Duration::from_secs(30),
        auth: password(PASSWORD),
    })?;
    let at = path("secret/shared");
    // Version 1 there, version 2 outside.
    assert_eq!(team.write(&at, &data("of the team"), None).await, Ok(0));
    let outside = peer.by_password()?;
    assert_eq!(outside.write(&at, &data("of all"), Some(0)).await, Ok(1));
    assert_eq!(token_of(&team.read(&at, None).await?), "of the team");
    let status = team.status().await;
    assert!(status.is_usable(), "{status:?}");
    assert_eq!(status.mounts[0].version, Some(1));
    Ok(())
}

/// Header and claims of a service account; nobody but Kubernetes checks the third part.
const JWT: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.\
    eyJpc3MiOiJrdWJlcm5ldGVzL3NlcnZpY2VhY2NvdW50Iiwia3ViZXJuZXRlcy5pby9zZXJ2aWNlYWNjb3VudC9uYW1lc3BhY2Ui\
    OiJ0cG0iLCJrdWJlcm5ldGVzLmlvL3NlcnZpY2VhY2NvdW50L3NlcnZpY2UtYWNjb3VudC5uYW1lIjoiYXBpIiwia3ViZXJuZXRl\
    cy5pby9zZXJ2aWNlYWNjb3VudC9zZXJ2aWNlLWFjY291bnQudWlkIjoidWlkLW9mLXRlc3RzIiwic3ViIjoic3lzdGVtOnNlcnZp\
    Y2VhY2NvdW50OnRwbTphcGkifQ.c2ln";

#[tokio::test]
async fn a_pods_account_logs_in() -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        return Ok(());
    };
    // Kubernetes, as far as it is asked whose token that is.
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": {
        "authenticated": true,
        "user": { "username": "system:serviceaccount:tpm:api", "uid": "uid-of-tests",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:tpm", "system:authenticated"] } } });
    let answer = move || std::future::ready(Json(review.clone()));
    let router = Router::new().route("/apis/authentication.k8s.io/v1/tokenreviews", post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });

    peer.post("sys/auth/kubernetes", json!({ "type": "kubernetes" }))
        .await?;
    // It wants an authority, also where there is no TLS.
    let authority = rcgen::generate_simple_self_signed(["kubernetes".to_owned()])?;
    let config = json!({ "kubernetes_host": format!("http://{address}"), "disable_local_ca_jwt": true,
        "kubernetes_ca_cert": authority.cert.pem() });
    peer.post("auth/kubernetes/config", config).await?;
    let role = json!({ "bound_service_account_names": "api", "bound_service_account_namespaces": "tpm",
        "token_policies": "tpm", "token_ttl": "1h" });
    peer.post("auth/kubernetes/role/tpm", role).await?;
    let folder = tempfile::tempdir()?;
    let jwt = folder.path().join("jwt");
    std::fs::write(&jwt, JWT)?;
    let vault = peer.vault(VaultAuth::Kubernetes {
        mount: "kubernetes".into(),
        role: "tpm".into(),
        jwt,
    })?;
    let at = path("secret/pod");
    assert_eq!(vault.write(&at, &data("pod"), Some(0)).await, Ok(1));
    assert_eq!(vault.status().await.auth_method, "kubernetes");
    Ok(())
}
