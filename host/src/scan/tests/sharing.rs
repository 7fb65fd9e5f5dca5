//! Who gets which call: spreading, trials, learned limits, suspects, decisions.

use super::*;
use crate::gate::{Verdict, Why};
use crate::pool::decision::{Purpose, Skip};
use crate::scan::idle;

fn answering(request: &BalancesRequest, _now: Duration) -> Result<Vec<Answer>, CallError> {
    Ok(honest(request))
}

/// Cells of each call of a provider, in the order of the calls.
fn sizes(bench: &Bench, provider: usize) -> Vec<usize> {
    bench.providers[provider].sizes.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn spread_lets_all_take_from_one_queue_each_in_its_own_batches() {
    let mut bench = Bench::new(false)
        .await
        .with(10, answering)
        .with(25, answering);
    bench.pool.strategy = Strategy::Spread;
    let (outcome, rows) = bench.scan(1_000).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 1_000));
    let (first, second) = (sizes(&bench, 0), sizes(&bench, 1));
    assert_eq!(first.iter().chain(&second).sum::<usize>(), 1_000);
    assert!(first.len() > 5 && second.len() > 5, "{first:?} {second:?}");
    let full = |sizes: &[usize], batch| sizes.iter().filter(|it| **it == batch).count();
    assert!(full(&first, 10) + 1 >= first.len(), "{first:?}");
    assert!(full(&second, 25) + 1 >= second.len(), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn failover_gives_the_second_nothing_while_the_first_answers() {
    let bench = Bench::new(false)
        .await
        .with(10, answering)
        .with(10, answering);
    let (_, rows) = bench.scan(200).await;
    assert_eq!(known(&rows), 200);
    assert_eq!((bench.calls(0), bench.calls(1)), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn a_spare_provider_is_tried_when_its_cooldown_ends_though_nobody_needs_it() {
    let slow = |request: &BalancesRequest, _: Duration| Ok(honest(request));
    let bench = Bench::new(false)
        .await
        .with_latency(1, Duration::from_secs(1), slow)
        .with(10, answering);
    let spare = &bench.pool.members[1].gate;
    for _ in 0..3 {
        let permit = spare.ask(crate::gate::Call::Work).pass().unwrap();
        permit.record(Verdict::of(Class::Timeout, "earlier", None, None));
    }
    assert_eq!(bench.circuit(1), CircuitState::Open);
    let (_, rows) = bench.scan(100).await;
    assert_eq!(known(&rows), 100);
    assert_eq!(bench.circuit(1), CircuitState::Closed);
    assert_eq!(sizes(&bench, 1), [1], "one call of one cell");
    let trial = bench.pool.decisions.newest(1_000);
    let trial = trial.iter().find(|it| it.purpose == Purpose::Trial);
    assert_eq!(trial.unwrap().provider, Some("p1".into()));
}

#[tokio::test(start_paused = true)]
async fn a_trial_is_identity_and_one_cell_under_one_verdict() {
    let down_for = Duration::from_secs(200);
    let mut bench =
        Bench::new(false)
            .await
            .with(10, move |request: &BalancesRequest, now: Duration| {
                if now < down_for {
                    failing(Class::ServerError)
                } else {
                    Ok(honest(request))
                }
            });
    bench.expect_identity("test");
    bench.patience.max_pool_failures = 100;
    let (outcome, rows) = bench.scan(30).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 30));
    // The identity is answered all the time: alone it must not close the circuit.
    let times = bench.providers[0].call_times.lock().unwrap();
    let trials = times
        .iter()
        .filter(|at| **at >= COOLDOWN && **at < down_for);
    let trials: Vec<_> = trials.map(|at| at.as_secs() / 30).collect();
    let mut cooldowns = trials.clone();
    cooldowns.dedup();
    assert_eq!(trials, cooldowns, "more than one call in a cooldown");
    assert!(trials.len() >= 4, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_finds_another_network_reads_no_balance() {
    let mut bench = Bench::new(false)
        .await
        .with(10, |request: &BalancesRequest, now: Duration| {
            assert!(now < COOLDOWN, "a balance of another network: {request:?}");
            failing(Class::Timeout)
        });
    bench.expect_identity("test");
    bench.providers[0].identity_after(COOLDOWN, "other");
    bench.patience.budget = Duration::from_secs(120);
    let (outcome, rows) = bench.scan(3).await;
    assert!(matches!(outcome.ending, Ending::GaveUp { .. }));
    assert_eq!(known(&rows), 0);
    let snapshot = bench.pool.members[0].gate.snapshot();
    assert_eq!(snapshot.why, Some(Why::HeldWrongChain));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_the_provider_keeps_to_itself_is_learned_by_halving() {
    let bench = Bench::new(false)
        .await
        .with(1_000, |request: &BalancesRequest, _| {
            if request.cells.len() > 150 {
                return failing(Class::TooLarge);
            }
            Ok(honest(request))
        });
    let (outcome, rows) = bench.scan(2_000).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 2_000));
    let sizes = sizes(&bench, 0);
    let refused = sizes.iter().filter(|size| **size > 150).count();
    // 1,000, 500, 250 by each of the two connections at most.
    assert!(refused <= 6, "{sizes:?}");
    assert_eq!(bench.circuit(0), CircuitState::Closed);
    assert_eq!(bench.pool.members[0].cells_max(), 125);
}

#[tokio::test(start_paused = true)]
async fn two_bad_cells_in_different_halves_come_apart() {
    let bad = ["a3", "a60"];
    let bench = Bench::new(false)
        .await
        .with(64, move |request: &BalancesRequest, _| {
            if request
                .addresses
                .iter()
                .any(|address| bad.contains(&&**address))
            {
                return failing(Class::ServerError);
            }
            Ok(honest(request))
        });
    let (outcome, rows) = bench.scan(64).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 62));
    let unknown = |row: &&Row| matches!(row, Row::Unknown { .. });
    assert_eq!(rows.iter().filter(unknown).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_turns_out_not_to_offer_tokens_is_not_asked_for_every_chunk() {
    let natives_only = |request: &BalancesRequest, _: Duration| {
        let mut answers = honest(request);
        for answer in &mut answers {
            let (_, asset) = request.cells[answer.cell as usize];
            if !request.assets[usize::from(asset)].is_native() {
                let error = CallError::new(Class::Unsupported, "scripted");
                answer.outcome = Outcome::Unknown(error);
            }
        }
        Ok(answers)
    };
    let mut bench = Bench::new(true)
        .await
        .with(10, natives_only)
        .with(10, answering);
    // A pool in which somebody reads natives only keeps tokens in lanes of their own.
    bench = bench.with(10, answering);
    bench.only_natives(2);
    let (outcome, rows) = bench.scan(500).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 1_000));
    assert!(bench.calls(0) < 60, "{} calls", bench.calls(0));
}

