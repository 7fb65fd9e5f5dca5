//! The slots of one call's requests.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Pacer;
use crate::clock::rfc3339;
use crate::gate::words::Why;

/// The longest that one request waits within a call; a call that would wait longer ends, so that
/// its cells go to another provider.
pub const WAIT_MAX: Duration = Duration::from_secs(2 * 60);
/// The longest that it waits for the end of a pause that the provider asked for: others may answer
/// meanwhile.
const PAUSE_WAIT_MAX: Duration = Duration::from_secs(2);

/// What a call may send; clones belong to the same call.
///
/// Whoever sends a request takes a [`Slot`] for it right before, and tells the slot how it was
/// answered. Usable without HTTP: scripted providers are paced by the same rules.
#[derive(Clone, Debug)]
pub struct RequestSlots {
    call: Arc<CallSlots>,
}

#[derive(Debug)]
struct CallSlots {
    pacer: Pacer,
    /// The slot that came with the permit.
    first: Mutex<Option<Held>>,
    waits: Mutex<Waits>,
    wait_ended: Notify,
    /// Requests that the call was planned to make; its wait in all is bounded by them.
    requests: AtomicU32,
    /// When a request of the call was last answered with a rate answer.
    rate_answer: Mutex<Option<Instant>>,
    gave_up: AtomicBool,
}

/// How long a call has waited for slots and connections, whichever of its requests did.
#[derive(Debug, Default)]
struct Waits {
    /// Requests that wait now.
    now: u32,
    since: Option<Instant>,
    ended: Duration,
}

/// Units that are reserved; dropping them unsent gives them back.
#[derive(Debug)]
pub(in crate::gate) struct Held {
    pacer: Pacer,
    weight: u64,
    sent: bool,
}

/// The right to send one request, taken: it is counted whatever becomes of it.
///
/// Dropping it without a word counts it as sent and not answered.
#[derive(Debug)]
#[must_use = "tell the slot how its request was answered"]
pub struct Slot {
    pacer: Pacer,
    call: Arc<CallSlots>,
    weight: u64,
    sent: Instant,
}

/// A request was not sent: its limits leave no room for it soon enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sent: {}{}", match .why {
    Why::RetryAfter => "the provider asked for a pause that is too long to wait within a call",
    _ => "the provider's limits leave no room for it soon enough",
}, until_when(*.opens))]
pub struct PacedOut {
    /// [`Why::RetryAfter`] or [`Why::Paced`].
    pub why: Why,
    /// When there may be room.
    pub until: Instant,
    /// The same in milliseconds since 1970, where it is more than when this call stops to wait.
    pub opens: Option<i64>,
}

/// Counts a request as waiting for us, not for the provider.
struct Wait<'a>(&'a CallSlots);

/// Keeps callers at the gate behind a request that waits.
struct Queued<'a> {
    pacer: &'a Pacer,
    weight: u64,
    served: bool,
}

// === impl RequestSlots ===

impl RequestSlots {
    /// The slots of a call that passed no gate.
    #[must_use]
    pub fn of(pacer: &Pacer) -> Self {
        Self::with_first(pacer.clone(), None)
    }

    pub(in crate::gate) fn with_first(pacer: Pacer, first: Option<Held>) -> Self {
        Self {
            call: Arc::new(CallSlots {
                pacer,
                first: Mutex::new(first),
                waits: Mutex::default(),
                wait_ended: Notify::new(),
                requests: AtomicU32::new(0),
                rate_answer: Mutex::default(),
                gave_up: AtomicBool::new(false),
            }),
        }
    }

    /// The call is going to make that many requests, so that its wait in all may be so much longer.
    pub fn expect(&self, requests: u32) {
        self.call.requests.fetch_add(requests, Ordering::Relaxed);
    }

