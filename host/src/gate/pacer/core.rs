//! What decides whether a request may be sent now, as a structure without clock or lock.
//!
//! A reservation takes its units from every window or from none. Between reservation and sending
//! units are *held*: they count in all windows, and a refund costs nothing. Sending dates them.

use std::time::Duration;

use tokio::time::Instant;

use super::pause::Pause;
use super::throttle::Throttle;
use super::window::{Calendar, Sliding};
use crate::config::{Quota, Window};
use crate::gate::breaker::later;
use crate::gate::machine::Moment;
use crate::gate::words::Why;

/// Over how long the rate is seen that a rate answer teaches where no limit is configured.
const OBSERVED: Duration = Duration::from_secs(10);
/// No shorter time tells a rate.
const OBSERVED_SHORTEST: Duration = Duration::from_secs(1);
/// No lower full rate than this is learned, in units per second.
const LEARNED_MIN: f64 = 1.0;
/// No rate is learned from fewer units than this.
const OBSERVED_MIN: u64 = 2;
/// How soon a refused caller may come again at least, so that none does so in a tight loop.
const AGAIN: Duration = Duration::from_millis(1);
/// How soon somebody comes again who waits for the store; the grant wakes him before.
const GRANT_AGAIN: Duration = Duration::from_millis(100);

/// Why nothing may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gate) struct Refusal {
    /// When to ask again.
    pub(in crate::gate) until: Instant,
    /// [`Why::RetryAfter`] or [`Why::Paced`].
    pub(in crate::gate) why: Why,
}

/// The state of one pacer.
///
/// Every method expects that [`Core::advance`] was called with the same moment before.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pub(super) windows: Vec<Sliding>,
    pub(super) quotas: Vec<Calendar>,
    /// What was sent lately, where no window tells.
    observed: Option<Sliding>,
    throttle: Option<Throttle>,
    pub(super) pause: Pause,
    /// Units that are reserved and not sent.
    held: u64,
    /// Units that callers wait for who go before everyone who asks now.
    waiting: u64,
    /// Units that may be reserved until the store has granted more; `None`: there is no store, or
    /// nothing that it must keep.
    pub(super) granted: Option<u64>,
    /// Most units of one request that the grant was too small for.
    pub(super) demand: u64,
    /// Somebody was refused who may be waiting to be told of units that are given back.
    refused: bool,
}

impl Core {
    pub(super) fn new(windows: &[Window], quotas: &[Quota], now: Moment) -> Self {
        let mut windows: Vec<_> = windows
            .iter()
            .map(|window| Sliding::new(*window, now.at))
            .collect();
        // The shortest first: it is the one that most often refuses.
        windows.sort_by_key(Sliding::per);
        let quotas = quotas.iter();
        Self {
            observed: windows.is_empty().then(|| observer(now.at)),
            windows,
            quotas: quotas
                .map(|quota| Calendar::new(*quota, now.unix_ms))
                .collect(),
            throttle: None,
            pause: Pause::default(),
            held: 0,
            waiting: 0,
            granted: None,
            demand: 0,
            refused: false,
        }
    }

    /// Ends what has ended by `now`.
    pub(super) fn advance(&mut self, now: Moment) {
        for window in self.windows.iter_mut().chain(&mut self.observed) {
            window.advance(now.at);
        }
        for quota in &mut self.quotas {
            quota.advance(now.unix_ms);
        }
        if self.throttle.as_ref().is_some_and(|it| it.is_over(now.at)) {
            self.throttle = None;
        }
    }

    /// Why `weight` units cannot be reserved now; `behind`: after those who wait.
    pub(super) fn refusal(&self, weight: u64, behind: bool, now: Moment) -> Option<Refusal> {
        let mut paced = self.room(weight, behind, now);
        if let Some(throttle) = &self.throttle {
            paced = paced.max(Some(throttle.next()).filter(|next| *next > now.at));
        }
        if self.granted.is_some_and(|granted| granted < weight) {
            paced = paced.max(Some(later(now.at, GRANT_AGAIN)));
        }
        let paused = self.pause.until(now.at);
        let (until, why) = match (paced, paused) {
            (None, None) => return None,
            (paced, Some(paused)) if paced.is_none_or(|paced| paced <= paused) => {
                (paused, Why::RetryAfter)
            }
            (Some(paced), _) => (paced, Why::Paced),
            (None, Some(paused)) => (paused, Why::RetryAfter),
        };
        Some(Refusal {
            until: until.max(later(now.at, AGAIN)),
            why,
        })
    }

