//! What a commit does to balances, holes, history, counts and events.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_first_value_is_history_but_no_change_event() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let committed = ledger
        .commit(readings(&pass.id, vec![known("0xaa", &bnb(), "0", 5)]))
        .await
        .unwrap();
    assert_eq!(committed.changes.len(), 1);
    assert_eq!(committed.changes[0].previous, None);
    assert!(committed.events.is_empty());
    let history = ledger
        .history(&BalanceFilter::default(), 0, 10)
        .await
        .unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].previous, None);
    assert_eq!(kinds(&ledger).await, ["scan_started"]);
}

#[tokio::test]
async fn a_change_is_kept_with_what_was_before() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    for (amount, observed_at) in [("7", 5), ("7", 6), ("9", 1_795_219_200_007)] {
        let reading = at_height("0xaa", &usdt(), amount, observed_at, Some(100));
        ledger
            .commit(readings(&pass.id, vec![reading]))
            .await
            .unwrap();
    }
    let history = ledger
        .history(&BalanceFilter::default(), 0, 10)
        .await
        .unwrap();
    let amounts: Vec<_> = history
        .iter()
        .map(|row| (row.previous, row.amount))
        .collect();
    assert_eq!(
        amounts,
        [(None, amount("7")), (Some(amount("7")), amount("9")),]
    );
    assert_eq!(history[1].provider.as_str(), "bsc-dataseed");
    assert_eq!(history[1].height, Some(100));
    assert_eq!(history[1].pass, pass.id);
    let last = events(&ledger).await.pop().unwrap();
    assert_eq!(last.kind, "balance_changed");
    assert_eq!(
        last.data,
        json!({
            "chain": "bsc", "address": "0xaa", "asset": "USDT",
            "previous": "7", "amount": "9", "at": "2026-11-21T00:00:00.007Z",
        })
    );
    // Three commits of one cell are one known cell.
    let pass = ledger.pass(&pass.id).await.unwrap().unwrap();
    assert_eq!((pass.counters.known, pass.counters.funded), (1, 1));
}

#[test]
fn only_a_known_reading_can_be_stored() {
    let reason = Reason::host(Class::Timeout, "no answer");
    for reading in [
        Reading::Unknown {
            reason: reason.clone(),
        },
        Reading::Invalid { reason },
    ] {
        let source = ReadingSource {
            provider: "p".into(),
            scope: "wallet".to_owned(),
            observed_at: 1,
        };
        assert_eq!(KnownReading::new("0xaa", &bnb(), &reading, source), None);
    }
}

#[tokio::test]
async fn the_last_good_value_stays_when_a_hole_is_committed() {
    let store = Store::new();
    let ledger = store.open().await;
    let first = ledger.begin_pass(set_pass("a")).await.unwrap();
    ledger
        .commit(readings(
            &first.id,
            vec![known("0xaa", &bnb(), "7", START_MS)],
        ))
        .await
        .unwrap();
    ledger
        .end_pass(&first.id, PassEnd::Complete, Vec::new())
        .await
        .unwrap();

    store.clock.advance(Duration::from_secs(60));
    let second = ledger.begin_pass(set_pass("a")).await.unwrap();
    let lost = hole("0xaa", &bnb(), Class::Timeout, true);
    ledger
        .commit(ChunkCommit {
            holes: vec![lost.clone()],
            asked: 1,
            ..chunk(&second.id)
        })
        .await
        .unwrap();
    let rows = ledger
        .rows_for(&second.id, &["0xaa", "0xbb"])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert!(!row.known_in_pass);
    assert_eq!(row.balance.as_ref().unwrap().amount, amount("7"));
    assert_eq!(row.balance.as_ref().unwrap().pass, first.id);
    assert_eq!(row.hole.as_ref().unwrap().reason, lost.reason);
    assert_eq!(row.hole.as_ref().unwrap().at, START_MS + 60_000);
    let pass = ledger.pass(&second.id).await.unwrap().unwrap();
    assert_eq!((pass.counters.known, pass.counters.unknown), (0, 1));
}

