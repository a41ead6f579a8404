//! Retention: what would go and why, what goes, and that the simulated cluster prunes as we do.

use super::scheduled::{made, run_now};
use super::{backed_up, done, one, quick, refused, with_server};
use anyhow::{Context, ensure};
use chrono::TimeZone as _;
use serde_json::{Value, json};
use std::time::Duration;
use tpm_domain::{BackupId, Prunable, PruneMark, Retention, Timestamp};
use tpm_test_support::Stack;

const PRUNE: &str = "/api/backups/prune";

/// Each backup's mark and rule, the newest first.
fn marks(body: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let all = body["backups"].as_array().cloned().unwrap_or_default();
    all.iter()
        .map(|one| (word(&one["mark"]), word(&one["rule"])))
        .collect()
}

async fn settled(stack: &Stack, left: u64) -> anyhow::Result<Value> {
    loop {
        let list = stack.client.get("/api/backups").await?.body;
        let all = list["backups"].as_array().cloned().unwrap_or_default();
        let going = all.iter().any(|one| one["condemned"] == true);
        if !going && list["total"] == left {
            return Ok(list);
        }
        ensure!(list["total"].as_u64() >= Some(left), "{list:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_go_is_told_and_then_goes() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick().set("WORKER__LOOK_MS", 200)).await?;
    let kept = backed_up(&stack, id, json!({ "protected": true })).await?;
    for _ in 0..3 {
        backed_up(&stack, id, json!({})).await?;
    }
    let body = json!({ "server_id": id, "keep_last": 1 });
    let path = format!("{PRUNE}?dry_run=true");
    let told = stack.client.post(&path, &body).await?;
    ensure!(told.status == 200, "{} {}", told.status, told.body);
    let pair = |mark: &str, rule: &str| (mark.to_owned(), rule.to_owned());
    let wanted = [
        pair("keep", "keep_last"),
        pair("remove", "-"),
        pair("remove", "-"),
        pair("keep", "protected"),
    ];
    ensure!(marks(&told.body) == wanted, "{:#}", told.body);
    ensure!(told.body["dry_run"] == true && told.body["remove"] == 2 && told.body["keep"] == 2);
    ensure!(
        stack.simulator.archives(vmid).len() == 4,
        "a dry run did something"
    );
    let list = stack.client.get("/api/backups").await?.body;
    ensure!(list["backups"][1]["condemned"] == false, "{list:#}");

    let done = stack.client.post(PRUNE, &body).await?;
    ensure!(
        done.status == 200 && done.body["backups"] == told.body["backups"],
        "{:#}",
        done.body
    );
    let list = settled(&stack, 2).await?;
    ensure!(
        list["backups"][1]["backup_id"] == kept["backup_id"],
        "{list:#}"
    );
    ensure!(stack.simulator.archives(vmid).len() == 2);
    // The newest good one stays, whatever is said.
    let body = json!({ "keep_yearly": 1, "storage": "local" });
    let told = stack.client.post(PRUNE, &body).await?;
    ensure!(told.body["remove"] == 0, "{:#}", told.body);
    for (body, field, code) in [
        (json!({}), "", "REQUIRED"),
        (json!({ "keep_last": 0 }), "", "REQUIRED"),
        (
            json!({ "keep_last": 1, "time_zone": "Mars" }),
            "time_zone",
            "NO_SUCH",
        ),
        (
            json!({ "schedule_id": 1, "keep_last": 1 }),
            "keep_last",
            "EXCLUDES",
        ),
        (json!({ "keep_soon": 1 }), "keep_soon", "UNKNOWN_FIELD"),
    ] {
        let reply = stack.client.post(PRUNE, &body).await?;
        refused(&reply, 400, "INVALID_REQUEST")?;
        let told = &reply.body["error"]["details"]["fields"][0];
        ensure!(
            told["field"] == field && told["code"] == code,
            "{body}: {told}"
        );
    }
    for body in [
        json!({ "schedule_id": 999 }),
        json!({ "server_id": 999, "keep_last": 1 }),
    ] {
        refused(&stack.client.post(PRUNE, &body).await?, 404, "NOT_FOUND")?;
    }
    stack.stop().await
}

/// After each run of a schedule, of its own backups alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_keeps_what_it_says() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick().set("WORKER__LOOK_MS", 200)).await?;
    let by_hand = backed_up(&stack, id, json!({})).await?;
    let path = made(&stack, json!({ "retention": { "keep_last": 2 } })).await?;
    for _ in 0..4 {
        let run = run_now(&stack, &path).await?;
        ensure!(run["servers"]["completed"] == 1, "{run:#}");
    }
    let list = settled(&stack, 3).await?;
    let all = list["backups"].as_array().context("backups")?;
    ensure!(
        all.iter().filter(|one| one["origin"] == "schedule").count() == 2,
        "{list:#}"
    );
    let still = one(&stack, by_hand["backup_id"].as_str().context("backup_id")?).await?;
    ensure!(still["status"] == "completed", "{still:#}");
    ensure!(stack.simulator.archives(vmid).len() == 3);
    let id: i64 = path.rsplit('/').next().unwrap_or_default().parse()?;
    let told = stack
        .client
        .post(PRUNE, &json!({ "schedule_id": id }))
        .await?;
    ensure!(
        told.body["keep"] == 2 && told.body["remove"] == 0,
        "{:#}",
        told.body
    );
    stack.stop().await
}

/// What the simulated cluster says of its archives by a rule, by name.
async fn pruned(stack: &Stack, vmid: u32, rule: &str) -> anyhow::Result<Value> {
    let ca = reqwest::Certificate::from_pem(stack.simulator.ca_pem().as_bytes())?;
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([ca])
        .build()?;
    let url = format!(
        "{}/api2/json/nodes/pve1/storage/backup/prunebackups?vmid={vmid}&prune-backups={rule}",
        stack.simulator.url()
    );
    let reply = http
        .get(url)
        .header(
            "authorization",
            format!("PVEAPIToken={}", stack.simulator.token()),
        )
        .send()
        .await?;
    let text = reply.text().await?;
    let body: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
    Ok(body["data"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_cluster_prunes_by_the_same_rules() -> anyhow::Result<()> {
    let (stack, id, vmid) = with_server(quick()).await?;
    let first = backed_up(&stack, id, json!({ "storage": "backup" })).await?;
    let first = first["volume"].as_str().context("volume")?;
    let behind = stack.simulator.behind_the_back();
    // Some a day, for three months, over the turn of a year; some of them protected.
    let mut all = Vec::new();
    let start = chrono::Utc
        .with_ymd_and_hms(2026, 11, 20, 1, 15, 0)
        .single()
        .context("a time")?
        .timestamp();
    for n in 0..120_i64 {
        let at = start + n * 17 * 3600 + (n % 7) * 1200;
        let volid = format!("backup:backup/vzdump-qemu-{vmid}-of-{n}.vma.zst");
        done(behind.copy_archive(first, &volid, None, None))?;
        done(behind.age_archive(&volid, at, n % 11 == 3))?;
        all.push((volid, at, n % 11 == 3));
    }
    done(behind.remove_archive(first))?;
    let known: Vec<Prunable> = all
        .iter()
        .zip(0..)
        .map(|((_, at, protected), id)| Prunable {
            id: BackupId(id),
            at: Timestamp(at * 1000),
            protected: *protected,
            good: true,
        })
        .collect();
    let rule = |counts: [u32; 6]| Retention {
        last: counts[0],
        hourly: counts[1],
        daily: counts[2],
        weekly: counts[3],
        monthly: counts[4],
        yearly: counts[5],
    };
    for counts in [
        [3, 0, 0, 0, 0, 0],
        [0, 5, 0, 0, 0, 0],
        [1, 0, 7, 0, 0, 0],
        [3, 0, 7, 4, 0, 0],
        [0, 0, 0, 0, 2, 2],
        [2, 2, 2, 2, 2, 2],
        [1, 0, 1, 1, 1, 1],
    ] {
        let names = ["last", "hourly", "daily", "weekly", "monthly", "yearly"];
        let text: Vec<String> = names
            .iter()
            .zip(counts)
            .filter(|(_, n)| *n > 0)
            .map(|(name, n)| format!("keep-{name}%3D{n}"))
            .collect();
        let theirs = pruned(&stack, vmid, &text.join(",")).await?;
        let theirs = theirs.as_array().context("no list")?;
        let ours = rule(counts).judge(&known, |at| {
            let at = chrono::Local.timestamp_millis_opt(at.0).single();
            at.map_or(0, |at| i64::from(at.offset().local_minus_utc()))
        });
        for ((volid, _, protected), mark) in all.iter().zip(ours) {
            let ours = match mark {
                PruneMark::Keep(_) if *protected => "protected",
                PruneMark::Keep(_) => "keep",
                PruneMark::Remove => "remove",
            };
            let item = theirs
                .iter()
                .find(|item| item["volid"] == **volid)
                .context("not listed")?;
            ensure!(
                item["mark"] == ours,
                "{text:?}: {volid} is {ours} here, {item} there"
            );
        }
    }
    stack.stop().await
}
