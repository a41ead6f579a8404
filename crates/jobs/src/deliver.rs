//! Sends what channels are to be told, again and again until it was taken or a day is over.
//!
//! No task waits for it, and a channel that does not answer holds others up for one attempt at most. Killed in the
//! middle, the same message goes out once more, under the same id.

use crate::worker::Worker;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tpm_domain::{Channel, Delivery, DeliveryState, Outcome, Timestamp};
use tpm_notify::{Answer, ChannelKeys, Outgoing, SendError};
use tpm_store::StoreError;

/// Who sends, and what it is signed with.
#[derive(Clone)]
pub struct Courier {
    /// Sends.
    pub outgoing: Arc<dyn Outgoing>,
    /// Signs.
    pub keys: Arc<ChannelKeys>,
}

impl std::fmt::Debug for Courier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Courier").finish_non_exhaustive()
    }
}

/// Messages that are sent at once.
const AT_ONCE: u64 = 16;
/// Of those, to one channel.
const OF_EACH: u64 = 4;
/// Nobody else takes a message for so long: well beyond the longest attempt.
const TAKEN_FOR: Duration = Duration::from_secs(30);
/// How often it is looked for new ones.
const EVERY: Duration = Duration::from_secs(1);
/// Messages that ended are kept for so long.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// What comes of an attempt. `jitter` is in `0.0..1.0`.
fn outcome(
    now: Timestamp,
    delivery: &Delivery,
    sent: &Result<Answer, SendError>,
    jitter: f64,
) -> Outcome {
    let ended = |state, status, error: Option<String>| Outcome {
        state,
        status,
        error,
        due_at: now,
    };
    let (status, error, wished) = match sent {
        Ok(answer) => match answer.status {
            200..=299 => return ended(DeliveryState::Delivered, Some(answer.status), None),
            408 | 429 | 500..=599 => {
                let error = format!("HTTP {}", answer.status);
                (Some(answer.status), error, answer.retry_after)
            }
            status => {
                let error = format!("HTTP {status}");
                return ended(DeliveryState::Dead, Some(status), Some(error));
            }
        },
        Err(error @ SendError::Forbidden(_)) => {
            return ended(DeliveryState::Dead, None, Some(error.to_string()));
        }
        Err(error) => (None, error.to_string(), None),
    };
    let pause = Delivery::pause(delivery.attempts + 1).mul_f64(1.0 + 0.2 * jitter);
    let due_at = now.plus(pause.max(wished.unwrap_or_default()));
    let last = delivery.created_at.plus(Delivery::GIVEN_UP_AFTER);
    if due_at > last {
        return ended(DeliveryState::Dead, status, Some(error));
    }
    Outcome {
        state: DeliveryState::Pending,
        status,
        error: Some(error),
        due_at,
    }
}

