//! Additive increase, multiplicative decrease: a rate below the configured one, after rate answers.
//!
//! A rate answer halves the rate; good answers bring it back step by step, so that a limit that is
//! set too high is found again and again, but rarely: some 64 good answers lie between two cuts.
//! The rate is kept by the distance between calls, not by a window: a halved window of an hour
//! could shut a provider for that hour.

use std::time::Duration;

use tokio::time::Instant;

use crate::gate::breaker::later;

/// The share of the rate that is left after a rate answer.
const CUT: f64 = 0.5;
/// No more rate answers bring the share below this.
const SHARE_MIN: f64 = 1.0 / 64.0;
/// Good answers that undo a cut.
const ANSWERS_PER_CUT: f64 = 64.0;
/// Longest distance between two calls, however slow the rate became.
const DISTANCE_MAX: Duration = Duration::from_secs(60);
/// How long a rate is remembered that was learned and not configured, after the last rate answer.
const LEARNED_FOR: Duration = Duration::from_secs(10 * 60);

/// A reduced rate.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    /// Units in a second at full rate.
    full_per_s: f64,
    /// Whether the full rate was seen and not configured.
    learned: bool,
    share: f64,
    step: f64,
    cut_at: Instant,
    next: Instant,
}

impl Throttle {
    /// What the first rate answer makes of a full rate.
    pub(super) fn new(full_per_s: f64, learned: bool, now: Instant) -> Self {
        let mut throttle = Self {
            full_per_s,
            learned,
            share: 1.0,
            step: 0.0,
            cut_at: now,
            next: now,
        };
        throttle.halve(now);
        throttle
    }

    /// A rate answer to what was sent at `sent`; of what was under way together only the first
    /// answer counts.
    pub(super) fn cut(&mut self, sent: Instant, now: Instant) {
        if sent > self.cut_at {
            self.halve(now);
        }
    }

    fn halve(&mut self, now: Instant) {
        self.share = (self.share * CUT).max(SHARE_MIN);
        self.step = self.share / ANSWERS_PER_CUT;
        self.cut_at = now;
        self.next = self.next.max(later(now, self.distance(1)));
    }

    /// A good answer to what was sent at `sent`.
    pub(super) fn raise(&mut self, sent: Instant) {
        if sent > self.cut_at {
            self.share = (self.share + self.step).min(1.0);
        }
    }

    /// Whether the full rate holds again, or what was learned is too old.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let is_old = now.saturating_duration_since(self.cut_at) >= LEARNED_FOR;
        self.share >= 1.0 || (self.learned && is_old)
    }

    /// When the next call may be sent.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn spend(&mut self, weight: u64, now: Instant) {
        self.next = later(self.next.max(now), self.distance(weight));
    }

    pub(super) fn refund(&mut self, weight: u64, now: Instant) {
        let back = self.next.checked_sub(self.distance(weight));
        self.next = back.unwrap_or(now).max(now);
    }

    /// The share of the full rate that is in use.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// Units in a second now.
    pub(super) fn per_s(&self) -> f64 {
        self.full_per_s * self.share
    }

    #[expect(clippy::cast_precision_loss, reason = "a weight is far below 2^52")]
    fn distance(&self, weight: u64) -> Duration {
        Duration::try_from_secs_f64(weight as f64 / self.per_s())
            .unwrap_or(DISTANCE_MAX)
            .min(DISTANCE_MAX)
    }
}
