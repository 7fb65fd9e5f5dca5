//! What goes wrong with a scripted provider, and when.

use std::time::Duration;

use super::within;
use crate::config::duration::{format_duration, parse_duration};
use crate::config::leaf::{Leaf, quoted, words};
use crate::config::rate::Ratio;
use crate::config::reader::{Item, Table};

/// The least time that an answer takes: what virtual time is counted in.
const LATENCY_MIN: Duration = Duration::from_millis(1);

/// How long an answer takes; drawn evenly between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// At least; one millisecond or more.
    pub least: Duration,
    /// At most.
    pub most: Duration,
}

/// One of `[[providers.NAME.faults]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// When it begins, from the start of the simulation. Default 0.
    pub from: Duration,
    /// When it is over; `None`: never.
    pub until: Option<Duration>,
    /// Of every such stretch, counted from `from`, the share at its beginning; `None`: all the time.
    pub flaps: Option<(Duration, f64)>,
    /// Share of the calls that it meets. Default 1.
    pub share: f64,
    /// What happens.
    pub what: What,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Nobody can be reached.
    Down,
    /// No answer before the deadline.
    Timeout,
    /// 500.
    ServerError,
    /// 429.
    RateLimited {
        /// How long it wants to be left alone, where it says so.
        retry_after: Option<Duration>,
    },
    /// 200, with a text that says "too fast".
    RateText,
    /// 401.
    Unauthorized,
    /// It takes longer.
    Slow {
        /// That long.
        latency: Latency,
    },
    /// Something that makes no sense.
    Garbage,
    /// A gateway's page.
    Html,
    /// Another chain is behind the endpoint: another identity, other amounts.
    WrongChain,
    /// It does not say who it is; balances are answered.
    NoIdentity,
    /// It is behind the chain.
    Lagging,
    /// Calls with one of these addresses fail.
    Poison {
        /// By their index.
        addresses: Vec<u32>,
        /// With 400, or with 500.
        is_refused: bool,
    },
    /// 413 for calls of more cells.
    TooLarge {
        /// Most cells.
        cells_max: u32,
    },
    /// It leaves cells out.
    Missing {
        /// Share of the cells of a call.
        cells_share: f64,
    },
    /// It answers cells twice, with two amounts.
    Doubled {
        /// Share of the cells of a call.
        cells_share: f64,
    },
    /// It tells another amount than the chain's. No host can notice; the `truth` check does.
    Lie {
        /// Share of the cells of a call.
        cells_share: f64,
    },
}

words! {
    /// The word for a [`What`].
    FaultWord {
        /// [`What::Down`].
        Down = "down",
        /// [`What::Timeout`].
        Timeout = "timeout",
        /// [`What::ServerError`].
        ServerError = "server_error",
        /// [`What::RateLimited`].
        RateLimited = "rate_limited",
        /// [`What::RateText`].
        RateText = "rate_text",
        /// [`What::Unauthorized`].
        Unauthorized = "unauthorized",
        /// [`What::Slow`].
        Slow = "slow",
        /// [`What::Garbage`].
        Garbage = "garbage",
        /// [`What::Html`].
        Html = "html",
        /// [`What::WrongChain`].
        WrongChain = "wrong_chain",
        /// [`What::NoIdentity`].
        NoIdentity = "no_identity",
        /// [`What::Lagging`].
        Lagging = "lagging",
        /// [`What::Poison`].
        Poison = "poison",
        /// [`What::TooLarge`].
        TooLarge = "too_large",
        /// [`What::Missing`].
        Missing = "missing",
        /// [`What::Doubled`].
        Doubled = "doubled",
        /// [`What::Lie`].
        Lie = "lie",
    }
}

impl Default for Latency {
    fn default() -> Self {
        let usual = Duration::from_millis(20);
        Self {
            least: usual,
            most: usual,
        }
    }
}

impl Leaf for Latency {
    fn read(item: &Item<'_>) -> Option<Self> {
        let range = match item.text().map(parse_duration) {
            Some(Ok(fixed)) => vec![fixed, fixed],
            Some(Err(wrong)) => return item.wrong(wrong),
            None => Vec::read(item)?,
        };
        match *range {
            [least, most] if LATENCY_MIN <= least && least <= most => Some(Self { least, most }),
            _ => item.wrong(
                "must be a duration of at least 1ms or a range of two, like [\"20ms\", \"80ms\"]",
            ),
        }
    }

