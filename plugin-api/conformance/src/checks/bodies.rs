//! Bodies that are no answer: C12, C13, C14, C23.

use std::sync::Arc;

use scanhost_abi::types::{ErrorKind, HttpResponse};
use serde_json::Value;

use super::faults::some_ask;
use crate::ask::{Reply, describe as describe_error};
use crate::check::{Baseline, Bench, Exchange, Failure, Outcome, errors, failed, no_amount};
use crate::json::{
    Keyed, contradicting, keyed_lists, large, leaves, nonsense, structured, uninvited, with_list,
    with_literal,
};
use crate::offline::{Upstream, response};

/// How deep C12 nests, and how long its long bodies are.
const DEPTH: usize = 100_000;
const HUGE: usize = 4 * 1024 * 1024;
/// Most numbers of one body that C14 spoils, and most requests whose bodies are looked at.
const LEAVES_MAX: usize = 40;
const BODIES_MAX: usize = 8;
/// What C23 does, the same each time.
const SEED: u64 = 0x5ca4_4057;
const ARBITRARY: u64 = 128;
const DAMAGED: u64 = 256;

/// C12.
pub(crate) fn nonsense_bodies(bench: &Bench<'_>) -> Outcome<String> {
    let deep = |open: &str| open.repeat(DEPTH).into_bytes();
    let mut quoted = b"\"".to_vec();
    quoted.resize(HUGE, b'x');
    let cases: [(&str, Vec<u8>); 9] = [
        ("nothing", vec![]),
        (
            "HTML",
            b"<!doctype html><html><head><title>Just a moment...</title></head></html>".into(),
        ),
        ("a list, deep", deep("[")),
        ("an object, deep", deep("{\"a\":")),
        ("a text of 4 MiB without an end", quoted),
        (
            "4 MiB of list",
            b"[".iter().copied().chain(b"0,".repeat(HUGE / 2)).collect(),
        ),
        ("`{}`", b"{}".into()),
        ("`null`", b"null".into()),
        ("no UTF-8", vec![0xff; 64]),
    ];
    for (name, body) in &cases {
        let body = body.clone();
        let session = bench.open(Arc::new(move |_| Ok(response(200, &[], body.clone()))))?;
        if let Err(error) = session.identity()? {
            malformed(name, &error)?;
        }
        let Some(ask) = some_ask(bench, &session)? else {
            continue;
        };
        let reply = session.balances(&ask)?;
        no_amount(&ask, &reply, &|| {
            format!("{name} with status 200 to every request")
        })?;
        errors(&reply)
            .into_iter()
            .try_for_each(|error| malformed(name, error))?;
    }
    let cut = match cut_short(bench) {
        Ok(count) => format!("; {count} answers cut short"),
        Err(Failure::Skipped(_)) => String::new(),
        Err(failure) => return Err(failure),
    };
    Ok(format!("{} bodies{cut}", cases.len()))
}

fn malformed(name: &str, error: &scanhost_abi::types::AbiError) -> Outcome<()> {
    match error.kind {
        ErrorKind::MALFORMED | ErrorKind::MISSING | ErrorKind::TOO_LARGE => Ok(()),
        _ => failed(format!(
            "{name} with status 200 is {}",
            describe_error(error)
        )),
    }
}

/// Each answer of the baseline, cut at several places, the others whole.
fn cut_short(bench: &Bench<'_>) -> Outcome<usize> {
    let mut cuts = 0;
    for baseline in bench.baselines()? {
        for (place, _) in structured_answers(&baseline) {
            let whole = baseline.exchanges[place].answer.body.to_vec();
            for eighths in 1..8 {
                let body = whole[..whole.len() * eighths / 8].to_vec();
                spoilt(bench, &baseline, place, body, &|| {
                    format!("cut after {eighths}/8")
                })?;
                cuts += 1;
            }
        }
    }
    Ok(cuts)
}

/// C13.
pub(crate) fn ids(bench: &Bench<'_>) -> Outcome<String> {
    let mut cases = 0;
    for baseline in bench.baselines()? {
        for (place, value) in structured_answers(&baseline) {
            cases += foreign_id(bench, &baseline, place, &value)?;
            for list in keyed_lists(&value, &baseline.ask.addresses) {
                for (name, body) in tampered(&value, &list) {
                    spoilt(bench, &baseline, place, body, &|| name.to_owned())?;
                    cases += 1;
                }
            }
        }
    }
    match cases {
        0 => Ok("no answer has several entries or an id".into()),
        cases => Ok(format!("{cases} answers")),
    }
}

