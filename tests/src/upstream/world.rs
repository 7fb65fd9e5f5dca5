//! Several hosts over several ledgers, with their faults, their windows and what was asked.

mod told;

pub use self::told::ReadWorldError;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::asked::{Cell, CellClass};
use super::faults::{Fault, Faults, Kind, RetryAfter};
use super::host::{Host, HostKind};
use super::http::{Ending, Request, Response};
use super::ledger::Ledger;

/// All that one listener serves.
#[derive(Clone, Debug, Default)]
pub struct World {
    hosts: BTreeMap<String, Host>,
    ledgers: BTreeMap<String, Ledger>,
    /// What goes wrong; may be changed at any time.
    pub faults: Faults,
    log: Vec<LogEntry>,
    times: HashMap<String, Vec<i64>>,
    cells: Option<CellCounts>,
}

/// How often each cell was asked for, by the name of its ledger.
pub type CellCounts = HashMap<(String, Cell), u64>;

/// One request as it came and was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogEntry {
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
    /// The host's name, also of a host that does not exist.
    pub host: String,
    /// JSON-RPC methods, Etherscan action, or path below the host's name.
    pub method: String,
    /// JSON-RPC calls in the request; 1 elsewhere.
    pub calls: usize,
    /// Native balances asked for.
    pub native: usize,
    /// Token balances asked for.
    pub tokens: usize,
    /// HTTP status; 0 when none was sent.
    pub status: u16,
    /// Whether a fault was put in.
    pub faulty: bool,
    /// Whether the request exceeded one of the host's windows.
    pub over_window: bool,
}

/// Sums over the log of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// HTTP requests.
    pub requests: u64,
    /// JSON-RPC calls.
    pub calls: u64,
    /// Balances asked for, native and tokens.
    pub cells: u64,
    /// Requests beyond a window.
    pub over_window: u64,
    /// Requests by method; of a path, only the part before the address.
    pub methods: BTreeMap<String, u64>,
}

// === impl World ===

impl World {
    /// A world without hosts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a ledger.
    #[must_use]
    pub fn with_ledger(mut self, name: &str, ledger: impl Into<Ledger>) -> Self {
        self.ledgers.insert(name.to_owned(), ledger.into());
        self
    }

    /// Adds or replaces a host with the documented limits of its kind.
    ///
    /// # Panics
    ///
    /// When there is no such ledger, or one of another family of chains.
    #[must_use]
    pub fn with_host(self, name: &str, kind: HostKind, ledger: &str) -> Self {
        self.with(name, Host::new(kind, ledger))
    }

    /// Adds or replaces a host.
    ///
    /// # Panics
    ///
    /// As [`World::with_host`].
    #[must_use]
    pub fn with(mut self, name: &str, host: Host) -> Self {
        assert!(
            self.serves(&host),
            "host `{name}` needs a ledger `{}` of its kind",
            host.ledger
        );
        self.hosts.insert(name.to_owned(), host);
        self
    }

    /// Whether the host's ledger is here and of its kind.
    pub(crate) fn serves(&self, host: &Host) -> bool {
        let ledger = self.ledgers.get(&host.ledger);
        ledger.is_some_and(|ledger| fits(host.kind, ledger))
    }

