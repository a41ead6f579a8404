//! A Grafana that keeps data sources, folders and dashboards, with the statuses and bodies of its documented API.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use reqwest::Url;
use serde_json::{Value, json};

use super::TOKEN;

/// What it keeps.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) datasources: BTreeMap<String, Value>,
    pub(crate) folders: BTreeMap<String, Value>,
    /// `dashboard`, `meta` and the `message` of the last write.
    pub(crate) dashboards: BTreeMap<String, Value>,
    /// Sealed values of data sources, which it never gives back.
    pub(crate) sealed: BTreeMap<String, Value>,
    pub(crate) seen: Vec<String>,
    pub(crate) database_failing: bool,
}

type Shared = Arc<Mutex<Kept>>;
type Answer = (StatusCode, Json<Value>);

pub(crate) struct Fake {
    pub(crate) kept: Shared,
    address: std::net::SocketAddr,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let kept = Shared::default();
        let api = Router::new()
            .route("/datasources", post(add_datasource))
            .route(
                "/datasources/uid/{uid}",
                get(datasource).put(set_datasource),
            )
            .route("/folders", post(add_folder))
            .route("/folders/{uid}", get(folder))
            .route("/dashboards/uid/{uid}", get(dashboard))
            .route("/dashboards/db", post(save_dashboard))
            .route("/search", get(search))
            .layer(middleware::from_fn(signed_in))
            .route("/health", get(health));
        let app = Router::new()
            .nest("/api", api.clone())
            .nest("/behind/a/path/api", api)
            .layer(middleware::from_fn_with_state(kept.clone(), count))
            .with_state(kept.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { kept, address }
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.kept.lock().unwrap())
    }

    /// The requests since the last call, as `GET /api/health`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.with(|kept| std::mem::take(&mut kept.seen))
    }

    /// Those of them that write.
    pub(crate) fn writes(&self) -> Vec<String> {
        let mut seen = self.seen();
        seen.retain(|request| !request.starts_with("GET "));
        seen
    }

    /// A person opens a dashboard, changes it and saves it.
    pub(crate) fn edit(&self, uid: &str, change: impl FnOnce(&mut Value)) {
        self.with(|kept| {
            let mut dashboard = kept.dashboards[uid]["dashboard"].clone();
            change(&mut dashboard);
            let body = json!({ "dashboard": dashboard, "folderUid": "tpm", "overwrite": false });
            let (status, Json(answer)) = save(kept, body);
            assert_eq!(status, StatusCode::OK, "{answer}");
        });
    }
}

fn said(status: StatusCode, body: Value) -> Answer {
    (status, Json(body))
}

async fn count(State(kept): State<Shared>, request: Request, next: Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri().path());
    kept.lock().unwrap().seen.push(line);
    next.run(request).await
}

async fn signed_in(request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION);
    if given.is_some_and(|given| given.as_bytes() == format!("Bearer {TOKEN}").as_bytes()) {
        return next.run(request).await;
    }
    let body = json!({ "message": "Invalid API key", "messageId": "api-key.invalid", "statusCode": 401, "traceID": "" });
    said(StatusCode::UNAUTHORIZED, body).into_response()
}

async fn health(State(kept): State<Shared>, request: Request) -> Answer {
    assert!(
        request.headers().get(AUTHORIZATION).is_none(),
        "health is asked without the token"
    );
    if kept.lock().unwrap().database_failing {
        let body = json!({ "commit": "087143285", "database": "failing", "version": "11.6.0" });
        return said(StatusCode::SERVICE_UNAVAILABLE, body);
    }
    said(
        StatusCode::OK,
        json!({ "commit": "087143285", "database": "ok", "version": "11.6.0" }),
    )
}

async fn datasource(State(kept): State<Shared>, Path(uid): Path<String>) -> Answer {
    match kept.lock().unwrap().datasources.get(&uid) {
        Some(there) => said(StatusCode::OK, there.clone()),
        None => said(
            StatusCode::NOT_FOUND,
            json!({ "message": "Data source not found" }),
        ),
    }
}

async fn add_datasource(State(kept): State<Shared>, Json(body): Json<Value>) -> Answer {
    let mut kept = kept.lock().unwrap();
    let (Some(uid), Some(name)) = (body["uid"].as_str(), body["name"].as_str()) else {
        return said(
            StatusCode::BAD_REQUEST,
            json!({ "message": "bad request data" }),
        );
    };
    for (what, taken) in [
        ("uid", kept.datasources.contains_key(uid)),
        (
            "name",
            kept.datasources.values().any(|there| there["name"] == name),
        ),
    ] {
        if taken {
            let message = format!("data source with the same {what} already exists");
            return said(StatusCode::CONFLICT, json!({ "message": message }));
        }
    }
    keep_datasource(&mut kept, uid, &body, 1, "Datasource added")
}

async fn set_datasource(
    State(kept): State<Shared>,
    Path(uid): Path<String>,
    Json(body): Json<Value>,
) -> Answer {
    let mut kept = kept.lock().unwrap();
    let Some(there) = kept.datasources.get(&uid) else {
        return said(
            StatusCode::NOT_FOUND,
            json!({ "message": "Data source not found" }),
        );
    };
    if there["readOnly"] == true {
        return said(
            StatusCode::FORBIDDEN,
            json!({ "message": "Cannot update read-only data source" }),
        );
    }
    if body["name"].as_str().is_none() || body["type"].as_str().is_none() {
        return said(
            StatusCode::BAD_REQUEST,
            json!({ "message": "bad request data" }),
        );
    }
    let version = there["version"].as_u64().unwrap() + 1;
    keep_datasource(&mut kept, &uid, &body, version, "Datasource updated")
}

