//! Which height a pass reads at: each provider's newest, or one for the whole pass.
//!
//! A pinned pass takes its height from its first answer. From then on a provider that can read at
//! one height (`Caps::pinned`) reads at that one, and one that only knows which height it is at
//! (`Caps::min_height`) may read at that one or a newer. A provider that can do neither gets no
//! work that another one could do. A node forgets old states: when the height of the pass is gone,
//! the pass takes a newer one, and its lowest and highest height say so.

use super::reconcile::{CellOutcome, Settled};
use crate::config::ScanAt;
use crate::model::{Class, ProviderName};
use crate::plugin::backend::BalancesRequest;
use crate::plugin::{CallError, Caps};
use crate::pool::Pool;

/// The height of one pass.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pin {
    /// Whether native coins, and tokens, are read at one height: where some provider of the pool
    /// can do it.
    kinds: [bool; 2],
    height: Option<u64>,
}

/// What a call is told of heights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heights {
    /// The one to read at.
    pub at: Option<u64>,
    /// The lowest that counts; 0 is any.
    pub min: u64,
}

impl Pin {
    /// The pin of a pass over `pool`; `height` is that of an interrupted pass that goes on.
    pub(super) fn new(at: ScanAt, pool: &Pool, height: Option<u64>) -> Self {
        let some_can = |native| {
            let mut members = pool.members.iter();
            members.any(|member| member.can_read(native) && can_pin(member.caps()))
        };
        let kinds = match at {
            ScanAt::Newest => return Self::default(),
            ScanAt::Pinned => [some_can(true), some_can(false)],
        };
        if kinds == [false, false] {
            let chain = &pool.chain;
            tracing::warn!(
                %chain,
                "{chain}: no provider of the pool can read at one height; each reads its newest"
            );
        }
        Self { kinds, height }
    }

    fn is_wanted(&self) -> bool {
        self.kinds != [false, false]
    }

    /// Whether the next answer decides the height, so that one call at a time is sent.
    pub(super) fn is_undecided(&self) -> bool {
        self.is_wanted() && self.height.is_none()
    }

    /// Whether a provider with these caps may read this kind.
    pub(super) fn allows(&self, caps: Caps, native: bool) -> bool {
        !self.kinds[usize::from(!native)] || can_pin(caps)
    }

    /// What a call to a provider with these caps is told.
    pub(super) fn heights(&self, caps: Caps) -> Heights {
        match self.height.filter(|_| self.is_wanted()) {
            Some(height) if caps.pinned => Heights {
                at: Some(height),
                min: 0,
            },
            Some(height) if caps.min_height => Heights {
                at: None,
                min: height,
            },
            Some(_) | None => Heights::default(),
        }
    }

    /// Where an amount is to be read again that a provider with these caps told of `height`: at the
    /// same height, or at no older one where the provider cannot choose.
    pub(super) fn again(&self, caps: Caps, height: Option<u64>) -> Heights {
        match height.filter(|_| self.is_wanted()) {
            Some(height) if caps.pinned => Heights {
                at: Some(height),
                min: 0,
            },
            Some(height) => Heights {
                at: None,
                min: height,
            },
            None => Heights::default(),
        }
    }

    /// The first answer is of this height; `None`: it does not say, and the pass is not pinned.
    pub(super) fn decide(&mut self, height: Option<u64>, name: &ProviderName) {
        if self.is_undecided() {
            self.height = height;
            if height.is_none() {
                tracing::warn!(
                    provider = %name,
                    "`{name}` told no height with its amounts; the pass is not pinned"
                );
                self.kinds = [false, false];
            }
        }
    }

    /// A provider has no state at `height` any more; `false` where the pass has another by now.
    pub(super) fn is_gone(&mut self, height: u64) -> bool {
        let is_current = self.height == Some(height);
        if is_current {
            self.height = None;
        }
        is_current
    }
}

impl Heights {
    /// What a provider with these caps is asked for to read again what is to be read here; `None`
    /// where what it tells would be of another height.
    pub(super) fn again_by(self, caps: Caps) -> Option<Self> {
        match self {
            Self { at: Some(_), .. } => caps.pinned.then_some(self),
            Self { at: None, min } if min > 0 && !caps.min_height => Some(Self {
                at: caps.pinned.then_some(min),
                min: 0,
            }),
            Self { at: None, .. } => Some(self),
        }
    }

    pub(super) fn put_into(self, request: &mut BalancesRequest) {
        request.at_height = self.at;
        request.min_height = self.min;
    }

    /// Takes nobody's word for it: an amount of another height than was asked for is none.
    pub(super) fn hold_against(self, settled: &mut [Settled]) {
        for (_, _, outcome) in settled {
            if let CellOutcome::Known(known) = outcome
                && let Some(error) = self.contradiction(known.height)
            {
                *outcome = CellOutcome::Unknown(error);
            }
        }
    }

    fn contradiction(self, told: Option<u64>) -> Option<CallError> {
        let words =
            |told: Option<u64>| told.map_or_else(|| "no height".into(), |it| it.to_string());
        match self.at {
            Some(at) if told != Some(at) => {
                let message = format!("told of {}, not of height {at}", words(told));
                Some(CallError::new(Class::Malformed, message))
            }
            None if self.min > 0 && told.is_none_or(|told| told < self.min) => {
                let message = format!("told of {}, not yet of height {}", words(told), self.min);
                Some(CallError::new(Class::Lagging, message))
            }
            Some(_) | None => None,
        }
    }
}

fn can_pin(caps: Caps) -> bool {
    caps.pinned || caps.min_height
}
