//! One height for a whole pass.

use super::*;
use crate::ledger::PassCounters;

/// Seconds after which a node has a new block.
const BLOCK: u64 = 1;

/// A node: `behind` blocks behind the others, with the states of the last `depth` blocks.
#[derive(Clone, Copy)]
struct Node {
    behind: u64,
    depth: u64,
}

const ARCHIVE: Node = Node {
    behind: 0,
    depth: u64::MAX,
};

impl Node {
    fn answer(self, request: &BalancesRequest, now: Duration) -> Result<Vec<Answer>, CallError> {
        let head = 100 + now.as_secs() / BLOCK - self.behind;
        let height = request.at_height.unwrap_or(head);
        if height > head || request.min_height > head {
            return failing(Class::Lagging);
        }
        if head - height >= self.depth {
            return failing(Class::Unsupported);
        }
        let mut answers = honest(request);
        for answer in &mut answers {
            if let Outcome::Known { height: told, .. } = &mut answer.outcome {
                *told = Some(height);
            }
        }
        Ok(answers)
    }
}

/// A pool of such nodes, each of which takes a second for an answer.
async fn nodes(nodes: &[Node], pinned: bool) -> Bench {
    let mut bench = Bench::new(false).await;
    for (index, node) in nodes.iter().copied().enumerate() {
        bench = bench.with_latency(10, Duration::from_secs(1), |request, _| Ok(honest(request)));
        let caps = Caps {
            pinned,
            ..bench.providers[index].caps
        };
        bench.rewrite(index, caps, move |request, now| node.answer(request, now));
    }
    bench
}

async fn counters(bench: &Bench) -> PassCounters {
    let passes = bench.ledger.passes(&bench.chain, 1).await.unwrap();
    passes[0].counters
}

