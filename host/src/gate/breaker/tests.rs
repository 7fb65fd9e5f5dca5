use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// How long a call takes that is not slow.
const QUICK: Duration = Duration::from_millis(100);

fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn admitted(breaker: &mut Breaker, now: Instant) -> u64 {
    match breaker.apply(Event::Acquire, now).reply {
        Reply::Admitted { generation } => generation,
        other => panic!("expected a permit, got {other:?}"),
    }
}

fn fail(breaker: &mut Breaker, now: Instant) {
    let generation = admitted(breaker, now);
    let took = QUICK;
    breaker.apply(Event::Fail { generation, took }, now);
}

fn succeed(breaker: &mut Breaker, now: Instant, took: Duration) {
    let generation = admitted(breaker, now);
    breaker.apply(Event::Succeed { generation, took }, now);
}

/// Opens the breaker at `now` and fails every probe; returns the lengths of the cooldowns.
fn cooldowns(breaker: &mut Breaker, mut now: Instant, count: usize) -> Vec<Duration> {
    while matches!(breaker.state(), State::Closed { .. }) {
        fail(breaker, now);
    }
    let mut lengths = Vec::new();
    while let State::Open { until } = breaker.state()
        && lengths.len() < count
    {
        lengths.push(until - now);
        now = until;
        fail(breaker, now);
    }
    lengths
}

#[test]
fn a_cooldown_ends_on_its_own_time_however_late_it_is_looked_at() {
    let start = Instant::now();
    let mut breaker = Breaker::new(BreakerConfig::default(), 0);
    for _ in 0..3 {
        fail(&mut breaker, start);
    }
    let outcome = breaker.apply(Event::Look, start + 100 * SECOND);
    let expected = Step {
        from: CircuitState::Open,
        to: CircuitState::HalfOpen,
        cause: Cause::CooldownOver,
        at: start + 30 * SECOND,
        generation: 2,
    };
    assert_eq!(outcome.steps, [expected]);
}

#[test]
fn a_half_open_breaker_admits_no_more_than_it_says_and_closes_when_all_succeeded() {
    let start = Instant::now();
    let config = BreakerConfig {
        half_open: nonzero(3),
        ..BreakerConfig::default()
    };
    let mut breaker = Breaker::new(config, 0);
    for _ in 0..3 {
        fail(&mut breaker, start);
    }
    let now = start + 30 * SECOND;
    let generations = [(); 3].map(|()| admitted(&mut breaker, now));
    let refused = breaker.apply(Event::Acquire, now).reply;
    assert_eq!(refused, Reply::Refused(Refusal::HalfOpenBusy));
    for generation in generations {
        assert_eq!(breaker.state().circuit(), CircuitState::HalfOpen);
        let took = QUICK;
        breaker.apply(Event::Succeed { generation, took }, now);
    }
    assert_eq!(breaker.state(), State::Closed { failures: 0 });
}

#[test]
fn every_cooldown_is_the_same_unless_doubling_is_asked_for() {
    let mut breaker = Breaker::new(BreakerConfig::default(), 1);
    assert_eq!(cooldowns(&mut breaker, Instant::now(), 5), [30 * SECOND; 5]);
}

#[test]
fn doubled_cooldowns_grow_to_their_maximum() {
    let config = BreakerConfig {
        cooldown_max: Some(300 * SECOND),
        ..BreakerConfig::default()
    };
    let lengths = cooldowns(&mut Breaker::new(config, 7), Instant::now(), 6);
    assert_eq!(lengths, [30, 60, 120, 240, 300, 300].map(|n| n * SECOND));
}

#[test]
fn jitter_makes_cooldowns_longer_by_its_share_at_most() {
    for cooldown_max in [None, Some(300 * SECOND)] {
        let config = BreakerConfig {
            cooldown_max,
            jitter: 0.25,
            ..BreakerConfig::default()
        };
        let run = |seed| cooldowns(&mut Breaker::new(config.clone(), seed), Instant::now(), 40);
        let lengths = run(7);
        for (n, length) in lengths.iter().enumerate() {
            let longest = cooldown_max.map_or(30.0, |max| max.as_secs_f64());
            let least = 30.0 * 2_f64.powi(i32::try_from(n).unwrap());
            let least = Duration::from_secs_f64(least.min(longest));
            assert!(
                (least..=least * 5 / 4).contains(length),
                "cooldown {n} is {length:?}, not from {least:?} to a quarter more"
            );
            assert!(*length <= config.cooldown_longest());
        }
        assert_eq!(lengths, run(7), "the same seed gives the same cooldowns");
        assert_ne!(lengths, run(8), "another seed gives others");
        let mut seen = lengths.clone();
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 30, "they hardly differ: {lengths:?}");
    }
}

