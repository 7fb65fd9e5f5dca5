//! What goes wrong, and when.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::asked::{Asked, Call, Cell, CellClass};

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests it happens to.
    #[serde(default)]
    pub when: Selector,
    /// What happens.
    pub what: Kind,
}

/// Which requests a fault happens to; an empty selector means all of them, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// Name of the simulated host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// A part of the JSON-RPC method, the Etherscan action or the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Only requests (and in them, only cells) of this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<CellClass>,
    /// Only requests (and in them, only cells) of this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Only the n-th to m-th request, counted from 1 over the requests that match all else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<(u64, u64)>,
    /// Only requests of more cells than this: a limit that the server tells nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cells_over: Option<usize>,
    /// Only from this time on, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<i64>,
    /// Only before this time, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

/// The kinds of faults. The table in [`super`] says where each of them can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// Answers with this status and nothing of what was asked.
    Status {
        /// HTTP status.
        code: u16,
        /// The form of the body.
        #[serde(default)]
        body: BodyForm,
    },
    /// Answers correctly, this much later.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Never answers.
    Hang,
    /// Closes the connection before the first byte.
    Reset,
    /// 429 in the host's own form.
    RateLimit {
        /// The `Retry-After` header.
        #[serde(default)]
        retry_after: RetryAfter,
    },
    /// A rate answer inside HTTP 200, in the host's own words.
    RateLimitText,
    /// An error inside HTTP 200: a JSON-RPC error, or status `0` NOTOK.
    ErrorIn200 {
        /// JSON-RPC code; the host's usual one when absent.
        #[serde(default)]
        code: Option<i64>,
        /// Text; the host's usual one when absent.
        #[serde(default)]
        message: Option<String>,
    },
    /// The JSON-RPC method does not exist here.
    NoSuchMethod,
    /// 302 to another place.
    Redirect {
        /// The `Location` header.
        location: String,
    },
    /// HTTP 200 with `{}`.
    EmptyObject,
    /// HTTP 200 with a gateway's page.
    Html,
    /// HTTP 200 with a JSON body cut in the middle, `Content-Length` as cut.
    Truncated,
    /// The connection closes in the middle of the body.
    CutOnWire,
    /// The last item of a list is missing.
    Short,
    /// A list that is not positional comes in reverse order.
    Reordered,
    /// The first item of a list comes twice.
    Doubled,
    /// An item comes that nobody asked for.
    Uninvited,
    /// The host says of itself, and in canaries, that it is another chain.
    WrongChain,
    /// The chain stands still this many blocks or slots behind.
    Behind {
        /// Blocks or slots.
        blocks: u64,
    },
    /// A state that is not kept is answered as if nothing were in it.
    ForgottenAsEmpty,
    /// The result is `null` where that is no legal answer.
    Null,
    /// An amount in the wrong textual form.
    NumberAsText,
    /// An amount as a JSON number where the format has text.
    TextAsNumber,
    /// An amount beyond its type: over 256 bits, over 64 bits.
    Huge,
    /// Every amount is one unit too high: a well-formed lie.
    Lie,
    /// No data where a word or an account is due: `0x`, `""`.
    EmptyReturnData,
    /// This one item fails in the format's own way, its siblings are answered.
    ItemError,
    /// The token says it has this many decimals.
    WrongDecimals {
        /// Decimals.
        decimals: u8,
    },
    /// The token account belongs to another wallet.
    WrongOwner,
    /// The token account is of another mint.
    WrongMint,
    /// The account at the token account's address is none: another program owns it.
    NotATokenAccount,
}

/// The body that comes with a bare status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyForm {
    /// No body.
    Empty,
    /// A gateway's page.
    #[default]
    Html,
    /// `{"error":"…"}`.
    Json,
    /// The reason phrase.
    Text,
}

/// The `Retry-After` header of a rate answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// No header.
    #[default]
    None,
    /// In seconds.
    Seconds(u64),
    /// As a date this many seconds from now.
    HttpDate(u64),
}

