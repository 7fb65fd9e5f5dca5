//! Passes over providers that have limits.

use super::*;
use crate::gate::{Pacer, PacerConfig};
use crate::pool::record::Recorder;

const SECOND: Duration = Duration::from_secs(1);

impl Bench {
    /// From now on the provider keeps to these limits.
    fn limit(&mut self, provider: usize, limits: &[&str]) -> Pacer {
        let config = PacerConfig {
            windows: limits.iter().map(|limit| limit.parse().unwrap()).collect(),
            key: format!("p{provider}"),
            ..PacerConfig::default()
        };
        let pacer = Pacer::new(&config, self.clock.clone());
        let gate = self.gate(provider, None).paced_by(pacer.clone());
        self.replace(provider, self.providers[provider].clone(), gate);
        pacer
    }

    /// When the provider was called, each at its place in a row that must keep to `limits`.
    #[track_caller]
    fn assert_paced(&self, provider: usize, limits: &[(usize, Duration)]) -> Vec<Duration> {
        let times = self.providers[provider].call_times.lock().unwrap().clone();
        for (count, per) in limits {
            for (first, next) in times.iter().zip(times.iter().skip(*count)) {
                assert!(*next - *first >= *per, "more than {count} within {per:?}");
            }
        }
        times
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_uses_nearly_all_of_the_rate_and_never_more() {
    let latency = Duration::from_millis(50);
    let mut bench = Bench::new(false)
        .await
        .with_latency(1, latency, |request, _| Ok(honest(request)));
    bench.limit(0, &["10/s", "100/m"]);
    let (outcome, rows) = bench.scan(600).await;
    assert_eq!(outcome.ending, Ending::Complete);
    assert_eq!(known(&rows), 600);
    let times = bench.assert_paced(0, &[(10, SECOND), (100, 60 * SECOND)]);
    assert_eq!(times.len(), 600);
    // The first hundred come at once, the sixth after five minutes.
    let last = *times.last().unwrap();
    assert!(
        last < (300 * SECOND).mul_f64(1.0 / 0.97) + 10 * SECOND,
        "{last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_limited_provider_has_no_room_for_goes_to_the_next() {
    let mut bench = Bench::new(false)
        .await
        .with(1, |request, _| Ok(honest(request)))
        .with(1, |request, _| Ok(honest(request)));
    bench.limit(0, &["10/m"]);
    let start = Instant::now();
    let (outcome, rows) = bench.scan(50).await;
    assert_eq!(outcome.ending, Ending::Complete);
    assert_eq!(known(&rows), 50);
    assert_eq!((bench.calls(0), bench.calls(1)), (10, 40));
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn long_limits_are_spent_as_the_store_grants_them_and_told_exactly_at_the_end() {
    let mut bench = Bench::new(false)
        .await
        .with(1, |request, _| Ok(honest(request)));
    let pacer = bench.limit(0, &["200/h"]);
    pacer.attach(None);
    let recorder = Recorder::new(&bench.pool, &bench.ledger, &bench.clock);
    let (outcome, _) = tokio::select! {
        scanned = bench.scan_only(50) => scanned,
        () = recorder.run() => unreachable!("it records until it is dropped"),
    };
    assert_eq!(outcome.ending, Ending::Complete);
    assert_eq!(bench.calls(0), 50);
    let stored = async || {
        let json = bench.ledger.pacer("p0").await.unwrap().unwrap();
        serde_json::from_str::<crate::gate::pacer::PersistedPacer>(&json).unwrap()
    };
    let spent = |stored: &crate::gate::pacer::PersistedPacer| {
        let spent = stored.windows[0].spent.iter();
        spent.map(|(_, units)| units).sum::<u64>()
    };
    // Killed now, no more would be forgotten than was granted.
    let killed = stored().await;
    assert!(spent(&killed) + killed.granted >= 50, "{killed:?}");
    assert!(killed.granted > 0, "it is written ahead: {killed:?}");
    recorder.save().await.unwrap();
    let ended = stored().await;
    assert_eq!((spent(&ended), ended.granted), (50, 0));
}

#[tokio::test(start_paused = true)]
async fn an_allowance_that_is_spent_for_days_is_not_waited_for() {
    let mut bench = Bench::new(false)
        .await
        .with(1, |request, _| Ok(honest(request)));
    bench.limit(0, &["10/7d"]);
    let (outcome, rows) = bench.scan(15).await;
    assert!(matches!(outcome.ending, Ending::GaveUp { .. }));
    assert_eq!(known(&rows), 10);
    let Row::Unknown { error, .. } = &rows[14] else {
        panic!("it is unknown")
    };
    assert_eq!(error.class, Class::RateLimited);
}

#[tokio::test(start_paused = true)]
async fn a_cell_that_was_never_asked_for_has_the_words_of_those_who_failed() {
    let mut bench = Bench::new(false)
        .await
        .with(1, |_: &BalancesRequest, _| failing(Class::RateLimited));
    bench.limit(0, &["1/m"]);
    bench.patience.budget = 70 * SECOND;
    let (outcome, rows) = bench.scan(30).await;
    assert!(matches!(outcome.ending, Ending::GaveUp { .. }));
    assert!(bench.calls(0) < 30, "some cells were never asked for");
    for row in &rows {
        let Row::Unknown { error, .. } = row else {
            panic!("it is unknown")
        };
        assert_eq!(error.providers[0].provider.as_str(), "p0", "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hole_tells_until_when_its_provider_has_no_room() {
    let mut bench = Bench::new(false)
        .await
        .with(1, |request, _| Ok(honest(request)));
    bench.limit(0, &["10/7d"]);
    let (_, rows) = bench.scan(15).await;
    let Row::Unknown { error, .. } = &rows[14] else {
        panic!("it is unknown")
    };
    let said = &error.providers[0].message;
    assert!(said.contains("no room now (until 2026-11-"), "{said}");
    let stored = bench.pool.members[0].gate.persisted();
    let week = 7 * 24 * 60 * 60 * 1_000;
    let until = stored.paced_until.unwrap() - bench.clock.unix_ms();
    // A long window is kept in slices, so its end is known to a hundredth.
    assert!((week..=week + week / 100).contains(&until), "{until}");
}

#[tokio::test(start_paused = true)]
async fn a_pass_ends_at_once_where_nobody_can_be_asked_before_patience_ends() {
    for (limit, ends_at_once) in [("10/7d", true), ("10/h", true), ("10/5m", false)] {
        let mut bench = Bench::new(false)
            .await
            .with(1, |request, _| Ok(honest(request)));
        bench.limit(0, &[limit]);
        let start = Instant::now();
        let (outcome, rows) = bench.scan(15).await;
        let took = start.elapsed();
        if ends_at_once {
            let Ending::GaveUp { message } = outcome.ending else {
                panic!("{limit}: nobody could answer")
            };
            assert!(message.starts_with("no provider can be asked before 2026-11-"));
            assert!(took < SECOND, "{limit}: {took:?}");
            assert_eq!(known(&rows), 10);
        } else {
            assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 15));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_waits_while_anyone_who_reads_what_is_left_may_answer_in_time() {
    // The second one is held for longer than patience, the first may always come back.
    let mut bench = Bench::new(false)
        .await
        .with(1, |_: &BalancesRequest, now| match now.as_secs() {
            0..200 => failing(Class::Timeout),
            _ => failing(Class::Refused),
        })
        .with(1, |request, _| Ok(honest(request)));
    bench.patience.budget = 100 * SECOND;
    let held = &bench.pool.members[1].gate;
    held.hold(crate::gate::HoldReason::Unauthorized, None, "scripted");
    let start = Instant::now();
    let (outcome, _) = bench.scan(3).await;
    assert!(matches!(outcome.ending, Ending::GaveUp { .. }));
    assert!(start.elapsed() >= 60 * SECOND, "{:?}", start.elapsed());
    // Who does not read what is left is not waited for.
    let mut bench = Bench::new(true)
        .await
        .with(1, |request, _| Ok(honest(request)))
        .with(1, |request, _| Ok(honest(request)));
    bench.only_natives(0);
    let held = &bench.pool.members[1].gate;
    held.hold(crate::gate::HoldReason::Unauthorized, None, "scripted");
    let start = Instant::now();
    let (outcome, rows) = bench.scan(30).await;
    assert!(matches!(outcome.ending, Ending::GaveUp { .. }));
    assert_eq!(known(&rows), 30, "every native coin");
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn where_nothing_happens_nothing_is_written() {
    let bench = Bench::new(false)
        .await
        .with(1, |request, _| Ok(honest(request)));
    let recorder = Recorder::new(&bench.pool, &bench.ledger, &bench.clock);
    let member = &bench.pool.members[0];
    recorder.save_member(member).await.unwrap();
    let key = crate::pool::assemble::provider_key(member.gate.key());
    let mut marked = bench.ledger.provider(&key).await.unwrap().unwrap();
    marked.last_error_msg = Some("a mark of somebody else".to_owned());
    bench
        .ledger
        .save_provider(marked.clone(), Vec::new())
        .await
        .unwrap();
    let _ = tokio::time::timeout(60 * SECOND, recorder.run()).await;
    let stored = bench.ledger.provider(&key).await.unwrap().unwrap();
    assert_eq!(stored, marked, "it wrote again what it had written");
    let gate = &member.gate;
    gate.force(crate::gate::ForcedState::Open, "by hand", None);
    let _ = tokio::time::timeout(3 * SECOND, recorder.run()).await;
    let stored = bench.ledger.provider(&key).await.unwrap().unwrap();
    assert_ne!(stored, marked, "what changes is written");
}
