//! A real Prometheus and a real node_exporter: discovery, figures, and both killed.

use super::{FIGURES, until};
use crate::access::key;
use crate::fleet::{hand, is, running};
use crate::reference::has_shape;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tpm_test_support::{Promtool, Stack, free_port, monitors, promtool, say};

/// As the documentation has it, with the test's own places: addresses of the simulated cluster lie on loopback here.
fn config(base: &str, key_file: &str, targets_file: &str, exporter_port: u16) -> String {
    let documented = include_str!("../../../crates/monitoring/docs/prometheus.yml");
    let relabel = format!(
        "    relabel_configs:\n      - source_labels: [__address__]\n        \
         regex: '192\\.168\\.0\\.(\\d+):9100'\n        \
         replacement: '127.0.1.$1:{exporter_port}'\n        target_label: __address__\n"
    );
    let host = base.trim_start_matches("http://");
    let config = documented
        .replace("http://127.0.0.1:5000", base)
        .replace("127.0.0.1:5000", host)
        .replace("/etc/prometheus/tpm-key", key_file)
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("refresh_interval: 30s", "refresh_interval: 1s")
        .replace(
            "rule_files:\n  - manager.yml # crates/monitoring/rules/\n",
            "",
        )
        .replace(
            "  # The manager itself.",
            &format!("{relabel}\n  # The manager itself."),
        );
    format!(
        "{config}  - job_name: files\n    file_sd_configs:\n      - files: [{targets_file}]\n        \
         refresh_interval: 1s\n    \
         relabel_configs:\n      - action: labeldrop\n        regex: server_id\n    metric_relabel_configs:\n      - action: drop\n        regex: '.*'\n        \
         source_labels: [__name__]\n"
    )
}

/// What Prometheus itself answers at a moment.
async fn ask(port: u16, question: &str, at: Option<f64>) -> anyhow::Result<Vec<Value>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut query = vec![("query", question.to_owned())];
    query.extend(at.map(|at| ("time", at.to_string())));
    let url = format!("http://127.0.0.1:{port}/api/v1/query");
    let answer: Value = http.get(url).query(&query).send().await?.json().await?;
    ensure!(answer["status"] == "success", "{question}: {answer}");
    Ok(answer["data"]["result"]
        .as_array()
        .cloned()
        .unwrap_or_default())
}

/// Ours is what Prometheus answers for that moment, or a sample before or after it.
async fn same_as_prometheus(port: u16, id: i64, told: &Value) -> anyhow::Result<()> {
    let moment = told["timestamp"].as_str().context("a moment")?;
    let at = chrono::DateTime::parse_from_rfc3339(moment)?.timestamp();
    let only = format!("server_id=\"{id}\",job=\"tpm-servers\"");
    for (figure, question) in [
        (
            "memory_usage",
            format!(
                "100 * (1 - node_memory_MemAvailable_bytes{{{only}}} / node_memory_MemTotal_bytes{{{only}}})"
            ),
        ),
        (
            "disk_usage",
            format!(
                "100 * (1 - node_filesystem_avail_bytes{{mountpoint=\"/\",{only}}} / \
                 node_filesystem_size_bytes{{mountpoint=\"/\",{only}}})"
            ),
        ),
        (
            "cpu_usage",
            format!(
                "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{{mode=\"idle\",{only}}}[10s])))"
            ),
        ),
    ] {
        let ours = told[figure].as_f64().context(figure)?;
        let mut theirs = Vec::new();
        // It was asked some time between that scrape and the next one.
        for tenth in 0..25 {
            let moment = at as f64 + f64::from(tenth) / 10.0;
            let found = ask(port, &question, Some(moment)).await?;
            let text = found.first().and_then(|one| one["value"][1].as_str());
            theirs.extend(text.and_then(|text| text.parse::<f64>().ok()));
        }
        let least = theirs.iter().copied().fold(f64::INFINITY, f64::min) - 0.06;
        let most = theirs.iter().copied().fold(f64::NEG_INFINITY, f64::max) + 0.06;
        ensure!(
            (least..=most).contains(&ours),
            "{figure}: {ours}, {theirs:?}"
        );
    }
    Ok(())
}

