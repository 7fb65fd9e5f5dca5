//! What is asked, and that all of it is answered: C06 to C09.

use std::sync::Arc;

use scanhost_abi::types::{CellRef, ErrorKind};

use super::opening::identity_of;
use crate::ask::{Ask, Reply, Session, describe as describe_error, kind_name};
use crate::check::{
    Baseline, Bench, Failure, Outcome, all_known, describe, failed, no_amount, recording, skipped,
    unreachable_upstream,
};
use crate::json::{keyed_lists, structured, with_list};
use crate::offline::{OfflineHost, Upstream};

/// What is no address of anything, beside what the sample says.
const NO_ADDRESSES: [&str; 8] = [
    "",
    " ",
    "\0",
    "no address",
    "\u{1F600}",
    "0",
    "../../etc/passwd",
    "' OR 1=1 --",
];
/// Longer than any address.
const LONG: usize = 10_000;

/// C06.
pub(crate) fn empty(bench: &Bench<'_>) -> Outcome<String> {
    let session = bench.open(
        bench
            .sample
            .upstream
            .clone()
            .unwrap_or_else(unreachable_upstream),
    )?;
    let mut asks = vec![Ask::all(vec![], vec![])];
    // Addresses and assets, and not a cell of them.
    let mut named = Ask::all(bench.sample.addresses.clone(), bench.sample.assets());
    named.cells.clear();
    asks.push(named);
    for ask in &asks {
        let reply = session.balances(ask)?;
        no_amount(ask, &reply, &|| "no cell was asked for".into())?;
    }
    Ok(format!("{} questions", asks.len()))
}

/// C07.
pub(crate) fn sizes(bench: &Bench<'_>) -> Outcome<String> {
    let session = bench.open(bench.good()?)?;
    let caps = describe(&session)?;
    let most = usize::try_from(caps.addresses_per_call_max.min(caps.cells_per_call_max));
    let most = most.unwrap_or(usize::MAX);
    // A plugin that takes any number is asked for as many as a host would ever send it.
    let wanted = most.saturating_add(1).min(5_001);
    let addresses = bench.addresses(&session, wanted)?;
    let assets = bench.sample.assets();
    let of = |count: usize| {
        let addresses = addresses.iter().take(count).cloned().collect();
        Ask::all(addresses, assets.iter().take(1).cloned().collect())
    };
    let mut asked = Vec::new();
    for count in [1, most] {
        if count > addresses.len() || asked.contains(&count) {
            continue;
        }
        let mut ask = of(count);
        ask.commitment = caps.commitment_default;
        all_known(&ask, &session.balances(&ask)?)?;
        asked.push(count);
    }
    // One more than it takes: the host never sends that. It may refuse or answer, and no more.
    if addresses.len() > most {
        let mut ask = of(most + 1);
        ask.commitment = caps.commitment_default;
        let _: Reply = session.balances(&ask)?;
        asked.push(most + 1);
    }
    let asked: Vec<_> = asked.iter().map(usize::to_string).collect();
    Ok(format!("{} addresses; most is {most}", asked.join(", ")))
}

/// C08.
pub(crate) fn order(bench: &Bench<'_>) -> Outcome<String> {
    let (mut cells, mut ways) = (0, 0);
    for baseline in bench.baselines()? {
        cells += baseline.ask.cells.len();
        ways += orders(bench, &baseline)?;
    }
    let identity = match identity_of(bench) {
        Ok(identity) => format!("; identity {identity}"),
        Err(Failure::Skipped(why)) => format!("; {why}"),
        Err(failure) => return Err(failure),
    };
    Ok(format!("{cells} cells in {ways} orders{identity}"))
}

/// How many orders the answers to a question were brought into.
fn orders(bench: &Bench<'_>, baseline: &Baseline) -> Outcome<usize> {
    let good = bench.good()?;
    let (ask, amounts) = (&baseline.ask, &baseline.amounts);
    let mut ways = 0;
    let mut same_over = |host: OfflineHost, way: &str| -> Outcome<()> {
        let session = bench.open_over(Arc::new(host))?;
        let reply = session.balances(ask)?;
        let told = all_known(ask, &reply)?;
        if let Some(cell) = (0..told.len()).find(|cell| told[*cell] != amounts[*cell]) {
            return failed(format!(
                "{way}: {} is {:?} instead of {:?}",
                ask.name_of(cell),
                told[cell],
                amounts[cell]
            ));
        }
        ways += 1;
        Ok(())
    };
    // Answers that overtake each other, where a plugin has several under way.
    let late_first = |number: usize| if number.is_multiple_of(3) { 7 } else { 1 };
    same_over(
        OfflineHost::with_pends(good.clone(), late_first),
        "with answers that overtake each other",
    )?;
    // Entries that say themselves whom they answer, in another order.
    for turn in [false, true] {
        let way = if turn {
            "with entries turned"
        } else {
            "with entries reversed"
        };
        same_over(
            OfflineHost::new(shuffled(good.clone(), ask.addresses.clone(), turn)),
            way,
        )?;
    }
    Ok(ways)
}