#[tokio::test(start_paused = true)]
async fn a_pinned_pass_has_one_height_though_the_chain_moves_on() {
    for (at, moves) in [(ScanAt::Newest, true), (ScanAt::Pinned, false)] {
        let mut bench = nodes(&[ARCHIVE], true).await;
        bench.at = at;
        let (_, rows) = bench.scan(200).await;
        assert_eq!(known(&rows), 200);
        let counters = counters(&bench).await;
        assert_eq!(counters.height_min != counters.height_max, moves, "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lagging_provider_of_a_pinned_pool_waits_until_it_has_the_height() {
    let lagging = Node {
        behind: 20,
        ..ARCHIVE
    };
    let mut bench = nodes(&[ARCHIVE, lagging], true).await;
    bench.pool.strategy = Strategy::Spread;
    bench.at = ScanAt::Pinned;
    let (outcome, rows) = bench.scan(1_000).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 1_000));
    let counters = counters(&bench).await;
    assert_eq!(counters.height_min, counters.height_max);
    let asked = bench.providers[1].call_times.lock().unwrap();
    let early = asked.iter().filter(|at| at.as_secs() < 15).count();
    assert!(early <= 8, "asked again and again: {asked:?}");
    assert_eq!(
        bench.circuit(1),
        CircuitState::Closed,
        "behind is no failure"
    );
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_cannot_pin_gets_no_work_that_another_can_do() {
    let mut bench = nodes(&[ARCHIVE], false).await;
    bench = bench.with(10, |request: &BalancesRequest, _| Ok(honest(request)));
    let caps = Caps {
        min_height: true,
        ..bench.providers[1].caps
    };
    bench.rewrite(1, caps, |request, now| ARCHIVE.answer(request, now));
    bench.at = ScanAt::Pinned;
    let (_, rows) = bench.scan(50).await;
    assert_eq!(known(&rows), 50);
    assert_eq!((bench.calls(0), bench.calls(1)), (0, 5));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_pin_a_pinned_pass_reads_all_the_same() {
    let mut bench = nodes(&[ARCHIVE], false).await;
    bench.at = ScanAt::Pinned;
    let (_, rows) = bench.scan(50).await;
    assert_eq!(known(&rows), 50);
}

#[tokio::test(start_paused = true)]
async fn a_height_that_the_nodes_forgot_is_given_up_for_a_newer_one() {
    let forgetful = Node {
        behind: 0,
        depth: 8,
    };
    let mut bench = nodes(&[forgetful], true).await;
    bench.at = ScanAt::Pinned;
    let (outcome, rows) = bench.scan(500).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 500));
    let counters = counters(&bench).await;
    assert!(counters.height_min < counters.height_max, "it says so");
    assert_eq!(bench.circuit(0), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_offered_at_any_height_is_not_asked_for_ever() {
    let mut bench = nodes(&[ARCHIVE], true).await;
    bench.at = ScanAt::Pinned;
    let caps = bench.providers[0].caps;
    bench.rewrite(0, caps, |request: &BalancesRequest, now| {
        if request.addresses.iter().any(|address| **address == *"a33") {
            return failing(Class::Unsupported);
        }
        ARCHIVE.answer(request, now)
    });
    let (outcome, rows) = bench.scan(40).await;
    assert_eq!(outcome.ending, Ending::Complete);
    assert!(known(&rows) >= 30);
    assert!(bench.calls(0) < 20, "{} calls", bench.calls(0));
}

#[tokio::test(start_paused = true)]
async fn an_amount_of_another_height_than_was_asked_for_is_none() {
    for at_one in [true, false] {
        let mut bench = nodes(&[ARCHIVE], true).await;
        let caps = Caps {
            pinned: at_one,
            min_height: !at_one,
            ..bench.providers[0].caps
        };
        // From the second answer on it tells of a height below the one asked for.
        bench.rewrite(0, caps, |request: &BalancesRequest, now| {
            let mut answers = ARCHIVE.answer(request, now)?;
            for answer in &mut answers {
                if let Outcome::Known { height, .. } = &mut answer.outcome
                    && (request.at_height.is_some() || request.min_height > 0)
                {
                    *height = Some(7);
                }
            }
            Ok(answers)
        });
        bench.at = ScanAt::Pinned;
        bench.patience.budget = Duration::from_secs(70);
        let (_, rows) = bench.scan(30).await;
        assert_eq!(known(&rows), 10, "only what decided the height");
    }
}

#[tokio::test(start_paused = true)]
async fn a_height_that_was_given_up_does_not_come_back() {
    let forgetful = Node {
        behind: 0,
        depth: 8,
    };
    let mut bench = nodes(&[ARCHIVE, forgetful], true).await;
    bench.pool.strategy = Strategy::Spread;
    bench.at = ScanAt::Pinned;
    let (outcome, rows) = bench.scan(1_000).await;
    assert_eq!((outcome.ending, known(&rows)), (Ending::Complete, 1_000));
    // Fifty calls have work; each height given up costs those under way and no more.
    assert!(bench.calls(1) < 100, "{} calls", bench.calls(1));
}

/// A node of the present whose amounts grow with each block; one that lies tells one more.
async fn growing(bench: &mut Bench, provider: usize, lies: u64) -> Arc<Mutex<Vec<Option<u64>>>> {
    let asked: Arc<Mutex<Vec<Option<u64>>>> = Arc::default();
    let heights = asked.clone();
    let caps = bench.providers[provider].caps;
    bench.rewrite(provider, caps, move |request: &BalancesRequest, now| {
        heights.lock().unwrap().push(request.at_height);
        let mut answers = ARCHIVE.answer(request, now)?;
        for answer in &mut answers {
            if let Outcome::Known { amount, height, .. } = &mut answer.outcome {
                amount.0 += ruint::aliases::U256::from(height.unwrap() + lies);
            }
        }
        Ok(answers)
    });
    asked
}

#[tokio::test(start_paused = true)]
async fn a_pinned_pass_is_compared_at_its_own_height() {
    for lies in [0, 1] {
        let mut bench = nodes(&[ARCHIVE, ARCHIVE], true).await;
        bench.at = ScanAt::Pinned;
        bench.sample = Some(100.0);
        growing(&mut bench, 0, 0).await;
        let asked = growing(&mut bench, 1, lies).await;
        let (outcome, _) = bench.scan_only(100).await;
        assert_eq!(outcome.ending, Ending::Complete);
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::SeqCst);
        assert_eq!(count(&bench.progress.sampled), 100);
        assert_eq!(count(&bench.progress.mismatches), lies * 100);
        let asked = asked.lock().unwrap();
        assert!(asked.iter().all(|at| *at == Some(100)), "{asked:?}");
    }
    // Who cannot read there is not compared with: its amounts are of another height.
    let mut bench = nodes(&[ARCHIVE, ARCHIVE], true).await;
    bench.at = ScanAt::Pinned;
    bench.sample = Some(100.0);
    let caps = Caps {
        pinned: false,
        ..bench.providers[1].caps
    };
    bench.rewrite(1, caps, |request, now| ARCHIVE.answer(request, now));
    bench.scan_only(50).await;
    let sampled = bench.progress.sampled.load(Ordering::SeqCst);
    assert_eq!((sampled, bench.calls(1)), (0, 0));
}
