//! What a family of metrics is, and which series it has.

use crate::gate::{Cause, CircuitState, GateState, HealthStatus, Why};
use crate::model::{ChainName, Class, ProviderName};
use crate::pool::decision::{Purpose, Skip};
use crate::pool::meter::Op;

/// One row of the registry.
#[derive(Debug)]
pub struct Family {
    /// The whole name.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Where the dashboard shows it.
    pub group: Group,
    /// What tells its series apart.
    pub labels: &'static [Label],
    /// What it counts, and in which unit.
    pub help: &'static str,
}

/// How a family counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Grows, and begins at 0 with the process.
    Counter,
    /// Is what it is at the moment; `NaN` is not known.
    Gauge,
    /// A gauge of which one series is 1 and the others are 0, or all are 0; all `NaN`: not known.
    OneOf,
    /// A gauge that is 1 and says something with its labels.
    Info,
    /// Observations below these bounds.
    Histogram(&'static [f64]),
}

/// A part of the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The process, its store, its configuration.
    Service,
    /// The scans and balances of a chain.
    Chains,
    /// How a provider fares.
    Providers,
    /// Calls to providers.
    Calls,
    /// Who gets which work.
    Work,
}

/// A label with its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A configured chain.
    Chain,
    /// A provider of the chain's pool.
    Provider,
    /// A gate's state.
    State,
    /// The breaker's own state.
    Circuit,
    /// How a provider fares.
    Health,
    /// Why a gate lets no work through.
    Why,
    /// What made a gate change.
    Cause,
    /// The state that a gate entered.
    To,
    /// What a call said of its provider.
    Verdict,
    /// What a call asks.
    Op,
    /// How a call ended.
    Outcome,
    /// Whether a call was answered.
    Answered,
    /// What a call made of a cell.
    CellResult,
    /// What a scan made of a cell.
    ScanResult,
    /// What a comparison came to.
    Compared,
    /// What a decision was for.
    Purpose,
    /// Why a provider was passed over.
    Skip,
    /// What a scan is for.
    ScanKind,
    /// How a scan ended.
    ScanEnd,
    /// How the newest scan of a set stands.
    ScanState,
    /// What came of a reload.
    Reload,
    /// A limit, as in the configuration.
    Limit,
    /// The name of a plugin.
    Plugin,
    /// A version.
    Version,
    /// A configured alert.
    Alert,
    /// A configured webhook.
    Webhook,
}

/// The chains of a configuration, each with its pool in its order.
#[derive(Clone, Debug, Default)]
pub struct Scope(pub Vec<(ChainName, Vec<ProviderName>)>);

/// How a scan can end.
pub(super) const SCAN_ENDS: [&str; 4] = ["complete", "cancelled", "gave_up", "broken"];
/// How the newest scan of a set can stand; `idle` is before the first.
pub(super) const SCAN_STATES: [&str; 6] = [
    "idle",
    "running",
    "complete",
    "cancelled",
    "gave_up",
    "broken",
];
/// What can come of a reload.
pub(super) const RELOADS: [&str; 3] = ["taken", "rejected", "failed"];

// === impl Group ===

impl Group {
    /// The parts in their order.
    pub const ALL: [Self; 5] = [
        Self::Service,
        Self::Chains,
        Self::Providers,
        Self::Calls,
        Self::Work,
    ];

    /// The heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Chains => "Chains",
            Self::Providers => "Providers",
            Self::Calls => "Calls",
            Self::Work => "Who gets the work",
        }
    }
}

// === impl Kind ===

