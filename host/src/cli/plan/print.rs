//! A plan as a table with a few sentences, or as JSON.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use super::{Plan, Planned, Provider};
use crate::cli::CliError;
use crate::cli::output::{Out, Table, json_line, plain};
use crate::config::{Quota, QuotaPeriod, Strategy};
use crate::model::ProviderError;
use crate::scan::forecast::{Limit, Limits, PoolForecast, QuotaLeft, Share, Spent};

/// Windows from this length on are told as quotas too.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Windows from this length on are what a pass is said not to finish within.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The columns per provider, then what there is to say per chain.
pub(super) fn table(plan: &Plan<'_>, out: &mut Out) -> Result<(), CliError> {
    let mut table = Table::new(&[
        "CHAIN",
        "PROVIDER",
        ">CELLS",
        ">CALLS",
        ">REQUESTS",
        ">START-UP",
        "LIMITS",
        ">TIME",
        "QUOTA",
    ]);
    for (planned, pool) in &plan.chains {
        for (provider, share) in planned.providers.iter().zip(&pool.shares) {
            table.row(cells(plan, planned, provider, share));
        }
    }
    if !table.is_empty() {
        table.print(out)?;
    }
    for (planned, pool) in &plan.chains {
        for line in sentences(plan, planned, pool) {
            writeln!(out, "{}: {}", planned.job.chain.name, plain(&line))?;
        }
    }
    Ok(())
}

/// One object per chain.
pub(super) fn json(plan: &Plan<'_>, out: &mut Out) -> Result<(), CliError> {
    for (planned, pool) in &plan.chains {
        json_line(out, &ChainLine::new(plan, planned, pool))?;
    }
    Ok(())
}

fn cells(
    plan: &Plan<'_>,
    planned: &Planned<'_>,
    provider: &Provider,
    share: &Share,
) -> Vec<String> {
    let limits = &plan.limits[provider.limits];
    let told = texts(limits);
    let time = if share.requests == 0 {
        String::new()
    } else {
        time_of(limits, share).map_or_else(|| "no limit".to_owned(), span)
    };
    let quota = quotas(limits, &plan.spent[provider.limits]);
    let quota: Vec<String> = quota.iter().map(QuotaLine::short).collect();
    vec![
        planned.job.chain.name.to_string(),
        provider.name.to_string(),
        grouped(share.cells),
        grouped(share.calls),
        grouped(share.requests),
        grouped(share.start_up),
        if told.is_empty() {
            "none".to_owned()
        } else {
            told.join(" ")
        },
        time,
        quota.join(", "),
    ]
}

fn sentences(plan: &Plan<'_>, planned: &Planned<'_>, pool: &PoolForecast) -> Vec<String> {
    let (addresses, cells) = (grouped(planned.addresses), grouped(planned.cells()));
    let requests = grouped(pool.requests());
    let mut lines = Vec::new();
    for ProviderError {
        provider, message, ..
    } in &planned.unusable
    {
        lines.push(format!("provider {provider} is left out: {message}"));
    }
    let how_long = match (time(plan, planned, pool), bottleneck(plan, planned, pool)) {
        (Some(time), Some((name, limit))) => {
            format!(
                "at least {}, the bottleneck is {limit} of {name}",
                span(time)
            )
        }
        (Some(_), None) => "no limit makes it wait".to_owned(),
        (None, _) => "its time is not limited by configuration".to_owned(),
    };
    let left_out = match (planned.invalid, planned.doubled) {
        (0, 0) => String::new(),
        (invalid, doubled) => format!(" ({invalid} invalid lines, {doubled} doubled addresses)"),
    };
    lines.push(format!(
        "{addresses} addresses{left_out}, {cells} cells in {requests} requests; {how_long}"
    ));
    if pool.unreadable > 0 {
        let unreadable = grouped(pool.unreadable);
        lines.push(format!(
            "{unreadable} cells can be read by no usable provider"
        ));
    }
    lines.extend(shortages(plan, planned, pool));
    for assumption in planned.assumptions(pool) {
        lines.push(format!("assumed: {assumption}"));
    }
    lines
}

