//! Chunks that travel in one transaction.

use super::opening::sql;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_the_database_fails_on_leaves_nothing_and_takes_no_acknowledged_one_along() {
    let store = Store::new();
    let ledger = store.open().await;
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap().id;
    // Balances can be written, the history that follows them cannot.
    sql(&store.path(), "ALTER TABLE history RENAME TO gone").await;
    let whole = |address: &str| ChunkCommit {
        holes: vec![hole(address, &bnb(), Class::Timeout, true)],
        ..chunk(&pass)
    };
    let broken = readings(&pass, vec![known("b", &bnb(), "7", START_MS)]);
    let (first, broken, last) = tokio::join!(
        ledger.commit(whole("a")),
        ledger.commit(broken),
        ledger.commit(whole("c")),
    );
    broken.unwrap_err();
    assert_eq!(balance(&ledger, "b", &bnb()).await, None);
    for (address, commit) in [("a", first), ("c", last)] {
        let rows = ledger.rows_for(&pass, &[address]).await.unwrap();
        assert_eq!(rows.len(), usize::from(commit.is_ok()), "{address}");
    }

    sql(&store.path(), "ALTER TABLE gone RENAME TO history").await;
    let again = readings(&pass, vec![known("b", &bnb(), "7", START_MS)]);
    ledger.commit(again).await.unwrap();
    let row = balance(&ledger, "b", &bnb()).await.unwrap();
    assert_eq!(row.amount, amount("7"));
}

#[tokio::test]
async fn chunks_of_any_size_are_written_whole() {
    for size in [1, 2, 255, 256, 257, 1_000] {
        let store = Store::new();
        let ledger = store.open().await;
        let pass = ledger.begin_pass(set_pass("a")).await.unwrap().id;
        let cells = (0..size).map(|cell| known(&format!("a{cell}"), &bnb(), &cell.to_string(), 1));
        let committed = ledger
            .commit(readings(&pass, cells.collect()))
            .await
            .unwrap();
        assert_eq!(committed.changes.len(), size);
        let rows = ledger
            .balances(&BalanceFilter::default(), None, u32::MAX)
            .await
            .unwrap();
        assert_eq!(rows.len(), size);
        for row in rows {
            assert_eq!(format!("a{}", row.amount), row.cell.address);
        }
        let history = ledger
            .history(&BalanceFilter::default(), 0, u32::MAX)
            .await
            .unwrap();
        assert_eq!(history.len(), size);
    }
}
