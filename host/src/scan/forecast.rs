//! What a pass would send, and how long its limits make it take, found by running it on paper.
//!
//! The real [`Queue`](super::queue::Queue) is cut by the engine's own rules, on a time that only
//! limits move: every call is answered, at once. So requests come out as a pass without faults
//! sends them; times are the least that the limits allow, since nobody knows a provider's latency
//! beforehand. Pools run side by side, as their passes do, and share the limits that they share.

use std::time::Duration;

use crate::config::{Quota, Strategy, Window};
use crate::model::Asset;
use crate::plugin::Caps;

mod limits;
mod pass;
#[cfg(test)]
mod tests;

use limits::Pacer;
use pass::Pass;

/// What one chain asks of its pool.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The providers in their order.
    pub providers: Vec<Provider>,
    /// How they share the work.
    pub strategy: Strategy,
    /// A provider that must wait longer is passed over.
    pub spill_after: Duration,
    /// Whether each provider is asked for its chain before its first work.
    pub asks_identity: bool,
    /// What is read of each address.
    pub assets: Vec<Asset>,
    /// How many addresses.
    pub addresses: u64,
}

/// A provider as far as a forecast needs it.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// What it can do.
    pub caps: Caps,
    /// Most cells of a call, where fewer than `caps` allow were found to be taken; at least 1.
    pub cells_max: usize,
    /// Calls at once; at least 1.
    pub connections: usize,
    /// Index of what limits it; providers of one index share it.
    pub limits: usize,
}

/// What limits a provider, or several that share it.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Windows that hold at once.
    pub windows: Vec<Window>,
    /// What a plan or key allows until when.
    pub quotas: Vec<QuotaLeft>,
}

/// A quota and what is gone of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaLeft {
    /// The quota.
    pub quota: Quota,
    /// Requests of the current period that were sent before.
    pub used: u64,
}

/// What limits what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A window of the provider's limits.
    Window(Window),
    /// A quota.
    Quota(Quota),
}

/// One provider's part of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Cells that it reads.
    pub cells: u64,
    /// Calls of its plugin.
    pub calls: u64,
    /// HTTP requests, all of them.
    pub requests: u64,
    /// Of them, what is asked once: the identity, the tip, decimals, mints.
    pub start_up: u64,
    /// When its last request is sent.
    pub ends: Duration,
}

/// One pool's pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolForecast {
    /// By provider, in the pool's order.
    pub shares: Vec<Share>,
    /// Cells that no provider of the pool reads.
    pub unreadable: u64,
}

/// What came of one [`Limits`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Requests under it, of all pools.
    pub requests: u64,
    /// What of it makes requests wait longest, and how long in all; `None` where nothing does.
    pub tightest: Option<(Limit, Duration)>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// By pool.
    pub pools: Vec<PoolForecast>,
    /// By limits.
    pub spent: Vec<Spent>,
}

// === impl PoolForecast ===

impl PoolForecast {
    /// HTTP requests of all providers.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shares.iter().map(|share| share.requests).sum()
    }

    /// When the last request of the pass is sent.
    #[must_use]
    pub fn ends(&self) -> Duration {
        let ends = self.shares.iter().map(|share| share.ends);
        ends.max().unwrap_or_default()
    }
}

/// Runs the pools' passes side by side, from `now_unix_ms` on.
///
/// # Panics
///
/// When a provider names limits that are not among `limits`.
#[must_use]
pub fn forecast(pools: &[Pool], limits: &[Limits], now_unix_ms: i64) -> Forecast {
    let mut pacers: Vec<Pacer<'_>> = limits
        .iter()
        .map(|limits| Pacer::new(limits, now_unix_ms))
        .collect();
    let mut passes: Vec<Pass<'_>> = pools.iter().map(Pass::new).collect();
    let mut wakes: Vec<Option<u64>> = vec![Some(0); passes.len()];
    // Who sent least goes first, so that what is shared is shared evenly.
    let next = |wakes: &[Option<u64>], passes: &[Pass<'_>]| {
        let waiting = wakes.iter().zip(passes).enumerate();
        let waiting =
            waiting.filter_map(|(index, (wake, pass))| Some(((*wake)?, pass.sent, index)));
        waiting.min()
    };
    while let Some((now_ns, _, index)) = next(&wakes, &passes) {
        wakes[index] = passes[index].step(now_ns, &mut pacers);
    }
    Forecast {
        pools: passes.into_iter().map(Pass::finish).collect(),
        spent: pacers.iter().map(Pacer::spent).collect(),
    }
}
