//! An upstream that fails, and what must not be told of it: C10, C11, C21.

use std::sync::Arc;

use scanhost_abi::types::{AbiError, ErrorKind};

use crate::ask::{Ask, Reply, describe as describe_error, kind_name};
use crate::check::{Baseline, Bench, Failure, Outcome, errors, failed, no_amount};
use crate::offline::{Answer, Upstream, response};

const PAGE: &str = "<html><head><title>Bad Gateway</title></head><body></body></html>";
/// Stands for a credential that an upstream throws back.
const SECRET: &str = "s3cr3t-0123456789abcdef";
/// Longest part of a body that a message may quote.
const QUOTE_MAX: usize = 300;
/// What only the host sets.
const RESERVED: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "host"];

/// C10.
pub(crate) fn rate(bench: &Bench<'_>) -> Outcome<String> {
    for told in [None, Some("7")] {
        let wait = move |_: &_| -> Answer {
            let header = told.map(|told| ("retry-after", told));
            let headers: Vec<_> = header.into_iter().collect();
            Ok(response(429, &headers, PAGE))
        };
        let name = match told {
            None => "429",
            Some(_) => "429 with `Retry-After: 7`",
        };
        every_answer(bench, Arc::new(wait), name, &|error| {
            if error.kind != ErrorKind::RATE_LIMITED {
                return failed(format!("{name} is {}", describe_error(error)));
            }
            if told.is_some() && error.retry_after_ms != 7_000 {
                return failed(format!(
                    "{name}: `retry_after` is {} ms; the 7 s are lost",
                    error.retry_after_ms
                ));
            }
            Ok(())
        })?;
    }
    Ok("identity and balances, with and without Retry-After".into())
}

/// C11.
pub(crate) fn outages(bench: &Bench<'_>) -> Outcome<String> {
    let mut cases: Vec<(String, Upstream, ErrorKind)> = Vec::new();
    for status in [500_u16, 502, 503, 504, 520, 599] {
        let upstream = move |_: &_| Ok(response(status, &[], PAGE));
        cases.push((
            status.to_string(),
            Arc::new(upstream),
            ErrorKind::SERVER_ERROR,
        ));
    }
    for (kind, what) in [
        (ErrorKind::TIMEOUT, "no answer within 15 s"),
        (ErrorKind::TRANSPORT, "connection reset by peer"),
    ] {
        let upstream = move |_: &_| Err(AbiError::new(kind, what));
        cases.push((what.to_owned(), Arc::new(upstream), kind));
    }
    let count = cases.len();
    for (name, upstream, expected) in cases {
        every_answer(
            bench,
            upstream,
            &name,
            &|error| match error.kind == expected {
                true => Ok(()),
                false => failed(format!(
                    "`{name}` is {}, not {}",
                    describe_error(error),
                    kind_name(expected)
                )),
            },
        )?;
    }
    let partly = match partly(bench) {
        Ok(count) => format!("; each of {count} requests alone as well"),
        Err(Failure::Skipped(_)) => String::new(),
        Err(failure) => return Err(failure),
    };
    Ok(format!("{count} kinds of outage{partly}"))
}

/// One request of a call fails, the others are answered: no amount may suffer from it.
fn partly(bench: &Bench<'_>) -> Outcome<usize> {
    let mut requests = 0;
    for baseline in bench.baselines()? {
        requests += partly_of(bench, &baseline)?;
    }
    Ok(requests)
}

fn partly_of(bench: &Bench<'_>, baseline: &Baseline) -> Outcome<usize> {
    let good = bench.good()?;
    let requests = baseline.exchanges.len();
    for fails in 0..requests {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let good = good.clone();
        let upstream: Upstream = Arc::new(move |request| {
            match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == fails {
                true => Ok(response(502, &[], PAGE)),
                false => good(request),
            }
        });
        let reply = bench.open(upstream)?.balances(&baseline.ask)?;
        let path = &baseline.exchanges[fails].request.path;
        let while_ = || format!("502 to request {} (`{path}`)", fails + 1);
        baseline.no_other_amount(&reply, &while_)?;
    }
    Ok(requests)
}