#[test]
fn a_success_starts_the_doubling_over() {
    let config = BreakerConfig {
        cooldown_max: Some(300 * SECOND),
        ..BreakerConfig::default()
    };
    let mut breaker = Breaker::new(config, 7);
    let start = Instant::now();
    cooldowns(&mut breaker, start, 4);
    let now = start + 3600 * SECOND;
    succeed(&mut breaker, now, QUICK);
    assert_eq!(cooldowns(&mut breaker, now, 1), [30 * SECOND]);
}

#[test]
fn a_maximum_below_the_cooldown_does_not_shorten_it() {
    let config = BreakerConfig {
        cooldown_max: Some(SECOND),
        ..BreakerConfig::default()
    };
    assert_eq!(config.cooldown_longest(), 30 * SECOND);
    let lengths = cooldowns(&mut Breaker::new(config, 0), Instant::now(), 3);
    assert_eq!(lengths, [30 * SECOND; 3]);
}

/// Half of the calls of a minute, but 100 in a row; slow above a second.
fn with_window(slow_ratio: Option<f64>) -> Breaker {
    let config = BreakerConfig {
        failures: nonzero(100),
        window: Some(WindowConfig {
            length: 60 * SECOND,
            min_calls: nonzero(10),
            failure_ratio: Some(0.5),
            slow_ratio,
        }),
        slow_call: Some(SECOND),
        ..BreakerConfig::default()
    };
    Breaker::new(config, 0)
}

/// Lets calls end at a second's distance, until one opens the circuit: how many it took, and why.
fn opened_by(breaker: &mut Breaker, calls: &[(bool, Duration)]) -> Option<(usize, Cause)> {
    let start = Instant::now();
    for (n, &(failed, took)) in (1..).zip(calls) {
        let now = start + u32::try_from(n).unwrap() * SECOND;
        let generation = admitted(breaker, now);
        let event = match failed {
            true => Event::Fail { generation, took },
            false => Event::Succeed { generation, took },
        };
        if let Some(step) = breaker.apply(event, now).steps.first() {
            assert_eq!(step.to, CircuitState::Open);
            return Some((n, step.cause));
        }
    }
    None
}

#[test]
fn a_share_of_failures_opens_the_circuit_where_none_are_in_a_row() {
    let alternating: Vec<_> = (0..30).map(|n| (n % 2 == 0, QUICK)).collect();
    let opened = opened_by(&mut with_window(None), &alternating);
    // The tenth call is an answer, which opens nothing.
    assert_eq!(opened, Some((11, Cause::FailureRatio)));
    let mut without = Breaker::new(BreakerConfig::default(), 0);
    assert_eq!(opened_by(&mut without, &alternating), None);
    let every_third: Vec<_> = (0..90).map(|n| (n % 3 == 0, QUICK)).collect();
    assert_eq!(opened_by(&mut with_window(None), &every_third), None);
}

#[test]
fn failures_in_a_row_open_it_whatever_the_window_says() {
    let mut breaker = with_window(None);
    breaker.config.failures = nonzero(3);
    let calls = [(true, QUICK); 3];
    assert_eq!(opened_by(&mut breaker, &calls), Some((3, Cause::Failures)));
}

#[test]
fn without_a_ratio_a_slow_call_is_a_failure() {
    let config = BreakerConfig {
        slow_call: Some(SECOND),
        ..BreakerConfig::default()
    };
    let (slow, limit) = ((false, 2 * SECOND), (false, SECOND));
    let mut breaker = Breaker::new(config, 0);
    let calls = [slow, slow, limit, slow, slow, slow];
    assert_eq!(opened_by(&mut breaker, &calls), Some((6, Cause::Failures)));
    // The probe too: whoever is still slow is not back.
    let now = Instant::now() + 3600 * SECOND;
    succeed(&mut breaker, now, 2 * SECOND);
    assert_eq!(breaker.state().circuit(), CircuitState::Open);
    // And in the window, beside the failures.
    let calls: Vec<_> = (0..11)
        .map(|n| (n % 4 == 0, if n % 4 == 2 { 2 * SECOND } else { QUICK }))
        .collect();
    let opened = opened_by(&mut with_window(None), &calls);
    assert_eq!(opened, Some((11, Cause::FailureRatio)));
}

