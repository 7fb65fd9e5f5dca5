//! `scanhost health`: how each provider fares, as the store remembers it.

use std::collections::HashMap;
use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

use super::context::{self, Context, say};
use super::output::{self, Table, age, json_line};
use super::{CliError, Exit};
use crate::clock::rfc3339;
use crate::gate::{CircuitState, ForcedState, Persisted, Why};
use crate::ledger::{Ledger, ProviderKey, ProviderRecord, Usage};

/// How health is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum HealthFormat {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Chains to tell of [default: all]
    #[arg(long = "chain", value_name = "C")]
    chains: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: HealthFormat,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<Exit, CliError> {
    let loaded = context.load()?;
    let chains = context::chains(&loaded.config, &args.chains)?;
    let ledger = context.ledger_read_only(&loaded.config).await?;
    let now = context.clock.unix_ms();
    let mut records = ledger.all_providers().await?;
    if !args.chains.is_empty() {
        records.retain(|record| chains.iter().any(|chain| chain.name == record.key.chain));
    }
    let usage = usage_of_today(&ledger, now).await?;
    ledger.close().await;
    if records.is_empty() {
        say("no provider was asked yet; run `scanhost scan`");
    }
    let mut out = output::stdout();
    let mut table = Table::new(&[
        "CHAIN",
        "PROVIDER",
        "TYPE",
        "STATUS",
        "CIRCUIT",
        ">FAILS",
        ">LAST OK",
        ">REQUESTS TODAY",
        "UNTIL",
        "LAST ERROR",
    ]);
    for record in &records {
        let usage = usage.get(&record.key).copied().unwrap_or_default();
        let shut = Shut::of(record, now);
        match args.format {
            HealthFormat::Json => json_line(&mut out, &line(record, usage, shut))?,
            HealthFormat::Table => table.row(cells(record, usage, shut, now)),
        }
    }
    if args.format == HealthFormat::Table && !table.is_empty() {
        table.print(&mut out)?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

async fn usage_of_today(
    ledger: &Ledger,
    now: i64,
) -> Result<HashMap<ProviderKey, Usage>, CliError> {
    let today = rfc3339(now);
    let rows = ledger.usage(None, &today[..10]).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.usage)).collect())
}

/// What keeps a provider out, and until when, if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shut {
    why: Why,
    until: Option<i64>,
}

impl Shut {
    /// What of the stored gate still holds at `now`.
    fn of(record: &ProviderRecord, now: i64) -> Option<Self> {
        let stored: Persisted = serde_json::from_str(record.persisted.as_deref()?).ok()?;
        let ahead = |until: &i64| *until > now;
        if let Some(force) = &stored.forced
            && force.state == ForcedState::Open
            && force.until.is_none_or(|until| until > now)
        {
            let until = force.until;
            return Some(Self {
                why: Why::ForcedOpen,
                until,
            });
        }
        if let Some(hold) = stored.hold.filter(|hold| hold.until > now) {
            return Some(Self {
                why: hold.reason.why(),
                until: Some(hold.until),
            });
        }
        let open_until = stored.breaker.open_until.filter(ahead);
        if stored.breaker.circuit == CircuitState::Open && open_until.is_some() {
            return Some(Self {
                why: Why::CircuitOpen,
                until: open_until,
            });
        }
        let pause = stored.not_before.filter(ahead);
        let paced = stored.paced_until.filter(ahead);
        let why = if paced > pause {
            Why::Paced
        } else {
            Why::RetryAfter
        };
        Some(Self {
            why,
            until: Some(paced.max(pause)?),
        })
    }
}

/// A row of `provider_health` under its own names, with what it was used for today.
#[derive(Debug, Serialize)]
struct Line<'a> {
    provider_name: &'a str,
    chain: &'a str,
    provider_type: &'a str,
    status: &'a str,
    consecutive_fails: u32,
    last_success: Option<String>,
    last_error: Option<String>,
    last_error_msg: Option<&'a str>,
    circuit_state: &'a str,
    updated_at: String,
    why: Option<&'a str>,
    until: Option<String>,
    usage_today: LineUsage,
}

#[derive(Debug, Serialize)]
struct LineUsage {
    requests: u64,
    successes: u64,
    failures: u64,
    rate_limited: u64,
}

fn line(record: &ProviderRecord, usage: Usage, shut: Option<Shut>) -> Line<'_> {
    Line {
        provider_name: record.key.provider.as_str(),
        chain: record.key.chain.as_str(),
        provider_type: record.key.kind.as_str(),
        status: record.status.as_str(),
        consecutive_fails: record.consecutive_fails,
        last_success: record.last_success.map(rfc3339),
        last_error: record.last_error.map(rfc3339),
        last_error_msg: record.last_error_msg.as_deref(),
        circuit_state: record.circuit_state.as_str(),
        updated_at: rfc3339(record.updated_at),
        why: shut.map(|shut| shut.why.as_str()),
        until: shut.and_then(|shut| shut.until).map(rfc3339),
        usage_today: LineUsage {
            requests: usage.requests,
            successes: usage.successes,
            failures: usage.failures,
            rate_limited: usage.rate_limited,
        },
    }
}

