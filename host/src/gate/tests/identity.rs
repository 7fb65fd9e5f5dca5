//! Which network a provider serves must be known before it gets work.

use super::*;

fn checked() -> (Gate, Arc<ManualClock>) {
    gate_with(GateConfig {
        identity: true,
        ..GateConfig::default()
    })
}

fn identity(gate: &Gate) -> Permit {
    match gate.ask(Call::Identity) {
        Answer::Pass(permit) => permit,
        refused => panic!("the identity's question did not pass: {refused:?}"),
    }
}

#[track_caller]
fn refused(gate: &Gate, call: Call, expected: Why) {
    assert_eq!(gate.ask(call).why(), Some(expected));
}

#[test]
fn no_work_passes_before_the_identity_is_known() {
    let (gate, clock) = checked();
    refused(&gate, Call::Work, Why::IdentityPending);
    assert_eq!(gate.earliest_opening(), Some(clock.now()));
    identity(&gate).record(Verdict::Success);
    drop(work(&gate));
}

#[test]
fn an_unanswered_identity_is_an_ordinary_fault() {
    let (gate, clock) = checked();
    for _ in 0..3 {
        identity(&gate).record(verdict(Class::Timeout));
        assert_eq!(gate.ask(Call::Work).pass().map(drop), None);
    }
    refused(&gate, Call::Identity, Why::CircuitOpen);
    assert_eq!(gate.earliest_opening(), Some(clock.now() + 30 * SECOND));
    clock.advance(30 * SECOND);
    refused(&gate, Call::Work, Why::IdentityPending);
    identity(&gate).record(Verdict::Success);
    assert_eq!(gate.snapshot().state, GateState::Closed);
    drop(work(&gate));
}

#[test]
fn the_question_is_asked_once_at_a_time() {
    let (gate, _clock) = checked();
    let asked = identity(&gate);
    refused(&gate, Call::Identity, Why::IdentityPending);
    assert_eq!(gate.earliest_opening(), None);
    let changed = gate.changed();
    drop(asked);
    assert!(changed.has_changed().unwrap());
    let asked = identity(&gate);
    asked.record(verdict(Class::Unsupported));
    refused(&gate, Call::Work, Why::IdentityPending);
    drop(identity(&gate));
}

#[test]
fn the_identity_is_asked_again_after_every_re_opening() {
    let (gate, clock) = checked();
    identity(&gate).record(Verdict::Success);
    open(&gate);
    clock.advance(30 * SECOND);
    refused(&gate, Call::Work, Why::IdentityPending);
    identity(&gate).record(Verdict::Success);
    drop(work(&gate));

    gate.force(ForcedState::Open, "maintenance", Some(SECOND));
    clock.advance(SECOND);
    refused(&gate, Call::Work, Why::IdentityPending);
    identity(&gate).record(Verdict::Success);
    drop(work(&gate));
}

#[test]
fn an_answer_from_before_the_outage_does_not_count() {
    let (gate, clock) = checked();
    identity(&gate).record(Verdict::Success);
    let old = identity(&gate);
    open(&gate);
    clock.advance(30 * SECOND);
    let new = identity(&gate);
    old.record(Verdict::Success);
    refused(&gate, Call::Work, Why::IdentityPending);
    refused(&gate, Call::Identity, Why::IdentityPending);
    new.record(Verdict::Success);
    drop(work(&gate));
}

#[test]
fn another_network_is_held_for_an_hour_and_one_new_look() {
    let (gate, clock) = checked();
    for _ in 0..3 {
        identity(&gate).record(verdict(Class::WrongChain));
        refused(&gate, Call::Work, Why::HeldWrongChain);
        refused(&gate, Call::Identity, Why::HeldWrongChain);
        assert_eq!(gate.earliest_opening(), Some(clock.now() + HOUR));
        clock.advance(HOUR);
        refused(&gate, Call::Work, Why::IdentityPending);
    }
    let look = identity(&gate);
    refused(&gate, Call::Identity, Why::IdentityPending);
    look.record(Verdict::Success);
    drop(work(&gate));
}

#[test]
fn a_released_hold_asks_before_it_works() {
    let (gate, _clock) = checked();
    identity(&gate).record(verdict(Class::WrongChain));
    assert!(gate.release());
    refused(&gate, Call::Work, Why::IdentityPending);
    identity(&gate).record(Verdict::Success);
    drop(work(&gate));
}

#[test]
fn a_hold_found_by_work_is_known_to_all_calls_under_way() {
    let (gate, _clock) = checked();
    identity(&gate).record(Verdict::Success);
    let (first, second) = (work(&gate), work(&gate));
    first.record(verdict(Class::WrongChain));
    second.record(Verdict::Success);
    refused(&gate, Call::Work, Why::HeldWrongChain);
}
