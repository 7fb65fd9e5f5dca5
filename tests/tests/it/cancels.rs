//! A signal at any stage: the pass ends `cancelled` with one last event, and every cell has its row.

use std::io::Write as _;

use scanhost_tests::product::Run;
use scanhost_tests::upstream::{BodyForm, Fault, Kind};

use crate::lab::{self, Lab, Plugin, Setup};
use crate::running::Running;

const SIGNALS: [&str; 2] = ["-INT", "-TERM"];
const PATIENT: &str = "scan = { budget = \"120s\" }\n";

/// Signals a scan once it is where `is_there` waits for.
#[track_caller]
fn check(lab: &Lab, signal: &str, is_there: impl Fn(&mut Running)) -> Run {
    let mut scan = Running::scan(&lab.product);
    is_there(&mut scan);
    scan.signal(signal);
    let run = scan.end().expect(1);
    check_cancelled(lab, &run);
    run
}

/// The run told every cell; the store agrees with it, and has one last event for each pass.
#[track_caller]
fn check_cancelled(lab: &Lab, run: &Run) {
    let rows = lab.expect_honest(run, &lab.truth(), None);
    let unknown: Vec<_> = rows
        .iter()
        .filter(|row| row["status"] == "unknown")
        .collect();
    let book = lab.book();
    book.check();
    let pass = book.pass(lab.plugin.chain()).expect("it was begun");
    assert_eq!(pass.status, "cancelled");
    let last = book.events_of(&pass.id, &["scan_error"]);
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].data["reason"], "cancelled");
    assert_eq!(last[0].data["known"], pass.known);
    // What was committed while it stopped is told.
    assert_eq!(pass.known, rows.len() - unknown.len());
    for row in unknown {
        let failed = row["error"]["providers"].as_array();
        let asked = failed.is_some_and(|failed| !failed.is_empty());
        assert!(asked || row["error"]["class"] == "cancelled", "{row}");
    }
}

