//! What must hold always, and what the scenario says.

mod expected;

use std::collections::BTreeMap;
use std::time::Duration;

use super::calls::CallLog;
use super::passes::{Faults, Record, millis};
use super::report::{Check, ProviderReport, Report};
use super::scripted::Scripted;
use super::stage::START_MS;
use crate::config::{Scenario, Window};
use crate::gate::{GateState, Snapshot, Transition};

/// One provider with everything that is known of it.
struct Seen<'a> {
    provider: &'a Scripted,
    log: CallLog,
    transitions: &'a [Transition],
    snapshot: Snapshot,
    /// Stretches in which its gate was not closed, from the start.
    shut: Vec<(Duration, Duration)>,
}

/// Judges a simulation that has ended.
pub(super) fn judge(scenario: &Scenario, seed: u64, record: &Record) -> Report {
    let stage = &record.stage;
    let members = stage.pool.members.iter().zip(&record.transitions);
    let seen: Vec<Seen<'_>> = stage
        .providers
        .iter()
        .zip(members)
        .map(|(provider, (member, transitions))| Seen {
            log: provider.log().clone(),
            provider,
            transitions,
            snapshot: member.gate.snapshot(),
            shut: shut(transitions, record.took),
        })
        .collect();
    let mut checks = always(scenario, record, &seen);
    checks.extend(expected::checks(scenario, record, &seen));
    Report {
        seed,
        took_ms: millis(record.took),
        passes: record.passes.clone(),
        providers: seen.iter().map(Seen::report).collect(),
        checks,
        events: events(record),
    }
}

