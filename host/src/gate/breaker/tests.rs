use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

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
    breaker.apply(Event::Fail { generation }, now);
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
        breaker.apply(Event::Succeed { generation }, now);
    }
    assert_eq!(breaker.state(), State::Closed { failures: 0 });
}

#[test]
fn every_cooldown_is_the_same_unless_doubling_is_asked_for() {
    let mut breaker = Breaker::new(BreakerConfig::default(), 1);
    assert_eq!(cooldowns(&mut breaker, Instant::now(), 5), [30 * SECOND; 5]);
}

#[test]
fn doubled_cooldowns_grow_to_their_maximum_less_a_fifth_at_most() {
    let config = BreakerConfig {
        cooldown_max: Some(300 * SECOND),
        ..BreakerConfig::default()
    };
    let run = |seed| cooldowns(&mut Breaker::new(config.clone(), seed), Instant::now(), 40);
    let lengths = run(7);
    for (n, length) in lengths.iter().enumerate() {
        let whole = 30.0 * 2_f64.powi(i32::try_from(n).unwrap());
        let whole = Duration::from_secs_f64(whole.min(300.0));
        let least = if n == 0 { whole } else { whole * 4 / 5 };
        assert!(
            (least..=whole).contains(length),
            "cooldown {n} is {length:?}, not {least:?} to {whole:?}"
        );
    }
    assert_eq!(lengths, run(7), "the same seed gives the same cooldowns");
    assert_ne!(lengths, run(8), "another seed gives others");
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
    let generation = admitted(&mut breaker, now);
    breaker.apply(Event::Succeed { generation }, now);
    assert_eq!(cooldowns(&mut breaker, now, 1), [30 * SECOND]);
}

#[test]
fn a_doubled_cooldown_is_never_shorter_than_the_first() {
    let config = BreakerConfig {
        cooldown_max: Some(31 * SECOND),
        ..BreakerConfig::default()
    };
    for seed in 0..20 {
        let mut breaker = Breaker::new(config.clone(), seed);
        for length in cooldowns(&mut breaker, Instant::now(), 5) {
            assert!((30 * SECOND..=31 * SECOND).contains(&length), "{length:?}");
        }
    }
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
    End(usize, End),
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
        8 => (any::<usize>(), end).prop_map(|(which, end)| Act::End(which, end)),
        3 => (0_u64..40_000).prop_map(Act::Pass),
        1 => Just(Act::Reset),
    ];
    proptest::collection::vec(act, 0..200)
}

proptest! {
    #[test]
    fn random_sequences_keep_the_invariants(
        acts in acts(),
        failures in 1_u32..5,
        half_open in 1_u32..4,
        doubling: bool,
        seed: u64,
    ) {
        let config = BreakerConfig {
            failures: nonzero(failures),
            half_open: nonzero(half_open),
            cooldown_max: doubling.then_some(300 * SECOND),
            ..BreakerConfig::default()
        };
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
                Act::End(which, end) => {
                    let generation = calls.swap_remove(which % calls.len());
                    match end {
                        End::GiveBack => Event::GiveBack { generation },
                        End::Succeed => Event::Succeed { generation },
                        End::Fail => Event::Fail { generation },
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
            match event {
                Event::Fail { generation } if generation == before.1 && before.0 == CircuitState::Closed => in_a_row += 1,
                Event::Succeed { generation } if generation == before.1 => in_a_row = 0,
                _ => {}
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
            let generation = admitted(&mut breaker, now);
            breaker.apply(Event::Succeed { generation }, now);
        }
        prop_assert_eq!(breaker.state(), State::Closed { failures: 0 });
    }
}