#[test]
fn while_the_list_is_read() {
    for signal in SIGNALS {
        let lab = Lab::new(Plugin::BscRpc, 2_000);
        let mut scan = Running::start(
            &lab.product,
            &["scan", "--format", "json", "--addresses", "-"],
        );
        let mut stdin = scan.stdin();
        // A line that is no address is told once its thousand is read.
        let (first, rest) = lab.addresses.split_at(1_500);
        writeln!(stdin, "address\nnone\n{}", first.join("\n")).expect("it reads");
        lab.wait_until(|| scan.told() > 0);
        let told = scan.told();
        scan.signal(signal);
        lab.wait_until(|| scan.told() > told);
        writeln!(stdin, "{}", rest.join("\n")).expect("it reads");
        drop(stdin);
        let mut run = scan.end().expect(1);
        let (invalid, rows) = run.stdout.split_once('\n').expect("every line has a row");
        assert!(invalid.contains(r#""status":"invalid""#), "{invalid}");
        run.stdout = rows.to_owned();
        check_cancelled(&lab, &run);
        assert!(lab.asked("first").is_empty(), "nothing is asked any more");
    }
}

#[test]
fn while_the_identity_is_asked() {
    for signal in SIGNALS {
        let lab = Lab::new(Plugin::BscRpc, 20);
        lab.fault(Fault::at("first", Kind::Hang));
        check(&lab, signal, |_| {
            lab.wait_until(|| !lab.upstream.log().is_empty());
        });
        assert!(lab.asked("first").is_empty());
    }
}

/// Calls for one class of cells hang, those for the other are answered.
#[track_caller]
fn check_calls(plugin: Plugin, native: bool) {
    for signal in SIGNALS {
        let lab = Lab::new(plugin, 50);
        lab.set_up(&Setup::of(&["first"]).chain(PATIENT));
        let hang = Fault::at("first", Kind::Hang);
        lab.fault(if native { hang.native() } else { hang.token() });
        check(&lab, signal, |_| {
            let hangs = || {
                let asked = lab.asked("first");
                asked.iter().any(|it| it.faulty && it.status == 0)
            };
            lab.wait_until(hangs);
        });
    }
}

#[test]
fn while_natives_are_asked() {
    check_calls(Plugin::Blockstream, true);
    check_calls(Plugin::Bscscan, true);
    check_calls(Plugin::SolanaRpc, true);
}

#[test]
fn while_tokens_are_asked() {
    check_calls(Plugin::BscRpc, false);
    check_calls(Plugin::Bscscan, false);
    check_calls(Plugin::SolanaRpc, false);
}

#[test]
fn while_failed_rounds_are_spaced() {
    let body = BodyForm::Html;
    for signal in SIGNALS {
        let lab = Lab::new(Plugin::Blockstream, 1);
        let calm = format!("{PATIENT}breaker = {{ failures = 1000, cooldown = \"30s\" }}\n");
        lab.set_up(&Setup::of(&["first"]).chain(&calm));
        lab.fault(Fault::at("first", Kind::Status { code: 500, body }).native());
        // After the third failed round it waits for 4 s.
        check(&lab, signal, |_| {
            lab.wait_until(|| lab.asked("first").len() >= 3)
        });
        assert_eq!(lab.asked("first").len(), 3);
    }
}

#[test]
fn while_the_circuit_is_open() {
    let body = BodyForm::Html;
    for signal in SIGNALS {
        let lab = Lab::new(Plugin::Blockstream, 10);
        let long = format!("{PATIENT}breaker = {{ failures = 3, cooldown = \"30s\" }}\n");
        lab.set_up(&Setup::of(&["first"]).chain(&long).first("connections = 1"));
        lab.fault(Fault::at("first", Kind::Status { code: 500, body }).native());
        check(&lab, signal, |_| {
            lab.wait_until(|| lab.asked("first").len() >= 3)
        });
        assert_eq!(lab.asked("first").len(), 3);
    }
}

#[test]
fn while_chunks_are_committed() {
    for (turn, signal) in SIGNALS.into_iter().cycle().take(6).enumerate() {
        let lab = Lab::new(Plugin::BscRpc, 2_000);
        let small = "connections = 4\n[providers.first.options]\nbatch = 50\n";
        lab.set_up(&Setup::of(&["first"]).first(small).chain(PATIENT));
        lab.fault(Fault::at("first", Kind::Delay { ms: 20 }).on("eth_call"));
        let some = 5 + 7 * turn as u64;
        let run = check(&lab, signal, |scan| {
            lab.wait_until(|| !lab.asked("first").is_empty());
            lab.wait(lab::commits(lab.product.folder(), some, || {
                scan.has_ended()
            }));
        });
        // What it had it goes on with.
        let known = run
            .rows()
            .iter()
            .filter(|it| it["status"] == "known")
            .count();
        assert!(known > 0);
        lab.upstream.with(|world| {
            world.faults.clear();
            world.clear_log();
        });
        lab.expect_all_known(&lab.scan(&[]).expect(0));
        let asked = lab.asked("first");
        let asked: usize = asked.iter().map(|it| it.native + it.tokens).sum();
        assert_eq!(asked, 6_000 - known);
    }
}

#[test]
fn while_the_report_is_written() {
    for signal in SIGNALS {
        let lab = Lab::new(Plugin::BscRpc, 2_000);
        let arguments = ["scan", "--format", "json"];
        // Its pipe is full long before the last row.
        let mut scan = Running::start_unread(&lab.product, &arguments);
        let first = scan.first_byte();
        let told = scan.told();
        scan.signal(signal);
        lab.wait_until(|| scan.told() > told);
        scan.read_on_after(first.to_string());
        let run = scan.end().expect(1);
        // The pass was complete before; it has no second last event.
        lab.expect_all_known(&run);
        let book = lab.book();
        book.check();
        assert_eq!(book.pass("bsc").expect("it was begun").status, "complete");
    }
}
