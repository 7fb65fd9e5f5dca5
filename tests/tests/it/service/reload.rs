use scanhost_tests::upstream::{Fault, Kind};
use serde_json::{Value, json};

use crate::lab::{Lab, Plugin, Setup};
use crate::served::Served;

fn slow(pool: &[&'static str]) -> Lab {
    let lab = Lab::new(Plugin::Blockstream, 300);
    lab.set_up(&Setup::of(pool).first("connections = 4"));
    for host in ["first", "second"] {
        lab.fault(Fault::at(host, Kind::Delay { ms: 10 }));
    }
    lab
}

fn known(served: &Served, id: &str) -> u64 {
    let scan = served.get(&format!("scans/{id}")).expect(200);
    scan["known"].as_u64().expect("it counts")
}

#[test]
fn reloads_under_load_lose_no_cell_and_ask_nothing_again_but_what_was_in_flight() {
    const RELOADS: u64 = 6;
    let lab = slow(&["first"]);
    let served = Served::start(&lab.product);
    let id = served.scan("btc");
    let spot = json!({ "chain": "btc", "addresses": lab.addresses[..40] });
    let spot = served.post("scans", &spot).expect(202)["id"].clone();
    for round in 1..=RELOADS {
        lab.wait_until(|| known(&served, &id) >= 30 * round);
        let pool: &[&str] = if round % 2 == 1 {
            &["second", "first"]
        } else {
            &["first"]
        };
        lab.set_up(&Setup::of(pool).first("connections = 4"));
        served.post("reload", &Value::Null).expect(200);
        assert_eq!(served.get("chains/btc").expect(200)["pool"], json!(pool));
    }
    let scan = served.ended(&id);
    assert_eq!(
        (&scan["status"], &scan["known"]),
        (&json!("complete"), &json!(300)),
        "{scan}"
    );
    let spot = served.ended(spot.as_str().unwrap());
    assert_eq!(
        (&spot["status"], &spot["known"]),
        (&json!("complete"), &json!(40)),
        "{spot}"
    );
    let asked = lab.asked("first").len() + lab.asked("second").len();
    let at_most = 340 + usize::try_from(RELOADS).unwrap() * 2 * 8;
    assert!((340..=at_most).contains(&asked), "{asked} requests");
    assert!(!lab.asked("second").is_empty(), "the new provider was used");
    assert_eq!(served.stop().code, 0);
    let book = lab.book();
    book.check();
    assert_eq!(book.passes.len(), 2, "{:?}", book.passes);
}

#[test]
fn a_file_with_mistakes_changes_nothing_and_all_of_them_are_told() {
    let lab = slow(&["first"]);
    let mut served = Served::start(&lab.product);
    let id = served.scan("btc");
    let good = std::fs::read_to_string(lab.product.folder().join("scanhost.toml")).unwrap();
    let bad = good.replace(
        "pool = [\"first\"]",
        "pool = [\"frist\"]\nstrategy = \"spred\"",
    );
    lab.product.write("scanhost.toml", bad);
    let problem = served
        .post("reload", &Value::Null)
        .problem(422, "invalid_configuration");
    let mistakes = problem["errors"].to_string();
    for (what, hint) in [("frist", "first"), ("spred", "spread")] {
        assert!(
            mistakes.contains(what) && mistakes.contains(hint),
            "{mistakes}"
        );
    }
    assert!(mistakes.contains("scanhost.toml:"), "{mistakes}");
    assert_eq!(
        served.get("chains/btc").expect(200)["pool"],
        json!(["first"])
    );
    // By signal it is told in the log.
    served.running().signal("-HUP");
    let running = std::cell::RefCell::new(served.running());
    lab.wait_until(|| running.borrow().said().contains("the one before stays"));
    let said = running.borrow().said();
    assert!(said.contains("frist"), "{said}");
    assert_eq!(served.ended(&id)["status"], "complete");
}

#[test]
fn other_assets_end_the_scan_that_was_about_the_old_ones_and_begin_another() {
    let lab = Lab::new(Plugin::BscRpc, 200);
    let slow = Fault::at("first", Kind::Delay { ms: 200 });
    lab.fault(slow);
    let served = Served::start(&lab.product);
    let id = served.scan("bsc");
    let mut setup = Setup::of(&["first"]);
    setup.without.push("USDT");
    lab.set_up(&setup);
    served.post("reload", &Value::Null).expect(200);
    let scan = served.ended(&id);
    if scan["status"] == "complete" {
        // It was through before the reload came.
        return;
    }
    assert_eq!(scan["status"], "cancelled", "{scan}");
    let next = || served.items("scans?chain=bsc").first().cloned().unwrap();
    lab.wait_until(|| next()["id"] != json!(id) && next()["status"] == "complete");
    assert_eq!(next()["cells"], 200 * (lab.assets.len() - 1));
}

#[test]
fn providers_and_chains_come_and_go() {
    let lab = Lab::new(Plugin::BscRpc, 10);
    let served = Served::start(&lab.product);
    served.ended(&served.scan("bsc"));
    let one = std::fs::read_to_string(lab.product.folder().join("scanhost.toml")).unwrap();
    let chain = one.split("[providers.").next().unwrap();
    let second = &chain[chain.find("[chains.bsc]").unwrap()..];
    let second = second
        .replace("chains.bsc", "chains.bsc-two")
        .replace("\"first\"", "\"second\"");
    lab.product
        .write("scanhost.toml", format!("{one}\n{second}"));
    served.post("reload", &Value::Null).expect(200);
    let scan = served.ended(&served.scan("bsc-two"));
    assert_eq!(scan["status"], "complete", "{scan}");
    lab.product.write("scanhost.toml", one);
    served.post("reload", &Value::Null).expect(200);
    served.get("chains/bsc-two").problem(404, "unknown_chain");
    served.ended(&served.scan("bsc"));
    assert_eq!(served.stop().code, 0);
}

#[test]
fn a_reload_that_nobody_waits_for_is_done_all_the_same() {
    let lab = slow(&["first"]);
    let served = Served::start(&lab.product);
    let id = served.scan("btc");
    lab.wait_until(|| known(&served, &id) > 10);
    for ms in [1, 5, 10, 20, 40] {
        let request = served.request(reqwest::Method::POST, "reload");
        let request = request.timeout(std::time::Duration::from_millis(ms));
        // It may have been fast enough.
        let _ = served.runtime().block_on(async { request.send().await });
    }
    let scan = served.ended(&id);
    assert_eq!(scan["status"], "complete", "{scan}");
    let scan = served.ended(&served.scan("btc"));
    assert_eq!(scan["status"], "complete", "{scan}");
}
