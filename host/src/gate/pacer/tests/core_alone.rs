//! The core by itself, against a log of everything that was sent.

use proptest::prelude::*;

use super::super::core::Core;
use super::*;
use crate::config::Quota;

fn moment(start: Instant, after: Duration) -> Moment {
    let after_ms = i64::try_from(after.as_millis()).unwrap();
    Moment {
        at: start + after,
        unix_ms: START_MS + after_ms,
    }
}

/// Sends units of one as fast as the core lets them, for `lasts`; each is answered `latency`
/// later.
fn pace(limits: &[Window], lasts: Duration, latency: Duration) -> Server {
    let start = Instant::now();
    let mut core = Core::new(limits, &[], moment(start, Duration::ZERO));
    let mut server = Server::default();
    let mut under_way = std::collections::VecDeque::new();
    let mut now = start;
    while now < start + lasts {
        let here = moment(start, now - start);
        core.advance(here);
        while under_way.front().is_some_and(|sent| *sent + latency <= now) {
            let sent = under_way.pop_front().unwrap();
            core.answered(1, sent, here);
        }
        match core.reserve(1, false, here) {
            Ok(()) => {
                core.send(1, here);
                server.count(now, 1);
                under_way.push_back(now);
            }
            Err(refusal) => {
                assert_eq!(refusal.why, Why::Paced);
                assert!(refusal.until > now);
                let answer = under_way.front().map(|sent| *sent + latency);
                now = answer.map_or(refusal.until, |answer| answer.min(refusal.until));
            }
        }
    }
    server
}

#[test]
fn nearly_all_of_the_rate_is_used_and_no_window_is_exceeded() {
    #[track_caller]
    fn check(limits: &[&str], lasts_secs: u64, latency_ms: u64) {
        let limits = windows(limits);
        let lasts = Duration::from_secs(lasts_secs);
        let server = pace(&limits, lasts, Duration::from_millis(latency_ms));
        server.assert_within(&limits);
        let slowest = limits
            .iter()
            .map(|limit| f64::from(limit.count) / limit.per.as_secs_f64())
            .min_by(f64::total_cmp)
            .unwrap();
        let share = server.total() as f64 / (slowest * lasts.as_secs_f64());
        assert!(share >= 0.97, "{share} of {limits:?} after {lasts_secs} s");
    }
    for latency_ms in [0, 3, 90, 2_500] {
        check(&["5/s"], 1_000, latency_ms);
        check(&["1/s"], 1_000, latency_ms);
        check(&["5/s", "700/h"], 10 * 3_600, latency_ms);
        check(&["30/s", "10000/5m"], 4 * 300, latency_ms);
        check(&["40/10s"], 3_000, latency_ms);
        check(&["3/s", "100000/d"], 86_400, latency_ms);
        check(&["7/2h", "3/h"], 200 * 3_600, latency_ms);
    }
}

#[test]
fn a_refused_reservation_charges_no_window() {
    let start = Instant::now();
    let mut core = Core::new(
        &windows(&["2/s", "3/m"]),
        &[],
        moment(start, Duration::ZERO),
    );
    let mut at = |after: Duration| {
        let now = moment(start, after);
        core.advance(now);
        let reserved = core.reserve(1, false, now);
        if reserved.is_ok() {
            core.send(1, now);
        }
        reserved.is_ok()
    };
    assert!(at(Duration::ZERO) && at(Duration::ZERO));
    for _ in 0..100 {
        assert!(!at(SECOND / 2), "the short window is full");
    }
    // Had the refusals charged the long window, nothing were left of it.
    assert!(at(2 * SECOND));
    assert!(!at(4 * SECOND));
    assert!(at(65 * SECOND));
}

#[test]
fn a_weight_above_the_count_is_taken_when_the_window_is_empty() {
    let start = Instant::now();
    let mut core = Core::new(&windows(&["30/s"]), &[], moment(start, Duration::ZERO));
    let now = moment(start, Duration::ZERO);
    core.reserve(1, false, now).unwrap();
    let refusal = core.reserve(100, false, now).unwrap_err();
    core.refund(1, now);
    core.reserve(100, false, now).unwrap();
    core.send(100, now);
    assert!(core.reserve(1, false, now).is_err());
    let later = moment(start, refusal.until - start);
    core.advance(later);
    core.reserve(100, false, later).unwrap();
}

