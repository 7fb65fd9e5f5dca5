//! How often one address may do what costs us something.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Addresses that are remembered; an attacker with more of them begins anew.
const PEERS_MAX: usize = 10_000;

/// The limits of a service.
#[derive(Debug)]
pub(super) struct Limits {
    /// Requests that change something.
    pub(super) changes: Limit,
    /// Requests with a wrong token.
    pub(super) refusals: Limit,
}

/// A bucket of `burst` requests per address, which fills by one in `every`.
#[derive(Debug)]
pub(super) struct Limit {
    burst: u32,
    every: Duration,
    /// When each address' bucket would be full again.
    full_at: Mutex<HashMap<IpAddr, Instant>>,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            changes: Limit::new(60, Duration::from_millis(50)),
            refusals: Limit::new(10, Duration::from_secs(3)),
        }
    }
}

// === impl Limit ===

impl Limit {
    fn new(burst: u32, every: Duration) -> Self {
        Self {
            burst,
            every,
            full_at: Mutex::default(),
        }
    }

    /// Whether another request of this address is within the limit, and counts it if it is.
    pub(super) fn admits(&self, peer: Option<IpAddr>, now: Instant) -> bool {
        let Some(peer) = peer else {
            return true;
        };
        let full_at = self.full_at.lock();
        let mut full_at = full_at.unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= PEERS_MAX {
            full_at.retain(|_, at| *at > now);
            if full_at.len() >= PEERS_MAX {
                full_at.clear();
            }
        }
        let at = full_at.entry(peer).or_insert(now);
        let next = (*at).max(now) + self.every;
        if next.duration_since(now) > self.every * self.burst {
            return false;
        }
        *at = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_one_at_a_time() {
        let limit = Limit::new(3, Duration::from_secs(1));
        let (peer, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let now = Instant::now();
        let admitted = (0..5).filter(|_| limit.admits(Some(peer), now)).count();
        assert_eq!(admitted, 3);
        assert!(
            limit.admits(Some(other), now),
            "another address has its own"
        );
        assert!(limit.admits(Some(peer), now + Duration::from_secs(1)));
        assert!(!limit.admits(Some(peer), now + Duration::from_secs(1)));
    }
}
