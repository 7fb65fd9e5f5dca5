//! Random sequences over the whole gate: nothing leaks, nothing sticks, events tell the truth.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Ask(bool),
    /// Ends one of the calls that are under way, told by an index that wraps around.
    End(usize, Option<Verdict>, bool),
    Pass(u64),
    Force(ForcedState, Option<u64>),
    Release,
    Restart(bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let wait = || proptest::option::of(0_u64..10_000).prop_map(|ms| ms.map(Duration::from_millis));
    let verdict = prop_oneof![
        4 => Just(None),
        12 => Just(Some(Verdict::Success)),
        12 => Just(Some(verdict(Class::Timeout))),
        4 => Just(Some(verdict(Class::Missing))),
        3 => wait().prop_map(|wait| Some(Verdict::of(Class::RateLimited, "", None, wait))),
        1 => Just(Some(verdict(Class::WrongChain))),
        1 => Just(Some(verdict(Class::Unauthorized))),
        1 => Just(Some(verdict(Class::Quota))),
        2 => Just(Some(verdict(Class::PluginFault))),
    ];
    let act = prop_oneof![
        20 => proptest::bool::weighted(0.2).prop_map(Act::Ask),
        20 => (any::<usize>(), verdict, proptest::bool::weighted(0.8))
            .prop_map(|(which, verdict, slow)| Act::End(which, verdict, slow)),
        8 => (0_u64..40_000).prop_map(Act::Pass),
        1 => (0_u64..8_000_000).prop_map(Act::Pass),
        1 => (0_usize..3, proptest::option::of(0_u64..60_000))
            .prop_map(|(which, ms)| Act::Force(ForcedState::ALL[which], ms)),
        1 => Just(Act::Release),
        1 => any::<bool>().prop_map(Act::Restart),
    ];
    proptest::collection::vec(act, 0..150)
}

fn breakers() -> impl Strategy<Value = BreakerConfig> {
    let some = proptest::option::of::<Just<()>>;
    let ratio = || proptest::option::of(0.1_f64..=1.0);
    let window = (1_u64..120, 1_u32..12, ratio(), ratio());
    let window = window.prop_map(
        |(secs, min_calls, failure_ratio, slow_ratio)| WindowConfig {
            length: Duration::from_secs(secs),
            min_calls: NonZeroU32::new(min_calls).unwrap(),
            failure_ratio,
            slow_ratio,
        },
    );
    let parts = (
        (1_u32..5, 1_u32..4),
        proptest::option::of(window),
        some(Just(())),
        some(Just(())),
        0.0_f64..=0.5,
    );
    parts.prop_map(
        |((failures, half_open), window, slow, doubles, jitter)| BreakerConfig {
            failures: NonZeroU32::new(failures).unwrap(),
            half_open: NonZeroU32::new(half_open).unwrap(),
            window,
            slow_call: slow.map(|()| SECOND),
            cooldown_max: doubles.map(|()| 120 * SECOND),
            jitter,
            ..BreakerConfig::default()
        },
    )
}