    fn shown(&self) -> String {
        let [least, most] = [self.least, self.most].map(|it| quoted(&format_duration(it)));
        format!("[{least}, {most}]")
    }
}

impl Fault {
    /// Whether it is there at `now`.
    #[must_use]
    pub fn is_active(&self, now: Duration) -> bool {
        if now < self.from || self.until.is_some_and(|until| now >= until) {
            return false;
        }
        let Some((period, duty)) = self.flaps else {
            return true;
        };
        let into = (now - self.from).as_nanos() % period.as_nanos();
        into < period.mul_f64(duty).as_nanos()
    }
}

pub(super) fn read(mut table: Table<'_>, addresses: u32) -> Option<Fault> {
    let word = table.required::<FaultWord>("what");
    let from = table.optional("from").unwrap_or(Duration::ZERO);
    let until = table.optional("until");
    if until.is_some_and(|until| until <= from) {
        table.wrong("until", "is not after `from`");
    }
    let period = table.optional("period");
    let duty = table.optional::<Ratio>("duty").map(|duty| duty.0);
    if duty.is_some() && period.is_none() {
        table.wrong("duty", "has no effect without `period`");
    }
    if period == Some(Duration::ZERO) {
        table.wrong("period", "must be longer than zero");
    }
    let flaps = period.map(|period| (period, duty.unwrap_or(0.5)));
    let share = table
        .optional::<Ratio>("share")
        .map_or(1.0, |share| share.0);
    let what = match word {
        Some(word) => what(word, &mut table, addresses),
        // Its own keys are unknown as long as nobody knows what it is.
        None => return None,
    };
    table.finish();
    Some(Fault {
        from,
        until,
        flaps: flaps.filter(|(period, _)| !period.is_zero()),
        share,
        what: what?,
    })
}

fn what(word: FaultWord, table: &mut Table<'_>, addresses: u32) -> Option<What> {
    let cells_share = |table: &mut Table<'_>| {
        let share = table.optional::<Ratio>("cells_share");
        share.map_or(1.0, |share| share.0)
    };
    Some(match word {
        FaultWord::Down => What::Down,
        FaultWord::Timeout => What::Timeout,
        FaultWord::ServerError => What::ServerError,
        FaultWord::RateLimited => What::RateLimited {
            retry_after: table.optional("retry_after"),
        },
        FaultWord::RateText => What::RateText,
        FaultWord::Unauthorized => What::Unauthorized,
        FaultWord::Slow => What::Slow {
            latency: table.required("latency")?,
        },
        FaultWord::Garbage => What::Garbage,
        FaultWord::Html => What::Html,
        FaultWord::WrongChain => What::WrongChain,
        FaultWord::NoIdentity => What::NoIdentity,
        FaultWord::Lagging => What::Lagging,
        FaultWord::Poison => poison(table, addresses)?,
        FaultWord::TooLarge => What::TooLarge {
            cells_max: table.required("cells_max")?,
        },
        FaultWord::Missing => What::Missing {
            cells_share: cells_share(table),
        },
        FaultWord::Doubled => What::Doubled {
            cells_share: cells_share(table),
        },
        FaultWord::Lie => What::Lie {
            cells_share: cells_share(table),
        },
    })
}

fn poison(table: &mut Table<'_>, addresses: u32) -> Option<What> {
    let poisoned: Vec<u32> = table.required("addresses")?;
    if poisoned.iter().any(|index| *index >= addresses) {
        let last = addresses.saturating_sub(1);
        table.wrong("addresses", format_args!("are indices from 0 to {last}"));
    }
    let status = within(table, "status", 400..=599);
    if status.is_some_and(|status| status != 400 && status != 500) {
        table.wrong("status", "must be 400 or 500");
    }
    Some(What::Poison {
        addresses: poisoned,
        is_refused: status == Some(400),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flapping_fault_comes_and_goes() {
        let secs = Duration::from_secs;
        let fault = Fault {
            from: secs(10),
            until: Some(secs(100)),
            flaps: Some((secs(20), 0.25)),
            share: 1.0,
            what: What::Down,
        };
        let active: Vec<u64> = (0..110).filter(|at| fault.is_active(secs(*at))).collect();
        let expected = [10, 30, 50, 70, 90].map(|start| start..start + 5);
        let expected: Vec<u64> = expected.into_iter().flatten().collect();
        assert_eq!(active, expected);
    }
}
