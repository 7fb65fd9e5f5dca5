//! Tables: a string of events, and what the gate says after it.

use std::collections::VecDeque;

use super::*;

/// Cooldown 3 s, threshold 3; the events:
///
/// | | |
/// |---|---|
/// | `.` `x` `n` `d` | a call that succeeds, fails, is neutral, is dropped |
/// | `r` `q` | a call answered "too fast": for 2 s, without a time |
/// | `w` `u` `p` | a call that finds another network, a refused key, a fault of the plugin |
/// | `(` | a call that stays under way; `S` `F` `R` `D` end the oldest of them |
/// | `O` `C` `Z` `L` | an operator forces open, closed, disabled for 5 s, or releases |
/// | `_` | one second |
///
/// A call that does not pass does nothing.
fn run(events: &str) -> Gate {
    let (gate, clock) = gate_with(GateConfig {
        breaker: BreakerConfig {
            cooldown: 3 * SECOND,
            ..BreakerConfig::default()
        },
        ..GateConfig::default()
    });
    let mut under_way = VecDeque::new();
    for event in events.chars() {
        let call = |verdict| {
            if let Some(permit) = gate.ask(Call::Work).pass() {
                permit.record(verdict);
            }
        };
        let limited = |wait| Verdict::of(Class::RateLimited, "", Some(429), wait);
        match event {
            '_' => clock.advance(SECOND),
            '.' => call(Verdict::Success),
            'x' => call(verdict(Class::ServerError)),
            'n' => call(verdict(Class::Refused)),
            'd' => drop(gate.ask(Call::Work)),
            'r' => call(limited(Some(2 * SECOND))),
            'q' => call(limited(None)),
            'w' => call(verdict(Class::WrongChain)),
            'u' => call(verdict(Class::Unauthorized)),
            'p' => call(verdict(Class::PluginFault)),
            '(' => under_way.push_back(work(&gate)),
            'S' => under_way.pop_front().unwrap().record(Verdict::Success),
            'F' => under_way
                .pop_front()
                .unwrap()
                .record(verdict(Class::Timeout)),
            'R' => under_way
                .pop_front()
                .unwrap()
                .record(limited(Some(2 * SECOND))),
            'D' => drop(under_way.pop_front().unwrap()),
            'O' => gate.force(ForcedState::Open, "why not", Some(5 * SECOND)),
            'C' => gate.force(ForcedState::Closed, "why not", Some(5 * SECOND)),
            'Z' => gate.force(ForcedState::Disabled, "why not", Some(5 * SECOND)),
            'L' => drop(gate.release()),
            other => panic!("`{other}` is no event"),
        }
    }
    drop(under_way);
    gate
}

/// `expected`: the state, what a call is told (`pass`, `wait`, `shut`), and why.
#[track_caller]
fn check(events: &str, expected: &str) {
    let gate = run(events);
    let state = gate.snapshot().state.as_str();
    let told = match gate.ask(Call::Work) {
        Answer::Pass(_) => "pass".to_owned(),
        Answer::Wait { why, .. } => format!("wait {}", why.as_str()),
        Answer::Shut { why, .. } => format!("shut {}", why.as_str()),
    };
    assert_eq!(format!("{state} {told}"), expected, "after `{events}`");
    assert_eq!(gate.snapshot().in_flight, 0, "after `{events}`");
}

#[track_caller]
fn status(events: &str, expected: &str) {
    let row = run(events).health();
    assert_eq!(row.status.as_str(), expected, "after `{events}`");
}

#[test]
fn three_failures_in_a_row_open_the_circuit() {
    check("", "closed pass");
    check("xx", "closed pass");
    check("xxx", "open shut circuit_open");
    check("xx.xx", "closed pass");
    check("xx.xxx", "open shut circuit_open");
    check("x_____x_____x", "open shut circuit_open");
}

#[test]
fn one_probe_passes_after_the_cooldown() {
    check("xxx__", "open shut circuit_open");
    check("xxx___", "half_open pass");
    check("xxx___.", "closed pass");
    check("xxx___x", "open shut circuit_open");
    check("xxx___x__", "open shut circuit_open");
    check("xxx___x___", "half_open pass");
    check("xxx___x___.", "closed pass");
    check("xxx___.xx", "closed pass");
    check("xxx___.xxx", "open shut circuit_open");
}

