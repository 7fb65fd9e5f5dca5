//! Cells that are read again from a second provider.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::gate::Why;
use crate::ledger::EventFilter;

fn answering(request: &BalancesRequest, _now: Duration) -> Result<Vec<Answer>, CallError> {
    Ok(honest(request))
}

/// One unit too much of every tenth address.
fn lying(request: &BalancesRequest, _now: Duration) -> Result<Vec<Answer>, CallError> {
    let mut answers = honest(request);
    for answer in &mut answers {
        let (address, _) = request.cells[answer.cell as usize];
        let address = &request.addresses[address as usize];
        if address.ends_with('7')
            && let Outcome::Known { amount, .. } = &mut answer.outcome
        {
            amount.0 += ruint::aliases::U256::ONE;
        }
    }
    Ok(answers)
}

/// The payloads of the mismatches that were told.
async fn mismatches(bench: &Bench) -> Vec<serde_json::Value> {
    let filter = EventFilter {
        kinds: vec!["reconcile_mismatch".to_owned()],
        ..EventFilter::default()
    };
    let events = bench.ledger.events_after(0, &filter, 10_000).await.unwrap();
    events.into_iter().map(|event| event.data).collect()
}

#[tokio::test(start_paused = true)]
async fn the_configured_share_is_read_again_and_honest_providers_agree() {
    let mut bench = Bench::new(true)
        .await
        .with(50, answering)
        .with(50, answering);
    bench.sample = Some(10.0);
    let (outcome, rows) = bench.scan(5_000).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 10_000));
    let again: usize = bench.providers[1].sizes.lock().unwrap().iter().sum();
    assert!((900..1_100).contains(&again), "{again} of 10,000 cells");
    assert!(mismatches(&bench).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lying_provider_is_found_by_two_others_and_held_if_asked_for() {
    for (on_mismatch, why) in [
        (OnMismatch::Event, None),
        (OnMismatch::Hold, Some(Why::HeldMismatch)),
    ] {
        let mut bench = Bench::new(false)
            .await
            .with(10, answering)
            .with(10, lying)
            .with(10, answering);
        bench.sample = Some(100.0);
        bench.on_mismatch = on_mismatch;
        let (_, rows) = bench.scan(100).await;
        assert_eq!(known(&rows), 100, "second readings are not stored");
        let told = mismatches(&bench).await;
        assert_eq!(told.len(), 10);
        for event in &told {
            assert_eq!(
                (&event["provider"], &event["other"]),
                (&"p0".into(), &"p1".into())
            );
            assert_eq!(event["suspect"], "p1");
            assert_ne!(event["amount"], event["other_amount"]);
        }
        assert_eq!(bench.pool.members[1].gate.snapshot().why, why);
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_that_differ_none_is_suspected() {
    let mut bench = Bench::new(false).await.with(10, lying).with(10, answering);
    bench.sample = Some(100.0);
    bench.on_mismatch = OnMismatch::Hold;
    bench.scan(20).await;
    let told = mismatches(&bench).await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[0]["suspect"], serde_json::Value::Null);
    for member in &bench.pool.members {
        assert_eq!(member.gate.snapshot().why, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_balance_that_changes_between_two_readings_is_no_mismatch() {
    let growing = |request: &BalancesRequest, now: Duration| {
        let mut answers = honest(request);
        for answer in &mut answers {
            if let Outcome::Known { amount, .. } = &mut answer.outcome {
                amount.0 += ruint::aliases::U256::from(now.as_millis());
            }
        }
        Ok(answers)
    };
    let mut bench = Bench::new(false)
        .await
        .with_latency(10, Duration::from_secs(1), growing)
        .with_latency(10, Duration::from_secs(1), growing);
    bench.sample = Some(100.0);
    let (outcome, _) = bench.scan_only(20).await;
    assert_eq!(outcome.ending, Ending::Complete);
    assert!(mismatches(&bench).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_provider_that_is_down_is_not_waited_for() {
    let mut bench = Bench::new(false)
        .await
        .with(10, answering)
        .with(10, |_: &BalancesRequest, _| failing(Class::Timeout));
    bench.sample = Some(100.0);
    let began = Instant::now();
    let (outcome, rows) = bench.scan(500).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 500));
    assert!(began.elapsed() < COOLDOWN, "{:?}", began.elapsed());
    assert!(bench.calls(1) <= 6, "{} calls", bench.calls(1));
}

/// Chosen and compared.
fn samples(bench: &Bench) -> (u64, u64) {
    let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    (
        count(&bench.progress.samples),
        count(&bench.progress.sampled),
    )
}

#[tokio::test(start_paused = true)]
async fn what_was_chosen_and_not_compared_is_counted_and_bounded() {
    // The second provider takes half a minute for what the first tells at once.
    let mut bench = Bench::new(false).await.with(100, answering).with_latency(
        100,
        Duration::from_secs(14),
        answering,
    );
    bench.sample = Some(100.0);
    let (outcome, rows) = bench.scan(5_000).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 5_000));
    let (chosen, compared) = samples(&bench);
    assert_eq!(chosen, 5_000);
    assert!((1_000..=1_600).contains(&compared), "{compared} compared");

    // Who gives up leaves what waits uncompared, and says so.
    let mut bench = Bench::new(false)
        .await
        .with(10, |request: &BalancesRequest, _| {
            if request.addresses.iter().any(|address| **address == *"a33") {
                return failing(Class::Timeout);
            }
            Ok(honest(request))
        })
        .with_latency(10, Duration::from_secs(14), |_: &BalancesRequest, _| {
            failing(Class::Timeout)
        });
    bench.sample = Some(100.0);
    let (_, rows) = bench.scan(40).await;
    let (chosen, compared) = samples(&bench);
    assert_eq!((chosen, compared), (known(&rows) as u64, 0));
}
