//! When a pass goes on, and how it ends.

use super::*;

async fn seed(ledger: &Ledger, pass: &Pass) {
    ledger
        .commit(ChunkCommit {
            holes: vec![
                hole("0xbb", &bnb(), Class::Timeout, true),
                hole("0xcc", &bnb(), Class::Timeout, false),
            ],
            ..readings(&pass.id, vec![known("0xaa", &bnb(), "7", START_MS)])
        })
        .await
        .unwrap();
}

async fn done(ledger: &Ledger, pass: &Pass) -> Vec<String> {
    let cells = ledger
        .cells_done(&pass.id, &chain(), &["0xaa", "0xbb", "0xcc"])
        .await
        .unwrap();
    let mut addresses: Vec<_> = cells.into_iter().map(|cell| cell.address).collect();
    addresses.sort();
    addresses
}

#[tokio::test]
async fn ids_are_32_hex_digits_and_differ() {
    let store = Store::new();
    let ledger = store.open().await;
    let first = ledger.begin_pass(set_pass("a")).await.unwrap();
    let second = ledger.begin_pass(set_pass("b")).await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(first.id.as_str().len(), 32);
    assert!(
        first
            .id
            .as_str()
            .bytes()
            .all(|digit| digit.is_ascii_hexdigit())
    );
}

#[tokio::test]
async fn a_pass_left_running_goes_on_under_its_id() {
    let store = Store::new();
    let ledger = store.open().await;
    let first = ledger.begin_pass(set_pass("a")).await.unwrap();
    seed(&ledger, &first).await;
    ledger.close().await;

    store.clock.advance(Duration::from_secs(3_599));
    let ledger = store.open().await;
    let second = ledger.begin_pass(set_pass("a")).await.unwrap();
    assert!(second.resumed);
    assert_eq!(second.id, first.id);
    assert_eq!((second.counters.known, second.counters.unknown), (1, 2));
    assert_eq!(done(&ledger, &second).await, ["0xaa", "0xbb"]);
    assert_eq!(kinds(&ledger).await, ["scan_started"]);
}

#[tokio::test]
async fn a_pass_starts_over_when_asked_or_old_or_different() {
    for (spec, wait) in [
        (
            PassSpec {
                resume_within: None,
                ..set_pass("a")
            },
            0,
        ),
        (set_pass("a"), 3_600),
        (set_pass("another list"), 0),
    ] {
        let store = Store::new();
        let ledger = store.open().await;
        let first = ledger.begin_pass(set_pass("a")).await.unwrap();
        seed(&ledger, &first).await;
        store.clock.advance(Duration::from_secs(wait));
        let second = ledger.begin_pass(spec).await.unwrap();
        assert!(!second.resumed);
        assert_eq!(second.counters, PassCounters::default());
        assert!(done(&ledger, &second).await.is_empty());

        let first = ledger.pass(&first.id).await.unwrap().unwrap();
        assert_eq!(first.status, PassStatus::Broken);
        let events = events(&ledger).await;
        let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["scan_started", "scan_error", "scan_started"]);
        assert_eq!(events[1].scan, Some(first.id));
        assert_eq!(events[1].data["reason"], "broken");
        assert_eq!(events[1].data["known"], 1);
    }
}

#[tokio::test]
async fn another_chain_and_a_spot_pass_are_left_alone() {
    let store = Store::new();
    let ledger = store.open().await;
    let set = ledger.begin_pass(set_pass("a")).await.unwrap();
    let spot = PassSpec {
        kind: PassKind::Spot,
        ..set_pass("a")
    };
    let spot = ledger.begin_pass(spot).await.unwrap();
    assert!(!spot.resumed);
    let elsewhere = PassSpec {
        chain: "btc".into(),
        ..set_pass("a")
    };
    ledger.begin_pass(elsewhere).await.unwrap();
    for pass in [&set, &spot] {
        let pass = ledger.pass(&pass.id).await.unwrap().unwrap();
        assert_eq!(pass.status, PassStatus::Running);
    }
}

