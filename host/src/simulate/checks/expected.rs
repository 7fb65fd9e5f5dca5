//! `[expect]` of a scenario, held against what was seen.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::Seen;
use crate::config::{EndingWord, Expect, Scenario, format_duration};
use crate::model::ProviderName;
use crate::simulate::passes::{Record, millis};
use crate::simulate::report::{Check, PassReport};

/// One check for each thing that the scenario expects.
pub(super) fn checks(scenario: &Scenario, record: &Record, seen: &[Seen<'_>]) -> Vec<Check> {
    let expect = &scenario.expect;
    let mut checks = of_passes(expect, &record.passes);
    let at_most = |it: &u64, limit: &u64| it <= limit;
    let at_least = |it: &u64, limit: &u64| it >= limit;
    let wide = |map: &BTreeMap<ProviderName, u32>| {
        let wide = map.iter().map(|(name, it)| (name.clone(), u64::from(*it)));
        wide.collect::<BTreeMap<_, _>>()
    };
    let mut each =
        |key: &str, map: &BTreeMap<ProviderName, u32>, see: See<'_, u64>, fits: Fits<u64>| {
            checks.extend(of_providers(key, &wide(map), seen, see, fits));
        };
    let calls = |seen: &Seen<'_>| seen.log.calls.len() as u64;
    let failed = |seen: &Seen<'_>| seen.log.failed() as u64;
    let answered = |seen: &Seen<'_>| seen.log.answered();
    each("max_calls", &expect.max_calls, &calls, at_most);
    each(
        "max_failed_calls",
        &expect.max_failed_calls,
        &failed,
        at_most,
    );
    each(
        "min_failed_calls",
        &expect.min_failed_calls,
        &failed,
        at_least,
    );
    each("max_answered", &expect.max_answered, &answered, at_most);
    each("min_answered", &expect.min_answered, &answered, at_least);
    let states = expect.state.iter();
    let states = states
        .map(|(name, it)| (name.clone(), it.as_str()))
        .collect();
    checks.extend(of_providers(
        "state",
        &states,
        seen,
        &|it| it.snapshot.state.as_str(),
        |it, word| it == word,
    ));
    let shares = &expect.utilisation_min;
    checks.extend(of_providers(
        "utilisation_min",
        shares,
        seen,
        &|it| it.utilisation(),
        |it, least| it >= least,
    ));
    let never = expect.never_shut.iter();
    let never = never.map(|name| (name.clone(), 0_u64)).collect();
    let times_shut = |seen: &Seen<'_>| seen.shut.len() as u64;
    checks.extend(of_providers(
        "never_shut",
        &never,
        seen,
        &times_shut,
        at_most,
    ));
    checks
}

type See<'f, T> = &'f dyn Fn(&Seen<'_>) -> T;
type Fits<T> = fn(&T, &T) -> bool;

fn of_providers<T: Display>(
    key: &str,
    expected: &BTreeMap<ProviderName, T>,
    seen: &[Seen<'_>],
    see: See<'_, T>,
    fits: Fits<T>,
) -> Vec<Check> {
    let check = |(name, expected): (&ProviderName, &T)| {
        // A provider that the pool leaves out sees nothing, and nothing is expected of it.
        let seen = seen.iter().find(|seen| seen.name() == name.as_str())?;
        let value = see(seen);
        Some(Check {
            expected: format!("{key}.{name} = {expected}"),
            held: fits(&value, expected),
            seen: value.to_string(),
        })
    };
    expected.iter().filter_map(check).collect()
}

fn of_passes(expect: &Expect, passes: &[PassReport]) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut add = |expected: String, held: bool, seen: String| {
        checks.push(Check {
            expected,
            held,
            seen,
        });
    };
    let complete = |pass: &&PassReport| pass.ending == EndingWord::Complete.as_str();
    let complete = passes.iter().filter(complete).count();
    if let Some(ending) = expect.ending.map(EndingWord::as_str) {
        let other = passes.iter().find(|pass| pass.ending != ending);
        let seen = other.map_or_else(
            || ending.to_owned(),
            |pass| format!("pass {}: {}", pass.number, pass.ending),
        );
        add(format!("ending = {ending}"), other.is_none(), seen);
    }
    if let Some(least) = expect.complete_passes_min {
        let held = complete >= least as usize;
        add(
            format!("complete_passes_min = {least}"),
            held,
            complete.to_string(),
        );
    }
    let holes = passes.last().map(|pass| pass.unknown);
    if let Some(exactly) = expect.holes {
        let held = holes == Some(u64::from(exactly));
        let seen = holes.map_or_else(|| "no pass".to_owned(), |holes| holes.to_string());
        add(format!("holes = {exactly}"), held, seen);
    }
    let most = passes.iter().map(|pass| pass.unknown).max();
    if let (Some(limit), Some(most)) = (expect.holes_max, most) {
        add(
            format!("holes_max = {limit}"),
            most <= u64::from(limit),
            most.to_string(),
        );
    }
    let shortest = passes.iter().map(|pass| pass.took_ms).min();
    if let (Some(least), Some(shortest)) = (expect.min_duration, shortest) {
        let held = shortest >= millis(least);
        add(
            format!("min_duration = {}", format_duration(least)),
            held,
            seconds(shortest),
        );
    }
    let longest = passes.iter().map(|pass| pass.took_ms).max();
    if let (Some(limit), Some(longest)) = (expect.max_duration, longest) {
        let held = longest <= millis(limit);
        add(
            format!("max_duration = {}", format_duration(limit)),
            held,
            seconds(longest),
        );
    }
    checks
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}

impl Seen<'_> {
    /// Calls as a share of the rate of the tightest window, to three digits; what a window allows
    /// at once in the beginning may make it more than 1.
    fn utilisation(&self) -> f64 {
        let calls = &self.log.calls;
        let (Some(first), Some(last)) = (calls.first(), calls.last()) else {
            return 0.0;
        };
        let time = last.began - first.began;
        let share = |(count, per): (u32, Duration)| {
            // The first call of all needs no time before it.
            let allowed = f64::from(count) * time.as_secs_f64() / per.as_secs_f64() + 1.0;
            calls.len() as f64 / allowed
        };
        let windows = self.provider.script().limits.iter();
        let tightest = windows
            .map(|it| share((it.count, it.per)))
            .fold(0.0, f64::max);
        (tightest * 1_000.0).round() / 1_000.0
    }
}
