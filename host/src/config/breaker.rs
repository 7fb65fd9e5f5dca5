//! `breaker = { … }` of a chain, and what a provider overrides of it.

use std::time::Duration;

use super::rate::Ratio;
use super::reader::Table;

/// When a breaker opens, how long it stays open, how it closes again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// Failures in a row that open it; at least 1. Default 3.
    pub failures: u32,
    /// How long it stays open. Default 30 s.
    pub cooldown: Duration,
    /// Calls let through at once when it is half-open; at least 1. Default 1.
    pub half_open: u32,
    /// How far back the ratios look; `None` turns them off.
    pub window: Option<Duration>,
    /// Calls in the window below which the ratios say nothing. Default 10.
    pub min_calls: u32,
    /// Share of failed calls in the window that opens it; off by default.
    pub failure_ratio: Option<f64>,
    /// A call that takes longer counts as slow; off by default.
    pub slow_call: Option<Duration>,
    /// Share of slow calls in the window that opens it; without it a slow call is a failure.
    pub slow_ratio: Option<f64>,
    /// The cooldown doubles with every failed probe up to this; `None` keeps it constant.
    pub cooldown_max: Option<Duration>,
    /// Random share by which a cooldown is made longer, so that many do not end at once. Default 0.
    pub jitter: f64,
}

impl Breaker {
    /// The user's numbers, everything else off.
    pub const DEFAULT: Self = Self {
        failures: 3,
        cooldown: Duration::from_secs(30),
        half_open: 1,
        window: None,
        min_calls: 10,
        failure_ratio: None,
        slow_call: None,
        slow_ratio: None,
        cooldown_max: None,
        jitter: 0.0,
    };

    /// The longest that this breaker can stay open.
    #[must_use]
    pub fn longest_cooldown(&self) -> Duration {
        let longest = self.cooldown.max(self.cooldown_max.unwrap_or_default());
        longest.mul_f64(1.0 + self.jitter)
    }

    /// The settings that contradict each other: the key and what is wrong with it.
    pub(super) fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut needs = |key, set: bool, other: &str, there: bool| {
            if set && !there {
                found.push((key, format!("has no effect without `{other}`")));
            }
        };
        let ratio = self.failure_ratio.is_some() || self.slow_ratio.is_some();
        let window = self.window.is_some();
        needs("window", window, "failure_ratio` or `slow_ratio", ratio);
        needs(
            "failure_ratio",
            self.failure_ratio.is_some(),
            "window",
            window,
        );
        needs("slow_ratio", self.slow_ratio.is_some(), "window", window);
        let slow = self.slow_call.is_some();
        needs("slow_ratio", self.slow_ratio.is_some(), "slow_call", slow);
        if self.cooldown_max.is_some_and(|max| max < self.cooldown) {
            found.push(("cooldown_max", "is shorter than `cooldown`".to_owned()));
        }
        found
    }
}

/// The keys of a `breaker` table as far as they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BreakerKeys {
    failures: Option<u32>,
    cooldown: Option<Duration>,
    half_open: Option<u32>,
    window: Option<Duration>,
    min_calls: Option<u32>,
    failure_ratio: Option<f64>,
    slow_call: Option<Duration>,
    slow_ratio: Option<f64>,
    cooldown_max: Option<Duration>,
    jitter: Option<f64>,
}

impl BreakerKeys {
    /// `base` with these keys in its place.
    #[must_use]
    pub fn over(&self, base: &Breaker) -> Breaker {
        Breaker {
            failures: self.failures.unwrap_or(base.failures),
            cooldown: self.cooldown.unwrap_or(base.cooldown),
            half_open: self.half_open.unwrap_or(base.half_open),
            window: self.window.or(base.window),
            min_calls: self.min_calls.unwrap_or(base.min_calls),
            failure_ratio: self.failure_ratio.or(base.failure_ratio),
            slow_call: self.slow_call.or(base.slow_call),
            slow_ratio: self.slow_ratio.or(base.slow_ratio),
            cooldown_max: self.cooldown_max.or(base.cooldown_max),
            jitter: self.jitter.unwrap_or(base.jitter),
        }
    }

    pub(super) fn read(mut table: Table<'_>) -> Self {
        let keys = Self {
            failures: count(&mut table, "failures"),
            cooldown: time(&mut table, "cooldown"),
            half_open: count(&mut table, "half_open"),
            window: time(&mut table, "window"),
            min_calls: count(&mut table, "min_calls"),
            failure_ratio: share(&mut table, "failure_ratio"),
            slow_call: time(&mut table, "slow_call"),
            slow_ratio: share(&mut table, "slow_ratio"),
            cooldown_max: time(&mut table, "cooldown_max"),
            jitter: table.optional::<Ratio>("jitter").map(|ratio| ratio.0),
        };
        table.finish();
        keys
    }
}

/// A number of which zero would make the breaker useless.
fn count(table: &mut Table<'_>, key: &'static str) -> Option<u32> {
    let count = table.optional(key);
    if count == Some(0) {
        table.wrong(key, "must be at least 1");
    }
    count
}

/// A duration that is not zero.
fn time(table: &mut Table<'_>, key: &'static str) -> Option<Duration> {
    let time = table.optional(key);
    if time == Some(Duration::ZERO) {
        table.wrong(key, "must be longer than zero");
    }
    time
}

/// A ratio that is not zero: zero would open the breaker without a failure.
fn share(table: &mut Table<'_>, key: &'static str) -> Option<f64> {
    let ratio = table.optional::<Ratio>(key).map(|ratio| ratio.0);
    if ratio == Some(0.0) {
        table.wrong(key, "must be above 0");
    }
    ratio
}
