//! Faults that are put on top of an upstream: for drills, and for what must not go wrong then.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use scanhost_abi::types::{AbiError, ErrorKind, HttpResponse};

use crate::offline::{Upstream, response};

/// Every form, for messages.
pub const FORMS: &str = "provider=NAME, one of status=N, timeout, reset, truncate, garbage, \
                         delay=D, and every=N or first=N";
/// Of what garbage is made, the same each time.
const SEED: u64 = 0x0bad_f00d;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An answer of this status with a page in it, instead of the real one.
    Status(u16),
    /// No answer at all.
    Timeout,
    /// The connection breaks before there is an answer.
    Reset,
    /// The answer's second half is lost, and nobody tells.
    Truncate,
    /// The answer's body is arbitrary bytes.
    Garbage,
    /// The answer comes that much later.
    Delay(Duration),
}

/// Which requests it happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Every(u64),
    First(u64),
}

/// One kind of fault, as `provider=node,status=503,every=3` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whom it happens to; `None` is everyone.
    pub provider: Option<String>,
    /// What happens.
    pub kind: Kind,
    when: When,
}

/// Faults, and how many requests each of them has seen.
#[derive(Debug, Default)]
pub struct Faults {
    faults: Vec<(Fault, AtomicU64)>,
}

// === impl Fault ===

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut provider, mut kind, mut when) = (None, None, None);
        for part in text.split(',').map(str::trim) {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim())),
                None => (part, None),
            };
            let bad = |why: &str| format!("`{part}` {why}; a fault is made of {FORMS}");
            let number = |value: &str| value.parse().ok().filter(|number| *number > 0);
            let twice = match (name, value) {
                ("provider", Some(value)) if !value.is_empty() => {
                    provider.replace(value.to_owned()).is_some()
                }
                ("every", Some(value)) => {
                    let count = number(value).ok_or_else(|| bad("is no count from 1"))?;
                    when.replace(When::Every(count)).is_some()
                }
                ("first", Some(value)) => {
                    let count = number(value).ok_or_else(|| bad("is no count from 1"))?;
                    when.replace(When::First(count)).is_some()
                }
                (name, value) => {
                    let fault = kind_of(name, value).ok_or_else(|| bad("is no fault"))?;
                    kind.replace(fault).is_some()
                }
            };
            if twice {
                return Err(bad("comes after another one of its kind"));
            }
        }
        Ok(Self {
            provider,
            kind: kind.ok_or_else(|| format!("`{text}` names no fault; one is made of {FORMS}"))?,
            when: when.unwrap_or(When::Every(1)),
        })
    }
}

fn kind_of(name: &str, value: Option<&str>) -> Option<Kind> {
    match (name, value) {
        ("status", Some(status)) => {
            let status = status.parse().ok()?;
            (100..=599)
                .contains(&status)
                .then_some(Kind::Status(status))
        }
        ("timeout", None) => Some(Kind::Timeout),
        ("reset", None) => Some(Kind::Reset),
        ("truncate", None) => Some(Kind::Truncate),
        ("garbage", None) => Some(Kind::Garbage),
        ("delay", Some(delay)) => duration(delay).map(Kind::Delay),
        _ => None,
    }
}

/// `250ms`, `2s`, `1m`.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Reset => f.write_str("reset"),
            Self::Truncate => f.write_str("truncate"),
            Self::Garbage => f.write_str("garbage"),
            Self::Delay(delay) => write!(f, "delay of {} ms", delay.as_millis()),
        }
    }
}

// === impl Faults ===

