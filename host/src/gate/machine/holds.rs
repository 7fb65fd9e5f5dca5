//! What keeps a provider out, or lets it in, besides its breaker.

use std::time::Duration;

use tokio::time::Instant;

use super::{Cause, Event, ForcedState, HoldReason, Machine, Moment, later};

/// How long a provider with the wrong network or a refused key is left alone before a new look.
const NEW_LOOK: Duration = Duration::from_secs(60 * 60);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) reason: HoldReason,
    pub(super) message: String,
    pub(super) until: Instant,
}

#[derive(Clone, Debug)]
pub(super) struct Force {
    pub(super) state: ForcedState,
    pub(super) reason: String,
    pub(super) until: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Quarantine {
    pub(super) until: Option<Instant>,
}

impl Machine {
    pub(in crate::gate) fn hold(
        &mut self,
        reason: HoldReason,
        lasts: Option<Duration>,
        message: String,
        now: Moment,
    ) {
        self.history
            .error(&format!("{}: {message}", reason.as_str()), now.unix_ms);
        let lasts = lasts
            .filter(|lasts| !lasts.is_zero())
            .unwrap_or_else(|| usual(reason, now.unix_ms))
            .min(longest(reason));
        let until = later(now.at, lasts);
        // An earlier hold for another reason may be the longer one.
        if self.hold.as_ref().is_none_or(|hold| hold.until <= until) {
            self.hold = Some(Hold {
                reason,
                message,
                until,
            });
        }
        // Calls that are under way keep their epoch: several of them find the same thing.
        self.note(reason.cause(), now.at, now);
    }

    pub(in crate::gate) fn force(
        &mut self,
        state: ForcedState,
        reason: String,
        lasts: Option<Duration>,
        now: Moment,
    ) {
        if state == ForcedState::Closed {
            // Told as the force itself, below.
            self.breaker.apply(Event::Reset, now.at);
        }
        self.force = Some(Force {
            state,
            reason,
            until: lasts.map(|lasts| later(now.at, lasts)),
        });
        self.note(Cause::Forced, now.at, now);
    }

    /// Ends a forced state, a hold and a quarantine; `false` if there was none of them.
    pub(in crate::gate) fn release(&mut self, now: Moment) -> bool {
        let had = self.force.take().is_some()
            | self.hold.take().is_some()
            | self.quarantine.take().is_some();
        self.plugin_faults = 0;
        self.epoch += 1;
        self.note(Cause::Released, now.at, now);
        self.wake = true;
        had
    }

    pub(in crate::gate) fn quarantine(&mut self, lasts: Option<Duration>, now: Moment) {
        let until = lasts.map(|lasts| later(now.at, lasts));
        // `None`, until a release, is the longest.
        let keeps = self.quarantine.is_some_and(|quarantine| {
            quarantine
                .until
                .is_none_or(|kept| until.is_some_and(|until| kept > until))
        });
        if !keeps {
            self.quarantine = Some(Quarantine { until });
        }
        self.note(Cause::Quarantined, now.at, now);
    }
}

/// How long a provider is held where nobody said: an allowance is renewed at midnight UTC.
fn usual(reason: HoldReason, unix_ms: i64) -> Duration {
    match reason {
        HoldReason::WrongChain | HoldReason::Unauthorized | HoldReason::Mismatch => NEW_LOOK,
        HoldReason::Quota => {
            let left_ms = DAY_MS - unix_ms.rem_euclid(DAY_MS);
            Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))
        }
    }
}

/// No hold outlives this, whoever asked for it and whatever the wall clock says on load.
pub(super) fn longest(reason: HoldReason) -> Duration {
    match reason {
        HoldReason::WrongChain | HoldReason::Unauthorized | HoldReason::Mismatch => NEW_LOOK,
        HoldReason::Quota => Duration::from_secs(24 * 60 * 60),
    }
}
