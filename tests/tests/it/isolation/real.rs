//! Real plugins in processes of their own: they read what they read inside, and leave nothing behind.

use std::path::PathBuf;
use std::{fs, io};

use scanhost_tests::upstream::{Fault, Kind};
use serde_json::Value;

use super::{ADDRESSES, Lab as CrashLab, isolated};
use crate::lab::{Lab, Plugin, Setup, wait_until};
use crate::running::Running;
use crate::served::Served;

const COUNT: usize = 250;
const ISOLATED: &str = "isolation = \"process\"\n";

/// What a scan printed, without when it was seen.
fn told(lab: &Lab) -> Vec<Value> {
    let run = lab.scan(&["--fresh"]).expect(0);
    lab.expect_all_known(&run);
    let mut rows = run.rows();
    for row in &mut rows {
        row.as_object_mut()
            .expect("it is one")
            .remove("observed_at");
    }
    rows
}

#[test]
fn every_plugin_reads_in_a_process_what_it_reads_inside() {
    for plugin in Plugin::ALL {
        let lab = Lab::new(plugin, COUNT);
        let inside = told(&lab);
        lab.set_up(&Setup::of(&["first"]).first(ISOLATED));
        let sent = lab.upstream.log().len();
        assert_eq!(told(&lab), inside, "{}", plugin.name());
        let sent = (sent, lab.upstream.log().len() - sent);
        // One identity more or less: circuits remember.
        assert!(sent.0.abs_diff(sent.1) <= 1, "{}: {sent:?}", plugin.name());
    }
}

#[test]
fn a_slow_service_is_a_timeout_and_no_fault_of_the_plugin() {
    let lab = Lab::new(Plugin::BscRpc, 3);
    lab.set_up(&Setup::of(&["first"]).first(&format!("{ISOLATED}timeout = \"300ms\"\n")));
    lab.fault(Fault::at("first", Kind::Hang));
    for row in lab.scan(&[]).expect(3).rows() {
        let told = &row["error"]["providers"][0];
        assert_eq!(told["class"], "timeout", "{row}");
    }
}

#[test]
fn addresses_are_derived_in_a_process_too() {
    let lab = Lab::new(Plugin::Blockstream, 1);
    let derive = || {
        let key = crate::derive::SEGWIT;
        let run = lab
            .product
            .run(&["addresses", "derive", "--chain", "btc", "--key", key]);
        run.expect(0).stdout
    };
    let inside = derive();
    assert!(
        inside.contains("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"),
        "{inside}"
    );
    lab.set_up(&Setup::of(&["first"]).first(ISOLATED));
    assert_eq!(derive(), inside);
}

/// The children of a process that are plugins' own.
#[cfg(target_os = "linux")]
fn children_of(parent: u32) -> Vec<u32> {
    let parent = parent.to_string();
    let of = |pid: u32| -> io::Result<bool> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        let name = fs::read_to_string(format!("/proc/{pid}/cmdline"))?;
        Ok(line.map(str::trim) == Some(&parent) && name.contains("plugin-child"))
    };
    let entries = fs::read_dir("/proc").expect("it is Linux").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // One that ends meanwhile is none.
    pids.filter(|pid| of(*pid).unwrap_or(false)).collect()
}

#[cfg(target_os = "linux")]
fn lives(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[cfg(target_os = "linux")]
#[test]
fn a_host_that_is_killed_leaves_no_process_behind() {
    let lab = Lab::new(Plugin::BscRpc, 3);
    lab.set_up(&Setup::of(&["first"]).first(&format!("{ISOLATED}timeout = \"60s\"\n")));
    lab.fault(Fault::at("first", Kind::Hang));
    let scan = Running::scan(&lab.product);
    wait_until(|| !lab.upstream.log().is_empty());
    let children = children_of(scan.pid());
    assert_eq!(children.len(), 1);
    scan.kill();
    wait_until(|| children.iter().all(|pid| !lives(*pid)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_outlives_its_crashing_plugins_and_a_reload_leaves_one_process_each() {
    let crashing = CrashLab::new();
    let options = isolated("crash = \"every_second\"");
    let product = crashing.product(&["odd", "next"], "fixture-crashes", &options);
    let mut served = Served::start(&product);
    for _ in 0..3 {
        let scan = served.ended(&served.scan("odd"));
        assert_eq!(scan["known"], ADDRESSES.len(), "{scan}");
    }
    let config: PathBuf = product.folder().join("scanhost.toml");
    let text = fs::read_to_string(&config).expect("it was written");
    product.write(
        "scanhost.toml",
        text.replace("pool = [\"odd\", \"next\"]", "pool = [\"next\"]"),
    );
    let service = served.running().pid();
    assert!(children_of(service).len() <= 1);
    served.post("reload", &Value::Null).expect(200);
    // Who is in no pool any more has no process.
    wait_until(|| children_of(service).is_empty());
    let scan = served.ended(&served.scan("odd"));
    assert_eq!(scan["known"], ADDRESSES.len(), "{scan}");
    assert_eq!(served.stop().code, 0);
}