#[tokio::test]
async fn a_pass_ends_once_with_its_totals() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    seed(&ledger, &pass).await;
    store.clock.advance(Duration::from_millis(1_500));
    let row = ledger
        .end_pass(&pass.id, PassEnd::Complete, Vec::new())
        .await
        .unwrap();
    assert_eq!(row.status, PassStatus::Complete);
    assert_eq!(row.ended_at, Some(START_MS + 1_500));
    let error = ledger
        .end_pass(&pass.id, PassEnd::Complete, Vec::new())
        .await
        .unwrap_err();
    assert!(matches!(error, LedgerError::PassEnded { .. }), "{error}");
    let late = ledger
        .commit(readings(
            &pass.id,
            vec![known("0xdd", &bnb(), "1", START_MS)],
        ))
        .await
        .unwrap_err();
    assert!(matches!(late, LedgerError::PassEnded { .. }), "{late}");
    assert!(balance(&ledger, "0xdd", &bnb()).await.is_none());

    let events = events(&ledger).await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].kind, "scan_complete");
    assert_eq!(
        events[1].data,
        serde_json::json!({
            "scan": pass.id, "chain": "bsc", "asked": 1, "known": 1, "unknown": 2, "invalid": 0,
            "funded": 1, "height_min": null, "height_max": null, "elapsed_ms": 1_500,
        })
    );
    let again = ledger.begin_pass(set_pass("a")).await.unwrap();
    assert!(!again.resumed, "a complete pass is not continued");
}

#[tokio::test]
async fn a_pass_cancelled_by_a_signal_goes_on_under_a_new_id() {
    for resumable in [true, false] {
        let store = Store::new();
        let ledger = store.open().await;
        let first = ledger.begin_pass(set_pass("a")).await.unwrap();
        seed(&ledger, &first).await;
        let end = PassEnd::Cancelled {
            message: "interrupted".to_owned(),
            resumable,
        };
        ledger.end_pass(&first.id, end, Vec::new()).await.unwrap();
        let second = ledger.begin_pass(set_pass("a")).await.unwrap();
        assert_eq!(second.resumed, resumable);
        assert_ne!(second.id, first.id, "the first one had its last event");
        if resumable {
            assert_eq!((second.counters.known, second.counters.funded), (1, 1));
            assert_eq!(
                done(&ledger, &second).await,
                ["0xaa"],
                "holes are asked again"
            );
        } else {
            assert!(done(&ledger, &second).await.is_empty());
        }
        assert_eq!(
            kinds(&ledger).await,
            ["scan_started", "scan_error", "scan_started"]
        );
        let first = ledger.pass(&first.id).await.unwrap().unwrap();
        assert_eq!(first.status, PassStatus::Cancelled);
        assert_eq!(first.counters.known, 1);
    }
}

#[tokio::test]
async fn a_cancelled_pass_does_not_come_back_after_a_newer_one() {
    let store = Store::new();
    let ledger = store.open().await;
    let first = ledger.begin_pass(set_pass("a")).await.unwrap();
    let end = PassEnd::Cancelled {
        message: "interrupted".to_owned(),
        resumable: true,
    };
    ledger.end_pass(&first.id, end, Vec::new()).await.unwrap();
    let fresh = PassSpec {
        resume_within: None,
        ..set_pass("a")
    };
    let second = ledger.begin_pass(fresh).await.unwrap();
    ledger
        .end_pass(&second.id, PassEnd::Complete, Vec::new())
        .await
        .unwrap();
    let third = ledger.begin_pass(set_pass("a")).await.unwrap();
    assert!(!third.resumed);
    let ids: Vec<_> = ledger
        .passes(&chain(), 10)
        .await
        .unwrap()
        .into_iter()
        .map(|pass| pass.id)
        .collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_spot_pass_of_a_dead_process_ends_when_the_store_is_opened() {
    let store = Store::new();
    let ledger = store.open().await;
    let set = ledger.begin_pass(set_pass("a")).await.unwrap();
    let spot = PassSpec {
        kind: PassKind::Spot,
        ..set_pass("a")
    };
    let spot = ledger.begin_pass(spot).await.unwrap();
    ledger.close().await;
    let ledger = store.open().await;
    let status = async |id| ledger.pass(id).await.unwrap().unwrap().status;
    assert_eq!(status(&spot.id).await, PassStatus::Broken);
    assert_eq!(status(&set.id).await, PassStatus::Running);
    assert_eq!(
        kinds(&ledger).await,
        ["scan_started", "scan_started", "scan_error"]
    );
}
