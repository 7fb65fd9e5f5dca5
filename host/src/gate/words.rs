//! The closed lists of words that explain, the API, health, events and metrics share.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in output, API, metrics and store.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// What the word stands for, as read back from the store.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

words! {
    /// What a provider is used for; each use has a gate of its own.
    ProviderType {
        /// Reading balances and transactions.
        Scan = "scan",
        /// Sending transactions.
        Broadcast = "broadcast",
    }
}

words! {
    /// The breaker's state, in the words of `provider_health`.
    CircuitState {
        /// Calls pass.
        Closed = "closed",
        /// No call passes.
        Open = "open",
        /// A few calls pass, to see whether the provider is back.
        HalfOpen = "half_open",
    }
}

words! {
    /// How a provider fares, in the words of `provider_health`.
    HealthStatus {
        /// Closed, and no failure since the last success.
        Healthy = "healthy",
        /// Closed with a failure, half-open, or waiting longer than `spill_after`.
        Degraded = "degraded",
        /// Open, held, forced open or quarantined.
        Down = "down",
    }
}

words! {
    /// What an operator can force.
    ForcedState {
        /// No call passes.
        Open = "open",
        /// The circuit is closed now, and failures do not open it.
        Closed = "closed",
        /// The breaker is neither asked nor told; it goes on from where it stood.
        Disabled = "disabled",
    }
}

words! {
    /// Why a provider is kept out although its breaker would not.
    HoldReason {
        /// It serves another network than the one configured.
        WrongChain = "wrong_chain",
        /// It refused the key or the plan.
        Unauthorized = "unauthorized",
        /// The day's allowance is spent.
        Quota = "quota",
        /// It tells other amounts than two others.
        Mismatch = "mismatch",
    }
}

words! {
    /// Why a gate lets no call through.
    Why {
        /// The circuit is open.
        CircuitOpen = "circuit_open",
        /// The circuit is half-open and its calls are on their way.
        HalfOpenBusy = "half_open_busy",
        /// Held: another network.
        HeldWrongChain = "held_wrong_chain",
        /// Held: refused key.
        HeldUnauthorized = "held_unauthorized",
        /// Held: allowance spent.
        HeldQuota = "held_quota",
        /// Held: other amounts than two others tell.
        HeldMismatch = "held_mismatch",
        /// An operator shut it.
        ForcedOpen = "forced_open",
        /// Its plugin is in quarantine.
        Quarantined = "quarantined",
        /// The provider asked for a pause.
        RetryAfter = "retry_after",
        /// Its limits leave no room now.
        Paced = "paced",
        /// The provider has not yet said which network it serves.
        IdentityPending = "identity_pending",
    }
}

words! {
    /// The state of a whole gate, for events: the strongest of what acts on it.
    GateState {
        /// The breaker's `closed`.
        Closed = "closed",
        /// The breaker's `open`.
        Open = "open",
        /// The breaker's `half_open`.
        HalfOpen = "half_open",
        /// Kept out by a hold.
        Held = "held",
        /// Kept out by an operator.
        ForcedOpen = "forced_open",
        /// Kept closed by an operator.
        ForcedClosed = "forced_closed",
        /// The breaker is switched off by an operator.
        Disabled = "disabled",
        /// Kept out because of its plugin.
        Quarantined = "quarantined",
    }
}

words! {
    /// What made a gate change its state.
    Cause {
        /// Failures in a row reached the limit.
        Failures = "failures",
        /// The share of failed calls in the window reached its limit.
        FailureRatio = "failure_ratio",
        /// The share of slow calls in the window reached its limit.
        SlowRatio = "slow_ratio",
        /// A call through the half-open circuit failed.
        ProbeFailed = "probe_failed",
        /// The calls through the half-open circuit succeeded.
        ProbeSucceeded = "probe_succeeded",
        /// The cooldown is over.
        CooldownOver = "cooldown_over",
        /// The provider serves another network.
        WrongChain = "wrong_chain",
        /// The provider refused the key.
        Unauthorized = "unauthorized",
        /// The allowance is spent.
        Quota = "quota",
        /// Two others tell other amounts.
        Mismatch = "mismatch",
        /// The time of a hold is over.
        HoldOver = "hold_over",
        /// An operator forced a state.
        Forced = "forced",
        /// The time of a forced state is over.
        ForceOver = "force_over",
        /// An operator released the gate.
        Released = "released",
        /// The plugin was put in quarantine.
        Quarantined = "quarantined",
        /// The quarantine is over.
        QuarantineOver = "quarantine_over",
    }
}

impl HoldReason {
    /// Why a held gate is shut.
    #[must_use]
    pub fn why(self) -> Why {
        match self {
            Self::WrongChain => Why::HeldWrongChain,
            Self::Unauthorized => Why::HeldUnauthorized,
            Self::Quota => Why::HeldQuota,
            Self::Mismatch => Why::HeldMismatch,
        }
    }

    /// Whether it ends with the key that was used.
    pub(super) fn is_of_the_key(self) -> bool {
        match self {
            Self::Unauthorized | Self::Quota => true,
            Self::WrongChain | Self::Mismatch => false,
        }
    }

    pub(super) fn cause(self) -> Cause {
        match self {
            Self::WrongChain => Cause::WrongChain,
            Self::Unauthorized => Cause::Unauthorized,
            Self::Quota => Cause::Quota,
            Self::Mismatch => Cause::Mismatch,
        }
    }
}

impl From<CircuitState> for GateState {
    fn from(circuit: CircuitState) -> Self {
        match circuit {
            CircuitState::Closed => Self::Closed,
            CircuitState::Open => Self::Open,
            CircuitState::HalfOpen => Self::HalfOpen,
        }
    }
}

impl GateState {
    /// Whether no work at all passes in this state.
    #[must_use]
    pub fn is_shut(self) -> bool {
        match self {
            Self::Open | Self::Held | Self::ForcedOpen | Self::Quarantined => true,
            Self::Closed | Self::HalfOpen | Self::ForcedClosed | Self::Disabled => false,
        }
    }
}

impl fmt::Display for Why {
    /// A sentence for people; [`Why::as_str`] is the word for machines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CircuitOpen => "its circuit is open after repeated failures",
            Self::HalfOpenBusy => "its circuit is half-open and a trial call is on its way",
            Self::HeldWrongChain => "held: it serves another network than the one configured",
            Self::HeldUnauthorized => "held: it refused the key or the plan",
            Self::HeldQuota => "held: its allowance is spent",
            Self::HeldMismatch => "held: two others tell other amounts than it",
            Self::ForcedOpen => "an operator shut it",
            Self::Quarantined => "its plugin is in quarantine after repeated faults",
            Self::RetryAfter => "it asked for a pause",
            Self::Paced => "its limits leave no room now",
            Self::IdentityPending => "it has not yet said which network it serves",
        })
    }
}
