//! What an act tells of itself while it is under way, written down now and then for people to see.

use crate::progress::percent;
use crate::run::{Run, Stop};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tpm_domain::{StepRecord, TaskNote};
use tpm_provisioner::{Acted, ProvisionError, Report, StepCall};

/// Shortest time between two writes: people do not see more, and the database has other things to do.
const PAUSE: Duration = Duration::from_millis(500);

/// Keeps the most that was told.
#[derive(Debug)]
struct Told(watch::Sender<u8>);

impl Report for Told {
    fn reached(&self, percent: u8) {
        self.0.send_if_modified(|most| {
            let is_more = percent > *most;
            *most = percent.max(*most);
            is_more
        });
    }
}

/// What was told, at most once in a while.
struct Hearing {
    told: watch::Receiver<u8>,
    last: Option<Instant>,
}

fn pair() -> (Told, Hearing) {
    let (sender, told) = watch::channel(0);
    (Told(sender), Hearing { told, last: None })
}

impl Hearing {
    /// The most that was told, once it is more than before; `None` when the act has ended.
    async fn next(&mut self) -> Option<u8> {
        if let Some(last) = self.last {
            let mut end = self.told.clone();
            // Nothing that is told makes this true: it comes back early when the act has ended.
            timeout_at(last + PAUSE, end.wait_for(|_| false)).await.ok();
        }
        self.told.changed().await.ok()?;
        self.told.has_changed().ok()?;
        self.last = Some(Instant::now());
        Some(*self.told.borrow_and_update())
    }
}

impl Run<'_> {
    /// Acts, and writes down how far the act is whenever it tells of more.
    pub(crate) async fn act_shown(
        &self,
        record: &StepRecord,
        intent: &Value,
    ) -> Result<Acted, ProvisionError> {
        let (told, hearing) = pair();
        let acting = async move {
            let call = StepCall {
                report: Some(&told),
                ..self.call(record, Some(intent))
            };
            self.engine.act(&call, intent).await
        };
        let (acted, ()) = tokio::join!(acting, self.show(&record.name, hearing));
        acted
    }

    /// Ends with the act. What cannot be written is not missed: the end of the step says more.
    async fn show(&self, step: &str, mut hearing: Hearing) {
        let within = |within| percent(self.specs(), &self.claim.steps, false, within);
        let mut shown = self.claim.task.progress.max(within(0));
        while let Some(most) = hearing.next().await {
            let progress = within(most);
            // Undoing shows no progress of its own.
            if progress <= shown || self.claim.undoing {
                continue;
            }
            match self.write_progress(step, progress).await {
                Ok(()) => shown = progress,
                Err(stop) => tracing::debug!(task = %self.claim.task.token, ?stop, "not shown"),
            }
        }
    }

    async fn write_progress(&self, step: &str, progress: u8) -> Result<(), Stop> {
        let note = TaskNote::Step {
            step: step.to_owned(),
        };
        let tx = self.fenced().await?;
        tx.save_progress(self.claim.task.id, &note, progress)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the test's own time: told eleven times a second, heard twice a second.
    #[tokio::test(start_paused = true)]
    async fn what_is_told_often_is_heard_now_and_then() {
        let (told, mut hearing) = pair();
        let telling = tokio::spawn(async move {
            for percent in 1..=20 {
                told.reached(percent);
                // Less is not heard.
                told.reached(percent / 2);
                tokio::time::sleep(Duration::from_millis(90)).await;
            }
        });
        let mut heard = Vec::new();
        while let Some(percent) = hearing.next().await {
            heard.push(percent);
        }
        assert_eq!(heard, [1, 6, 12, 17]);
        assert!(telling.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_not_waited_for() {
        let (told, mut hearing) = pair();
        told.reached(10);
        assert_eq!(hearing.next().await, Some(10));
        let began = Instant::now();
        told.reached(20);
        drop(told);
        assert_eq!(hearing.next().await, None);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