#[tokio::test]
async fn a_hole_goes_when_its_cell_becomes_known_and_never_comes_back() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let lost = |is_final| ChunkCommit {
        holes: vec![hole("0xaa", &bnb(), Class::Timeout, is_final)],
        ..chunk(&pass.id)
    };
    let state = || async {
        let rows = ledger.rows_for(&pass.id, &["0xaa"]).await.unwrap();
        let counters = ledger.pass(&pass.id).await.unwrap().unwrap().counters;
        (
            rows[0].hole.as_ref().map(|hole| hole.is_final),
            rows[0].known_in_pass,
            counters.known,
            counters.unknown,
        )
    };
    ledger.commit(lost(false)).await.unwrap();
    assert_eq!(state().await, (Some(false), false, 0, 1));
    ledger.commit(lost(true)).await.unwrap();
    assert_eq!(state().await, (Some(true), false, 0, 1));
    ledger
        .commit(readings(
            &pass.id,
            vec![known("0xaa", &bnb(), "1", START_MS)],
        ))
        .await
        .unwrap();
    assert_eq!(state().await, (None, true, 1, 0));
    ledger.commit(lost(true)).await.unwrap();
    assert_eq!(state().await, (None, true, 1, 0));
}

#[tokio::test]
async fn an_older_reading_answers_but_does_not_replace() {
    let store = Store::new();
    let ledger = store.open().await;
    let set = ledger.begin_pass(set_pass("a")).await.unwrap();
    let spot = ledger
        .begin_pass(PassSpec {
            kind: PassKind::Spot,
            ..set_pass("spot")
        })
        .await
        .unwrap();
    ledger
        .commit(readings(&spot.id, vec![known("0xaa", &bnb(), "9", 50)]))
        .await
        .unwrap();
    let committed = ledger
        .commit(readings(&set.id, vec![known("0xaa", &bnb(), "0", 40)]))
        .await
        .unwrap();
    assert!(committed.changes.is_empty());
    let row = balance(&ledger, "0xaa", &bnb()).await.unwrap();
    assert_eq!((row.amount, row.observed_at), (amount("9"), 50));
    let pass = ledger.pass(&set.id).await.unwrap().unwrap();
    assert_eq!((pass.counters.known, pass.counters.funded), (1, 1));
    let done = ledger
        .cells_done(&set.id, &chain(), &["0xaa"])
        .await
        .unwrap();
    assert_eq!(done, HashSet::from([CellName::new("0xaa", &bnb())]));
}

#[tokio::test]
async fn a_spot_reading_leaves_the_set_pass_its_cell() {
    let store = Store::new();
    let ledger = store.open().await;
    let set = ledger.begin_pass(set_pass("a")).await.unwrap();
    ledger
        .commit(readings(
            &set.id,
            vec![known("0xaa", &bnb(), "7", START_MS)],
        ))
        .await
        .unwrap();
    let spot = ledger
        .begin_pass(PassSpec {
            kind: PassKind::Spot,
            ..set_pass("spot")
        })
        .await
        .unwrap();
    let later = known("0xaa", &bnb(), "8", START_MS + 1);
    ledger
        .commit(readings(&spot.id, vec![later]))
        .await
        .unwrap();
    for pass in [&set.id, &spot.id] {
        let rows = ledger.rows_for(pass, &["0xaa"]).await.unwrap();
        assert!(rows[0].known_in_pass, "{pass}");
        assert_eq!(rows[0].balance.as_ref().unwrap().amount, amount("8"));
    }
    let done = ledger
        .cells_done(&set.id, &chain(), &["0xaa"])
        .await
        .unwrap();
    assert_eq!(done.len(), 1, "the set pass need not ask again");
}