/// A list of faults with the number of requests that each has met.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    list: Vec<Fault>,
    met: HashMap<usize, u64>,
}

// === impl Fault ===

impl Fault {
    /// A fault of every request to one host.
    #[must_use]
    pub fn at(host: &str, what: Kind) -> Self {
        let when = Selector {
            host: Some(host.to_owned()),
            ..Selector::default()
        };
        Self { when, what }
    }

    /// Only where the method, action or path contains this.
    #[must_use]
    pub fn on(mut self, part: &str) -> Self {
        self.when.on = Some(part.to_owned());
        self
    }

    /// Only native balances.
    #[must_use]
    pub fn native(mut self) -> Self {
        self.when.asset = Some(CellClass::Native);
        self
    }

    /// Only token balances.
    #[must_use]
    pub fn token(mut self) -> Self {
        self.when.asset = Some(CellClass::Token);
        self
    }

    /// Only this address.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.when.address = Some(address.to_owned());
        self
    }

    /// Only the n-th to m-th matching request, counted from 1.
    #[must_use]
    pub fn nth(mut self, range: std::ops::RangeInclusive<u64>) -> Self {
        self.when.nth = Some((*range.start(), *range.end()));
        self
    }

    /// Only requests of more cells than this.
    #[must_use]
    pub fn cells_over(mut self, cells: usize) -> Self {
        self.when.cells_over = Some(cells);
        self
    }

    /// Only from `from_ms` until before `until_ms`, in milliseconds since 1970.
    #[must_use]
    pub fn during(mut self, from_ms: i64, until_ms: i64) -> Self {
        self.when.from_ms = Some(from_ms);
        self.when.until_ms = Some(until_ms);
        self
    }

    /// Whether the fault touches this cell of a request that it happens to.
    pub(crate) fn touches(&self, cell: &Cell) -> bool {
        let class = self.when.asset.is_none_or(|class| class == cell.class);
        let address = self.when.address.as_deref();
        class && address.is_none_or(|address| address.eq_ignore_ascii_case(&cell.address))
    }

    /// Whether the fault touches this call of a request that it happens to.
    pub(crate) fn touches_call(&self, call: &Call) -> bool {
        let narrow = self.when.asset.is_some() || self.when.address.is_some();
        let on = self.when.on.as_deref();
        on.is_none_or(|part| call.method.contains(part))
            && (!narrow || call.cells.iter().any(|cell| self.touches(cell)))
    }

    fn matches(&self, host: &str, asked: &Asked, now_ms: i64) -> bool {
        let when = &self.when;
        when.host.as_deref().is_none_or(|name| name == host)
            && when.from_ms.is_none_or(|from| from <= now_ms)
            && when.until_ms.is_none_or(|until| now_ms < until)
            && when.cells_over.is_none_or(|cells| asked.cells() > cells)
            && asked.calls.iter().any(|call| self.touches_call(call))
    }
}

// === impl Faults ===

impl Faults {
    /// Adds a fault; its count of requests starts at 0.
    pub fn add(&mut self, fault: Fault) {
        self.list.push(fault);
    }

    /// Removes all faults.
    pub fn clear(&mut self) {
        self.list.clear();
        self.met.clear();
    }

    /// The faults in the order in which they were added.
    #[must_use]
    pub fn list(&self) -> &[Fault] {
        &self.list
    }

    /// Counts a request and says which faults happen to it.
    pub fn due(&mut self, host: &str, asked: &Asked, now_ms: i64) -> Vec<Fault> {
        let mut due = Vec::new();
        for (place, fault) in self.list.iter().enumerate() {
            if !fault.matches(host, asked, now_ms) {
                continue;
            }
            let met = self.met.entry(place).or_default();
            *met += 1;
            let nth = fault.when.nth;
            if nth.is_none_or(|(first, last)| (first..=last).contains(met)) {
                due.push(fault.clone());
            }
        }
        due
    }
}