#[test]
fn calls_that_say_nothing_leave_the_breaker_as_it_was() {
    check("nnnnnn", "closed pass");
    check("xxnnddxx", "open shut circuit_open");
    check("xxd", "closed pass");
    check("xxndx", "open shut circuit_open");
    check("xxx___n", "half_open pass");
    check("xxx___d", "half_open pass");
    check("xxx___dnd.", "closed pass");
    check("xxx___ndx", "open shut circuit_open");
}

#[test]
fn a_requested_pause_is_a_wait_and_no_failure() {
    check("r", "closed wait retry_after");
    check("r_", "closed wait retry_after");
    check("r__", "closed pass");
    check("rrrr__", "closed pass");
    check("(rR__", "closed pass");
    check("(r_R_", "closed wait retry_after");
    check("xxr__x", "open shut circuit_open");
    check("xxx___r", "half_open wait retry_after");
    check("xxx___r__", "half_open pass");
    check("xxx___r__.", "closed pass");
    // A pause that ends before the cooldown does not hide the open circuit, a longer one does.
    check("((((FFFR", "open shut circuit_open");
    check("((((FFF__R", "open wait retry_after");
}

#[test]
fn pauses_without_a_time_grow_until_a_success() {
    check("q", "closed wait retry_after");
    check("q_", "closed pass");
    check("q_q_", "closed wait retry_after");
    check("q_q__", "closed pass");
    check("q_q__q___", "closed wait retry_after");
    check("q_q__q____", "closed pass");
    check("q_q__.q_", "closed pass");
}

#[test]
fn late_verdicts_of_an_older_generation_decide_nothing() {
    check("((xxx___F", "half_open pass");
    check("((xxx___S", "half_open pass");
    check("((xxx___.FF", "closed pass");
    check("((xxx___.FFxx", "closed pass");
    check("((xxx___.xxS", "closed pass");
    check("((xxx___.xxSx", "open shut circuit_open");
    check("(xxxS", "open shut circuit_open");
    check("(xxx___(SF", "open shut circuit_open");
    check("(xxx___(DS", "closed pass");
}

#[test]
fn holds_keep_a_provider_out_that_the_breaker_would_let_work() {
    check("w", "held shut held_wrong_chain");
    check("u", "held shut held_unauthorized");
    check("w__________", "held shut held_wrong_chain");
    check("wL", "closed pass");
    check("xxuL", "closed pass");
    check("xxuLx", "open shut circuit_open");
    check("xxx___u", "held shut held_unauthorized");
    check("xxx___uL", "half_open pass");
}

#[test]
fn an_operator_s_word_stands_until_it_ends() {
    check("O", "forced_open shut forced_open");
    check("O____", "forced_open shut forced_open");
    check("O_____", "closed pass");
    check("OL", "closed pass");
    check("xxxO_____", "half_open pass");
    check("xxxC", "forced_closed pass");
    check("Cxxxxxx", "forced_closed pass");
    check("Cxxxxxx_____", "closed pass");
    check("Cxxxxxx_____xx", "closed pass");
    check("CxxxL", "closed pass");
    check("xxxZ", "disabled pass");
    check("xxxZ.x.x", "disabled pass");
    check("xxxZL", "open shut circuit_open");
    check("xxxZ.L", "open shut circuit_open");
    check("xxZxxxxL", "closed pass");
    check("xx(ZFL", "closed pass");
    check("xx(ZSLx", "open shut circuit_open");
    check("xx(CFL", "closed pass");
    check("xxZxxxxLx", "open shut circuit_open");
    check("xxx___(Z.LS", "closed pass");
    check("CuO", "forced_open shut held_unauthorized");
    check("Cu", "held shut held_unauthorized");
    check("Cr", "forced_closed wait retry_after");
}

#[test]
fn repeated_faults_of_the_plugin_are_its_quarantine_and_not_the_breaker_s() {
    check("pp", "closed pass");
    check("ppp", "quarantined shut quarantined");
    check("pp.pp", "closed pass");
    check("ppxxpL", "closed pass");
    check("pppL", "closed pass");
    check("pppLpp", "closed pass");
}

#[test]
fn health_follows_the_gate() {
    status("", "healthy");
    status("x", "degraded");
    status("x.", "healthy");
    status("xxx", "down");
    status("xxx___", "degraded");
    status("xxx___.", "healthy");
    status("(xxx___.xS", "degraded");
    status("(xxx___.F", "healthy");
    status("Z(LxS", "degraded");
    status("Z(xS", "healthy");
    status("r", "healthy");
    status("rq", "healthy");
    status("u", "down");
    status("ppp", "down");
    status("O", "down");
    status("C", "healthy");
    status("Cxxx", "degraded");
    status("nd", "healthy");
}