#[test]
fn with_a_ratio_slow_calls_count_in_the_window_and_nowhere_else() {
    let slow = (false, 2 * SECOND);
    let opened = opened_by(&mut with_window(Some(0.8)), &[slow; 10]);
    assert_eq!(opened, Some((10, Cause::SlowRatio)));
    let mut breaker = with_window(Some(0.8));
    breaker.config.failures = nonzero(3);
    let calls: Vec<_> = (0..90)
        .map(|n| if n % 4 == 0 { (false, QUICK) } else { slow })
        .collect();
    assert_eq!(opened_by(&mut breaker, &calls), None);
}

#[test]
fn a_window_begins_anew_with_every_closing() {
    let mut breaker = with_window(None);
    assert_eq!(
        opened_by(&mut breaker, &[(true, QUICK); 10]),
        Some((10, Cause::FailureRatio))
    );
    let now = Instant::now() + 45 * SECOND;
    succeed(&mut breaker, now, QUICK);
    assert_eq!(breaker.state(), State::Closed { failures: 0 });
    // Ten failures are still younger than a minute, but of another circuit.
    for _ in 0..9 {
        fail(&mut breaker, now);
    }
    assert_eq!(breaker.state(), State::Closed { failures: 9 });
}

#[test]
fn calls_that_say_nothing_are_no_calls_of_the_window() {
    let mut breaker = with_window(None);
    let now = Instant::now();
    for _ in 0..5 {
        fail(&mut breaker, now);
    }
    for _ in 0..100 {
        let generation = admitted(&mut breaker, now);
        breaker.apply(Event::GiveBack { generation }, now);
    }
    assert_eq!(breaker.state(), State::Closed { failures: 5 });
}

#[test]
fn restored_failures_stay_below_the_limit() {
    let state = State::Closed { failures: 7 };
    let breaker = Breaker::restored(BreakerConfig::default(), 0, state, 0);
    assert_eq!(breaker.state(), State::Closed { failures: 2 });
}

#[test]
fn an_absurd_cooldown_does_not_overflow() {
    let config = BreakerConfig {
        cooldown: Duration::MAX,
        cooldown_max: Some(Duration::MAX),
        jitter: 1.0,
        ..BreakerConfig::default()
    };
    let start = Instant::now();
    let mut breaker = Breaker::new(config, 0);
    for _ in 0..3 {
        fail(&mut breaker, start);
    }
    let reply = breaker.apply(Event::Acquire, start + 3600 * SECOND).reply;
    assert!(matches!(reply, Reply::Refused(Refusal::Open { .. })));
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Acquire,
    /// Ends one of the calls that are under way, told by an index that wraps around.
    End(usize, End, bool),
    Pass(u64),
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    GiveBack,
    Succeed,
    Fail,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let end = prop_oneof![Just(End::GiveBack), Just(End::Succeed), Just(End::Fail)];
    let act = prop_oneof![
        8 => Just(Act::Acquire),
        8 => (any::<usize>(), end, proptest::bool::weighted(0.2))
            .prop_map(|(which, end, slow)| Act::End(which, end, slow)),
        3 => (0_u64..40_000).prop_map(Act::Pass),
        1 => Just(Act::Reset),
    ];
    proptest::collection::vec(act, 0..200)
}

fn windows() -> impl Strategy<Value = Option<WindowConfig>> {
    let ratio = || proptest::option::of(0.05_f64..=1.0);
    let window = (1_u64..120_000, 1_u32..20, ratio(), ratio());
    let window =
        window.prop_map(
            |(length_ms, min_calls, failure_ratio, slow_ratio)| WindowConfig {
                length: Duration::from_millis(length_ms),
                min_calls: nonzero(min_calls),
                failure_ratio,
                slow_ratio,
            },
        );
    proptest::option::of(window)
}

