//! A process that is killed while it writes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

/// Tells a second process of this test which store to write to.
const STORE: &str = "SCANHOST_TEST_KILLED_STORE";

const THIS_TEST: &str = "ledger::tests::killed::\
    a_killed_process_leaves_whole_chunks_and_every_acknowledged_one";

const CELLS: usize = 20;

/// Commits chunk after chunk until it is killed, and prints each one that was acknowledged.
async fn commit_until_killed(store: &Path) {
    let clock = Store::new().shared_clock();
    let ledger = Ledger::open(&url_of(store), clock).await.unwrap();
    let pass = ledger.begin_pass(set_pass("a")).await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let ledger = ledger.clone();
            let pass = pass.id.clone();
            tokio::spawn(async move {
                for number in 0_u64.. {
                    let name = format!("{}-{writer}-{number}", std::process::id());
                    let cells =
                        (0..CELLS).map(|cell| known(&format!("{name}/{cell}"), &bnb(), "1", 1));
                    ledger
                        .commit(readings(&pass, cells.collect()))
                        .await
                        .unwrap();
                    writeln!(std::io::stdout(), "acknowledged {name}").unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_whole_chunks_and_every_acknowledged_one() {
    // The process that is killed is this test once more.
    if let Some(store) = std::env::var_os(STORE) {
        return commit_until_killed(Path::new(&store)).await;
    }
    let store = Store::new();
    let mut acknowledged: Vec<String> = Vec::new();
    let mut pass = None;
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", THIS_TEST])
            .env(STORE, OsString::from(store.path()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let names = |line: std::io::Result<String>| {
            line.ok()
                .and_then(|line| line.strip_prefix("acknowledged ").map(str::to_owned))
        };
        acknowledged.extend(lines.by_ref().filter_map(names).take(10 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.filter_map(names));

        // The lock went with the process, and the pass goes on.
        let ledger = store.open().await;
        let again = ledger.begin_pass(set_pass("a")).await.unwrap();
        assert!(again.resumed);
        assert_eq!(*pass.get_or_insert_with(|| again.id.clone()), again.id);
        let rows = ledger
            .balances(&BalanceFilter::default(), None, u32::MAX)
            .await
            .unwrap();
        let mut chunks: HashMap<&str, usize> = HashMap::new();
        for row in &rows {
            let (name, _) = row.cell.address.split_once('/').unwrap();
            *chunks.entry(name).or_default() += 1;
        }
        for (name, cells) in &chunks {
            assert_eq!(*cells, CELLS, "chunk {name} is torn");
        }
        for name in &acknowledged {
            assert!(chunks.contains_key(name.as_str()), "chunk {name} is lost");
        }
        assert_eq!(again.counters.known, rows.len() as u64);
        assert_eq!(again.counters.asked, rows.len() as u64);
        ledger.close().await;
    }
    assert!(acknowledged.len() >= 60);
}
