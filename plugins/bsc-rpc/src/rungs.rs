//! What a provider was found not to offer, for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use scanhost_plugin_api::Host;

/// How long a finding holds: nodes behind one name change.
const HOLDS: Duration = Duration::from_secs(60 * 60);

/// The ladder from one call to single calls, without the rungs that broke.
#[derive(Debug, Default)]
pub(crate) struct Rungs {
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    no_multicall: Option<Until>,
    batch_max: Option<(usize, Until)>,
}

/// A moment of the host's monotonic clock, in milliseconds.
type Until = u64;

impl Rungs {
    pub(crate) fn has_multicall(&self, host: &Host) -> bool {
        let until = self.read(|found| found.no_multicall);
        until.is_none_or(|until| until <= host.monotonic_ms())
    }

    pub(crate) fn lose_multicall(&self, host: &Host) {
        self.write(|found| found.no_multicall = Some(expiry(host)));
    }

    /// Most calls in a JSON-RPC batch, where fewer than `configured` were found to be taken.
    pub(crate) fn batch_max(&self, host: &Host, configured: usize) -> usize {
        match self.read(|found| found.batch_max) {
            Some((max, until)) if until > host.monotonic_ms() => max.min(configured),
            _ => configured,
        }
    }

    pub(crate) fn learn_batch_max(&self, host: &Host, max: usize) {
        self.write(|found| found.batch_max = Some((max, expiry(host))));
    }

    fn read<T>(&self, read: impl FnOnce(&Found) -> T) -> T {
        read(&self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut Found)) {
        write(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn expiry(host: &Host) -> Until {
    host.monotonic_ms()
        .saturating_add(u64::try_from(HOLDS.as_millis()).unwrap_or(u64::MAX))
}