proptest! {
    #[test]
    fn random_sequences_keep_the_invariants(
        acts in acts(),
        failures in 1_u32..5,
        half_open in 1_u32..4,
        window in windows(),
        slow_calls: bool,
        doubling: bool,
        jitter in 0.0_f64..=1.0,
        seed: u64,
    ) {
        let config = BreakerConfig {
            failures: nonzero(failures),
            half_open: nonzero(half_open),
            window,
            slow_call: slow_calls.then_some(SECOND),
            cooldown_max: doubling.then_some(300 * SECOND),
            jitter,
            ..BreakerConfig::default()
        };
        let slow_fails = slow_calls && window.is_none_or(|window| window.slow_ratio.is_none());
        let mut now = Instant::now();
        let mut breaker = Breaker::new(config, seed);
        let mut calls: Vec<u64> = Vec::new();
        // The model: failures in a row within the current closed generation.
        let mut in_a_row = 0;

        for act in acts {
            let before = (breaker.state().circuit(), breaker.generation());
            let event = match act {
                Act::Pass(ms) => {
                    now += Duration::from_millis(ms);
                    Event::Look
                }
                Act::Acquire => Event::Acquire,
                Act::Reset => Event::Reset,
                Act::End(..) if calls.is_empty() => Event::Look,
                Act::End(which, end, slow) => {
                    let generation = calls.swap_remove(which % calls.len());
                    let took = if slow { 2 * SECOND } else { QUICK };
                    match end {
                        End::GiveBack => Event::GiveBack { generation },
                        End::Succeed => Event::Succeed { generation, took },
                        End::Fail => Event::Fail { generation, took },
                    }
                }
            };
            let outcome = breaker.apply(event, now);
            if let Reply::Admitted { generation } = outcome.reply {
                prop_assert_eq!(generation, breaker.generation());
                calls.push(generation);
            }
            // Only legal transitions, in a row, each with a generation of its own.
            let mut at = before;
            for step in &outcome.steps {
                use CircuitState::{Closed, HalfOpen, Open};
                let legal = match step.cause {
                    Cause::Failures => (Closed, Open),
                    Cause::FailureRatio if window.is_some_and(|it| it.failure_ratio.is_some()) => {
                        (Closed, Open)
                    }
                    Cause::SlowRatio if window.is_some_and(|it| it.slow_ratio.is_some()) => {
                        (Closed, Open)
                    }
                    Cause::CooldownOver => (Open, HalfOpen),
                    Cause::ProbeFailed => (HalfOpen, Open),
                    Cause::ProbeSucceeded => (HalfOpen, Closed),
                    Cause::Forced => (step.from, Closed),
                    other => panic!("a breaker never tells {other:?}"),
                };
                prop_assert_eq!((step.from, step.to), legal);
                prop_assert_eq!((step.from, step.generation), (at.0, at.1 + 1));
                at = (step.to, step.generation);
            }
            prop_assert_eq!(at.0, breaker.state().circuit());
            prop_assert!(breaker.generation() >= at.1);
            // A verdict of an older generation changes nothing but the time.
            if outcome.reply == Reply::Stale {
                prop_assert!(outcome.steps.iter().all(|step| step.cause == Cause::CooldownOver));
            }
            // The model counts what the breaker should.
            let failed = match event {
                Event::Fail { generation, .. } if generation == before.1 => Some(true),
                Event::Succeed { generation, took } if generation == before.1 => {
                    Some(slow_fails && took > SECOND)
                }
                _ => None,
            };
            match failed.filter(|_| before.0 == CircuitState::Closed) {
                Some(true) => in_a_row += 1,
                Some(false) => in_a_row = 0,
                None => {}
            }
            // In a row, nothing opens the circuit later or earlier than it should.
            if in_a_row >= failures {
                let cause = outcome.steps.last().map(|step| step.cause);
                prop_assert_eq!(cause, Some(Cause::Failures));
            }
            if breaker.generation() != before.1 {
                in_a_row = 0;
            }
            match breaker.state() {
                State::Closed { failures: counted } => {
                    prop_assert_eq!(counted, in_a_row);
                    prop_assert!(counted < failures);
                }
                State::HalfOpen { in_flight, successes } => {
                    let under_way = calls.iter().filter(|&&call| call == breaker.generation()).count();
                    prop_assert_eq!(usize::try_from(in_flight).unwrap(), under_way);
                    prop_assert!(in_flight + successes <= half_open);
                }
                State::Open { until } => prop_assert!(until > now),
            }
        }

        // Whoever is still under way gives up: nothing stays taken.
        for generation in calls {
            breaker.apply(Event::GiveBack { generation }, now);
        }
        if let State::HalfOpen { in_flight, .. } = breaker.state() {
            prop_assert_eq!(in_flight, 0);
        }
        // Never stuck: a healthy provider is closed after one cooldown and `half_open` calls.
        now += breaker.config().cooldown_longest();
        for _ in 0..half_open {
            succeed(&mut breaker, now, QUICK);
        }
        prop_assert_eq!(breaker.state(), State::Closed { failures: 0 });
    }
}