#[tokio::test]
async fn counts_and_heights_are_those_of_the_rows() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    ledger
        .commit(ChunkCommit {
            readings: vec![
                at_height("0xaa", &bnb(), "0", START_MS, Some(105)),
                at_height("0xaa", &usdt(), "3", START_MS, None),
                at_height("0xbb", &bnb(), "4", START_MS, Some(101)),
            ],
            holes: vec![
                hole("0xbb", &usdt(), Class::Timeout, true),
                hole("0xcc", &bnb(), Class::InvalidAddress, true),
            ],
            events: vec![NewEvent {
                kind: "scan_token_error",
                chain: Some(chain()),
                scan: Some(pass.id.clone()),
                data: json!({ "token": "USDT" }),
            }],
            asked: 5,
            invalid_lines: 2,
            ..chunk(&pass.id)
        })
        .await
        .unwrap();
    // No height leaves the heights as they are.
    ledger
        .commit(readings(
            &pass.id,
            vec![known("0xdd", &bnb(), "0", START_MS)],
        ))
        .await
        .unwrap();
    let row = ledger.pass(&pass.id).await.unwrap().unwrap();
    let expected = PassCounters {
        asked: 6,
        known: 4,
        unknown: 1,
        invalid: 3,
        funded: 2,
        height_min: Some(101),
        height_max: Some(105),
    };
    assert_eq!(row.counters, expected);
    let done = ledger
        .cells_done(
            &pass.id,
            &chain(),
            &["0xaa", "0xbb", "0xcc", "0xdd", "0xee"],
        )
        .await
        .unwrap();
    assert_eq!(done.len(), 6);
}

#[tokio::test]
async fn a_refused_chunk_leaves_its_neighbours_whole() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let nobody = PassId::from("no such pass");
    let (first, refused, last) = tokio::join!(
        ledger.commit(readings(&pass.id, vec![known("0xaa", &bnb(), "1", 1)])),
        ledger.commit(readings(&nobody, vec![known("0xbb", &bnb(), "1", 1)])),
        ledger.commit(readings(&pass.id, vec![known("0xcc", &bnb(), "1", 1)])),
    );
    first.unwrap();
    last.unwrap();
    let refused = refused.unwrap_err();
    assert!(matches!(refused, LedgerError::NoPass { .. }), "{refused}");
    assert!(balance(&ledger, "0xbb", &bnb()).await.is_none());
    assert!(balance(&ledger, "0xcc", &bnb()).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn event_ids_grow_in_commit_order_under_concurrent_commits() {
    const WRITERS: usize = 8;
    const CHUNKS: usize = 25;
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let mut newest = ledger.newest_event();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let ledger = ledger.clone();
            let pass = pass.id.clone();
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for number in 0..CHUNKS {
                    let address = format!("0x{writer}-{number}");
                    let event = NewEvent {
                        kind: "provider_state",
                        chain: None,
                        scan: None,
                        data: json!({ "writer": writer, "number": number }),
                    };
                    let commit = ChunkCommit {
                        events: vec![event.clone(), event],
                        ..readings(&pass, vec![known(&address, &bnb(), "1", START_MS)])
                    };
                    ids.extend(ledger.commit(commit).await.unwrap().events);
                }
                ids
            })
        })
        .collect();
    // Whoever follows the events page by page misses none.
    let mut seen = Vec::new();
    let expected = 1 + WRITERS * CHUNKS * 2;
    while seen.len() < expected {
        let after = seen.last().map_or(0, |event: &StoredEvent| event.id);
        let page = ledger
            .events_after(after, &EventFilter::default(), 7)
            .await
            .unwrap();
        if page.is_empty() {
            newest.changed().await.unwrap();
        }
        seen.extend(page);
    }
    for writer in writers {
        let ids = writer.await.unwrap();
        assert!(ids.is_sorted(), "a later commit has a smaller id: {ids:?}");
    }
    let ids: Vec<i64> = seen.iter().map(|event| event.id).collect();
    let expected: Vec<i64> = (1..).take(expected).collect();
    assert_eq!(ids, expected, "ids have gaps, doubles or a wrong order");
    let pass = ledger.pass(&pass.id).await.unwrap().unwrap();
    assert_eq!(pass.counters.known, (WRITERS * CHUNKS) as u64);
}

