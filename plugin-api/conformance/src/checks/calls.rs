//! How calls run: C15, C16, C17, C19, C20.

use std::sync::Arc;
use std::time::Duration;

use crate::ask::{Ask, DEADLINE, Reply, replied};
use crate::check::{Bench, Failure, Outcome, all_known, describe, failed, unreachable_upstream};
use crate::offline::{OfflineHost, Upstream, drive_for, response};

/// Polls after which C15 has seen enough awaits.
const AWAITS_MAX: usize = 200;
const THREADS: usize = 8;
/// Calls of each thread in C16.
const CALLS: usize = 8;
/// Longest poll of C17; the host takes a plugin out of service after 5 s. Debug builds on a busy
/// machine stay far below.
const POLL_MAX: Duration = Duration::from_millis(500);
/// Looks of C17, of which the best counts: the machine may be busy with others.
const LOOKS: usize = 3;

/// C15.
pub(crate) fn cancel(bench: &Bench<'_>) -> Outcome<String> {
    let baseline = bench.baseline()?;
    let good = bench.good()?;
    let host = Arc::new(OfflineHost::new(good));
    let session = bench.open_over(host.clone())?;
    for polls in 0..AWAITS_MAX {
        let mut call = Box::pin(session.balances_future(&baseline.ask));
        let ended = drive_for(call.as_mut(), polls).map_err(|_stuck| {
            Failure::Failed("the call waits for what is not the host's".into())
        })?;
        drop(call);
        if host.open_requests() != 0 {
            return failed(format!(
                "dropped after {polls} polls, {} requests of the call are still held",
                host.open_requests()
            ));
        }
        let is_ended = ended.is_some();
        if let Some(output) = ended {
            let reply = replied(output, &baseline.ask)?;
            all_known(&baseline.ask, &reply)?;
        }
        // What was dropped must not stand in the way of the next call.
        let reply = session.balances(&baseline.ask)?;
        let amounts = all_known(&baseline.ask, &reply)?;
        if amounts != baseline.amounts {
            return failed(format!(
                "after a call was dropped at poll {polls}, amounts differ"
            ));
        }
        if is_ended {
            return Ok(format!("dropped after each of {polls} polls"));
        }
    }
    Ok(format!("dropped after each of {AWAITS_MAX} polls"))
}

/// C16.
pub(crate) fn threads(bench: &Bench<'_>) -> Outcome<String> {
    let baseline = bench.baseline()?;
    let session = bench.open(bench.good()?)?;
    let work = || -> Outcome<()> {
        for _ in 0..CALLS {
            let reply = session.balances(&baseline.ask)?;
            let amounts = all_known(&baseline.ask, &reply)?;
            if amounts != baseline.amounts {
                return failed("amounts of calls that ran at once differ");
            }
        }
        Ok(())
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect()
    });
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => outcome?,
            Err(_panic) => return failed("a thread of the check panicked"),
        }
    }
    Ok(format!("{THREADS} threads with {CALLS} calls each"))
}

/// C17.
pub(crate) fn polls(bench: &Bench<'_>) -> Outcome<String> {
    let mut best = Duration::MAX;
    let mut cells = 0;
    for _ in 0..LOOKS {
        let session = bench.open(bench.good()?)?;
        let caps = describe(&session)?;
        // As much work as one call may be, within reason.
        let most = usize::try_from(caps.addresses_per_call_max).unwrap_or(usize::MAX);
        let addresses = bench.addresses(&session, most.min(5_000))?;
        let ask = Ask::within(&caps, addresses, &bench.sample.assets());
        cells = ask.cells.len();
        let (reply, longest) = session.timed_balances(&ask)?;
        all_known(&ask, &reply)?;
        best = best.min(longest);
    }
    let took = format!("{} ms for {cells} cells", best.as_millis());
    if best > POLL_MAX {
        return failed(format!(
            "a poll takes {took}; await between the parts of long work, or lower \
             `cells_per_call_max`"
        ));
    }
    Ok(format!("longest poll {took}"))
}

/// C19. Whoever runs this process sees what it wrote.
pub(crate) fn silence(bench: &Bench<'_>) -> Outcome<String> {
    let upstreams: [Upstream; 2] = [
        unreachable_upstream(),
        Arc::new(|_| Ok(response(200, &[], "<html>"))),
    ];
    let good = bench.sample.upstream.clone();
    let mut calls = 0;
    for upstream in upstreams.into_iter().chain(good) {
        let session = bench.open(upstream)?;
        describe(&session)?;
        let _: Result<String, _> = session.validate("no address")?;
        let _: Result<String, _> = session.identity()?;
        calls += 1;
        if let Some(ask) = super::faults::some_ask(bench, &session)? {
            let _: Reply = session.balances(&ask)?;
            calls += 1;
        }
    }
    Ok(format!("{calls} calls"))
}

/// C20.
pub(crate) fn deadlines(bench: &Bench<'_>) -> Outcome<String> {
    let hour: Upstream = Arc::new(|_| Ok(response(429, &[("retry-after", "3600")], "slow down")));
    let mut requests = 0;
    for upstream in [hour].into_iter().chain(bench.sample.upstream.clone()) {
        let session = bench.open(upstream)?;
        let _: Result<String, _> = session.identity()?;
        if let Some(ask) = super::faults::some_ask(bench, &session)? {
            let _: Reply = session.balances(&ask)?;
        }
        for request in session.host.take_sent() {
            let timeout = Duration::from_millis(request.timeout_ms);
            if timeout > DEADLINE {
                return failed(format!(
                    "a request (`{}`) may take {} s, more than the {} s that the call has",
                    request.path,
                    timeout.as_secs(),
                    DEADLINE.as_secs()
                ));
            }
            requests += 1;
        }
        if session.host.slept() > DEADLINE {
            return failed(format!(
                "it sleeps for {} s, more than the {} s that the call has; pauses are the host's",
                session.host.slept().as_secs(),
                DEADLINE.as_secs()
            ));
        }
    }
    Ok(format!("{requests} requests"))
}