#[test]
fn quotas_follow_the_calendar() {
    #[track_caller]
    fn check(quota: &str, renews_after: Duration) {
        let start = Instant::now();
        let quotas: [Quota; 1] = [quota.parse().unwrap()];
        let mut core = Core::new(&[], &quotas, moment(start, Duration::ZERO));
        let now = moment(start, Duration::ZERO);
        for _ in 0..3 {
            core.reserve(1, false, now).unwrap();
            core.send(1, now);
        }
        let refusal = core.reserve(1, false, now).unwrap_err();
        assert_eq!(refusal.why, Why::Paced);
        let wait = refusal.until - start;
        assert!(
            wait >= renews_after && wait <= renews_after + 3 * SECOND,
            "{wait:?}"
        );
        let early = moment(start, renews_after - SECOND);
        core.advance(early);
        assert!(core.reserve(1, false, early).is_err());
        let renewed = moment(start, wait);
        core.advance(renewed);
        core.reserve(3, false, renewed).unwrap();
    }
    check("3/day", 2 * HOUR);
    // From the evening of the 21st to the first of December.
    check("3/month", 2 * HOUR + 9 * 24 * HOUR);
}

#[test]
fn a_rate_answer_halves_the_rate_and_good_answers_bring_it_back() {
    let start = Instant::now();
    let mut core = Core::new(&windows(&["10/s"]), &[], moment(start, Duration::ZERO));
    let mut now = start;
    let send = |core: &mut Core, now: &mut Instant| {
        loop {
            let here = moment(start, *now - start);
            core.advance(here);
            match core.reserve(1, false, here) {
                Ok(()) => {
                    core.send(1, here);
                    return *now;
                }
                Err(refusal) => *now = refusal.until,
            }
        }
    };
    let share = |core: &Core| core.throttle().map_or(1.0, |throttle| throttle.share());
    let first = send(&mut core, &mut now);
    let second = send(&mut core, &mut now);
    for sent in [first, second] {
        now += SECOND / 100;
        let here = moment(start, now - start);
        core.rate_answer(None, sent, now, here);
    }
    // Both were under way together.
    assert_eq!(share(&core), 0.5);
    let third = send(&mut core, &mut now);
    assert!(
        third >= first + SECOND,
        "an answer that names no pause is one of a second"
    );
    now += SECOND / 100;
    core.rate_answer(None, third, now, moment(start, now - start));
    assert_eq!(share(&core), 0.25);

    let mut last = send(&mut core, &mut now);
    core.good_answer(last);
    let mut answers = 1;
    while share(&core) < 1.0 {
        let sent = send(&mut core, &mut now);
        let distance = (sent - last).as_secs_f64();
        assert!(
            distance >= 0.0999 / share(&core),
            "{distance} at {}",
            share(&core)
        );
        last = sent;
        core.good_answer(sent);
        answers += 1;
        assert!(answers < 1_000);
    }
    assert_eq!(
        answers,
        64 * 3,
        "a quarter takes as many steps as it was cut by"
    );

    for _ in 0..40 {
        let sent = send(&mut core, &mut now);
        now += SECOND / 100;
        core.rate_answer(None, sent, now, moment(start, now - start));
    }
    assert_eq!(share(&core), 1.0 / 64.0, "never nothing");
    send(&mut core, &mut now);
}

#[test]
fn without_limits_a_rate_is_learned_and_fades() {
    let start = Instant::now();
    let mut core = Core::new(&[], &[], moment(start, Duration::ZERO));
    let mut sent = start;
    for step in 0..100 {
        let now = moment(start, step * SECOND / 10);
        core.advance(now);
        core.reserve(1, false, now).unwrap();
        core.send(1, now);
        sent = now.at;
    }
    let now = moment(start, 10 * SECOND);
    core.advance(now);
    core.rate_answer(Some(SECOND), sent, now.at, now);
    let per_s = core.throttle().unwrap().per_s();
    assert!(
        (4.5..=5.2).contains(&per_s),
        "{per_s}: half of the ten in a second that were seen"
    );
    let now = moment(start, 10 * SECOND + 10 * 60 * SECOND);
    core.advance(now);
    assert!(core.throttle().is_none());
}