    /// When windows and quotas have room; `None`: now.
    fn room(&self, weight: u64, behind: bool, now: Moment) -> Option<Instant> {
        let before = if behind { self.waiting } else { 0 };
        let mut until = None;
        for window in &self.windows {
            // A window that is empty takes any weight, but not past those who wait for that.
            let overtakes = before > 0 && before + weight > window.count();
            if overtakes || !window.fits(before + weight, self.held) {
                until = until.max(Some(window.earliest(before + weight, self.held, now.at)));
            }
        }
        for quota in &self.quotas {
            if !quota.fits(before + weight, self.held) {
                until = until.max(Some(later(now.at, quota.renews_in(now.unix_ms))));
            }
        }
        until
    }

    /// Takes `weight` units from every window, or none.
    pub(super) fn reserve(
        &mut self,
        weight: u64,
        behind: bool,
        now: Moment,
    ) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal(weight, behind, now) {
            return Err(refusal);
        }
        self.held += weight;
        if let Some(throttle) = &mut self.throttle {
            throttle.spend(weight, now.at);
        }
        if let Some(granted) = &mut self.granted {
            *granted -= weight;
        }
        Ok(())
    }

    /// Somebody was refused.
    pub(super) fn note_refusal(&mut self) {
        self.refused = true;
    }

    /// Gives back what was reserved and never sent; whether somebody may wait for it.
    pub(super) fn refund(&mut self, weight: u64, now: Moment) -> bool {
        self.held -= weight;
        if let Some(throttle) = &mut self.throttle {
            throttle.refund(weight, now.at);
        }
        if let Some(granted) = &mut self.granted {
            *granted += weight;
        }
        std::mem::take(&mut self.refused)
    }

    /// What was reserved is sent now.
    pub(super) fn send(&mut self, weight: u64, now: Moment) {
        self.held -= weight;
        for window in self.windows.iter_mut().chain(&mut self.observed) {
            window.spend(weight, now.at);
        }
        for quota in &mut self.quotas {
            quota.spend(weight);
        }
    }

    /// The answer to what was sent at `sent` is there.
    pub(super) fn answered(&mut self, weight: u64, sent: Instant, now: Moment) {
        for window in self.windows.iter_mut().chain(&mut self.observed) {
            window.answered(weight, sent, now.at);
        }
    }

    /// It was a good one.
    pub(super) fn good_answer(&mut self, sent: Instant) {
        if let Some(throttle) = &mut self.throttle {
            throttle.raise(sent);
        }
    }

    /// A rate answer to what was sent at `sent`, which came at `asked`.
    pub(super) fn rate_answer(
        &mut self,
        told: Option<Duration>,
        sent: Instant,
        asked: Instant,
        now: Moment,
    ) {
        self.pause.ask(told, sent, asked);
        if let Some(throttle) = &mut self.throttle {
            throttle.cut(sent, now.at);
        } else if let Some(full_per_s) = self.full_per_s(now.at) {
            let learned = self.windows.is_empty();
            self.throttle = Some(Throttle::new(full_per_s, learned, now.at));
        }
    }

    /// The fastest rate that is configured, else the one that is seen.
    fn full_per_s(&self, now: Instant) -> Option<f64> {
        if let Some(observed) = &self.observed {
            let seen = observed.spent();
            // Who has just begun was as fast as it was, not as slow as if it had been idle before.
            let (since, _) = observed.slices().next()?;
            let span = now.saturating_duration_since(since);
            let span = span.clamp(OBSERVED_SHORTEST, OBSERVED);
            let enough = seen >= OBSERVED_MIN;
            return enough.then(|| per_s(seen, span).max(LEARNED_MIN));
        }
        let rates = self.windows.iter();
        rates
            .map(|window| per_s(window.count(), window.per()))
            .max_by(f64::total_cmp)
    }

    /// Somebody waits for `weight` units.
    pub(super) fn wait(&mut self, weight: u64) {
        self.waiting += weight;
    }

    /// He got them, or went away.
    pub(super) fn wait_no_more(&mut self, weight: u64) {
        self.waiting -= weight;
    }

    pub(super) fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    pub(super) fn throttle(&self) -> Option<&Throttle> {
        self.throttle.as_ref()
    }
}

fn observer(now: Instant) -> Sliding {
    let unlimited = Window {
        count: u32::MAX,
        per: OBSERVED,
    };
    Sliding::new(unlimited, now)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn per_s(units: u64, per: Duration) -> f64 {
    units as f64 / per.as_secs_f64()
}