#[tokio::test]
async fn events_are_found_by_chain_and_name() {
    let store = Store::new();
    let ledger = store.open().await;
    let event = |kind, chain: Option<&str>| NewEvent {
        kind,
        chain: chain.map(ChainName::from),
        scan: None,
        data: json!({}),
    };
    let ids = ledger
        .add_events(vec![
            event("provider_state", Some("bsc")),
            event("tx_state", Some("bsc")),
            event("provider_state", Some("btc")),
            event("provider_state", None),
        ])
        .await
        .unwrap();
    assert_eq!(ids, [1, 2, 3, 4]);
    assert_eq!(ledger.oldest_event().await.unwrap(), Some(1));
    assert_eq!(*ledger.newest_event().borrow(), 4);
    let found = async |chains: &[&str], kinds: &[&str], after| {
        let filter = EventFilter {
            chains: chains.iter().copied().map(ChainName::from).collect(),
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        };
        let events = ledger.events_after(after, &filter, 10).await.unwrap();
        events.into_iter().map(|event| event.id).collect::<Vec<_>>()
    };
    assert_eq!(found(&[], &[], 2).await, [3, 4]);
    assert_eq!(found(&["bsc"], &[], 0).await, [1, 2]);
    assert_eq!(found(&[], &["provider_state"], 0).await, [1, 3, 4]);
    assert_eq!(found(&["bsc", "btc"], &["provider_state"], 1).await, [3]);
}

#[tokio::test]
async fn a_dropped_caller_leaves_a_whole_chunk_or_none() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    for number in 0..50 {
        let cells = (0..20).map(|cell| known(&format!("{number}-{cell}"), &bnb(), "1", START_MS));
        let mut commit = Box::pin(ledger.commit(readings(&pass.id, cells.collect())));
        // Polled once: handed in or not, and then forgotten.
        let _ = futures_util::poll!(&mut commit);
        drop(commit);
    }
    // A write of our own comes behind all of them.
    ledger.commit(chunk(&pass.id)).await.unwrap();
    let rows = ledger
        .balances(&BalanceFilter::default(), None, 10_000)
        .await
        .unwrap();
    assert_eq!(rows.len(), 50 * 20);
}

#[tokio::test]
async fn a_chunk_may_be_larger_than_one_statement() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let cells: Vec<_> = (0..5_000)
        .map(|number| known(&format!("0x{number:05}"), &bnb(), "1", START_MS))
        .collect();
    let holes = cells
        .iter()
        .map(|reading| hole(&reading.cell.address, &usdt(), Class::Missing, false))
        .collect();
    ledger
        .commit(ChunkCommit {
            holes,
            ..readings(&pass.id, cells)
        })
        .await
        .unwrap();
    let tokens = (0..5_000)
        .map(|number| known(&format!("0x{number:05}"), &usdt(), "2", START_MS))
        .collect();
    ledger.commit(readings(&pass.id, tokens)).await.unwrap();
    let counters = ledger.pass(&pass.id).await.unwrap().unwrap().counters;
    assert_eq!((counters.known, counters.unknown), (10_000, 0));
}

#[tokio::test]
async fn balances_come_in_pages_ordered_by_chain_address_and_asset() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let cells = (0..30)
        .rev()
        .flat_map(|number| {
            let address = format!("0x{number:02}");
            [
                known(&address, &usdt(), "1", START_MS),
                known(&address, &bnb(), "1", START_MS),
            ]
        })
        .collect();
    ledger.commit(readings(&pass.id, cells)).await.unwrap();
    let mut rows: Vec<BalanceRow> = Vec::new();
    loop {
        let after = rows.last().map(BalanceRow::cursor);
        let page = ledger
            .balances(&BalanceFilter::default(), after.as_ref(), 7)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    assert_eq!(rows.len(), 60);
    assert!(rows.is_sorted_by_key(|row| row.cell.clone()));
    let filter = BalanceFilter {
        chains: vec![chain()],
        addresses: vec!["0x03".to_owned(), "0x04".to_owned()],
        assets: vec![String::new()],
        ..BalanceFilter::default()
    };
    let rows = ledger.balances(&filter, None, 100).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.symbol.as_str() == "BNB"));
    // A native coin of another chain has the same key.
    for (name, count) in [(chain(), 30), ("another".into(), 0)] {
        let filter = BalanceFilter {
            assets_of: vec![(name, String::new())],
            ..BalanceFilter::default()
        };
        let rows = ledger.balances(&filter, None, 100).await.unwrap();
        assert_eq!(rows.len(), count);
    }
}

