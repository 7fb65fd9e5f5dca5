//! Every interleaving of two or three threads over the real gate, found by a model checker.
//!
//! Only the lock and the counting of references are the checker's own; deciding, permits and
//! verdicts are the code that runs. Started by
//! `cargo nextest run -p scanhost --lib --features loom gate::tests::model`.

use loom::thread;

use super::*;

/// Runs `check` once per interleaving in which at most three times a thread is stopped where it
/// could have gone on: enough for every bug of two parties that is known, and done in seconds.
fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

/// A gate that one failure opens, closed.
fn touchy() -> (Gate, Arc<ManualClock>) {
    gate_with(GateConfig {
        breaker: BreakerConfig {
            failures: NonZeroU32::MIN,
            ..BreakerConfig::default()
        },
        ..GateConfig::default()
    })
}

/// The same, with its cooldown over.
fn probing() -> (Gate, Arc<ManualClock>) {
    let (gate, clock) = touchy();
    fail(&gate);
    clock.advance(30 * SECOND);
    (gate, clock)
}

/// The transitions, which are in order and without a gap.
#[track_caller]
fn in_order(transitions: &[Transition], from: GateState) -> GateState {
    let mut state = from;
    for (seq, transition) in (1..).zip(transitions) {
        assert_eq!((transition.seq, transition.from), (seq, state));
        state = transition.to;
    }
    state
}

#[test]
fn exactly_one_probe_passes() {
    model(|| {
        let (gate, _clock) = probing();
        let ask = || {
            let gate = gate.clone();
            thread::spawn(move || gate.ask(Call::Work).pass())
        };
        let others = [ask(), ask()];
        let mine = gate.ask(Call::Work).pass();
        let others = others.map(|other| other.join().unwrap());
        let mut passed: Vec<_> = others.into_iter().chain([mine]).flatten().collect();
        assert_eq!(passed.len(), 1);
        assert_eq!(gate.snapshot().in_flight, 1);
        passed.pop().unwrap().record(Verdict::Success);
        assert_eq!(gate.snapshot().state, GateState::Closed);
    });
}

#[test]
fn a_dropped_permit_leaks_nothing() {
    model(|| {
        let (gate, _clock) = probing();
        let probe = || {
            let gate = gate.clone();
            thread::spawn(move || drop(gate.ask(Call::Work)))
        };
        let others = [probe(), probe()];
        drop(gate.ask(Call::Work));
        for other in others {
            other.join().unwrap();
        }
        let snapshot = gate.snapshot();
        assert_eq!(
            (snapshot.state, snapshot.in_flight),
            (GateState::HalfOpen, 0)
        );
        work(&gate).record(Verdict::Success);
        assert_eq!(gate.snapshot().state, GateState::Closed);
    });
}

#[test]
fn who_is_refused_because_of_a_probe_hears_of_its_end() {
    model(|| {
        let (gate, _clock) = probing();
        let probe = work(&gate);
        let waiting = gate.clone();
        let waiter = thread::spawn(move || {
            let changed = waiting.changed();
            match waiting.ask(Call::Work) {
                Answer::Pass(permit) => {
                    drop(permit);
                    None
                }
                Answer::Wait { .. } | Answer::Shut { .. } => Some(changed),
            }
        });
        drop(probe);
        if let Some(changed) = waiter.join().unwrap() {
            assert!(changed.has_changed().unwrap(), "it would sleep for ever");
        }
        drop(work(&gate));
    });
}

#[test]
fn a_late_verdict_of_an_older_generation_decides_nothing() {
    model(|| {
        let (gate, clock) = touchy();
        let [late, later] = [work(&gate), work(&gate)];
        fail(&gate);
        clock.advance(30 * SECOND);
        let probe = work(&gate);
        let late = thread::spawn(move || late.record(verdict(Class::Timeout)));
        let later = thread::spawn(move || later.record(Verdict::Success));
        probe.record(Verdict::Success);
        late.join().unwrap();
        later.join().unwrap();
        let snapshot = gate.snapshot();
        assert_eq!(
            (snapshot.state, snapshot.generation),
            (GateState::Closed, 3)
        );
        assert_eq!((snapshot.in_flight, snapshot.totals.late), (0, 2));
        assert_eq!(snapshot.history.consecutive_fails, 0);
    });
}

#[test]
fn failures_of_one_generation_open_it_once() {
    model(|| {
        let (gate, _clock) = touchy();
        let permits = [work(&gate), work(&gate)];
        let others =
            permits.map(|permit| thread::spawn(move || permit.record(verdict(Class::Timeout))));
        if let Some(permit) = gate.ask(Call::Work).pass() {
            permit.record(Verdict::Success);
        }
        for other in others {
            other.join().unwrap();
        }
        let snapshot = gate.snapshot();
        assert_eq!((snapshot.state, snapshot.generation), (GateState::Open, 1));
        assert_eq!(snapshot.in_flight, 0);
        assert_eq!(gate.take_transitions().len(), 1);
    });
}

#[test]
fn transitions_are_told_in_order() {
    model(|| {
        let (gate, clock) = probing();
        let probing = gate.clone();
        let probe = thread::spawn(move || {
            if let Some(probe) = probing.ask(Call::Work).pass() {
                probe.record(verdict(Class::Timeout));
            }
        });
        let forcing = gate.clone();
        let operator = thread::spawn(move || {
            forcing.force(ForcedState::Open, "maintenance", None);
            forcing.release();
        });
        // Whoever reads them while they happen reads a part, and the rest later.
        let mut told = gate.take_transitions();
        probe.join().unwrap();
        operator.join().unwrap();
        clock.advance(30 * SECOND);
        told.extend(gate.take_transitions());
        assert_eq!(in_order(&told, GateState::Closed), gate.snapshot().state);
        assert_eq!(gate.snapshot().in_flight, 0);
    });
}

#[test]
fn what_a_call_found_before_a_release_does_not_outlive_it() {
    model(|| {
        let (gate, _clock) = touchy();
        let call = work(&gate);
        let finding = thread::spawn(move || call.record(verdict(Class::Unauthorized)));
        gate.release();
        finding.join().unwrap();
        assert_eq!(gate.snapshot().state, GateState::Closed);
        in_order(&gate.take_transitions(), GateState::Closed);
    });
}