/// A write replaces everything but sealed values, which are only added to.
fn keep_datasource(
    kept: &mut Kept,
    uid: &str,
    body: &Value,
    version: u64,
    message: &str,
) -> Answer {
    let sealed = kept
        .sealed
        .entry(uid.to_owned())
        .or_insert_with(|| json!({}));
    for (key, value) in body["secureJsonData"].as_object().into_iter().flatten() {
        sealed[key] = value.clone();
    }
    let fields = sealed.as_object().unwrap().keys();
    let fields: serde_json::Map<_, _> = fields.map(|key| (key.clone(), true.into())).collect();
    let mut there = json!({
        "id": 1, "orgId": 1, "uid": uid, "typeLogoUrl": "", "user": "", "database": "", "basicAuth": false,
        "basicAuthUser": "", "withCredentials": false, "isDefault": false, "jsonData": {},
        "secureJsonFields": fields, "version": version, "readOnly": false,
    });
    for key in [
        "name",
        "type",
        "access",
        "url",
        "user",
        "database",
        "basicAuth",
        "basicAuthUser",
        "withCredentials",
        "isDefault",
        "jsonData",
    ] {
        if let Some(value) = body.get(key) {
            there[key] = value.clone();
        }
    }
    kept.datasources.insert(uid.to_owned(), there.clone());
    said(
        StatusCode::OK,
        json!({ "datasource": there, "id": 1, "message": message, "name": there["name"] }),
    )
}

async fn folder(State(kept): State<Shared>, Path(uid): Path<String>) -> Answer {
    match kept.lock().unwrap().folders.get(&uid) {
        Some(there) => said(StatusCode::OK, there.clone()),
        None => said(
            StatusCode::NOT_FOUND,
            json!({ "message": "folder not found", "status": "not-found" }),
        ),
    }
}

async fn add_folder(State(kept): State<Shared>, Json(body): Json<Value>) -> Answer {
    let mut kept = kept.lock().unwrap();
    let uid = body["uid"].as_str().unwrap().to_owned();
    if kept.folders.contains_key(&uid) {
        let body = json!({ "message": "the folder has been changed by someone else", "status": "version-mismatch" });
        return said(StatusCode::PRECONDITION_FAILED, body);
    }
    let there = json!({ "id": 1, "uid": uid, "title": body["title"], "hasAcl": false, "canSave": true, "version": 1 });
    kept.folders.insert(uid, there.clone());
    said(StatusCode::OK, there)
}

async fn dashboard(State(kept): State<Shared>, Path(uid): Path<String>) -> Answer {
    match kept.lock().unwrap().dashboards.get(&uid) {
        Some(there) => said(
            StatusCode::OK,
            json!({ "dashboard": there["dashboard"], "meta": there["meta"] }),
        ),
        None => said(
            StatusCode::NOT_FOUND,
            json!({ "message": "Dashboard not found" }),
        ),
    }
}

async fn save_dashboard(State(kept): State<Shared>, Json(body): Json<Value>) -> Answer {
    save(&mut kept.lock().unwrap(), body)
}

fn save(kept: &mut Kept, body: Value) -> Answer {
    let mut dashboard = body["dashboard"].clone();
    if dashboard["title"].as_str().is_none_or(str::is_empty) {
        let body = json!({ "message": "Dashboard title cannot be empty", "status": "empty-name" });
        return said(StatusCode::BAD_REQUEST, body);
    }
    let folder = body["folderUid"].as_str().unwrap_or_default();
    if !folder.is_empty() && !kept.folders.contains_key(folder) {
        return said(
            StatusCode::BAD_REQUEST,
            json!({ "message": "folder not found" }),
        );
    }
    let uid = dashboard["uid"].as_str().unwrap().to_owned();
    let there = kept.dashboards.get(&uid);
    if there.is_some_and(|there| there["meta"]["provisioned"] == true) {
        return said(
            StatusCode::BAD_REQUEST,
            json!({ "message": "Cannot save provisioned dashboard" }),
        );
    }
    let version = there.map_or(0, |there| there["dashboard"]["version"].as_u64().unwrap());
    let id = there.map_or(kept.dashboards.len() as u64 + 1, |there| {
        there["dashboard"]["id"].as_u64().unwrap()
    });
    if there.is_some() && body["overwrite"] != true && dashboard["version"] != version {
        let body = json!({ "message": "The dashboard has been changed by someone else", "status": "version-mismatch" });
        return said(StatusCode::PRECONDITION_FAILED, body);
    }
    dashboard["id"] = id.into();
    dashboard["version"] = (version + 1).into();
    let meta = json!({ "isStarred": false, "folderUid": folder, "provisioned": false, "version": version + 1 });
    kept.dashboards.insert(
        uid.clone(),
        json!({ "dashboard": dashboard, "meta": meta, "message": body["message"] }),
    );
    said(
        StatusCode::OK,
        json!({ "id": id, "uid": uid, "status": "success", "version": version + 1 }),
    )
}

async fn search(
    State(kept): State<Shared>,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Answer {
    let kept = kept.lock().unwrap();
    assert_eq!(asked["type"], "dash-db");
    let limit: usize = asked["limit"].parse().unwrap();
    let page: usize = asked["page"].parse().unwrap();
    assert!(limit <= 5000 && page >= 1);
    let hits = kept.dashboards.iter().skip((page - 1) * limit).take(limit);
    let hits: Vec<_> = hits
        .map(|(uid, there)| json!({ "uid": uid, "title": there["dashboard"]["title"], "type": "dash-db" }))
        .collect();
    said(StatusCode::OK, hits.into())
}
