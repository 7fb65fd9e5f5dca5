//! What the end of a call says about its provider.
//!
//! Only faults of the provider reach the breaker. A provider that says "too fast", "not with this
//! key" or "not this question" is alive; opening its circuit would hide the real reason and punish
//! every other address.

use std::time::Duration;

use super::words::HoldReason;
use crate::model::Class;

/// The outcome of one call, as the gate needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider answered, even if it could not answer for every cell.
    Success,
    /// The provider failed: the one kind that the breaker counts.
    Failure {
        /// How.
        fault: Fault,
        /// One line for a person.
        message: String,
        /// The status line of the answer, where there was one.
        http_status: Option<u16>,
    },
    /// Nothing was learned about the provider's health.
    Neutral {
        /// What it was.
        class: Class,
    },
    /// The provider asked for a pause.
    RateLimited {
        /// How long, where it said so; longer than an hour counts as an hour.
        retry_after: Option<Duration>,
    },
    /// The provider must be kept out.
    Hold {
        /// Why.
        reason: HoldReason,
        /// How long; `None` is the reason's own time.
        lasts: Option<Duration>,
        /// One line for a person.
        message: String,
    },
    /// The plugin failed, not the provider.
    PluginFault {
        /// One line for a person.
        message: String,
    },
}

/// A fault of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It did not answer in time.
    Timeout,
    /// It could not be reached, or the connection broke.
    Transport,
    /// It said that it is broken.
    ServerError,
    /// Its answer makes no sense.
    Malformed,
}

// === impl Verdict ===

impl Verdict {
    /// The way of each class.
    ///
    /// `retry_after` is how long the provider asked to be left alone, where it did; `message` and
    /// `http_status` end up in the health row.
    #[must_use]
    pub fn of(
        class: Class,
        message: impl Into<String>,
        http_status: Option<u16>,
        retry_after: Option<Duration>,
    ) -> Self {
        let failure = |fault, message: String| Self::Failure {
            fault,
            message,
            http_status,
        };
        let hold = |reason, lasts, message: String| Self::Hold {
            reason,
            lasts,
            message,
        };
        let message = message.into();
        match class {
            Class::Timeout => failure(Fault::Timeout, message),
            Class::Transport => failure(Fault::Transport, message),
            Class::ServerError => failure(Fault::ServerError, message),
            Class::Malformed => failure(Fault::Malformed, message),
            Class::RateLimited => Self::RateLimited { retry_after },
            Class::Quota => hold(HoldReason::Quota, retry_after, message),
            // A refused key is not mended by waiting for as long as a busy server says.
            Class::Unauthorized => hold(HoldReason::Unauthorized, None, message),
            Class::WrongChain => hold(HoldReason::WrongChain, None, message),
            // Its process ended and starts again then: whoever found that out has counted it.
            Class::PluginFault if retry_after.is_some() => Self::Neutral { class },
            Class::PluginFault => Self::PluginFault { message },
            Class::Missing
            | Class::Refused
            | Class::TooLarge
            | Class::Unsupported
            | Class::Lagging
            | Class::CircuitOpen
            | Class::NoProvider
            | Class::Cancelled
            | Class::GaveUp
            | Class::DecimalsMismatch
            | Class::InvalidAddress => Self::Neutral { class },
        }
    }
}

// === impl Fault ===

impl Fault {
    /// The class that output, API and metrics show.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::Timeout => Class::Timeout,
            Self::Transport => Class::Transport,
            Self::ServerError => Class::ServerError,
            Self::Malformed => Class::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(class: Class) -> &'static str {
        let pause = (class != Class::PluginFault).then_some(Duration::from_secs(7));
        let verdict = Verdict::of(class, "words", Some(500), pause);
        match &verdict {
            Verdict::Success => "success",
            Verdict::Failure {
                fault,
                message,
                http_status,
            } => {
                assert_eq!(fault.class(), class);
                assert_eq!((message.as_str(), *http_status), ("words", Some(500)));
                "failure"
            }
            Verdict::Neutral { class: kept } => {
                assert_eq!(*kept, class);
                "neutral"
            }
            Verdict::RateLimited { retry_after } => {
                assert_eq!(*retry_after, Some(Duration::from_secs(7)));
                "rate"
            }
            Verdict::Hold { reason, lasts, .. } => {
                assert_eq!(reason.as_str(), class.as_str());
                match lasts {
                    Some(_) => "hold as told",
                    None => "hold",
                }
            }
            Verdict::PluginFault { .. } => "plugin",
        }
    }

    #[test]
    fn every_class_has_its_own_way() {
        let table = [
            (Class::Timeout, "failure"),
            (Class::Transport, "failure"),
            (Class::ServerError, "failure"),
            (Class::RateLimited, "rate"),
            (Class::Quota, "hold as told"),
            (Class::Unauthorized, "hold"),
            (Class::Malformed, "failure"),
            (Class::Missing, "neutral"),
            (Class::Refused, "neutral"),
            (Class::TooLarge, "neutral"),
            (Class::Unsupported, "neutral"),
            (Class::WrongChain, "hold"),
            (Class::Lagging, "neutral"),
            (Class::CircuitOpen, "neutral"),
            (Class::NoProvider, "neutral"),
            (Class::PluginFault, "plugin"),
            (Class::Cancelled, "neutral"),
            (Class::GaveUp, "neutral"),
            (Class::DecimalsMismatch, "neutral"),
            (Class::InvalidAddress, "neutral"),
        ];
        assert_eq!(table.map(|(class, _)| class), Class::ALL);
        for (class, expected) in table {
            assert_eq!(way(class), expected, "{class}");
        }
    }

    #[test]
    fn a_plugin_that_starts_again_is_counted_once() {
        let soon = Some(Duration::from_millis(100));
        let verdict = Verdict::of(Class::PluginFault, "it starts again", None, soon);
        let class = Class::PluginFault;
        assert_eq!(verdict, Verdict::Neutral { class });
    }
}
