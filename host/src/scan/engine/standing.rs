//! Where each provider of a pool stands in one pass.

use std::time::Duration;

use tokio::time::Instant;

use crate::scan::rounds::backoff;

/// How long a provider that stands behind the chain is left alone.
const BEHIND_FOR: Duration = Duration::from_secs(5);
/// How long a provider that turned out not to offer a kind of asset is asked last for it.
const UNSUPPORTED_FOR: Duration = Duration::from_secs(600);

/// Where the providers of the pool stand in this pass.
pub(super) struct Standings(Vec<Standing>);

/// Where one provider stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Chunks on their way.
    pub(super) under_way: usize,
    /// Its identity or its trial is on its way.
    pub(super) questioned: bool,
    /// What its next trial is tried with.
    pub(super) next_trial_native: bool,
    identity_failures: u32,
    /// Not asked for its identity before this.
    identity_again: Option<Instant>,
    /// It stands behind the chain until then.
    behind_until: Option<Instant>,
    /// It does not offer native coins, or tokens, as far as is known until then.
    unsupported_until: [Option<Instant>; 2],
}

// === impl Standings ===

impl Standings {
    pub(super) fn new(members: usize) -> Self {
        Self(vec![Standing::NEW; members])
    }
}

impl std::ops::Index<usize> for Standings {
    type Output = Standing;

    fn index(&self, member: usize) -> &Standing {
        &self.0[member]
    }
}

impl std::ops::IndexMut<usize> for Standings {
    fn index_mut(&mut self, member: usize) -> &mut Standing {
        &mut self.0[member]
    }
}

// === impl Standing ===

impl Standing {
    const NEW: Self = Self {
        under_way: 0,
        questioned: false,
        next_trial_native: true,
        identity_failures: 0,
        identity_again: None,
        behind_until: None,
        unsupported_until: [None; 2],
    };

    /// A trial with such a cell was not answered.
    pub(super) fn failed_trial(&mut self, native: bool) {
        self.next_trial_native = !native;
    }

    /// It was asked who it is.
    pub(super) fn said_who(&mut self, passed: bool, now: Instant) {
        self.questioned = false;
        if passed {
            self.identity_failures = 0;
            self.identity_again = None;
        } else {
            self.identity_failures = self.identity_failures.saturating_add(1);
            self.identity_again = Some(now + backoff(self.identity_failures));
        }
    }

    /// Before when it is not asked again who it is, after it did not say.
    pub(super) fn asked_who_again(&self, now: Instant) -> Option<Instant> {
        self.identity_again.filter(|again| *again > now)
    }

    /// Whether it never failed to say who it is since it last said so.
    pub(super) fn never_failed_to_say_who(&self) -> bool {
        self.identity_failures == 0
    }

    /// A whole chunk was answered by "I am behind".
    pub(super) fn is_behind(&mut self, now: Instant) {
        self.behind_until = Some(now + BEHIND_FOR);
    }

    /// Until when it stands behind the chain, if it does.
    pub(super) fn behind(&self, now: Instant) -> Option<Instant> {
        self.behind_until.filter(|until| *until > now)
    }

    /// A whole chunk was answered by "I do not offer this".
    pub(super) fn does_not_offer(&mut self, native: bool, now: Instant) {
        self.unsupported_until[usize::from(!native)] = Some(now + UNSUPPORTED_FOR);
    }

    /// Whether, as far as is known, it offers native coins, or tokens.
    pub(super) fn offers(&self, native: bool, now: Instant) -> bool {
        self.unsupported_until[usize::from(!native)].is_none_or(|until| until <= now)
    }
}