fn tampered(value: &Value, list: &Keyed) -> Vec<(&'static str, Vec<u8>)> {
    let key = list.key.as_str();
    let mut cases = vec![
        (
            "the first entry left out",
            with_list(value, list, |entries| {
                entries.remove(0);
            }),
        ),
        (
            "the last entry left out",
            with_list(value, list, |entries| {
                entries.pop();
            }),
        ),
        ("every entry left out", with_list(value, list, Vec::clear)),
        (
            "the first entry doubled",
            with_list(value, list, |entries| {
                entries.insert(0, entries[0].clone());
            }),
        ),
        (
            "an entry that nobody asked for",
            with_list(value, list, |entries| {
                entries.push(uninvited(&entries[0], key));
            }),
        ),
    ];
    let entries = value.pointer(&list.pointer).and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let Some(other) = contradicting(entry, key) else {
            continue;
        };
        if other == *entry {
            continue;
        }
        let (before, after) = (other.clone(), other);
        cases.push((
            "an entry contradicted before it",
            with_list(value, list, |entries| {
                entries.insert(0, before);
            }),
        ));
        cases.push((
            "an entry contradicted after it",
            with_list(value, list, |entries| {
                entries.push(after);
            }),
        ));
    }
    cases
}

/// An answer to another request: of a JSON-RPC call, one with another id.
fn foreign_id(
    bench: &Bench<'_>,
    baseline: &Baseline,
    place: usize,
    value: &Value,
) -> Outcome<usize> {
    let Some(request) = structured(&baseline.exchanges[place].request.body) else {
        return Ok(0);
    };
    let (Some(asked), Some(told)) = (request.get("id"), value.get("id")) else {
        return Ok(0);
    };
    if asked != told {
        return Ok(0);
    }
    let body = uninvited(value, "id").to_string().into_bytes();
    let upstream = replacing(bench, baseline, place, body)?;
    let reply = bench.open(upstream)?.balances(&baseline.ask)?;
    // What hangs on this answer is unknown; the others are as they were.
    baseline.no_other_amount(&reply, &|| "an answer with another id".into())?;
    if baseline.exchanges.len() == 1 {
        no_amount(&baseline.ask, &reply, &|| {
            "an answer with another id".into()
        })?;
    }
    Ok(1)
}

/// C14.
pub(crate) fn numbers(bench: &Bench<'_>) -> Outcome<String> {
    let mut cases = 0;
    for baseline in bench.baselines()? {
        cases += numbers_of(bench, &baseline)?;
    }
    match cases {
        0 => Err(Failure::Skipped("no answer has a number in JSON".into())),
        cases => Ok(format!("{cases} answers")),
    }
}

fn numbers_of(bench: &Bench<'_>, baseline: &Baseline) -> Outcome<usize> {
    let mut cases = 0;
    for (place, value) in structured_answers(baseline) {
        for leaf in leaves(&value, LEAVES_MAX) {
            for literal in nonsense(&leaf) {
                let body = with_literal(&value, &leaf, literal);
                spoilt(bench, baseline, place, body, &|| {
                    format!("{literal} at `{}`", leaf.pointer)
                })?;
                cases += 1;
            }
            // A large number may be an amount; what it must not be is a small one.
            let literal = large(&leaf);
            let upstream = replacing(bench, baseline, place, with_literal(&value, &leaf, literal))?;
            let reply = bench.open(upstream)?.balances(&baseline.ask)?;
            for (told, right) in reply.iter().flatten().zip(&baseline.amounts) {
                if let Some(amount) = told.known()
                    && amount != *right
                    && amount.amount[..24].iter().all(|byte| *byte == 0)
                    && amount.amount[24] < 0x80
                {
                    return failed(format!(
                        "{literal} at `{}` is told as {amount:?}: it ran over",
                        leaf.pointer
                    ));
                }
            }
            cases += 1;
        }
    }
    Ok(cases)
}

