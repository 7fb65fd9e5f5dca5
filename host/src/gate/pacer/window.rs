//! Windows: at most so many units in any stretch of time, and quotas by the calendar.
//!
//! A [`Sliding`] window keeps what was spent in a ring of slices, so its size does not depend on
//! its count, and a running sum, so a look at it does not walk the ring. A unit is dated to the end
//! of its slice and is free again `per` and a margin after that: whatever stretch of `per` somebody
//! looks at, no more than `count` units were sent in it.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::{Quota, QuotaPeriod, Window};
use crate::gate::breaker::later;

/// Parts that a window is divided into; what is lost of the rate is one part in so many.
const SLICES: u32 = 128;
/// Of the window: how long after `per` a unit is free again, for clocks that differ a little.
const MARGIN_PART: u32 = 256;
/// No window waits longer than this for that reason.
const MARGIN_MAX: Duration = Duration::from_secs(1);
/// Of the window: how much later than it was sent a unit may have been counted by the server. It is
/// dated that much later until its answer shows that it was counted before.
const LATE_PART: u32 = 100;
/// Longest such time.
const LATE_MAX: Duration = Duration::from_secs(60);
/// Slices that are kept: a window, the lateness, the margin, and both broken ends.
const RING: usize = SLICES as usize + 8;
/// How long after midnight a new day's quota is used, for clocks that differ a little.
const QUOTA_MARGIN_MS: i64 = 2_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// At most `count` units in any stretch of `per`.
#[derive(Clone, Debug)]
pub(super) struct Sliding {
    window: Window,
    count: u64,
    per: Duration,
    /// Where slice 0 begins.
    start: Instant,
    slice_ns: u64,
    margin: Duration,
    late: Duration,
    // Invariant: slice number n stands at `n % RING`, all others of the ring are zero.
    ring: Box<[u64; RING]>,
    /// No slice before this one holds anything.
    oldest: u64,
    /// No slice after this one holds anything.
    newest: u64,
    sum: u64,
}

/// At most `count` units in a day or month of the calendar, in UTC.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    quota: Quota,
    start_ms: i64,
    spent: u64,
}

// === impl Sliding ===

impl Sliding {
    pub(super) fn new(window: Window, now: Instant) -> Self {
        let per = window.per;
        let per_ns = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        let slice_ns = per_ns.div_ceil(u64::from(SLICES)).max(1);
        Self {
            window,
            count: u64::from(window.count),
            per,
            start: now,
            slice_ns,
            margin: (per / MARGIN_PART).min(MARGIN_MAX),
            late: (per / LATE_PART).min(LATE_MAX),
            ring: Box::new([0; RING]),
            oldest: 0,
            newest: 0,
            sum: 0,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn per(&self) -> Duration {
        self.per
    }

    pub(super) fn window(&self) -> Window {
        self.window
    }

    /// Units that are not free again.
    pub(super) fn spent(&self) -> u64 {
        self.sum
    }

    /// Gives back what is free again at `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        while self.sum > 0 {
            let at = self.at(self.oldest);
            if self.ring[at] > 0 {
                if self.frees(self.oldest) > now {
                    return;
                }
                self.sum -= self.ring[at];
                self.ring[at] = 0;
            }
            self.oldest += 1;
        }
        let current = self.slice(now);
        self.oldest = self.oldest.max(current);
        self.newest = self.newest.max(current);
    }

    /// Whether `weight` more units fit beside the `held` ones that are not sent.
    ///
    /// More than the window ever holds fits when it is empty.
    pub(super) fn fits(&self, weight: u64, held: u64) -> bool {
        let used = self.sum + held;
        used + weight <= self.count || (used == 0 && weight > self.count)
    }

    /// When that could be so, if what is held were sent now and no other unit were spent.
    pub(super) fn earliest(&self, weight: u64, held: u64, now: Instant) -> Instant {
        let used = self.sum + held;
        let mut excess = (used + weight).saturating_sub(self.count).min(used);
        for slice in self.oldest..=self.newest {
            let units = self.ring[self.at(slice)];
            if units >= excess {
                return self.frees(slice);
            }
            excess -= units;
        }
        self.frees(self.slice(later(now, self.late)))
    }

    /// Spends units that are sent now.
    pub(super) fn spend(&mut self, weight: u64, now: Instant) {
        let slice = self.slice(later(now, self.late));
        self.put(slice, weight);
    }

    /// The answer to units that were sent then is there: they were counted by now.
    pub(super) fn answered(&mut self, weight: u64, sent: Instant, now: Instant) {
        let dated = later(sent, self.late);
        if now >= dated {
            return;
        }
        let (from, to) = (self.slice(dated), self.slice(now));
        let at = self.at(from);
        if from > to && (self.oldest..=self.newest).contains(&from) && self.ring[at] >= weight {
            self.ring[at] -= weight;
            self.sum -= weight;
            self.put(to, weight);
        }
    }

