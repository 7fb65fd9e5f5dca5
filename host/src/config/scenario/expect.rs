//! `[expect]` of a scenario: what must hold beside what must hold always.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::UnknownName;
use crate::config::leaf::{Leaf, words};
use crate::config::rate::Ratio;
use crate::config::reader::Table;
use crate::model::ProviderName;

/// What is expected; every absent key expects nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// How every pass ends.
    pub ending: Option<EndingWord>,
    /// Passes that end complete, at least.
    pub complete_passes_min: Option<u32>,
    /// Cells that are unknown after the last pass, exactly.
    pub holes: Option<u32>,
    /// Cells that are unknown after any pass, at most.
    pub holes_max: Option<u32>,
    /// How long every pass takes at least.
    pub min_duration: Option<Duration>,
    /// How long every pass takes at most.
    pub max_duration: Option<Duration>,
    /// Calls of a provider, at most, all passes together.
    pub max_calls: BTreeMap<ProviderName, u32>,
    /// Calls of a provider that failed, at most.
    pub max_failed_calls: BTreeMap<ProviderName, u32>,
    /// Calls of a provider that failed, at least: the scenario happened at all.
    pub min_failed_calls: BTreeMap<ProviderName, u32>,
    /// Cells that a provider answered, at most.
    pub max_answered: BTreeMap<ProviderName, u32>,
    /// Cells that a provider answered, at least.
    pub min_answered: BTreeMap<ProviderName, u32>,
    /// Share of what its tightest limit allows that a provider was asked, at least.
    pub utilisation_min: BTreeMap<ProviderName, f64>,
    /// Where a provider's gate stands in the end.
    pub state: BTreeMap<ProviderName, StateWord>,
    /// Providers whose gate is never shut.
    pub never_shut: Vec<ProviderName>,
}

words! {
    /// How a pass ends.
    EndingWord {
        /// Every cell is settled.
        Complete = "complete",
        /// Patience ran out.
        GaveUp = "gave_up",
    }
}

words! {
    /// Where a gate stands.
    StateWord {
        /// Calls pass.
        Closed = "closed",
        /// The circuit is open.
        Open = "open",
        /// The circuit is half-open.
        HalfOpen = "half_open",
        /// Kept out by a hold.
        Held = "held",
        /// Kept out because of its plugin.
        Quarantined = "quarantined",
    }
}

pub(super) fn read(table: Option<Table<'_>>, names: &[ProviderName]) -> Expect {
    let Some(mut table) = table else {
        return Expect::default();
    };
    let expect = Expect {
        ending: table.optional("ending"),
        complete_passes_min: table.optional("complete_passes_min"),
        holes: table.optional("holes"),
        holes_max: table.optional("holes_max"),
        min_duration: table.optional("min_duration"),
        max_duration: table.optional("max_duration"),
        max_calls: per_provider(&mut table, "max_calls", names),
        max_failed_calls: per_provider(&mut table, "max_failed_calls", names),
        min_failed_calls: per_provider(&mut table, "min_failed_calls", names),
        max_answered: per_provider(&mut table, "max_answered", names),
        min_answered: per_provider(&mut table, "min_answered", names),
        utilisation_min: per_provider::<Ratio>(&mut table, "utilisation_min", names)
            .into_iter()
            .map(|(name, ratio)| (name, ratio.0))
            .collect(),
        state: per_provider(&mut table, "state", names),
        never_shut: providers(&mut table, "never_shut", names),
    };
    table.finish();
    expect
}

/// A table with providers as its keys.
fn per_provider<T: Leaf>(
    table: &mut Table<'_>,
    key: &'static str,
    names: &[ProviderName],
) -> BTreeMap<ProviderName, T> {
    let Some(entries) = table.table(key) else {
        return BTreeMap::new();
    };
    let mut read = BTreeMap::new();
    for (name, item) in entries.entries() {
        match names.iter().find(|known| known.as_str() == name) {
            Some(known) => {
                read.extend(T::read(&item).map(|value| (known.clone(), value)));
            }
            None => {
                item.wrong::<()>(unknown(&name, names));
            }
        }
    }
    read
}

/// A list of providers.
fn providers(
    table: &mut Table<'_>,
    key: &'static str,
    names: &[ProviderName],
) -> Vec<ProviderName> {
    let listed: Vec<String> = table.optional(key).unwrap_or_default();
    let known = |name: &String| names.iter().find(|known| known.as_str() == name);
    for name in listed.iter().filter(|name| known(name).is_none()) {
        table.wrong(key, unknown(name, names));
    }
    listed.iter().filter_map(known).cloned().collect()
}

fn unknown(name: &str, names: &[ProviderName]) -> UnknownName {
    UnknownName::new("provider", name, names.iter().map(ProviderName::as_str))
}
