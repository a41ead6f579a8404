//! `demo`: from nothing to four running servers, shown, timed, and cleared away again.

use crate::client::Client;
use crate::progress::{self, Board};
use crate::provider::{self, Peers};
use crate::stack::{self, Engine, Interrupted, Plan, Profile, Stack};
use crate::{table, workspace};
use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Longer than any honest create takes on the slowest profile.
const DONE_WITHIN: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const SERVERS: usize = 4;

/// # Errors
/// When a server is not running at the end, or anything on the way fails; with the reason.
pub(crate) fn run(keep: bool, profile: Profile, engine: Engine) -> anyhow::Result<()> {
    let peers = match engine {
        Engine::Direct => None,
        Engine::Terraform => match provider::peers()? {
            Ok(peers) => Some(peers),
            Err(provider::Missing(what)) => bail!("{what}"),
        },
    };
    let begun = Instant::now();
    let programs = stack::build()?;
    let built = begun.elapsed();
    let folder = tempfile::Builder::new().prefix("tpm-demo-").tempdir()?;
    let plan = Plan {
        peers: peers.clone(),
        stage: None,
        folder: folder.path().to_path_buf(),
        simulator: "127.0.0.1:0",
        api: "127.0.0.1:0",
        profile,
        keep_cluster: false,
        admin_password: stack::random_password()?,
        outer_settings: false,
        size: stack::Size::SMALLEST,
    };
    let result: anyhow::Result<()> = stack::runtime()?.block_on(async {
        let begun = Instant::now();
        let mut stack = tokio::select! {
            stack = Stack::start(&plan, &programs) => stack?,
            _ = stack::interrupted() => return Err(Interrupted.into()),
        };
        let started = begun.elapsed();
        println!(
            "simulated Proxmox VE {}, api {}",
            stack.simulator_url, stack.api_urls[0]
        );
        let url = stack.api_urls[0].clone();
        let mut shown = tokio::select! {
            shown = show(&url, &plan.admin_password, engine) => shown,
            error = stack.watch() => Err(error),
            _ = stack::interrupted() => Err(Interrupted.into()),
        };
        if let (Ok(()), Some(peers)) = (&shown, &peers) {
            let client = Client::login(&url, "admin", &plan.admin_password)?;
            shown = take_away(&client, &stack.simulator_url, &plan.folder, peers);
        }
        if shown.is_ok() {
            let (built, started) = (built.as_secs_f64(), started.as_secs_f64());
            println!("built in {built:.1} s, all three processes ready in {started:.2} s");
        }
        if keep && shown.is_ok() {
            println!("\nleft running until Ctrl-C");
            println!("  api        {url}");
            println!("  simulator  {}", stack.simulator_url);
            println!("  log in as  admin / {}", plan.admin_password);
            println!("  data       {}", plan.folder.display());
            tokio::select! {
                error = stack.watch() => shown = Err(error),
                asked = stack::interrupted() => asked?,
            }
        }
        let begun = Instant::now();
        let stopped = stack.stop_or_kill().await;
        shown?;
        stopped?;
        println!("stopped in {:.2} s", begun.elapsed().as_secs_f64());
        Ok(())
    });
    if result
        .as_ref()
        .is_err_and(|error| !error.is::<Interrupted>())
    {
        eprintln!("the logs are kept in {}", folder.keep().display());
    }
    result
}

async fn show(url: &str, password: &str, engine: Engine) -> anyhow::Result<()> {
    let client = Client::login(url, "admin", password)?;
    println!("logged in; asking for one server, and for three at once\n");
    let begun = Instant::now();
    let one = client.post("/api/servers/create", &by(engine, one()))?;
    let mut three = three();
    for server in three["servers"].as_array_mut().into_iter().flatten() {
        *server = by(engine, server.take());
    }
    let bulk = client.post("/api/servers/bulk-create", &three)?;
    let mut open = vec![task_path(&one)?, task_path(&bulk)?];
    let mut ended = Vec::new();
    let mut board = Board::new();
    while !open.is_empty() {
        let mut still = Vec::new();
        for path in open {
            let task = client.get(&path)?;
            board.show(&task);
            if progress::over(&task) {
                ended.push(task);
            } else {
                still.push(path);
            }
        }
        open = still;
        if begun.elapsed() > DONE_WITHIN {
            bail!("not done within {DONE_WITHIN:?}: {}", open.join(", "));
        }
        if !open.is_empty() {
            sleep(LOOK_EVERY).await;
        }
    }
    let took = begun.elapsed();
    println!();
    let servers = client.get("/api/servers?limit=50")?;
    let servers = servers["servers"]
        .as_array()
        .context("no list of servers")?
        .clone();
    print_servers(&servers);
    println!();
    print_ladders(&client, &servers)?;
    println!();
    let running = servers.iter().filter(|server| is_running(server)).count();
    if running != SERVERS || servers.len() != SERVERS {
        let reasons = reasons(&ended, &servers);
        bail!(
            "{running} of {SERVERS} servers are running\n{}",
            reasons.join("\n")
        );
    }
    println!(
        "{running} servers running, from request to address in {:.2} s",
        took.as_secs_f64()
    );
    Ok(())
}

fn by(engine: Engine, mut server: Value) -> Value {
    if engine == Engine::Terraform {
        server["engine"] = json!("terraform");
    }
    server
}

