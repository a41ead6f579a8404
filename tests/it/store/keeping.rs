//! How long things are kept, and a second factor that only one can use.

use super::{on_all, person};
use anyhow::{Context, ensure};
use tpm_domain::Timestamp;
use tpm_store::{Factor, LogLevel, LogLine, LogQuery};

fn line(n: usize, at: Timestamp) -> LogLine {
    LogLine {
        at,
        level: LogLevel::Info,
        process: "api-1".into(),
        target: "tpm".into(),
        message: format!("line {n}"),
        fields: "{}".into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_the_log_are_kept_for_as_long_and_as_many_as_said() -> anyhow::Result<()> {
    on_all(|store| async move {
        let left = async || {
            let query = LogQuery {
                level: LogLevel::Trace,
                process: None,
                target: None,
                text: None,
                field: None,
                from: None,
                to: None,
                limit: 100,
                offset: 0,
            };
            let page = store.reads().logs(&query).await?;
            let names = page.items.into_iter().map(|line| line.message);
            anyhow::Ok(names.collect::<Vec<_>>())
        };
        let tx = store.begin().await?;
        let now = tx.now();
        let at = |n: usize| Timestamp(now.0 - 1000 * (10 - i64::try_from(n).unwrap_or_default()));
        let lines: Vec<LogLine> = (0..10).map(|n| line(n, at(n))).collect();
        tx.append_logs(&lines).await?;
        tx.commit().await?;
        let tx = store.begin().await?;
        ensure!(tx.trim_logs(at(4), 100).await? == 4);
        tx.commit().await?;
        ensure!(left().await?.len() == 6);
        let tx = store.begin().await?;
        ensure!(tx.trim_logs(Timestamp(0), 2).await? == 4);
        tx.commit().await?;
        ensure!(left().await? == ["line 9", "line 8"], "{:?}", left().await?);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_put_in_the_place_of_the_one_that_is_there() -> anyhow::Result<()> {
    on_all(|store| async move {
        let id = person(&*store).await?;
        let first = Factor {
            sealed: "ab".into(),
            confirmed: false,
            used: 0,
            recovery: Vec::new(),
        };
        let second = Factor {
            confirmed: true,
            used: 7,
            recovery: vec!["x".into(), "y".into()],
            ..first.clone()
        };
        let swap = async |from: Option<&Factor>, to: Option<&Factor>| {
            let tx = store.begin().await?;
            let done = tx.swap_factor(id, from, to).await?;
            tx.commit().await?;
            anyhow::Ok(done)
        };
        let kept = async || {
            let user = store.reads().user_by_id(id).await?;
            anyhow::Ok(user.context("the person")?.factor)
        };
        ensure!(!swap(Some(&first), None).await?);
        ensure!(swap(None, Some(&first)).await?);
        ensure!(!swap(None, Some(&second)).await?);
        ensure!(swap(Some(&first), Some(&second)).await?);
        // Whoever saw it before it was used does not use it again.
        ensure!(!swap(Some(&first), Some(&first)).await?);
        ensure!(kept().await? == Some(second.clone()));
        // Writing the rest of the person back leaves it, and its end stays as it was written.
        let tx = store.begin().await?;
        let mut user = tx.user_by_id(id).await?.context("the person")?;
        user.factor = None;
        user.password_ends_at = Some(Timestamp(77));
        tx.save_user(&user).await?;
        tx.commit().await?;
        let user = store.reads().user_by_id(id).await?.context("the person")?;
        ensure!(
            user.factor == Some(second.clone()) && user.password_ends_at == Some(Timestamp(77))
        );
        ensure!(swap(Some(&second), None).await?);
        ensure!(kept().await?.is_none());
        Ok(())
    })
    .await
}