/// How long the limits make the pass take; `None` where no provider at work has any.
fn time(plan: &Plan<'_>, planned: &Planned<'_>, pool: &PoolForecast) -> Option<Duration> {
    let at_work = at_work(planned, pool);
    let times =
        at_work.filter_map(|(provider, share)| time_of(&plan.limits[provider.limits], share));
    times.max()
}

fn time_of(limits: &Limits, share: &Share) -> Option<Duration> {
    let limited = !limits.windows.is_empty() || !limits.quotas.is_empty();
    limited.then_some(share.ends)
}

/// Whose limit the pass waits for longest.
fn bottleneck<'p>(
    plan: &Plan<'_>,
    planned: &'p Planned<'_>,
    pool: &PoolForecast,
) -> Option<(&'p str, String)> {
    let held = at_work(planned, pool).filter_map(|(provider, _)| {
        let (limit, held) = plan.spent[provider.limits].tightest?;
        Some((held, provider, limit))
    });
    let (_, provider, limit) = held.max_by_key(|(held, ..)| *held)?;
    let limit = match limit {
        Limit::Window(window) => window.to_string(),
        Limit::Quota(quota) => quota.to_string(),
    };
    Some((provider.name.as_str(), limit))
}

fn at_work<'p, 's>(
    planned: &'p Planned<'_>,
    pool: &'s PoolForecast,
) -> impl Iterator<Item = (&'p Provider, &'s Share)> {
    let providers = planned.providers.iter().zip(&pool.shares);
    providers.filter(|(_, share)| share.requests > 0)
}

/// A sentence per limit of a day and longer that does not last for the pass.
fn shortages(plan: &Plan<'_>, planned: &Planned<'_>, pool: &PoolForecast) -> Vec<String> {
    let mut told = Vec::new();
    for (provider, _) in at_work(planned, pool) {
        let limits = &plan.limits[provider.limits];
        let requests = plan.spent[provider.limits].requests;
        for window in &limits.windows {
            let count = u64::from(window.count);
            if window.per >= DAY && requests > count {
                let (when, per) = if window.per == DAY {
                    ("today".to_owned(), "a day".to_owned())
                } else {
                    let per = crate::config::format_duration(window.per);
                    (format!("within {per}"), format!("in {per}"))
                };
                told.push(shortage(provider, &when, requests, count, &per, 0));
            }
        }
        for QuotaLeft { quota, used } in &limits.quotas {
            let (when, per) = match quota.period {
                QuotaPeriod::Day => ("today", "a day"),
                QuotaPeriod::Month => ("this month", "a month"),
            };
            let count = u64::from(quota.count);
            if requests.saturating_add(*used) > count {
                told.push(shortage(provider, when, requests, count, per, *used));
            }
        }
    }
    told
}

fn shortage(
    provider: &Provider,
    when: &str,
    needs: u64,
    count: u64,
    per: &str,
    used: u64,
) -> String {
    let name = &provider.name;
    let (needs, count) = (grouped(needs), grouped(count));
    let used = match used {
        0 => String::new(),
        used => format!(", {} of which are used", grouped(used)),
    };
    format!("cannot finish {when}: {name} needs {needs} of {count} {per}{used}")
}

fn texts(limits: &Limits) -> Vec<String> {
    let windows = limits.windows.iter().map(ToString::to_string);
    let quotas = limits.quotas.iter().map(|quota| quota.quota.to_string());
    windows.chain(quotas).collect()
}

/// What the requests take of everything that lasts an hour or longer.
fn quotas(limits: &Limits, spent: &Spent) -> Vec<QuotaLine> {
    let windows = limits.windows.iter().filter(|window| window.per >= HOUR);
    let windows = windows.map(|window| QuotaLine::new(window.to_string(), window.count, spent, 0));
    let quotas = limits.quotas.iter();
    let quotas = quotas.map(|QuotaLeft { quota, used }: &QuotaLeft| {
        let Quota { count, .. } = *quota;
        QuotaLine::new(quota.to_string(), count, spent, *used)
    });
    windows.chain(quotas).collect()
}

