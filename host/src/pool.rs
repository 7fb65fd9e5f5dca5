//! The providers of a chain in the operator's order, and who may take work now.

pub mod assemble;
pub mod client;
pub mod decision;
pub mod learned;
pub mod meter;
pub mod pacers;
pub mod record;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use self::decision::Decisions;
use self::learned::BatchLimit;
use self::meter::Meter;
use crate::clock::rfc3339;
use crate::config::Strategy;
use crate::gate::{Gate, Permit, Why};
use crate::model::{ChainName, Class, Commitment, ProviderError, ProviderName};
use crate::plugin::backend::CallBudget;
use crate::plugin::{Backend, CallError, Caps};

/// The most providers that a pool may have: one bit each in a cell's record of who was asked.
pub const POOL_MAX: usize = 64;

/// The providers of one chain.
#[derive(Debug)]
pub struct Pool {
    /// The chain.
    pub chain: ChainName,
    /// Usable providers in the operator's order; may be empty.
    pub members: Vec<Arc<Member>>,
    /// Providers of the order that could not be loaded, and why.
    pub unusable: Vec<ProviderError>,
    /// A provider that must wait longer is passed over.
    pub spill_after: Duration,
    /// What the chain is expected to say of itself; `None` is not checked.
    pub identity: Option<String>,
    /// The longest that any breaker of the pool stays open.
    pub cooldown_longest: Duration,
    /// How the work is shared.
    pub strategy: Strategy,
    /// Who got which call, and why others did not.
    pub decisions: Arc<Decisions>,
}

/// One provider of a pool.
#[derive(Debug)]
pub struct Member {
    /// Its name in the configuration.
    pub name: ProviderName,
    /// Its code.
    pub backend: Arc<dyn Backend>,
    /// Its gate.
    pub gate: Gate,
    /// For one HTTP request.
    pub timeout: Duration,
    /// Calls at once.
    pub connections: usize,
    /// What the provider taught about the size of its calls.
    pub batch: BatchLimit,
    /// Its last failure in this process, for the reasons of cells that it keeps unknown.
    pub last_failure: Mutex<Option<ProviderError>>,
    /// What its calls are counted by, where somebody wants to know.
    pub meter: OnceLock<Meter>,
}

impl Pool {
    /// A pool without providers, by the defaults of the configuration.
    #[must_use]
    pub fn empty(chain: ChainName) -> Self {
        Self {
            chain,
            members: Vec::new(),
            unusable: Vec::new(),
            spill_after: Duration::from_secs(2),
            identity: None,
            cooldown_longest: Duration::ZERO,
            strategy: Strategy::Failover,
            decisions: Arc::default(),
        }
    }

    /// Whether any provider could read such an asset.
    #[must_use]
    pub fn can_read(&self, native: bool) -> bool {
        self.members.iter().any(|member| member.can_read(native))
    }

    /// How settled the amounts are when the configuration does not say: the first provider's word.
    #[must_use]
    pub fn commitment_default(&self) -> Commitment {
        let first = self.members.first();
        first.map_or(Commitment::Finalized, |member| {
            member.caps().commitment_default
        })
    }
}

impl Member {
    /// A provider of which nothing is known yet.
    #[must_use]
    pub fn new(
        name: ProviderName,
        backend: Arc<dyn Backend>,
        gate: Gate,
        timeout: Duration,
        connections: usize,
    ) -> Self {
        Self {
            name,
            backend,
            gate,
            timeout,
            connections,
            batch: BatchLimit::default(),
            last_failure: Mutex::default(),
            meter: OnceLock::new(),
        }
    }

    /// What it can do.
    #[must_use]
    pub fn caps(&self) -> Caps {
        self.backend.caps()
    }

    /// Whether it reads such an asset.
    #[must_use]
    pub fn can_read(&self, native: bool) -> bool {
        let caps = self.caps();
        if native { caps.native } else { caps.tokens }
    }

    /// Most cells of its next call.
    #[must_use]
    pub fn cells_max(&self) -> usize {
        self.caps()
            .cells_max
            .min(self.batch.cells_max(self.gate.clock().unix_ms()))
            .max(1)
    }

    /// Remembers that a call of `cells` was too large.
    pub fn learn_too_large(&self, cells: usize) {
        let limit = (cells / 2).max(1);
        if self.batch.learn(limit, self.gate.clock().unix_ms()) {
            tracing::info!(
                provider = %self.name, cells, limit,
                "provider `{}` refused {cells} cells in one call; it gets {limit} from now on", self.name
            );
        }
    }

    /// How long a call of that many requests may take: each request has the provider's timeout,
    /// and one more is for what a plugin asks besides (decimals, a fallback).
    #[must_use]
    pub fn budget(&self, requests: u32, permit: &Permit) -> CallBudget {
        let deadline = self
            .timeout
            .saturating_mul(requests.max(1).saturating_add(1));
        let slots = permit.slots();
        slots.expect(requests);
        CallBudget { deadline, slots }
    }

    /// Takes note of a failure, in the words that a hole tells it by.
    pub fn note_failure(&self, error: &CallError) -> ProviderError {
        let told = ProviderError {
            provider: self.name.clone(),
            class: error.class,
            message: error.message.clone(),
            http_status: error.http_status,
        };
        *self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(told.clone());
        told
    }

    /// Its last failure in this process.
    #[must_use]
    pub fn last_failure(&self) -> Option<ProviderError> {
        let last = self.last_failure.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why it gets no work, and until when where that is known, as its word in a hole; `None` while
    /// its gate is open.
    ///
    /// What it did itself says more than that its circuit is open because of it.
    #[must_use]
    pub fn shut_reason(&self) -> Option<ProviderError> {
        let snapshot = self.gate.snapshot();
        let why = snapshot.why?;
        let class = match why {
            Why::HeldWrongChain => Class::WrongChain,
            Why::HeldUnauthorized => Class::Unauthorized,
            Why::HeldQuota => Class::Quota,
            Why::HeldMismatch => Class::Malformed,
            Why::Quarantined => Class::PluginFault,
            Why::RetryAfter | Why::Paced => Class::RateLimited,
            Why::CircuitOpen | Why::HalfOpenBusy | Why::ForcedOpen | Why::IdentityPending => {
                Class::CircuitOpen
            }
        };
        if class == Class::CircuitOpen
            && why != Why::ForcedOpen
            && let Some(last) = self.last_failure()
        {
            return Some(last);
        }
        let until = snapshot.until.map(rfc3339);
        let until = until.map_or_else(String::new, |until| format!(" (until {until})"));
        let held = snapshot.hold.map(|hold| hold.message);
        let message = match held.or(snapshot.history.last_error_msg) {
            Some(last) => format!("{why}{until}; last: {last}"),
            None => format!("{why}{until}"),
        };
        Some(ProviderError {
            provider: self.name.clone(),
            class,
            message,
            http_status: None,
        })
    }
}
