//! Servers without a backup as their schedule asks for: people are told once, and once when it is over.

use super::scheduled::made;
use super::{backed_up, quick, with_server};
use anyhow::{Context, ensure};
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tpm_domain::{BackupToken, ScheduleId, ServerId, Timestamp, Verified};
use tpm_store::Store as _;
use tpm_test_support::{Client, Stack};

const HOUR: i64 = 3_600_000;

/// A look at the cluster and one at alerts; how many were raised and are over.
async fn round(stack: &Stack) -> anyhow::Result<(usize, usize)> {
    let worker = stack.service.worker()?;
    worker.look().await?;
    let done = worker.judge_alerts().await?;
    Ok((done.raised, done.resolved))
}

/// As if what is open had begun a minute earlier.
async fn a_minute_later(stack: &Stack) -> anyhow::Result<()> {
    let tx = stack.service.store().begin().await?;
    for row in tx.open_alerts().await? {
        let mut alert = row.alert;
        alert.since = Timestamp(alert.since.0 - 60_000);
        tx.save_alert(row.id, &alert).await?;
    }
    Ok(tx.commit().await?)
}

async fn told(stack: &Stack, lang: &str) -> anyhow::Result<Vec<String>> {
    let path = "/api/notifications?limit=500";
    let url = format!("{}{path}", stack.client.base());
    let asked = stack.client.http().get(url).header("accept-language", lang);
    let page = Client::read(asked.send().await?).await?.body;
    let all = page["notifications"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let of_alerts = all.iter().filter(|one| {
        let event = one["event"].as_str().unwrap_or_default();
        event.starts_with("alert_")
    });
    let text = |one: &Value| one["message"].as_str().unwrap_or_default().to_owned();
    Ok(of_alerts.map(text).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_told_once_when_a_backup_is_too_old() -> anyhow::Result<()> {
    let (stack, id, _) = with_server(quick().set("WORKER__LOOK_MS", 3_600_000)).await?;
    let path = made(
        &stack,
        json!({ "max_age_hours": 24, "verified_within_days": 7 }),
    )
    .await?;
    ensure!(
        round(&stack).await? == (0, 0),
        "nobody could have made one so far"
    );
    // The server and its schedule have been there for two days.
    let store = stack.service.store();
    let number: i64 = path.rsplit('/').next().unwrap_or_default().parse()?;
    let db = format!("sqlite://{}", stack.dir.path().join("manager.db").display());
    let db = sea_orm::Database::connect(db).await?;
    let age = async |by: i64| -> anyhow::Result<()> {
        for table in ["servers", "schedules"] {
            let sql = format!("UPDATE {table} SET created_ms = created_ms - {by}");
            db.execute_unprepared(&sql).await?;
        }
        Ok(())
    };
    age(2 * 24 * HOUR).await?;
    let server = store
        .reads()
        .server(ServerId(id))
        .await?
        .context("server")?;
    let schedule = store
        .reads()
        .schedule(ScheduleId(number))
        .await?
        .context("schedule")?;
    ensure!(server.created_at.max(schedule.created_at).0 < server.updated_at.0 - 24 * HOUR);
    ensure!(round(&stack).await? == (0, 0), "not for long enough");
    a_minute_later(&stack).await?;
    ensure!(round(&stack).await? == (1, 0));
    ensure!(round(&stack).await? == (0, 0), "told twice");
    let en = told(&stack, "en").await?;
    ensure!(
        en == ["server web-server-01 has no backup as its schedule asks for: nightly: > 24 h"],
        "{en:?}"
    );
    let ko = told(&stack, "ko").await?;
    ensure!(
        ko[0].starts_with("서버 web-server-01에 예약 정책을 충족하는 백업이 없습니다"),
        "{ko:?}"
    );

    let backup = backed_up(&stack, id, json!({})).await?;
    ensure!(round(&stack).await? == (0, 1));
    ensure!(round(&stack).await? == (0, 0), "told twice");
    ensure!(told(&stack, "en").await?.len() == 2);

    // It was never proved to restore.
    age(6 * 24 * HOUR).await?;
    round(&stack).await?;
    a_minute_later(&stack).await?;
    ensure!(round(&stack).await? == (1, 0));
    let open = stack
        .client
        .get("/api/monitoring/alerts?rule=backup_old&status=firing")
        .await?;
    ensure!(open.body["alerts"][0]["server_id"] == id, "{}", open.body);
    let token = BackupToken(
        backup["backup_id"]
            .as_str()
            .context("backup_id")?
            .to_owned(),
    );
    let tx = store.begin().await?;
    let mut proved = tx.backup_named(&token).await?.context("backup")?;
    proved.verified = Some(Verified {
        at: tx.now(),
        how: "restore".into(),
    });
    tx.save_backup(&proved).await?;
    tx.commit().await?;
    ensure!(round(&stack).await? == (0, 1));

    // A schedule that is not followed asks for nothing.
    let tx = store.begin().await?;
    proved.created_at = Timestamp(tx.now().0 - 25 * HOUR);
    tx.save_backup(&proved).await?;
    tx.commit().await?;
    round(&stack).await?;
    a_minute_later(&stack).await?;
    ensure!(round(&stack).await? == (1, 0));
    let reply = stack
        .client
        .patch(&path, &json!({ "enabled": false }))
        .await?;
    ensure!(reply.status == 200, "{}", reply.body);
    ensure!(round(&stack).await? == (0, 1));
    stack.stop().await
}