impl Faults {
    /// Faults by their texts.
    #[must_use]
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let faults = faults.into_iter().map(|fault| (fault, AtomicU64::new(0)));
        Self {
            faults: faults.collect(),
        }
    }

    /// None at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The faults themselves.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().map(|(fault, _)| fault)
    }

    /// What happens to the next request to a provider: of several faults whose turn it is, the
    /// first. Each counts the requests to the providers that it is about.
    #[must_use]
    pub fn next(&self, provider: &str) -> Option<Kind> {
        let mut happens = None;
        for (fault, seen) in &self.faults {
            if fault
                .provider
                .as_deref()
                .is_some_and(|named| named != provider)
            {
                continue;
            }
            let count = seen.fetch_add(1, Ordering::SeqCst) + 1;
            let is_due = match fault.when {
                When::Every(every) => count % every == 0,
                When::First(first) => count <= first,
            };
            if is_due {
                happens = happens.or(Some(fault.kind));
            }
        }
        happens
    }

    /// An upstream with these faults on top, for a provider of that name. A delay is over at once:
    /// without a network, time stands still.
    #[must_use]
    pub fn over(self, upstream: Upstream, provider: &str) -> Upstream {
        let provider = provider.to_owned();
        Arc::new(move |request| {
            let fail = |kind, why: &str| Err(AbiError::new(kind, why));
            match self.next(&provider) {
                None | Some(Kind::Delay(_)) => upstream(request),
                Some(Kind::Status(status)) => Ok(response(status, &PAGE_HEADERS, page(status))),
                Some(Kind::Timeout) => fail(ErrorKind::TIMEOUT, "injected: no answer"),
                Some(Kind::Reset) => fail(ErrorKind::TRANSPORT, RESET),
                Some(kind) => upstream(request).map(|answer| HttpResponse {
                    body: spoil(kind, answer.body.to_vec()).into(),
                    ..answer
                }),
            }
        })
    }
}

/// What an injected reset says.
pub const RESET: &str = "injected: connection reset by peer";
/// The headers of an injected page.
pub const PAGE_HEADERS: [(&str, &str); 1] = [("content-type", "text/html")];

/// The body of an injected status.
#[must_use]
pub fn page(status: u16) -> Vec<u8> {
    format!("<html><head><title>{status} injected</title></head><body></body></html>").into_bytes()
}

/// What is left of a body after [`Kind::Truncate`] or [`Kind::Garbage`]; others leave it alone.
#[must_use]
pub fn spoil(kind: Kind, mut body: Vec<u8>) -> Vec<u8> {
    match kind {
        Kind::Truncate => body.truncate(body.len() / 2),
        Kind::Garbage => {
            let mut random = fastrand::Rng::with_seed(SEED ^ body.len() as u64);
            // At least one byte, and the first no digit: garbage is no number.
            body = (0..body.len().max(1)).map(|_| random.u8(..)).collect();
            body[0] |= 0x80;
        }
        _ => {}
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(texts: &[&str]) -> Faults {
        Faults::new(texts.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn a_fault_is_told_by_its_parts_in_any_order() {
        let fault: Fault = "every=3, status=503 ,provider=node".parse().unwrap();
        assert_eq!(fault.provider.as_deref(), Some("node"));
        assert_eq!(
            (fault.kind, fault.when),
            (Kind::Status(503), When::Every(3))
        );
        let fault: Fault = "delay=250ms".parse().unwrap();
        assert_eq!(fault.kind, Kind::Delay(Duration::from_millis(250)));
        assert_eq!((fault.provider, fault.when), (None, When::Every(1)));
    }

    #[test]
    fn what_is_no_fault_is_told_with_what_is_one() {
        for bad in [
            "",
            "provider=x",
            "status",
            "status=99",
            "status=600",
            "status=x",
            "delay=2",
            "delay=2h",
            "every=0,reset",
            "first=-1,reset",
            "timeout=1",
            "reset,timeout",
            "provider=,reset",
            "nonsense",
            "reset,every=2,every=3",
        ] {
            let error = bad.parse::<Fault>().unwrap_err();
            assert!(error.contains("status=N"), "{bad}: {error}");
        }
    }

    #[test]
    fn counts_are_those_of_the_provider() {
        let faults = faults(&["provider=a,reset,every=2", "timeout,first=1"]);
        // The second is everyone's; where both are due, the first one happens.
        assert_eq!(faults.next("b"), Some(Kind::Timeout));
        let told: Vec<_> = (0..4).map(|_| faults.next("a")).collect();
        let reset = Some(Kind::Reset);
        assert_eq!(told, [None, reset, None, reset]);
        assert_eq!(faults.next("b"), None);
    }

    #[test]
    fn a_body_is_cut_or_garbage() {
        assert_eq!(spoil(Kind::Truncate, b"12345678".to_vec()), b"1234");
        let garbage = spoil(Kind::Garbage, b"{\"a\":1}".to_vec());
        assert_eq!(garbage.len(), 7);
        assert!(serde_json::from_slice::<serde_json::Value>(&garbage).is_err());
        assert_eq!(spoil(Kind::Garbage, vec![]).len(), 1);
        assert_eq!(spoil(Kind::Reset, b"1".to_vec()), b"1");
    }
}
