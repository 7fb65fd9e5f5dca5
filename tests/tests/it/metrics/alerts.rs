//! Every alert rule, made to fire by what it is about, and quiet again when that is over.

use std::collections::BTreeMap;
use std::time::Duration;

use scanhost_tests::fixtures;
use scanhost_tests::product::{Chain, Config, Product, built};
use scanhost_tests::upstream::server::now_ms;
use scanhost_tests::upstream::{BodyForm, Fault, Kind};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use super::exposition::Scrape;
use super::promql::{Moment, evaluate};
use crate::lab::{Lab, Plugin, Setup, wait_until};
use crate::served::Served;

/// The rules that the tests below make fire.
const EXERCISED: [&str; 16] = [
    "ScanhostAbsent",
    "ScanhostBalancesStale",
    "ScanhostChainWithoutProvider",
    "ScanhostConfigReloadFailed",
    "ScanhostHoles",
    "ScanhostPluginQuarantined",
    "ScanhostProviderDown",
    "ScanhostProviderHeld",
    "ScanhostProviderNotLoaded",
    "ScanhostProviderUnauthorized",
    "ScanhostReconcileMismatch",
    "ScanhostScanGaveUp",
    "ScanhostScanNeverComplete",
    "ScanhostScanOverdue",
    "ScanhostScanTrouble",
    "ScanhostStoreUnwritable",
];

/// The schedule and patience of an operator in a hurry.
const SCHEDULE: &str = r#"
breaker = { failures = 3, cooldown = "300ms" }
scan = { every = "2s", budget = "1s", max_pool_failures = 2 }
"#;

/// The rules, as the binary prints them.
struct Rules(BTreeMap<String, String>);

impl Rules {
    fn of(product: &Product) -> Self {
        let text = product.run(&["metrics", "rules"]).expect(0).stdout;
        let mut rules = BTreeMap::new();
        let mut alert = String::new();
        for line in text.lines() {
            if let Some(name) = line.trim_start().strip_prefix("- alert: ") {
                name.clone_into(&mut alert);
            } else if let Some(quoted) = line.trim_start().strip_prefix("expr: ") {
                let expression = serde_json::from_str(quoted).expect("it is quoted");
                rules.insert(alert.clone(), expression);
            }
        }
        Self(rules)
    }

    /// Whether a rule is so, without the time that it must last.
    #[track_caller]
    fn fires(&self, alert: &str, before: &Scrape, now: &Scrape) -> bool {
        assert!(EXERCISED.contains(&alert), "{alert} is not in the list");
        let now_ms = u64::try_from(now_ms()).expect("it is later than 1970");
        let moment = Moment {
            before,
            now,
            time: Duration::from_millis(now_ms).as_secs_f64(),
        };
        !evaluate(&self.0[alert], moment).is_empty()
    }

    /// Waits until all of them fire, or until none does.
    #[track_caller]
    fn wait(&self, served: &Served, alerts: &[&str], fire: bool) {
        let so_far = std::cell::RefCell::new(Vec::new());
        let is_so = || {
            let now = Scrape::of(served);
            let others = |alert: &&&str| self.fires(alert, &now, &now) != fire;
            let left: Vec<&str> = alerts.iter().filter(others).copied().collect();
            let is_so = left.is_empty();
            *so_far.borrow_mut() = left;
            is_so
        };
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_until(is_so)));
        assert!(waited.is_ok(), "{:?}: {fire} did not come", so_far.borrow());
    }
}

