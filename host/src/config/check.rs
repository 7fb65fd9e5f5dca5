//! What can only be told when all sections are read.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{ChainName, ProviderName};

use super::chain::Chain;
use super::duration::format_duration;
use super::error::Place;
use super::provider::Provider;
use super::reader::Reader;

type Providers = BTreeMap<ProviderName, Provider>;

/// Checks the sections against each other and raises budgets that are too small to work.
pub(super) fn check(
    reader: &Reader<'_>,
    chains: &mut BTreeMap<ChainName, Chain>,
    providers: &Providers,
) {
    secrets(reader, chains, providers);
    limit_groups(reader, providers);
    for chain in chains.values_mut() {
        breakers(reader, chain, providers);
        budget(reader, chain, providers);
    }
}

/// A provider that is used must have its keys; for one that is not, it is worth a word.
fn secrets(reader: &Reader<'_>, chains: &BTreeMap<ChainName, Chain>, providers: &Providers) {
    for provider in providers.values() {
        let used = chains
            .values()
            .any(|chain| chain.pool.contains(&provider.name));
        for (key, secret) in provider.secrets() {
            let Some(why) = secret.missing() else {
                continue;
            };
            let path = format!("providers.{}.{key}", provider.name);
            let place = place_of(reader, &path);
            if used {
                reader.error(place, format!("`{path}`: {why}"));
            } else {
                reader.warn(
                    place,
                    format!("`{path}`: {why}; no pool uses this provider"),
                );
            }
        }
    }
}

/// One pacer cannot keep two sets of limits.
fn limit_groups(reader: &Reader<'_>, providers: &Providers) {
    let mut groups: BTreeMap<&str, &Provider> = BTreeMap::new();
    for provider in providers.values() {
        let Some(group) = provider.limit_group.as_deref() else {
            continue;
        };
        let first = *groups.entry(group).or_insert(provider);
        if first.limits != provider.limits {
            let path = format!("providers.{}.limits", provider.name);
            let message = format!(
                "`{path}`: differs from `{}`, which is in the same limit_group `{group}`",
                first.name
            );
            reader.error(place_of(reader, &path), message);
        }
    }
}

/// An override that makes sense by itself may contradict the chain's breaker.
fn breakers(reader: &Reader<'_>, chain: &Chain, providers: &Providers) {
    let of_chain = chain.breaker.contradictions();
    for provider in pool(chain, providers) {
        let effective = provider.breaker.over(&chain.breaker);
        for (key, message) in effective.contradictions() {
            if of_chain.iter().any(|(known, _)| *known == key) {
                continue;
            }
            let path = format!("providers.{}.breaker.{key}", provider.name);
            let message = format!("`{path}`: {message} (in the pool of `{}`)", chain.name);
            reader.error(place_of(reader, &path), message);
        }
    }
}

/// A pass that loses patience before a breaker's probe came twice would give up for nothing.
fn budget(reader: &Reader<'_>, chain: &mut Chain, providers: &Providers) {
    let longest = pool(chain, providers)
        .map(|provider| provider.breaker.over(&chain.breaker).longest_cooldown())
        .max()
        .unwrap_or_default();
    let least = longest.saturating_mul(2);
    // In whole seconds, so that it can be printed.
    let least = Duration::from_secs(least.as_secs() + u64::from(least.subsec_nanos() > 0));
    if chain.scan.budget >= least {
        return;
    }
    let path = format!("chains.{}.scan.budget", chain.name);
    let place = place_of(reader, &path);
    let message = format!(
        "`{path}`: {} is below twice the longest cooldown of the pool; {} is used",
        format_duration(chain.scan.budget),
        format_duration(least)
    );
    reader.warn(place, message);
    chain.scan.budget = least;
    if let Some(shown) = reader
        .effective
        .borrow_mut()
        .iter_mut()
        .find(|effective| effective.path == path)
    {
        shown.value = format!("\"{}\"", format_duration(least));
    }
}

fn pool<'p>(chain: &Chain, providers: &'p Providers) -> impl Iterator<Item = &'p Provider> {
    chain.pool.iter().filter_map(|name| providers.get(name))
}

/// Where `path` was set; where it was not, the nearest table around it.
fn place_of(reader: &Reader<'_>, path: &str) -> Place {
    let effective = reader.effective.borrow();
    match effective.iter().find(|effective| effective.path == path) {
        Some(effective) if effective.origin != Place::Default => effective.origin.clone(),
        _ => reader.places.value(path),
    }
}