/// C21.
pub(crate) fn secrets(bench: &Bench<'_>) -> Outcome<String> {
    let manifest = bench.manifest()?;
    let key = &manifest["key"]["name"];
    let key = key.as_str().map(str::to_ascii_lowercase);
    let long = "x".repeat(20_000);
    for status in [200_u16, 400, 401, 403, 429, 500] {
        let body = format!("{{\"error\":\"{long}\"}}");
        let upstream: Upstream = Arc::new(move |_| {
            let headers = [
                ("set-cookie", SECRET),
                ("authorization", SECRET),
                ("x-api-key", SECRET),
                ("www-authenticate", SECRET),
            ];
            Ok(response(status, &headers, body.clone()))
        });
        let session = bench.open(upstream)?;
        let mut told: Vec<String> = Vec::new();
        if let Err(error) = session.identity()? {
            told.push(error.message.into_string());
        }
        if let Some(ask) = some_ask(bench, &session)? {
            let reply = session.balances(&ask)?;
            told.extend(errors(&reply).iter().map(|error| error.message.to_string()));
        }
        told.extend(session.host.log_lines());
        for text in &told {
            if text.contains(SECRET) {
                return failed(format!(
                    "a header of an answer of status {status} is told; quote bodies alone"
                ));
            }
            let quoted = text.chars().filter(|c| *c == 'x').count();
            if quoted > QUOTE_MAX {
                return failed(format!(
                    "a message quotes {quoted} characters of a body; use `Response::quote`"
                ));
            }
        }
        for request in session.host.take_sent() {
            no_credential(&request, key.as_deref())?;
        }
    }
    for baseline in bench.baselines().unwrap_or_default() {
        for exchange in &baseline.exchanges {
            no_credential(&exchange.request, key.as_deref())?;
        }
    }
    Ok("requests, messages and log lines".into())
}

/// The host puts the key in: a plugin has none, and asks for nowhere else.
fn no_credential(request: &scanhost_abi::types::HttpRequest, key: Option<&str>) -> Outcome<()> {
    let path = request.path.as_str();
    for header in &request.headers {
        let name = header.0.to_ascii_lowercase();
        if RESERVED.contains(&name.as_str()) || key == Some(name.as_str()) {
            return failed(format!(
                "a request sets the header `{name}`, which is the host's"
            ));
        }
    }
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let mut names = query.split('&').filter_map(|pair| pair.split('=').next());
    if let Some(name) = names.find(|name| key == Some(name.to_ascii_lowercase().as_str())) {
        return failed(format!(
            "a request sets `{name}=`, where the host puts the key"
        ));
    }
    let is_below = path.is_empty() || path.starts_with('?') || path.starts_with('/');
    if !is_below || path.starts_with("//") || path.split(['/', '?']).any(|part| part == "..") {
        return failed(format!("`{path}` is no path below the endpoint"));
    }
    Ok(())
}

/// The sample's question, or none where it has no address.
pub(crate) fn some_ask(bench: &Bench<'_>, session: &crate::ask::Session) -> Outcome<Option<Ask>> {
    match bench.ask(session) {
        Ok(ask) => Ok(Some(ask)),
        Err(Failure::Skipped(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Holds every failure of identity and balances against `judge`; nothing may be answered.
fn every_answer(
    bench: &Bench<'_>,
    upstream: Upstream,
    name: &str,
    judge: &dyn Fn(&AbiError) -> Outcome<()>,
) -> Outcome<()> {
    let session = bench.open(upstream)?;
    match session.identity()? {
        Err(error) => judge(&error)?,
        Ok(identity) => {
            // An identity that nobody has to ask for is the plugin's to know.
            if !session.host.take_sent().is_empty() {
                return failed(format!("`{name}` is told as the identity `{identity}`"));
            }
        }
    }
    let Some(ask) = some_ask(bench, &session)? else {
        return Ok(());
    };
    let reply: Reply = session.balances(&ask)?;
    no_amount(&ask, &reply, &|| format!("`{name}` to every request"))?;
    let errors = errors(&reply);
    if errors.is_empty() {
        return failed(format!(
            "`{name}` to every request is told as no failure at all"
        ));
    }
    errors.into_iter().try_for_each(judge)
}