/// What holds whatever the scenario says.
fn always(scenario: &Scenario, record: &Record, seen: &[Seen<'_>]) -> Vec<Check> {
    let rows = &record.rows;
    let mut checks = vec![
        none("every known amount is the chain's", &rows.untrue),
        none("every cell has one row", &rows.count),
        none("unknown cells keep their last value", &rows.last),
        none("unknown cells name providers", &rows.unexplained),
        last_events(record),
        held_if("no call is left in flight", in_flight(seen)),
        held_if(
            "a shut circuit costs one failed call per cooldown",
            seen.iter().find_map(|seen| seen.probes_too_often(scenario)),
        ),
        held_if(
            "no call while a provider wants a pause",
            seen.iter().find_map(Seen::call_in_pause),
        ),
    ];
    if seen
        .iter()
        .any(|it| !it.provider.script().limits.is_empty())
    {
        let over = seen.iter().find_map(Seen::over_limits);
        checks.push(held_if("no limit is exceeded", over));
    }
    checks
}

fn none(expected: &str, faults: &Faults) -> Check {
    let seen = match &faults.first {
        None => "so it is".to_owned(),
        Some(first) => format!("{} times not; {first}", faults.count),
    };
    Check {
        expected: expected.to_owned(),
        held: faults.count == 0,
        seen,
    }
}

/// Held unless somebody found something.
fn held_if(expected: &str, found: Option<String>) -> Check {
    Check {
        expected: expected.to_owned(),
        held: found.is_none(),
        seen: found.unwrap_or_else(|| "so it is".to_owned()),
    }
}

fn in_flight(seen: &[Seen<'_>]) -> Option<String> {
    let left = seen.iter().find(|seen| seen.snapshot.in_flight > 0)?;
    let count = left.snapshot.in_flight;
    Some(format!(
        "{}: {count} permits were not given back",
        left.name()
    ))
}

/// Each pass has exactly one of `scan_complete` and `scan_error`.
fn last_events(record: &Record) -> Check {
    let mut passes: BTreeMap<&str, u32> = BTreeMap::new();
    for event in &record.events {
        let Some(scan) = &event.scan else { continue };
        let count = passes.entry(scan.as_str()).or_default();
        *count += u32::from(matches!(
            event.kind.as_str(),
            "scan_complete" | "scan_error"
        ));
    }
    let odd = passes.values().find(|count| **count != 1);
    let found = match odd {
        Some(count) => Some(format!("a pass has {count}")),
        None if passes.len() != record.passes.len() => Some(format!(
            "{} passes of {} have events",
            passes.len(),
            record.passes.len()
        )),
        None => None,
    };
    held_if("every pass has one last event", found)
}

impl Seen<'_> {
    fn name(&self) -> &str {
        self.provider.script().name.as_str()
    }

    fn report(&self) -> ProviderReport {
        let lengths = || self.shut.iter().map(|(from, until)| *until - *from);
        let pauses = self.log.calls.iter().filter_map(|call| call.retry_after);
        let longest = lengths().chain(pauses).max().unwrap_or_default();
        ProviderReport {
            provider: self.name().to_owned(),
            calls: self.log.calls.len() as u64,
            failed: self.log.failed() as u64,
            answered: self.log.answered(),
            open_ms: millis(lengths().sum()),
            longest_wait_ms: millis(longest),
            state: self.snapshot.state.as_str().to_owned(),
        }
    }

    /// While its circuit is not closed, failed calls come no closer than a cooldown, but for as
    /// many as the half-open circuit lets through at once.
    fn probes_too_often(&self, scenario: &Scenario) -> Option<String> {
        let breaker = &scenario.breaker;
        let at_once = breaker.half_open as usize;
        for (from, until) in self.open_circuits() {
            let failed = self.log.failed_within(from, until);
            let early = failed
                .first()
                .filter(|call| call.began < from + breaker.cooldown);
            let close = failed
                .windows(at_once + 1)
                .find(|calls| calls[at_once].began < calls[0].began + breaker.cooldown)
                .map(|calls| calls[at_once]);
            if let Some(call) = early.copied().or(close) {
                let at = call.began.as_secs_f64();
                let name = self.name();
                return Some(format!(
                    "{name}: called at {at} s, its circuit open since {} s",
                    from.as_secs_f64()
                ));
            }
        }
        None
    }

    /// From the opening of the circuit to its closing.
    fn open_circuits(&self) -> Vec<(Duration, Duration)> {
        let opened = |from: &Duration| {
            self.transitions
                .iter()
                .any(|it| it.to == GateState::Open && since_start(it.at) == *from)
        };
        self.shut
            .iter()
            .filter(|(from, _)| opened(from))
            .copied()
            .collect()
    }

    fn call_in_pause(&self) -> Option<String> {
        let (at, until) = self.log.call_in_pause()?;
        let (at, until) = (at.as_secs_f64(), until.as_secs_f64());
        Some(format!(
            "{}: called at {at} s, not before {until} s",
            self.name()
        ))
    }

    fn over_limits(&self) -> Option<String> {
        let over = |window: &Window| {
            let numbers = 0..self.log.calls.len();
            let mut over = numbers.filter(|number| self.log.over(*number, *window).is_some());
            let first = over.next()?;
            let at = self.log.calls[first].began.as_secs_f64();
            Some(format!("{}: {window} at {at} s", self.name()))
        };
        self.provider.script().limits.iter().find_map(over)
    }
}

/// The stretches in which a gate was not closed.
fn shut(transitions: &[Transition], took: Duration) -> Vec<(Duration, Duration)> {
    let mut shut = Vec::new();
    let mut since = None;
    for transition in transitions {
        let at = since_start(transition.at);
        match (since, transition.to) {
            (Some(from), GateState::Closed) => {
                shut.push((from, at));
                since = None;
            }
            (None, to) if to != GateState::Closed => since = Some(at),
            _ => {}
        }
    }
    shut.extend(since.map(|from| (from, took.max(from))));
    shut
}

fn since_start(unix_ms: i64) -> Duration {
    let ms = u64::try_from(unix_ms - START_MS).expect("nothing happens before the start");
    Duration::from_millis(ms)
}

/// Stored events and what gates told, without the ids of passes, which differ.
fn events(record: &Record) -> Vec<String> {
    let stored = record.events.iter().map(|event| {
        let mut data = event.data.clone();
        if let Some(fields) = data.as_object_mut() {
            fields.remove("scan");
        }
        (event.at - START_MS, format!("{} {data}", event.kind))
    });
    let members = record.stage.pool.members.iter().zip(&record.transitions);
    let told = members.flat_map(|(member, transitions)| {
        transitions.iter().map(|it| {
            let (from, to, why) = (it.from.as_str(), it.to.as_str(), it.why.as_str());
            let text = format!("gate {}: {from} to {to}, {why}", member.name);
            (it.at - START_MS, text)
        })
    });
    let mut lines: Vec<(i64, String)> = stored.chain(told).collect();
    // Stable: what happened in one millisecond keeps its order.
    lines.sort_by_key(|(at, _)| *at);
    lines
        .into_iter()
        .map(|(at, text)| format!("{at} {text}"))
        .collect()
}
