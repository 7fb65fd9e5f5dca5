//! Virtual time does not run ahead of the database.

use super::*;
use crate::clock::VirtualClock;

#[tokio::test(start_paused = true)]
async fn virtual_time_stands_still_while_the_store_works() {
    // A timer of every millisecond: whenever time could move, it would.
    let ticking = tokio::spawn(async {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        loop {
            ticks.tick().await;
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let url = url_of(&folder.path().join("scanhost.db"));
    let clock = Arc::new(VirtualClock::starting_at(START_MS));
    let began = clock.now();
    let check = |step: &str| assert_eq!(clock.now() - began, Duration::ZERO, "{step}");

    let ledger = Ledger::open(&url, clock.clone()).await.unwrap();
    check("opening");
    let pass = ledger.begin_pass(set_pass("virtual")).await.unwrap();
    let commit = |index: usize| {
        let chunk = ChunkCommit {
            readings: vec![known(&format!("a{index}"), &bnb(), "7", START_MS)],
            asked: 1,
            ..ChunkCommit::of(pass.id.clone())
        };
        ledger.commit(chunk)
    };
    futures_util::future::try_join_all((0..100).map(commit))
        .await
        .unwrap();
    check("writing");
    let rows = ledger.rows_for(&pass.id, &["a7"]).await.unwrap();
    assert_eq!(rows.len(), 1);
    check("reading");
    ledger
        .end_pass(&pass.id, PassEnd::Complete, Vec::new())
        .await
        .unwrap();
    ledger.close().await;
    check("closing");
    let looked = Ledger::open_read_only(&url, clock.clone()).await.unwrap();
    looked.close().await;
    check("looking");
    ticking.abort();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_waits_for_holds_the_time_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let url = url_of(&folder.path().join("scanhost.db"));
    let clock = Arc::new(VirtualClock::starting_at(START_MS));
    let ledger = Ledger::open(&url, clock.clone()).await.unwrap();
    let mut newest = ledger.newest_event();
    let began = clock.now();
    let event = NewEvent {
        kind: "provider_state",
        chain: Some(chain()),
        scan: None,
        data: serde_json::json!({}),
    };
    {
        let mut write = Box::pin(ledger.add_events(vec![event]));
        // Handed in, then dropped.
        assert!(futures_util::poll!(&mut write).is_pending());
    }
    tokio::select! {
        biased;
        changed = newest.changed() => changed.unwrap(),
        () = tokio::time::sleep(Duration::from_millis(1)) => {
            panic!("time went on before the write was done");
        }
    }
    assert_eq!(clock.now(), began);
}
