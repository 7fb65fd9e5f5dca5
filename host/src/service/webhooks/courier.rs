//! One webhook's way through the events: one at a time, again until it was taken.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::filter_of;
use super::message::Message;
use crate::clock::SharedClock;
use crate::config::Webhook;
use crate::http::{
    Method, RETRY_AFTER_MAX, Transport, TransportError, WireRequest, WireResponse,
    parse_retry_after,
};
use crate::ledger::{Ledger, LedgerError, StoredEvent, WebhookRow};

/// Events read at once.
const PAGE: u32 = 100;
/// Events of others after which the place is written down: they can leave the store then.
const PASSED_MAX: i64 = 500;
/// After the first failure, and at most.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(10 * 60);
/// Bytes of an answer that are read, so that the connection can be used again.
const ANSWER_MAX: usize = 64 << 10;
/// What an attempt that is under way gets at the end of the service.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// After the store could not be read or written.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// Carries events to one receiver.
pub(super) struct Courier {
    pub(super) ledger: Ledger,
    pub(super) clock: SharedClock,
    pub(super) random: fastrand::Rng,
    pub(super) webhook: Webhook,
    pub(super) transport: Arc<dyn Transport>,
    /// Whatever was waited for is over: the operator changed something.
    pub(super) at_once: bool,
    /// The last event was passed over.
    pub(super) passes_over: bool,
}

/// What came of an attempt.
enum Outcome {
    Delivered,
    /// The receiver wants nothing any more.
    Gone,
    Failed {
        why: String,
        retry_after: Option<Duration>,
    },
}

// === impl Courier ===