/// C23.
pub(crate) fn arbitrary(bench: &Bench<'_>) -> Outcome<String> {
    for case in 0..ARBITRARY {
        let mut random = fastrand::Rng::with_seed(SEED ^ case);
        let length = random.usize(1..2_000);
        let mut body: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        // Digits alone would be a number, which some API may answer with.
        body[0] |= 0x80;
        let status = *random.choice(&[200, 200, 200, 404, 500]).unwrap_or(&200);
        let answer = response(status, &[], body);
        let session = bench.open(Arc::new(move |_| Ok(answer.clone())))?;
        // Whatever it says, it ends and does not panic.
        let _: Result<String, _> = session.identity()?;
        let Some(ask) = some_ask(bench, &session)? else {
            continue;
        };
        let reply = session.balances(&ask)?;
        no_amount(&ask, &reply, &|| format!("arbitrary bytes, case {case}"))?;
    }
    let damaged = match damaged(bench) {
        Ok(()) => format!(", {DAMAGED} damaged answers"),
        Err(Failure::Skipped(_)) => String::new(),
        Err(failure) => return Err(failure),
    };
    Ok(format!("{ARBITRARY} bodies of arbitrary bytes{damaged}"))
}

/// Good answers with bytes flipped, cut, doubled: any amount may come of them, but no panic and
/// nothing that was not asked for.
fn damaged(bench: &Bench<'_>) -> Outcome<()> {
    let good = bench.good()?;
    for case in 0..DAMAGED {
        let random = std::sync::Mutex::new(fastrand::Rng::with_seed(SEED.rotate_left(7) ^ case));
        let good = good.clone();
        let upstream: Upstream = Arc::new(move |request| {
            let mut answer = good(request)?;
            let mut random = random
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            damage(&mut answer, &mut random);
            Ok(answer)
        });
        let session = bench.open(upstream)?;
        let _: Result<String, _> = session.identity()?;
        let ask = bench.ask(&session)?;
        let _: Reply = session.balances(&ask)?;
    }
    Ok(())
}

fn damage(answer: &mut HttpResponse, random: &mut fastrand::Rng) {
    let mut body = answer.body.to_vec();
    for _ in 0..random.usize(0..4) {
        if body.is_empty() {
            break;
        }
        let at = random.usize(..body.len());
        match random.u8(0..5) {
            0 => body[at] = random.u8(..),
            1 => body[at] ^= 1 << random.u8(0..8),
            2 => body.truncate(at),
            3 => {
                body.remove(at);
            }
            _ => {
                let end = (at + random.usize(1..32)).min(body.len());
                let piece = body[at..end].to_vec();
                body.splice(at..at, piece);
            }
        }
    }
    answer.body = body.into();
}

/// The answers of the baseline that are JSON with a structure, by the number of their request.
fn structured_answers(baseline: &Baseline) -> Vec<(usize, Value)> {
    let exchanges = baseline.exchanges.iter().enumerate().take(BODIES_MAX);
    let structured = exchanges.filter_map(|(place, exchange)| {
        structured(&exchange.answer.body).map(|value| (place, value))
    });
    structured.collect()
}

/// Asks again while one answer has another body: no amount but the right one may come of it.
fn spoilt(
    bench: &Bench<'_>,
    baseline: &Baseline,
    place: usize,
    body: Vec<u8>,
    how: &dyn Fn() -> String,
) -> Outcome<()> {
    let upstream = replacing(bench, baseline, place, body)?;
    let reply = bench.open(upstream)?.balances(&baseline.ask)?;
    let path = &baseline.exchanges[place].request.path;
    baseline.no_other_amount(&reply, &|| {
        format!(
            "{} in the answer to request {} (`{path}`)",
            how(),
            place + 1
        )
    })
}

/// The good upstream, but for what is the request at `place`: it gets this body each time.
fn replacing(
    bench: &Bench<'_>,
    baseline: &Baseline,
    place: usize,
    body: Vec<u8>,
) -> Outcome<Upstream> {
    let good = bench.good()?;
    let Exchange { request, answer } = baseline.exchanges[place].clone();
    let answer = HttpResponse {
        body: body.into(),
        ..answer
    };
    Ok(Arc::new(move |asked| {
        let is_it = asked.path == request.path && asked.body == request.body;
        if is_it {
            Ok(answer.clone())
        } else {
            good(asked)
        }
    }))
}