#[test]
fn who_has_just_begun_is_not_taken_for_slow() {
    let start = Instant::now();
    let mut core = Core::new(&[], &[], moment(start, Duration::ZERO));
    let now = moment(start, SECOND / 10);
    core.advance(now);
    for _ in 0..8 {
        core.reserve(1, false, now).unwrap();
        core.send(1, now);
    }
    core.rate_answer(Some(SECOND), now.at, now.at, now);
    assert_eq!(core.throttle().unwrap().per_s(), 4.0);
    // Good answers bring the whole rate back, and then there is no limit again.
    let mut now = moment(start, 2 * SECOND);
    while core.throttle().is_some() {
        now.at += SECOND;
        core.good_answer(now.at);
        core.advance(now);
    }
    assert!(now.at - start < 100 * SECOND);
}

#[derive(Clone, Debug)]
enum Act {
    Reserve(u64),
    Refund(usize),
    Send(usize),
    Answer(usize),
    Pass(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        12 => prop_oneof![8 => Just(1_u64), 2 => 2_u64..6].prop_map(Act::Reserve),
        2 => any::<usize>().prop_map(Act::Refund),
        10 => any::<usize>().prop_map(Act::Send),
        6 => any::<usize>().prop_map(Act::Answer),
        6 => (0_u64..300).prop_map(Act::Pass),
        2 => (0_u64..5_000).prop_map(Act::Pass),
        1 => (0_u64..100_000).prop_map(Act::Pass),
    ];
    proptest::collection::vec(act, 0..400)
}

proptest! {
    #[test]
    fn random_reservations_never_exceed_a_window_and_never_starve(
        acts in acts(),
        counts in proptest::collection::vec((5_u32..20, 1_u64..60_000), 1..4),
    ) {
        let limits: Vec<_> = counts
            .into_iter()
            .map(|(count, per_ms)| Window { count, per: Duration::from_millis(per_ms) })
            .collect();
        let start = Instant::now();
        let mut now = start;
        let mut core = Core::new(&limits, &[], moment(start, Duration::ZERO));
        let (mut held, mut under_way) = (Vec::new(), Vec::new());
        let mut server = Server::default();
        for act in acts {
            let here = moment(start, now - start);
            core.advance(here);
            match act {
                Act::Reserve(weight) => match core.reserve(weight, false, here) {
                    Ok(()) => held.push(weight),
                    Err(refusal) => prop_assert!(refusal.until > now),
                },
                Act::Refund(which) if !held.is_empty() => {
                    let weight = held.swap_remove(which % held.len());
                    core.refund(weight, here);
                }
                Act::Send(which) if !held.is_empty() => {
                    let weight = held.swap_remove(which % held.len());
                    core.send(weight, here);
                    server.count(now, weight);
                    under_way.push((weight, now));
                }
                Act::Answer(which) if !under_way.is_empty() => {
                    let (weight, sent) = under_way.swap_remove(which % under_way.len());
                    core.answered(weight, sent, here);
                }
                Act::Refund(_) | Act::Send(_) | Act::Answer(_) => {}
                Act::Pass(ms) => now += Duration::from_millis(ms),
            }
            prop_assert_eq!(core.held(), held.iter().sum::<u64>());
        }
        for limit in &limits {
            prop_assert!(server.most_in(limit.per) <= u64::from(limit.count));
        }
        // Whatever happened, who comes when he is told to gets his units at last.
        for weight in held.drain(..) {
            core.refund(weight, moment(start, now - start));
        }
        let longest = limits.iter().map(|limit| limit.per).max().unwrap();
        let patience = now + longest.mul_f64(1.1) + Duration::from_millis(10);
        loop {
            let here = moment(start, now - start);
            core.advance(here);
            match core.reserve(5, false, here) {
                Ok(()) => break,
                Err(refusal) => now = refusal.until,
            }
            prop_assert!(now <= patience);
        }
    }
}