impl Courier {
    /// Runs until it is told to stop, or the receiver is gone.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            match self.work(&stop).await {
                Ok(()) | Err(LedgerError::Closed) => return,
                Err(error) => {
                    let name = &self.webhook.name;
                    tracing::warn!(webhook = %name, "webhook `{name}` waits for the store: {}", crate::causes::with_causes(&error));
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(STORE_WAIT) => {}
            }
        }
    }

    async fn work(&mut self, stop: &CancellationToken) -> Result<(), LedgerError> {
        let fingerprint = self.webhook.fingerprint();
        let begun = self
            .ledger
            .begin_webhook(&self.webhook.name, fingerprint, self.at_once);
        let mut row = begun.await?;
        self.at_once = false;
        let filter = filter_of(&self.webhook);
        let mut newest = self.ledger.newest_event();
        let mut saved = row.cursor;
        while !row.gone && !stop.is_cancelled() {
            self.wait(&mut row, stop).await;
            let up_to = *newest.borrow_and_update();
            let page = self.ledger.events_after(row.cursor, &filter, PAGE).await?;
            if page.is_empty() {
                row.cursor = row.cursor.max(up_to);
                if row.cursor - saved >= PASSED_MAX {
                    saved = row.cursor;
                    self.ledger.save_webhook(row.clone()).await?;
                }
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    changed = newest.changed() => if changed.is_err() { return Ok(()) },
                }
                continue;
            }
            for event in page {
                if stop.is_cancelled() {
                    return Ok(());
                }
                if !self.carry(&mut row, &event, stop).await? {
                    break;
                }
                saved = row.cursor;
            }
        }
        Ok(())
    }

    /// Waits until the next attempt may be made.
    async fn wait(&self, row: &mut WebhookRow, stop: &CancellationToken) {
        let Some(at) = row.next_attempt.take() else {
            return;
        };
        let wait = at.saturating_sub(self.clock.unix_ms());
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        // The machine's clock may have been set back.
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait.min(RETRY_AFTER_MAX)) => {}
        }
    }

    /// Whether the event is dealt with; the place is written down then.
    async fn carry(
        &mut self,
        row: &mut WebhookRow,
        event: &StoredEvent,
        stop: &CancellationToken,
    ) -> Result<bool, LedgerError> {
        let name = self.webhook.name.clone();
        let age = self.clock.unix_ms().saturating_sub(event.at);
        let expires = i64::try_from(self.webhook.expires.as_millis()).unwrap_or(i64::MAX);
        let message = Message::of(event).filter(|_| age < expires);
        let Some(message) = message else {
            if !std::mem::replace(&mut self.passes_over, true) {
                tracing::warn!(webhook = %name, event = event.id, "webhook `{name}` passes over events that could not be delivered in time");
            }
            row.cursor = event.id;
            row.skipped += 1;
            self.ledger.save_webhook(row.clone()).await?;
            return Ok(true);
        };
        self.passes_over = false;
        let outcome = tokio::select! {
            outcome = self.attempt(&message) => outcome,
            () = after(stop, LAST_WAIT) => return Ok(false),
        };
        let now = self.clock.unix_ms();
        let delivered = match outcome {
            Outcome::Delivered => {
                if row.failures > 0 {
                    tracing::info!(webhook = %name, "webhook `{name}` is delivered to again");
                }
                row.cursor = event.id;
                row.delivered += 1;
                row.failures = 0;
                row.last_success = Some(now);
                true
            }
            Outcome::Gone => {
                tracing::error!(webhook = %name, "webhook `{name}`: the receiver answered 410, and is not told any more until the configuration changes");
                row.gone = true;
                row.failures += 1;
                row.last_error = Some(now);
                row.last_error_msg = Some("the receiver answered 410 Gone".to_owned());
                false
            }
            Outcome::Failed { why, retry_after } => {
                if row.failures == 0 {
                    tracing::warn!(webhook = %name, event = event.id, "webhook `{name}` fails and is tried again: {why}");
                }
                row.failures += 1;
                row.last_error = Some(now);
                row.last_error_msg = Some(why);
                let wait = self
                    .backoff(row.failures)
                    .max(retry_after.unwrap_or_default());
                let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                row.next_attempt = Some(now.saturating_add(wait));
                false
            }
        };
        self.ledger.save_webhook(row.clone()).await?;
        Ok(delivered)
    }

    /// Doubled with each failure; of it the second half is left to chance.
    fn backoff(&mut self, failures: u64) -> Duration {
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        let whole = BACKOFF.saturating_mul(factor).min(BACKOFF_MAX);
        whole / 2 + (whole / 2).mul_f64(self.random.f64())
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let now_unix = self.clock.unix_ms().div_euclid(1_000);
        let request = WireRequest {
            method: Method::Post,
            url: self.webhook.url.expose().clone(),
            headers: message.headers(&self.webhook.key(), now_unix),
            body: message.body.clone(),
            safe_url: self.webhook.url.origin(),
        };
        let failed = |why: String| Outcome::Failed {
            why,
            retry_after: None,
        };
        let exchange = exchange(&*self.transport, request);
        let answer = match tokio::time::timeout(self.webhook.timeout, exchange).await {
            Err(_) => {
                let timeout = crate::config::format_duration(self.webhook.timeout);
                return failed(format!("the receiver did not answer within {timeout}"));
            }
            Ok(Err(error)) => return failed(format!("the receiver was not reached: {error}")),
            Ok(Ok(answer)) => answer,
        };
        match answer.status {
            200..=299 => Outcome::Delivered,
            410 => Outcome::Gone,
            status @ 300..=399 => failed(format!(
                "the receiver answered {status}; redirects are not followed, write the new address"
            )),
            status => {
                let header = answer
                    .headers
                    .iter()
                    .find(|(name, _)| name == "retry-after");
                let retry_after = header.and_then(|(_, value)| parse_retry_after(value, now_unix));
                Outcome::Failed {
                    why: format!("the receiver answered {status}"),
                    retry_after,
                }
            }
        }
    }
}

/// Sends, and reads what comes back to its end if that is near; only the head is of interest.
async fn exchange(
    transport: &dyn Transport,
    request: WireRequest,
) -> Result<WireResponse, TransportError> {
    let mut answer = transport.send(request).await?;
    let mut read = 0;
    while let Some(Ok(part)) = answer.body.next().await {
        read += part.len();
        if read > ANSWER_MAX {
            break;
        }
    }
    Ok(answer)
}

/// Ends some time after the sign to stop.
async fn after(stop: &CancellationToken, wait: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(wait).await;
}