/// Ejects one server and plans it by the command line alone, as its owner would.
fn take_away(client: &Client, cluster: &str, folder: &Path, peers: &Peers) -> anyhow::Result<()> {
    let archive = client.bytes("/api/servers/1/terraform")?;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive))?;
    let away = folder.join("ejected");
    archive.extract(&away)?;
    let first = archive.by_index(0)?.name()?.into_owned();
    let dir = away.join(first.split('/').next().unwrap_or_default());
    let rc = away.join("person.tfrc");
    let path = peers.mirror.display();
    let text = format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = \"{path}\"\n  }}\n}}\n"
    );
    std::fs::write(&rc, text)?;
    let (id, secret) = stack::TOKEN;
    let terraform = |args: &[&str]| {
        let mut command = std::process::Command::new(&peers.program);
        command
            .args(args)
            .current_dir(&dir)
            .env("TF_CLI_CONFIG_FILE", &rc)
            .env("CHECKPOINT_DISABLE", "1")
            .env("SSL_CERT_FILE", folder.join(stack::CA))
            .env("PROXMOX_VE_ENDPOINT", cluster)
            .env("PROXMOX_VE_API_TOKEN", format!("{id}={secret}"));
        workspace::output(&mut command)
    };
    println!(
        "taking {} away: its code and state in {}",
        dir.display(),
        away.display()
    );
    terraform(&["init", "-no-color", "-input=false"])?;
    let plan = terraform(&["plan", "-no-color", "-input=false"])?;
    let said = plan
        .lines()
        .find(|line| line.starts_with("No changes."))
        .with_context(|| format!("terraform plan wants changes:\n{plan}"))?;
    println!("terraform plan says: {said}");
    Ok(())
}

fn one() -> Value {
    json!({
        "name": "web-server-02",
        "role": "web",
        "cpu": 2,
        "memory": 4096,
        "disk_size": 50,
        "network_config": {
            "ip_address": "192.168.0.22",
            "subnet": "24",
            "gateway": "192.168.0.1",
        },
    })
}

fn three() -> Value {
    json!({
        "servers": [
            { "name": "web-server-01", "role": "web", "cpu": 2, "memory": 4096, "disk_size": 50 },
            { "name": "was-server-01", "role": "was", "cpu": 4, "memory": 8192, "disk_size": 100 },
            { "name": "db-server-01", "role": "db", "cpu": 4, "memory": 8192, "disk_size": 100 },
        ],
        "network_config": {
            "ip_range": "192.168.0.21-192.168.0.30",
            "subnet": "24",
            "gateway": "192.168.0.1",
        },
    })
}

fn task_path(answer: &Value) -> anyhow::Result<String> {
    let token = answer["task_id"]
        .as_str()
        .with_context(|| format!("no task_id in {answer}"))?;
    Ok(format!("/api/tasks/{token}"))
}

fn is_running(server: &Value) -> bool {
    server["status"] == "running" && server["ip_address"].is_string()
}

/// What was said of every task and server that did not come to a good end.
fn reasons(tasks: &[Value], servers: &[Value]) -> Vec<String> {
    let children = tasks
        .iter()
        .filter_map(|task| task["children"].as_array())
        .flatten();
    let lost = tasks
        .iter()
        .chain(children)
        .filter(|task| task["status"] != "completed");
    let tasks = lost.map(|task| {
        let name = task["server_name"].as_str().unwrap_or("bulk");
        let error = &task["error"];
        format!(
            "  {} {name}: {} {error}",
            shown(&task["task_id"]),
            shown(&task["message"])
        )
    });
    let servers = servers
        .iter()
        .filter(|server| !is_running(server))
        .map(|server| {
            format!(
                "  {}: {} {}",
                shown(&server["name"]),
                shown(&server["status"]),
                server["error"]
            )
        });
    tasks.chain(servers).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn print_servers(servers: &[Value]) {
    let keys = ["id", "name", "role", "status", "ip_address", "vmid", "node"];
    let rows: Vec<[String; 7]> = servers
        .iter()
        .map(|server| keys.map(|key| shown(&server[key])))
        .collect();
    let head = ["id", "name", "role", "status", "address", "vmid", "node"];
    for line in table::lines(head, &rows) {
        println!("{line}");
    }
}

/// How long each server stood on each rung before it reached the next.
fn print_ladders(client: &Client, servers: &[Value]) -> anyhow::Result<()> {
    let rungs = ["created", "configured", "started", "agent", "address"];
    let mut rows = Vec::new();
    for server in servers {
        let view = client.get(&format!("/api/servers/{}", server["id"]))?;
        let took = |rung: &str| {
            let ladder = view["readiness"].as_array()?;
            let reached = ladder.iter().find(|reached| reached["rung"] == rung)?;
            Some(format!("{} ms", reached["took_ms"].as_u64()?))
        };
        let cell = |n: usize| took(rungs[n]).unwrap_or_else(|| "-".to_owned());
        rows.push([
            shown(&server["name"]),
            cell(0),
            cell(1),
            cell(2),
            cell(3),
            cell(4),
        ]);
    }
    let head = ["name", rungs[0], rungs[1], rungs[2], rungs[3], rungs[4]];
    for line in table::lines(head, &rows) {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_told_with_its_error() {
        let error = json!({ "code": "TEMPLATE_MISSING", "message": "no VM 9000" });
        let failed = json!({
            "task_id": "task_2", "server_name": "b", "status": "failed",
            "message": "failed", "error": error,
        });
        let fine = json!({ "task_id": "task_3", "server_name": "c", "status": "completed" });
        let bulk = json!({
            "task_id": "task_1", "status": "partial", "message": "1 of 2",
            "children": [failed, fine],
        });
        let lost = json!({ "name": "b", "status": "error", "error": error });
        let good = json!({ "name": "c", "status": "running", "ip_address": "10.0.0.2" });
        let text = reasons(&[bulk], &[lost, good]).join("\n");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.contains("task_2 b: failed") && text.contains("no VM 9000"),
            "{text}"
        );
        assert!(!text.contains("task_3") && !text.contains("  c:"), "{text}");
    }
}