#[tokio::test]
async fn sums_are_exact_beyond_any_float() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let max = Amount(ruint::aliases::U256::MAX).to_string();
    let cells = vec![
        known("0xaa", &bnb(), "9007199254740993", START_MS),
        known("0xbb", &bnb(), "1", START_MS),
        known("0xcc", &bnb(), "0", START_MS),
        known("0xaa", &usdt(), &max, START_MS),
        known("0xbb", &usdt(), &max, START_MS),
    ];
    ledger.commit(readings(&pass.id, cells)).await.unwrap();
    let totals = ledger.totals(&BalanceFilter::default()).await.unwrap();
    let sums: Vec<_> = totals
        .iter()
        .map(|total| {
            (
                total.symbol.as_str(),
                total.sum.as_str(),
                total.cells,
                total.funded,
            )
        })
        .collect();
    // Twice 2^256 - 1.
    let twice = "231584178474632390847141970017375815706539969331281128078915168015826259279870";
    assert_eq!(
        sums,
        [("BNB", "9007199254740994", 3, 2), ("USDT", twice, 2, 2)]
    );
    let row = balance(&ledger, "0xaa", &usdt()).await.unwrap();
    assert_eq!(row.amount.to_string(), max);
}

/// One step of a random pass over two addresses and two assets.
#[derive(Clone, Debug)]
enum Step {
    Reading { cell: usize, amount: u8, age: i64 },
    Hole { cell: usize, is_final: bool },
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let reading = (0_usize..4, 0_u8..3, 0_i64..5).prop_map(|(cell, amount, age)| Step::Reading {
        cell,
        amount,
        age,
    });
    let hole =
        (0_usize..4, any::<bool>()).prop_map(|(cell, is_final)| Step::Hole { cell, is_final });
    let step = prop_oneof![reading, hole];
    proptest::collection::vec(proptest::collection::vec(step, 0..5), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn counters_equal_the_rows_after_any_commits(chunks in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::new();
            let ledger = store.open().await;
            let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
            let cell_of = |cell: usize| {
                (["0xaa", "0xbb"][cell / 2], if cell.is_multiple_of(2) { bnb() } else { usdt() })
            };
            for steps in chunks {
                let mut commit = chunk(&pass.id);
                for step in steps {
                    match step {
                        Step::Reading { cell, amount, age } => {
                            let (address, asset) = cell_of(cell);
                            let at = START_MS - age;
                            commit.readings.push(known(address, &asset, &amount.to_string(), at));
                        }
                        Step::Hole { cell, is_final } => {
                            let (address, asset) = cell_of(cell);
                            commit.holes.push(hole(address, &asset, Class::Timeout, is_final));
                        }
                    }
                }
                ledger.commit(commit).await.unwrap();
                let counters = ledger.pass(&pass.id).await.unwrap().unwrap().counters;
                let rows = ledger.rows_for(&pass.id, &["0xaa", "0xbb"]).await.unwrap();
                let count = |wanted: &dyn Fn(&CellRow) -> bool| {
                    rows.iter().filter(|row| wanted(row)).count() as u64
                };
                prop_assert_eq!(counters.known, count(&|row| row.balance.is_some()));
                prop_assert_eq!(counters.unknown, count(&|row| row.hole.is_some()));
                let funded = |row: &CellRow| {
                    row.balance.as_ref().is_some_and(|balance| !balance.amount.0.is_zero())
                };
                prop_assert_eq!(counters.funded, count(&funded));
                prop_assert_eq!(0, count(&|row| row.hole.is_some() && row.known_in_pass));
            }
            Ok(())
        })?;
    }
}
