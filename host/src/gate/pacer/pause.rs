//! Pauses that the provider asked for.

use std::time::Duration;

use tokio::time::Instant;

use crate::gate::breaker::later;

/// The longest pause that a provider can ask for.
pub(in crate::gate) const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);
/// The first pause after a rate answer that names none; each further one doubles it.
const UNTOLD: Duration = Duration::from_secs(1);
const UNTOLD_MAX: Duration = Duration::from_secs(60);

/// The time before which no call may be sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    not_before: Option<Instant>,
    /// Rate answers in a row that named no time.
    untold: u32,
    last_asked: Option<Instant>,
}

impl Pause {
    /// The end of the pause, if there is one at `now`.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|&not_before| not_before > now)
    }

    /// The provider answered what was sent at `sent` with a request for a pause of `told`.
    ///
    /// Nothing, and a pause of no length, count as not told: who answers "too fast" and "at once"
    /// would be asked in a tight loop. A pause that was asked for is never made shorter.
    pub(super) fn ask(&mut self, told: Option<Duration>, sent: Instant, now: Instant) {
        let wait = match told.filter(|told| !told.is_zero()) {
            Some(told) => told.min(PAUSE_MAX),
            None => {
                // Of calls that were under way together only the first makes pauses longer.
                if self.is_after_last_asked(sent) {
                    self.untold = self.untold.saturating_add(1);
                }
                let doublings = self.untold.saturating_sub(1).min(31);
                UNTOLD.saturating_mul(1 << doublings).min(UNTOLD_MAX)
            }
        };
        self.extend(later(now, wait));
        self.last_asked = self.last_asked.max(Some(now));
    }

    /// Makes the pause last until `until`, if it is not longer already.
    pub(super) fn extend(&mut self, until: Instant) {
        if self.not_before.is_none_or(|before| before < until) {
            self.not_before = Some(until);
        }
    }

    /// The provider answered well what was sent at `sent`.
    pub(super) fn answered(&mut self, sent: Instant) {
        if self.is_after_last_asked(sent) {
            self.untold = 0;
        }
    }

    fn is_after_last_asked(&self, sent: Instant) -> bool {
        self.last_asked.is_none_or(|asked| sent > asked)
    }
}
