//! What survives a restart, and what a mended configuration leaves behind.

use super::*;

/// The gate after a restart that took `down`, read back from JSON as the store has it.
fn restarted(gate: &Gate, down: Duration, fingerprint: &str) -> (Gate, Arc<ManualClock>) {
    let stored = serde_json::to_string(&gate.persisted()).unwrap();
    let stored = serde_json::from_str(&stored).unwrap();
    let clock = ManualClock::new();
    let ran = u64::try_from(gate.shared.clock.unix_ms() - START_MS).unwrap();
    clock.advance(Duration::from_millis(ran) + down);
    let config = GateConfig::default();
    let gate = Gate::restore(&stored, key(), config, fingerprint, clock.clone(), 1);
    (gate, clock)
}

#[test]
fn a_closed_circuit_keeps_its_failures() {
    let (gate, _clock) = gate();
    fail(&gate);
    fail(&gate);
    let (gate, _clock) = restarted(&gate, SECOND, "f1");
    assert_eq!(gate.health().consecutive_fails, 2);
    assert_eq!(gate.health().status, HealthStatus::Degraded);
    fail(&gate);
    assert_eq!(gate.snapshot().state, GateState::Open);
}

#[test]
fn an_open_circuit_stays_open_until_its_deadline() {
    let (gate, _clock) = gate();
    open(&gate);
    let (gate, clock) = restarted(&gate, 10 * SECOND, "f1");
    assert_eq!(gate.snapshot().state, GateState::Open);
    assert_eq!(gate.take_transitions(), []);
    assert_eq!(gate.earliest_opening(), Some(clock.now() + 20 * SECOND));
    clock.advance(20 * SECOND);
    work(&gate).record(Verdict::Success);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[test]
fn an_open_circuit_whose_time_is_over_probes_at_once() {
    let (gate, _clock) = gate();
    open(&gate);
    let (gate, _clock) = restarted(&gate, HOUR, "f1");
    assert_eq!(gate.snapshot().state, GateState::HalfOpen);
    let transitions = gate.take_transitions();
    assert_eq!(transitions.len(), 1);
    assert_eq!(transitions[0].why, Cause::CooldownOver);
}

#[test]
fn a_half_open_circuit_forgets_its_dead_probe() {
    let (gate, clock) = gate();
    open(&gate);
    clock.advance(30 * SECOND);
    let _dead = work(&gate);
    let (gate, _clock) = restarted(&gate, Duration::ZERO, "f1");
    let probe = work(&gate);
    assert_eq!(gate.ask(Call::Work).why(), Some(Why::HalfOpenBusy));
    probe.record(Verdict::Success);
    assert_eq!(gate.snapshot().state, GateState::Closed);
}

#[test]
fn a_hold_ends_when_it_would_have() {
    let (gate, _clock) = gate();
    work(&gate).record(verdict(Class::Unauthorized));
    let (gate, clock) = restarted(&gate, HOUR / 2, "f1");
    assert_eq!(gate.ask(Call::Work).why(), Some(Why::HeldUnauthorized));
    assert_eq!(gate.health().status, HealthStatus::Down);
    assert_eq!(gate.snapshot().hold.unwrap().message, "words");
    assert_eq!(gate.earliest_opening(), Some(clock.now() + HOUR / 2));
}

#[test]
fn a_requested_pause_is_kept() {
    let (gate, _clock) = gate();
    let wait = Some(60 * SECOND);
    work(&gate).record(Verdict::of(Class::RateLimited, "", Some(429), wait));
    let (gate, clock) = restarted(&gate, 10 * SECOND, "f1");
    assert_eq!(gate.earliest_opening(), Some(clock.now() + 50 * SECOND));
}

#[test]
fn a_forced_state_survives_with_reason_and_expiry() {
    for state in ForcedState::ALL {
        let (gate, _clock) = gate();
        gate.force(*state, "maintenance", Some(7 * 24 * HOUR));
        let (gate, clock) = restarted(&gate, 24 * HOUR, "f1");
        let forced = gate.snapshot().forced.unwrap();
        assert_eq!(
            (forced.state, forced.reason.as_str()),
            (*state, "maintenance")
        );
        clock.advance(6 * 24 * HOUR);
        assert_eq!(gate.snapshot().forced, None);
        assert_eq!(gate.snapshot().state, GateState::Closed);
    }
}

#[test]
fn a_mended_configuration_starts_clean_and_keeps_the_history() {
    let (gate, clock) = gate();
    work(&gate).record(Verdict::Success);
    let (refused, limited) = (work(&gate), work(&gate));
    clock.advance(SECOND);
    open(&gate);
    refused.record(verdict(Class::Unauthorized));
    limited.record(verdict(Class::RateLimited));
    assert_eq!(gate.snapshot().state, GateState::Held);

    let (gate, _clock) = restarted(&gate, SECOND, "f2");
    let row = gate.health();
    assert_eq!(row.status, HealthStatus::Healthy);
    assert_eq!(row.circuit_state, CircuitState::Closed);
    assert_eq!(row.last_success, Some(START_MS));
    assert_eq!(row.last_error, Some(START_MS + 1000));
    assert_eq!(row.last_error_msg.as_deref(), Some("unauthorized: words"));
    drop(work(&gate));
    assert_eq!(gate.persisted().fingerprint, "f2");
}

#[test]
fn an_operator_s_word_outlives_a_mended_configuration() {
    let (gate, _clock) = gate();
    gate.force(ForcedState::Open, "maintenance", None);
    let (gate, _clock) = restarted(&gate, SECOND, "f2");
    assert_eq!(gate.ask(Call::Work).why(), Some(Why::ForcedOpen));
}

#[test]
fn a_clock_that_jumped_shuts_nobody_out() {
    let (gate, clock) = gate();
    open(&gate);
    let mut stored = gate.persisted();
    let next_year = clock.unix_ms() + 365 * 24 * 3600 * 1000;
    stored.breaker.open_until = Some(next_year);
    stored.not_before = Some(next_year);
    stored.hold = Some(PersistedHold {
        reason: HoldReason::WrongChain,
        message: String::new(),
        until: next_year,
    });
    let clock = ManualClock::new();
    let restore = |stored: &Persisted| {
        Gate::restore(stored, key(), GateConfig::default(), "f1", clock.clone(), 1)
    };
    assert_eq!(
        restore(&stored).earliest_opening(),
        Some(clock.now() + HOUR)
    );
    stored.hold = None;
    stored.not_before = None;
    assert_eq!(
        restore(&stored).earliest_opening(),
        Some(clock.now() + 30 * SECOND)
    );
    // Extremes of what a damaged row can say.
    stored.not_before = Some(i64::MAX);
    stored.breaker.open_until = Some(i64::MIN);
    stored.breaker.openings = u32::MAX;
    assert_eq!(
        restore(&stored).earliest_opening(),
        Some(clock.now() + HOUR)
    );
}

#[test]
fn a_lowered_threshold_opens_at_the_next_failure_and_not_by_itself() {
    let (gate, _clock) = gate();
    fail(&gate);
    fail(&gate);
    let config = GateConfig {
        breaker: BreakerConfig {
            failures: NonZeroU32::MIN,
            ..BreakerConfig::default()
        },
        ..GateConfig::default()
    };
    let clock = ManualClock::new();
    let gate = Gate::restore(&gate.persisted(), key(), config, "f1", clock, 1);
    assert_eq!(gate.snapshot().state, GateState::Closed);
    fail(&gate);
    assert_eq!(gate.snapshot().state, GateState::Open);
}

#[test]
fn a_new_key_is_not_held_for_the_old_one() {
    let gate = |credential: &str| {
        let clock = ManualClock::new();
        let config = GateConfig {
            credential: credential.to_owned(),
            ..GateConfig::default()
        };
        (config, clock)
    };
    for (reason, ends) in [
        (HoldReason::Unauthorized, true),
        (HoldReason::Quota, true),
        (HoldReason::WrongChain, false),
        (HoldReason::Mismatch, false),
    ] {
        let (config, clock) = gate("old");
        let held = Gate::new(key(), config, "f", clock.clone(), 1);
        held.hold(reason, None, "scripted");
        let stored = held.persisted();
        let why = |credential: &str| {
            let (config, _) = gate(credential);
            let gate = Gate::restore(&stored, key(), config, "f", clock.clone(), 1);
            gate.snapshot().why
        };
        assert_eq!(why("old"), Some(reason.why()));
        assert_eq!(why("new").is_none(), ends, "{reason:?}");
    }
}