impl Worker {
    /// Sends until `stop`.
    pub async fn make_deliveries(&self, stop: CancellationToken) {
        let mut trouble = false;
        while !stop.is_cancelled() {
            let done = self.deliver().await;
            // Told once for each time that it goes on.
            if let Err(error) = &done
                && !trouble
            {
                tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "channels are not told"
                );
            }
            trouble = done.is_err();
            let pause = match done {
                Ok(1..) => Duration::ZERO,
                Ok(0) | Err(_) => EVERY,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends what is due now; how many that were.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn deliver(&self) -> Result<usize, StoreError> {
        let Some(courier) = self.courier() else {
            return Ok(0);
        };
        // Asked without taking the turn to write: mostly there is nothing.
        if self.is_a_copy().await? || !self.store().reads().is_delivery_due().await? {
            return Ok(0);
        }
        let tx = self.store().begin().await?;
        let taken = tx.take_deliveries(AT_ONCE, OF_EACH, TAKEN_FOR).await?;
        let mut ready: Vec<(Channel, Delivery, String)> = Vec::with_capacity(taken.len());
        for delivery in taken {
            let Some(channel) = tx.channel(delivery.channel).await? else {
                continue;
            };
            let body = match &delivery.body {
                Some(body) => body.clone(),
                None => {
                    let body = tpm_notify::body(&channel, &delivery);
                    tx.keep_body(delivery.id, &body).await?;
                    body
                }
            };
            ready.push((channel, delivery, body));
        }
        tx.commit().await?;
        let attempts = ready
            .iter()
            .map(|(channel, delivery, body)| self.attempt(courier, channel, delivery, body));
        for done in futures::future::join_all(attempts).await {
            done?;
        }
        Ok(ready.len())
    }

    async fn attempt(
        &self,
        courier: &Courier,
        channel: &Channel,
        delivery: &Delivery,
        body: &str,
    ) -> Result<(), StoreError> {
        let stamp = delivery.stamp.unwrap_or(delivery.created_at);
        let message = tpm_notify::message(&courier.keys, channel, delivery, body, stamp);
        let sent = match courier.keys.opened(channel.clone()) {
            Ok(opened) => {
                let url = opened.spec.url.expose();
                courier.outgoing.post(url, &message).await
            }
            Err(error) => Err(SendError::Failed(format!(
                "the URL of the channel: {error}"
            ))),
        };
        let tx = self.store().begin().await?;
        let outcome = outcome(tx.now(), delivery, &sent, self.random());
        if outcome.state == DeliveryState::Dead {
            tracing::warn!(
                channel = %channel.spec.name,
                message = %message.id,
                error = outcome.error.as_deref().unwrap_or_default(),
                "a message was given up"
            );
        }
        tx.end_attempt(delivery.id, delivery.claim, &outcome)
            .await?;
        tx.commit().await
    }

    /// Forgets messages that ended long ago.
    pub(crate) async fn trim_deliveries(&self) -> Result<u64, StoreError> {
        let tx = self.store().begin().await?;
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let gone = tx.trim_deliveries(Timestamp(tx.now().0 - kept)).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpm_domain::{ChannelId, DeliveryId, UrlFault};

    const DAY: i64 = 24 * 3600 * 1000;

    fn delivery(attempts: u32) -> Delivery {
        Delivery {
            id: DeliveryId(1),
            channel: ChannelId(1),
            notification: None,
            state: DeliveryState::Pending,
            attempts,
            claim: 1,
            due_at: Timestamp(0),
            body: None,
            stamp: None,
            status: None,
            error: None,
            created_at: Timestamp(0),
            ended_at: None,
        }
    }

    fn answered(status: u16, retry_after: Option<u64>) -> Result<Answer, SendError> {
        Ok(Answer {
            status,
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    #[test]
    fn what_was_not_taken_is_tried_again_and_what_was_refused_is_not() {
        use DeliveryState::{Dead, Delivered, Pending};
        for (sent, state, due) in [
            (answered(200, None), Delivered, 0),
            (answered(204, None), Delivered, 0),
            (answered(302, None), Dead, 0),
            (answered(400, None), Dead, 0),
            (answered(404, None), Dead, 0),
            (answered(410, None), Dead, 0),
            (answered(408, None), Pending, 5_000),
            (answered(429, None), Pending, 5_000),
            (answered(429, Some(90)), Pending, 90_000),
            (answered(500, None), Pending, 5_000),
            (answered(503, Some(1)), Pending, 5_000),
            (Err(SendError::Timeout), Pending, 5_000),
            (Err(SendError::Failed("refused".into())), Pending, 5_000),
            (Err(SendError::Forbidden(UrlFault::Address)), Dead, 0),
        ] {
            let came = outcome(Timestamp(0), &delivery(0), &sent, 0.0);
            assert_eq!((came.state, came.due_at.0), (state, due), "{sent:?}");
            assert_eq!(came.error.is_none(), state == Delivered, "{sent:?}");
        }
    }

    #[test]
    fn a_day_is_the_end() {
        let failed = Err(SendError::Timeout);
        let late = outcome(Timestamp(DAY - 1_000), &delivery(9), &failed, 0.5);
        assert_eq!(late.state, DeliveryState::Dead);
        let early = outcome(Timestamp(DAY / 2), &delivery(9), &failed, 0.5);
        assert_eq!(early.state, DeliveryState::Pending);
    }
}