fn cells(record: &ProviderRecord, usage: Usage, shut: Option<Shut>, now: i64) -> Vec<String> {
    let ago = |at: i64| format!("{} ago", age(now, at));
    let until = shut.map(|shut| match shut.until {
        Some(until) => format!("in {} ({})", age(until, now), shut.why.as_str()),
        None => format!("released ({})", shut.why.as_str()),
    });
    let last_error = record.last_error.map(|at| {
        let message = record.last_error_msg.as_deref().unwrap_or("no message");
        format!("{}: {message}", ago(at))
    });
    vec![
        record.key.chain.to_string(),
        record.key.provider.to_string(),
        record.key.kind.as_str().to_owned(),
        record.status.as_str().to_owned(),
        record.circuit_state.as_str().to_owned(),
        record.consecutive_fails.to_string(),
        record.last_success.map_or_else(|| "never".to_owned(), ago),
        usage.requests.to_string(),
        until.unwrap_or_default(),
        last_error.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gate::{HealthStatus, ProviderType};

    const NOW: i64 = 1_795_219_200_000;

    fn record(persisted: &serde_json::Value) -> ProviderRecord {
        let key = ProviderKey {
            chain: "bsc".into(),
            provider: "seed".into(),
            kind: ProviderType::Scan,
        };
        ProviderRecord {
            status: HealthStatus::Down,
            circuit_state: CircuitState::Open,
            consecutive_fails: 3,
            last_error: Some(NOW - 61_000),
            last_error_msg: Some("timeout".to_owned()),
            persisted: Some(persisted.to_string()),
            ..ProviderRecord::new(key, NOW)
        }
    }

    fn stored(open_until: Option<i64>, rest: serde_json::Value) -> serde_json::Value {
        let mut stored = json!({
            "fingerprint": "f",
            "history": {
                "consecutive_fails": 3, "last_success": null, "last_error": null,
                "last_error_msg": null,
            },
            "breaker": {
                "circuit": "open", "failures": 3, "openings": 1, "open_until": open_until,
            },
        });
        let rest = match rest {
            serde_json::Value::Object(rest) => rest,
            other => panic!("not an object: {other}"),
        };
        stored.as_object_mut().unwrap().extend(rest);
        stored
    }

    #[test]
    fn what_keeps_a_provider_out_is_told_while_it_lasts() {
        let why = |stored| Shut::of(&record(&stored), NOW).map(|shut| (shut.why, shut.until));
        let open = stored(Some(NOW + 5_000), json!({}));
        assert_eq!(why(open), Some((Why::CircuitOpen, Some(NOW + 5_000))));
        assert_eq!(why(stored(Some(NOW - 1), json!({}))), None);
        let hold = json!({"hold": {"reason": "quota", "message": "m", "until": NOW + 1}});
        assert_eq!(
            why(stored(Some(NOW + 5_000), hold)),
            Some((Why::HeldQuota, Some(NOW + 1)))
        );
        let forced = json!({"forced": {"state": "open", "reason": "r", "until": null}});
        assert_eq!(why(stored(None, forced)), Some((Why::ForcedOpen, None)));
        for (waits, expected) in [
            (json!({"not_before": NOW + 9}), (Why::RetryAfter, NOW + 9)),
            (json!({"paced_until": NOW + 9}), (Why::Paced, NOW + 9)),
            (
                json!({"not_before": NOW + 9, "paced_until": NOW + 7}),
                (Why::RetryAfter, NOW + 9),
            ),
            (
                json!({"not_before": NOW - 9, "paced_until": NOW + 7}),
                (Why::Paced, NOW + 7),
            ),
        ] {
            let (expected, until) = expected;
            assert_eq!(why(stored(None, waits)), Some((expected, Some(until))));
        }
        let over = json!({"not_before": NOW - 9, "paced_until": NOW});
        assert_eq!(why(stored(None, over)), None);
    }

    #[test]
    fn a_line_has_the_columns_of_the_table() {
        let record = record(&stored(Some(NOW + 5_000), json!({})));
        let shut = Shut::of(&record, NOW);
        let line = serde_json::to_value(line(&record, Usage::default(), shut)).unwrap();
        for column in [
            "provider_name",
            "chain",
            "provider_type",
            "status",
            "consecutive_fails",
            "last_success",
            "last_error",
            "last_error_msg",
            "circuit_state",
            "updated_at",
        ] {
            assert!(line.get(column).is_some(), "{column} is not in {line}");
        }
        assert_eq!(line["until"], "2026-11-21T00:00:05.000Z");
        assert_eq!(line["last_success"], serde_json::Value::Null);
        let cells = cells(&record, Usage::default(), shut, NOW);
        assert_eq!(cells[6], "never");
        assert_eq!(cells[8], "in 5s (circuit_open)");
        assert_eq!(cells[9], "1m ago: timeout");
    }
}