fn shuffled(upstream: Upstream, addresses: Vec<String>, turn: bool) -> Upstream {
    Arc::new(move |request| {
        let mut answer = upstream(request)?;
        if let Some(value) = structured(&answer.body)
            && let Some(list) = keyed_lists(&value, &addresses).first()
        {
            let body = with_list(&value, list, |entries| match turn {
                true => entries.rotate_left(1),
                false => entries.reverse(),
            });
            answer.body = body.into();
        }
        Ok(answer)
    })
}

/// C09.
pub(crate) fn invalid(bench: &Bench<'_>) -> Outcome<String> {
    let session = bench.open(unreachable_upstream())?;
    let valid = bench.sample.addresses_up_to(bench.sample.addresses.len());
    for address in &valid {
        let canonical = match session.validate(address)? {
            Ok(canonical) => canonical,
            Err(error) => {
                return failed(format!(
                    "`{address}` is refused: {}",
                    describe_error(&error)
                ));
            }
        };
        stable(&session, address, &canonical)?;
    }
    let long = "a".repeat(LONG);
    let never = NO_ADDRESSES.into_iter().chain([long.as_str()]);
    let told_invalid = bench.sample.invalid.iter().map(String::as_str);
    for (address, by_sample) in never
        .map(|address| (address, false))
        .chain(told_invalid.map(|address| (address, true)))
    {
        let shown: String = address.chars().take(40).collect();
        match session.validate(address)? {
            Err(error) if error.kind != ErrorKind::INVALID_ADDRESS => {
                let kind = kind_name(error.kind);
                return failed(format!(
                    "{shown:?} is refused as {kind}, not as invalid_address"
                ));
            }
            Err(_) => {}
            Ok(_) if by_sample => return failed(format!("{shown:?} is taken for an address")),
            // Some chain may have such addresses.
            Ok(canonical) => stable(&session, address, &canonical)?,
        }
    }
    let refused = NO_ADDRESSES.len() + 1 + bench.sample.invalid.len();
    let mixed = match mixed(bench) {
        Ok(note) => note,
        Err(Failure::Skipped(why)) => why,
        Err(failure) => return Err(failure),
    };
    if valid.is_empty() && bench.sample.invalid.is_empty() {
        return skipped("there is no address to ask for: the sample names none");
    }
    Ok(format!(
        "{} addresses, {refused} that are none; {mixed}",
        valid.len()
    ))
}

/// A canonical form is its own canonical form, and fit to be a key.
fn stable(session: &Session, address: &str, canonical: &str) -> Outcome<()> {
    let shown: String = address.chars().take(40).collect();
    if canonical.is_empty() || canonical.len() > 256 {
        return failed(format!(
            "the canonical form of {shown:?} has {} bytes",
            canonical.len()
        ));
    }
    if canonical
        .chars()
        .any(|c| c.is_whitespace() || c.is_control())
    {
        return failed(format!(
            "the canonical form of {shown:?} has white space in it"
        ));
    }
    match session.validate(canonical)? {
        Ok(again) if again == canonical => Ok(()),
        Ok(again) => failed(format!(
            "`{canonical}`, the canonical form of {shown:?}, has another one: `{again}`"
        )),
        Err(error) => failed(format!(
            "`{canonical}`, the canonical form of {shown:?}, is refused: {}",
            error.message
        )),
    }
}

/// A call that has one of both: where nobody could check the addresses, the host asks all the same.
fn mixed(bench: &Bench<'_>) -> Outcome<String> {
    let Some(invalid) = bench.sample.invalid.first() else {
        return skipped("no call with both: the sample names no invalid address");
    };
    let (good, exchanges) = recording(bench.good()?);
    let session = bench.open(good)?;
    let mut ask = bench.ask(&session)?;
    let caps = describe(&session)?;
    let place = u32::try_from(ask.addresses.len()).unwrap_or(u32::MAX);
    if place >= caps.addresses_per_call_max {
        // It takes the place of the last one.
        let last = place.saturating_sub(1);
        ask.addresses.pop();
        ask.cells.retain(|cell| cell.address != last);
    }
    let place = u32::try_from(ask.addresses.len()).unwrap_or(u32::MAX);
    ask.addresses.push(invalid.clone());
    ask.cells.push(CellRef {
        address: place,
        asset: 0,
    });
    let reply = session.balances(&ask)?;
    let last = ask.cells.len() - 1;
    if let Ok(told) = &reply
        && told[last].known().is_some()
    {
        let asked = exchanges.take().len();
        return failed(format!(
            "`{invalid}`, which is no address, is told as {} ({asked} requests)",
            told[last]
        ));
    }
    Ok("one call with both".into())
}