    /// Adds a fault.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.faults.add(fault);
        self
    }

    /// Counts every cell from now on; that takes memory for each.
    #[must_use]
    pub fn counting_cells(mut self) -> Self {
        self.cells = Some(CellCounts::new());
        self
    }

    /// A ledger by its name.
    #[must_use]
    pub fn ledger(&self, name: &str) -> Option<&Ledger> {
        self.ledgers.get(name)
    }

    /// A ledger by its name, to change it between two scans.
    pub fn ledger_mut(&mut self, name: &str) -> Option<&mut Ledger> {
        self.ledgers.get_mut(name)
    }

    /// A host by its name, to change its limits.
    pub fn host_mut(&mut self, name: &str) -> Option<&mut Host> {
        self.hosts.get_mut(name)
    }

    /// All hosts in the order of their names.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &Host)> {
        self.hosts.iter().map(|(name, host)| (&**name, host))
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    /// Forgets the log; windows keep counting.
    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// Sums over the log, by host.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<String, Counters> {
        let mut sums: BTreeMap<String, Counters> = BTreeMap::new();
        for entry in &self.log {
            let sum = sums.entry(entry.host.clone()).or_default();
            sum.requests += 1;
            sum.calls += entry.calls as u64;
            sum.cells += (entry.native + entry.tokens) as u64;
            sum.over_window += u64::from(entry.over_window);
            *sum.methods.entry(resource(&entry.method)).or_default() += 1;
        }
        sums
    }

    /// How often each balance was asked for since the last time that this was called; nothing
    /// unless [`World::counting_cells`] said so.
    pub fn take_cells(&mut self) -> CellCounts {
        self.cells.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Answers a request by [`super::answer`] with the faults that are due, and logs it.
    pub fn handle(&mut self, request: &Request, now_ms: i64) -> Response {
        let (name, path) = request.host_and_rest();
        let found = self.hosts.get(name);
        let found = found.and_then(|host| Some((host, self.ledgers.get(&host.ledger)?)));
        let Some((host, ledger)) = found else {
            self.log.push(LogEntry {
                at_ms: now_ms,
                host: name.to_owned(),
                method: path.to_owned(),
                calls: 1,
                native: 0,
                tokens: 0,
                status: 404,
                faulty: false,
                over_window: false,
            });
            return Response::text(404, format!("no simulated host `{name}`"));
        };
        let asked = super::inspect(request, host, ledger);
        if let Some(counts) = &mut self.cells {
            let cells = asked.calls.iter().flat_map(|call| &call.cells);
            for cell in cells.filter(|cell| cell.class != CellClass::Other) {
                let key = (host.ledger.clone(), cell.clone());
                *counts.entry(key).or_default() += 1;
            }
        }
        let mut due = self.faults.due(name, &asked, now_ms);
        let faulty = !due.is_empty();
        let times = self.times.entry(name.to_owned()).or_default();
        if !host.windows.is_empty() {
            times.push(now_ms);
        }
        let wait_ms = wait_ms(host, times, now_ms);
        if let Some(wait_ms) = wait_ms {
            // A refused request takes nothing of the window.
            times.pop();
            let seconds = u64::try_from(wait_ms).unwrap_or(0).div_ceil(1000);
            let retry_after = RetryAfter::Seconds(seconds);
            due.insert(0, Fault::at(name, Kind::RateLimit { retry_after }));
        }
        let response = super::answer(request, host, ledger, &due, now_ms);
        let broadcast = asked
            .calls
            .iter()
            .any(|call| super::broadcast::is_one(&call.method));
        let taken = match broadcast {
            true => super::broadcast::taken(request, host, &response),
            false => Vec::new(),
        };
        let sent = !matches!(response.ending, Ending::Hang | Ending::Reset);
        self.log.push(LogEntry {
            at_ms: now_ms,
            host: name.to_owned(),
            method: asked.methods(),
            calls: asked.calls.len(),
            native: asked.count(CellClass::Native),
            tokens: asked.count(CellClass::Token),
            status: if sent { response.status } else { 0 },
            faulty,
            over_window: wait_ms.is_some(),
        });
        let ledger = host.ledger.clone();
        if let Some(ledger) = self.ledgers.get_mut(&ledger) {
            for id in taken {
                ledger.blocks_mut().hand_in(id, now_ms);
            }
        }
        response
    }
}

/// `/api/address` of `/api/address/A`; a method as it is.
fn resource(method: &str) -> String {
    let end = method.match_indices('/').nth(2).map(|(end, _)| end);
    method[..end.unwrap_or(method.len())].to_owned()
}

fn fits(kind: HostKind, ledger: &Ledger) -> bool {
    match kind {
        HostKind::Esplora | HostKind::Mempool => matches!(ledger, Ledger::Bitcoin(_)),
        HostKind::Etherscan | HostKind::Evm => matches!(ledger, Ledger::Evm(_)),
        HostKind::Solana => matches!(ledger, Ledger::Solana(_)),
    }
}

/// How long until the fullest exceeded window has room; `None` when none is exceeded.
fn wait_ms(host: &Host, times: &[i64], now_ms: i64) -> Option<i64> {
    let waits = host.windows.iter().filter_map(|window| {
        let start = times.partition_point(|time| *time <= now_ms - window.per_ms);
        let inside = &times[start..];
        let excess = inside
            .len()
            .checked_sub(window.max)
            .filter(|excess| *excess > 0)?;
        let frees = inside.get(excess - 1)?;
        Some(frees + window.per_ms - now_ms)
    });
    waits.max()
}