    /// Takes the slot of a request of `weight` units (0 is 1) that is sent right after.
    ///
    /// Waits in turn where there is no room: no request of a call overtakes another, and no call
    /// at the gate overtakes either.
    ///
    /// # Errors
    ///
    /// [`PacedOut`] when the wait would be longer than [`WAIT_MAX`]; nothing was counted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future counts nothing.
    pub async fn take(&self, weight: u32) -> Result<Slot, PacedOut> {
        let weight = u64::from(weight.max(1));
        let call = &*self.call;
        let first = lock(&call.first).take();
        if let Some(held) = first.filter(|held| held.weight == weight)
            && let Some(slot) = self.send(held)
        {
            return Ok(slot);
        }
        // What came with the permit was given back: units are taken all at once or not at all.
        let give_up = self.give_up_at();
        let mut queued = Queued::new(&call.pacer, weight);
        let mut wait = None;
        let turns = &call.pacer.shared.turn;
        let _turn = match turns.try_acquire() {
            Ok(turn) => turn,
            Err(_) => {
                wait = Some(Wait::begin(call));
                match timeout_at(give_up, turns.acquire()).await {
                    Ok(Ok(turn)) => turn,
                    // Nobody closes it.
                    Ok(Err(_)) | Err(_) => return Err(self.give_up(Why::Paced, give_up)),
                }
            }
        };
        loop {
            let mut changed = call.pacer.shared.changed.subscribe();
            let refusal = match call.pacer.reserve_units(weight, false) {
                Ok(held) => match self.send(held) {
                    Some(slot) => {
                        queued.served = true;
                        return Ok(slot);
                    }
                    None => continue,
                },
                Err(refusal) => refusal,
            };
            let give_up = match refusal.why {
                Why::RetryAfter => give_up.min(call.pacer.shared.clock.now() + PAUSE_WAIT_MAX),
                _ => give_up,
            };
            if refusal.until > give_up {
                let opens = call.pacer.with(|_, now| now.wall(refusal.until));
                return Err(PacedOut {
                    opens: Some(opens),
                    ..self.give_up(refusal.why, refusal.until)
                });
            }
            wait.get_or_insert_with(|| Wait::begin(call));
            tokio::select! {
                () = sleep_until(refusal.until) => {}
                // The pacer lives as long as this call.
                _ = changed.changed() => {}
            }
        }
    }

    /// Takes one of the connections that all who share the pacer have together.
    ///
    /// # Errors
    ///
    /// [`PacedOut`] when the wait would be longer than [`WAIT_MAX`].
    pub async fn connection(&self) -> Result<Option<OwnedSemaphorePermit>, PacedOut> {
        let Some(connections) = self.call.pacer.shared.connections.clone() else {
            return Ok(None);
        };
        if let Ok(connection) = connections.clone().try_acquire_owned() {
            return Ok(Some(connection));
        }
        let give_up = self.give_up_at();
        let _wait = Wait::begin(&self.call);
        match timeout_at(give_up, connections.acquire_owned()).await {
            Ok(connection) => Ok(connection.ok()),
            Err(_) => Err(self.give_up(Why::Paced, give_up)),
        }
    }

    /// Runs a wait that is ours, not the provider's.
    pub async fn waiting<T>(&self, wait: impl Future<Output = T>) -> T {
        let _wait = Wait::begin(&self.call);
        wait.await
    }

    /// How long the call has waited for slots and connections so far.
    #[must_use]
    pub fn waited(&self) -> Duration {
        let waits = lock(&self.call.waits);
        waits.ended + self.call.since(waits.since)
    }

