//! Random sequences over the whole gate: nothing leaks, nothing sticks, events tell the truth.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Ask(bool),
    /// Ends one of the calls that are under way, told by an index that wraps around.
    End(usize, Option<Verdict>),
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
        20 => (any::<usize>(), verdict).prop_map(|(which, verdict)| Act::End(which, verdict)),
        8 => (0_u64..40_000).prop_map(Act::Pass),
        1 => (0_u64..8_000_000).prop_map(Act::Pass),
        1 => (0_usize..3, proptest::option::of(0_u64..60_000))
            .prop_map(|(which, ms)| Act::Force(ForcedState::ALL[which], ms)),
        1 => Just(Act::Release),
        1 => any::<bool>().prop_map(Act::Restart),
    ];
    proptest::collection::vec(act, 0..150)
}

proptest! {
    #[test]
    fn random_sequences_keep_the_gate_s_promises(
        acts in acts(),
        half_open in 1_u32..4,
        identity: bool,
    ) {
        let config = GateConfig {
            breaker: BreakerConfig {
                half_open: NonZeroU32::new(half_open).unwrap(),
                cooldown_max: Some(120 * SECOND),
                ..BreakerConfig::default()
            },
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
                Act::End(which, verdict) => {
                    let permit = calls.swap_remove(which % calls.len());
                    match verdict {
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

        // Never stuck: released and past every pause, a healthy provider works again.
        gate.release();
        clock.advance(HOUR);
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