/// Every question of our dashboards has an answer.
async fn dashboards_show_something(port: u16, manager: bool) -> anyhow::Result<()> {
    for query in tpm_monitoring::dashboard_queries("10s", "web-1", "web") {
        if (query.dashboard == "tpm-manager") != manager {
            continue;
        }
        let found = ask(port, &query.expr, None).await?;
        ensure!(
            !found.is_empty(),
            "{} {}: {}",
            query.dashboard,
            query.panel,
            query.expr
        );
    }
    Ok(())
}

async fn until_counted(port: u16) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    let counted = "rate(tpm_step_duration_seconds_count[10s])";
    while ask(port, counted, None).await?.is_empty() {
        ensure!(
            begun.elapsed() < std::time::Duration::from_secs(60),
            "the api is not scraped"
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}

fn checked(promtool: &Promtool, stack: &Stack, config: &str) -> anyhow::Result<()> {
    let file = stack.dir.path().join("checked.yml");
    std::fs::write(&file, config)?;
    let name = file.to_str().context("a path")?;
    promtool.run(stack.dir.path(), &["check", "config", name], "")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_discovers_servers_and_is_believed() -> anyhow::Result<()> {
    let (Ok(monitors), Ok(promtool)) = (monitors()?, promtool()?) else {
        say("skipped: prometheus, promtool or prometheus-node-exporter is not installed");
        return Ok(());
    };
    let (port, exporter_port) = (free_port()?, free_port()?);
    let folder = tempfile::tempdir()?;
    let targets_file = folder.path().join("targets.json");
    let mut stack = Stack::builder()
        .set(
            "MONITORING__PROMETHEUS_URL",
            format!("http://127.0.0.1:{port}"),
        )
        .set("MONITORING__WINDOW_SECS", 10)
        .set("MONITORING__TARGETS_FILE", targets_file.display())
        .set("WORKER__LOOK_MS", 300)
        .start()
        .await?;
    let (_, text) = key(&stack.client, json!({ "scopes": ["monitoring:read"] })).await?;
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, &text)?;
    let shown = |path: &std::path::Path| path.display().to_string();
    let config = config(
        stack.client.base(),
        &shown(&key_file),
        &shown(&targets_file),
        exporter_port,
    );
    checked(&promtool, &stack, &config)?;

    // It is not there yet: told so.
    let status = is(stack.client.get("/api/monitoring/status").await?, 200)?;
    ensure!(
        status["prometheus"]["reason"] == "prometheus_unreachable",
        "{status:#}"
    );
    let (first, _) = running(&stack, "web-1").await?;
    let (second, _) = running(&stack, "web-2").await?;
    hand(&stack)?.look().await?;
    let address = stack.client.server(first).await?["ip_address"].clone();
    let last = address
        .as_str()
        .and_then(|ip| ip.rsplit('.').next())
        .context("an address")?;
    let place: SocketAddr = format!("127.0.1.{last}:{exporter_port}").parse()?;
    let mut exporter = monitors.exporter(place)?;
    let mut prometheus = monitors.prometheus(folder.path(), port, &config)?;
    stack.start_worker()?;
    let client = &stack.client;

    // Found by HTTP service discovery, scraped, and told.
    let path = format!("/api/monitoring/metrics/{first}");
    let all = |told: &Value| {
        FIGURES
            .iter()
            .all(|figure| told["metrics"][figure].is_number())
    };
    let told = until(client, &path, all).await?;
    ensure!(told["metrics"]["source"] == "node_exporter", "{told:#}");
    ensure!(told["metrics"]["reasons"] == json!({}), "{told:#}");
    let documented = json!({
        "server_id": 1,
        "server_name": "web-server-01",
        "metrics": {
            "cpu_usage": 45.2, "memory_usage": 67.8, "disk_usage": 23.4, "network_in": 1024, "network_out": 2048,
            "timestamp": "2024-01-15T10:30:00Z",
        },
    });
    has_shape("", &documented, &told)?;
    same_as_prometheus(port, first, &told["metrics"]).await?;
    let other = format!("/api/monitoring/metrics/{second}");
    let told = until(client, &other, |told| {
        told["metrics"]["reason"] == "exporter_unreachable"
    });
    ensure!(told.await?["metrics"]["source"] == "proxmox");
    let status = until(client, "/api/monitoring/status", |status| {
        status["node_exporters"]["active"] == 1
    })
    .await?;
    let exporters = &status["node_exporters"];
    ensure!(
        exporters["total"] == 2 && exporters["inactive"] == 1,
        "{status:#}"
    );
    ensure!(exporters["down"][0]["server_name"] == "web-2", "{status:#}");
    ensure!(
        exporters["down"][0]["reason"] == "port_closed",
        "{status:#}"
    );
    ensure!(status["prometheus"]["status"] == "running", "{status:#}");

    // Published: what changed, and what was taken up.
    let update = "/api/monitoring/prometheus/update";
    let done = is(client.post(update, &json!({})).await?, 200)?;
    ensure!(
        done["added"] == json!(["web-1", "web-2"]) && done["targets"] == 2,
        "{done:#}"
    );
    ensure!(
        done["prometheus"]["taken_up"] == json!(["web-1", "web-2"]),
        "{done:#}"
    );
    let done = is(client.post(update, &json!({})).await?, 200)?;
    ensure!(
        done["added"] == json!([]) && done["changed"] == json!([]),
        "{done:#}"
    );

    // The file that a worker writes is read, too.
    let files = "count(scrape_samples_scraped{job=\"files\"})";
    let begun = std::time::Instant::now();
    while ask(port, files, None)
        .await?
        .first()
        .map(|one| one["value"][1].clone())
        != Some(json!("2"))
    {
        ensure!(
            begun.elapsed() < std::time::Duration::from_secs(60),
            "the file is not read"
        );
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    dashboards_show_something(port, false).await?;
    // Rates need two scrapes of something that counts.
    until_counted(port).await?;
    dashboards_show_something(port, true).await?;

    // The past.
    let past = until(client, &format!("{path}?step=2"), |past| {
        let points = past["points"].as_array().cloned().unwrap_or_default();
        points
            .iter()
            .any(|point| FIGURES.iter().all(|figure| point[figure].is_number()))
    })
    .await?;
    ensure!(
        past["source"] == "node_exporter" && past["reason"].is_null(),
        "{}",
        past["reason"]
    );

    // Who is deleted leaves by itself.
    let gone = client.delete(&format!("/api/servers/{second}")).await?;
    let task = is(gone, 200)?["task_id"]
        .as_str()
        .context("a task")?
        .to_owned();
    client.ended(&task).await?;
    until(client, "/api/monitoring/status", |status| {
        status["node_exporters"]["total"] == 1 && status["node_exporters"]["inactive"] == 0
    })
    .await?;
    let done = is(client.post(update, &json!({})).await?, 200)?;
    ensure!(
        done["removed"] == json!(["web-2"]) && done["targets"] == 1,
        "{done:#}"
    );

    // The exporter dies, then Prometheus: the second source, and an honest answer.
    exporter.kill()?;
    let told = until(client, &path, |told| {
        told["metrics"]["reason"] == "exporter_unreachable"
    })
    .await?;
    ensure!(told["metrics"]["source"] == "proxmox", "{told:#}");
    let status = until(client, "/api/monitoring/status", |status| {
        status["node_exporters"]["inactive"] == 1
    })
    .await?;
    ensure!(
        status["node_exporters"]["down"][0]["reason"] == "port_closed",
        "{status:#}"
    );
    prometheus.kill()?;
    let told = until(client, &path, |told| {
        told["metrics"]["reason"] == "prometheus_unreachable"
    })
    .await?;
    ensure!(told["metrics"]["source"] == "proxmox", "{told:#}");
    let status = until(client, "/api/monitoring/status", |status| {
        status["prometheus"]["status"] == "down"
    })
    .await?;
    ensure!(status["prometheus"]["targets"].is_null(), "{status:#}");
    ensure!(status["node_exporters"]["inactive"].is_null(), "{status:#}");
    stack.stop().await
}