impl Kind {
    /// The word of the exposition.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::OneOf | Self::Info => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

// === impl Label ===

impl Label {
    /// The label's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Provider => "provider",
            Self::State | Self::Circuit | Self::ScanState => "state",
            Self::Health => "status",
            Self::Why => "why",
            Self::Cause | Self::Skip => "reason",
            Self::To => "to",
            Self::Verdict => "verdict",
            Self::Op => "op",
            Self::Outcome => "outcome",
            Self::Answered
            | Self::CellResult
            | Self::ScanResult
            | Self::Compared
            | Self::ScanEnd
            | Self::Reload => "result",
            Self::Purpose => "purpose",
            Self::ScanKind => "kind",
            Self::Limit => "limit",
            Self::Plugin => "plugin",
            Self::Version => "version",
            Self::Alert => "alert",
            Self::Webhook => "webhook",
        }
    }

    /// The closed list of its values; `None` where the configuration or the build says them.
    #[must_use]
    pub fn words(self) -> Option<Vec<&'static str>> {
        let words = match self {
            Self::Chain
            | Self::Provider
            | Self::Limit
            | Self::Plugin
            | Self::Version
            | Self::Alert
            | Self::Webhook => return None,
            Self::State | Self::To => GateState::ALL.iter().map(|it| it.as_str()).collect(),
            Self::Circuit => CircuitState::ALL.iter().map(|it| it.as_str()).collect(),
            Self::Health => HealthStatus::ALL.iter().map(|it| it.as_str()).collect(),
            Self::Why => Why::ALL.iter().map(|it| it.as_str()).collect(),
            Self::Cause => Cause::ALL.iter().map(|it| it.as_str()).collect(),
            Self::Verdict => vec![
                "success",
                "failure",
                "neutral",
                "rate_limited",
                "hold",
                "plugin_fault",
                "given_back",
            ],
            Self::Op => Op::ALL.map(Op::as_str).to_vec(),
            Self::Outcome => {
                let classes = Class::ALL.iter().map(|it| it.as_str());
                std::iter::once("success").chain(classes).collect()
            }
            Self::Answered => vec!["answered", "failed"],
            Self::CellResult | Self::ScanResult => vec!["known", "unknown", "invalid"],
            Self::Compared => vec!["same", "mismatch", "unsettled"],
            Self::Purpose => Purpose::ALL.map(Purpose::as_str).to_vec(),
            Self::Skip => Skip::all().map(Skip::as_str).collect(),
            Self::ScanKind => vec!["set", "spot"],
            Self::ScanEnd => SCAN_ENDS.to_vec(),
            Self::ScanState => SCAN_STATES.to_vec(),
            Self::Reload => RELOADS.to_vec(),
        };
        Some(words)
    }
}

// === impl Family ===

impl Family {
    /// Whether its series follow from the configured chains and providers alone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let is_free = |label: &Label| {
            use Label::{Alert, Limit, Plugin, Version, Webhook};
            matches!(label, Limit | Plugin | Version | Alert | Webhook)
        };
        !self.labels.iter().any(is_free)
    }

    /// The values of the labels of every series that it has with these chains and providers.
    #[must_use]
    pub fn series(&self, scope: &Scope) -> Vec<Vec<String>> {
        if !self.is_closed() {
            return Vec::new();
        }
        let has = |label| self.labels.contains(&label);
        let mut all: Vec<Vec<String>> = match (has(Label::Chain), has(Label::Provider)) {
            (_, true) => scope
                .pairs()
                .map(|(chain, name)| vec![chain, name])
                .collect(),
            (true, false) => scope
                .0
                .iter()
                .map(|(chain, _)| vec![chain.to_string()])
                .collect(),
            (false, false) => vec![Vec::new()],
        };
        // Chain and provider come first in every family.
        for words in self.labels.iter().filter_map(|label| label.words()) {
            let with_word = |values: &Vec<String>| {
                let values = values.clone();
                let with = move |word: &&str| {
                    let mut values = values.clone();
                    values.push((*word).to_owned());
                    values
                };
                words.iter().map(with).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(with_word).collect();
        }
        all
    }
}

// === impl Scope ===

impl Scope {
    fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().flat_map(|(chain, pool)| {
            let pair = |name: &ProviderName| (chain.to_string(), name.to_string());
            pool.iter().map(pair).collect::<Vec<_>>()
        })
    }
}