/// The first fault of a call that `pick` takes.
pub(crate) fn on_call<'a, T>(
    faults: &'a [Fault],
    call: &Call,
    pick: impl Fn(&'a Kind) -> Option<T>,
) -> Option<T> {
    let mut faults = faults.iter().filter(|fault| fault.touches_call(call));
    faults.find_map(|fault| pick(&fault.what))
}

/// Whether a call has this very fault.
pub(crate) fn has(faults: &[Fault], call: &Call, kind: &Kind) -> bool {
    on_call(faults, call, |what| (what == kind).then_some(())).is_some()
}

/// The fault of one cell, if it has one that changes a single item.
pub(crate) fn on_cell<'a>(faults: &'a [Fault], call: &Call, cell: &Cell) -> Option<&'a Kind> {
    let mut faults = faults.iter();
    let fault = faults
        .find(|fault| fault.what.is_of_items() && fault.touches_call(call) && fault.touches(cell));
    fault.map(|fault| &fault.what)
}

// === impl Kind ===

impl Kind {
    fn is_of_items(&self) -> bool {
        matches!(
            self,
            Self::Null
                | Self::NumberAsText
                | Self::TextAsNumber
                | Self::Huge
                | Self::Lie
                | Self::EmptyReturnData
                | Self::ItemError
                | Self::WrongOwner
                | Self::WrongMint
                | Self::NotATokenAccount
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, cells: &[(CellClass, &str)]) -> Asked {
        let cells = cells.iter();
        let cells = cells.map(|(class, address)| Cell::new(*class, *address));
        Asked {
            calls: vec![Call {
                method: method.to_owned(),
                cells: cells.collect(),
            }],
        }
    }

    #[test]
    fn the_nth_counts_only_requests_that_match() {
        let mut faults = Faults::default();
        faults.add(Fault::at("a", Kind::Hang).on("eth_call").nth(2..=3));
        let call = asked("eth_call", &[]);
        let other = asked("eth_chainId", &[]);
        let seen: Vec<_> = [&call, &other, &call, &call, &call]
            .into_iter()
            .map(|asked| faults.due("a", asked, 0).len())
            .collect();
        assert_eq!(seen, [0, 0, 1, 1, 0]);
        assert!(faults.due("b", &call, 0).is_empty());
    }

    #[test]
    fn a_selector_narrows_by_class_address_size_and_time() {
        #[track_caller]
        fn check(fault: Fault, now_ms: i64, expected: bool) {
            let asked = asked("m", &[(CellClass::Native, "0xAb"), (CellClass::Other, "")]);
            let mut faults = Faults::default();
            faults.add(fault);
            assert_eq!(!faults.due("a", &asked, now_ms).is_empty(), expected);
        }
        let fault = || Fault::at("a", Kind::Hang);
        check(fault().native(), 0, true);
        check(fault().token(), 0, false);
        check(fault().address("0xaB"), 0, true);
        check(fault().address("0xac"), 0, false);
        check(fault().cells_over(0), 0, true);
        check(fault().cells_over(1), 0, false);
        check(fault().during(5, 9), 5, true);
        check(fault().during(5, 9), 9, false);
    }

    #[test]
    fn faults_are_read_from_json() {
        let json = r#"{"when":{"host":"bsc-a","on":"eth_call","asset":"token","nth":[1,3]},
            "what":{"kind":"rate_limit","retry_after":{"seconds":7}}}"#;
        let fault: Fault = serde_json::from_str(json).unwrap();
        let retry_after = RetryAfter::Seconds(7);
        let expected = Fault::at("bsc-a", Kind::RateLimit { retry_after });
        assert_eq!(fault, expected.on("eth_call").token().nth(1..=3));
        assert!(serde_json::from_str::<Fault>(r#"{"what":{"kind":"hang"},"wen":{}}"#).is_err());
    }
}