#[tokio::test(start_paused = true)]
async fn every_dispatch_says_who_was_passed_over_and_why() {
    let bench = Bench::new(false)
        .await
        .with(10, |_: &BalancesRequest, _| failing(Class::Timeout))
        .with(10, answering)
        .with(10, answering);
    let (_, rows) = bench.scan(100).await;
    assert_eq!(known(&rows), 100);
    let decisions = bench.pool.decisions.newest(usize::MAX);
    let calls: usize = (0..3).map(|provider| bench.calls(provider)).sum();
    assert_eq!(decisions.len(), calls);
    let last = &decisions[0];
    assert_eq!((last.provider.clone(), last.cells), (Some("p1".into()), 10));
    let said: Vec<_> = last
        .skipped
        .iter()
        .map(|it| (it.provider.as_str(), it.why, it.until.is_some()))
        .collect();
    let open = Skip::Gate(Why::CircuitOpen);
    assert_eq!(said[1], ("p2", Skip::NotNeeded, false));
    assert_eq!((said[0].0, said[0].1), ("p0", open));
}

#[tokio::test(start_paused = true)]
async fn a_wait_after_a_failed_round_is_kept_though_gates_change() {
    let bench = Bench::new(false)
        .await
        .with(10, |_: &BalancesRequest, _| failing(Class::Refused))
        .with(10, |request: &BalancesRequest, now| {
            if now < Duration::from_secs(6) {
                failing(Class::Lagging)
            } else {
                Ok(honest(request))
            }
        });
    let gate = bench.pool.members[0].gate.clone();
    let noise = tokio::spawn(async move {
        loop {
            gate.hold(crate::gate::HoldReason::Quota, None, "noise");
            gate.release();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let (_, rows) = bench.scan(1).await;
    noise.abort();
    assert_eq!(known(&rows), 1);
    let times = bench.providers[1].call_times.lock().unwrap();
    assert!(times.len() <= 3, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_on_a_long_list_neither_stops_the_rest_nor_is_forgotten() {
    let mends = Duration::from_secs(40);
    let tokens_fail = move |request: &BalancesRequest, now: Duration| {
        let mut answers = honest(request);
        for answer in &mut answers {
            let (_, asset) = request.cells[answer.cell as usize];
            if !request.assets[usize::from(asset)].is_native() && now < mends {
                let error = CallError::new(Class::Malformed, "scripted");
                answer.outcome = Outcome::Unknown(error);
            }
        }
        Ok(answers)
    };
    // Far more failing cells than there is room for.
    let bench = Bench::new(true).await.with(20, tokens_fail);
    let (outcome, rows) = bench.scan(2_000).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 4_000));
    let counters = bench.ledger.passes(&bench.chain, 1).await.unwrap()[0].counters;
    assert_eq!((counters.asked, counters.known), (4_000, 4_000));

    let never = move |request: &BalancesRequest, _| tokens_fail(request, Duration::ZERO);
    let mut bench = Bench::new(true).await.with(20, never);
    bench.patience.budget = Duration::from_secs(70);
    let (_, rows) = bench.scan(2_000).await;
    assert_eq!(known(&rows), 2_000, "every native coin");
    for row in rows {
        if let Row::Unknown { error, .. } = row {
            assert_eq!(error.class, Class::Malformed, "each has its reason");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_for_both_that_fails_for_natives_alone_leaves_tokens_known() {
    for native_down in [true, false] {
        let down = move |request: &BalancesRequest, _: Duration| {
            let is_down = |asset: &Asset| asset.is_native() == native_down;
            if request.assets.iter().any(is_down) {
                return failing(Class::ServerError);
            }
            Ok(honest(request))
        };
        let mut bench = Bench::new(true).await.with(100, down);
        bench.patience.budget = Duration::from_secs(200);
        let (_, rows) = bench.scan(300).await;
        assert_eq!(known(&rows), 300, "native down: {native_down}");
    }
}

#[tokio::test(start_paused = true)]
async fn spread_gives_a_short_list_to_all() {
    let mut bench = Bench::new(false)
        .await
        .with(10, answering)
        .with(10, answering);
    bench.pool.strategy = Strategy::Spread;
    let (_, rows) = bench.scan(20).await;
    assert_eq!(known(&rows), 20);
    assert_eq!((bench.calls(0), bench.calls(1)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn tokens_that_nobody_can_be_asked_for_do_not_keep_natives_from_being_read() {
    let mut bench = Bench::new(true)
        .await
        .with(10, answering)
        .with(10, answering);
    bench.only_natives(0);
    let held = &bench.pool.members[1].gate;
    held.hold(crate::gate::HoldReason::Unauthorized, None, "scripted");
    // Far more than the queue holds at once.
    let (_, rows) = bench.scan(3_000).await;
    assert_eq!(known(&rows), 3_000, "every native coin");
    assert!(bench.calls(0) < 320, "{} calls", bench.calls(0));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_in_the_pool_reads_is_not_waited_for() {
    let mut bench = Bench::new(true).await.with(10, answering);
    bench.only_natives(0);
    let start = Instant::now();
    let (outcome, rows) = bench.scan(3_000).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 3_000));
    assert!(start.elapsed() < COOLDOWN, "{:?}", start.elapsed());
    let Row::Unknown { error, .. } = &rows[1] else {
        panic!("it is unknown")
    };
    assert_eq!(error.class, Class::NoProvider);
}

/// What the decisions say of a provider that they did not use, each reason once.
fn reasons(bench: &Bench, provider: usize, purpose: Purpose) -> Vec<Skip> {
    let name = format!("p{provider}");
    let decisions = bench.pool.decisions.newest(usize::MAX);
    let of_purpose = decisions.iter().filter(|it| it.purpose == purpose);
    let skipped = of_purpose.flat_map(|it| &it.skipped);
    let skipped = skipped.filter(|skip| skip.provider.as_str() == name);
    let mut reasons = Vec::new();
    for skip in skipped {
        if !reasons.contains(&skip.why) {
            reasons.push(skip.why);
        }
    }
    reasons
}

#[tokio::test(start_paused = true)]
async fn who_takes_turns_is_not_said_to_be_late() {
    let mut bench = Bench::new(false)
        .await
        .with(10, answering)
        .with(10, answering);
    bench.pool.strategy = Strategy::Spread;
    bench.scan(40).await;
    for provider in [0, 1] {
        let said = reasons(&bench, provider, Purpose::Work);
        assert!(said.contains(&Skip::TakingTurns), "p{provider}: {said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_shut_is_said_to_be_shut_though_nobody_needed_it() {
    let bench = Bench::new(false)
        .await
        .with(10, answering)
        .with(10, answering);
    let held = &bench.pool.members[1].gate;
    held.hold(crate::gate::HoldReason::Unauthorized, None, "scripted");
    bench.scan(20).await;
    let said = reasons(&bench, 1, Purpose::Work);
    assert_eq!(said, [Skip::Gate(Why::HeldUnauthorized)]);
}

#[tokio::test(start_paused = true)]
async fn a_trial_during_a_wait_says_that_the_others_rest() {
    // The first has an open circuit, the second keeps refusing: rounds fail, with waits after them.
    // No wait ends in the moment in which a trial is due.
    let [first, second] = [300, 170].map(Duration::from_millis);
    let mut bench = Bench::new(false)
        .await
        .with_latency(1, first, |_: &BalancesRequest, _| failing(Class::Timeout))
        .with_latency(1, second, |_: &BalancesRequest, _| failing(Class::Lagging));
    bench.patience.budget = Duration::from_secs(200);
    bench.scan(4).await;
    let trials: Vec<_> = bench.providers[0].call_times.lock().unwrap().clone();
    let due = COOLDOWN + Duration::from_millis(600);
    assert_eq!(trials[4], due, "a trial does not wait for the round");
    let said = reasons(&bench, 1, Purpose::Trial);
    assert!(said.contains(&Skip::Resting), "{said:?}");
    assert!(!said.contains(&Skip::NotNeeded), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_offer_what_is_left_is_said_so() {
    let natives_only = |request: &BalancesRequest, _: Duration| {
        if request.assets.iter().any(|asset| !asset.is_native()) {
            return failing(Class::Unsupported);
        }
        Ok(honest(request))
    };
    let mut bench = Bench::new(true)
        .await
        .with(10, natives_only)
        .with(10, answering);
    bench = bench.with(10, answering);
    bench.only_natives(2);
    bench.scan(300).await;
    let said = reasons(&bench, 0, Purpose::Work);
    assert!(said.contains(&Skip::NotOffered), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn without_work_a_circuit_that_is_due_is_tried_by_who_the_provider_is() {
    let mut bench = Bench::new(false)
        .await
        .with(10, answering)
        .with(10, answering);
    bench.expect_identity("test");
    for member in &bench.pool.members {
        let permit = member.gate.ask(crate::gate::Call::Identity).pass().unwrap();
        permit.record(Verdict::Success);
    }
    for _ in 0..3 {
        let gate = &bench.pool.members[0].gate;
        let permit = gate.ask(crate::gate::Call::Work).pass().unwrap();
        permit.record(Verdict::of(Class::Timeout, "earlier", None, None));
    }
    let idle =
        |seconds| tokio::time::timeout(Duration::from_secs(seconds), idle::watch(&bench.pool));
    idle(29).await.unwrap_err();
    assert_eq!(bench.circuit(0), CircuitState::Open);
    idle(2).await.unwrap_err();
    assert_eq!(bench.circuit(0), CircuitState::Closed);
    assert_eq!(
        (bench.calls(0), bench.calls(1)),
        (0, 0),
        "no balance was asked for"
    );
}