#[derive(Debug, Serialize)]
struct ChainLine<'a> {
    chain: &'a str,
    strategy: &'static str,
    addresses: u64,
    invalid: u64,
    doubled: u64,
    cells: u64,
    unreadable: u64,
    requests: u64,
    time_ms: Option<u64>,
    bottleneck: Option<BottleneckLine<'a>>,
    cannot_finish: Vec<String>,
    providers: Vec<ProviderLine<'a>>,
    unusable: &'a [ProviderError],
    assumptions: Vec<String>,
}

#[derive(Debug, Serialize)]
struct BottleneckLine<'a> {
    provider: &'a str,
    limit: String,
}

#[derive(Debug, Serialize)]
struct ProviderLine<'a> {
    provider: &'a str,
    cells: u64,
    calls: u64,
    requests: u64,
    start_up: u64,
    limits: Vec<String>,
    limits_from: &'static str,
    time_ms: Option<u64>,
    quota: Vec<QuotaLine>,
}

/// `share` is the requests' part of the whole limit, `used` what was spent of a quota before.
#[derive(Debug, Serialize)]
struct QuotaLine {
    limit: String,
    requests: u64,
    used: u64,
    share: f64,
}

// === impl ChainLine ===

impl<'a> ChainLine<'a> {
    fn new(plan: &Plan<'_>, planned: &'a Planned<'_>, pool: &PoolForecast) -> Self {
        let bottleneck = bottleneck(plan, planned, pool);
        let providers = planned.providers.iter().zip(&pool.shares);
        Self {
            chain: planned.job.chain.name.as_str(),
            strategy: match planned.job.chain.strategy {
                Strategy::Failover => "failover",
                Strategy::Spread => "spread",
            },
            addresses: planned.addresses,
            invalid: planned.invalid,
            doubled: planned.doubled,
            cells: planned.cells(),
            unreadable: pool.unreadable,
            requests: pool.requests(),
            time_ms: time(plan, planned, pool).map(millis),
            bottleneck: bottleneck.map(|(provider, limit)| BottleneckLine { provider, limit }),
            cannot_finish: shortages(plan, planned, pool),
            providers: providers
                .map(|(provider, share)| ProviderLine::new(plan, provider, share))
                .collect(),
            unusable: &planned.unusable,
            assumptions: planned.assumptions(pool),
        }
    }
}

// === impl ProviderLine ===

impl<'a> ProviderLine<'a> {
    fn new(plan: &Plan<'_>, provider: &'a Provider, share: &Share) -> Self {
        let limits = &plan.limits[provider.limits];
        let told = texts(limits);
        Self {
            provider: provider.name.as_str(),
            cells: share.cells,
            calls: share.calls,
            requests: share.requests,
            start_up: share.start_up,
            limits_from: if provider.limits_from == "none" && !told.is_empty() {
                "shared"
            } else {
                provider.limits_from
            },
            limits: told,
            time_ms: time_of(limits, share).map(millis),
            quota: quotas(limits, &plan.spent[provider.limits]),
        }
    }
}

// === impl QuotaLine ===

impl QuotaLine {
    fn new(limit: String, count: u32, spent: &Spent, used: u64) -> Self {
        let requests = spent.requests;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share for people, and requests are fewer than 2^52"
        )]
        let share = requests as f64 / f64::from(count);
        Self {
            limit,
            requests,
            used,
            share,
        }
    }

    fn short(&self) -> String {
        format!("{:.0}% of {}", self.share * 100.0, self.limit)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A number in groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time in its two largest units.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_groups() {
        let check = |number, expected| assert_eq!(grouped(number), expected);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(120_000, "120,000");
        check(1_234_567, "1,234,567");
    }

    #[test]
    fn spans_are_told_in_two_units() {
        let check = |seconds, expected| assert_eq!(span(Duration::from_secs(seconds)), expected);
        check(0, "0s");
        check(59, "59s");
        check(61, "1m 1s");
        check(3_600, "1h 0m");
        check(51_480, "14h 18m");
        check(214_000, "2d 11h");
    }
}
