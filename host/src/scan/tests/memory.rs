//! Memory while a list is scanned, which must not grow with it. `make bench` measures the same with
//! the store.

use std::process::Command;

use super::*;
use crate::ledger::{ChunkCommit, LedgerError};

/// Tells a second process of this test how many addresses to scan.
const ADDRESSES: &str = "SCANHOST_TEST_MEMORY_ADDRESSES";

const THIS_TEST: &str = "scan::tests::memory::memory_does_not_grow_with_the_list";

const SHORT: usize = 5_000;
const LONG: usize = 80_000;
/// For whatever fills up once. A list kept in memory would take twice as much for `LONG`.
const MARGIN_KIB: usize = 8 << 10;

/// Takes everything and keeps nothing.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    async fn commit(&self, _chunk: ChunkCommit) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// Scans and reports that many addresses, a third of them refused; then the peak of this process.
async fn scan_alone(addresses: usize) -> Option<usize> {
    let script = |request: &BalancesRequest, _: Duration| {
        let mut answers = honest(request);
        for answer in answers.iter_mut().step_by(3) {
            answer.outcome = Outcome::Unknown(CallError::new(Class::Refused, "scripted"));
        }
        Ok(answers)
    };
    let bench = Bench::new(false).await.with(1_000, script);
    let list = bench.list(addresses).await;
    let pass = bench.begin(addresses as u64).await;
    let outcome = bench.run_into(Arc::new(Nowhere), &list, &pass).await;
    assert_eq!(outcome.ending, Ending::Complete);
    let report = Report {
        chain: &bench.chain,
        pass: None,
        assets: &bench.assets,
        rest: &outcome.rest,
        ledger: &bench.ledger,
    };
    let mut rows = 0;
    let mut tell = |_: Row| -> Result<(), ScanError> {
        rows += 1;
        Ok(())
    };
    report.tell(&list, &mut tell).await.unwrap();
    assert_eq!(rows, addresses, "every asked cell has its row");
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak?.trim().strip_suffix(" kB")?.parse().ok()
}

/// The same in a process of its own; `None` where the system does not tell the peak.
fn peak_kib(addresses: usize) -> Option<usize> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", THIS_TEST])
        .env(ADDRESSES, addresses.to_string())
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    let said = String::from_utf8(child.stdout).unwrap();
    let peak = said.lines().find_map(|line| line.strip_prefix("peak "));
    peak.expect("the scan tells its peak").parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_list() {
    // The process that is measured is this test once more.
    if let Some(addresses) = std::env::var_os(ADDRESSES) {
        let addresses = addresses.to_str().unwrap().parse().unwrap();
        let peak = scan_alone(addresses).await;
        let peak = peak.map_or_else(|| "unknown".to_owned(), |kib| kib.to_string());
        println!("\npeak {peak}");
        return;
    }
    let (Some(short), Some(long)) = (peak_kib(SHORT), peak_kib(LONG)) else {
        return;
    };
    assert!(
        long <= short + short / 5 + MARGIN_KIB,
        "{short} KiB for {SHORT} addresses, {long} KiB for {LONG}"
    );
}