    /// Returns once no request of the call waits for a slot or a connection.
    pub async fn wait_ended(&self) {
        loop {
            let ended = self.call.wait_ended.notified();
            tokio::pin!(ended);
            // Registered before the look, so that no end is missed in between.
            ended.as_mut().enable();
            if lock(&self.call.waits).now == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Gives back the slot that came with the permit, if no request took it.
    pub(in crate::gate) fn close(&self) {
        drop(lock(&self.call.first).take());
    }

    /// The call as a whole was answered with a rate answer, after it began at `begun`.
    ///
    /// What a request has told already is not told twice: a pause that the call names is counted
    /// from that answer. A call that gave up waiting has no answer to tell.
    pub(in crate::gate) fn rate_answer(&self, told: Option<Duration>, begun: Instant) {
        let pacer = &self.call.pacer;
        let before = *lock(&self.call.rate_answer);
        match (before, told) {
            (Some(asked), Some(told)) => pacer.rate_answer_of(Some(told), begun, asked),
            (Some(_), None) => {}
            (None, _) if self.call.gave_up.load(Ordering::Acquire) => {}
            (None, told) => pacer.rate_answer(told, begun),
        }
    }

    fn send(&self, held: Held) -> Option<Slot> {
        let (weight, pacer) = (held.weight, held.pacer.clone());
        held.send().map(|sent| Slot {
            pacer,
            call: self.call.clone(),
            weight,
            sent,
        })
    }

    fn give_up_at(&self) -> Instant {
        let requests = self.call.requests.load(Ordering::Relaxed);
        let in_all = WAIT_MAX.saturating_mul(requests.saturating_add(1));
        let left = in_all.saturating_sub(self.waited());
        self.call.pacer.shared.clock.now() + WAIT_MAX.min(left)
    }

    fn give_up(&self, why: Why, until: Instant) -> PacedOut {
        self.call.gave_up.store(true, Ordering::Release);
        PacedOut {
            why,
            until,
            opens: None,
        }
    }
}

impl CallSlots {
    fn since(&self, since: Option<Instant>) -> Duration {
        since.map_or(Duration::ZERO, |since| {
            let now = self.pacer.shared.clock.now();
            now.saturating_duration_since(since)
        })
    }
}

// === impl Held ===

impl Held {
    pub(super) fn new(pacer: Pacer, weight: u64) -> Self {
        Self {
            pacer,
            weight,
            sent: false,
        }
    }

    /// Counts the units as sent now; `None`, and given back, where the provider asked for a pause
    /// meanwhile.
    fn send(mut self) -> Option<Instant> {
        let weight = self.weight;
        let sent = self.pacer.with(|core, now| {
            let paused = core.pause.until(now.at).is_some();
            (!paused).then(|| {
                core.send(weight, now);
                now.at
            })
        });
        self.sent = sent.is_some();
        sent
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.sent {
            let weight = self.weight;
            if self.pacer.with(|core, now| core.refund(weight, now)) {
                self.pacer.wake();
            }
        }
    }
}

// === impl Slot ===

impl Slot {
    /// The request was answered well.
    pub fn answered(self) {
        let (weight, sent) = (self.weight, self.sent);
        self.pacer.with(|core, now| {
            core.answered(weight, sent, now);
            core.good_answer(sent);
        });
    }

    /// The request was answered, but not well, and not with a rate answer; or it failed.
    pub fn ended(self) {
        let (weight, sent) = (self.weight, self.sent);
        self.pacer
            .with(|core, now| core.answered(weight, sent, now));
    }

    /// The request was answered with a rate answer that asks for a pause of `told`.
    pub fn rate_limited(self, told: Option<Duration>) {
        let (weight, sent) = (self.weight, self.sent);
        self.pacer
            .with(|core, now| core.answered(weight, sent, now));
        *lock(&self.call.rate_answer) = Some(self.pacer.shared.clock.now());
        self.pacer.rate_answer(told, sent);
    }
}

// === impl Wait ===

impl<'a> Wait<'a> {
    fn begin(call: &'a CallSlots) -> Self {
        let mut waits = lock(&call.waits);
        if waits.now == 0 {
            waits.since = Some(call.pacer.shared.clock.now());
        }
        waits.now += 1;
        Self(call)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waits = lock(&self.0.waits);
        waits.now -= 1;
        if waits.now == 0 {
            let since = waits.since.take();
            waits.ended += self.0.since(since);
            self.0.wait_ended.notify_waiters();
        }
    }
}

// === impl Queued ===

impl<'a> Queued<'a> {
    fn new(pacer: &'a Pacer, weight: u64) -> Self {
        pacer.with(|core, _| core.wait(weight));
        Self {
            pacer,
            weight,
            served: false,
        }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.pacer.with(|core, _| core.wait_no_more(self.weight));
        if !self.served {
            self.pacer.wake();
        }
    }
}

fn until_when(at: Option<i64>) -> String {
    at.map_or_else(String::new, |at| format!(" (until {})", rfc3339(at)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