fn lab(pool: &[&'static str], chain: &str) -> Lab {
    let lab = Lab::new(Plugin::Blockstream, 6);
    lab.set_up(&Setup::of(pool).chain(chain));
    lab
}

fn status(host: &str, code: u16) -> Fault {
    let body = BodyForm::Html;
    Fault::at(host, Kind::Status { code, body })
}

#[test]
fn every_rule_is_made_to_fire_here() {
    let product = Product::new(&Config::new());
    let rules = Rules::of(&product);
    let names: Vec<&str> = rules.0.keys().map(String::as_str).collect();
    assert_eq!(names, EXERCISED);
    let nothing = Scrape::default();
    assert!(rules.fires("ScanhostAbsent", &nothing, &nothing));
}

#[test]
fn an_outage_of_all_providers_is_told_while_it_lasts() {
    const OUTAGE: [&str; 6] = [
        "ScanhostBalancesStale",
        "ScanhostChainWithoutProvider",
        "ScanhostHoles",
        "ScanhostProviderDown",
        "ScanhostScanGaveUp",
        "ScanhostScanOverdue",
    ];
    let lab = lab(&["first", "second"], SCHEDULE);
    let rules = Rules::of(&lab.product);
    let fail = || ["first", "second"].map(|host| lab.fault(status(host, 500)));
    fail();
    let served = Served::start(&lab.product);
    rules.wait(&served, &["ScanhostScanNeverComplete"], true);
    lab.upstream.mend();
    let all = [
        &OUTAGE[..],
        &["ScanhostScanNeverComplete", "ScanhostAbsent"],
    ]
    .concat();
    rules.wait(&served, &all, false);
    fail();
    rules.wait(&served, &OUTAGE, true);
    lab.upstream.mend();
    rules.wait(&served, &all, false);
}

#[test]
fn a_refused_key_is_told_until_it_is_mended_and_released() {
    let lab = lab(&["first", "second"], SCHEDULE);
    let rules = Rules::of(&lab.product);
    let served = Served::start(&lab.product);
    let alerts = ["ScanhostProviderUnauthorized", "ScanhostProviderHeld"];
    rules.wait(&served, &alerts, false);
    lab.fault(status("first", 401));
    rules.wait(&served, &alerts, true);
    lab.upstream.mend();
    let released = served.delete("chains/btc/providers/first/breaker");
    released.expect(200);
    rules.wait(&served, &alerts, false);
}

#[test]
fn a_list_that_is_gone_is_told_until_it_is_back() {
    let lab = lab(&["first"], SCHEDULE);
    let rules = Rules::of(&lab.product);
    let served = Served::start(&lab.product);
    let list = lab.product.folder().join("list.csv");
    let kept = std::fs::read(&list).unwrap();
    rules.wait(&served, &["ScanhostScanTrouble"], false);
    std::fs::remove_file(&list).unwrap();
    rules.wait(&served, &["ScanhostScanTrouble"], true);
    std::fs::write(&list, kept).unwrap();
    rules.wait(&served, &["ScanhostScanTrouble"], false);
}

#[test]
fn a_configuration_with_mistakes_is_told_until_one_is_taken() {
    let lab = lab(&["first"], "");
    let rules = Rules::of(&lab.product);
    let served = Served::start(&lab.product);
    let alert = "ScanhostConfigReloadFailed";
    rules.wait(&served, &[alert], false);
    let good = std::fs::read_to_string(lab.product.folder().join("scanhost.toml")).unwrap();
    let bad = good.replace("pool = [\"first\"]", "pool = [\"frist\"]");
    lab.product.write("scanhost.toml", bad);
    assert_eq!(served.post("reload", &Value::Null).status, 422);
    rules.wait(&served, &[alert], true);
    let rejected = Scrape::of(&served);
    let rejected = rejected.sum("scanhost_config_reloads_total", &[("result", "rejected")]);
    assert!((rejected - 1.0).abs() < f64::EPSILON);
    lab.product.write("scanhost.toml", good);
    served.post("reload", &Value::Null).expect(200);
    rules.wait(&served, &[alert], false);
}

#[test]
fn a_store_that_another_process_holds_is_told_until_it_is_free() {
    let lab = lab(&["first"], "");
    let rules = Rules::of(&lab.product);
    let served = Served::start(&lab.product);
    let alert = "ScanhostStoreUnwritable";
    rules.wait(&served, &[alert], false);
    let file = lab.product.folder().join("scanhost.db");
    let options = SqliteConnectOptions::new().filename(file);
    let mut holder = lab.wait(SqliteConnection::connect_with(&options)).unwrap();
    lab.wait(sqlx::query("BEGIN IMMEDIATE").execute(&mut holder))
        .unwrap();
    rules.wait(&served, &[alert], true);
    lab.wait(sqlx::query("ROLLBACK").execute(&mut holder))
        .unwrap();
    rules.wait(&served, &[alert], false);
}

#[test]
fn two_that_insist_on_different_amounts_are_told() {
    let sampled = "scan = { sample = \"100%\", budget = \"10s\" }\n";
    let lab = lab(&["first", "second"], sampled);
    let rules = Rules::of(&lab.product);
    let served = Served::start(&lab.product);
    let fresh = Scrape::of(&served);
    lab.fault(Fault::at("second", Kind::Lie));
    let id = served.scan("btc");
    assert_eq!(served.ended(&id)["status"], "complete");
    let lied = Scrape::of(&served);
    assert!(rules.fires("ScanhostReconcileMismatch", &fresh, &lied));
    lab.upstream.mend();
    let id = served.scan("btc");
    assert_eq!(served.ended(&id)["status"], "complete");
    let mended = Scrape::of(&served);
    assert!(!rules.fires("ScanhostReconcileMismatch", &lied, &mended));
    let same = mended.sum("scanhost_reconcile_cells_total", &[("result", "same")]);
    assert!(same > 0.0);
}

/// A chain whose only provider is the fixture that panics in that place.
fn panicking(place: &str) -> Config {
    let fixture = fixtures::plugin("fixture-panics").unwrap_or_else(|error| panic!("{error}"));
    let folder = fixture.parent().expect("it lies in a folder");
    let odd = Chain {
        name: "odd",
        network: "mainnet",
        identity: None,
        pool: &["odd"],
        assets: &[("ODD", None, 8)],
        list: Some("odd.txt"),
        more: "scan = { budget = \"60s\", max_pool_failures = 50 }",
    };
    let options = format!("[providers.odd.options]\npanic = {place:?}");
    let folders = [&*built(), folder];
    let config = Config::new().plugins(&folders).chain(&odd);
    // Nothing listens there, and nobody asks.
    config.provider("odd", "fixture-panics", "http://127.0.0.1:9", &options)
}

#[test]
fn a_plugin_that_panics_is_told_until_it_is_replaced() {
    let product = Product::new(&panicking("balances"));
    product.write("odd.txt", "alice\nbob\n");
    let rules = Rules::of(&product);
    let served = Served::start(&product);
    let (quarantined, left_out) = ("ScanhostPluginQuarantined", "ScanhostProviderNotLoaded");
    rules.wait(&served, &[quarantined, left_out], false);
    served.scan("odd");
    rules.wait(&served, &[quarantined], true);
    product.configure(&panicking("open"));
    served.post("reload", &Value::Null).expect(200);
    rules.wait(&served, &[left_out, "ScanhostChainWithoutProvider"], true);
    product.configure(&panicking("never"));
    served.post("reload", &Value::Null).expect(200);
    let all = [quarantined, left_out, "ScanhostChainWithoutProvider"];
    rules.wait(&served, &all, false);
}
