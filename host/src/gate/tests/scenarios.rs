//! Named cases, the six among them in which the best known proxy's breaker fails.

use std::sync::Barrier;

use super::*;

#[test]
fn scenario_1_ten_thousand_timeouts_open_the_circuit_at_the_third() {
    let (gate, clock) = gate();
    let mut admitted = 0;
    for _ in 0..10_000 {
        if let Some(permit) = gate.ask(Call::Work).pass() {
            admitted += 1;
            permit.record(verdict(Class::Timeout));
        }
        clock.advance(Duration::from_millis(1));
    }
    assert_eq!(admitted, 3);
    assert_eq!(gate.snapshot().state, GateState::Open);
}

#[test]
fn scenario_2_one_call_in_thirty_seconds_opens_it_as_fast() {
    let (gate, clock) = gate();
    for call in 1..=3 {
        assert_eq!(gate.snapshot().state, GateState::Closed, "call {call}");
        work(&gate).record(Verdict::of(Class::ServerError, "500", Some(500), None));
        if call < 3 {
            clock.advance(30 * SECOND);
        }
    }
    assert_eq!(gate.snapshot().state, GateState::Open);
}

#[test]
fn scenario_3_probes_that_are_limited_or_lost_never_wedge_the_circuit() {
    let (gate, clock) = gate();
    open(&gate);
    clock.advance(30 * SECOND);
    for n in 0..200 {
        let permit = work(&gate);
        match n % 4 {
            0 => permit.record(Verdict::of(Class::RateLimited, "", Some(429), Some(SECOND))),
            1 => permit.record(verdict(Class::Cancelled)),
            2 => permit.record(verdict(Class::Unsupported)),
            _ => drop(permit),
        }
        clock.advance(SECOND);
        assert_eq!(gate.snapshot().state, GateState::HalfOpen, "probe {n}");
    }
    clock.advance(365 * 24 * HOUR);
    work(&gate).record(Verdict::Success);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[test]
fn scenario_3_two_hundred_limited_probes_in_a_row_leave_it_probing() {
    let (gate, clock) = gate();
    open(&gate);
    clock.advance(30 * SECOND);
    for probe in 0..200 {
        work(&gate).record(Verdict::of(Class::RateLimited, "", Some(429), None));
        let again = gate.earliest_opening().expect("a pause has an end");
        assert!(again <= clock.now() + HOUR, "probe {probe}");
        clock.advance(again - clock.now());
        assert_eq!(gate.snapshot().state, GateState::HalfOpen, "probe {probe}");
    }
    work(&gate).record(Verdict::Success);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[test]
fn scenario_3_two_hundred_timed_out_probes_re_open_it_and_are_followed_by_another() {
    let (gate, clock) = gate();
    open(&gate);
    for probe in 0..200 {
        assert_eq!(gate.ask(Call::Work).why(), Some(Why::CircuitOpen));
        clock.advance(30 * SECOND);
        assert_eq!(gate.snapshot().state, GateState::HalfOpen, "probe {probe}");
        work(&gate).record(verdict(Class::Timeout));
        assert_eq!(gate.snapshot().state, GateState::Open, "probe {probe}");
    }
    clock.advance(30 * SECOND);
    work(&gate).record(Verdict::Success);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[test]
fn scenario_4_one_success_closes_a_mended_circuit() {
    let (gate, clock) = gate();
    open(&gate);
    clock.advance(30 * SECOND);
    work(&gate).record(Verdict::Success);
    assert_eq!(gate.snapshot().state, GateState::Closed);
    let at_once: Vec<_> = (0..100).map(|_| work(&gate)).collect();
    assert_eq!(at_once.len(), 100);
}

#[test]
fn scenario_5_a_small_rest_of_errors_hardly_delays_the_closing() {
    let mut rng = fastrand::Rng::with_seed(42);
    let mut cycles = 0;
    const OUTAGES: u32 = 1000;
    for _ in 0..OUTAGES {
        let (gate, clock) = gate();
        open(&gate);
        while gate.snapshot().state != GateState::Closed {
            clock.advance(30 * SECOND);
            cycles += 1;
            let class = (rng.u32(..100) == 0).then_some(Class::ServerError);
            work(&gate).record(class.map_or(Verdict::Success, verdict));
        }
    }
    // On average 1 / 0.99 cycles; the proxy needs 7.4.
    assert!((OUTAGES..OUTAGES * 103 / 100).contains(&cycles), "{cycles}");
}

#[test]
fn scenario_6_a_late_failure_of_the_closed_era_does_not_reopen() {
    let (gate, clock) = gate();
    let late = work(&gate);
    let later = work(&gate);
    open(&gate);
    clock.advance(30 * SECOND);
    let probe = work(&gate);
    late.record(verdict(Class::Timeout));
    assert_eq!(gate.snapshot().state, GateState::HalfOpen);
    probe.record(Verdict::Success);
    later.record(verdict(Class::Timeout));
    let snapshot = gate.snapshot();
    assert_eq!(snapshot.state, GateState::Closed);
    assert_eq!(snapshot.history.consecutive_fails, 0);
    assert_eq!((snapshot.totals.failures, snapshot.totals.late), (5, 2));
}

#[test]
fn a_panic_between_permit_and_verdict_gives_the_permit_back() {
    let (gate, clock) = gate();
    open(&gate);
    clock.advance(30 * SECOND);
    let probing = gate.clone();
    let died = std::thread::spawn(move || {
        let _probe = work(&probing);
        panic!("on purpose");
    });
    assert!(died.join().is_err());
    work(&gate).record(Verdict::Success);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_probe_passes_whoever_asks() {
    const TASKS: usize = 4;
    let (gate, clock) = gate();
    open(&gate);
    for round in 0..200 {
        clock.advance(30 * SECOND);
        let start = Arc::new(Barrier::new(TASKS));
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let (gate, start) = (gate.clone(), start.clone());
                tokio::task::spawn_blocking(move || {
                    start.wait();
                    (0..50)
                        .filter_map(|_| gate.ask(Call::Work).pass())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let mut permits = Vec::new();
        for task in tasks {
            permits.extend(task.await.unwrap());
        }
        assert_eq!(permits.len(), 1, "round {round}");
        let probe = permits.pop().unwrap();
        probe.record(verdict(Class::Timeout));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_probe_and_give_up_leave_nothing_taken() {
    let (gate, clock) = gate();
    open(&gate);
    clock.advance(30 * SECOND);
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    let answer = gate.ask(Call::Work);
                    tokio::task::yield_now().await;
                    drop(answer);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(gate.snapshot().in_flight, 0);
    work(&gate).record(Verdict::Success);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_engine_wakes_when_a_gate_is_released() {
    let (gate, _clock) = gate();
    gate.force(ForcedState::Open, "maintenance", None);
    assert_eq!(gate.earliest_opening(), None);
    let mut changed = gate.changed();
    let sleeper = tokio::spawn(async move {
        tokio::time::timeout(HOUR, changed.changed())
            .await
            .expect("the release wakes")
    });
    tokio::task::yield_now().await;
    assert!(!sleeper.is_finished());
    assert!(gate.release());
    sleeper.await.unwrap().unwrap();
}

#[test]
fn ordinary_calls_wake_nobody_and_a_lost_probe_does() {
    let (gate, clock) = gate();
    let mut changed = gate.changed();
    for _ in 0..10 {
        work(&gate).record(Verdict::Success);
        work(&gate).record(verdict(Class::Refused));
    }
    assert!(!changed.has_changed().unwrap());
    open(&gate);
    clock.advance(30 * SECOND);
    let probe = work(&gate);
    changed.mark_unchanged();
    drop(probe);
    assert!(changed.has_changed().unwrap());
}

#[test]
fn the_gate_opens_when_its_longest_reason_ends() {
    let (gate, clock) = gate();
    let limited = work(&gate);
    open(&gate);
    limited.record(Verdict::of(
        Class::RateLimited,
        "",
        Some(429),
        Some(90 * SECOND),
    ));
    assert_eq!(gate.earliest_opening(), Some(clock.now() + 90 * SECOND));
    gate.hold(HoldReason::Unauthorized, Some(100 * SECOND), "401");
    assert_eq!(gate.earliest_opening(), Some(clock.now() + 100 * SECOND));
    gate.force(ForcedState::Open, "maintenance", None);
    assert_eq!(gate.earliest_opening(), None);
    gate.release();
    assert_eq!(gate.earliest_opening(), Some(clock.now() + 90 * SECOND));
    clock.advance(90 * SECOND);
    assert_eq!(gate.earliest_opening(), Some(clock.now()));
}

#[test]
fn a_requested_pause_is_an_hour_at_most() {
    let (gate, clock) = gate();
    let day = 24 * HOUR;
    work(&gate).record(Verdict::of(Class::RateLimited, "", Some(429), Some(day)));
    match gate.ask(Call::Work) {
        Answer::Wait { until, why } => {
            assert_eq!((until, why), (clock.now() + HOUR, Why::RetryAfter));
        }
        other => panic!("expected a wait, got {other:?}"),
    }
    assert_eq!(gate.health().status, HealthStatus::Degraded);
    clock.advance(HOUR - 2 * SECOND);
    assert_eq!(gate.health().status, HealthStatus::Healthy);
}

#[test]
fn rate_answers_to_calls_under_way_together_lengthen_the_pause_once() {
    let (gate, clock) = gate();
    let calls: Vec<_> = (0..8).map(|_| work(&gate)).collect();
    clock.advance(SECOND);
    for call in calls {
        call.record(verdict(Class::RateLimited));
    }
    assert_eq!(gate.earliest_opening(), Some(clock.now() + SECOND));
}

#[test]
fn untold_pauses_end_at_a_minute() {
    let (gate, clock) = gate();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        work(&gate).record(verdict(Class::RateLimited));
        let pause = gate.earliest_opening().unwrap() - clock.now();
        pauses.push(pause.as_secs());
        clock.advance(pause);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn a_spent_allowance_is_back_at_midnight() {
    let (gate, clock) = gate();
    work(&gate).record(verdict(Class::Quota));
    assert_eq!(gate.earliest_opening(), Some(clock.now() + 2 * HOUR));
    clock.advance(2 * HOUR);
    drop(work(&gate));
}

#[test]
fn a_call_from_before_a_release_does_not_hold_again() {
    let (gate, _clock) = gate();
    let (first, second) = (work(&gate), work(&gate));
    first.record(verdict(Class::Unauthorized));
    assert!(gate.release());
    second.record(verdict(Class::Unauthorized));
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[test]
fn transitions_come_in_order_with_the_counts_before_them() {
    let (gate, clock) = gate();
    open(&gate);
    clock.advance(40 * SECOND);
    work(&gate).record(verdict(Class::Timeout));
    clock.advance(30 * SECOND);
    work(&gate).record(Verdict::Success);
    gate.force(ForcedState::Open, "maintenance", Some(5 * SECOND));
    clock.advance(5 * SECOND);
    work(&gate).record(verdict(Class::Quota));

    let told: Vec<_> = gate
        .take_transitions()
        .into_iter()
        .map(|it| {
            format!(
                "{} {}>{} {} at {} until {:?} fails {}",
                it.seq,
                it.from.as_str(),
                it.to.as_str(),
                it.why.as_str(),
                it.at - START_MS,
                it.until.map(|until| until - START_MS),
                it.consecutive_failures
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "1 closed>open failures at 0 until Some(30000) fails 3",
            "2 open>half_open cooldown_over at 30000 until None fails 3",
            "3 half_open>open probe_failed at 40000 until Some(70000) fails 4",
            "4 open>half_open cooldown_over at 70000 until None fails 4",
            "5 half_open>closed probe_succeeded at 70000 until None fails 4",
            "6 closed>forced_open forced at 70000 until Some(75000) fails 0",
            "7 forced_open>closed force_over at 75000 until None fails 0",
            "8 closed>held quota at 75000 until Some(7200000) fails 0",
        ]
    );
    assert_eq!(gate.take_transitions(), []);
}

#[test]
fn the_health_row_tells_what_happened_and_when() {
    let (gate, clock) = gate();
    work(&gate).record(Verdict::Success);
    clock.advance(SECOND);
    let message = "é".repeat(500);
    work(&gate).record(Verdict::of(Class::ServerError, message, Some(502), None));
    let row = gate.health();
    let expected = HealthRow {
        provider_name: "mempool".into(),
        chain: "btc".into(),
        provider_type: ProviderType::Scan,
        status: HealthStatus::Degraded,
        consecutive_fails: 1,
        last_success: Some(START_MS),
        last_error: Some(START_MS + 1000),
        last_error_msg: row.last_error_msg.clone(),
        circuit_state: CircuitState::Closed,
        updated_at: START_MS + 1000,
    };
    assert_eq!(row, expected);
    let message = row.last_error_msg.unwrap();
    assert!(message.starts_with("server_error (HTTP 502): éé"));
    assert_eq!(message.chars().count(), 200);

    work(&gate).record(verdict(Class::Timeout));
    work(&gate).record(verdict(Class::Timeout));
    assert_eq!(gate.health().circuit_state, CircuitState::Open);
    clock.advance(30 * SECOND);
    let row = gate.health();
    assert_eq!(row.circuit_state, CircuitState::HalfOpen);
    assert_eq!(row.updated_at, START_MS + 31_000);
}

#[test]
fn usage_counts_requests_and_outcomes_once() {
    let (gate, _clock) = gate();
    assert!(gate.take_usage().is_empty());
    for class in [None, Some(Class::Timeout), Some(Class::Refused)] {
        let permit = work(&gate);
        gate.count_http_attempt();
        gate.count_http_attempt();
        permit.record(class.map_or(Verdict::Success, verdict));
    }
    drop(work(&gate));
    work(&gate).record(verdict(Class::RateLimited));
    let usage = gate.take_usage();
    let expected = UsageDelta {
        requests: 6,
        successes: 1,
        failures: 1,
        rate_limited: 1,
    };
    assert_eq!(usage, expected);
    assert!(gate.take_usage().is_empty());
    gate.return_usage(usage);
    gate.count_http_attempt();
    assert_eq!(gate.take_usage().requests, 7);
}

#[test]
fn of_two_holds_or_quarantines_the_longer_one_stands() {
    let (gate, clock) = gate();
    let calls = [(); 5].map(|()| work(&gate));
    let [chain, quota, faults @ ..] = calls;
    chain.record(verdict(Class::WrongChain));
    quota.record(Verdict::of(Class::Quota, "", None, Some(5 * SECOND)));
    assert_eq!(gate.ask(Call::Work).why(), Some(Why::HeldWrongChain));
    assert_eq!(gate.earliest_opening(), Some(clock.now() + HOUR));

    gate.quarantine(None);
    for fault in faults {
        fault.record(verdict(Class::PluginFault));
    }
    clock.advance(24 * HOUR);
    assert_eq!(gate.ask(Call::Work).why(), Some(Why::Quarantined));
    assert_eq!(gate.earliest_opening(), None);
    assert!(gate.release());
    drop(work(&gate));
}

#[test]
fn a_hold_for_no_time_lasts_its_usual_time() {
    let (gate, clock) = gate();
    let no_time = Some(Duration::ZERO);
    work(&gate).record(Verdict::of(Class::Quota, "", None, no_time));
    assert_eq!(gate.earliest_opening(), Some(clock.now() + 2 * HOUR));
}

#[test]
fn a_pause_of_no_length_is_a_pause() {
    let (gate, clock) = gate();
    let no_time = Some(Duration::ZERO);
    work(&gate).record(Verdict::of(Class::RateLimited, "", Some(429), no_time));
    assert_eq!(gate.earliest_opening(), Some(clock.now() + SECOND));
}

#[test]
fn a_forced_state_does_not_hide_what_calls_under_way_find() {
    let (gate, _clock) = gate();
    let call = work(&gate);
    gate.force(ForcedState::Closed, "trust me", None);
    call.record(verdict(Class::WrongChain));
    assert_eq!(gate.ask(Call::Work).why(), Some(Why::HeldWrongChain));
}

#[test]
fn a_shorter_pause_does_not_end_a_longer_one() {
    let (gate, clock) = gate();
    let calls = [(); 2].map(|()| work(&gate));
    for (call, secs) in calls.into_iter().zip([60, 5]) {
        let wait = Some(Duration::from_secs(secs));
        call.record(Verdict::of(Class::RateLimited, "", Some(429), wait));
    }
    assert_eq!(gate.earliest_opening(), Some(clock.now() + 60 * SECOND));
}

#[test]
fn what_ended_between_two_looks_ends_in_its_own_order() {
    let (gate, clock) = gate();
    open(&gate);
    gate.force(ForcedState::Open, "maintenance", Some(50 * SECOND));
    let _before = gate.take_transitions();
    clock.advance(100 * SECOND);
    let told: Vec<_> = gate
        .take_transitions()
        .into_iter()
        .map(|it| (it.from, it.to, it.at - START_MS))
        .collect();
    // The cooldown ended first, unseen behind the operator's word.
    let expected = (GateState::ForcedOpen, GateState::HalfOpen, 50_000);
    assert_eq!(told, [expected]);
}

#[test]
fn a_call_from_before_a_hold_that_is_over_does_not_hold_again() {
    let (gate, clock) = gate();
    let calls = [(); 2].map(|()| work(&gate));
    for call in calls {
        let wait = Some(5 * SECOND);
        call.record(Verdict::of(Class::Quota, "", None, wait));
        clock.advance(5 * SECOND);
    }
    assert_eq!(gate.take_transitions().len(), 2);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[test]
fn a_fault_from_before_a_quarantine_does_not_bring_it_back() {
    let (gate, clock) = gate();
    let [late, calls @ ..] = [(); 4].map(|()| work(&gate));
    for call in calls {
        call.record(verdict(Class::PluginFault));
    }
    assert_eq!(gate.snapshot().state, GateState::Quarantined);
    clock.advance(600 * SECOND);
    late.record(verdict(Class::PluginFault));
    assert_eq!(gate.snapshot().state, GateState::Closed);
    // A new fault does: nothing was mended.
    work(&gate).record(verdict(Class::PluginFault));
    assert_eq!(gate.snapshot().state, GateState::Quarantined);
}

#[test]
fn transitions_that_nobody_takes_are_bounded() {
    let (gate, _clock) = gate();
    for _ in 0..600 {
        gate.force(ForcedState::Open, "", None);
        gate.release();
    }
    let transitions = gate.take_transitions();
    assert_eq!(transitions.len(), 1024);
    assert_eq!(transitions.first().map(|it| it.seq), Some(177));
    assert_eq!(transitions.last().map(|it| it.seq), Some(1200));
}

/// A gate whose calls are slow above a second.
fn with_slow_calls(window: Option<WindowConfig>) -> (Gate, Arc<ManualClock>) {
    gate_with(GateConfig {
        breaker: BreakerConfig {
            slow_call: Some(SECOND),
            window,
            ..BreakerConfig::default()
        },
        ..GateConfig::default()
    })
}

#[test]
fn a_slow_answer_is_a_failure_that_answered() {
    let (gate, clock) = with_slow_calls(None);
    let call = work(&gate);
    clock.advance(2 * SECOND);
    call.record(Verdict::Success);
    let row = gate.health();
    assert_eq!(row.status, HealthStatus::Degraded);
    assert_eq!(row.consecutive_fails, 1);
    assert_eq!(row.last_success, Some(START_MS + 2000));
    let message = "timeout: answered after 2000 ms: a slow call";
    assert_eq!(row.last_error_msg.as_deref(), Some(message));
    let totals = gate.snapshot().totals;
    assert_eq!((totals.successes, totals.slow, totals.failures), (1, 1, 0));
    assert_eq!(gate.take_usage().successes, 1);
    for _ in 0..2 {
        let call = work(&gate);
        clock.advance(2 * SECOND);
        call.record(Verdict::Success);
    }
    assert_eq!(gate.snapshot().state, GateState::Open);
}

#[test]
fn what_the_host_let_a_call_wait_does_not_make_it_slow() {
    let (gate, clock) = with_slow_calls(None);
    for _ in 0..10 {
        let call = work(&gate);
        clock.advance(10 * SECOND);
        assert_eq!(call.age(), 10 * SECOND);
        call.record_after(Verdict::Success, SECOND);
    }
    let snapshot = gate.snapshot();
    assert_eq!(
        (snapshot.state, snapshot.totals.slow),
        (GateState::Closed, 0)
    );
    assert_eq!(snapshot.status, HealthStatus::Healthy);
}

#[test]
fn slow_calls_with_a_ratio_leave_the_provider_healthy_until_it_is_reached() {
    let (gate, clock) = with_slow_calls(Some(WindowConfig {
        length: 600 * SECOND,
        min_calls: NonZeroU32::new(10).unwrap(),
        failure_ratio: None,
        slow_ratio: Some(0.8),
    }));
    for n in 1..=10 {
        assert_eq!(gate.health().status, HealthStatus::Healthy);
        let call = work(&gate);
        clock.advance(if n <= 2 { SECOND } else { 2 * SECOND });
        call.record(Verdict::Success);
    }
    let transitions = gate.take_transitions();
    assert_eq!(transitions.len(), 1);
    assert_eq!(transitions[0].why, Cause::SlowRatio);
    assert_eq!(gate.snapshot().state, GateState::Open);
}

#[test]
fn no_ratio_opens_a_circuit_that_an_operator_keeps_closed() {
    for forced in [ForcedState::Closed, ForcedState::Disabled] {
        let (gate, clock) = with_slow_calls(Some(WindowConfig {
            length: 600 * SECOND,
            min_calls: NonZeroU32::MIN,
            failure_ratio: Some(0.1),
            slow_ratio: Some(0.1),
        }));
        gate.force(forced, "trust me", Some(HOUR));
        let before = gate.snapshot().state;
        for _ in 0..5 {
            let call = work(&gate);
            clock.advance(2 * SECOND);
            call.record(Verdict::Success);
            fail(&gate);
        }
        assert_eq!(gate.snapshot().state, before);
        assert!(gate.release());
        assert_eq!(gate.snapshot().state, GateState::Closed);
    }
}