    /// Spends units of an earlier run, dated as far back as `ago`; what is free again is not.
    pub(super) fn spend_before(&mut self, weight: u64, ago: Duration, now: Instant) {
        // A clock that cannot tell a time before it was started dates them to now.
        let at = now.checked_sub(ago).unwrap_or(now);
        if at < self.start {
            return;
        }
        let slice = self.slice(at);
        if self.frees(slice) > now {
            self.put(slice, weight);
        }
    }

    /// Moves the beginning of time back by a window, to make room for what was spent before.
    pub(super) fn begin_before(&mut self) {
        let span = self.per + self.margin;
        if let Some(start) = self.start.checked_sub(span) {
            self.start = start;
        }
    }

    /// What is spent, each with the time to which it is dated.
    pub(super) fn slices(&self) -> impl Iterator<Item = (Instant, u64)> + '_ {
        (self.oldest..=self.newest)
            .map(|slice| (slice, self.ring[self.at(slice)]))
            .filter(|(_, units)| *units > 0)
            .map(|(slice, units)| (self.ends(slice), units))
    }

    fn put(&mut self, slice: u64, weight: u64) {
        if self.sum == 0 {
            (self.oldest, self.newest) = (slice, slice);
        }
        self.oldest = self.oldest.min(slice);
        self.newest = self.newest.max(slice);
        let at = self.at(slice);
        self.ring[at] += weight;
        self.sum += weight;
    }

    #[expect(clippy::cast_possible_truncation, reason = "a remainder of RING")]
    fn at(&self, slice: u64) -> usize {
        (slice % RING as u64) as usize
    }

    fn slice(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(since).unwrap_or(u64::MAX) / self.slice_ns
    }

    fn ends(&self, slice: u64) -> Instant {
        let ns = self.slice_ns.saturating_mul(slice.saturating_add(1));
        later(self.start, Duration::from_nanos(ns))
    }

    fn frees(&self, slice: u64) -> Instant {
        later(self.ends(slice), self.per + self.margin)
    }
}

// === impl Calendar ===

impl Calendar {
    pub(super) fn new(quota: Quota, unix_ms: i64) -> Self {
        Self {
            quota,
            start_ms: begins(quota.period, unix_ms - QUOTA_MARGIN_MS),
            spent: 0,
        }
    }

    pub(super) fn quota(&self) -> Quota {
        self.quota
    }

    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    pub(super) fn start_ms(&self) -> i64 {
        self.start_ms
    }

    /// Begins a new period when it is time; a clock that went back begins none.
    pub(super) fn advance(&mut self, unix_ms: i64) {
        let start_ms = begins(self.quota.period, unix_ms - QUOTA_MARGIN_MS);
        if start_ms > self.start_ms {
            self.start_ms = start_ms;
            self.spent = 0;
        }
    }

    pub(super) fn fits(&self, weight: u64, held: u64) -> bool {
        let (used, count) = (self.spent + held, u64::from(self.quota.count));
        used + weight <= count || (used == 0 && weight > count)
    }

    /// How long it is until a new period.
    pub(super) fn renews_in(&self, unix_ms: i64) -> Duration {
        let ends_ms = ends(self.quota.period, self.start_ms) + QUOTA_MARGIN_MS;
        Duration::from_millis(u64::try_from(ends_ms - unix_ms).unwrap_or(0).max(1))
    }

    pub(super) fn spend(&mut self, weight: u64) {
        self.spent += weight;
    }
}

/// The beginning of the period that `unix_ms` lies in.
pub(super) fn begins(period: QuotaPeriod, unix_ms: i64) -> i64 {
    let day_ms = unix_ms - unix_ms.rem_euclid(DAY_MS);
    match (period, date(unix_ms)) {
        (QuotaPeriod::Day, _) | (QuotaPeriod::Month, None) => day_ms,
        (QuotaPeriod::Month, Some(date)) => day_ms - (i64::from(date.day()) - 1) * DAY_MS,
    }
}

fn ends(period: QuotaPeriod, start_ms: i64) -> i64 {
    let days = match (period, date(start_ms)) {
        (QuotaPeriod::Day, _) | (QuotaPeriod::Month, None) => 1,
        (QuotaPeriod::Month, Some(date)) => i64::from(date.days_in_month()),
    };
    start_ms + days * DAY_MS
}

fn date(unix_ms: i64) -> Option<jiff::civil::Date> {
    let at = jiff::Timestamp::from_millisecond(unix_ms).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).date())
}
