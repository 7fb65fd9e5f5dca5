//! The pacer, on virtual time.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::clock::VirtualClock;
use crate::gate::Why;

mod calls;
mod core_alone;
mod restart;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// 2026-11-21 22:00 UTC: two hours before midnight.
const START_MS: i64 = 1_795_298_400_000;

fn windows(limits: &[&str]) -> Vec<Window> {
    limits.iter().map(|limit| limit.parse().unwrap()).collect()
}

fn config(limits: &[&str]) -> PacerConfig {
    PacerConfig {
        windows: windows(limits),
        key: "test".to_owned(),
        ..PacerConfig::default()
    }
}

/// A pacer on a clock that begins at [`START_MS`] now.
fn pacer(limits: &[&str]) -> Pacer {
    let clock = Arc::new(VirtualClock::starting_at(START_MS));
    Pacer::new(&config(limits), clock)
}

/// What a server counted: when, and how many.
#[derive(Debug, Default)]
struct Server(Vec<(Instant, u64)>);

impl Server {
    fn count(&mut self, at: Instant, units: u64) {
        self.0.push((at, units));
    }

    /// Most units in any stretch of `per`.
    fn most_in(&self, per: Duration) -> u64 {
        let mut most = 0;
        let (mut from, mut sum) = (0, 0);
        for (at, units) in &self.0 {
            sum += units;
            while self.0[from].0 + per <= *at {
                sum -= self.0[from].1;
                from += 1;
            }
            most = most.max(sum);
        }
        most
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|(_, units)| units).sum()
    }

    #[track_caller]
    fn assert_within(&self, limits: &[Window]) {
        for limit in limits {
            let most = self.most_in(limit.per);
            assert!(most <= u64::from(limit.count), "{most} units for {limit}");
        }
    }
}
