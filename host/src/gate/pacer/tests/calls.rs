//! Calls that share a pacer, each as a task.

use super::*;
use crate::gate::{Answer, Call, Gate, GateConfig, GateKey, Permit, ProviderType, Verdict};

fn gate(pacer: &Pacer, provider: &str) -> Gate {
    let key = GateKey {
        chain: "btc".into(),
        provider: provider.into(),
        kind: ProviderType::Scan,
    };
    let clock = pacer.shared.clock.clone();
    Gate::new(key, GateConfig::default(), "f1", clock, 1).paced_by(pacer.clone())
}

#[track_caller]
fn pass(gate: &Gate) -> Permit {
    match gate.ask(Call::Work) {
        Answer::Pass(permit) => permit,
        refused => panic!("work did not pass: {refused:?}"),
    }
}

#[track_caller]
fn wait(gate: &Gate, expected: Why) -> Duration {
    match gate.ask(Call::Work) {
        Answer::Wait { until, why } if why == expected => until - Instant::now(),
        other => panic!("no wait for {expected:?}: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_holds_a_slot_and_gives_it_back_unsent() {
    let pacer = pacer(&["2/s"]);
    let (one, two) = (gate(&pacer, "one"), gate(&pacer, "two"));
    let first = pass(&one);
    let second = pass(&two);
    let changed = two.changed();
    wait(&two, Why::Paced);
    assert_eq!(two.snapshot().why, Some(Why::Paced));
    assert!(two.earliest_opening().unwrap() > Instant::now());
    drop(first);
    assert!(changed.has_changed().unwrap(), "who waits is told");
    let third = pass(&two);

    // Sent slots stay taken, whatever becomes of the call.
    for permit in [second, third] {
        permit.slots().take(1).await.unwrap().answered();
        permit.record(Verdict::Success);
    }
    let until = wait(&one, Why::Paced);
    assert!(until >= SECOND && until < SECOND.mul_f64(1.03), "{until:?}");
    tokio::time::sleep(until).await;
    drop((pass(&one), pass(&two)));
}

#[tokio::test(start_paused = true)]
async fn further_requests_wait_in_turn_and_before_the_gate() {
    let pacer = pacer(&["4/s"]);
    let start = Instant::now();
    let gate = gate(&pacer, "one");
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let permit = pass(&gate);
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            for _ in 0..3 {
                let slot = permit.slots().take(1).await.unwrap();
                times.push(start.elapsed());
                slot.answered();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            permit.record(Verdict::Success);
            times
        }));
    }
    // The gate has no room before the second requests of all four had theirs.
    for _ in 0..3 {
        tokio::time::sleep(SECOND * 2 / 5).await;
        wait(&gate, Why::Paced);
    }
    let mut server = Server::default();
    let mut seconds = Vec::new();
    for task in tasks {
        let times = task.await.unwrap();
        seconds.push(times[1]);
        times.iter().for_each(|at| server.count(start + *at, 1));
    }
    server.0.sort_by_key(|(at, _)| *at);
    server.assert_within(&windows(&["4/s"]));
    assert!(
        start.elapsed() < SECOND.mul_f64(2.2),
        "{:?}",
        start.elapsed()
    );
    assert!(
        seconds.iter().all(|at| *at < SECOND.mul_f64(1.1)),
        "{seconds:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn heavy_requests_take_all_their_units_or_none() {
    let pacer = pacer(&["5/s"]);
    let gate = gate(&pacer, "one");
    let start = Instant::now();
    // Each holds one unit and wants five: nobody may keep what the others wait for.
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let permit = pass(&gate);
            tokio::spawn(async move {
                permit.slots().take(5).await.unwrap().answered();
                start.elapsed()
            })
        })
        .collect();
    let mut server = Server::default();
    for task in tasks {
        server.count(start + task.await.unwrap(), 5);
    }
    server.0.sort_by_key(|(at, _)| *at);
    server.assert_within(&windows(&["5/s"]));
    assert!(
        start.elapsed() < SECOND.mul_f64(4.2),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_for_all_who_share_it_and_for_nobody_else() {
    let shared = pacer(&["5/s"]);
    let other = gate(&pacer(&["5/s"]), "other");
    let (one, two) = (gate(&shared, "one"), gate(&shared, "two"));
    // This one has its permit already when the pause begins.
    let early = pass(&two);
    let permit = pass(&one);
    let slot = permit.slots().take(1).await.unwrap();
    tokio::time::sleep(SECOND / 10).await;
    slot.rate_limited(Some(7 * SECOND));
    let asked = Instant::now();

    assert_eq!(
        wait(&two, Why::RetryAfter),
        7 * SECOND,
        "before the call's verdict"
    );
    assert_eq!(two.health().status, crate::gate::HealthStatus::Degraded);
    drop(pass(&other));
    // The verdict tells the same answer: nothing is added to the pause or taken from the rate.
    tokio::time::sleep(SECOND).await;
    permit.record(Verdict::RateLimited {
        retry_after: Some(7 * SECOND),
    });
    assert_eq!(wait(&one, Why::RetryAfter), 6 * SECOND);
    assert_eq!(shared.snapshot().share, 0.5);

    // A permit is no pass through a pause, and others may answer before a long one ends.
    let refused = early.slots().take(1).await.unwrap_err();
    assert_eq!((refused.why, asked.elapsed()), (Why::RetryAfter, SECOND));
    tokio::time::sleep(5 * SECOND).await;
    let slot = early.slots().take(1).await.unwrap();
    assert_eq!(asked.elapsed(), 7 * SECOND, "the rest of it is waited for");
    slot.answered();
}

#[tokio::test(start_paused = true)]
async fn a_rate_text_that_only_the_verdict_knows_pauses_too() {
    let pacer = pacer(&["5/s"]);
    let gate = gate(&pacer, "one");
    let permit = pass(&gate);
    permit.slots().take(1).await.unwrap().answered();
    tokio::time::sleep(SECOND / 10).await;
    permit.record(Verdict::RateLimited { retry_after: None });
    assert_eq!(wait(&gate, Why::RetryAfter), SECOND);
    assert_eq!(pacer.snapshot().share, 0.5);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_would_wait_too_long_is_not_sent_and_says_nothing_of_the_provider() {
    let pacer = pacer(&["2/h"]);
    let gate = gate(&pacer, "one");
    let permit = pass(&gate);
    let slots = permit.slots();
    slots.take(1).await.unwrap().answered();
    slots.take(1).await.unwrap().answered();
    let start = Instant::now();
    let error = slots.take(1).await.unwrap_err();
    assert_eq!(error.why, Why::Paced);
    assert_eq!(
        start.elapsed(),
        Duration::ZERO,
        "there is no point in waiting"
    );
    permit.record(Verdict::RateLimited { retry_after: None });
    assert_eq!(pacer.pause(), None);
    assert_eq!(pacer.snapshot().share, 1.0);
    assert_eq!(pacer.snapshot().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_leaves_nothing_behind() {
    let pacer = pacer(&["1/s"]);
    let slots = RequestSlots::of(&pacer);
    slots.take(1).await.unwrap().answered();
    for _ in 0..3 {
        let waiting = slots.take(1);
        assert!(tokio::time::timeout(SECOND / 10, waiting).await.is_err());
    }
    assert_eq!(pacer.snapshot().waiting, 0);
    assert_eq!(slots.waited(), 3 * SECOND / 10);
    slots.wait_ended().await;
    slots.take(1).await.unwrap().answered();
    assert_eq!(pacer.snapshot().limits[0].used, 1);
}

#[tokio::test(start_paused = true)]
async fn connections_are_capped_over_all_who_share_them() {
    let clock = Arc::new(VirtualClock::starting_at(START_MS));
    let config = PacerConfig {
        connections: NonZeroU32::new(2),
        ..PacerConfig::default()
    };
    let pacer = Pacer::new(&config, clock);
    let slots = [RequestSlots::of(&pacer), RequestSlots::of(&pacer)];
    let first = slots[0].connection().await.unwrap();
    let second = slots[1].connection().await.unwrap();
    assert!(first.is_some() && second.is_some());
    let third = slots[1].connection();
    tokio::pin!(third);
    assert!(tokio::time::timeout(SECOND, &mut third).await.is_err());
    drop(first);
    assert!(third.await.unwrap().is_some());
    assert_eq!(slots[1].waited(), SECOND);
}
