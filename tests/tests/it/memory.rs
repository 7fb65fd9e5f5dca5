//! Memory does not grow with the list.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::lab::{Lab, Plugin, Setup};
use crate::running::Running;

/// What caches of a fixed size take that a short list does not fill: pages of the store above all.
const CACHES_KIB: u64 = 40 * 1024;

/// The most memory that a scan of so many addresses took, in KiB.
#[track_caller]
fn peak_kib(count: usize) -> u64 {
    let mut lab = Lab::new(Plugin::BscRpc, 1);
    lab.assets.truncate(1);
    lab.set_up(&Setup::of(&["first"]).chain("scan = { budget = \"120s\" }"));
    // Addresses of which the ledger was told nothing hold zero.
    let mut list = String::from("address\n");
    for index in 0..count {
        let _ = writeln!(list, "0x{index:040x}");
    }
    lab.product.write("list.csv", list);
    let arguments = ["scan", "--format", "csv", "--output", "rows.csv"];
    let mut scan = Running::start(&lab.product, &arguments);
    let status = format!("/proc/{}/status", scan.pid());
    let mut peak = 0;
    // The kernel keeps the peak; the last look before the end is close to it.
    lab.watch(|| {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        peak = kib.and_then(|kib| kib.parse().ok()).unwrap_or(peak);
        scan.has_ended()
    });
    let _ = scan.end().expect(0);
    let rows = std::fs::read_to_string(lab.product.folder().join("rows.csv"));
    let rows = rows.expect("it was written");
    assert_eq!(rows.lines().count(), count + 1);
    assert_eq!(rows.matches(",known,0,").count(), count);
    assert!(peak > 0, "/proc tells");
    peak
}

#[track_caller]
fn check(few: usize, many: usize) {
    let [few_kib, many_kib] = [few, many].map(peak_kib);
    let told = format!("{few} addresses: {few_kib} KiB; {many}: {many_kib} KiB");
    let _ = writeln!(std::io::stderr(), "{told}");
    assert!(many_kib <= few_kib + few_kib / 5 + CACHES_KIB, "{told}");
}

#[test]
fn a_hundred_thousand_addresses_take_hardly_more_than_ten_thousand() {
    check(10_000, 100_000);
}

#[test]
fn soak_a_million_addresses_take_hardly_more_than_ten_thousand() {
    check(10_000, 1_000_000);
}