proptest! {
    #[test]
    fn the_default_gate_opens_exactly_at_the_third_failure_in_a_row(
        verdicts in proptest::collection::vec(0_u8..4, 0..60),
    ) {
        let (gate, clock) = gate();
        let mut in_a_row = 0;
        for verdict_ in verdicts {
            clock.advance(Duration::from_millis(10));
            let call = work(&gate);
            match verdict_ {
                0 => {
                    call.record(Verdict::Success);
                    in_a_row = 0;
                }
                1 => drop(call),
                2 => call.record(verdict(Class::Refused)),
                _ => {
                    call.record(verdict(Class::Timeout));
                    in_a_row += 1;
                }
            }
            let opened = gate.snapshot().state == GateState::Open;
            prop_assert_eq!(opened, in_a_row == 3);
            if opened {
                break;
            }
        }
    }

    #[test]
    fn random_sequences_keep_the_gate_s_promises(
        acts in acts(),
        breaker in breakers(),
        identity: bool,
    ) {
        let half_open = breaker.half_open.get();
        let cooldown_longest = breaker.cooldown_longest();
        let config = GateConfig {
            breaker,
            identity,
            ..GateConfig::default()
        };
        let (mut gate, clock) = gate_with(config.clone());
        let mut calls: Vec<Permit> = Vec::new();
        let mut told = GateState::Closed;
        let mut generation = 0;
        let mut probes = 0;

        for act in acts {
            match act {
                Act::Ask(about_identity) => {
                    let call = if about_identity { Call::Identity } else { Call::Work };
                    let before = gate.snapshot();
                    let opening = gate.earliest_opening();
                    match gate.ask(call) {
                        Answer::Pass(permit) => {
                            prop_assert!(!before.state.is_shut(), "{:?}", before);
                            if call == Call::Work {
                                prop_assert_eq!(before.why, None);
                            }
                            calls.push(permit);
                        }
                        Answer::Wait { until, why } => {
                            prop_assert_eq!(why, Why::RetryAfter);
                            prop_assert!(until > clock.now());
                            prop_assert_eq!(opening, Some(until));
                        }
                        Answer::Shut { why, until } => {
                            prop_assert_ne!(why, Why::RetryAfter);
                            prop_assert!(until.is_none_or(|until| until > clock.now()));
                            if until.is_some() {
                                prop_assert_eq!(opening, until);
                            }
                        }
                    }
                }
                Act::End(..) if calls.is_empty() => {}
                Act::End(which, verdict, at_once) => {
                    let permit = calls.swap_remove(which % calls.len());
                    match verdict {
                        Some(verdict) if at_once => permit.record_after(verdict, Duration::ZERO),
                        Some(verdict) => permit.record(verdict),
                        None => drop(permit),
                    }
                }
                Act::Pass(ms) => clock.advance(Duration::from_millis(ms)),
                Act::Force(state, ms) => gate.force(state, "", ms.map(Duration::from_millis)),
                Act::Release => {
                    gate.release();
                    let state = gate.snapshot().state;
                    let breaker = GateState::from(gate.snapshot().breaker);
                    prop_assert_eq!(state, breaker);
                }
                Act::Restart(mended) => {
                    let stored = gate.persisted();
                    let fingerprint = if mended { "f2" } else { "f1" };
                    // The old gate's calls end on the old gate.
                    calls.clear();
                    for transition in gate.take_transitions() {
                        prop_assert_eq!(transition.from, told);
                        told = transition.to;
                    }
                    let config = config.clone();
                    gate = Gate::restore(&stored, key(), config, fingerprint, clock.clone(), 1);
                    told = told_after_restart(&gate);
                    generation = gate.snapshot().generation;
                    probes = 0;
                }
            }

            let snapshot = gate.snapshot();
            for transition in gate.take_transitions() {
                prop_assert_eq!(transition.from, told);
                prop_assert_ne!(transition.from, transition.to);
                prop_assert!(transition.at <= clock.unix_ms());
                told = transition.to;
            }
            prop_assert_eq!(told, snapshot.state);
            prop_assert!(snapshot.generation >= generation);
            generation = snapshot.generation;
            prop_assert_eq!(usize::try_from(snapshot.in_flight).unwrap(), calls.len());
            prop_assert_eq!(snapshot.status == HealthStatus::Down, snapshot.state.is_shut());
            probes = probes.max(gate.with(|machine, _| match machine.breaker().state() {
                breaker::State::HalfOpen { in_flight, successes } => in_flight + successes,
                breaker::State::Closed { .. } | breaker::State::Open { .. } => 0,
            }));
            prop_assert!(probes <= half_open);
            let totals = snapshot.totals;
            let ended = totals.successes + totals.failures + totals.neutral + totals.rate_limited
                + totals.holds + totals.plugin_faults + totals.given_back;
            prop_assert_eq!(totals.passed, ended + u64::from(snapshot.in_flight));
        }

        calls.clear();
        prop_assert_eq!(gate.snapshot().in_flight, 0);

        // Never stuck: released, out of its pause and after one cooldown, a healthy provider works.
        gate.release();
        while let Some(until) = gate.with(|machine, now| {
            machine.refusal(Call::Identity, now.at).filter(|it| it.why == Why::RetryAfter)
        }) {
            let until = until.until.expect("a pause has an end");
            clock.advance((until - clock.now()).max(Duration::from_millis(1)));
        }
        clock.advance(cooldown_longest);
        if identity && gate.snapshot().why == Some(Why::IdentityPending) {
            let question = gate.ask(Call::Identity).pass();
            question.expect("the question passes").record(Verdict::Success);
        }
        for _ in 0..half_open {
            work(&gate).record(Verdict::Success);
        }
        prop_assert_eq!(gate.snapshot().state, GateState::Closed);
        prop_assert_eq!(gate.health().status, HealthStatus::Healthy);
        drop(work(&gate));
    }
}

/// Where a restored gate stands once what ended while it was down has been told.
fn told_after_restart(gate: &Gate) -> GateState {
    let mut told = None;
    for transition in gate.take_transitions() {
        assert!(told.is_none_or(|told| told == transition.from));
        told = Some(transition.to);
    }
    told.unwrap_or_else(|| gate.snapshot().state)
}
